//! The queue between shards and one client: what `node/connection/src/inbox.rs` does around the product's
//! [`Outbound`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use rookery_session::carrier::{
    Delivered, Full, Kept, Origins, Receipts, SessionId, ShardId, Sink, ToSession,
};
use rookery_session::{KeptHere, Outbound, Rest};

use super::message::{self, Received};
use super::oracle::Given;
use super::planted::Planted;

/// A bounded queue of frames for one session.
pub(crate) struct Inbox {
    session: SessionId,
    given: Given,
    planted: Option<Planted>,
    queue: Mutex<Outbound>,
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
            given,
            planted,
            queue: Mutex::new(Outbound::new(stanzas_max, usize::MAX)),
        }
    }

    /// What comes next, up to the next stanzas.
    pub(crate) fn take(&self) -> Vec<ToSession> {
        let mut frames = Vec::new();
        self.queue().take(1, &mut frames);
        frames
    }

    /// The numbers of what has been dealt with.
    pub(crate) fn take_settled(&self) -> Vec<u64> {
        let mut settled = Vec::new();
        self.queue().take_settled(&mut settled, true);
        settled
    }

    /// From now on keeps what is numbered.
    pub(crate) fn keep(&self, kept: KeptHere) {
        self.queue().keep(kept);
    }

    /// Nothing is numbered after all.
    pub(crate) fn keep_nothing(&self) {
        self.queue().keep_nothing();
    }

    /// Stanzas of the client are on their way to its shard.
    pub(crate) fn submitted(&self, first: u64, stanzas: usize) {
        self.queue().submitted(first, stanzas);
    }

    /// The client has got so many of what is numbered.
    pub(crate) fn acknowledged(&self, acked: u64) {
        self.queue().acknowledged(acked);
    }

    /// Refuses everything from now on, and gives what was not taken.
    pub(crate) fn close(&self) -> Rest {
        self.queue().close()
    }

    /// Keeps what is numbered from now on, and refuses the rest.
    pub(crate) fn stop(&self) -> Rest {
        let frames = self.queue().stop();
        let unacked = Vec::new();
        Rest { frames, unacked }
    }

    /// Drops what nobody will write. Whether the shard has ended the session.
    pub(crate) fn drop_frames(&self) -> bool {
        let frames = self.queue().drop_frames();
        frames
            .iter()
            .any(|frame| matches!(frame, ToSession::Close(_)))
    }

    /// How many stanzas wait.
    pub(crate) fn stanzas(&self) -> usize {
        self.queue().stanzas()
    }

    fn queue(&self) -> MutexGuard<'_, Outbound> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Inbox {
    fn session(&self) -> SessionId {
        self.session
    }

    fn may_be_resumed(&self) -> bool {
        true
    }

    /// A shard that reaches it without a link is in its process.
    fn is_alone(&self) -> bool {
        true
    }

    fn is_over(&self) -> bool {
        self.queue().is_over()
    }

    fn kept(&self) -> Option<Kept> {
        let kept = self.queue().kept()?;
        Some(match self.planted {
            Some(Planted::MirrorForgets) => Kept {
                unacked: Vec::new(),
                ..kept
            },
            _ => kept,
        })
    }

    fn send(&self, mut frame: ToSession) -> Result<(), Full<ToSession>> {
        if self.planted == Some(Planted::RepeatsPassed)
            && let ToSession::Deliver(delivered) = &mut frame
        {
            delivered.origins = Origins::None;
        }
        let mut queue = self.queue();
        if queue.offer(frame)?
            && let Some(ToSession::Deliver(delivered)) = queue.newest()
        {
            for number in numbers(delivered) {
                self.given.insert(self.session, number);
            }
        }
        Ok(())
    }
}

impl Receipts for Inbox {
    fn settled(&self, _: ShardId, first: u64) {
        self.queue().settled(first);
    }
}

/// The messages among stanzas for a client.
pub(crate) fn numbers(delivered: &Delivered) -> impl Iterator<Item = u64> {
    let batch = &delivered.batch;
    batch
        .recs
        .iter()
        .filter_map(|rec| match message::read(&batch.buf, rec) {
            Received::Message(number, ..) => Some(number),
            _ => None,
        })
}
