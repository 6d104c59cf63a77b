//! What a session is told when it begins.

use std::net::IpAddr;

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::prepare_domain;

use crate::options::SessionOptions;

/// What all sessions of a process share. A reload makes a new one; sessions keep the one they began with.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The virtual hosts, at least one. The first is the server's own name where a client names none that is served.
    pub hosts: Vec<HostConfig>,
    /// The operator's options.
    pub options: SessionOptions,
    /// The largest stanza that is read, told to clients (XEP-0478).
    pub stanza_bytes_max: u32,
    /// Decides the salts that names without an account show. It must be the same on all nodes and after a restart, and
    /// known to nobody: who knows it can tell these names.
    pub decoy_secret: [u8; 32],
}

/// A virtual host.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Its prepared domain.
    pub domain: String,
    /// Whether strangers may register (XEP-0077); only then it is offered before login.
    pub registration: bool,
    /// The server's own capabilities (XEP-0115 `<c/>`), shown in the stream's features.
    pub caps: Option<Element>,
}

/// What is known of a connection when it is accepted.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionFacts {
    /// Where the client connects from.
    pub address: IpAddr,
    /// Whether TLS begins with the first byte (XEP-0368) instead of with `<starttls/>`.
    pub direct_tls: bool,
}

impl SessionConfig {
    /// The index of a served host, by its name in any form that prepares to it.
    pub(crate) fn host_named(&self, name: &str) -> Option<usize> {
        let prepared = prepare_domain(name).ok()?;
        self.hosts.iter().position(|host| host.domain == *prepared)
    }

    /// The only host, if there is only one.
    pub(crate) fn sole_host(&self) -> Option<usize> {
        (self.hosts.len() == 1).then_some(0)
    }
}
