//! What waits for one session: the end of the way from shards to a client.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use rookery_session::carrier::{Full, Kept, Receipts, SessionId, ShardId, Sink, ToSession};
use rookery_session::{KeptHere, Outbound, Rest};
use rookery_xmpp::jid::Jid;

use crate::shared::Shared;

/// The queue into one session actor, which it wakes once for all that is there. What is taken, kept and given back
/// decides [`Outbound`].
pub(crate) struct Inbox {
    session: SessionId,
    queue: Mutex<Outbound>,
    cut: AtomicBool,
    /// The session shall be left to its shard.
    left: AtomicBool,
    waker: AtomicWaker,
    /// Whom the client has to be told from, once it is bound, and where it is.
    account: OnceLock<Arc<Jid>>,
    address: IpAddr,
    home: Weak<Shared>,
}

impl Inbox {
    /// An empty inbox for a client that connects from there.
    pub(crate) fn new(session: SessionId, address: IpAddr, home: &Arc<Shared>) -> Self {
        let stanzas_max = home.options.outbound_stanzas_max as usize;
        let bytes_max = home.options.outbound_bytes_max as usize;
        Self {
            session,
            queue: Mutex::new(Outbound::new(stanzas_max, bytes_max)),
            cut: AtomicBool::new(false),
            left: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            account: OnceLock::new(),
            address,
            home: Arc::downgrade(home),
        }
    }

    /// The session is bound under this address.
    pub(crate) fn bind(&self, jid: Arc<Jid>) {
        // It is bound once.
        let _ = self.account.set(jid);
    }

    /// The actor to wake when something comes.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Takes frames in order, until their stanzas have more than `bytes_max` together.
    pub(crate) fn take(&self, bytes_max: usize, frames: &mut Vec<ToSession>) {
        self.queue().take(bytes_max, frames);
    }

    /// Takes the numbers of what has been dealt with; whether the actor is to be woken by more.
    pub(crate) fn take_settled(&self, settled: &mut Vec<u64>, awaits_more: bool) {
        self.queue().take_settled(settled, awaits_more);
    }

    /// Whether something waits.
    pub(crate) fn has_frames(&self) -> bool {
        self.queue().has_frames()
    }

    /// From now on keeps what is numbered ([`Outbound::keep`]).
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

    /// Keeps what is numbered until the shard has heard that the session stays there, and refuses the rest.
    pub(crate) fn stop(&self) {
        drop(self.queue().stop());
    }

    /// Drops what waits to be written: nobody will write it here, and it is kept. Whether the shard has ended the
    /// session.
    pub(crate) fn drop_frames(&self) -> bool {
        let frames = self.queue().drop_frames();
        frames
            .iter()
            .any(|frame| matches!(frame, ToSession::Close(_)))
    }

    /// Tells the actor to end without a word.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// The same, where the session goes on without this node if it can.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Release);
        self.cut();
    }

    /// Whether the session shall go on without this node.
    pub(crate) fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Whether the actor must end without a word.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// The client did not know its account's password so often: that counts whatever has become of the session, or who
    /// guesses would only have to hang up in time.
    fn failed_to_prove(&self, times: u8) {
        if let (Some(home), Some(account)) = (self.home.upgrade(), self.account.get()) {
            home.failed_to_prove(self.address, &account.to_bare(), times);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Outbound> {
        // Every change is complete before anything could panic.
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

    fn is_alone(&self) -> bool {
        true
    }

    fn is_over(&self) -> bool {
        self.queue().is_over()
    }

    fn kept(&self) -> Option<Kept> {
        self.queue().kept()
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        let mut queue = self.queue();
        let taken = queue.offer(frame);
        let wrong = queue.take_wrong_passwords();
        drop(queue);
        if wrong > 0 {
            self.failed_to_prove(wrong);
        }
        if taken? {
            self.waker.wake();
        }
        Ok(())
    }
}

/// The receipts of what the client has sent, by the numbers of the first stanzas.
impl Receipts for Inbox {
    fn settled(&self, _: ShardId, first: u64) {
        if self.queue().settled(first) {
            self.waker.wake();
        }
    }
}
