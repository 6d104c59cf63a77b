//! Nodes in one process over loopback TCP: shards that are queues, sessions that are mailboxes, and
//! a way between them that can be cut.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod cutter;
mod mailbox;
mod nodes;
mod pair;
mod shards;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use cutter::Cutter;
pub(crate) use mailbox::Mailbox;
pub(crate) use nodes::{Addresses, Place, RouterNode, options, ways};
pub(crate) use pair::{Pair, SHARDS, bind, pair};
use rookery_session::carrier::{PeerFrame, SessionId, ShardInput, ToShard};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, parse_rec};
pub(crate) use shards::FakeShards;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("in vain: {what}"),
    }
}

pub(crate) fn jid(text: &str) -> Arc<Jid> {
    Arc::new(text.parse().unwrap())
}

/// A message whose id is a number, with a body of so many bytes.
pub(crate) fn message(number: u64, body: usize) -> Batch {
    let body = "x".repeat(body);
    let text = format!(
        "<message from=\"a@example.net/a\" id=\"{number}\" to=\"b@example.net\"><body>{body}</body></message>"
    );
    let recs = vec![parse_rec(text.as_bytes()).unwrap()];
    let buf = text.into();
    Batch { buf, recs }
}

/// The numbers of a batch's messages.
pub(crate) fn numbers(batch: &Batch) -> Vec<u64> {
    let number = |rec: &rookery_xmpp::stanza::Rec| {
        let id = std::str::from_utf8(rec.id(&batch.buf).unwrap()).unwrap();
        id.parse().unwrap()
    };
    batch.recs.iter().map(number).collect()
}

/// A frame of a bound session.
pub(crate) fn stanzas(session: SessionId, number: u64, body: usize) -> ToShard {
    ToShard::Stanzas {
        session,
        from: jid("a@example.net/a"),
        sequence: number,
        batch: message(number, body),
        receipt: None,
    }
}

/// A frame of another shard.
pub(crate) fn forwarded(number: u64, body: usize) -> PeerFrame {
    PeerFrame::new(
        jid("a@example.net/a"),
        jid("b@example.net"),
        message(number, body),
    )
}

/// The session and the number of its stanzas.
pub(crate) fn stanza_of(input: &ShardInput) -> Option<(SessionId, u64)> {
    match input {
        ShardInput::Session(ToShard::Stanzas {
            session,
            sequence,
            batch,
            ..
        }) => {
            assert_eq!(numbers(batch), [*sequence]);
            Some((*session, *sequence))
        }
        _ => None,
    }
}
