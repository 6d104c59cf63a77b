//! What a session's node keeps of a stream that can be resumed (XEP-0198 5): the second copy of what the shard keeps,
//! for the shard's next owner.
//!
//! ```text
//! shard ── number 7, 8, 9 ──► queue and copy ── written ──► client
//!                                  │ ◄── acknowledged up to 8
//!                                  ▼
//!              next owner of the shard: 9, and how much the client has sent
//! ```

use crate::carrier::{Delivered, Kept, Resumed};
use crate::seen::Seen;
use crate::stream_management::{Handled, Unacked};

/// The copy.
#[derive(Debug)]
pub struct KeptHere {
    /// The name of the stream, once the shard has given it.
    pub(super) id: String,
    unacked: Unacked,
    seen: Seen,
    /// What the client has sent.
    handled: Handled,
}

impl KeptHere {
    /// Nothing yet; the client's stanzas count from this one on.
    pub fn new(first: u64) -> Self {
        Self {
            id: String::new(),
            unacked: Unacked::default(),
            seen: Seen::default(),
            handled: Handled::behind(0, first),
        }
    }

    /// As the stream was left.
    pub(super) fn resumed(resumed: &Resumed) -> Self {
        Self {
            id: resumed.id.clone(),
            unacked: Unacked::behind(resumed.acked),
            seen: resumed.seen.clone(),
            handled: Handled::behind(resumed.h, 0),
        }
    }

    /// Whether this is what comes next. It is kept then.
    pub(super) fn takes(&mut self, delivered: &Delivered) -> bool {
        let next = self.unacked.sent() + 1;
        if delivered.number != next {
            return false;
        }
        self.unacked.keep(delivered);
        self.seen.note(delivered);
        true
    }

    /// The client has got so many.
    pub(super) fn acknowledged(&mut self, acked: u64) {
        // The session has counted what was sent.
        let _ = self.unacked.forget(acked as u32);
    }

    /// Stanzas of the client are on their way to its shard.
    pub(super) fn submitted(&mut self, first: u64, stanzas: usize) {
        self.handled.begins(first, stanzas);
    }

    /// Those that began with this number were dealt with.
    pub(super) fn settled(&mut self, first: u64) {
        self.handled.settles(first);
    }

    /// For the next owner of the shard; `None` before the shard has given the stream its name.
    pub(super) fn shown(&self) -> Option<Kept> {
        (!self.id.is_empty()).then(|| Kept {
            id: self.id.clone(),
            next_stanza: self.handled.next(),
            again: self.handled.again(),
            submitted: self.handled.end(),
            h: self.handled.count(),
            acked: self.unacked.acked(),
            unacked: self.unacked.iter().cloned().collect(),
            seen: self.seen.clone(),
        })
    }

    /// What the client has not acknowledged.
    pub(super) fn into_unacked(self) -> Vec<Delivered> {
        self.unacked.into_delivered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::tests::numbered;

    #[test]
    fn only_what_comes_next_is_kept_and_shown_once_the_stream_has_a_name() {
        let mut kept = KeptHere::new(4);
        assert!(kept.takes(&numbered(1, 2)));
        assert!(!kept.takes(&numbered(4, 1)), "one is missing");
        assert!(!kept.takes(&numbered(2, 1)), "it came before");
        assert!(kept.takes(&numbered(3, 1)));
        kept.acknowledged(1);
        kept.submitted(4, 2);
        kept.submitted(6, 1);
        kept.settled(6);
        assert!(kept.shown().is_none());
        kept.id = "name".to_owned();
        let shown = kept.shown().expect("it has a name");
        assert_eq!((shown.next_stanza, shown.h, shown.acked), (4, 0, 1));
        let numbers: Vec<_> = shown.unacked.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [2, 3]);
    }

    #[test]
    fn a_stream_that_goes_on_counts_on() {
        let resumed = Resumed {
            jid: std::sync::Arc::new("juliet@localhost/balcony".parse().expect("a JID")),
            id: "name".to_owned(),
            max_s: 10,
            h: 7,
            acked: 5,
            seen: Seen::default(),
        };
        let mut kept = KeptHere::resumed(&resumed);
        assert!(!kept.takes(&numbered(1, 1)));
        assert!(kept.takes(&numbered(6, 1)));
        kept.submitted(0, 2);
        kept.settled(0);
        let shown = kept.shown().expect("it has a name");
        assert_eq!((shown.next_stanza, shown.h, shown.acked), (2, 9, 5));
    }
}
