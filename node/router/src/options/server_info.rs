//! What hosts tell of themselves to those who draw maps of the network.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rookery_xmpp::jid::prepare_domain;

rookery_xmpp::options! {
    /// What hosts publish of themselves for those who draw maps of the network (XEP-0485).
    pub struct ServerInfoOptions {
        /// Hosts of this server that publish, in a node that everybody may read, that they are there; and by that let
        /// other servers publish their names, as those with which they are connected. Nothing is told of a host that is
        /// not named here, and no host tells of another. In a cluster keep the files equal.
        pub hosts: Vec<String> = Vec::new(), "";
    }
}

/// The options, ready to be used.
#[derive(Debug, Default)]
pub struct ServerInfo {
    hosts: BTreeSet<String>,
}

impl ServerInfo {
    /// Makes options ready. What cannot be used is left out; the checks of the configuration have refused it.
    pub fn new(options: &ServerInfoOptions) -> Self {
        let hosts = options.hosts.iter();
        let hosts = hosts.filter_map(|host| prepare_domain(host).ok());
        Self {
            hosts: hosts.map(Cow::into_owned).collect(),
        }
    }

    /// Whether this host, a prepared domain, tells of itself.
    pub fn is_published(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }
}
