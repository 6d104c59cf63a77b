//! The registration throttle as an administrator sees it: what is spent where.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::prepare_domain;
use serde::{Deserialize, Serialize};

use super::WindowKind;
use super::source::{Key, keys};

/// What one window counts by. Written as `address:192.0.2.7`, `prefix_24:192.0.2.0`, `host:example.org` or `all`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ThrottleKey(pub(super) Key);

/// A text that no window counts by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no key of the throttle: write address:192.0.2.7, prefix_24:192.0.2.0, prefix_64:2001:db8::, \
     prefix_48:2001:db8::, host:example.org or all"
)]
pub struct ThrottleKeyError(String);

/// How full one key's window is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleUse {
    /// Which.
    pub key: ThrottleKey,
    /// Registrations that count, settled or not.
    pub used: u32,
    /// How many may; none where the window is off.
    pub limit: Option<u32>,
    /// When a place will be free, in milliseconds; 0 where one is.
    pub free_in_ms: u64,
}

/// What is spent, the fullest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleReport {
    /// [`REPORT_MAX`](Self::REPORT_MAX) at most.
    pub uses: Vec<ThrottleUse>,
    /// Keys that count anything, also those that are not shown.
    pub keys: u64,
    /// Networks that are out for having filled the throttle, and until when, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out: Vec<(IpNet, Timestamp)>,
    /// Registrations that are remembered, settled or not.
    #[serde(default)]
    pub remembered: u64,
}

impl ThrottleReport {
    /// Keys in one report.
    pub const REPORT_MAX: usize = 1_000;
}

impl ThrottleKey {
    /// The window that counts by it.
    pub fn window(&self) -> WindowKind {
        self.0.kind()
    }
}

impl fmt::Display for ThrottleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.window().as_str();
        match &self.0 {
            Key::Address(address) | Key::Prefix(_, address) => write!(f, "{kind}:{address}"),
            Key::Host(host) => write!(f, "{kind}:{host}"),
            Key::All => f.write_str(kind),
        }
    }
}

/// Any address stands for its prefix.
impl FromStr for ThrottleKey {
    type Err = ThrottleKeyError;

    fn from_str(text: &str) -> Result<Self, ThrottleKeyError> {
        let wrong = || ThrottleKeyError(text.chars().take(64).collect());
        if text == WindowKind::All.as_str() {
            return Ok(Self(Key::All));
        }
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        if kind == WindowKind::Host.as_str() {
            let host = prepare_domain(name).map_err(|_| wrong())?;
            return Ok(Self(Key::Host(host.into())));
        }
        let address: IpAddr = name.parse().map_err(|_| wrong())?;
        let mut keys = keys("", address).into_iter();
        let found = keys.find(|(of, _)| of.as_str() == kind);
        match found {
            Some((_, key @ (Key::Address(_) | Key::Prefix(..)))) => Ok(Self(key)),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for ThrottleKey {
    type Error = ThrottleKeyError;

    fn try_from(text: String) -> Result<Self, ThrottleKeyError> {
        text.parse()
    }
}

impl From<ThrottleKey> for String {
    fn from(key: ThrottleKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_it_is_read() {
        for (text, shown) in [
            ("address:192.0.2.7", "address:192.0.2.7"),
            ("prefix_24:192.0.2.7", "prefix_24:192.0.2.0"),
            ("prefix_64:2001:db8:1:2:3::4", "prefix_64:2001:db8:1:2::"),
            ("prefix_48:2001:db8:1:2:3::4", "prefix_48:2001:db8:1::"),
            ("host:Example.org", "host:example.org"),
            ("all", "all"),
        ] {
            let key: ThrottleKey = text.parse().unwrap();
            assert_eq!(key.to_string(), shown);
            assert_eq!(shown.parse(), Ok(key));
        }
        for text in [
            "",
            "address",
            "address:x",
            "prefix_24:::1",
            "host:a b",
            "overload",
            "all:1",
        ] {
            assert!(text.parse::<ThrottleKey>().is_err(), "{text}");
        }
    }
}
