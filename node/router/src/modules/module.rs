//! The shape of a module.

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Rec, StanzaType};
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use crate::account::{Account, Session};
use crate::shard::{Reply, Request, Turn};

/// What a module implements, for the README's table and for disco.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// The XEP's number.
    pub xep: u16,
    /// Its title.
    pub title: &'static str,
    /// The version that was implemented.
    pub version: &'static str,
    /// How much of it.
    pub status: Status,
    /// What is left out, or worth knowing; may be empty.
    pub note: &'static str,
}

/// How much of a XEP is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All that a server has to do.
    Complete,
    /// A part; the note says which.
    Partial,
}

/// Where an IQ is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The sender's own account: no `to`, or its own bare JID.
    Own,
    /// Another account, in whose name the server answers.
    Account,
    /// A virtual host.
    Host,
}

/// One IQ that a module answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IqRoute {
    /// Where it is addressed to.
    pub place: Place,
    /// `Get` or `Set`.
    pub stanza_type: StanzaType,
    /// The payload's namespace.
    pub namespace: &'static str,
    /// The payload's name.
    pub name: &'static str,
}

/// An IQ request with its payload as a tree.
#[derive(Clone)]
pub struct Iq {
    /// Who asks.
    pub from: Arc<Jid>,
    /// The address as sent; `None` when the client wrote none.
    pub to: Option<Arc<Jid>>,
    /// Where that is.
    pub place: Place,
    /// `Get` or `Set`.
    pub stanza_type: StanzaType,
    /// The one child.
    pub payload: Element,
    /// The session of this account that asks; `None` when somebody else does.
    pub session: Option<SessionId>,
    pub(crate) bytes: Bytes,
    pub(crate) rec: Rec,
}

impl Iq {
    /// Whether it is a `set`.
    pub fn is_set(&self) -> bool {
        self.stanza_type == StanzaType::Set
    }

    /// Whether the asker is one of the account's own sessions.
    pub fn is_own(&self) -> bool {
        self.session.is_some()
    }

    /// The virtual host that the request is for: the address's domain, or the sender's own.
    pub fn host(&self) -> &str {
        self.to
            .as_ref()
            .map_or_else(|| self.from.domain(), |to| to.domain())
    }
}

/// What a module makes of an IQ.
pub enum Outcome {
    /// `<iq type='result'/>` with this payload.
    Result(Option<Element>),
    /// `<iq type='error'/>`
    Error(StanzaError),
    /// The answer depends on what the store, the control group or the key derivation says. The
    /// account does nothing else until then.
    Wait(Request, Resume),
    /// A result, and then something that must come after it.
    ResultThen(Option<Element>, After),
    /// Nothing is answered (now): the module does it itself, or the sender is gone.
    Silence,
}

/// What comes after an answer.
pub type After = Box<dyn FnOnce(&mut Account, &mut Turn<'_>) + Send>;

/// Goes on with an IQ when the reply is there.
pub type Resume = Box<dyn FnOnce(&mut Account, &mut Turn<'_>, &Iq, Reply) -> Outcome + Send>;

impl Outcome {
    /// `service-unavailable`: as if nobody were there.
    pub fn unavailable() -> Self {
        Self::Error(StanzaError::new(Condition::ServiceUnavailable))
    }

    /// `internal-server-error`: a reply that cannot follow from the request.
    pub fn internal() -> Self {
        Self::Error(StanzaError::new(Condition::InternalServerError))
    }

    /// [`Outcome::Wait`] without the box.
    pub fn wait(
        request: Request,
        resume: impl FnOnce(&mut Account, &mut Turn<'_>, &Iq, Reply) -> Self + Send + 'static,
    ) -> Self {
        Self::Wait(request, Box::new(resume))
    }
}

impl From<StanzaError> for Outcome {
    fn from(error: StanzaError) -> Self {
        Self::Error(error)
    }
}

/// The order in which modules see a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Abuse is turned away.
    Guard,
    /// What is wrong is refused.
    Validate,
    /// Who may reach whom.
    Privacy,
    /// Ids and times are added.
    Stamp,
    /// It is kept.
    Archive,
    /// Copies go to other sessions.
    Copy,
    /// It is delivered.
    Deliver,
    /// Others are told.
    Notify,
}

/// The hooks that a module can join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A stanza of one of the account's sessions, before it is handled.
    Submit,
    /// A stanza that somebody sends to the account, before it is handled.
    Arrive,
    /// The account was loaded.
    Loaded,
    /// A session was bound.
    SessionBound,
    /// A session is over.
    SessionEnded,
    /// A session's broadcast presence changed (also to unavailable).
    PresenceChanged,
}

/// A stanza as a hook sees it.
#[derive(Clone, Copy)]
pub struct Stanza<'a> {
    /// The buffer with its canonical bytes.
    pub buf: &'a Bytes,
    /// Where in it, and what.
    pub rec: Rec,
    /// The sender.
    pub from: &'a Arc<Jid>,
    /// The recipient; `None` when the client wrote none.
    pub to: Option<&'a Arc<Jid>>,
}

impl Stanza<'_> {
    /// Its canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        self.rec.bytes(self.buf)
    }
}

/// What a hook decides.
#[derive(Debug)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Go on with this stanza instead: the same, with something added or taken out.
    Replace(Bytes),
    /// The sender gets this error.
    Reject(StanzaError),
    /// Nobody hears of it.
    Drop,
}

/// A XEP.
pub trait Module: Send + Sync {
    /// What it implements.
    fn info(&self) -> &'static Info;

    /// The features that disco shows at a place.
    fn features(&self, _place: Place) -> &'static [&'static str] {
        &[]
    }

    /// The IQs it answers.
    fn iq_routes(&self) -> &'static [IqRoute] {
        &[]
    }

    /// The hooks it joins, each in its phase.
    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[]
    }

    /// Answers an IQ of one of its routes. The account is the sender's own for [`Place::Own`] and
    /// [`Place::Host`], and the addressed one for [`Place::Account`].
    fn iq(&self, _account: &mut Account, _turn: &mut Turn<'_>, _iq: &Iq) -> Outcome {
        Outcome::Error(StanzaError::new(Condition::FeatureNotImplemented))
    }

    /// [`Hook::Submit`]
    fn submit(&self, _account: &mut Account, _turn: &mut Turn<'_>, _stanza: Stanza<'_>) -> Flow {
        Flow::Continue
    }

    /// [`Hook::Arrive`]
    fn arrive(&self, _account: &mut Account, _turn: &mut Turn<'_>, _stanza: Stanza<'_>) -> Flow {
        Flow::Continue
    }

    /// [`Hook::Loaded`]: the documents of the collection `account`, which are read with the account
    /// itself.
    fn loaded(&self, _account: &mut Account, _documents: &[(String, Bytes)]) {}

    /// [`Hook::SessionBound`]
    fn session_bound(&self, _account: &mut Account, _turn: &mut Turn<'_>, _session: SessionId) {}

    /// [`Hook::SessionEnded`]: the session is not among the account's any more.
    fn session_ended(&self, _account: &mut Account, _turn: &mut Turn<'_>, _session: &Session) {}

    /// [`Hook::PresenceChanged`]
    fn presence_changed(&self, _account: &mut Account, _turn: &mut Turn<'_>, _session: SessionId) {}
}
