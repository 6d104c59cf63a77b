use super::*;
use crate::state::QuotaRate;

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

fn key(name: &str) -> QuotaKey {
    QuotaKey::Account(name.into())
}

fn grant(floor: u32, leases: &[u32]) -> QuotaGrant {
    QuotaGrant {
        floor,
        settled: true,
        leases: leases.to_vec(),
        lease_ms: POLICY.lease_ms,
        resets: Vec::new(),
    }
}

/// A share with a quarter of everything, since moment 0.
fn part() -> QuotaShare {
    let share = QuotaShare::part(POLICY, 1);
    let renewal = share.ask(0).expect("it asks");
    share.answered(renewal.sequence, 0, &grant(250_000_000, &[]), 0);
    share
}

#[test]
fn a_process_alone_has_plain_buckets_and_asks_nobody() {
    let share = QuotaShare::whole(POLICY);
    let tap = share.open(key("a"), 0).expect("there is a budget");
    assert_eq!(tap.wait_ms(|| 0), 0);
    tap.spend(20_000, 0);
    assert!(tap.wait_ms(|| 0) > 0);
    assert_eq!(share.ask(1_000), None);
    assert_eq!(tap.wait_ms(|| 1_000), 0);
    assert_eq!(share.figures().kinds[0].spent, 20_000);
}

#[test]
fn kinds_without_a_budget_have_no_taps() {
    let share = QuotaShare::whole(POLICY);
    let prefix = QuotaKey::prefix("192.0.2.1".parse().unwrap());
    assert!(share.open(prefix, 0).is_none());
}

#[test]
fn sessions_of_one_account_share_its_budget() {
    let share = QuotaShare::whole(POLICY);
    let (one, other) = (share.open(key("a"), 0), share.open(key("a"), 0));
    one.expect("a tap").spend(20_000, 0);
    assert!(other.expect("a tap").wait_ms(|| 0) > 0);
}

#[test]
fn a_node_that_was_told_nothing_reads_nothing() {
    let share = QuotaShare::part(POLICY, 1);
    let tap = share.open(key("a"), 0).expect("there is a budget");
    assert!(tap.wait_ms(|| 0) > 0);
    let renewal = share.ask(0).expect("it asks");
    assert_eq!(renewal.floor, 0);
    share.answered(renewal.sequence, 0, &grant(500_000_000, &[]), 10);
    assert_eq!(tap.wait_ms(|| 11), 0);
}

#[test]
fn a_key_that_is_new_has_no_more_than_one_that_nobody_spent_from() {
    let share = part();
    let old = share.open(key("a"), 0).expect("a tap");
    let renewal = share.ask(1_000).expect("it asks");
    share.answered(renewal.sequence, 1_000, &grant(500_000_000, &[]), 1_000);
    let new = share.open(key("b"), 1_000).expect("a tap");
    assert!(share.show(1_000).iter().all(|tap| tap.level < 5_000));
    assert!(share.show(3_000).iter().all(|tap| tap.level >= 9_900));
    drop((old, new));
}

#[test]
fn who_waits_makes_the_node_ask_and_what_is_lent_lasts_from_the_question() {
    let share = part();
    let tap = share.open(key("a"), 0).expect("a tap");
    assert!(!share.is_due(1_500));
    tap.spend(7_000, 0);
    assert_eq!(tap.wait_ms(|| 0), WAIT_MS);
    assert!(!share.is_due(999) && share.is_due(1_000));
    let renewal = share.ask(1_000).expect("it asks");
    let want = QuotaWant {
        key: key("a"),
        holds: 0,
        wants: 5_000,
    };
    assert_eq!(renewal.wants, [want]);
    share.answered(
        renewal.sequence,
        1_000,
        &grant(250_000_000, &[5_000]),
        2_500,
    );
    assert_eq!(share.show(3_999)[0].lent, 5_000);
    assert_eq!(share.show(4_000)[0].lent, 0);
}

/// The longest that a reader sleeps.
const WAIT_MS: u64 = 250;

