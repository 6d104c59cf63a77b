//! `rookery cluster`: how a machine becomes a node.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::admin::{self, Target};
use super::terminal::moment;
use super::{Failure, SourceArgs, block_on, say};
use crate::cluster::{self, JoinError, Made, RenewError, Token, is_address};

/// Make a cluster, or add a machine to one.
#[derive(Args, Debug)]
pub struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Make a cluster: its authority, and the first node, which begins the control group.
    Init {
        /// The data folder of the first node.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The cluster's name: a-z, 0-9 and -. It tells clusters apart in logs.
        #[arg(long)]
        name: String,
        /// Where the other nodes will reach this one.
        #[arg(long, value_name = "HOST:PORT", value_parser = address)]
        address: String,
    },
    /// Make a token with which one machine can join. Needs a running server that holds the
    /// authority's key.
    Token {
        #[command(flatten)]
        target: Target,
        /// What the new node may do.
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "control,router,connection"
        )]
        roles: Vec<String>,
        /// How long the token is good, as in `10m` or `2h`; a day at most.
        #[arg(long, default_value = "10m", value_parser = span)]
        expires: Duration,
    },
    /// Become a node: make a key, show the token, get a certificate.
    Join {
        /// What `rookery cluster token` printed.
        token: String,
        /// The data folder of the new node.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Where the other nodes will reach this one.
        #[arg(long, value_name = "HOST:PORT", value_parser = address)]
        address: String,
    },
    /// Get another certificate for this node, whose present one is still good. Asks the members that the configuration
    /// names; the one that holds the authority's key signs. A running server takes it over with `admin server reload`.
    Renew {
        #[command(flatten)]
        source: SourceArgs,
        /// Do nothing while the certificate is good for longer than so many days.
        #[arg(long, value_name = "DAYS")]
        unless: Option<u16>,
    },
}

impl ClusterArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.command {
            ClusterCommand::Init { dir, name, address } => {
                let made = cluster::init(&dir, &name).map_err(|error| failure(&error))?;
                say(&told(&made, &address));
            }
            ClusterCommand::Token {
                target,
                roles,
                expires,
            } => {
                let made = block_on(async {
                    let channel = target.connect().await?;
                    let made = admin::create_token(channel, roles, expires.as_secs()).await;
                    made.map_err(|status| admin::failure(&status))
                })??;
                say(&made.token);
                let expires = moment(made.expires_ms);
                super::complain(&format!(
                    "good for one node, until {expires}; keep it secret"
                ));
            }
            ClusterCommand::Join {
                token,
                dir,
                address,
            } => {
                let token: Token = token
                    .parse()
                    .map_err(|error: cluster::TokenError| Failure::usage(error.to_string()))?;
                let made = block_on(cluster::join(&dir, &token, &address))?;
                say(&told(&made.map_err(|error| failure(&error))?, &address));
            }
            ClusterCommand::Renew { source, unless } => renew(source, unless)?,
        }
        Ok(())
    }
}

fn renew(source: SourceArgs, unless: Option<u16>) -> Result<(), Failure> {
    let loaded = source.source().load();
    let config = loaded
        .map_err(|problems| Failure::config(problems.to_string()))?
        .config;
    let enough = unless.map(|days| Duration::from_secs(u64::from(days) * 86_400));
    let renewed = block_on(cluster::renew(&config, enough))?.map_err(|error| {
        let text = error.to_string();
        match error {
            RenewError::Refused(_) => Failure::refused(text),
            RenewError::NotSigned(_) => Failure::unavailable(text),
            RenewError::Credentials(_) | RenewError::NoMember => Failure::config(text),
            _ => Failure::software(text),
        }
    })?;
    let (node, until) = (renewed.identity.node, moment(renewed.until.as_millis()));
    say(&match renewed.is_new {
        true => format!(
            "node {node} has a certificate until {until}, in {}; `rookery admin server reload` takes it over",
            renewed.path.display()
        ),
        false => format!("the certificate of node {node} is good until {until}"),
    });
    Ok(())
}

/// What to do next, as a person can copy it.
fn told(made: &Made, address: &str) -> String {
    let identity = &made.identity;
    let port = address.rsplit_once(':').map_or("5270", |(_, port)| port);
    let quoted = |texts: Vec<&str>| {
        let quoted: Vec<_> = texts.iter().map(|text| format!("\"{text}\"")).collect();
        quoted.join(", ")
    };
    let roles = quoted(identity.roles.iter().map(|role| role.as_str()).collect());
    let peers = quoted(made.peers.iter().map(String::as_str).collect());
    format!(
        "node {} of cluster {}; its certificate and key are in {}

Put this into its configuration, then start it:

[server]
roles = [{roles}]

[cluster]
listen = [\"0.0.0.0:{port}\"]
address = \"{address}\"
peers = [{peers}]",
        identity.node,
        identity.cluster,
        made.dir.display(),
    )
}

fn failure(error: &JoinError) -> Failure {
    let text = error.to_string();
    match error {
        JoinError::Name(_) => Failure::usage(text),
        JoinError::IsNode(_) | JoinError::InUse(_) => Failure::config(text),
        JoinError::Dial { .. } => Failure::unavailable(text),
        JoinError::Refused(_) => Failure::refused(text),
        _ => Failure::software(text),
    }
}

fn address(text: &str) -> Result<String, String> {
    match is_address(text) {
        true => Ok(text.to_owned()),
        false => Err(
            "write host:port, where other machines reach this one, such as node1.example.net:5270"
                .to_owned(),
        ),
    }
}

/// `90s`, `10m`, `2h`.
fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "write it as 90s, 10m or 2h".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("from 1s to 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_with_a_unit_and_at_most_a_day() {
        assert_eq!(span("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(span("24h"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "10", "m", "0s", "25h", "-1m", "1é"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
