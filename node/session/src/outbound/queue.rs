//! What waits for one session, as a machine without IO.

use std::collections::VecDeque;

use super::kept::KeptHere;
use crate::carrier::{Answer, Delivered, Full, Kept, ToSession, WrongPasswords};
use crate::seen::Seen;

/// A bounded queue for one session.
///
/// Deliveries are refused when it holds as many stanzas or bytes as it may, but one of any size fits into an empty
/// queue, and what is numbered is always taken: its shard has bounds of its own. Answers and closes always fit: a
/// session asks one thing at a time and is closed once.
#[derive(Debug)]
pub struct Outbound {
    stanzas_max: usize,
    bytes_max: usize,
    frames: VecDeque<ToSession>,
    stanzas: usize,
    bytes: usize,
    /// What came last from whom.
    seen: Seen,
    /// What the session's client has sent and has been dealt with: the numbers of the first stanzas.
    settled: Vec<u64>,
    /// The session waits for more of that.
    awaits_settled: bool,
    /// What is kept of a stream that can be resumed.
    kept: Option<KeptHere>,
    /// Only what is numbered is taken, and goes nowhere.
    stopped: bool,
    wrong_passwords: WrongPasswords,
    closed: bool,
}

/// What a queue gives when it is closed.
#[derive(Debug)]
pub struct Rest {
    /// What was not taken, and is in nothing else that is given.
    pub frames: VecDeque<ToSession>,
    /// What was numbered, and the client has not acknowledged.
    pub unacked: Vec<Delivered>,
}

impl Outbound {
    /// An empty queue, which holds so many stanzas and bytes.
    pub fn new(stanzas_max: usize, bytes_max: usize) -> Self {
        Self {
            stanzas_max,
            bytes_max,
            frames: VecDeque::new(),
            stanzas: 0,
            bytes: 0,
            seen: Seen::default(),
            settled: Vec::new(),
            awaits_settled: false,
            kept: None,
            stopped: false,
            wrong_passwords: WrongPasswords::default(),
            closed: false,
        }
    }

    /// A shard says something. True if it waits for the session now; what was here before, or comes again behind what
    /// is missing, does not.
    ///
    /// # Errors
    /// There is no room for it, or nobody takes anything any more.
    pub fn offer(&mut self, mut frame: ToSession) -> Result<bool, Full<ToSession>> {
        self.wrong_passwords.hear(&frame);
        if self.closed {
            return Err(Full(frame));
        }
        if self.stopped {
            return self.keep_only(frame);
        }
        match &mut frame {
            // What follows is numbered, and may be here before the session has read this.
            ToSession::Answer { answer, .. } => self.answered(answer),
            ToSession::Deliver(delivered) if delivered.number != 0 => {
                let kept = self.kept.as_mut();
                if !kept.is_some_and(|kept| kept.takes(delivered)) {
                    return Ok(false);
                }
                self.stanzas += delivered.batch.recs.len();
                self.bytes += delivered.batch.stanza_bytes();
            }
            ToSession::Deliver(delivered) => {
                if !self.admit(delivered) {
                    return Err(Full(frame));
                }
            }
            ToSession::WrongPassword => return Ok(false),
            ToSession::Remember(_) | ToSession::Close(_) => {}
        }
        self.frames.push_back(frame);
        Ok(true)
    }

    /// Keeps what is numbered: its senders wait until it is here as well.
    fn keep_only(&mut self, frame: ToSession) -> Result<bool, Full<ToSession>> {
        match (&frame, &mut self.kept) {
            (ToSession::Deliver(delivered), Some(kept)) if delivered.number != 0 => {
                kept.takes(delivered);
                Ok(false)
            }
            _ => Err(Full(frame)),
        }
    }

    fn answered(&mut self, answer: &Answer) {
        match (answer, &mut self.kept) {
            (Answer::Enabled { id, .. }, Some(kept)) => id.clone_into(&mut kept.id),
            (Answer::Resumed(resumed), kept) => *kept = Some(KeptHere::resumed(resumed)),
            _ => {}
        }
    }

