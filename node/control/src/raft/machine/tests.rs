//! One call, the exact list of effects.

use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, Entry};

use super::super::sqlite_log::first_snapshot;
use super::*;
use crate::raft::Write;
use crate::state::{Outcome, RegistrationMode, RegistrationPolicy};

fn machine(voters: &[u64], control: ControlOptions) -> RaftMachine {
    let voters: Vec<_> = voters.iter().copied().filter_map(NodeId::new).collect();
    let recovered = Recovered {
        start: (1, 1),
        snapshot: first_snapshot(&voters),
        hard_state: HardState {
            term: 1,
            commit: 1,
            ..HardState::default()
        },
        incarnation: 1,
        ..Recovered::default()
    };
    let options = MachineOptions {
        node: NodeId::FIRST,
        seed: 0,
        control,
    };
    RaftMachine::new(options, recovered).unwrap()
}

fn flush(machine: &mut RaftMachine) -> Vec<Effect> {
    let mut effects = Vec::new();
    machine.flush(&mut effects).unwrap();
    effects
}

/// The only effect, which is a write.
fn write(effects: Vec<Effect>) -> Write {
    match <[Effect; 1]>::try_from(effects) {
        Ok([Effect::Persist(write)]) => *write,
        other => panic!("{other:?}"),
    }
}

/// The only member of its group, leading, with nothing to do.
fn alone() -> RaftMachine {
    let mut machine = machine(&[1], ControlOptions::default());
    let first = write(flush(&mut machine));
    machine.step(Event::Persisted {
        number: first.number,
    });
    assert_eq!(flush(&mut machine), []);
    machine
}

fn propose(machine: &mut RaftMachine, ticket: u64, mode: RegistrationMode) {
    let policy = RegistrationPolicy {
        mode,
        ..RegistrationPolicy::default()
    };
    let (ticket, now) = (Ticket(ticket), Timestamp(5));
    let command = Command::SetRegistration { policy };
    machine.step(Event::Propose {
        ticket,
        now,
        command,
    });
}

fn outcome(ticket: u64, outcome: Outcome) -> Effect {
    Effect::Answer(Ticket(ticket), Answer::Outcome(outcome))
}

fn unavailable(ticket: u64, unavailable: Unavailable) -> Effect {
    Effect::Answer(Ticket(ticket), Answer::Unavailable(unavailable))
}

#[test]
fn the_only_voter_leads_once_its_vote_is_on_disk() {
    let mut machine = machine(&[1], ControlOptions::default());
    let write = write(flush(&mut machine));
    assert!(machine.is_leader(), "its own vote is all it needs");
    let hard_state = write.hard_state.unwrap();
    assert_eq!((hard_state.term, hard_state.vote), (2, 1));
    assert_eq!(write.entries.len(), 1, "the empty entry of the new term");
    assert_eq!(
        machine.status().applied,
        1,
        "nothing is applied before it is on disk"
    );
    machine.step(Event::Persisted {
        number: write.number,
    });
    assert_eq!(flush(&mut machine), []);
    assert_eq!(machine.status().applied, 2);
}

#[test]
fn proposals_share_one_write_and_are_answered_after_it_only() {
    let mut machine = alone();
    propose(&mut machine, 1, RegistrationMode::On);
    propose(&mut machine, 2, RegistrationMode::Off);
    let write = write(flush(&mut machine));
    assert_eq!(write.entries.len(), 2);
    assert_eq!(flush(&mut machine), [], "not answered before it is on disk");
    machine.step(Event::Persisted {
        number: write.number,
    });
    let policy = machine.state().policy().current();
    assert_eq!(policy, Policy::default(), "nor applied");
    let effects = flush(&mut machine);
    let policy = machine.state().policy().current();
    assert_eq!(
        effects,
        [
            Effect::Policy(policy),
            Effect::Events(EventsHead { newest: 2, told: 0 }),
            outcome(1, Outcome::PolicyVersion(1)),
            outcome(2, Outcome::PolicyVersion(2)),
        ]
    );
}

#[test]
fn a_read_is_answered_with_what_was_applied() {
    let mut machine = alone();
    machine.step(Event::Read { ticket: Ticket(7) });
    let policy = machine.state().policy().current();
    assert_eq!(
        flush(&mut machine),
        [Effect::Answer(Ticket(7), Answer::Policy(policy))]
    );
}

