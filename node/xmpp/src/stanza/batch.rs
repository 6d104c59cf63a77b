//! Stanzas that travel together: those of one read of one socket, or those that one turn of a shard sends one way.

use bytes::Bytes;

use super::Rec;

/// Some stanzas, in order, in one buffer of canonical bytes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The canonical bytes that the records point into.
    pub buf: Bytes,
    /// The stanzas, in the order in which they were sent.
    pub recs: Vec<Rec>,
}

impl Batch {
    /// The bytes of all stanzas together.
    pub fn stanza_bytes(&self) -> usize {
        self.recs
            .iter()
            .map(|rec| (rec.end - rec.start) as usize)
            .sum()
    }
}