#[test]
fn an_answer_to_an_earlier_question_is_worth_nothing() {
    let share = part();
    let first = share.ask(1_000).expect("it asks");
    let second = share.ask(2_000).expect("it asks");
    share.answered(first.sequence, 1_000, &grant(500_000_000, &[]), 2_100);
    assert_eq!(share.figures().floor, 250_000_000);
    share.answered(second.sequence, 2_000, &grant(125_000_000, &[]), 2_200);
    let third = share.ask(3_000).expect("it asks");
    assert_eq!(third.floor, 125_000_000);
}

#[test]
fn what_is_not_needed_is_given_back_before_asking() {
    let share = part();
    let tap = share.open(key("a"), 0).expect("a tap");
    tap.spend(7_000, 0);
    tap.wait_ms(|| 0);
    let renewal = share.ask(1_000).expect("it asks");
    share.answered(
        renewal.sequence,
        1_000,
        &grant(250_000_000, &[5_000]),
        1_000,
    );
    tap.spend(3_000, 1_500);
    let renewal = share.ask(2_000).expect("it asks");
    // Half of what could have been used before: the whole rate.
    assert_eq!(
        (renewal.wants[0].holds, renewal.wants[0].wants),
        (2_500, 2_500)
    );
    assert_eq!(share.show(2_000)[0].lent, 2_500);
}

#[test]
fn a_key_is_forgotten_when_nobody_holds_it_and_its_bucket_is_full_again() {
    let share = QuotaShare::whole(POLICY);
    let tap = share.open(key("a"), 0).expect("a tap");
    tap.spend(15_000, 0);
    drop(tap);
    share.ask(1_000);
    assert_eq!(
        share.show(1_000).len(),
        1,
        "who comes back has not a full one"
    );
    share.ask(2_000);
    assert_eq!(share.show(2_000).len(), 0);
    assert!(!share.is_due(3_500), "nothing is left to look at");
}

#[test]
fn another_policy_reaches_taps_that_are_open_and_new_ones() {
    let share = QuotaShare::whole(POLICY);
    let tap = share.open(key("a"), 0).expect("a tap");
    let mut policy = POLICY;
    policy.account.bytes_per_second = 1_000;
    policy.prefix = POLICY.account;
    share.set_policy(policy, 0);
    assert_eq!(share.generation(), 1);
    tap.spend(2_100, 0);
    assert!(tap.wait_ms(|| 0) > 0);
    let prefix = QuotaKey::prefix("192.0.2.1".parse().unwrap());
    assert!(share.open(prefix, 0).is_some());
    policy.account.bytes_per_second = 0;
    share.set_policy(policy, 0);
    assert!(share.open(key("a"), 0).is_none());
    share.ask(1_000);
    assert_eq!(
        share.show(1_000).len(),
        0,
        "the prefix's is closed and full"
    );
}

#[test]
fn a_reset_fills_the_bucket_and_is_carried_out_once() {
    let share = part();
    let tap = share.open(key("a"), 0).expect("a tap");
    tap.spend(50_000, 0);
    let renewal = share.ask(1_000).expect("it asks");
    let mut answer = grant(250_000_000, &[0]);
    answer.resets = vec![(7, key("a")), (8, key("b"))];
    share.answered(renewal.sequence, 1_000, &answer, 1_000);
    assert_eq!(tap.wait_ms(|| 1_000), 0);
    assert_eq!(share.ask(2_000).expect("it asks").resets_seen, 8);
}

#[test]
fn a_node_that_stops_reads_nothing_more_and_takes_no_answer() {
    let share = part();
    let tap = share.open(key("a"), 0).expect("a tap");
    let renewal = share.ask(1_000).expect("it asks");
    share.end(1_100);
    share.answered(renewal.sequence, 1_000, &grant(500_000_000, &[]), 1_200);
    tap.spend(1, 1_200);
    assert!(tap.wait_ms(|| 1_200) > 0);
    assert!(tap.wait_ms(|| 90_000) > 0);
}
