//! What waits for one session: the end of the way from shards to a client.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use rookery_session::Seen;
use rookery_session::carrier::{
    Answer, Delivered, Full, Kept, Receipts, SessionId, ShardId, Sink, ToSession,
};

use crate::ConnectionOptions;
use crate::kept::KeptHere;

/// A bounded queue into one session actor, which it wakes once for all that is there.
///
/// Deliveries are refused when it holds `outbound_stanzas_max` or `outbound_bytes_max`, but one of
/// any size fits into an empty queue. Answers and closes always fit: a session asks one thing at a
/// time and is closed once.
pub(crate) struct Inbox {
    session: SessionId,
    stanzas_max: usize,
    bytes_max: usize,
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<ToSession>,
    stanzas: usize,
    bytes: usize,
    /// What came last from whom.
    seen: Seen,
    /// What the session's client has sent and has been dealt with: the numbers of the first stanzas.
    settled: Vec<u64>,
    /// What is kept of a stream that can be resumed.
    kept: Option<KeptHere>,
    closed: bool,
    cut: bool,
    /// The session shall be left to its shard.
    left: bool,
}

/// What an inbox gives when it is closed.
pub(crate) struct Rest {
    /// What was not taken, and is in nothing else that is given.
    pub(crate) frames: VecDeque<ToSession>,
    /// What was numbered, and the client has not acknowledged.
    pub(crate) unacked: Vec<Delivered>,
}

