//! Where an entry comes from.

use super::{Marks, Position};

/// Names a stanza in the whole cluster, for ever: a session, and the stanza's number in it. Whoever is sent a stanza a
/// second time knows it by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The node that held the session.
    pub node: u32,
    /// The session's number on that node.
    pub serial: u64,
    /// The stanza's number in the session.
    pub sequence: u64,
}

impl Origin {
    /// The form that databases keep: the three numbers one behind the other, big endian.
    pub(crate) fn pack(self) -> [u8; PACKED] {
        let mut packed = [0; PACKED];
        packed[..4].copy_from_slice(&self.node.to_be_bytes());
        packed[4..12].copy_from_slice(&self.serial.to_be_bytes());
        packed[12..].copy_from_slice(&self.sequence.to_be_bytes());
        packed
    }

    /// What [`pack`](Self::pack) made; none of anything else.
    pub(crate) fn unpack(packed: &[u8]) -> Option<Self> {
        let (node, rest) = packed.split_first_chunk()?;
        let (serial, sequence) = rest.split_first_chunk()?;
        Some(Self {
            node: u32::from_be_bytes(*node),
            serial: u64::from_be_bytes(*serial),
            sequence: u64::from_be_bytes(sequence.try_into().ok()?),
        })
    }
}

/// One of the newest entries of a log, without its stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Where it sits.
    pub position: Position,
    /// Which stanza of which session it is.
    pub origin: Origin,
    /// What it is for.
    pub marks: Marks,
}

/// Bytes of the packed form.
const PACKED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packed_form_reads_back_and_nothing_else_does() {
        let origin = Origin {
            node: 7,
            serial: u64::MAX,
            sequence: 1 << 40,
        };
        let packed = origin.pack();
        assert_eq!(Origin::unpack(&packed), Some(origin));
        for wrong in [&packed[..19], &[packed.as_slice(), &[0]].concat(), &[]] {
            assert_eq!(Origin::unpack(wrong), None);
        }
    }
}
