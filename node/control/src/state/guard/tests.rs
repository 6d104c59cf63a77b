use proptest::prelude::*;

use super::*;

const LIMITS: GuardLimits = GuardLimits {
    address_failures_max: 10,
    prefix_failures_max: 30,
    account_failures_max: 20,
    half_life_ms: 1_000_000,
    block_ms: 60_000,
};

fn node(id: u64) -> NodeId {
    NodeId::new(id).unwrap()
}

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn target(text: &str) -> BanTarget {
    text.parse().unwrap()
}

fn report(sequence: u64) -> LoginReport {
    LoginReport {
        incarnation: 1,
        sequence,
        limits: LIMITS,
        ..LoginReport::default()
    }
}

fn failures(sequence: u64, address: &str, account: &str, count: u32) -> LoginReport {
    LoginReport {
        addresses: vec![(at(address), count)],
        accounts: vec![(target(account), count)],
        ..report(sequence)
    }
}

fn blocked(guard: &Guard, text: &str, now: u64) -> bool {
    guard.list().block(&target(text), Timestamp(now)).is_some()
}

#[test]
fn an_address_is_blocked_at_its_limit_over_all_nodes_and_let_in_again_in_time() {
    let mut guard = Guard::default();
    guard.report(node(1), &failures(1, "192.0.2.7", "a@h", 5), Timestamp(0));
    guard.report(node(2), &failures(1, "192.0.2.7", "b@h", 4), Timestamp(0));
    assert_eq!(guard.list().version(), 0);
    guard.report(node(3), &failures(1, "192.0.2.7", "c@h", 1), Timestamp(5));
    assert!(blocked(&guard, "192.0.2.7", 5) && !blocked(&guard, "192.0.2.0/24", 5));
    assert!(blocked(&guard, "192.0.2.7", 60_004) && !blocked(&guard, "192.0.2.7", 60_005));
    guard.report(node(1), &report(2), Timestamp(60_005));
    assert_eq!(guard.list().iter().count(), 0, "what has ended is dropped");
}

#[test]
fn a_prefix_is_blocked_by_what_its_addresses_do_together() {
    let mut guard = Guard::default();
    for host in 1..=4 {
        let address = format!("192.0.2.{host}");
        guard.report(node(1), &failures(host, &address, "a@h", 8), Timestamp(0));
    }
    assert!(blocked(&guard, "192.0.2.0/24", 0) && !blocked(&guard, "192.0.2.1", 0));
    let mut guard = Guard::default();
    for net in 1..=4_u64 {
        let address = format!("2001:db8:1:{net}::1");
        guard.report(node(1), &failures(net, &address, "a@h", 9), Timestamp(0));
    }
    assert!(blocked(&guard, "2001:db8:1::/48", 0) && !blocked(&guard, "2001:db8:1:1::/64", 0));
}