impl Inbox {
    /// An empty inbox.
    pub(crate) fn new(session: SessionId, options: &ConnectionOptions) -> Self {
        Self {
            session,
            stanzas_max: options.outbound_stanzas_max as usize,
            bytes_max: options.outbound_bytes_max as usize,
            queue: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// The actor to wake when something comes.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Takes frames in order, until their stanzas have more than `bytes_max` together.
    pub(crate) fn take(&self, bytes_max: usize, frames: &mut Vec<ToSession>) {
        let mut queue = self.queue();
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(frame) = queue.frames.pop_front() else {
                break;
            };
            if let ToSession::Deliver(Delivered { batch, .. }) = &frame {
                queue.stanzas -= batch.recs.len();
                let size = batch.stanza_bytes();
                queue.bytes -= size;
                bytes += size;
            }
            frames.push(frame);
        }
    }

    /// Takes the numbers of what has been dealt with.
    pub(crate) fn take_settled(&self, settled: &mut Vec<u64>) {
        std::mem::swap(&mut self.queue().settled, settled);
    }

    /// Whether something waits.
    pub(crate) fn has_frames(&self) -> bool {
        !self.queue().frames.is_empty()
    }

    /// From now on keeps what is numbered, takes all of it, and counts what the session's client has sent: from this
    /// stanza on.
    pub(crate) fn keep(&self, kept: KeptHere) {
        self.queue().kept = Some(kept);
    }

    /// Nothing is numbered after all.
    pub(crate) fn keep_nothing(&self) {
        self.queue().kept = None;
    }

    /// Stanzas of the client are on their way to its shard.
    pub(crate) fn submitted(&self, first: u64, stanzas: usize) {
        if let Some(kept) = &mut self.queue().kept {
            kept.submitted(first, stanzas);
        }
    }

    /// The client has got so many of what is numbered.
    pub(crate) fn acknowledged(&self, acked: u64) {
        if let Some(kept) = &mut self.queue().kept {
            kept.acknowledged(acked);
        }
    }

    /// Refuses everything from now on, and gives what was not taken.
    pub(crate) fn close(&self) -> Rest {
        let mut queue = self.queue();
        queue.closed = true;
        queue.stanzas = 0;
        queue.bytes = 0;
        let mut frames = std::mem::take(&mut queue.frames);
        let kept = queue.kept.take();
        drop(queue);
        let is_kept = |frame: &ToSession| matches!(frame, ToSession::Deliver(delivered) if delivered.number != 0);
        frames.retain(|frame| !is_kept(frame));
        Rest {
            frames,
            unacked: kept.map_or_else(Vec::new, KeptHere::into_unacked),
        }
    }

    /// Drops what waits to be written: nobody will write it here, and it is kept. Whether the shard has ended the
    /// session.
    pub(crate) fn drop_frames(&self) -> bool {
        let mut queue = self.queue();
        queue.stanzas = 0;
        queue.bytes = 0;
        let frames = std::mem::take(&mut queue.frames);
        drop(queue);
        frames
            .iter()
            .any(|frame| matches!(frame, ToSession::Close(_)))
    }

    /// Tells the actor to end without a word.
    pub(crate) fn cut(&self) {
        self.queue().cut = true;
        self.waker.wake();
    }

    /// The same, where the session goes on without this node if it can.
    pub(crate) fn leave(&self) {
        self.queue().left = true;
        self.cut();
    }

    /// Whether the session shall go on without this node.
    pub(crate) fn is_left(&self) -> bool {
        self.queue().left
    }

    /// Whether the actor must end without a word.
    pub(crate) fn is_cut(&self) -> bool {
        self.queue().cut
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is complete before anything could panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn answered(&mut self, answer: &Answer) {
        match (answer, &mut self.kept) {
            (Answer::Enabled { id, .. }, Some(kept)) => id.clone_into(&mut kept.id),
            (Answer::Resumed(resumed), kept) => *kept = Some(KeptHere::resumed(resumed)),
            _ => {}
        }
    }
}

impl Sink for Inbox {
    fn session(&self) -> SessionId {
        self.session
    }

    fn may_be_resumed(&self) -> bool {
        true
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn kept(&self) -> Option<Kept> {
        self.queue().kept.as_ref().and_then(KeptHere::shown)
    }

    fn send(&self, mut frame: ToSession) -> Result<(), Full<ToSession>> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Full(frame));
        }
        // What follows is numbered, and may be here before the session has read this.
        if let ToSession::Answer { answer, .. } = &frame {
            queue.answered(answer);
        }
        if let ToSession::Deliver(delivered) = &mut frame
            && delivered.number != 0
        {
            if !queue
                .kept
                .as_mut()
                .is_some_and(|kept| kept.takes(delivered))
            {
                // It comes again, behind what is missing; or it came before.
                return Ok(());
            }
            queue.stanzas += delivered.batch.recs.len();
            queue.bytes += delivered.batch.stanza_bytes();
        } else if let ToSession::Deliver(delivered) = &mut frame {
            let batch = &delivered.batch;
            let (stanzas, bytes) = (batch.recs.len(), batch.stanza_bytes());
            let fits = queue.stanzas + stanzas <= self.stanzas_max
                && queue.bytes + bytes <= self.bytes_max;
            if !fits && queue.stanzas > 0 {
                return Err(Full(frame));
            }
            queue.seen.drop_repeats(delivered);
            let new = delivered.batch.recs.len();
            queue.stanzas += new;
            queue.bytes += match new == stanzas {
                true => bytes,
                false => delivered.batch.stanza_bytes(),
            };
        }
        queue.frames.push_back(frame);
        drop(queue);
        self.waker.wake();
        Ok(())
    }
}

