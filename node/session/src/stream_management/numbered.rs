//! What a client was sent of a stream that can be resumed. Others keep it; this counts.

use crate::carrier::Delivered;

/// Counts the stanzas that the shard has numbered.
#[derive(Debug)]
pub(super) struct Numbered {
    /// How many were written, and how many the client has.
    sent: u64,
    acked: u64,
    window_s: u32,
}

impl Numbered {
    /// The client has so many.
    pub(super) fn new(acked: u64, window_s: u32) -> Self {
        Self {
            sent: acked,
            acked,
            window_s,
        }
    }

    /// For how many seconds the stream can be resumed after its end.
    pub(super) fn window_s(&self) -> u32 {
        self.window_s
    }

    /// Stanzas are written. What the shard delivered before it numbered has none, and does not count.
    pub(super) fn sent(&mut self, delivered: &Delivered) {
        if delivered.number != 0 {
            self.sent = delivered.number - 1 + delivered.batch.recs.len() as u64;
        }
    }

    /// How many the client has not acknowledged.
    pub(super) fn unacked(&self) -> u64 {
        self.sent - self.acked
    }

    /// The client has so many, modulo 2^32: how many that is. `Err` tells how many it was sent.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<u64, u32> {
        let news = u64::from(h.wrapping_sub(self.acked as u32));
        if news > self.unacked() {
            return Err(self.sent as u32);
        }
        self.acked += news;
        Ok(self.acked)
    }
}
