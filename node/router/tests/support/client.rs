//! Clients that are only mailboxes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rookery_session::carrier::{
    Answer, Delivered, Full, Receipt, Receipts, Resumed, SessionId, ShardId, Sink, Stands, Tenure,
    ToSession, Word,
};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Rec;

/// A bound client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: SessionId,
    pub(crate) jid: Arc<Jid>,
    pub(super) mailbox: Arc<Mailbox>,
}

/// What a session's sink holds.
pub(super) struct Mailbox {
    pub(super) id: SessionId,
    pub(super) frames: Mutex<Vec<ToSession>>,
    pub(super) full: Mutex<bool>,
    /// Its node cannot be reached.
    pub(super) is_cut_off: AtomicBool,
    /// It would be gone with its shard.
    pub(super) is_alone: bool,
}

impl Sink for Mailbox {
    fn session(&self) -> SessionId {
        self.id
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        if *self.full.lock().expect("no test panics inside")
            && matches!(frame, ToSession::Deliver(_))
        {
            return Err(Full(frame));
        }
        self.frames
            .lock()
            .expect("no test panics inside")
            .push(frame);
        Ok(())
    }

    fn remembers(&self) -> bool {
        true
    }

    fn may_be_resumed(&self) -> bool {
        true
    }

    fn is_alone(&self) -> bool {
        self.is_alone
    }

    fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Ordering::Relaxed)
    }
}

/// Whether a frame was settled, by an owner who may always speak for the shard.
#[derive(Default)]
pub(super) struct Settled(AtomicBool);

impl Settled {
    /// The receipt of a frame whose end it notes.
    pub(super) fn receipt(self: &Arc<Self>) -> Receipt {
        let receipt = Receipt::new(ShardId(0), 1, self.clone());
        receipt.enter(&(self.clone() as Arc<dyn Tenure>));
        receipt
    }

    pub(super) fn is_settled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Receipts for Settled {
    fn settled(&self, _: ShardId, _: u64) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Tenure for Settled {
    fn stands(&self) -> Stands {
        Stands::Firmly
    }

    fn keep(&self, _: Word) {}
}

/// A client that has asked, and may not have been answered yet.
pub(crate) struct Asking(pub(super) Arc<Mailbox>);

impl Asking {
    /// The answer, if it has come.
    pub(crate) fn answer(&self) -> Option<Answer> {
        self.0.take_answer()
    }

    /// The stream that it goes on with, if it has heard that.
    pub(crate) fn resumed(&self) -> Option<Resumed> {
        match self.answer()? {
            Answer::Resumed(resumed) => Some(resumed),
            _ => None,
        }
    }

    /// The stanzas that it was given since the last look.
    pub(crate) fn stanzas(&self) -> Vec<String> {
        self.0.take_stanzas()
    }

    /// The stream error with which it was closed, if it was.
    pub(crate) fn closed_with(&self) -> Option<String> {
        self.0.closed_with()
    }
}

impl Mailbox {
    /// An empty one, whose node can be reached.
    pub(super) fn new(id: SessionId, is_alone: bool) -> Self {
        Self {
            id,
            frames: Mutex::default(),
            full: Mutex::new(false),
            is_cut_off: AtomicBool::new(false),
            is_alone,
        }
    }

    /// The oldest answer that came.
    pub(super) fn take_answer(&self) -> Option<Answer> {
        let mut frames = self.frames.lock().expect("no test panics inside");
        let is_answer = |frame: &ToSession| matches!(frame, ToSession::Answer { .. });
        let at = frames.iter().position(is_answer)?;
        match frames.remove(at) {
            ToSession::Answer { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// The stanzas that came since the last look.
    fn take_stanzas(&self) -> Vec<String> {
        let mut frames = self.frames.lock().expect("no test panics inside");
        let mut stanzas = Vec::new();
        frames.retain(|frame| match frame {
            ToSession::Deliver(delivered) => {
                let batch = &delivered.batch;
                let text = |rec: &Rec| String::from_utf8_lossy(rec.bytes(&batch.buf)).into_owned();
                stanzas.extend(batch.recs.iter().map(text));
                false
            }
            _ => true,
        });
        stanzas
    }

    fn closed_with(&self) -> Option<String> {
        let frames = self.frames.lock().expect("no test panics inside");
        frames.iter().find_map(|frame| match frame {
            ToSession::Close(error) => {
                let mut out = Vec::new();
                error.write(&mut out);
                Some(String::from_utf8_lossy(&out).into_owned())
            }
            _ => None,
        })
    }
}

impl Client {
    /// The stanzas that came since the last look.
    pub(crate) fn stanzas(&self) -> Vec<String> {
        self.mailbox.take_stanzas()
    }

    /// The deliveries that came, as the session's node has them.
    pub(crate) fn delivered(&self) -> Vec<Delivered> {
        let frames = self.mailbox.frames.lock().expect("no test panics inside");
        let delivered = frames.iter().filter_map(|frame| match frame {
            ToSession::Deliver(delivered) => Some(delivered.clone()),
            _ => None,
        });
        delivered.collect()
    }

    /// How many batches came since the last look.
    pub(crate) fn batches(&self) -> usize {
        let frames = self.mailbox.frames.lock().expect("no test panics inside");
        frames
            .iter()
            .filter(|frame| matches!(frame, ToSession::Deliver(_)))
            .count()
    }

    /// The only stanza that came since the last look.
    pub(crate) fn stanza(&self) -> String {
        let mut stanzas = self.stanzas();
        assert_eq!(stanzas.len(), 1, "{} got {stanzas:#?}", self.jid);
        stanzas.remove(0)
    }

    /// Nothing came since the last look.
    pub(crate) fn nothing(&self) {
        let stanzas = self.stanzas();
        assert!(stanzas.is_empty(), "{} got {stanzas:#?}", self.jid);
    }

    /// The stream error with which the session was closed, if it was.
    pub(crate) fn closed_with(&self) -> Option<String> {
        self.mailbox.closed_with()
    }

    /// How often the session's node was told that the client did not know its password.
    pub(crate) fn wrong_passwords(&self) -> usize {
        let frames = self.mailbox.frames.lock().expect("no test panics inside");
        let wrong = |frame: &&ToSession| matches!(frame, ToSession::WrongPassword);
        frames.iter().filter(wrong).count()
    }

    /// What the session's node was last told to remember.
    pub(super) fn remembered(&self) -> Bytes {
        let frames = self.mailbox.frames.lock().expect("no test panics inside");
        let states = frames.iter().rev().find_map(|frame| match frame {
            ToSession::Remember(state) => Some(state.clone()),
            _ => None,
        });
        states.unwrap_or_default()
    }

    /// Whether the session's queue is full.
    pub(crate) fn set_full(&self, full: bool) {
        *self.mailbox.full.lock().expect("no test panics inside") = full;
    }

    /// The link to its node breaks, or is there again.
    pub(crate) fn set_cut_off(&self, is_cut_off: bool) {
        let mailbox = &self.mailbox;
        mailbox.is_cut_off.store(is_cut_off, Ordering::Relaxed);
    }
}
