//! That whoever holds a session knows the account's password, where the session is old.
//!
//! Who does not has three tries at it. Then the session ends, and whoever wants another one meets what stands before
//! each login: its delays, the counts of all nodes, and the blocks.

use rookery_session::carrier::SessionId;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use crate::account::Account;
use crate::modules::{Iq, Outcome};
use crate::shard::{Reply, Request, Turn};

/// How often one session may be wrong about the password.
const WRONG_MAX: u8 = 3;

/// Whether a name is the account's: its localpart or, as in XEP-0077's example, its bare JID.
pub(super) fn names_own(account: &Account, name: &str) -> bool {
    let own = account.jid();
    let as_local = Jid::from_parts(Some(name), own.domain(), None);
    let named = as_local.or_else(|_| Jid::parse(name));
    named.is_ok_and(|named| named.as_str() == own.as_str())
}

/// Whether a session is so old that its client must know the password.
pub(super) fn is_asked(account: &Account, turn: &Turn<'_>, iq: &Iq) -> bool {
    let Some(session) = iq.session.and_then(|id| account.sessions.get(id)) else {
        return true;
    };
    let asked_after = turn.env.passwords.load().old_asked_after_s;
    turn.now.since(session.bound).as_secs() >= u64::from(asked_after)
}

/// Goes on if the password is right.
pub(super) fn prove(
    account: &Account,
    password: String,
    then: impl FnOnce(&mut Account, &mut Turn<'_>) -> Outcome + Send + 'static,
) -> Outcome {
    let verify = Request::VerifyPassword {
        password,
        keys: Box::new(account.record.credentials.sha256.clone()),
    };
    Outcome::wait(verify, |account, turn, iq, reply| match reply {
        Reply::PasswordIs(true) => then(account, turn),
        Reply::PasswordIs(false) => wrong(account, turn, iq),
        _ => Outcome::internal(),
    })
}

/// The password was wrong.
fn wrong(account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
    let session = iq.session.and_then(|id| account.sessions.get_mut(id));
    let Some(session) = session else {
        return Outcome::Silence;
    };
    session.wrong_passwords += 1;
    let (id, address, tries): (SessionId, _, _) =
        (session.id, session.address, session.wrong_passwords);
    tracing::info!(account = %account.jid(), %address, tries, "password of the own account is wrong");
    let error = StanzaError::new(Condition::NotAuthorized)
        .with_type(ErrorType::Modify)
        .with_text("the old password is wrong");
    if tries < WRONG_MAX {
        return Outcome::Error(error);
    }
    account.conclude(turn, iq.clone(), Outcome::Error(error));
    let end = StreamError::new(StreamCondition::NotAuthorized)
        .with_text("the old password was wrong too often; log in again");
    account.end_session(turn, id, end);
    Outcome::Silence
}
