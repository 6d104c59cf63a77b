//! Free ports on loopback.

use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// A port of this address that nobody listens on, another one at each call. It is below the range from which the kernel
/// gives out ports of its own accord, so that no outgoing connection takes it meanwhile.
pub(crate) fn free(address: IpAddr) -> Result<u16> {
    (0..PORTS)
        .map(|_| next())
        .find(|port| TcpListener::bind((address, *port)).is_ok())
        .context("found no free port")
}

/// The same where nobody else listens, and this process cannot look.
pub(crate) fn next() -> u16 {
    // Processes begin at different places, so that two that look at once rarely find the same.
    let seed = (std::process::id() % u32::from(PORTS)) as u16;
    FIRST + (seed + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS
}

static NEXT: AtomicU16 = AtomicU16::new(0);
const FIRST: u16 = 10_000;
const PORTS: u16 = 9_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_not_while_somebody_listens() {
        let address = IpAddr::from([127, 0, 0, 1]);
        let ports: Vec<u16> = (0..20).map(|_| free(address).unwrap()).collect();
        let held = TcpListener::bind((address, 0)).unwrap();
        let taken = held.local_addr().unwrap().port();
        let different: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(different.len(), ports.len());
        assert!(!ports.contains(&taken));
    }
}
