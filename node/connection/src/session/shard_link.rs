//! A session's way to its account's shard.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use rookery_session::carrier::{
    Answer, AskId, Delivered, Full, Question, Receipt, RoutersRef, ShardId, Sink, ToSession,
    ToShard,
};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Batch;

use crate::inbox::Inbox;

/// Carries frames in order. What a full shard gives back is kept, and the session reads no further
/// until it is gone.
pub(crate) struct ShardLink {
    routers: RoutersRef,
    inbox: Arc<Inbox>,
    /// The session's address once it is bound.
    bound: Option<Bound>,
    /// Number of the next stanza.
    sequence: u64,
    detached: bool,
    waiting: Option<Pin<Box<dyn Future<Output = ()>>>>,
    backlog: VecDeque<(ShardId, ToShard)>,
}

struct Bound {
    jid: Arc<Jid>,
    shard: ShardId,
}

impl ShardLink {
    /// A link that knows no account yet.
    pub(crate) fn new(routers: RoutersRef, inbox: Arc<Inbox>) -> Self {
        Self {
            routers,
            inbox,
            bound: None,
            sequence: 0,
            detached: false,
            waiting: None,
            backlog: VecDeque::new(),
        }
    }

    /// Asks the shard that can answer.
    pub(crate) fn ask(&mut self, ask: AskId, question: Question) {
        let shard = match &question {
            Question::Credentials { account } | Question::Bind { account, .. } => {
                self.shard_of(account)
            }
            // Whom it concerns is in the IQ, and any shard can look: by session, so that all share
            // a flood.
            Question::Register { .. } | Question::Admin(_) => {
                let shards = u64::from(self.routers.shards().max(1));
                ShardId((self.inbox.session().serial % shards) as u16)
            }
        };
        self.send(
            shard,
            ToShard::Ask {
                from: self.inbox.clone(),
                ask,
                question,
            },
        );
    }

    /// Stanzas go to this account's shard from now on.
    pub(crate) fn bind(&mut self, jid: Arc<Jid>) {
        let shard = self.shard_of(&jid);
        self.bound = Some(Bound { jid, shard });
    }

    /// Hands over the stanzas of one read, and gives the number of the first. Where that is wanted, the inbox hears by
    /// it when they have been dealt with. Without an account there is nobody to hand them to.
    pub(crate) fn stanzas(&mut self, batch: Batch, with_receipt: bool) -> u64 {
        let sequence = self.sequence;
        let Some(Bound { jid, shard }) = &self.bound else {
            return sequence;
        };
        let (from, shard) = (jid.clone(), *shard);
        self.sequence += batch.recs.len() as u64;
        let session = self.inbox.session();
        let receipt = with_receipt.then(|| Receipt::new(shard, sequence, self.inbox.clone()));
        self.send(
            shard,
            ToShard::Stanzas {
                session,
                from,
                sequence,
                batch,
                receipt,
            },
        );
        sequence
    }

    /// Whether the shard took everything.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.is_none()
    }

    /// Goes on with what waits.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some(waiting) = &mut self.waiting {
            if waiting.as_mut().poll(cx).is_pending() {
                return;
            }
            self.waiting = None;
            while self.waiting.is_none()
                && let Some((shard, frame)) = self.backlog.pop_front()
            {
                self.send(shard, frame);
            }
        }
    }

    /// The session is over: the shard hears of it behind everything else, and nothing is taken from
    /// it any more. It gets back what the client has not acknowledged, and what was not written.
    pub(crate) fn detach(&mut self, unacked: Vec<Delivered>) {
        if std::mem::replace(&mut self.detached, true) {
            return;
        }
        for (shard, frame) in self.closed(unacked) {
            self.send(shard, frame);
        }
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        // The actor may end before the shard has room.
        let (routers, backlog) = (self.routers.clone(), std::mem::take(&mut self.backlog));
        actix::spawn(async move {
            waiting.await;
            for (shard, frame) in backlog {
                routers.send_when_room(shard, frame).await;
            }
        });
    }

    /// Closes the inbox; what the shard must be told if the session was bound, or was about to hear
    /// that it is.
    fn closed(&mut self, mut left: Vec<Delivered>) -> Vec<(ShardId, ToShard)> {
        for frame in self.inbox.close() {
            match frame {
                ToSession::Answer {
                    answer: Answer::Bound(jid),
                    ..
                } if self.bound.is_none() => self.bind(jid),
                ToSession::Deliver(delivered) => left.push(delivered),
                _ => {}
            }
        }
        let Some(Bound { jid, shard }) = self.bound.take() else {
            return Vec::new();
        };
        let frames = ToShard::last_words(self.inbox.session(), &jid, left);
        frames.map(|frame| (shard, frame)).collect()
    }

    fn send(&mut self, shard: ShardId, frame: ToShard) {
        if self.waiting.is_some() {
            self.backlog.push_back((shard, frame));
        } else if let Err(Full(frame)) = self.routers.send(shard, frame) {
            self.waiting = Some(self.routers.send_when_room(shard, frame));
        }
    }

    fn shard_of(&self, account: &Jid) -> ShardId {
        ShardId::of(account.bare_str(), self.routers.shards())
    }
}

/// An actor that ends without its machine's word (a panic, a thread that stops) must not leave a
/// session behind.
impl Drop for ShardLink {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        for (shard, frame) in self.closed(Vec::new()) {
            if self.routers.send(shard, frame).is_err() {
                tracing::warn!(shard = shard.0, "shard was not told that a session ended");
            }
        }
    }
}
