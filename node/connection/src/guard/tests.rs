use rookery_control::GuardUpdate;

use super::*;

const NOW: Timestamp = Timestamp(1_000);

fn watch() -> LoginWatch {
    LoginWatch::new(GuardOptions::default(), Timestamp(7))
}

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

/// A list with these blocks, and from where they are known.
fn list(version: u64, blocks: &[(&str, &[&str])]) -> Arc<GuardList> {
    let blocks = blocks.iter().map(|(target, known)| GuardBlock {
        target: target.parse().unwrap(),
        since: Timestamp(500),
        until: Timestamp(2_000),
        failures: 100,
        known: known.iter().map(|net| net.parse().unwrap()).collect(),
    });
    let mut list = GuardList::default();
    list.follow(GuardUpdate {
        version,
        whole: true,
        blocks: blocks.collect(),
        removed: Vec::new(),
    });
    Arc::new(list)
}

#[test]
fn a_blocked_network_is_not_let_in_until_its_time_is_over() {
    let mut watch = watch();
    let new = watch.set_list(list(1, &[("192.0.2.0/24", &[]), ("198.51.100.7", &[])]));
    assert_eq!(new.len(), 2);
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "198.51.100.7"] {
        assert!(!watch.lets_in(at(address), NOW), "{address}");
        assert!(!watch.admits(at(address), Some(&jid("a@h")), NOW));
        assert!(!watch.admits(at(address), None, NOW));
        assert!(watch.lets_in(at(address), Timestamp(2_000)));
    }
    assert!(watch.lets_in(at("198.51.100.8"), NOW));
    watch.set_options(GuardOptions {
        enabled: false,
        ..GuardOptions::default()
    });
    assert!(watch.lets_in(at("192.0.2.1"), NOW));
    assert!(watch.admits(at("192.0.2.1"), None, NOW));
}

#[test]
fn who_has_used_an_account_from_a_network_still_may_when_either_is_blocked() {
    let mut watch = watch();
    watch.ended(at("192.0.2.9"), Some(&jid("juliet@h/x")), true);
    watch.set_list(list(
        1,
        &[("192.0.2.0/24", &[]), ("juliet@h", &["10.0.0.0/24"])],
    ));
    assert!(watch.lets_in(at("192.0.2.200"), NOW), "it may be her");
    assert!(watch.admits(at("192.0.2.200"), Some(&jid("juliet@h")), NOW));
    assert!(!watch.admits(at("192.0.2.200"), Some(&jid("romeo@h")), NOW));
    assert!(
        watch.admits(at("10.0.0.7"), Some(&jid("juliet@h")), NOW),
        "as the group knows"
    );
    assert!(!watch.admits(at("203.0.113.1"), Some(&jid("juliet@h")), NOW));
    assert!(watch.admits(at("203.0.113.1"), Some(&jid("romeo@h")), NOW));
}

#[test]
fn failures_are_told_once_and_again_until_they_are_answered() {
    let mut watch = watch();
    assert_eq!(watch.next_report(NOW), None);
    for _ in 0..3 {
        watch.ended(at("2001:db8::1"), Some(&jid("juliet@h")), false);
    }
    watch.ended(at("2001:db8::2"), None, false);
    let report = watch.next_report(NOW).unwrap();
    assert_eq!((report.incarnation, report.sequence), (7, 1));
    assert_eq!(report.addresses, [(at("2001:db8::"), 4)]);
    assert_eq!(report.accounts, [(target(&jid("juliet@h")), 3)]);
    watch.ended(at("192.0.2.1"), None, false);
    assert_eq!(watch.next_report(NOW), Some(report));
    watch.reported(1);
    let next = watch.next_report(NOW).unwrap();
    assert_eq!(
        (next.sequence, next.addresses),
        (2, vec![(at("192.0.2.1"), 1)])
    );
    watch.reported(1);
    assert!(watch.next_report(NOW).is_some(), "another was answered");
}

#[test]
fn an_old_password_at_home_is_no_attack_on_the_account() {
    let mut watch = watch();
    watch.ended(at("192.0.2.9"), Some(&jid("juliet@h")), true);
    watch.ended(at("192.0.2.9"), Some(&jid("juliet@h")), false);
    let report = watch.next_report(NOW).unwrap();
    assert_eq!((report.addresses.len(), report.accounts.len()), (1, 0));
}

#[test]
fn who_does_not_know_the_password_of_the_own_session_counts_for_the_account_at_home_too() {
    let mut watch = watch();
    let (home, juliet) = (at("192.0.2.9"), jid("juliet@h"));
    watch.ended(home, Some(&juliet), true);
    watch.failed_to_prove(home, &juliet);
    watch.failed_to_prove(home, &juliet);
    let report = watch.next_report(NOW).unwrap();
    assert_eq!(report.addresses, [(home, 2)]);
    assert_eq!(report.accounts, [(target(&juliet), 2)]);
}

#[test]
fn the_group_is_told_once_from_where_a_blocked_account_is_known() {
    let mut watch = watch();
    for address in ["192.0.2.9", "198.51.100.7", "192.0.2.1"] {
        watch.ended(at(address), Some(&jid("juliet@h")), true);
    }
    watch.set_list(list(
        1,
        &[("juliet@h", &["198.51.100.0/24"]), ("romeo@h", &[])],
    ));
    let report = watch.next_report(NOW).unwrap();
    let home = "192.0.2.0/24".parse().unwrap();
    assert_eq!(report.known, [(target(&jid("juliet@h")), home)]);
    watch.reported(report.sequence);
    assert_eq!(watch.next_report(NOW), None);
    assert_eq!(watch.next_report(Timestamp(2_000)), None, "it has ended");
}

#[test]
fn one_report_is_bounded_and_the_rest_comes_with_the_next() {
    let mut watch = watch();
    let local = "x".repeat(1_000);
    for number in 0..12_000_u32 {
        let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let name = jid(&format!("{local}{number}@h"));
        watch.ended(address, Some(&name), false);
    }
    let (mut addresses, mut accounts, mut reports) = (0, 0, 0);
    while let Some(report) = watch.next_report(NOW) {
        assert!(report.addresses.len() <= LoginReport::ENTRIES_MAX);
        assert!(serde_json::to_vec(&report).unwrap().len() < 131_072);
        addresses += report.addresses.len();
        accounts += report.accounts.len();
        reports += 1;
        watch.reported(report.sequence);
    }
    assert_eq!((addresses, accounts), (UNTOLD_MAX, UNTOLD_MAX));
    assert!(reports > 100, "{reports}");
}
