//! Ports that are not the clients'.

use std::io;
use std::net::SocketAddr;

use rookery_connection::bind_port;
use tokio::net::TcpListener;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Listens as the clients' ports do, so that `0.0.0.0` and `[::]` stand beside each other on all of them. Needs a
/// runtime of tokio.
///
/// # Errors
///
/// Those of [`bind_port`].
pub fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(bind_port(address, BACKLOG)?)
}
