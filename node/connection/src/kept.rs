//! What a session's node keeps of a stream that can be resumed (XEP-0198 5): the second copy of what the shard keeps,
//! for the shard's next owner.
//!
//! ```text
//! shard ── number 7, 8, 9 ──► queue and copy ── written ──► client
//!                                  │ ◄── acknowledged up to 8
//!                                  ▼
//!              next owner of the shard: 9, and how much the client has sent
//! ```

use rookery_session::carrier::{Delivered, Kept, Resumed};
use rookery_session::{Handled, Seen, Unacked};

/// The copy.
pub(crate) struct KeptHere {
    /// The name of the stream, once the shard has given it.
    pub(crate) id: String,
    unacked: Unacked,
    seen: Seen,
    /// What the client has sent.
    handled: Handled,
}

impl KeptHere {
    /// Nothing yet; the client's stanzas count from this one on.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            id: String::new(),
            unacked: Unacked::default(),
            seen: Seen::default(),
            handled: Handled::behind(0, first),
        }
    }

    /// As the stream was left.
    pub(crate) fn resumed(resumed: &Resumed) -> Self {
        Self {
            id: resumed.id.clone(),
            unacked: Unacked::behind(resumed.acked),
            seen: resumed.seen.clone(),
            handled: Handled::behind(resumed.h, 0),
        }
    }

    /// Whether this is what comes next. It is kept then.
    pub(crate) fn takes(&mut self, delivered: &Delivered) -> bool {
        let next = self.unacked.sent() + 1;
        if delivered.number != next {
            return false;
        }
        self.unacked.keep(delivered);
        self.seen.note(delivered);
        true
    }

    /// The client has got so many.
    pub(crate) fn acknowledged(&mut self, acked: u64) {
        // The session has counted what was sent.
        let _ = self.unacked.forget(acked as u32);
    }

    /// Stanzas of the client are on their way to its shard.
    pub(crate) fn submitted(&mut self, first: u64, stanzas: usize) {
        self.handled.begins(first, stanzas);
    }

    /// Those that began with this number were dealt with.
    pub(crate) fn settled(&mut self, first: u64) {
        self.handled.settles(first);
    }

    /// For the next owner of the shard; `None` before the shard has given the stream its name.
    pub(crate) fn shown(&self) -> Option<Kept> {
        (!self.id.is_empty()).then(|| Kept {
            id: self.id.clone(),
            next_stanza: self.handled.next(),
            submitted: self.handled.end(),
            h: self.handled.count(),
            acked: self.unacked.acked(),
            unacked: self.unacked.iter().cloned().collect(),
            seen: self.seen.clone(),
        })
    }

    /// What the client has not acknowledged.
    pub(crate) fn into_unacked(self) -> Vec<Delivered> {
        self.unacked.into_delivered()
    }
}
