//! Sends snapshots in pieces, beside the stream of messages.

use std::time::Duration;

use bytes::Bytes;
use rookery_control::NodeId;
use rookery_control::raft::eraftpb::Message;
use rookery_control::raft::{Mailbox, encode_message};
use rookery_proto::raft::SnapshotChunk;
use tokio_stream::Stream;
use tonic::Status;

use super::peer::{NoStream, connect};
use super::transport::Way;
use super::version::Spoken;

/// Sends one snapshot; says whether it arrived.
pub(super) async fn send(way: &Way, node: NodeId, spoken: &Spoken, message: Message) -> bool {
    let bytes = match encode_message(&message) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => {
            tracing::error!(%error, "snapshot cannot be sent");
            return false;
        }
    };
    drop(message);
    let size = bytes.len();
    let sending = async {
        let mut client = connect(way, node).await?;
        let stream = chunks(bytes, spoken.get(), node);
        let sent = client.install_snapshot(stream).await;
        sent.map_err(|status| {
            spoken.heed(&status);
            NoStream::Ended(Box::new(status))
        })
    };
    let result = tokio::time::timeout(WITHIN, sending).await;
    let result = result.unwrap_or_else(|_| {
        let status = Status::deadline_exceeded("not within its time");
        Err(NoStream::Ended(Box::new(status)))
    });
    match result {
        Ok(_) => tracing::info!(to = node.get(), bytes = size, "snapshot sent"),
        Err(error) => {
            tracing::warn!(to = node.get(), bytes = size, %error, "snapshot not sent");
            return false;
        }
    }
    true
}

/// Tells the member what became of a snapshot, until it has heard: it waits for it.
pub(super) async fn report(mailbox: &Mailbox, node: NodeId, delivered: bool) {
    for _ in 0..REPORTS_MAX {
        if mailbox.snapshot_sent(node, delivered) {
            return;
        }
        tokio::time::sleep(REPORT_PAUSE).await;
    }
    tracing::error!(
        to = node.get(),
        "control member does not take the report of a snapshot"
    );
}

fn chunks(bytes: Bytes, version: u32, to: NodeId) -> impl Stream<Item = SnapshotChunk> + Send {
    let count = bytes.len().div_ceil(CHUNK).max(1);
    tokio_stream::iter((0..count).map(move |at| SnapshotChunk {
        version,
        to: to.get(),
        data: bytes.slice(at * CHUNK..bytes.len().min((at + 1) * CHUNK)),
        last: at + 1 == count,
    }))
}

/// Far below what gRPC takes as one message.
const CHUNK: usize = 256 << 10;

/// The largest state over a slow line between data centres.
const WITHIN: Duration = Duration::from_secs(120);

/// A driver whose queue is full for a minute hangs, and a restart starts over.
const REPORTS_MAX: u32 = 1_200;
const REPORT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn the_chunks_together_are_the_snapshot_and_only_the_last_says_so() {
        for size in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let bytes = Bytes::from(vec![7; size]);
            let chunks: Vec<_> = chunks(bytes.clone(), 2, NodeId::FIRST).collect().await;
            let joined: Vec<u8> = chunks
                .iter()
                .flat_map(|chunk| chunk.data.to_vec())
                .collect();
            assert_eq!(joined, bytes);
            let lasts: Vec<_> = chunks.iter().map(|chunk| chunk.last).collect();
            assert!(lasts[lasts.len() - 1] && !lasts[..lasts.len() - 1].contains(&true));
        }
    }
}
