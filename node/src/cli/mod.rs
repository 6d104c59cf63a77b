//! The command line.

mod admin;
mod certificate;
//WAIT mod check;
mod config;
//WAIT mod dev;
//WAIT mod dev_account;
mod exit;
mod terminal;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Source;

pub use exit::Failure;
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
    //WAIT Dev(dev::DevArgs),
    /// Print every option with its default, unit and reason, as a configuration to start from.
    Config(config::ConfigArgs),
    /// Test a configuration: certificates, ports, file limits, DNS, weak settings.
    //WAIT Check(check::CheckArgs),
    /// Talk to a running server.
    Admin(admin::AdminArgs),
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

/// A server that is to run.
pub struct Launch {
    /// Its configuration.
    pub source: Source,
    /// What `rookery dev` says and does once it runs.
    pub dev: Option<()>,
}

impl SourceArgs {
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
            true => Failure::config(error.render().to_string().trim_end()),
            false => error.exit(),
        })
    }

    /// Carries out everything that ends by itself; gives back the server that is to run.
    pub fn run(self) -> Result<Option<Launch>, Failure> {
        match self.command {
            Command::Serve(args) => serve(args).map(Some),
            //WAIT Command::Dev(args) => args.launch().map(Some),
            Command::Config(args) => args.run().map(|()| None),
            //WAIT Command::Check(args) => args.run().map(|()| None),
            Command::Admin(args) => args.run().map(|()| None),
            Command::Completion { shell } => {
                clap_complete::generate(
                    shell,
                    &mut Self::command(),
                    "rookery",
                    &mut std::io::stdout(),
                );
                Ok(None)
            }
            Command::Version => {
                say(&format!("{} {}", crate::NAME, crate::VERSION));
                Ok(None)
            }
        }
    }
}

fn serve(args: SourceArgs) -> Result<Launch, Failure> {
    if args.config.is_none() {
        return Err(Failure::config(
            "no configuration: `rookery config > rookery.toml` writes one, then `rookery serve \
             --config rookery.toml`; `rookery dev` runs a server without one",
        ));
    }
    Ok(Launch {
        source: args.source(),
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