#[test]
fn a_failed_write_refuses_everybody_until_one_succeeds() {
    let mut machine = alone();
    propose(&mut machine, 1, RegistrationMode::On);
    let write = write(flush(&mut machine));
    machine.step(Event::WriteFailed {
        reason: "disk is full".into(),
    });
    propose(&mut machine, 2, RegistrationMode::Off);
    assert_eq!(
        flush(&mut machine),
        [
            unavailable(1, Unavailable::Disk),
            unavailable(2, Unavailable::Disk)
        ]
    );
    assert_eq!(
        machine.status().write_error.as_deref(),
        Some("disk is full")
    );
    machine.step(Event::Persisted {
        number: write.number,
    });
    let effects = flush(&mut machine);
    assert!(
        matches!(effects[..], [Effect::Policy(_), Effect::Events(_)]),
        "what was in the log takes effect"
    );
    assert_eq!(machine.status().write_error, None);
}

#[test]
fn without_a_quorum_a_proposal_is_refused_at_its_deadline() {
    let control = ControlOptions {
        tick_ms: 100,
        proposal_timeout_ms: 500,
        ..ControlOptions::default()
    };
    let mut machine = machine(&[1, 2, 3], control);
    propose(&mut machine, 1, RegistrationMode::On);
    for _ in 0..4 {
        machine.step(Event::Tick);
        assert_eq!(flush(&mut machine), []);
    }
    machine.step(Event::Tick);
    assert_eq!(flush(&mut machine), [unavailable(1, Unavailable::NoQuorum)]);
}

#[test]
fn what_waits_for_an_answer_is_bounded() {
    let control = ControlOptions {
        proposals_pending_max: 2,
        ..ControlOptions::default()
    };
    let mut machine = machine(&[1, 2, 3], control);
    propose(&mut machine, 1, RegistrationMode::On);
    machine.step(Event::Read { ticket: Ticket(2) });
    propose(&mut machine, 3, RegistrationMode::On);
    machine.step(Event::Read { ticket: Ticket(4) });
    assert_eq!(
        flush(&mut machine),
        [
            unavailable(3, Unavailable::Overloaded),
            unavailable(4, Unavailable::Overloaded)
        ]
    );
}

#[test]
fn a_candidate_asks_for_votes_after_its_own_is_on_disk() {
    let mut machine = machine(&[1, 2, 3], ControlOptions::default());
    while flush(&mut machine).is_empty() {
        machine.step(Event::Tick);
    }
    // The pre-vote changed no term. Let the other two grant it.
    for from in [2, 3] {
        machine.step(Event::Message(Box::new(Message {
            msg_type: MessageType::MsgRequestPreVoteResponse,
            from,
            to: 1,
            term: 2,
            ..Message::default()
        })));
    }
    let write = write(flush(&mut machine));
    assert_eq!(write.hard_state.map(|it| (it.term, it.vote)), Some((2, 1)));
    machine.step(Event::Persisted {
        number: write.number,
    });
    let effects = flush(&mut machine);
    let [Effect::Send(messages)] = &effects[..] else {
        panic!("{effects:?}")
    };
    let to: Vec<_> = messages.iter().map(|message| message.to).collect();
    assert_eq!(to.len(), 2, "one request each to members 2 and 3: {to:?}");
}

#[test]
fn an_entry_of_a_newer_build_stops_the_member() {
    let mut machine = alone();
    machine
        .node
        .propose(Vec::new(), vec![9, b'{', b'}'])
        .unwrap();
    let write = write(flush(&mut machine));
    machine.step(Event::Persisted {
        number: write.number,
    });
    let stopped = machine.flush(&mut Vec::new());
    assert!(
        matches!(stopped, Err(MachineError::Format { index: 3, .. })),
        "{stopped:?}"
    );
}

#[test]
fn enough_applied_entries_are_replaced_by_a_snapshot() {
    let control = ControlOptions {
        snapshot_after_entries: 4,
        log_kept_entries: 1,
        ..ControlOptions::default()
    };
    let mut machine = machine(&[1], control);
    let first = write(flush(&mut machine));
    machine.step(Event::Persisted {
        number: first.number,
    });
    assert_eq!(flush(&mut machine), []);
    for ticket in 1..=3 {
        propose(&mut machine, ticket, RegistrationMode::On);
    }
    let entries = write(flush(&mut machine));
    machine.step(Event::Persisted {
        number: entries.number,
    });
    let effects = flush(&mut machine);
    let Effect::Persist(compaction) = &effects[0] else {
        panic!("{effects:?}")
    };
    let (snapshot, start) = compaction.compact.as_ref().unwrap();
    assert_eq!((snapshot.get_metadata().index, *start), (5, (4, 2)));
    assert_eq!(compaction.hard_state.as_ref().unwrap().commit, 5);
    let state = ControlState::restore(snapshot.get_data()).unwrap();
    assert_eq!(&state, machine.state());
    assert_eq!(machine.status().log_entries, 1);
}

