//! Which node a certificate names.
//!
//! A node's certificate carries the URI `rookery:CLUSTER/node/ID/ROLE+ROLE` for those who are called, and DNS names for
//! those who call: `node-ID.CLUSTER.rookery.internal` says that this very node answers, `ROLE.CLUSTER.rookery.internal`
//! that one with this role does. So rustls itself refuses a node in another's place.

use std::fmt;
use std::str::FromStr;

use rookery_control::{NodeId, NodeRole};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A node as its certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: String,
    /// The node's id.
    pub node: NodeId,
    /// The roles it may hold.
    pub roles: Vec<NodeRole>,
}

/// Why a certificate names no node; its maker's to solve.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read.
    #[error("it is no certificate")]
    Unreadable,
    /// The URI is missing, doubled or wrong.
    #[error("it must have one URI of the form rookery:CLUSTER/node/ID/ROLE+ROLE among its names")]
    NoNode,
}

impl Identity {
    /// The node that a certificate names.
    pub fn of_certificate(der: &[u8]) -> Result<Self, IdentityError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| IdentityError::Unreadable)?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|_| IdentityError::Unreadable)?
            .ok_or(IdentityError::NoNode)?;
        let mut uris = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
                _ => None,
            });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => uri.parse(),
            _ => Err(IdentityError::NoNode),
        }
    }

    /// Whether the node may hold a role.
    pub fn may(&self, role: NodeRole) -> bool {
        self.roles.contains(&role)
    }

    /// The DNS names of the certificate.
    pub fn dns_names(&self) -> Vec<String> {
        let roles = self
            .roles
            .iter()
            .map(|role| role_name(&self.cluster, *role));
        [node_name(&self.cluster, self.node)]
            .into_iter()
            .chain(roles)
            .collect()
    }
}

/// The name under which this very node is called.
pub(super) fn node_name(cluster: &str, node: NodeId) -> String {
    format!("node-{node}.{cluster}.{DOMAIN}")
}

/// The name under which any node with the role is called.
pub(super) fn role_name(cluster: &str, role: NodeRole) -> String {
    format!("{}.{cluster}.{DOMAIN}", role.as_str())
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<_> = self.roles.iter().map(|role| role.as_str()).collect();
        write!(
            f,
            "{SCHEME}{}/node/{}/{}",
            self.cluster,
            self.node,
            roles.join("+")
        )
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let parts = uri
            .strip_prefix(SCHEME)
            .map(|rest| rest.split('/').collect::<Vec<_>>());
        let Some([cluster, "node", node, roles]) = parts.as_deref() else {
            return Err(IdentityError::NoNode);
        };
        let node = node
            .parse()
            .ok()
            .and_then(NodeId::new)
            .ok_or(IdentityError::NoNode)?;
        let roles: Option<Vec<_>> = roles.split('+').map(NodeRole::named).collect();
        let roles = roles.ok_or(IdentityError::NoNode)?;
        if !is_cluster_id(cluster) {
            return Err(IdentityError::NoNode);
        }
        let cluster = (*cluster).to_owned();
        Ok(Self {
            cluster,
            node,
            roles,
        })
    }
}

/// Whether a text can be part of DNS names as it is.
pub(super) fn is_cluster_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

const SCHEME: &str = "rookery:";

/// Nobody can register it; it is never asked of a name server.
const DOMAIN: &str = "rookery.internal";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_certificate_s_uri() {
        let identity = Identity {
            cluster: "nest-0a1b".into(),
            node: NodeId::new(7).unwrap(),
            roles: vec![NodeRole::Control, NodeRole::Router],
        };
        assert_eq!(
            identity.to_string(),
            "rookery:nest-0a1b/node/7/control+router"
        );
        assert_eq!(identity.to_string().parse(), Ok(identity.clone()));
        let names = [
            "node-7.nest-0a1b.rookery.internal",
            "control.nest-0a1b.rookery.internal",
            "router.nest-0a1b.rookery.internal",
        ];
        assert_eq!(identity.dns_names(), names);
    }

    #[test]
    fn what_names_no_node_is_refused() {
        for uri in [
            "rookery:nest/node/0/control",
            "rookery:nest/node/1/king",
            "rookery:nest/node/1",
            "rookery:NEST/node/1/control",
            "rookery:nest/node/1/control/more",
            "http://nest/node/1/control",
        ] {
            assert_eq!(uri.parse::<Identity>(), Err(IdentityError::NoNode), "{uri}");
        }
    }
}
