//! What a stream's document has that finds other ways, as long as it has not found them.
//!
//! ```text
//! stream is over, or its numbers are others' ──► what the document has goes into the log ──► it is deleted
//!                                                        └─ nobody writes it meanwhile, or deletes it
//! ```
//!
//! Of what is in such a document there may be no other copy. A stream that is still there has to wait with what it has
//! to write, as if the store refused it; it is written instead of being deleted then, if no node serves it.

use rookery_session::carrier::{Bell, Delivered, Receipt, ReceiptRef, SessionId};

use super::{Account, stranded};
use crate::shard::{Request, Turn};

/// The documents that must stay for now.
#[derive(Default)]
pub(super) struct Leaving(Vec<One>);

struct One {
    stream: String,
    /// Held by all that is on its way from there.
    receipt: ReceiptRef,
}

impl Leaving {
    /// Whether the document of this stream must stay.
    pub(super) fn has(&self, stream: &str) -> bool {
        self.0.iter().any(|one| one.stream == stream)
    }

    /// Whether none must.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.is_empty()
    }

    /// Something leaves the document of this stream with this receipt: it is not done before what left it earlier.
    fn begins(&mut self, stream: &str, receipt: &Receipt) {
        let same = self.0.iter().filter(|one| one.stream == stream);
        let earlier = same.filter_map(|one| one.receipt.upgrade());
        earlier.for_each(|earlier| earlier.carry(receipt.clone()));
        self.0.push(One {
            stream: stream.to_owned(),
            receipt: receipt.downgrade(),
        });
    }

    /// What has left the document of this stream is elsewhere. Whether that is all.
    fn ends(&mut self, stream: &str) -> bool {
        let same = |one: &One| one.stream == stream;
        if let Some(at) = self.0.iter().position(same) {
            self.0.remove(at);
        }
        !self.has(stream)
    }
}

impl Account {
    /// What the client of a stream has not got finds other ways; when it has, the stream's document is not needed any
    /// more.
    pub(super) fn leaves_stored(
        &mut self,
        turn: &mut Turn<'_>,
        session: SessionId,
        stream: &str,
        unacked: &[Delivered],
    ) {
        let (bell, receipt) = Bell::with_receipt();
        self.leaving.begins(stream, &receipt);
        // The document may be there only perhaps.
        turn.receipt.iter().for_each(|it| receipt.carry(it.clone()));
        let before = turn.receipt.replace(receipt);
        for delivered in unacked {
            self.left(turn, session, delivered);
        }
        turn.receipt = before;
        let name = stream.to_owned();
        self.request_beside(turn, Request::Settled(bell), move |account, turn, _| {
            if account.leaving.ends(&name) {
                account.has_left_stored(turn, name);
            }
        });
    }

    /// What was in the document of a stream is elsewhere.
    fn has_left_stored(&mut self, turn: &mut Turn<'_>, name: String) {
        let named = |it: &&super::Session| it.stream.as_ref().is_some_and(|it| it.id == name);
        let known = self.sessions.iter().find(named);
        let known = known.map(|it| (it.id, it.stream.as_ref().and_then(|it| it.ends)));
        match known {
            Some((id, Some(_))) => self.store_stream(turn, id),
            Some((_, None)) => self.forget_stored(turn, name, |_, _, _| {}),
            None => stranded::forget(turn, name),
        }
    }
}
