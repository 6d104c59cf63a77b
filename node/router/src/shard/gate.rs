//! What may reach a shard's machine now, and what waits for a lease or for the announcements: a machine
//! without IO.
//!
//! ```text
//! input ──► lease? ──no──► held, or answered at once
//!             │ yes: behind what was held
//!             ▼
//!           all sessions announced? ──no──► stanzas of other shards wait: they would find nobody; and so do
//!             │                             clients that resume: nodes may know more of their streams than the
//!             │                             store; and what sessions have sent, with all that they say behind it,
//!             │                             and clients that bind, perhaps behind a session of theirs that ends
//!             │ yes: behind those
//!             ▼
//!           Shard
//! ```
//!
//! The client of a session may have gone on by another way, and have said all of it again there. Its node has not heard
//! of that if it was cut off from the former owner; the node of the other way says so when it announces that.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rookery_session::carrier::{AskId, Question, SessionId, SinkRef, ToShard};

use super::Input;

/// Stands before one owner's machine of one shard.
pub struct Gate {
    /// What came while there was no lease. Senders bound it: they keep so much under way.
    held: VecDeque<Input>,
    /// The nodes whose sessions are not known yet.
    awaited: BTreeSet<u32>,
    /// What has to wait for them.
    early: VecDeque<Input>,
    /// The sessions that have said something of that.
    unheard: BTreeSet<SessionId>,
    /// What may be handled now, in this order.
    ready: VecDeque<Input>,
}

/// What becomes of an input.
#[must_use]
pub enum Admission {
    /// It is to be handled now; nothing waits ahead of it.
    Now(Input),
    /// What [`Gate::next_ready`] gives is to be handled: perhaps nothing.
    InTurn,
    /// It is held until there is a lease, or is dropped as one that comes again; true for the first since the
    /// lease has ended.
    Held(bool),
    /// There is no lease, and somebody waits for the answer to this question.
    Refused(SinkRef, AskId),
}

impl Gate {
    /// How long a new owner waits for the sessions of the nodes. All hear of it at once, so it is
    /// some round trips; a node that does not answer is on its way out.
    pub const ANNOUNCED_WITHIN: Duration = Duration::from_secs(1);

    /// These nodes will announce their sessions.
    pub fn new(awaited: BTreeSet<u32>) -> Self {
        Self {
            held: VecDeque::new(),
            awaited,
            early: VecDeque::new(),
            unheard: BTreeSet::new(),
            ready: VecDeque::new(),
        }
    }

    /// An input has come. Without a lease nothing is served, for another node may be the owner. If
    /// the lease is renewed under the same epoch there was no other owner, and all that is in memory
    /// holds.
    pub fn admit(&mut self, input: Input, may_act: bool) -> Admission {
        if !may_act {
            return self.hold(input);
        }
        if self.held.is_empty() && self.awaited.is_empty() && self.early.is_empty() {
            return Admission::Now(input);
        }
        for held in std::mem::take(&mut self.held) {
            self.take(held);
        }
        self.take(input);
        Admission::InTurn
    }

    /// The next input that is to be handled.
    pub fn next_ready(&mut self) -> Option<Input> {
        self.ready.pop_front()
    }

    /// The nodes whose sessions are not known yet.
    pub fn awaited(&self) -> &BTreeSet<u32> {
        &self.awaited
    }

    /// Nobody is awaited any more. What waited is given on ahead of the next input, so that it is in
    /// its turn and under a lease.
    pub fn wait_no_more(&mut self) {
        self.awaited.clear();
    }

    /// Questions are answered at once, for somebody waits for them.
    fn hold(&mut self, input: Input) -> Admission {
        let first = self.held.is_empty();
        match input {
            Input::Session(ToShard::Ask { from, ask, .. }) => {
                return Admission::Refused(from, ask);
            }
            Input::Tick if !first => {}
            input => self.held.push_back(input),
        }
        Admission::Held(first)
    }

