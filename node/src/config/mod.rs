//! The configuration: one TOML file, joined from sections that belong to the parts which they configure.
//!
//! ```text
//! file ─┐
//!       ├─► load: unknown keys, wrong types ─► Config ─► checks: values that cannot be ─► a server
//! --set ┘          with line and nearest key            and values that contradict one another
//! ```
//!
//! All problems are reported at once, before any port is opened or any file written.

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
pub use sections::{AdminOptions, HttpOptions, LogFormat, LogOptions, Role, ServerOptions};

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
    /// The HTTP port for monitoring. It has no access control: keep it on loopback or behind a firewall.
    http: HttpOptions;
    /// Who may make an account over XMPP, and how fast. The admin API can override these values while the server runs.
    registration: rookery_control::RegistrationOptions;
    /// What a client may send once it is authenticated. Before that it is held to far less.
    xml: rookery_xmpp::xml::XmlLimits;
    /// The control group: how its members agree and how much they keep.
    control: rookery_control::ControlOptions;
}

impl Config {
    /// The configuration as a TOML table of sections.
    pub fn to_table(&self) -> Table {
        Table::try_from(self).expect("sections hold only what TOML can express")
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