    /// Counts what has no number, without what came before. False if there is no room.
    fn admit(&mut self, delivered: &mut Delivered) -> bool {
        let batch = &delivered.batch;
        let (stanzas, bytes) = (batch.recs.len(), batch.stanza_bytes());
        let fits =
            self.stanzas + stanzas <= self.stanzas_max && self.bytes + bytes <= self.bytes_max;
        if !fits && self.stanzas > 0 {
            return false;
        }
        self.seen.drop_repeats(delivered);
        let new = delivered.batch.recs.len();
        self.stanzas += new;
        self.bytes += match new == stanzas {
            true => bytes,
            false => delivered.batch.stanza_bytes(),
        };
        true
    }

    /// Takes frames in order, until their stanzas have more than `bytes_max` together.
    pub fn take(&mut self, bytes_max: usize, frames: &mut Vec<ToSession>) {
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(frame) = self.frames.pop_front() else {
                break;
            };
            if let ToSession::Deliver(Delivered { batch, .. }) = &frame {
                self.stanzas -= batch.recs.len();
                let size = batch.stanza_bytes();
                self.bytes -= size;
                bytes += size;
            }
            frames.push(frame);
        }
    }

    /// Takes how often the session's client did not know its password since the last look. It is told also of a session
    /// that is over.
    pub fn take_wrong_passwords(&mut self) -> u8 {
        self.wrong_passwords.take()
    }

    /// Whether something waits.
    pub fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// What came last, if it waits.
    pub fn newest(&self) -> Option<&ToSession> {
        self.frames.back()
    }

    /// How many stanzas wait.
    pub fn stanzas(&self) -> usize {
        self.stanzas
    }

    /// Stanzas of the client that began with this number were dealt with. Whether the session waits for that.
    pub fn settled(&mut self, first: u64) -> bool {
        if let Some(kept) = &mut self.kept {
            kept.settled(first);
        }
        if self.is_over() {
            return false;
        }
        self.settled.push(first);
        self.awaits_settled
    }

    /// Takes the numbers of what has been dealt with; whether the session waits for more.
    pub fn take_settled(&mut self, settled: &mut Vec<u64>, awaits_more: bool) {
        std::mem::swap(&mut self.settled, settled);
        self.awaits_settled = awaits_more;
    }

    /// From now on keeps what is numbered, takes all of it, and counts what the session's client has sent: from this
    /// stanza on.
    pub fn keep(&mut self, kept: KeptHere) {
        self.kept = Some(kept);
    }

    /// Nothing is numbered after all.
    pub fn keep_nothing(&mut self) {
        self.kept = None;
    }

    /// Stanzas of the client are on their way to its shard.
    pub fn submitted(&mut self, first: u64, stanzas: usize) {
        if let Some(kept) = &mut self.kept {
            kept.submitted(first, stanzas);
        }
    }

    /// The client has got so many of what is numbered.
    pub fn acknowledged(&mut self, acked: u64) {
        if let Some(kept) = &mut self.kept {
            kept.acknowledged(acked);
        }
    }

    /// What the next owner of the shard must know of a stream that can be resumed.
    pub fn kept(&self) -> Option<Kept> {
        self.kept.as_ref().and_then(KeptHere::shown)
    }

    /// Whether the session is over here, be it that it goes on at its shard.
    pub fn is_over(&self) -> bool {
        self.closed || self.stopped
    }

    /// Refuses everything from now on, and gives what was not taken.
    pub fn close(&mut self) -> Rest {
        self.closed = true;
        self.stanzas = 0;
        self.bytes = 0;
        let mut frames = std::mem::take(&mut self.frames);
        let is_kept = |frame: &ToSession| match frame {
            ToSession::Deliver(delivered) => delivered.number != 0,
            _ => false,
        };
        frames.retain(|frame| !is_kept(frame));
        let kept = self.kept.take();
        Rest {
            frames,
            unacked: kept.map_or_else(Vec::new, KeptHere::into_unacked),
        }
    }

    /// Drops what waits, and takes nothing more but what is numbered: that is kept, for the next owner of the shard,
    /// until this one has heard that the session goes on without this node.
    pub fn stop(&mut self) -> VecDeque<ToSession> {
        self.stopped = true;
        self.drop_frames()
    }

    /// Drops what waits to be written: nobody will write it here, and it is kept. What was dropped is given, so that
    /// whoever has locked the queue can let it go behind that.
    pub fn drop_frames(&mut self) -> VecDeque<ToSession> {
        self.stanzas = 0;
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::stream_error::{StreamCondition, StreamError};

    use super::*;
    use crate::carrier::{AskId, Origin, Origins, SessionId};
    use crate::outbound::tests::{numbered, stanzas};

    fn delivery(count: u32, bytes: u32) -> ToSession {
        ToSession::Deliver(stanzas(count, bytes))
    }

    fn close() -> ToSession {
        ToSession::Close(StreamError::new(StreamCondition::Conflict))
    }

    fn answer(answer: Answer) -> ToSession {
        let ask = AskId(0);
        ToSession::Answer { ask, answer }
    }

    #[test]
    fn deliveries_are_bounded_in_stanzas_and_in_bytes() {
        let mut by_stanzas = Outbound::new(3, 1_000);
        assert!(by_stanzas.offer(delivery(2, 1)).is_ok());
        assert!(by_stanzas.offer(delivery(2, 1)).is_err());
        assert!(by_stanzas.offer(delivery(1, 1)).is_ok());
        let mut by_bytes = Outbound::new(100, 10);
        assert!(by_bytes.offer(delivery(1, 6)).is_ok());
        assert!(by_bytes.offer(delivery(1, 6)).is_err());
    }

    #[test]
    fn what_is_larger_than_the_queue_passes_alone() {
        let mut queue = Outbound::new(1, 10);
        assert!(queue.offer(delivery(5, 100)).is_ok());
        assert!(queue.offer(delivery(1, 1)).is_err());
    }

    #[test]
    fn answers_and_closes_pass_a_full_queue() {
        let mut queue = Outbound::new(1, 10);
        assert!(queue.offer(delivery(1, 10)).is_ok());
        assert!(queue.offer(answer(Answer::Unavailable)).is_ok());
        assert!(queue.offer(close()).is_ok());
    }

    #[test]
    fn taking_makes_room_and_keeps_the_order() {
        let mut queue = Outbound::new(2, 100);
        assert!(queue.offer(delivery(1, 1)).is_ok());
        assert!(queue.offer(delivery(1, 2)).is_ok());
        let mut frames = vec![];
        queue.take(1, &mut frames);
        assert!(
            matches!(&frames[..], [ToSession::Deliver(first)] if first.batch.stanza_bytes() == 1)
        );
        assert!(queue.has_frames());
        assert!(queue.offer(delivery(1, 1)).is_ok());
        assert_eq!(queue.stanzas(), 2);
    }

    #[test]
    fn what_is_sent_again_by_the_next_owner_of_a_shard_is_not_written_twice() {
        let mut queue = Outbound::new(10, 100);
        let sender = SessionId { node: 2, serial: 5 };
        for (sequence, count) in [(0, 2), (0, 2), (1, 2), (9, 1)] {
            let mut delivered = stanzas(count, 1);
            delivered.origins = Origins::Run(Origin {
                session: sender,
                sequence,
            });
            assert!(queue.offer(ToSession::Deliver(delivered)).is_ok());
        }
        let mut frames = vec![];
        queue.take(100, &mut frames);
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
    fn a_closed_queue_gives_what_it_held_and_takes_nothing() {
        let mut queue = Outbound::new(2, 100);
        assert!(queue.offer(delivery(1, 1)).is_ok());
        assert_eq!(queue.close().frames.len(), 1);
        assert!(queue.offer(close()).is_err());
        assert!(!queue.settled(0));
    }

    #[test]
    fn what_has_been_dealt_with_wakes_a_session_that_waits_for_it_and_no_other() {
        let (mut queue, mut settled) = (Outbound::new(1, 1), vec![]);
        assert!(!queue.settled(0));
        queue.take_settled(&mut settled, true);
        assert_eq!(settled, [0]);
        settled.clear();
        assert!(queue.settled(3));
        queue.take_settled(&mut settled, false);
        assert_eq!(settled, [3]);
        assert!(!queue.settled(4));
    }

    #[test]
    fn wrong_passwords_are_told_whatever_became_of_the_session_and_wake_nobody() {
        let mut queue = Outbound::new(1, 1);
        assert!(matches!(queue.offer(ToSession::WrongPassword), Ok(false)));
        assert!(!queue.has_frames());
        drop(queue.stop());
        assert!(queue.offer(ToSession::WrongPassword).is_err());
        drop(queue.close());
        assert!(queue.offer(ToSession::WrongPassword).is_err());
        assert_eq!(queue.take_wrong_passwords(), 3);
        assert_eq!(queue.take_wrong_passwords(), 0);
    }

    #[test]
    fn what_is_numbered_is_taken_in_order_past_the_bound_and_given_back_once() {
        let mut queue = Outbound::new(1, 1);
        let given = |queue: &mut Outbound, delivered| queue.offer(ToSession::Deliver(delivered));
        assert!(
            matches!(given(&mut queue, numbered(1, 1)), Ok(false)),
            "nobody keeps it"
        );
        queue.keep(KeptHere::new(0));
        assert!(given(&mut queue, stanzas(1, 1)).is_ok());
        let id = "name".to_owned();
        let enabled = Answer::Enabled { id, max_s: 10 };
        assert!(queue.offer(answer(enabled)).is_ok());
        assert!(matches!(given(&mut queue, numbered(1, 2)), Ok(true)));
        assert!(matches!(given(&mut queue, numbered(4, 1)), Ok(false)));
        assert!(matches!(given(&mut queue, numbered(3, 2)), Ok(true)));
        queue.acknowledged(1);
        assert!(queue.kept().is_some_and(|kept| kept.acked == 1));
        let Rest { frames, unacked } = queue.close();
        assert_eq!(frames.len(), 2, "what has no number, and the answer");
        let numbers: Vec<_> = unacked.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [2, 3]);
    }

    #[test]
    fn what_is_kept_is_shown_until_the_shard_has_heard_that_the_session_stays_there() {
        let mut queue = Outbound::new(1, 1);
        queue.keep(KeptHere::new(0));
        let id = "name".to_owned();
        let enabled = Answer::Enabled { id, max_s: 10 };
        assert!(queue.offer(answer(enabled)).is_ok());
        assert!(queue.offer(ToSession::Deliver(numbered(1, 1))).is_ok());
        queue.submitted(0, 2);
        queue.take_settled(&mut vec![], true);
        assert_eq!(queue.stop().len(), 2);
        assert!(queue.offer(close()).is_err());
        assert!(matches!(
            queue.offer(ToSession::Deliver(numbered(2, 1))),
            Ok(false)
        ));
        assert!(!queue.settled(0), "nobody waits for it");
        let kept = queue.kept().expect("it is kept");
        assert_eq!((kept.unacked.len(), kept.h), (2, 2));
    }

    #[test]
    fn while_nobody_reads_what_is_numbered_is_kept() {
        let mut queue = Outbound::new(1, 1);
        queue.keep(KeptHere::new(0));
        assert!(queue.offer(ToSession::Deliver(numbered(1, 1))).is_ok());
        assert_eq!(queue.drop_frames().len(), 1);
        assert!(!queue.has_frames());
        assert_eq!(queue.close().unacked.len(), 1);
    }
}
