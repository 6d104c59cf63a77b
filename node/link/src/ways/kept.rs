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
        | UpBody::Session(ToShard::Stanzas { receipt, .. } | ToShard::Closed { receipt, .. }) => {
            Some(receipt)
        }
        UpBody::Session(ToShard::Left { delivered, .. }) => Some(&mut delivered.receipt),
        _ => None,
    }
}
