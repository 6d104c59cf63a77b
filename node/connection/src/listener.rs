//! A port: lets connections in and starts their actors.
//!
//! The socket is bound once and accepted from on every arbiter, each with a descriptor of its own:
//! whichever is idle takes the next connection. (With SO_REUSEPORT a second server could take half
//! of the clients without anybody noticing.)

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use rookery_session::ConnectionFacts;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::admission::Origin;
use crate::proxied::client_address;
use crate::session::{Accepted, SessionActor};
use crate::shared::Shared;

/// A bound port.
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    direct_tls: bool,
}

/// Binds a port of any kind, not blocking; port 0 takes any that is free. An IPv6 address takes IPv6 alone, so that
/// `0.0.0.0` and `[::]` can both be listened on, with one port, whatever the machine's own default is. `backlog` is how
/// many connections may wait to be accepted.
///
/// # Errors
///
/// What the system says: mostly that somebody listens there, or that the address is none of this machine's.
pub fn bind_port(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // IPv4 has listeners of its own.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(TcpListener::from(socket))
}

impl Listener {
    /// Binds a port for clients; port 0 takes any that is free.
    pub(crate) fn bind(address: SocketAddr, direct_tls: bool, backlog: u32) -> io::Result<Self> {
        let socket = bind_port(address, backlog)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            direct_tls,
        })
    }

    /// Where it is bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same port for another arbiter.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            ..*self
        })
    }

    /// Accepts on this thread until `open` turns false. Must be called on an arbiter.
    pub(crate) async fn accept(self, shared: Arc<Shared>, mut open: watch::Receiver<bool>) {
        let direct_tls = self.direct_tls;
        let listener = match tokio::net::TcpListener::from_std(self.socket) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(address = %self.address, %error, "cannot accept clients");
                return;
            }
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // The sender lives as long as the role.
                _ = open.wait_for(|open| !open) => return,
            };
            match accepted {
                Ok((socket, from)) => accepted_from(&shared, socket, from.ip(), direct_tls),
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "cannot accept a client");
                    // Mostly too few descriptors, and at once it would be the same.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Who connects by a load balancer that is trusted is who its header says.
fn accepted_from(shared: &Arc<Shared>, mut socket: TcpStream, from: IpAddr, direct_tls: bool) {
    if !shared.trusts(from) {
        let origin = Origin {
            address: from,
            is_proxy: false,
        };
        return begin(shared, socket, origin, direct_tls);
    }
    let Ok(place) = shared.headers.clone().try_acquire_owned() else {
        refuse(&socket);
        return shared.refused("proxy", from);
    };
    let shared = shared.clone();
    actix::spawn(async move {
        let address = client_address(&mut socket, shared.header_within).await;
        drop(place);
        match address {
            Ok(client) => {
                let origin = Origin {
                    address: client.unwrap_or(from),
                    is_proxy: client.is_none(),
                };
                begin(&shared, socket, origin, direct_tls);
            }
            Err(error) => shared.broken_header(from, &error),
        }
    });
}

fn begin(shared: &Arc<Shared>, socket: TcpStream, origin: Origin, direct_tls: bool) {
    // A refused connection is closed with its socket, before any byte was spent on it.
    let Ok(seat) = shared.enter(origin, direct_tls) else {
        return refuse(&socket);
    };
    // Without it a small stanza may wait for the acknowledgement of the one before; it fails only
    // on a dead socket.
    let _ = socket.set_nodelay(true);
    let facts = ConnectionFacts {
        address: origin.address.to_canonical(),
        direct_tls,
    };
    match SessionActor::new(
        shared.clone(),
        Accepted {
            socket,
            facts,
            seat,
        },
    ) {
        Ok(actor) => drop(actor.start()),
        Err(error) => tracing::error!(%error, "tls cannot be started"),
    }
}

/// Has the socket closed by a reset: nothing is to be delivered, and in a flood the system would keep each for a minute
/// (TIME_WAIT).
fn refuse(socket: &TcpStream) {
    // It fails only on a dead socket.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Before the next try to accept after a failure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn all_addresses_of_both_families_share_a_port_number() {
        let v6 = match bind_port((Ipv6Addr::UNSPECIFIED, 0).into(), 1) {
            Ok(v6) => v6,
            // A machine without IPv6.
            Err(error) => return assert_ne!(error.kind(), io::ErrorKind::AddrInUse),
        };
        let port = v6.local_addr().unwrap().port();
        let v4 = bind_port((Ipv4Addr::UNSPECIFIED, port).into(), 1);
        assert!(v4.is_ok(), "{v4:?}");
        let again = bind_port((Ipv4Addr::UNSPECIFIED, port).into(), 1);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
