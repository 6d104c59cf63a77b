//! Who watches the control group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rookery_control::NodeId;
use tokio::sync::watch;

/// The watches of all nodes, one of each: what waits for a node is then bounded by its two newest events, which may be
/// the whole list of bans, however often it asks. A process has one watch, and a new one only when that has ended.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Mutex<BTreeMap<NodeId, watch::Sender<()>>>>);

/// One watch, until a later one of its node begins.
pub(super) struct Watch {
    node: NodeId,
    /// The other end is dropped by the next watch.
    stands: watch::Receiver<()>,
}

impl Watches {
    /// Begins a watch; the one that the node had ends.
    pub(super) fn begin(&self, node: NodeId) -> Watch {
        let (sender, stands) = watch::channel(());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, sender| !sender.is_closed());
        all.insert(node, sender);
        Watch { node, stands }
    }
}

impl Watch {
    /// Whose it is.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// Completes when a later watch of the node has begun.
    pub(super) async fn replaced(&mut self) {
        while self.stands.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_node_has_one_watch_and_those_that_ended_are_forgotten() {
        let watches = Watches::default();
        let (one, two) = (NodeId::FIRST, NodeId::new(2).unwrap());
        let (mut first, mut other) = (watches.begin(one), watches.begin(two));
        assert!(first.replaced().now_or_never().is_none());
        let mut second = watches.begin(one);
        assert!(first.replaced().now_or_never().is_some());
        assert!(second.replaced().now_or_never().is_none());
        assert!(other.replaced().now_or_never().is_none());
        drop((second, other));
        drop(watches.begin(NodeId::new(3).unwrap()));
        assert_eq!(watches.0.lock().unwrap().len(), 1);
    }
}
