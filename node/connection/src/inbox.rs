//! What waits for one session: the end of the way from shards to a client.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use rookery_session::Seen;
use rookery_session::carrier::{Delivered, Full, Receipts, SessionId, ShardId, Sink, ToSession};

use crate::ConnectionOptions;

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
    closed: bool,
    cut: bool,
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

    /// Refuses everything from now on, and gives what was not taken.
    pub(crate) fn close(&self) -> VecDeque<ToSession> {
        let mut queue = self.queue();
        queue.closed = true;
        queue.stanzas = 0;
        queue.bytes = 0;
        std::mem::take(&mut queue.frames)
    }

    /// Tells the actor to end without a word.
    pub(crate) fn cut(&self) {
        self.queue().cut = true;
        self.waker.wake();
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

impl Sink for Inbox {
    fn session(&self) -> SessionId {
        self.session
    }

    fn send(&self, mut frame: ToSession) -> Result<(), Full<ToSession>> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Full(frame));
        }
        if let ToSession::Deliver(delivered) = &mut frame {
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
        drop(queue);
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rookery_session::carrier::{Answer, AskId, Origin, Origins};
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
        assert_eq!(inbox.close().len(), 1);
        let error = StreamError::new(StreamCondition::Conflict);
        assert!(inbox.send(ToSession::Close(error)).is_err());
    }
}
