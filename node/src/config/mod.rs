//! The configuration: one TOML file, joined from sections that belong to the parts which they
//! configure.
//!
//! ```text
//! file ─┐
//!       ├─► load: unknown keys, wrong types ─► Config ─► checks: values that cannot be ─► a server
//! --set ┘          with line and nearest key            and values that contradict one another
//! ```
//!
//! All problems are reported at once, before any port is opened or any file written.

mod bounds;
mod checks;
mod load;
mod print;
mod problem;
mod sections;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, Deserializer};
use toml::{Spanned, Table};

use rookery_xmpp::options::{OptionInfo, Section};

pub use load::{Loaded, Source};
pub use print::{to_json, to_toml};
pub use problem::{Location, Problem, Problems};
pub use sections::{
    AdminOptions, ClusterOptions, HttpOptions, LogFormat, LogOptions, Role, ServerOptions,
};

/// One section, as data.
pub struct SectionInfo {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// Its options, in the order of their declaration.
    pub options: &'static [OptionInfo],
    /// Whether a table with some of its options has the right types.
    check: fn(Spanned<DeTable<'_>>) -> Result<(), toml::de::Error>,
}

impl SectionInfo {
    /// The option of that name.
    pub fn option(&self, name: &str) -> Option<&'static OptionInfo> {
        self.options.iter().find(|option| option.name == name)
    }
}

/// Joins sections to [`Config`] and to the table [`SECTIONS`].
macro_rules! sections {
    ($($(#[doc = $doc:expr])* $name:ident: $section:ty;)*) => {
        /// The whole configuration. Its default is that of `rookery config`.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $($(#[doc = $doc])* pub $name: $section,)*
        }

        /// Every section, in the order in which they are printed.
        pub const SECTIONS: &[SectionInfo] = &[$(SectionInfo {
            name: stringify!($name),
            doc: concat!($($doc, "\n",)*),
            options: <$section as Section>::OPTIONS,
            check: has_right_types::<$section>,
        },)*];
    };
}

sections! {
    /// The server as a whole.
    server: ServerOptions;
    /// What is logged, and how.
    log: LogOptions;
    /// The operator's API (gRPC), which the command line uses too.
    admin: AdminOptions;
    /// The HTTP port for monitoring. It has no access control: keep it on loopback or behind a
    /// firewall.
    http: HttpOptions;
    /// The public pages: about invitations, and whom to tell of a hole in the server.
    web: crate::web::WebOptions;
    /// Who may make an account over XMPP, and how fast. The admin API can override these values
    /// while the server runs.
    registration: rookery_control::RegistrationOptions;
    /// Which passwords accounts may have, and when the old one must be given to change it.
    passwords: rookery_router::PasswordOptions;
    /// What who registers is asked for, or where people register instead.
    registration_form: rookery_router::RegistrationFormOptions;
    /// What who registers must solve, to be told from a program.
    captcha: rookery_router::CaptchaOptions;
    /// Which names nobody may register, and what becomes of the names of deleted accounts.
    names: rookery_control::NameOptions;
    /// Whom users may invite.
    invites: rookery_router::InviteOptions;
    /// How people reach whoever runs the server, and who gets what is written to it.
    contact: rookery_router::ContactOptions;
    /// Which hosts tell of themselves to those who draw maps of the network.
    server_info: rookery_router::ServerInfoOptions;
    /// Who is told when something happens that an operator should know.
    watchers: crate::watchers::WatcherOptions;
    /// What becomes of accounts that are removed.
    accounts: rookery_router::AccountOptions;
    /// Where clients connect, and what their connections may cost.
    connection: rookery_connection::ConnectionOptions;
    /// The certificates of the virtual hosts. They are read again at each reload.
    tls: rookery_connection::TlsOptions;
    /// Streams of clients: how long each step may take, how often it may be tried, and how a client
    /// may log in.
    session: rookery_session::SessionOptions;
    /// How often strangers may come, as in `200/1m`: so many at once, and as many again in each such
    /// time; or `off`. Prefixes are IPv4 /24 and IPv6 /48. What is too much is refused before it
    /// costs anything.
    flood: rookery_connection::FloodOptions;
    /// What becomes of failed logins on this node.
    login_guard: rookery_session::LoginGuardOptions;
    /// What becomes of failed logins on all nodes together: who fails too often is let in no more for
    /// a while, but never from where the account was used lately.
    guard: rookery_control::GuardOptions;
    /// How fast one stream is read. Reading stops while it was faster, and nothing is dropped.
    bandwidth: rookery_session::BandwidthOptions;
    /// Traffic budgets that hold over all connection nodes together, on top of `[bandwidth]`.
    quota: rookery_control::QuotaOptions;
    /// What a client may send once it is authenticated. Before that it is held to far less.
    xml: rookery_xmpp::xml::XmlLimits;
    /// What one account may hold and do, and what a shard keeps in memory.
    router: rookery_router::RouterOptions;
    /// The message archives of accounts: what is kept, how long, and what a query may cost.
    archive: rookery_router::ArchiveOptions;
    /// The store: which one, and the options of the embedded one (SQLite), whose defaults suit a
    /// server from ten to a hundred thousand accounts.
    store: rookery_store::SqliteOptions;
    /// The cluster's store (ScyllaDB, or Apache Cassandra), where `store.backend` is `scylla`.
    scylla: rookery_store::ScyllaOptions;
    /// The control group: how its members agree and how much they keep.
    control: rookery_control::ControlOptions;
    /// The node's part in a cluster. Without addresses to listen on the server is alone.
    cluster: ClusterOptions;
    /// How much may be under way between two nodes of a cluster.
    link: rookery_link::LinkOptions;
}

impl Config {
    /// How many clients the node holds at most: none without the role for it.
    pub fn connections_max(&self) -> usize {
        match self.server.has(Role::Connection) {
            true => self.connection.connections_max,
            false => 0,
        }
    }

    /// What the shards need to know to make invitations.
    pub fn invite_settings(&self) -> rookery_router::InviteSettings {
        let (options, base_url) = (self.invites.clone(), self.web.base_url.clone());
        rookery_router::InviteSettings { options, base_url }
    }

    /// How many sockets strangers can make the node hold at most.
    pub fn sockets_max(&self) -> usize {
        let pages = match self.web.listen.is_empty() {
            true => 0,
            false => self.web.connections_max as usize,
        };
        self.connections_max() + pages
    }

    /// The configuration as a TOML table of sections.
    pub fn to_table(&self) -> Table {
        Table::try_from(self).expect("sections hold only what TOML can express")
    }

    /// This configuration with some options, as `section.key`, of another.
    pub fn with_options_of(&self, other: &Self, options: &[String]) -> Self {
        let (mut table, other) = (self.to_table(), other.to_table());
        for option in options {
            if let Some((section, key)) = option.split_once('.') {
                table[section][key] = other[section][key].clone();
            }
        }
        Self::deserialize(table).expect("each option is one that a configuration had")
    }
}

fn has_right_types<S: Section>(table: Spanned<DeTable<'_>>) -> Result<(), toml::de::Error> {
    S::deserialize(Deserializer::from(table)).map(drop)
}

/// The options, as `section.key`, whose values differ.
pub fn changed_options(before: &Config, after: &Config) -> Vec<String> {
    let (before, after) = (before.to_table(), after.to_table());
    let keys = SECTIONS.iter().flat_map(|section| {
        section
            .options
            .iter()
            .map(|option| (section.name, option.name))
    });
    keys.filter(|(section, option)| before[*section][*option] != after[*section][*option])
        .map(|(section, option)| format!("{section}.{option}"))
        .collect()
}
