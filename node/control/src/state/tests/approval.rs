//! The queue of accounts that await approval.

use super::*;

/// A group in which so many accounts may await approval.
fn approving(awaiting_max: u32) -> Group {
    let mut group = Group::new(RegistrationMode::Approval);
    let policy = RegistrationPolicy {
        mode: RegistrationMode::Approval,
        awaiting_max,
        ..RegistrationPolicy::default()
    };
    group.ask(0, Command::ConfigureRegistration { policy });
    group
}

fn reserve_named(name: &str) -> Command {
    Command::Reserve {
        host: "localhost".into(),
        address: "192.0.2.1".parse().unwrap(),
        name: name.into(),
        forms: Some(NameForms::of(name)),
        invite: None,
    }
}

fn to_await(outcome: &Outcome) -> ReservationId {
    match outcome {
        Outcome::ReservedToAwait(id) => *id,
        other => panic!("{other:?}"),
    }
}

const QUEUE_FULL: Outcome = Outcome::Throttled {
    window: WindowKind::Awaiting,
    retry_after_ms: 3_600_000,
};

#[test]
fn no_more_accounts_come_to_await_approval_than_may_made_or_about_to_be() {
    let mut group = approving(2);
    let first = to_await(&group.ask(1, reserve_named("abram")));
    let second = to_await(&group.ask(1, reserve_named("nurse")));
    assert_eq!(group.ask(1, reserve_named("peter")), QUEUE_FULL);
    let reservation = first;
    let settled = group.ask(2, Command::Commit { reservation });
    assert_eq!(settled, Outcome::Settled);
    assert_eq!(group.ask(2, reserve_named("peter")), QUEUE_FULL);
    let reservation = second;
    group.ask(3, Command::Release { reservation });
    let third = to_await(&group.ask(3, reserve_named("peter")));
    assert_eq!(group.ask(3, reserve_named("tybalt")), QUEUE_FULL);

    // What was never settled is given back.
    let late = 3 + 60_000;
    let fourth = to_await(&group.ask(late, reserve_named("tybalt")));
    let reservation = third;
    let settled = group.ask(late, Command::Commit { reservation });
    assert_eq!(settled, Outcome::NotReserved);
    let reservation = fourth;
    group.ask(late, Command::Commit { reservation });
    let waiting = Outcome::Awaiting(vec!["abram@localhost".into(), "tybalt@localhost".into()]);
    assert_eq!(group.ask(late, Command::ShowAwaiting), waiting);
    assert_eq!(group.ask(late, reserve_named("peter")), QUEUE_FULL);
    let left = vec!["abram@localhost".into()];
    let joined = Vec::new();
    group.ask(late, Command::TendAwaiting { joined, left });
    to_await(&group.ask(late, reserve_named("peter")));
}

#[test]
fn one_network_does_not_fill_the_queue_unless_it_is_allow_listed() {
    let mut group = approving(40);
    let from = |address: &str, name: String| match reserve_named(&name) {
        Command::Reserve {
            host,
            name,
            forms,
            invite,
            ..
        } => Command::Reserve {
            address: address.parse().unwrap(),
            host,
            name,
            forms,
            invite,
        },
        other => other,
    };
    let reserve = |group: &mut Group, address: &str, number: u32| {
        group.ask(1, from(address, format!("guest{number}")))
    };
    for number in 0..4 {
        let reservation = to_await(&reserve(&mut group, &format!("192.0.2.{number}"), number));
        if number < 2 {
            group.ask(1, Command::Commit { reservation });
        }
    }
    assert_eq!(
        reserve(&mut group, "192.0.2.9", 9),
        QUEUE_FULL,
        "made and under way"
    );
    group.state = ControlState::restore(&group.state.snapshot()).unwrap();
    assert_eq!(reserve(&mut group, "::ffff:192.0.2.9", 9), QUEUE_FULL);
    to_await(&reserve(&mut group, "198.51.100.1", 9));
    let left = vec!["guest0@localhost".into()];
    let joined = Vec::new();
    group.ask(1, Command::TendAwaiting { joined, left });
    to_await(&reserve(&mut group, "192.0.2.9", 10));
    assert_eq!(reserve(&mut group, "192.0.2.10", 11), QUEUE_FULL);
    group.ask(1, lists("192.0.2.0/24", "", false));
    to_await(&reserve(&mut group, "192.0.2.10", 11));
}

#[test]
fn who_awaits_approval_is_counted_also_behind_a_snapshot_and_another_mode() {
    let mut group = approving(2);
    let reservation = to_await(&group.ask(1, reserve_named("abram")));
    group.ask(1, Command::Commit { reservation });
    let under_way = to_await(&group.ask(1, reserve_named("nurse")));
    group.state = ControlState::restore(&group.state.snapshot()).unwrap();
    assert_eq!(group.ask(2, reserve_named("peter")), QUEUE_FULL);
    let policy = RegistrationPolicy {
        mode: RegistrationMode::On,
        ..RegistrationPolicy::default()
    };
    group.ask(3, Command::SetRegistration { policy });
    reserved(group.ask(3, reserve_named("peter")));
    let reservation = under_way;
    group.ask(3, Command::Commit { reservation });
    group.ask(4, Command::ResetRegistration);
    assert_eq!(group.ask(4, reserve_named("tybalt")), QUEUE_FULL);
}

#[test]
fn a_queue_for_approval_is_never_longer_than_an_answer_holds() {
    let mut group = approving(u32::MAX);
    let joined = (0..AWAITING_MAX).map(|number| format!("guest{number}@localhost"));
    let joined = joined.collect();
    let left = Vec::new();
    group.ask(1, Command::TendAwaiting { joined, left });
    assert_eq!(group.ask(1, reserve_named("peter")), QUEUE_FULL);
}
