//! The whole state: exactly once, in order, the same everywhere.

mod approval;
mod removal;

use super::*;
use crate::window::WindowSetting;

/// A state with its log index and request numbers.
struct Group {
    state: ControlState,
    index: u64,
    sequence: u64,
}

impl Group {
    fn new(mode: RegistrationMode) -> Self {
        let mut group = Self {
            state: ControlState::default(),
            index: 0,
            sequence: 0,
        };
        let per_address = WindowSetting::fixed(2, 10);
        let policy = RegistrationPolicy {
            mode,
            per_address,
            ..RegistrationPolicy::default()
        };
        group.ask(0, Command::ConfigureRegistration { policy });
        group
    }

    fn proposal(&mut self, now: u64, command: Command) -> Proposal {
        self.sequence += 1;
        let request = RequestId {
            node: NodeId::FIRST,
            incarnation: 1,
            sequence: self.sequence,
        };
        Proposal {
            request,
            acknowledged: self.sequence,
            now: Timestamp(now),
            command,
        }
    }

    fn put(&mut self, proposal: &Proposal) -> Outcome {
        self.index += 1;
        self.state.apply(self.index, proposal)
    }

    fn ask(&mut self, now: u64, command: Command) -> Outcome {
        let proposal = self.proposal(now, command);
        self.put(&proposal)
    }
}

fn reserve() -> Command {
    let address = "192.0.2.1".parse().unwrap();
    Command::Reserve {
        host: "localhost".into(),
        address,
        name: "olga".into(),
        forms: None,
        invite: None,
    }
}