#[test]
fn an_account_that_is_guessed_at_stays_open_to_where_it_was_used() {
    let mut guard = Guard::default();
    for net in 0..5_u64 {
        let address = format!("198.51.{net}.1");
        guard.report(
            node(1),
            &failures(net + 1, &address, "juliet@h", 4),
            Timestamp(0),
        );
    }
    assert!(blocked(&guard, "juliet@h", 0), "from five networks");
    let known = |prefixes: &[&str]| LoginReport {
        known: prefixes
            .iter()
            .flat_map(|prefix| ["juliet@h", "romeo@h"].map(|jid| (target(jid), prefix)))
            .map(|(jid, prefix)| (jid, prefix.parse().unwrap()))
            .collect(),
        ..report(1)
    };
    guard.report(
        node(2),
        &known(&["192.0.2.0/24", "192.0.2.0/24"]),
        Timestamp(1),
    );
    let block = guard
        .list()
        .block(&target("juliet@h"), Timestamp(1))
        .unwrap();
    assert_eq!(block.known, ["192.0.2.0/24".parse::<IpNet>().unwrap()]);
    assert!(
        !blocked(&guard, "romeo@h", 1),
        "nobody is blocked by being known"
    );
    let many: Vec<_> = (0..9).map(|net| format!("10.0.{net}.0/24")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    guard.report(node(3), &known(&many), Timestamp(2));
    let block = guard
        .list()
        .block(&target("juliet@h"), Timestamp(2))
        .unwrap();
    assert_eq!(block.known.len(), GuardBlock::KNOWN_MAX);
    assert_eq!(block.known[0].to_string(), "10.0.1.0/24");
}

#[test]
fn a_report_that_is_told_again_counts_once_and_a_new_run_counts_anew() {
    let mut guard = Guard::default();
    let once = failures(7, "192.0.2.7", "a@h", 6);
    guard.report(node(1), &once, Timestamp(0));
    guard.report(node(1), &once, Timestamp(0));
    assert!(!blocked(&guard, "192.0.2.7", 0));
    let next_run = LoginReport {
        incarnation: 2,
        sequence: 1,
        ..once
    };
    guard.report(node(1), &next_run, Timestamp(0));
    assert!(blocked(&guard, "192.0.2.7", 0));
}

#[test]
fn a_limit_of_so_many_is_met_by_the_last_of_them_within_a_half_life() {
    let mut guard = Guard::default();
    for second in 0..10 {
        assert!(!blocked(&guard, "192.0.2.7", second * 111_111), "{second}");
        let once = failures(second + 1, "192.0.2.7", "a@h", 1);
        guard.report(node(1 + second % 3), &once, Timestamp(second * 111_111));
    }
    let block = guard.list().get(&target("192.0.2.7")).cloned();
    assert_eq!(
        block.map(|it| (it.failures, it.since.0)),
        Some((10, 999_999))
    );
}

#[test]
fn what_an_earlier_build_has_counted_counts_on() {
    let saved = r#"{"thousandths":2990,"at":700}"#;
    let counted: Counted = serde_json::from_str(saved).unwrap();
    assert_eq!(counted.failures.count(1_000, Timestamp(701)), 2);
    let told = serde_json::to_value(counted).unwrap();
    assert_eq!(
        told["thousandths"], 2_990,
        "and an earlier build reads this"
    );
}

#[test]
fn counts_decay_and_an_operator_can_forget_them() {
    let mut guard = Guard::default();
    guard.report(node(1), &failures(1, "192.0.2.7", "a@h", 8), Timestamp(0));
    let shown = |guard: &Guard, now| guard.show(Some(&target("192.0.2.7")), Timestamp(now));
    assert_eq!(shown(&guard, 0).counts[0].failures, 8);
    assert_eq!(shown(&guard, 1_000_000).counts[0].failures, 4);
    guard.report(
        node(1),
        &failures(2, "192.0.2.7", "a@h", 5),
        Timestamp(1_000_000),
    );
    assert!(!blocked(&guard, "192.0.2.7", 1_000_000), "9 and not 13");
    guard.report(
        node(1),
        &failures(3, "192.0.2.7", "a@h", 1),
        Timestamp(1_000_000),
    );
    assert!(blocked(&guard, "192.0.2.7", 1_000_000));
    let known = guard.list().version();
    let forgiven = guard.reset(Some(&target("192.0.2.7")));
    assert_eq!(forgiven, Outcome::GuardReset { forgiven: 1 });
    assert!(!blocked(&guard, "192.0.2.7", 1_000_000));
    assert_eq!(guard.list().since(known).removed, [target("192.0.2.7")]);
    assert_eq!(guard.reset(None), Outcome::GuardReset { forgiven: 2 });
    assert_eq!(guard.show(None, Timestamp(0)), GuardReport::default());
}

#[test]
fn what_is_counted_is_bounded_and_who_fails_now_is_kept() {
    let mut guard = Guard::default();
    for sequence in 1..=60 {
        let accounts = (0..500).map(|name| (target(&format!("n{sequence}x{name}@h")), 1));
        let report = LoginReport {
            accounts: accounts.collect(),
            addresses: vec![(at("192.0.2.7"), 1)],
            ..report(sequence)
        };
        guard.report(node(1), &report, Timestamp(sequence));
        assert!(guard.counts.len() <= Guard::COUNTS_MAX);
    }
    assert!(blocked(&guard, "192.0.2.7", 60));
}

/// One step of a run: who fails how often, or what is known, and how much later.
fn steps() -> impl Strategy<Value = Vec<(u8, u8, u32, u64)>> {
    prop::collection::vec((0..6_u8, 0..4_u8, 0..12_u32, 0..40_000_u64), 1..60)
}

proptest! {
    /// Against the definition: nobody is blocked who has not failed as often as the limit since the beginning, whoever
    /// has within no time is, and who follows the changes has the same list.
    #[test]
    fn blocks_follow_from_failures_and_followers_agree(steps in steps()) {
        let (mut guard, mut follower) = (Guard::default(), GuardList::default());
        // How often ever, when last, and how often in that very moment.
        let mut failed: BTreeMap<String, (u32, u64, u32)> = BTreeMap::new();
        let mut now = 0;
        for (sequence, (host, name, count, pass)) in steps.into_iter().enumerate() {
            now += pass;
            let (address, account) = (format!("192.0.{host}.1"), format!("n{name}@h"));
            let told = failures(sequence as u64 + 1, &address, &account, count);
            guard.report(node(1), &told, Timestamp(now));
            for (text, max) in [(address, 10), (account, 20)] {
                let (ever, last, at_once) = failed.entry(text.clone()).or_default();
                if *last != now {
                    (*last, *at_once) = (now, 0);
                }
                (*ever, *at_once) = (*ever + count, *at_once + count);
                let is_blocked = blocked(&guard, &text, now);
                prop_assert!(!is_blocked || *ever >= max, "{text}: {ever}");
                prop_assert!(is_blocked || *at_once < max, "{text}: {at_once}");
            }
            let update = guard.list().since(follower.version());
            follower.follow(GuardUpdate::decode(&update.encode()).unwrap());
            prop_assert!(follower.iter().eq(guard.list().iter()));
        }
        let saved = serde_json::to_vec(&guard).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Guard>(&saved).unwrap(), guard);
    }
}
