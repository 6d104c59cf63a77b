//! A session's way to its account's shard.

use std::collections::VecDeque;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rookery_control::networks;
use rookery_session::carrier::{
    AskId, Delivered, Full, Question, Receipt, RoutersRef, ShardId, Sink, ToShard,
};
use rookery_session::{Afterwards, KeptHere, farewell};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Batch;
use tokio::time::{Instant, timeout_at};

use crate::inbox::Inbox;
use crate::shared::Waiting;

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
            Question::Credentials { account }
            | Question::Bind { account, .. }
            | Question::Enable { account, .. }
            | Question::Resume { account, .. } => self.shard_of(account),
            Question::Register { address, .. } => shard_of_network(*address, self.routers.shards()),
            // No session asks it; any shard can say so.
            Question::Admin(_) => ShardId(0),
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
        self.inbox.bind(jid.clone());
        let shard = self.shard_of(&jid);
        self.bound = Some(Bound { jid, shard });
    }

    /// Hands over the stanzas of one read, and gives the number of the first: by that the inbox hears when they have
    /// been dealt with. Without an account there is nobody to hand them to.
    pub(crate) fn stanzas(&mut self, batch: Batch, are_counted: bool) -> Option<u64> {
        let sequence = self.sequence;
        let Bound { jid, shard } = self.bound.as_ref()?;
        let (from, shard) = (jid.clone(), *shard);
        self.sequence += batch.recs.len() as u64;
        let session = self.inbox.session();
        if are_counted {
            self.inbox.submitted(sequence, batch.recs.len());
        }
        let receipt = Some(Receipt::new(shard, sequence, self.inbox.clone()));
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
        Some(sequence)
    }

    /// Asks the shard whether the stream can be resumed, and keeps from now on what it numbers.
    pub(crate) fn enable(&mut self, ask: AskId, account: Jid) {
        let first = self.sequence;
        self.inbox.keep(KeptHere::new(first));
        self.ask(ask, Question::Enable { account, first });
    }

    /// The client has got so many of the numbered stanzas.
    pub(crate) fn acknowledged(&mut self, acked: u64) {
        self.inbox.acknowledged(acked);
        let Some(Bound { jid, shard }) = &self.bound else {
            return;
        };
        let (jid, shard) = (jid.clone(), *shard);
        let session = self.inbox.session();
        self.send(
            shard,
            ToShard::Acked {
                session,
                jid,
                acked,
            },
        );
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
        // The actor may end before the shard has room.
        if let Some(left) = self.take_left_over() {
            actix::spawn(left);
        }
    }

    /// The session goes on without this node: its shard keeps it until its client comes back by another one.
    pub(crate) fn leave_to_shard(&mut self) {
        if std::mem::replace(&mut self.detached, true) {
            return;
        }
        // The shard has it all, and may be lost before it has heard of this.
        self.inbox.stop();
        if let Some(Bound { jid, shard }) = self.bound.take() {
            let session = self.inbox.session();
            let receipt = None;
            let detached = ToShard::Detached {
                session,
                jid,
                receipt,
            };
            self.send(shard, detached);
        }
        if let Some(left) = self.take_left_over() {
            actix::spawn(left);
        }
    }

    /// The client is lost, and may come back within this time: the session goes on without it, in this place. Its shard
    /// hears of nothing but its end.
    pub(crate) fn wait_for_client(&mut self, window: Duration, place: impl FnOnce() -> Waiting) {
        if std::mem::replace(&mut self.detached, true) {
            return;
        }
        let place = place();
        let left_over = self.take_left_over();
        let mut waiting = Self::new(self.routers.clone(), self.inbox.clone());
        waiting.bound = self.bound.take();
        // Thousands may wait: what few of them need is not part of each.
        match left_over {
            None => drop(actix::spawn(waiting.hibernate(window, place))),
            Some(left_over) => drop(actix::spawn(async move {
                left_over.await;
                waiting.hibernate(window, place).await;
            })),
        }
    }

    /// Until the time is up, somebody ends the session or its client has gone on elsewhere. A block holds what it is
    /// given once, where an `async fn` holds it twice.
    fn hibernate(mut self, window: Duration, place: Waiting) -> impl Future<Output = ()> {
        let end = Instant::now() + window;
        async move {
            let ended = std::future::poll_fn(|cx| {
                self.inbox.register(cx.waker());
                match self.inbox.drop_frames() || self.inbox.is_cut() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            });
            let over = timeout_at(end, ended).await;
            match Afterwards::of_waiting(self.inbox.is_left()) {
                Afterwards::StaysAtShard => self.leave_to_shard(),
                _ => {
                    tracing::debug!(in_time = over.is_ok(), "session without a client ends");
                    // If the client went on elsewhere, the shard takes no notice of what comes back.
                    self.detach(Vec::new());
                }
            }
            drop(place);
        }
    }

    /// What the shard had no room for.
    fn take_left_over(&mut self) -> Option<impl Future<Output = ()> + use<>> {
        let waiting = self.waiting.take()?;
        let (routers, backlog) = (self.routers.clone(), std::mem::take(&mut self.backlog));
        Some(async move {
            waiting.await;
            for (shard, frame) in backlog {
                routers.send_when_room(shard, frame).await;
            }
        })
    }

    /// Closes the inbox; what the shard must be told if the session was bound, or was about to hear
    /// that it is.
    fn closed(&mut self, written: Vec<Delivered>) -> Vec<(ShardId, ToShard)> {
        let bound = self.bound.take().map(|bound| bound.jid);
        let rest = self.inbox.close();
        let Some((jid, words)) = farewell(self.inbox.session(), bound, written, rest) else {
            return Vec::new();
        };
        let shard = self.shard_of(&jid);
        let mut words: Vec<_> = words.into_iter().map(|word| (shard, word)).collect();
        // What the shard finds in the client's last stanzas reaches the inbox as long as this is not dealt with.
        if let Some((_, ToShard::Closed { receipt, .. })) = words.last_mut() {
            *receipt = Some(Receipt::new(shard, self.sequence, self.inbox.clone()));
        }
        words
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

/// The shard that decides about the strangers of a network. All of them come to the same one, on whatever node and
/// however many connections, so what it counts of the network (its captchas) holds over the whole cluster.
fn shard_of_network(address: IpAddr, shards: u16) -> ShardId {
    let [_, prefix] = networks(address);
    ShardId::of(&prefix.to_string(), shards)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The runtime adds 96 bytes, and the allocator's next size is 384.
    #[test]
    fn what_waits_for_a_client_takes_no_more_than_288_bytes() {
        fn bytes<R>(_: impl FnOnce(ShardLink, Duration, Waiting) -> R) -> usize {
            size_of::<R>()
        }
        let bytes = bytes(ShardLink::hibernate);
        assert!(bytes <= 288, "{bytes} bytes");
    }

    #[test]
    fn the_strangers_of_one_network_come_to_one_shard_and_networks_are_spread_over_all() {
        let of = |address: &str| shard_of_network(address.parse().expect("an address"), 1_024);
        for [one, other] in [
            ["192.0.2.1", "::ffff:192.0.2.200"],
            ["2001:db8:1:2::3", "2001:db8:1:ffff::1"],
        ] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
        let all: std::collections::BTreeSet<_> = (0..=255)
            .map(|third| of(&format!("192.0.{third}.1")))
            .collect();
        assert!(all.len() > 200, "{} shards of 1,024", all.len());
    }
}
