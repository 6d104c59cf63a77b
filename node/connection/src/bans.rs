//! The bans in the form in which connections are judged.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use rookery_control::{BanList, BanTarget};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

/// All bans of one version, made once for it.
///
/// An address is looked up once for each length of prefix that is banned, of which a list has some, however long it is.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    version: u64,
    networks: HashMap<IpNet, End>,
    /// Lengths of IPv4 and of IPv6 prefixes among them.
    lengths: [BTreeSet<u8>; 2],
    /// Bare JIDs, and domains.
    names: HashMap<Box<str>, End>,
}

/// When a ban ends, if it does.
type End = Option<Timestamp>;

impl Bans {
    /// The list, ready to be asked.
    pub(crate) fn new(list: &BanList) -> Self {
        let mut bans = Self {
            version: list.version(),
            ..Self::default()
        };
        for ban in list.iter() {
            match &ban.target {
                BanTarget::Network(network) => {
                    let family = usize::from(network.addr().is_ipv6());
                    bans.lengths[family].insert(network.prefix_len());
                    bans.networks.insert(*network, ban.expires);
                }
                BanTarget::Account(name) | BanTarget::Domain(name) => {
                    bans.names.insert(name.clone(), ban.expires);
                }
            }
        }
        bans
    }

    /// Which list it is.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Whether nobody may connect from there now.
    pub(crate) fn bans_address(&self, address: IpAddr, now: Timestamp) -> bool {
        if self.networks.is_empty() {
            return false;
        }
        let address = address.to_canonical();
        let mut lengths = self.lengths[usize::from(address.is_ipv6())].iter();
        lengths.any(|length| {
            let network = IpNet::new(address, *length).map(|network| network.trunc());
            let end = network.ok().and_then(|network| self.networks.get(&network));
            end.is_some_and(|end| holds(*end, now))
        })
    }

    /// Whether nobody may use this account now.
    pub(crate) fn bans_account(&self, jid: &Jid, now: Timestamp) -> bool {
        if self.names.is_empty() {
            return false;
        }
        let names = [jid.bare_str(), jid.domain()];
        let mut ends = names.iter().filter_map(|name| self.names.get(*name));
        ends.any(|end| holds(*end, now))
    }
}

fn holds(end: End, now: Timestamp) -> bool {
    end.is_none_or(|end| now < end)
}

#[cfg(test)]
mod tests {
    use rookery_control::{Ban, BanUpdate};

    use super::*;

    fn list(bans: &[(&str, End)]) -> Bans {
        let bans = bans.iter().map(|(target, expires)| Ban {
            target: target.parse().unwrap(),
            reason: String::new(),
            since: Timestamp(0),
            expires: *expires,
        });
        let mut list = BanList::default();
        list.follow(BanUpdate {
            version: 3,
            whole: true,
            bans: bans.collect(),
            removed: Vec::new(),
        });
        Bans::new(&list)
    }

    fn address(bans: &Bans, address: &str, now: u64) -> bool {
        bans.bans_address(address.parse().unwrap(), Timestamp(now))
    }

    #[test]
    fn a_network_is_banned_with_all_its_addresses_until_its_end() {
        let bans = list(&[
            ("192.0.2.0/24", Some(Timestamp(1_000))),
            ("192.0.2.7", None),
            ("2001:db8::/48", None),
        ]);
        assert_eq!(bans.version(), 3);
        assert!(address(&bans, "192.0.2.9", 999) && address(&bans, "::ffff:192.0.2.9", 999));
        assert!(!address(&bans, "192.0.2.9", 1_000) && !address(&bans, "192.0.3.9", 0));
        assert!(address(&bans, "192.0.2.7", 1_000), "its own ban lasts");
        assert!(address(&bans, "2001:db8::9", 0) && !address(&bans, "2001:db8:1::9", 0));
        assert!(!address(&list(&[]), "192.0.2.9", 0));
    }

    #[test]
    fn an_account_is_banned_by_its_name_or_its_domain() {
        let bans = list(&[("a@x", None), ("y", Some(Timestamp(5)))]);
        let account = |jid: &str, now| bans.bans_account(&jid.parse().unwrap(), Timestamp(now));
        assert!(account("a@x/r", 0) && !account("b@x", 0));
        assert!(account("b@y", 4) && !account("b@y", 5));
    }

    #[test]
    fn a_long_list_is_searched_in_no_time() {
        let mut update = BanUpdate {
            version: 1,
            whole: true,
            ..BanUpdate::default()
        };
        update.bans = (0..BanList::BANS_MAX as u32)
            .map(|number| Ban {
                target: BanTarget::Network(IpNet::from(IpAddr::from(
                    (0x0a00_0000 + number * 2).to_be_bytes(),
                ))),
                reason: String::new(),
                since: Timestamp(0),
                expires: None,
            })
            .collect();
        let mut list = BanList::default();
        list.follow(update);
        let bans = Bans::new(&list);
        let banned =
            |number: u32| address(&bans, &IpAddr::from(number.to_be_bytes()).to_string(), 0);
        assert!(banned(0x0a00_0000 + 99_998) && !banned(0x0a00_0000 + 99_999));
        assert_eq!(bans.lengths[0].len(), 1, "one look for all of them");
    }
}