/// The receipts of what the client has sent, by the numbers of the first stanzas.
impl Receipts for Inbox {
    fn settled(&self, _: ShardId, first: u64) {
        let mut queue = self.queue();
        // Nobody waits for it any more.
        if queue.closed {
            return;
        }
        queue.settled.push(first);
        if let Some(kept) = &mut queue.kept {
            kept.settled(first);
        }
        drop(queue);
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rookery_session::carrier::{AskId, Origin, Origins};
    use rookery_xmpp::stanza::{Batch, Rec};
    use rookery_xmpp::stream_error::{StreamCondition, StreamError};

    use super::*;

    fn inbox(stanzas: u32, bytes: u32) -> Inbox {
        let options = ConnectionOptions {
            outbound_stanzas_max: stanzas,
            outbound_bytes_max: bytes,
            ..ConnectionOptions::default()
        };
        Inbox::new(SessionId { node: 1, serial: 1 }, &options)
    }

    fn delivery(stanzas: u32, bytes: u32) -> ToSession {
        let rec = |i| Rec {
            start: i * bytes,
            end: (i + 1) * bytes,
            ..Rec::default()
        };
        let buf = Bytes::from(vec![b' '; (stanzas * bytes) as usize]);
        let recs = (0..stanzas).map(rec).collect();
        ToSession::Deliver(Batch { buf, recs }.into())
    }

    #[test]
    fn deliveries_are_bounded_in_stanzas_and_in_bytes() {
        let by_stanzas = inbox(3, 1_000);
        assert!(by_stanzas.send(delivery(2, 1)).is_ok());
        assert!(by_stanzas.send(delivery(2, 1)).is_err());
        assert!(by_stanzas.send(delivery(1, 1)).is_ok());
        let by_bytes = inbox(100, 10);
        assert!(by_bytes.send(delivery(1, 6)).is_ok());
        assert!(by_bytes.send(delivery(1, 6)).is_err());
    }

    #[test]
    fn what_is_larger_than_the_queue_passes_alone() {
        let inbox = inbox(1, 10);
        assert!(inbox.send(delivery(5, 100)).is_ok());
        assert!(inbox.send(delivery(1, 1)).is_err());
    }

    #[test]
    fn answers_and_closes_pass_a_full_queue() {
        let inbox = inbox(1, 10);
        assert!(inbox.send(delivery(1, 10)).is_ok());
        let answer = ToSession::Answer {
            ask: AskId(0),
            answer: Answer::Unavailable,
        };
        assert!(inbox.send(answer).is_ok());
        let error = StreamError::new(StreamCondition::Conflict);
        assert!(inbox.send(ToSession::Close(error)).is_ok());
    }

    #[test]
    fn taking_makes_room_and_keeps_the_order() {
        let inbox = inbox(2, 100);
        assert!(inbox.send(delivery(1, 1)).is_ok());
        assert!(inbox.send(delivery(1, 2)).is_ok());
        let mut frames = vec![];
        inbox.take(1, &mut frames);
        assert!(
            matches!(&frames[..], [ToSession::Deliver(first)] if first.batch.stanza_bytes() == 1)
        );
        assert!(inbox.has_frames());
        assert!(inbox.send(delivery(1, 1)).is_ok());
    }

    #[test]
    fn what_is_sent_again_by_the_next_owner_of_a_shard_is_not_written_twice() {
        let inbox = inbox(10, 100);
        let sender = SessionId { node: 2, serial: 5 };
        for (sequence, stanzas) in [(0, 2), (0, 2), (1, 2), (9, 1)] {
            let ToSession::Deliver(mut delivered) = delivery(stanzas, 1) else {
                unreachable!("it is a delivery")
            };
            delivered.origins = Origins::Run(Origin {
                session: sender,
                sequence,
            });
            assert!(inbox.send(ToSession::Deliver(delivered)).is_ok());
        }
        let mut frames = vec![];
        inbox.take(100, &mut frames);
        let stanzas = frames.iter().map(|frame| match frame {
            ToSession::Deliver(delivered) => delivered.batch.recs.len(),
            _ => 0,
        });
        assert_eq!(stanzas.collect::<Vec<_>>(), [2, 0, 1, 1]);
        // What comes back of it names the stanzas that are left.
        let ToSession::Deliver(third) = &frames[2] else {
            unreachable!("only deliveries were sent")
        };
        assert_eq!(third.origins.at(0).map(|origin| origin.sequence), Some(2));
    }

    #[test]
    fn a_closed_inbox_gives_what_it_held_and_takes_nothing() {
        let inbox = inbox(2, 100);
        assert!(inbox.send(delivery(1, 1)).is_ok());
        assert_eq!(inbox.close().frames.len(), 1);
        let error = StreamError::new(StreamCondition::Conflict);
        assert!(inbox.send(ToSession::Close(error)).is_err());
    }
}
