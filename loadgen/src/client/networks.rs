//! Clients of many networks from one machine: what a load balancer would say of each (PROXY protocol, version 1).
//!
//! ```text
//! client ─► PROXY TCP4 10.0.7.1 127.0.0.1 40000 5222␍␊ ─► as any other connection
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// So many IPv4 /24 in turn, and in each so many addresses in turn. The server must trust this machine
/// (`connection.proxy_trusted`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Networks {
    /// 10.0.0.0/24, 10.0.1.0/24 …: 1 to [`NETWORKS_MAX`].
    pub(crate) count: u32,
    /// Addresses of each: 1 to [`HOSTS_MAX`].
    pub(crate) hosts: u32,
}

impl Networks {
    /// Where client number `ordinal` comes from.
    pub(crate) fn address(self, ordinal: u32) -> Ipv4Addr {
        let [_, _, high, low] = (ordinal % self.count).to_be_bytes();
        let [.., host] = (1 + ordinal / self.count % self.hosts).to_be_bytes();
        Ipv4Addr::new(10, high, low, host)
    }

    /// What stands in front of its connection to `target`.
    pub(crate) fn header(self, ordinal: u32, target: SocketAddr) -> String {
        let to = match target.ip() {
            IpAddr::V4(to) => to,
            // One header has one family; where it was sent to is of no consequence.
            IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
        };
        let from = self.address(ordinal);
        format!("PROXY TCP4 {from} {to} {PORT} {}\r\n", target.port())
    }
}

/// All of 10.0.0.0/8.
pub(crate) const NETWORKS_MAX: u32 = 65_536;
/// A /24 without its own address and broadcast.
pub(crate) const HOSTS_MAX: u32 = 254;
/// Any port that a client may have.
const PORT: u16 = 40_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_take_turns_and_then_the_addresses_in_them() {
        let networks = Networks {
            count: 300,
            hosts: 2,
        };
        let addresses = [0, 1, 299, 300, 600].map(|n| networks.address(n).to_string());
        assert_eq!(
            addresses,
            ["10.0.0.1", "10.0.1.1", "10.1.43.1", "10.0.0.2", "10.0.0.1"]
        );
        let most = Networks {
            count: NETWORKS_MAX,
            hosts: HOSTS_MAX,
        };
        let last = most.address(NETWORKS_MAX * HOSTS_MAX - 1);
        assert_eq!(last, Ipv4Addr::new(10, 255, 255, 254));
    }

    #[test]
    fn the_header_is_one_line_of_version_1() {
        let networks = Networks { count: 9, hosts: 1 };
        let header = |target: &str| networks.header(7, target.parse().expect("an address"));
        assert_eq!(
            header("127.0.0.1:5222"),
            "PROXY TCP4 10.0.7.1 127.0.0.1 40000 5222\r\n"
        );
        assert_eq!(
            header("[::1]:5222"),
            "PROXY TCP4 10.0.7.1 127.0.0.1 40000 5222\r\n"
        );
    }
}
