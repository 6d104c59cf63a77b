//! A message that the server itself sends to one of its accounts.

use std::sync::Arc;
use std::time::Duration;

use rookery_router::environment::Environment;
use rookery_session::carrier::{Full, PeerFrame, Peers, Receipt, Receipts, ShardId};
use rookery_xmpp::element::Element;
use rookery_xmpp::entropy::{Entropy, OsEntropy};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Batch, parse_rec};
use tokio::sync::Notify;

/// Writes to an account in the name of a host. True when its shard has dealt with the message: it is at a client, in the
/// log, or refused.
pub(super) async fn send(
    peers: &Arc<dyn Peers>,
    environment: &Environment,
    host: &Jid,
    to: Jid,
    text: &str,
) -> bool {
    let message = Element::new("message", ns::CLIENT)
        .with_attr("from", host.as_str())
        .with_attr("to", to.as_str())
        .with_attr("id", OsEntropy.token())
        .with_attr("type", "chat")
        .with_child(Element::new("body", ns::CLIENT).with_text(text));
    let buf = message.to_bytes();
    let Some(rec) = parse_rec(&buf) else {
        return false;
    };
    let shard = environment.shard_of(to.bare_str());
    let batch = Batch {
        buf,
        recs: vec![rec],
    };
    let settled = Arc::new(Settled::default());
    let mut frame = PeerFrame::new(Arc::new(host.clone()), Arc::new(to), batch);
    let receipt = Receipt::new(shard, 0, settled.clone());
    // Whoever handles the frame keeps a receipt of its own, and this one until then.
    receipt.is_done();
    frame.receipt = Some(receipt);
    let sent = async {
        while let Err(Full(refused)) = peers.forward(shard, frame) {
            frame = refused;
            tokio::time::sleep(RETRY_WHEN_FULL).await;
        }
        settled.0.notified().await;
    };
    tokio::time::timeout(PATIENCE, sent).await.is_ok()
}

/// Hears that the message was dealt with.
#[derive(Default)]
struct Settled(Notify);

impl Receipts for Settled {
    fn settled(&self, _: ShardId, _: u64) {
        self.0.notify_one();
    }
}

/// Longer than a shard takes to move to another node.
const PATIENCE: Duration = Duration::from_secs(30);

/// A full shard works through its queue in less.
const RETRY_WHEN_FULL: Duration = Duration::from_millis(50);