#[test]
fn a_change_of_members_is_in_the_state_and_in_the_next_snapshot_and_survives_a_replay() {
    let mut machine = alone();
    let change = add_learner(&mut machine);
    assert_eq!(members(&machine), [(1, true), (2, false)]);

    let mut entries = vec![Entry {
        term: 2,
        index: 2,
        ..Entry::default()
    }];
    entries.extend(change.entries);
    let mut replayed = replay(entries);
    let effects = flush(&mut replayed);
    assert_eq!(members(&replayed), members(&machine));
    assert!(
        replayed.is_leader(),
        "at once, though a change of members was to be applied first"
    );
    let snapshots: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Persist(write) => write.compact.as_ref().map(|(snapshot, _)| snapshot),
            _ => None,
        })
        .collect();
    assert_eq!(
        snapshots[0].get_metadata().get_conf_state().get_learners(),
        [2]
    );
}

/// Makes member 2 a learner, and returns what was written for it.
fn add_learner(machine: &mut RaftMachine) -> Write {
    let mut learner = ConfChangeSingle::default();
    learner.set_change_type(ConfChangeType::AddLearnerNode);
    learner.node_id = 2;
    let change = ConfChangeV2 {
        changes: vec![learner].into(),
        ..ConfChangeV2::default()
    };
    machine
        .node
        .propose_conf_change(Vec::new(), change)
        .unwrap();
    let change = write(flush(machine));
    machine.step(Event::Persisted {
        number: change.number,
    });
    flush(machine);
    change
}

/// The members in the state, and whether they vote.
fn members(machine: &RaftMachine) -> Vec<(u64, bool)> {
    let members = machine.state().members().iter();
    members
        .map(|member| (member.node.get(), member.voter))
        .collect()
}

/// The only voter again, after a crash that left all of `entries` committed and none in a snapshot.
fn replay(entries: Vec<Entry>) -> RaftMachine {
    let recovered = Recovered {
        start: (1, 1),
        entries,
        snapshot: first_snapshot(&[NodeId::FIRST]),
        hard_state: HardState {
            term: 2,
            vote: 1,
            commit: 3,
            ..HardState::default()
        },
        incarnation: 2,
    };
    let control = ControlOptions {
        snapshot_after_entries: 2,
        ..ControlOptions::default()
    };
    let options = MachineOptions {
        node: NodeId::FIRST,
        seed: 0,
        control,
    };
    RaftMachine::new(options, recovered).unwrap()
}

/// Writes and reports until nothing is left to do.
fn settle(machine: &mut RaftMachine) -> Vec<Effect> {
    let mut all = Vec::new();
    loop {
        let effects = flush(machine);
        let Some(number) = effects.iter().rev().find_map(|effect| match effect {
            Effect::Persist(write) => Some(write.number),
            _ => None,
        }) else {
            return all;
        };
        all.extend(effects);
        machine.step(Event::Persisted { number });
    }
}

#[test]
fn a_leader_brings_the_time_that_it_measured_into_the_log_once_there_are_shards() {
    let mut machine = alone();
    let tick_ms = ControlOptions::default().tick_ms;
    let clock = |machine: &RaftMachine| machine.state().shards().clock_ms();
    for _ in 0..20 {
        machine.step(Event::Tick);
    }
    settle(&mut machine);
    assert_eq!(clock(&machine), 0, "nobody has a lease");
    let policy = crate::state::ShardPolicy {
        shards: 4,
        lease_ms: 5_000,
        margin_ms: 500,
        moves_max: 1,
    };
    machine.step(Event::Propose {
        ticket: Ticket(1),
        now: Timestamp(5),
        command: Command::ConfigureShards { policy },
    });
    let told = settle(&mut machine);
    assert!(!told.is_empty());
    let before = clock(&machine);
    for ticks in 1..=50 {
        machine.step(Event::Tick);
        settle(&mut machine);
        assert!(clock(&machine) - before <= ticks * tick_ms + MEASURED_MS_MAX);
    }
    assert!(clock(&machine) >= 40 * tick_ms);
}

#[test]
fn a_heartbeat_that_commits_what_is_not_here_is_refused() {
    let mut machine = alone();
    let mut heartbeat = Message {
        from: 2,
        to: 1,
        term: machine.node.raft.term + 1,
        commit: 1_000_000_000,
        ..Message::default()
    };
    heartbeat.set_msg_type(MessageType::MsgHeartbeat);
    let before = machine.node.raft.term;
    machine.step(Event::Message(Box::new(heartbeat)));
    assert_eq!(machine.node.raft.term, before);
}