fn reserved(outcome: Outcome) -> ReservationId {
    match outcome {
        Outcome::Reserved(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn removals_in_a_row_leave_the_control_group_its_majority() {
    let mut group = Group::new(RegistrationMode::On);
    let id = |number| NodeId::new(number).unwrap();
    for number in 1..=4 {
        let enlist = Command::Enlist {
            node: id(number),
            address: "a:1".into(),
            roles: vec![NodeRole::Control],
            format: 4,
        };
        group.ask(0, enlist);
    }
    let remove = |group: &mut Group, number| {
        let node = id(number);
        let unless_alive = true;
        group.ask(0, Command::RemoveNode { node, unless_alive })
    };
    group.state.set_members(Members::new(&[1, 2, 3], &[4]));
    assert_eq!(remove(&mut group, 3), Outcome::NodesChanged);
    // The change of the members is under way.
    assert_eq!(remove(&mut group, 2), Outcome::GroupTooSmall);
    assert_eq!(remove(&mut group, 1), Outcome::GroupTooSmall);
    assert_eq!(remove(&mut group, 3), Outcome::NodesChanged, "once more");
    assert_eq!(remove(&mut group, 4), Outcome::NodesChanged, "has no vote");
    let removed = group.state.directory().removed;
    assert_eq!(removed, [id(3), id(4)].into());
    // It is through.
    group.state.set_members(Members::new(&[1, 2], &[]));
    assert_eq!(remove(&mut group, 2), Outcome::GroupTooSmall);
    group.state.set_members(Members::new(&[1], &[]));
    assert_eq!(remove(&mut group, 1), Outcome::GroupTooSmall, "the last");
}

#[test]
fn a_copy_of_a_proposal_changes_nothing_and_is_answered_the_same() {
    let mut group = Group::new(RegistrationMode::On);
    let proposal = group.proposal(1_000, reserve());
    let first = group.put(&proposal);
    assert_eq!(group.put(&proposal), first);
    assert_eq!(group.state.registrations_remembered(), 1);
}

#[test]
fn a_copy_that_arrives_after_its_sender_went_on_is_not_applied() {
    let mut group = Group::new(RegistrationMode::On);
    let late = group.proposal(1_000, reserve());
    group.ask(1_000, Command::ResetRegistration);
    assert_eq!(group.put(&late), Outcome::Stale);
    assert_eq!(group.state.registrations_remembered(), 0);
}

#[test]
fn time_never_goes_backwards() {
    let mut group = Group::new(RegistrationMode::On);
    group.ask(50_000, reserve());
    group.ask(50_000, reserve());
    assert_eq!(
        group.ask(1_000, reserve()),
        Outcome::Throttled {
            window: WindowKind::Address,
            retry_after_ms: 10_000
        },
        "a node whose clock is behind sees the group's time"
    );
    assert_eq!(group.state.time(), Timestamp(50_000));
}

#[test]
fn any_later_command_gives_back_what_expired() {
    let mut group = Group::new(RegistrationMode::On);
    let reservation = reserved(group.ask(1_000, reserve()));
    group.ask(61_000, Command::ResetRegistration);
    assert_eq!(group.state.registrations_remembered(), 0);
    assert_eq!(
        group.ask(61_000, Command::Commit { reservation }),
        Outcome::NotReserved
    );
}

#[test]
fn a_closed_server_refuses_and_an_unthrottled_one_remembers_nothing() {
    let mut closed = Group::new(RegistrationMode::Closed);
    assert_eq!(closed.ask(1_000, reserve()), Outcome::Closed);
    let mut off = Group::new(RegistrationMode::Off);
    for _ in 0..9 {
        let reservation = reserved(off.ask(1_000, reserve()));
        let settled = off.ask(1_000, Command::Commit { reservation });
        assert_eq!(settled, Outcome::Settled);
    }
    assert_eq!(off.state.registrations_remembered(), 0);
    let kinds = off.state.events().after(0, 100);
    let registered = kinds
        .iter()
        .filter(|it| it.what.kind == EventKind::Registered);
    assert_eq!(registered.count(), 9, "and yet all of them are told");
}

#[test]
fn a_state_restored_from_its_snapshot_goes_on_as_the_original() {
    let mut group = Group::new(RegistrationMode::On);
    let reservation = reserved(group.ask(1_000, reserve()));
    group.ask(2_000, reserve());
    group.ask(2_500, Command::Commit { reservation });
    let bytes = group.state.snapshot();
    let restored = ControlState::restore(&bytes).unwrap();
    assert_eq!(restored, group.state);
    assert_eq!(restored.snapshot(), bytes, "the bytes are deterministic");
    let mut other = Group {
        state: restored,
        index: group.index,
        sequence: group.sequence,
    };
    for now in [3_000, 10_999, 11_000, 11_001, 70_000] {
        assert_eq!(group.ask(now, reserve()), other.ask(now, reserve()));
        assert_eq!(group.state.snapshot(), other.state.snapshot());
    }
}

#[test]
#[should_panic(expected = "entry 1 applied twice")]
fn an_entry_is_never_applied_twice() {
    let mut group = Group::new(RegistrationMode::On);
    group.index = 0;
    group.ask(1_000, reserve());
}

#[test]
fn the_ended_leases_have_a_new_version_when_they_change_and_none_for_a_renewal() {
    let mut group = Group::new(RegistrationMode::On);
    let policy = ShardPolicy {
        shards: 4,
        lease_ms: 5_000,
        margin_ms: 500,
        moves_max: 1,
    };
    group.ask(0, Command::ConfigureShards { policy });
    let renew = |incarnation| Command::Renew {
        node: NodeId::FIRST,
        renewal: Renewal {
            incarnation,
            routes: false,
            draining: false,
        },
    };
    let ms = MEASURED_MS_MAX;
    for _ in 0..20 {
        group.ask(0, renew(1));
        group.ask(0, Command::Advance { ms });
        group.ask(1_000, reserve());
    }
    assert_eq!(group.state.ended_leases(), EndedLeases::default());
    for _ in 0..20 {
        group.ask(0, Command::Advance { ms });
    }
    let ended = group.state.ended_leases();
    assert_eq!(ended.nodes, [(NodeId::FIRST, 1)].into());
    assert!(ended.version > 0 && ended.version < group.index);
    let restored = ControlState::restore(&group.state.snapshot()).unwrap();
    assert_eq!(restored.ended_leases(), ended);
    group.ask(0, renew(2));
    let begun = group.state.ended_leases();
    assert_eq!((begun.version, begun.nodes.len()), (group.index, 0));
    let left = Command::Leave {
        node: NodeId::FIRST,
    };
    group.ask(0, left);
    let left = group.state.ended_leases();
    assert_eq!(
        (left.version, left.nodes),
        (group.index, [(NodeId::FIRST, 2)].into())
    );
}

#[test]
fn a_withheld_name_costs_no_place_and_who_withholds_it_hears_of_those_under_way() {
    use super::{NameForms, NameKind, NameRule};
    let reserve = |name: &str| Command::Reserve {
        host: "localhost".into(),
        address: "192.0.2.1".parse().unwrap(),
        name: name.into(),
        forms: Some(NameForms::of(name)),
        invite: None,
    };
    let mut group = Group::new(RegistrationMode::On);
    let early = reserved(group.ask(1, reserve("bоss")));
    let settled = reserved(group.ask(1, reserve("boss-of-all")));
    group.ask(
        1,
        Command::Commit {
            reservation: settled,
        },
    );
    let rule = NameRule::new("~boss", NameKind::Reserved, "ours", Timestamp(1)).unwrap();
    let made = group.ask(2, Command::ReserveNames { rules: vec![rule] });
    let expected = Outcome::Names {
        version: 1,
        changed: 1,
        under_way: vec!["bоss@localhost".to_owned()],
    };
    assert_eq!(
        made, expected,
        "an account that is made is found in the store"
    );
    let before = group.state.registrations_remembered();
    let refused = group.ask(3, reserve("the-boss"));
    let by = "~boss".to_owned();
    let kind = NameKind::Reserved;
    assert_eq!(refused, Outcome::NameWithheld { by, kind });
    assert_eq!(group.state.registrations_remembered(), before);
    let forms = NameForms::of("olga");
    assert_eq!(
        group.ask(3, Command::CheckName { forms }),
        Outcome::NameFree
    );
    let late = group.ask(4, Command::Commit { reservation: early });
    assert_eq!(late, Outcome::Settled, "it was reserved before the rule");
    let restored = ControlState::restore(&group.state.snapshot()).unwrap();
    assert_eq!(restored, group.state);
}

fn events(group: &Group) -> Vec<(EventKind, String)> {
    let events = group.state.events().after(0, Events::PAGE_MAX);
    let shown = events.into_iter().map(|event| {
        let subject = event.subject().unwrap_or_default();
        (event.what.kind, format!("{subject} {}", event.what.detail))
    });
    shown.collect()
}

fn from(address: &str) -> Command {
    Command::Reserve {
        host: "localhost".into(),
        address: address.parse().unwrap(),
        name: "olga".into(),
        forms: Some(NameForms::of("olga")),
        invite: None,
    }
}

fn lists(allow: &str, block: &str, allow_only: bool) -> Command {
    let set = |text: &str| {
        text.split_whitespace()
            .map(|it| it.parse().unwrap())
            .collect()
    };
    Command::ChangeLists {
        change: ListChange {
            allow: set(allow),
            block: set(block),
            allow_only: Some(allow_only),
            ..ListChange::default()
        },
    }
}

#[test]
fn a_blocked_network_is_refused_before_all_else_and_an_allowed_one_is_not_counted() {
    let mut group = Group::new(RegistrationMode::On);
    group.ask(
        0,
        lists("192.0.2.0/24", "198.51.100.0/24 192.0.2.99/32", false),
    );
    for _ in 0..5 {
        reserved(group.ask(1_000, from("192.0.2.1")));
    }
    let blocked = Outcome::Refused(RefusalCause::Blocked);
    assert_eq!(
        group.ask(1_000, from("192.0.2.99")),
        blocked,
        "the block wins"
    );
    assert_eq!(group.ask(1_000, from("198.51.100.1")), blocked);
    reserved(group.ask(1_000, from("203.0.113.1")));
    reserved(group.ask(1_000, from("203.0.113.1")));
    let full = group.ask(1_000, from("203.0.113.1"));
    assert!(matches!(full, Outcome::Throttled { .. }), "{full:?}");
    group.ask(1_000, lists("", "", true));
    let not_allowed = Outcome::Refused(RefusalCause::NotAllowed);
    assert_eq!(group.ask(1_000, from("203.0.113.2")), not_allowed);
    reserved(group.ask(1_000, from("192.0.2.1")));
    group.ask(1_000, Command::ResetLists);
    reserved(group.ask(1_000, from("198.51.100.1")));
}

#[test]
fn a_registration_is_told_once_when_it_is_done_and_not_when_it_is_given_back() {
    let mut group = Group::new(RegistrationMode::On);
    let before = events(&group).len();
    let reservation = reserved(group.ask(1_000, from("192.0.2.1")));
    group.ask(1_000, Command::Release { reservation });
    let reservation = reserved(group.ask(1_000, from("192.0.2.1")));
    assert_eq!(events(&group).len(), before);
    group.ask(1_000, Command::Commit { reservation });
    group.ask(1_000, Command::Commit { reservation });
    let told = &group.state.events().after(0, 100)[before..];
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].subject().as_deref(), Some("olga@localhost"));
    assert_eq!(told[0].what.address, "192.0.2.1".parse().ok());
}

#[test]
fn changes_of_policy_bans_and_blocks_of_the_guard_are_told() {
    let mut group = Group::new(RegistrationMode::On);
    group.ask(0, Command::ResetRegistration);
    let policy = RegistrationPolicy::default();
    group.ask(1_000, Command::SetRegistration { policy });
    let ban = Ban {
        target: "192.0.2.0/24".parse().unwrap(),
        reason: "spam".into(),
        since: Timestamp(1),
        expires: None,
    };
    let bans = vec![ban];
    group.ask(1_000, Command::AddBans { bans: bans.clone() });
    group.ask(1_000, Command::AddBans { bans });
    let report = |sequence| LoginReport {
        incarnation: 1,
        sequence,
        limits: GuardLimits {
            address_failures_max: 3,
            half_life_ms: 60_000,
            block_ms: 60_000,
            ..GuardLimits::default()
        },
        addresses: vec![("203.0.113.7".parse().unwrap(), 2)],
        ..LoginReport::default()
    };
    for sequence in 1..=4 {
        let (node, report) = (NodeId::FIRST, report(sequence));
        group.ask(1_000, Command::ReportLogins { node, report });
    }
    let told = |kind, detail: &str| (kind, format!(" {detail}"));
    assert_eq!(
        events(&group),
        [
            told(EventKind::Policy, "mode on, was closed (configuration)"),
            told(EventKind::Policy, "mode closed, was on (administrator)"),
            told(EventKind::Banned, "192.0.2.0/24: spam"),
            told(EventKind::Blocked, "203.0.113.7: too many failed logins"),
        ]
    );
}

#[test]
fn what_routers_report_is_counted_once_and_a_limit_met_often_is_told() {
    let mut group = Group::new(RegistrationMode::On);
    let policy = RegistrationPolicy {
        limited_often: 5,
        ..RegistrationPolicy::default()
    };
    group.ask(0, Command::SetRegistration { policy });
    let before = events(&group).len();
    let report = |incarnation, sequence, count| Command::ReportRouter {
        node: NodeId::FIRST,
        report: RouterReport {
            incarnation,
            sequence,
            refusals: [(RefusalCause::Host, count)].into(),
            events: vec![NewEvent::new(EventKind::Removed, "").about("olga", "localhost")],
        },
    };
    for (incarnation, sequence) in [(7, 1), (7, 1), (7, 2), (6, 9), (8, 1)] {
        group.ask(1_000, report(incarnation, sequence, 2));
    }
    let Outcome::Refusals(counted) = group.ask(1_000, Command::ShowRefusals) else {
        panic!("it is shown")
    };
    assert_eq!(counted.total, [(RefusalCause::Host, 6)].into());
    let told = &events(&group)[before..];
    let removed = (EventKind::Removed, "olga@localhost ".to_owned());
    let often = "registrations met the limit host 6 times this hour";
    let often = (EventKind::Limited, format!(" {often}"));
    assert_eq!(told, [removed.clone(), removed.clone(), often, removed]);
}

#[test]
fn the_first_secret_is_everybodys_for_ever() {
    let mut group = Group::new(RegistrationMode::On);
    let propose = |byte| Command::ProposeSecret {
        secret: ClusterSecret::new([byte; 32]),
    };
    let first = Outcome::Secret(ClusterSecret::new([1; 32]));
    assert_eq!(group.ask(0, propose(1)), first);
    assert_eq!(group.ask(0, propose(2)), first);
    group.state = ControlState::restore(&group.state.snapshot()).unwrap();
    assert_eq!(group.ask(0, propose(3)), first);
}

#[test]
fn a_secret_that_was_restored_takes_the_place_of_the_first() {
    let mut group = Group::new(RegistrationMode::On);
    let secret = |byte| ClusterSecret::new([byte; 32]);
    let propose = |byte| Command::ProposeSecret {
        secret: secret(byte),
    };
    group.ask(0, propose(1));
    let restore = Command::RestoreSecret { secret: secret(2) };
    let restored = Outcome::Secret(secret(2));
    assert_eq!(group.ask(0, restore), restored);
    assert_eq!(group.ask(0, propose(3)), restored);
}

#[test]
fn a_network_that_fills_the_throttle_is_out_for_a_while() {
    let mut group = Group::new(RegistrationMode::On);
    let policy = RegistrationPolicy {
        mode: RegistrationMode::On,
        overload_block_ms: 600_000,
        reservation_ms: 3_600_000,
        ..RegistrationPolicy::default()
    };
    group.ask(0, Command::SetRegistration { policy });
    let mut reserve = |address: &str| {
        let proposal = group.proposal(1_000, from(address));
        group.index += 1;
        group.state.time = proposal.now;
        let index = group.index;
        group.state.reserve(index, &proposal.command)
    };
    for _ in 0..crate::Window::LIMIT_MAX {
        reserved(reserve("203.0.113.7"));
    }
    let refused = reserve("192.0.2.1");
    assert!(matches!(refused, Outcome::Throttled { .. }), "{refused:?}");
    let blocked = Outcome::Refused(RefusalCause::Blocked);
    assert_eq!(reserve("203.0.113.9"), blocked);
    let (kind, told) = events(&group).pop().unwrap();
    assert_eq!(kind, EventKind::Limited);
    assert!(told.contains("203.0.113.0/24 filled"), "{told}");
    group.ask(1_000, Command::ResetAllThrottle);
    let after = group.ask(1_000, from("203.0.113.9"));
    assert!(
        matches!(after, Outcome::Throttled { .. }),
        "it is let in again, and those under way still fill the throttle: {after:?}"
    );
}
