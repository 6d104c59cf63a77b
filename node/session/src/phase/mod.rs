//! The phases of a client's stream, one type each; `handle(self, …)` gives the next.
//!
//! ```text
//! Opening ─header─► Securing ─<starttls/>─► Handshaking ─TLS─► Opening(Secured)        a direct TLS port begins with
//!                                                                  │ header            Handshaking
//!                                                                  ▼
//!                Bound ◄─<bind/>─ Binding ◄─header─ Opening(Authenticated) ◄─SASL─ Authenticating
//!
//! all ─error, kick, time─► Closing ─end of the client's stream, time─► Ended ◄─end of stream, loss─ all
//! ```
//!
//! What was proved is a value that the next phase is made of: [`Secured`] comes only from a finished TLS handshake,
//! [`Authenticated`] only from [`Secured`] and a SASL [`Proof`](crate::sasl::Proof).

mod authenticating;
mod binding;
mod bound;
mod features;
mod handshaking;
mod opening;
mod preauth;
mod registering;
mod securing;

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza_error::Condition;
use rookery_xmpp::stream_error::StreamCondition;

pub(crate) use self::authenticating::{Authenticated, Authenticating};
pub(crate) use self::binding::Binding;
pub(crate) use self::bound::Bound;
pub use self::bound::is_for_shard;
pub(crate) use self::handshaking::{Handshaking, Secured};
pub(crate) use self::opening::{Opening, Standing};
pub(crate) use self::securing::Securing;
use crate::context::Context;
use crate::event::Event;
use crate::stream_management::failed;

/// Where a session stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// A stream header is awaited.
    Opening(Opening),
    /// `<starttls/>` is awaited.
    Securing(Securing),
    /// TLS is being made.
    Handshaking(Handshaking),
    /// The client must say who it is, or register.
    Authenticating(Box<Authenticating>),
    /// A resource is to be bound.
    Binding(Binding),
    /// The session exchanges stanzas.
    Bound(Bound),
    /// Our stream ended, the client's not yet.
    Closing,
    /// The socket is being closed, or is gone.
    Ended,
}

impl Phase {
    /// Handles an event that only the present phase understands.
    pub(crate) fn handle(self, event: Event<'_>, cx: &mut Context<'_>) -> Self {
        match self {
            Self::Opening(phase) => phase.handle(event, cx),
            Self::Securing(phase) => phase.handle(event, cx),
            Self::Handshaking(phase) => phase.handle(event, cx),
            Self::Authenticating(phase) => phase.handle(event, cx),
            Self::Binding(phase) => phase.handle(event, cx),
            Self::Bound(phase) => phase.handle(event, cx),
            Self::Closing | Self::Ended => self,
        }
    }

    /// Settles what a phase has begun elsewhere before the stream ends under it.
    pub(crate) fn abandon(&self, cx: &mut Context<'_>) {
        if let Self::Authenticating(phase) = self {
            phase.abandon(cx);
        }
    }
}

/// A top-level element that has no place in the present phase: stanzas need a login first (RFC 6120 4.9.3.12), and so
/// does the management of the stream, which is told so (XEP-0198 3); anything else is not understood here (4.9.3.24).
fn misplaced(element: &Element, cx: &mut Context<'_>) -> Phase {
    if is_stanza(element) {
        cx.end(
            StreamCondition::NotAuthorized,
            "log in and bind a resource before sending stanzas",
        )
    } else if element.ns() == ns::STREAM_MANAGEMENT {
        cx.send_element(&failed(Condition::UnexpectedRequest));
        cx.end(
            StreamCondition::NotAuthorized,
            "log in before managing the stream",
        )
    } else {
        cx.end(
            StreamCondition::UnsupportedStanzaType,
            "this element is not expected now",
        )
    }
}

/// A stream header where none may stand.
fn unexpected_header(cx: &mut Context<'_>) -> Phase {
    cx.end(StreamCondition::BadFormat, "the stream is open already")
}

fn is_stanza(element: &Element) -> bool {
    element.ns() == ns::CLIENT && matches!(element.name(), "message" | "presence" | "iq")
}
