//! The command line.

mod admin;
mod backup;
mod certificate;
mod check;
mod cluster;
mod config;
mod dev;
mod dev_account;
mod exit;
mod launch;
mod terminal;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Source;

pub use exit::Failure;
pub use launch::Launch;
pub use terminal::{complain, say};

/// An XMPP server for people who run public servers.
#[derive(Debug, Parser)]
#[command(
    name = "rookery",
    version,
    max_term_width = 100,
    propagate_version = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server from a configuration.
    Serve(SourceArgs),
    /// Run a whole server for `localhost`, to try things out.
    Dev(dev::DevArgs),
    /// Print every option with its default, unit and reason, as a configuration to start from.
    Config(config::ConfigArgs),
    /// Test a configuration: certificates, ports, file limits, DNS, weak settings.
    Check(check::CheckArgs),
    /// Talk to a running server.
    Admin(admin::AdminArgs),
    /// Copy everything that a server's store holds into a folder, while it serves.
    Backup(backup::BackupArgs),
    /// Put a backup into an empty store, which no server uses.
    Restore(backup::RestoreArgs),
    /// Check a backup, alone or against a store, a server or another backup.
    Verify(backup::VerifyArgs),
    /// Make a cluster, or add a machine to one.
    Cluster(cluster::ClusterArgs),
    /// Print the completion script of a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version,
}

/// Where a configuration comes from.
#[derive(Args, Clone, Debug)]
pub struct SourceArgs {
    /// The configuration file (TOML).
    #[arg(long, short, value_name = "FILE", env = "ROOKERY_CONFIG")]
    config: Option<PathBuf>,
    /// Override an option, as in `--set log.filter=debug`. May be given many times.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl SourceArgs {
    /// The source for a command that means nothing without a file.
    fn demanded(self, command: &str) -> Result<Source, Failure> {
        if self.config.is_some() {
            return Ok(self.source());
        }
        Err(Failure::usage(format!(
            "no configuration: `rookery config > rookery.toml` writes one, then `rookery {command} \
             --config rookery.toml`; `rookery dev` runs a server without one"
        )))
    }

    fn source(self) -> Source {
        Source {
            file: self.config,
            set: self.set,
            ..Source::default()
        }
    }
}

impl Cli {
    /// Reads the arguments. Help ends here, too, as clap does it.
    pub fn read() -> Result<Self, Failure> {
        Self::try_parse().map_err(|error| match error.use_stderr() {
            true => Failure::usage(error.render().to_string().trim_end()),
            false => error.exit(),
        })
    }

    /// Does what the command line says, to its end.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => serve(args)?.run(),
            Command::Dev(args) => args.launch()?.run(),
            Command::Config(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Admin(args) => args.run(),
            Command::Backup(args) => args.run(),
            Command::Restore(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Cluster(args) => args.run(),
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "rookery", &mut script);
                say(String::from_utf8_lossy(&script).trim_end());
                Ok(())
            }
            Command::Version => {
                say(&format!("{} {}", crate::NAME, crate::VERSION));
                Ok(())
            }
        }
    }
}

fn serve(args: SourceArgs) -> Result<Launch, Failure> {
    Ok(Launch {
        source: args.demanded("serve")?,
        dev: None,
    })
}

/// A runtime for commands that ask others and end.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    Ok(runtime
        .map_err(|error| Failure::software(format!("no runtime: {error}")))?
        .block_on(work))
}
