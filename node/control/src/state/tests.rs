//! The whole state: exactly once, in order, the same everywhere.

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
        };
        group.ask(0, enlist);
    }
    let remove = |group: &mut Group, number| {
        let node = id(number);
        group.ask(0, Command::RemoveNode { node })
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
        assert!(!reserved(off.ask(1_000, reserve())).is_counted());
    }
    assert_eq!(off.state.registrations_remembered(), 0);
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
