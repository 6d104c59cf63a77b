//! Who asks: the other end of the connection, or whom a trusted proxy names.

use std::net::IpAddr;

use ipnet::IpNet;

/// The client's address. `forwarded` is what `X-Forwarded-For` says, each proxy's word behind that of the one before
/// it: so it is read from its end, as far as trusted proxies wrote it. What cannot be read ends it.
pub(super) fn address(peer: IpAddr, forwarded: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut address = peer.to_canonical();
    let words = forwarded.iter().rev().flat_map(|line| line.rsplit(','));
    for word in words {
        if !is_trusted(address) {
            break;
        }
        match word.trim().parse::<IpAddr>() {
            Ok(named) => address = named.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        address(peer.parse().unwrap(), forwarded, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_names_somebody_else() {
        assert_eq!(of("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("::1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_wrote_itself_is_passed_over() {
        assert_eq!(
            of("10.0.0.1", &["203.0.113.9, 198.51.100.1"]),
            "198.51.100.1"
        );
        assert_eq!(
            of("10.0.0.1", &["203.0.113.9", "198.51.100.1, 10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(of("10.0.0.1", &["203.0.113.9, junk"]), "10.0.0.1");
        assert_eq!(
            of("10.0.0.1", &["203.0.113.9, 10.0.0.2, ,10.0.0.3"]),
            "10.0.0.3"
        );
    }
}
