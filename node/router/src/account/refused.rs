//! Messages that may be sent once more though their senders were told that there was no room for them.
//!
//! ```text
//! session ── 7 ──► sender's shard ──► no room on the way: 7 is refused
//!                        │   the frame of 7 is not done, for the archive does not have it yet
//!         ── 8 ──►       ├── refused as well
//!                        ✝   the next owner is sent the frame again, and 7 may get through
//! ```
//!
//! Had 8 arrived meanwhile, 7 would come behind it (RFC 6120 10.1). So until the frame is done, what the session says
//! to the same account is refused too, and what follows that likewise.

use rookery_session::carrier::{PeerFrame, Receipt, ReceiptRef, SessionId};
use rookery_xmpp::jid::Jid;

use super::open::make_room;

/// What an account's sessions said to others and was refused, while the frames that it came in are not done.
#[derive(Default)]
pub(super) struct Refused(Vec<Message>);

struct Message {
    session: SessionId,
    /// The bare JID of whom it was for.
    to: Box<str>,
    frame: ReceiptRef,
}

impl Refused {
    /// There was no room for this.
    pub(super) fn note(&mut self, frame: &PeerFrame) {
        if let (Some(origin), Some(receipt)) = (frame.origin, &frame.receipt) {
            self.follows(origin.session, &frame.to, receipt);
        }
    }

    /// This was refused as well, for it follows such a message; or else it would come behind what follows it.
    pub(super) fn follows(&mut self, session: SessionId, to: &Jid, frame: &Receipt) {
        make_room(&mut self.0, |message| message.frame.is_settled());
        self.0.push(Message {
            session,
            to: to.bare_str().into(),
            frame: frame.downgrade(),
        });
    }

    /// Whether something that this session said to this account before may be sent once more.
    pub(super) fn may_come_again(&mut self, session: SessionId, to: &Jid) -> bool {
        let may_come = |message: &Message| {
            let is_meant = message.session == session && *message.to == *to.bare_str();
            is_meant && !message.frame.is_settled()
        };
        // Whoever goes on saying something finds what it said last.
        if self.0.iter().rev().any(may_come) {
            return true;
        }
        self.0.retain(|message| !message.frame.is_settled());
        false
    }
}
