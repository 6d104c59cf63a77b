//! XEP-0160: Best Practices for Handling Offline Messages.
//!
//! ```text
//! C: <iq type='get' to='montague.lit'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
//! S: …<feature var='msgoffline'/>…
//! ```
//!
//! What waits for whom is decided in `account::offline`; here the host says that it keeps messages (section 4).

use super::{Info, Module, Place, Status};

/// XEP-0160.
pub(super) const INFO: Info = Info {
    xep: 160,
    title: "Best Practices for Handling Offline Messages",
    version: "1.0.1",
    status: Status::Complete,
    note: "with the hints of XEP-0334; chat states (XEP-0085) do not wait",
};

/// Says that messages wait for the absent.
pub(super) struct OfflineMessages;

impl Module for OfflineMessages {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        match place {
            Place::Host => &["msgoffline"],
            Place::Own | Place::Account => &[],
        }
    }
}
