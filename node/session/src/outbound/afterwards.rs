//! What becomes of a session whose stream is over.

use std::sync::Arc;

use rookery_xmpp::jid::Jid;

use super::queue::Rest;
use crate::carrier::{Answer, Delivered, SessionId, ToSession, ToShard};

/// What becomes of a session whose stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Its client may come back within so many seconds: it goes on without it, at its node.
    Waits(u32),
    /// It goes on without this node: its shard keeps it until its client comes back by another one.
    StaysAtShard,
    /// It ends.
    Ends,
}

impl Afterwards {
    /// What becomes of a session that waits for its client at a node, which serves it no longer: because the node ends
    /// (`is_left`), or because nobody came in time.
    pub fn of_waiting(is_left: bool) -> Self {
        match is_left {
            true => Self::StaysAtShard,
            false => Self::Ends,
        }
    }
}

/// What the shard must be told at the end of a session that was bound, or was about to hear that it is, and as whom:
/// what its client has not got, of what was `written` and what was not, and that it is over. One that was about to hear
/// that it goes on with an earlier stream leaves that to its shard, which has all of it: its client never heard, and
/// comes back once more.
pub fn farewell(
    session: SessionId,
    bound: Option<Arc<Jid>>,
    mut written: Vec<Delivered>,
    rest: Rest,
) -> Option<(Arc<Jid>, Vec<ToShard>)> {
    let (mut bound, mut goes_on) = (bound, false);
    written.extend(rest.unacked);
    for frame in rest.frames {
        match frame {
            ToSession::Answer { answer, .. } if bound.is_none() => {
                bound = answer.binds().cloned();
                goes_on = matches!(answer, Answer::Resumed(_));
            }
            ToSession::Deliver(delivered) => written.push(delivered),
            _ => {}
        }
    }
    let jid = bound?;
    if goes_on {
        let detached = ToShard::Detached {
            session,
            jid: jid.clone(),
            receipt: None,
        };
        return Some((jid, vec![detached]));
    }
    let words = ToShard::last_words(session, &jid, written).collect();
    Some((jid, words))
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::stanza::Kind;

    use super::*;
    use crate::carrier::{AskId, Resumed};
    use crate::outbound::tests::{numbered, stanzas};

    const SESSION: SessionId = SessionId { node: 1, serial: 2 };

    fn messages(mut delivered: Delivered) -> Delivered {
        for rec in &mut delivered.batch.recs {
            rec.kind = Kind::Message;
        }
        delivered
    }

    fn jid() -> Arc<Jid> {
        Arc::new("juliet@localhost/balcony".parse().expect("a JID"))
    }

    #[test]
    fn a_session_that_was_never_bound_has_nothing_to_say() {
        let rest = Rest {
            frames: [ToSession::Deliver(stanzas(1, 1))].into(),
            unacked: Vec::new(),
        };
        assert!(farewell(SESSION, None, Vec::new(), rest).is_none());
    }

    #[test]
    fn one_that_was_about_to_hear_that_it_is_bound_ends_there() {
        let answer = ToSession::Answer {
            ask: AskId(1),
            answer: Answer::Bound(jid()),
        };
        let rest = Rest {
            frames: [answer].into(),
            unacked: Vec::new(),
        };
        let (_, words) = farewell(SESSION, None, Vec::new(), rest).expect("it is bound");
        assert!(matches!(&words[..], [ToShard::Closed { .. }]));
    }

    #[test]
    fn one_that_was_about_to_go_on_with_a_stream_leaves_that_to_its_shard() {
        let resumed = Resumed {
            jid: jid(),
            id: "name".to_owned(),
            max_s: 10,
            h: 0,
            acked: 0,
            seen: Default::default(),
        };
        let answer = ToSession::Answer {
            ask: AskId(1),
            answer: Answer::Resumed(resumed),
        };
        let rest = Rest {
            frames: [answer].into(),
            unacked: vec![messages(numbered(1, 1))],
        };
        let (_, words) = farewell(SESSION, None, Vec::new(), rest).expect("it is bound");
        assert!(matches!(&words[..], [ToShard::Detached { .. }]));
    }

    #[test]
    fn what_was_written_goes_before_what_was_not_and_the_end_behind_all() {
        let rest = Rest {
            frames: [ToSession::Deliver(messages(stanzas(3, 1)))].into(),
            unacked: vec![messages(numbered(4, 2))],
        };
        let written = vec![messages(stanzas(1, 1))];
        let (_, words) = farewell(SESSION, Some(jid()), written, rest).expect("it is bound");
        let counts = words.iter().map(|word| match word {
            ToShard::Left { delivered, .. } => delivered.batch.recs.len(),
            _ => 0,
        });
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2, 3, 0]);
        assert!(matches!(words.last(), Some(ToShard::Closed { .. })));
    }

    #[test]
    fn who_waits_at_a_node_that_ends_stays_at_the_shard() {
        assert_eq!(Afterwards::of_waiting(true), Afterwards::StaysAtShard);
        assert_eq!(Afterwards::of_waiting(false), Afterwards::Ends);
    }
}
