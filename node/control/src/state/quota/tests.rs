use super::*;

const POLICY: QuotaPolicy = QuotaPolicy {
    account: QuotaRate {
        bytes_per_second: 10_000,
        burst_ms: 2_000,
    },
    prefix: QuotaRate {
        bytes_per_second: 0,
        burst_ms: 0,
    },
    domain: QuotaRate {
        bytes_per_second: 0,
        burst_ms: 0,
    },
    lease_ms: 3_000,
    margin_ms: 300,
};

fn node(id: u64) -> NodeId {
    NodeId::new(id).expect("not zero")
}

fn key(name: &str) -> QuotaKey {
    QuotaKey::Account(name.into())
}

fn want(name: &str, holds: u32, wants: u32) -> QuotaWant {
    QuotaWant {
        key: key(name),
        holds,
        wants,
    }
}

/// A group with its lease clock, and the number of the next renewal.
#[derive(Default)]
struct Group {
    quotas: Quotas,
    clock_ms: u64,
    sequence: u64,
}

impl Group {
    fn renew(&mut self, id: u64, floor: u32, wants: Vec<QuotaWant>) -> QuotaGrant {
        self.sequence += 1;
        let renewal = QuotaRenewal {
            incarnation: 1,
            sequence: self.sequence,
            floor,
            resets_seen: 0,
            wants,
        };
        let granted = self
            .quotas
            .renew(node(id), &renewal, self.clock_ms, &POLICY);
        granted.expect("it is the newest")
    }

    fn advance(&mut self, ms: u64) {
        self.clock_ms += ms;
        self.quotas.advance(self.clock_ms);
    }
}

#[test]
fn a_new_nodes_floor_grows_as_the_others_confirm_that_theirs_are_smaller() {
    let mut group = Group::default();
    assert_eq!(group.renew(1, 0, vec![]).floor, 500_000_000);
    let second = group.renew(2, 0, vec![]);
    assert_eq!((second.floor, second.settled), (0, false));
    assert_eq!(group.renew(1, 500_000_000, vec![]).floor, 250_000_000);
    assert_eq!(
        group.renew(2, 0, vec![]).floor,
        0,
        "the first may not have heard"
    );
    group.renew(1, 250_000_000, vec![]);
    let second = group.renew(2, 0, vec![]);
    assert_eq!((second.floor, second.settled), (250_000_000, true));
}

#[test]
fn a_node_that_leaves_or_begins_anew_frees_its_floor() {
    let mut group = Group::default();
    group.renew(1, 0, vec![]);
    group.renew(2, 0, vec![]);
    group.quotas.leave(node(1));
    assert_eq!(group.renew(2, 0, vec![]).floor, 500_000_000);
    let anew = QuotaRenewal {
        incarnation: 2,
        sequence: 1,
        floor: 500_000_000,
        resets_seen: 0,
        wants: vec![],
    };
    let granted = group.quotas.renew(node(2), &anew, 0, &POLICY);
    assert_eq!(granted.expect("a new run").floor, 500_000_000);
    let late = QuotaRenewal {
        incarnation: 1,
        sequence: 99,
        ..anew
    };
    assert_eq!(group.quotas.renew(node(2), &late, 0, &POLICY), None);
}

#[test]
fn a_renewal_that_is_overtaken_changes_nothing() {
    let mut group = Group::default();
    let early = QuotaRenewal {
        incarnation: 1,
        sequence: 1,
        floor: 0,
        resets_seen: 0,
        wants: vec![want("a", 0, 5_000)],
    };
    group.sequence = 1;
    group.renew(1, 0, vec![]);
    let before = group.quotas.clone();
    assert_eq!(group.quotas.renew(node(1), &early, 0, &POLICY), None);
    assert_eq!(group.quotas, before);
}

