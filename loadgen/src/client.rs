//! A light XMPP client: tens of thousands of them fit into a process.
//!
//! It frames instead of parsing, holds no buffer while idle, and runs on one thread.

mod connector;
mod error;
mod framer;
mod managed;
mod networks;
mod scram;
mod session;
pub(crate) mod stanza;
mod tls;
mod wire;

pub(crate) use connector::{Connector, Knocked, Mechanism, Sources, TlsMode};
pub(crate) use error::ClientError;
pub(crate) use framer::Frame;
pub(crate) use managed::{Managed, REQUEST};
pub(crate) use networks::{HOSTS_MAX, NETWORKS_MAX, Networks};
pub(crate) use scram::SaltedPasswords;
pub(crate) use session::{Resumable, Session, TlsWire};
pub(crate) use tls::connector as tls_connector;
pub(crate) use wire::checked;
