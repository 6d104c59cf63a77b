//! `rookery admin`: a thin client of the admin API.

mod bans;
mod connect;
mod control;
mod events;
mod guard;
mod invites;
mod names;
mod nodes;
mod quota;
mod registration;
mod server;
mod sessions;
mod shards;
mod standing;
mod throttle;
mod throttle_lists;
mod users;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tonic::Status;

use super::terminal::complain;
use super::{Failure, block_on, say};

pub(super) use connect::over_socket;
pub(super) use nodes::create_token;

/// Talk to a running server.
#[derive(Args, Debug)]
pub struct AdminArgs {
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    topic: Topic,
}

/// Which server, and how to reach it.
#[derive(Args, Debug)]
pub(super) struct Target {
    /// The server's Unix socket; without it those of `./rookery-data` and `/var/lib/rookery` are
    /// tried.
    #[arg(long, global = true, value_name = "PATH", env = "ROOKERY_ADMIN_SOCKET")]
    socket: Option<PathBuf>,
    /// A server on another machine, as in `xmpp1.example.org:5271`: its `admin.listen`. Needs the three
    /// files below.
    #[arg(long, global = true, value_name = "HOST:PORT", requires_all = ["ca", "certificate", "key"])]
    address: Option<String>,
    /// The certificates that issued the server's (PEM).
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Your certificate (PEM).
    #[arg(long, global = true, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Your certificate's key (PEM).
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Topic {
    /// Accounts.
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Connected clients.
    #[command(subcommand)]
    Sessions(sessions::SessionsCommand),
    /// Who may make an account over XMPP.
    #[command(subcommand)]
    Registration(registration::RegistrationCommand),
    /// What the registration throttle has counted.
    #[command(subcommand)]
    Throttle(throttle::ThrottleCommand),
    /// Who may not connect.
    #[command(subcommand)]
    Bans(bans::BansCommand),
    /// What has happened: accounts that came and went, bans, limits that were met often.
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Failed logins, over all nodes, and who is let in no more for them.
    #[command(subcommand)]
    Guard(guard::GuardCommand),
    /// Invitations to make an account.
    #[command(subcommand)]
    Invites(invites::InvitesCommand),
    /// Which names nobody may register.
    #[command(subcommand)]
    Names(names::NamesCommand),
    /// The traffic budgets of accounts, networks and domains.
    #[command(subcommand)]
    Quota(quota::QuotaCommand),
    /// The nodes of the cluster.
    #[command(subcommand)]
    Nodes(nodes::NodesCommand),
    /// The shards: who serves which accounts.
    #[command(subcommand)]
    Shards(shards::ShardsCommand),
    /// The control group.
    #[command(subcommand)]
    Control(control::ControlCommand),
    /// The node itself.
    #[command(subcommand)]
    Server(server::ServerCommand),
}

/// What a command has to show: for people, and for programs.
struct Shown {
    text: String,
    json: serde_json::Value,
}

impl AdminArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let shown = block_on(async {
            let channel = self.target.connect().await?;
            let answer = match self.topic {
                Topic::Users(command) => command.run(channel).await,
                Topic::Sessions(command) => command.run(channel).await,
                Topic::Registration(command) => command.run(channel).await,
                Topic::Throttle(command) => command.run(channel).await,
                Topic::Bans(command) => command.run(channel).await,
                Topic::Events(command) => command.run(channel).await,
                Topic::Guard(command) => command.run(channel).await,
                Topic::Invites(command) => command.run(channel).await,
                Topic::Names(command) => command.run(channel).await,
                Topic::Quota(command) => command.run(channel).await,
                Topic::Nodes(command) => command.run(channel).await,
                Topic::Shards(command) => command.run(channel).await,
                Topic::Control(command) => command.run(channel).await,
                Topic::Server(command) => command.run(channel).await,
            };
            answer.map_err(|status| failure(&status))
        })??;
        match self.json {
            true => say(&format!("{:#}", shown.json)),
            false => say(&shown.text),
        }
        Ok(())
    }
}

impl Shown {
    /// Says beside it why it may be old, if it may: to people on standard error, to programs in `stale`.
    fn or_stale(mut self, why: &str) -> Self {
        if !why.is_empty() {
            complain(&format!("STALE: {why}"));
        }
        if let Some(fields) = self.json.as_object_mut() {
            fields.insert("stale".to_owned(), (!why.is_empty()).into());
        }
        self
    }

    /// A change that was made: a sentence for people, what it was about for programs.
    fn done(text: impl Into<String>, json: serde_json::Value) -> Self {
        Self {
            text: text.into(),
            json,
        }
    }
}

pub(super) fn failure(status: &Status) -> Failure {
    if status.code() == tonic::Code::Unavailable {
        return Failure::unavailable(status.message());
    }
    Failure::refused(status.message())
}
