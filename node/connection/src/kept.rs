//! What a session's node keeps of a stream that can be resumed (XEP-0198 5): the second copy of what the shard keeps,
//! for the shard's next owner.
//!
//! ```text
//! shard ── number 7, 8, 9 ──► queue and copy ── written ──► client
//!                                  │ ◄── acknowledged up to 8
//!                                  ▼
//!              next owner of the shard: 9, and how much the client has sent
//! ```

use std::collections::VecDeque;

use rookery_session::carrier::{Delivered, Kept, Resumed};
use rookery_session::{Seen, Unacked};

/// The copy.
pub(crate) struct KeptHere {
    /// The name of the stream, once the shard has given it.
    pub(crate) id: String,
    unacked: Unacked,
    seen: Seen,
    /// How many of the client's stanzas were dealt with ahead of the first that is under way.
    h: u32,
    /// The number of that one.
    first_open: u64,
    /// Runs of the client's stanzas from there on: the first of each, how many, and whether they were dealt with.
    open: VecDeque<(u64, u32, bool)>,
}

impl KeptHere {
    /// Nothing yet; the client's stanzas count from this one on.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            id: String::new(),
            unacked: Unacked::default(),
            seen: Seen::default(),
            h: 0,
            first_open: first,
            open: VecDeque::new(),
        }
    }

    /// As the stream was left.
    pub(crate) fn resumed(resumed: &Resumed) -> Self {
        Self {
            id: resumed.id.clone(),
            unacked: Unacked::behind(resumed.acked),
            seen: Seen::default(),
            h: resumed.h,
            first_open: 0,
            open: VecDeque::new(),
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
        let stanzas = u32::try_from(stanzas).unwrap_or(u32::MAX);
        self.open.push_back((first, stanzas, false));
    }

    /// Those that began with this number were dealt with.
    pub(crate) fn settled(&mut self, first: u64) {
        if let Ok(at) = self.open.binary_search_by_key(&first, |run| run.0) {
            self.open[at].2 = true;
        }
        while let Some((first, stanzas, true)) = self.open.front().copied() {
            self.h = self.h.wrapping_add(stanzas);
            self.first_open = first + u64::from(stanzas);
            self.open.pop_front();
        }
    }

    /// For the next owner of the shard; `None` before the shard has given the stream its name.
    pub(crate) fn shown(&self) -> Option<Kept> {
        (!self.id.is_empty()).then(|| Kept {
            id: self.id.clone(),
            next_stanza: self.open.front().map_or(self.first_open, |run| run.0),
            h: self.h,
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
