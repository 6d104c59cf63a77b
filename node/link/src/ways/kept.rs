//! A frame that its sender keeps until its shard has settled it.

use std::sync::Arc;

use rookery_session::carrier::{PeerFrame, Receipt, Stands, ToShard};

use crate::wire::{Up, UpBody};

/// The frame, and apart from it the receipt of what it follows from. A link holds on to a frame until its peer has told
/// to forget it, which one that stands still does not; the receipt must not wait for that when the next owner of the
/// shard has settled the frame.
pub(super) struct Kept {
    up: Arc<Up>,
    receipt: Option<Receipt>,
    size: usize,
}

impl Kept {
    /// Keeps a frame of this size.
    pub(super) fn new(mut up: Up, size: usize) -> Self {
        let receipt = receipt_of(&mut up).and_then(Option::take);
        Self {
            up: Arc::new(up),
            receipt,
            size,
        }
    }

    /// What links carry.
    pub(super) fn up(&self) -> &Arc<Up> {
        &self.up
    }

    /// Bytes on a link.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the shard that says so may still speak: what a session says stands by itself.
    pub(super) fn stands(&self) -> Stands {
        match (&self.up.body, &self.receipt) {
            (UpBody::Peer(_), Some(receipt)) => receipt.stands(),
            _ => Stands::Firmly,
        }
    }

    /// The shard has settled it. A session that waits to hear that, hears it; a shard is told as its receipt goes.
    pub(super) fn settled(&self) {
        if let (UpBody::Session(_), Some(receipt)) = (&self.up.body, &self.receipt) {
            receipt.is_done();
        }
    }

    /// The frame as it was.
    pub(super) fn into_up(self) -> Up {
        let mut up = Arc::unwrap_or_clone(self.up);
        if let Some(place) = receipt_of(&mut up) {
            *place = self.receipt;
        }
        up
    }
}

/// Where a frame has the receipt of what it follows from.
fn receipt_of(up: &mut Up) -> Option<&mut Option<Receipt>> {
    match &mut up.body {
        UpBody::Peer(PeerFrame { receipt, .. })
        | UpBody::Session(
            ToShard::Stanzas { receipt, .. }
            | ToShard::Closed { receipt, .. }
            | ToShard::Detached { receipt, .. },
        ) => Some(receipt),
        UpBody::Session(ToShard::Left { delivered, .. }) => Some(&mut delivered.receipt),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use rookery_session::carrier::{Receipts, SessionId, ShardId};
    use rookery_xmpp::stanza::Batch;

    use super::*;

    /// A session that waits to hear what was dealt with of what its client sent.
    #[derive(Default)]
    struct Waiting(AtomicU32);

    impl Receipts for Waiting {
        fn settled(&self, _: ShardId, _: u64) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sent(waiting: &Arc<Waiting>) -> Kept {
        let stanzas = ToShard::Stanzas {
            session: SessionId { node: 1, serial: 2 },
            from: Arc::new("romeo@localhost/a".parse().expect("a JID")),
            sequence: 0,
            batch: Batch::default(),
            receipt: Some(Receipt::new(ShardId(0), 0, waiting.clone())),
        };
        Kept::new(Up::new(ShardId(0), UpBody::Session(stanzas)), 10)
    }

    #[test]
    fn a_session_hears_that_its_stanzas_were_settled_while_a_link_holds_the_frame() {
        let waiting = Arc::new(Waiting::default());
        let kept = sent(&waiting);
        let on_the_link = kept.up().clone();
        kept.settled();
        drop(kept);
        assert_eq!(waiting.0.load(Ordering::Relaxed), 1);
        drop(on_the_link);
    }

    #[test]
    fn a_session_hears_nothing_of_a_frame_that_comes_back() {
        let waiting = Arc::new(Waiting::default());
        let up = sent(&waiting).into_up();
        assert!(matches!(
            up.body,
            UpBody::Session(ToShard::Stanzas {
                receipt: Some(_),
                ..
            })
        ));
        drop(up);
        assert_eq!(waiting.0.load(Ordering::Relaxed), 0);
    }
}
