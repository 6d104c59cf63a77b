//! The queue between shards and one client: what `node/connection/src/inbox.rs` does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rookery_session::Seen;
use rookery_session::carrier::{Delivered, Full, SessionId, Sink, ToSession};

use super::message::{self, Received};
use super::oracle::Given;
use super::planted::Planted;

/// A bounded queue of frames for one session.
pub(crate) struct Inbox {
    session: SessionId,
    stanzas_max: usize,
    given: Given,
    planted: Option<Planted>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<ToSession>,
    stanzas: usize,
    /// What came last from whom.
    seen: Seen,
    closed: bool,
}

impl Inbox {
    /// An empty queue that takes so many stanzas.
    pub(crate) fn new(
        session: SessionId,
        stanzas_max: usize,
        given: Given,
        planted: Option<Planted>,
    ) -> Self {
        Self {
            session,
            stanzas_max,
            given,
            planted,
            queue: Mutex::default(),
        }
    }

    /// The next frame.
    pub(crate) fn take(&self) -> Option<ToSession> {
        let mut queue = self.queue();
        let frame = queue.frames.pop_front()?;
        if let ToSession::Deliver(Delivered { batch, .. }) = &frame {
            queue.stanzas -= batch.recs.len();
        }
        Some(frame)
    }

    /// Refuses everything from now on, and gives what was not taken.
    pub(crate) fn close(&self) -> VecDeque<ToSession> {
        let mut queue = self.queue();
        queue.closed = true;
        queue.stanzas = 0;
        std::mem::take(&mut queue.frames)
    }

    /// How many stanzas wait.
    pub(crate) fn stanzas(&self) -> usize {
        self.queue().stanzas
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Inbox {
    fn session(&self) -> SessionId {
        self.session
    }

    fn remembers(&self) -> bool {
        false
    }

    fn send(&self, mut frame: ToSession) -> Result<(), Full<ToSession>> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Full(frame));
        }
        if let ToSession::Deliver(delivered) = &mut frame {
            let stanzas = delivered.batch.recs.len();
            if queue.stanzas + stanzas > self.stanzas_max && queue.stanzas > 0 {
                return Err(Full(frame));
            }
            if self.planted != Some(Planted::RepeatsPassed) {
                queue.seen.drop_repeats(delivered);
            }
            let batch = &delivered.batch;
            queue.stanzas += batch.recs.len();
            for rec in &batch.recs {
                if let Received::Message(number, ..) = message::read(&batch.buf, rec) {
                    self.given.insert(self.session, number);
                }
            }
        }
        queue.frames.push_back(frame);
        Ok(())
    }
}