    fn take(&mut self, input: Input) {
        if let Input::AllAnnounced(node) = input {
            self.awaited.remove(&node);
        }
        if self.awaited.is_empty() {
            self.ready.append(&mut self.early);
            self.unheard.clear();
        }
        match input {
            // Only the gate needs it.
            Input::AllAnnounced(_) => {}
            input if !self.awaited.is_empty() && self.has_to_wait(&input) => {
                self.early.push_back(input);
            }
            input => self.ready.push_back(input),
        }
    }

    /// Whether an input is to find all the sessions, or comes behind what the same session has said that is.
    fn has_to_wait(&mut self, input: &Input) -> bool {
        let speaker = speaker(input);
        let waits = needs_all(input) || speaker.is_some_and(|it| self.unheard.contains(&it));
        self.unheard.extend(speaker.filter(|_| waits));
        waits
    }
}

/// Whether an input is to find all the sessions.
fn needs_all(input: &Input) -> bool {
    matches!(
        input,
        Input::Peer(_)
            | Input::Session(
                ToShard::Stanzas { .. }
                    | ToShard::Ask {
                        question: Question::Bind { .. } | Question::Resume { .. },
                        ..
                    }
            )
    )
}

/// The session that says this. What its node announces is none of its words.
fn speaker(input: &Input) -> Option<SessionId> {
    let Input::Session(frame) = input else {
        return None;
    };
    match frame {
        ToShard::Ask { from, .. } => Some(from.session()),
        ToShard::Stanzas { session, .. }
        | ToShard::Left { session, .. }
        | ToShard::Acked { session, .. }
        | ToShard::Detached { session, .. }
        | ToShard::Closed { session, .. } => Some(*session),
        ToShard::Announce { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use rookery_session::carrier::{Full, PeerFrame, SessionId, Sink, ToSession};
    use rookery_xmpp::jid::Jid;
    use rookery_xmpp::stanza::Batch;

    use super::*;

    fn jid(text: &str) -> Arc<Jid> {
        Arc::new(text.parse().expect("a JID"))
    }

    fn peer(from: &str) -> Input {
        let batch = Batch {
            buf: Bytes::new(),
            recs: vec![],
        };
        Input::Peer(PeerFrame::new(jid(from), jid("romeo@localhost"), batch))
    }

    fn closed(serial: u64) -> Input {
        Input::Session(ToShard::Closed {
            session: SessionId { node: 7, serial },
            jid: jid("juliet@localhost/balcony"),
            receipt: None,
        })
    }

    fn stanzas(serial: u64) -> Input {
        Input::Session(ToShard::Stanzas {
            session: SessionId { node: 7, serial },
            from: jid("juliet@localhost/balcony"),
            sequence: 0,
            batch: Batch::default(),
            receipt: None,
        })
    }

    fn name(input: Input) -> String {
        match input {
            Input::Session(ToShard::Stanzas { session, .. }) => {
                format!("stanzas {}", session.serial)
            }
            Input::Peer(frame) => frame.from.to_string(),
            Input::Session(ToShard::Closed { session, .. }) => format!("closed {}", session.serial),
            Input::AllAnnounced(node) => format!("all announced {node}"),
            Input::Tick => "tick".to_owned(),
            _ => "another".to_owned(),
        }
    }

    fn all(gate: &mut Gate, input: Input) -> Vec<String> {
        match gate.admit(input, true) {
            Admission::Now(input) => vec![name(input)],
            Admission::InTurn => std::iter::from_fn(|| gate.next_ready()).map(name).collect(),
            _ => panic!("there is a lease"),
        }
    }

    struct Nobody;

    impl Sink for Nobody {
        fn session(&self) -> SessionId {
            SessionId { node: 7, serial: 1 }
        }

        fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
            Err(Full(frame))
        }
    }

    #[test]
    fn what_came_without_a_lease_goes_ahead_of_what_comes_under_the_next() {
        let mut gate = Gate::new(BTreeSet::new());
        assert!(matches!(
            gate.admit(closed(1), false),
            Admission::Held(true)
        ));
        assert!(matches!(
            gate.admit(peer("a@localhost"), false),
            Admission::Held(false)
        ));
        assert!(matches!(
            gate.admit(Input::Tick, false),
            Admission::Held(false)
        ));
        assert_eq!(
            all(&mut gate, closed(2)),
            ["closed 1", "a@localhost", "closed 2"]
        );
        assert_eq!(all(&mut gate, closed(3)), ["closed 3"]);
    }

    #[test]
    fn a_question_is_not_held() {
        let mut gate = Gate::new(BTreeSet::new());
        let ask = ToShard::Ask {
            from: Arc::new(Nobody),
            ask: AskId(3),
            question: Question::Credentials {
                account: "juliet@localhost".parse().expect("a JID"),
            },
        };
        let admission = gate.admit(Input::Session(ask), false);
        assert!(matches!(admission, Admission::Refused(_, AskId(3))));
    }

    #[test]
    fn stanzas_of_other_shards_wait_until_all_sessions_are_known() {
        let mut gate = Gate::new(BTreeSet::from([7, 8]));
        assert_eq!(all(&mut gate, peer("a@localhost")), [""; 0]);
        assert_eq!(all(&mut gate, closed(1)), ["closed 1"]);
        assert_eq!(all(&mut gate, Input::AllAnnounced(7)), [""; 0]);
        assert_eq!(all(&mut gate, peer("b@localhost")), [""; 0]);
        assert_eq!(
            all(&mut gate, Input::AllAnnounced(8)),
            ["a@localhost", "b@localhost"]
        );
        assert_eq!(all(&mut gate, peer("c@localhost")), ["c@localhost"]);
    }

    #[test]
    fn who_resumes_or_binds_waits_until_all_sessions_are_known() {
        let account: Jid = "juliet@localhost".parse().expect("a JID");
        let address = [127, 0, 0, 1].into();
        let resume = Question::Resume {
            account: account.clone(),
            id: "name".to_owned(),
            h: 0,
            address,
        };
        let bind = Question::Bind {
            account,
            resource: None,
            address,
        };
        for question in [resume, bind] {
            let mut gate = Gate::new(BTreeSet::from([7]));
            let ask = Input::Session(ToShard::Ask {
                from: Arc::new(Nobody),
                ask: AskId(3),
                question,
            });
            assert_eq!(all(&mut gate, ask), [""; 0]);
            assert_eq!(all(&mut gate, Input::AllAnnounced(7)), ["another"]);
        }
    }

    #[test]
    fn what_a_session_sends_waits_until_all_nodes_could_say_that_its_client_has_gone_on() {
        let mut gate = Gate::new(BTreeSet::from([7, 8]));
        assert_eq!(all(&mut gate, Input::AllAnnounced(7)), [""; 0]);
        assert_eq!(all(&mut gate, stanzas(1)), [""; 0]);
        assert_eq!(all(&mut gate, closed(2)), ["closed 2"]);
        assert_eq!(all(&mut gate, closed(1)), [""; 0], "it is said behind them");
        let in_order = ["stanzas 1", "closed 1"];
        assert_eq!(all(&mut gate, Input::AllAnnounced(8)), in_order);
        assert_eq!(all(&mut gate, stanzas(3)), ["stanzas 3"]);
    }

    #[test]
    fn a_node_that_does_not_announce_is_awaited_no_more() {
        let mut gate = Gate::new(BTreeSet::from([7, 8]));
        assert_eq!(all(&mut gate, peer("a@localhost")), [""; 0]);
        gate.wait_no_more();
        assert!(matches!(
            gate.admit(Input::AllAnnounced(0), false),
            Admission::Held(true)
        ));
        assert_eq!(
            all(&mut gate, peer("b@localhost")),
            ["a@localhost", "b@localhost"]
        );
    }
}
