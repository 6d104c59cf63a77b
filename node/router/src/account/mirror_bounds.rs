//! How much may be kept of streams that can be resumed: of one, and of all whose accounts this node owns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rookery_session::Unacked;
use rookery_session::carrier::Delivered;
use rookery_xmpp::stanza::{Kind, Rec};

use crate::shard::Turn;

/// How much of what is not messages may be kept past the bounds on messages: presence and answers cannot come from the
/// log, so who does not take them in the end is given up.
const BEYOND: u64 = 4;

/// The bounds of one stream, and its part of what is kept in all.
pub(super) struct Bounds {
    stanzas_max: u64,
    bytes_max: u64,
    in_all_max: u64,
    in_all: Arc<AtomicU64>,
    counted: u64,
}

impl Bounds {
    /// As they are now.
    pub(super) fn now(turn: &Turn<'_>) -> Self {
        let options = &turn.options;
        Self {
            stanzas_max: options.resume_stanzas_max.into(),
            bytes_max: options.resume_bytes_max.into(),
            in_all_max: options.resume_bytes_in_all_max,
            in_all: turn.env.unacked_bytes.clone(),
            counted: 0,
        }
    }

    /// Whether this may be kept beside what is. One of any size may be, where nothing is kept of the stream.
    pub(super) fn have_room(&self, unacked: &Unacked, delivered: &Delivered) -> bool {
        let is_message = |rec: &Rec| rec.kind == Kind::Message;
        let times = match delivered.batch.recs.iter().any(is_message) {
            true => 1,
            false => BEYOND,
        };
        let (stanzas, bytes) = (&delivered.batch.recs, delivered.batch.stanza_bytes() as u64);
        let in_all = self.in_all.load(Ordering::Relaxed) + bytes;
        unacked.stanzas() == 0
            || unacked.stanzas() + stanzas.len() as u64 <= times * self.stanzas_max
                && unacked.bytes() as u64 + bytes <= times * self.bytes_max
                && in_all <= times * self.in_all_max
    }

    /// So much is kept now.
    pub(super) fn count(&mut self, unacked: &Unacked) {
        let now = unacked.bytes() as u64;
        let before = std::mem::replace(&mut self.counted, now);
        if now >= before {
            self.in_all.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.in_all.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}

impl Drop for Bounds {
    fn drop(&mut self) {
        self.in_all.fetch_sub(self.counted, Ordering::Relaxed);
    }
}