#[test]
fn the_pool_is_lent_once_and_shared_fairly_as_it_comes_back() {
    let mut group = Group::default();
    assert_eq!(group.renew(1, 0, vec![want("a", 0, 5_000)]).leases, [5_000]);
    assert_eq!(group.renew(2, 0, vec![want("a", 0, 5_000)]).leases, [0]);
    let first = group.renew(1, 0, vec![want("a", 5_000, 5_000)]);
    assert_eq!(first.leases, [2_500], "the other wants as much");
    assert_eq!(group.renew(2, 0, vec![want("a", 0, 5_000)]).leases, [0]);
    group.renew(1, 0, vec![want("a", 2_500, 5_000)]);
    assert_eq!(group.renew(2, 0, vec![want("a", 0, 5_000)]).leases, [2_500]);
}

#[test]
fn what_is_not_named_any_more_is_free_at_once() {
    let mut group = Group::default();
    group.renew(1, 0, vec![want("a", 0, 5_000), want("b", 0, 100)]);
    group.renew(1, 0, vec![want("b", 100, 100)]);
    assert_eq!(group.renew(2, 0, vec![want("a", 0, 5_000)]).leases, [5_000]);
}

#[test]
fn a_lease_is_lent_again_only_after_its_length_and_the_margin() {
    let mut group = Group::default();
    group.renew(1, 0, vec![want("a", 0, 5_000)]);
    group.advance(3_300 + MEASURED_MS_MAX);
    assert_eq!(group.renew(2, 0, vec![want("a", 0, 5_000)]).leases, [0]);
    group.advance(1);
    assert_eq!(group.renew(2, 0, vec![want("a", 0, 5_000)]).leases, [5_000]);
    let late = group.renew(1, 0, vec![want("a", 5_000, 5_000)]);
    assert_eq!(late.leases, [0], "what it says it holds has ended");
    assert_eq!(group.quotas.report(None).holdings[0].holds, 0);
}

#[test]
fn keys_beyond_the_bounds_are_not_lent() {
    let mut group = Group::default();
    let many = |from: usize| {
        let names = (from..from + WANTS_MAX + 5).map(|number| format!("k{number}"));
        names.map(|name| want(&name, 0, 1)).collect::<Vec<_>>()
    };
    let granted = group.renew(1, 0, many(0));
    assert_eq!(granted.leases.iter().sum::<u32>(), WANTS_MAX as u32);
    for id in 2..=(HOLDINGS_MAX / WANTS_MAX) as u64 {
        group.renew(id, 0, many(0));
    }
    assert_eq!(group.quotas.holdings(), HOLDINGS_MAX);
    let granted = group.renew(99, 0, many(0));
    assert_eq!(granted.leases.iter().sum::<u32>(), 0);
    let report = group.quotas.report(None);
    assert_eq!((report.holdings.len(), report.more), (REPORT_MAX, true));
    let one = group.quotas.report(Some(&key("k3")));
    assert_eq!((one.holdings.len(), one.more), (20, false));
}

#[test]
fn a_key_named_twice_is_lent_once() {
    let mut group = Group::default();
    let twice = vec![want("a", 0, 5_000), want("a", 5_000, 5_000)];
    assert_eq!(group.renew(1, 0, twice).leases, [5_000, 0]);
}

#[test]
fn resets_are_told_until_they_are_seen_and_the_newest_are_kept() {
    let mut group = Group::default();
    for number in 1..=70 {
        group.quotas.reset(number, key("a"));
    }
    let told = group.renew(1, 0, vec![]).resets;
    assert_eq!((told.len(), told[0].0), (RESETS_MAX, 7));
    let renewal = QuotaRenewal {
        incarnation: 1,
        sequence: 99,
        floor: 0,
        resets_seen: 69,
        wants: vec![],
    };
    let granted = group.quotas.renew(node(1), &renewal, 0, &POLICY);
    assert_eq!(granted.expect("the newest").resets, [(70, key("a"))]);
}

#[test]
fn the_state_survives_a_snapshot() {
    let mut group = Group::default();
    group.renew(1, 0, vec![want("a", 0, 5_000)]);
    group
        .quotas
        .reset(4, QuotaKey::prefix("192.0.2.1".parse().unwrap()));
    let bytes = crate::state::encode(&group.quotas);
    let restored: Quotas = crate::state::decode(&bytes).unwrap();
    assert_eq!(restored, group.quotas);
}
