//! The end of the way from shards to a client, and what is said of it when the client is gone.
//!
//! ```text
//! shard ─► Outbound: taken, kept, dropped or refused ─► session ─► client
//!                 │
//!   ✝ stream ends └─► Rest ─► farewell: what the client has not got, and that the session is over ─► shard
//! ```
//!
//! * [`Outbound`]: the queue. Whoever shares it between threads locks it, and wakes the session.
//! * [`KeptHere`]: what is kept of a stream that can be resumed.
//! * [`Afterwards`], [`farewell`]: what becomes of a session whose stream is over.

mod afterwards;
mod kept;
mod queue;

pub use self::afterwards::{Afterwards, farewell};
pub use self::kept::KeptHere;
pub use self::queue::{Outbound, Rest};

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rookery_xmpp::stanza::{Batch, Rec};

    use crate::carrier::Delivered;

    /// So many stanzas of so many bytes each.
    pub(super) fn stanzas(stanzas: u32, bytes: u32) -> Delivered {
        let rec = |i| Rec {
            start: i * bytes,
            end: (i + 1) * bytes,
            ..Rec::default()
        };
        let buf = Bytes::from(vec![b' '; (stanzas * bytes) as usize]);
        let recs = (0..stanzas).map(rec).collect();
        Batch { buf, recs }.into()
    }

    /// So many stanzas of a stream that can be resumed, from this number on.
    pub(super) fn numbered(number: u64, count: u32) -> Delivered {
        Delivered {
            number,
            ..stanzas(count, 1)
        }
    }
}
