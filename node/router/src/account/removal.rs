//! Removing an account: it leaves, is deleted at the end of its grace, and may be restored until then.
//!
//! ```text
//! remove ─► SetStanding(Leaving until T) ─► sessions end, contacts see nobody    ─ restore ─► as before
//!                                       T ─► unsubscribe, unsubscribed to all contacts, settled
//!                                         ─► DeleteAccount, with the tombstone of [`Environment::tombstone`]
//! ```
//!
//! Contacts are told before the roster that names them is gone. Whoever dies on the way leaves an account whose grace
//! is over, and it is told and deleted again: a contact that has heard of it hears nothing new. Where there is no grace
//! the same steps follow one another at once.
//!
//! [`Environment::tombstone`]: crate::environment::Environment

use std::time::Duration;

use metrics::counter;
use rookery_control::{EventKind, NewEvent};
use rookery_session::carrier::{AdminAnswer, Answer, AskId, Bell, SinkRef};
use rookery_store::name::Tombstone;
use rookery_store::standing::{Remover, Standing};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::Account;
use super::operator::done;
use crate::modules::Outcome;
use crate::shard::{Reply, Request, Run, Turn};

impl Account {
    /// Removes the account by an operator's word: `now`, or with the grace of the configuration.
    pub(super) fn remove_for_operator(
        &mut self,
        turn: &mut Turn<'_>,
        from: SinkRef,
        ask: AskId,
        now: bool,
    ) {
        if self.end.has_begun() {
            return turn.answer(&from, ask, is_ending());
        }
        if self.record.standing.is_awaiting() {
            // It never was in use, and nobody can have wanted it back.
            return self.delete(turn, None, "denied", move |_, turn, reply| {
                turn.answer(&from, ask, done(&reply));
            });
        }
        let grace = match now {
            true => Duration::ZERO,
            false => turn.env.removal_grace(),
        };
        let leaving = leaving(turn, grace, Remover::Operator);
        if grace.is_zero() && self.record.standing.has_left(turn.now) {
            return self.end_for(turn, from, ask);
        }
        if !grace.is_zero() && self.record.standing.is_leaving() {
            // Whoever asks twice does not make it stay longer.
            return turn.answer(&from, ask, leaves(self.record.standing));
        }
        let request = Request::SetStanding(Jid::clone(self.jid()), leaving);
        self.request(turn, request, move |account, turn, reply| match reply {
            Reply::Done => {
                account.leave_as(turn, leaving);
                match grace.is_zero() {
                    true => account.end_for(turn, from, ask),
                    false => turn.answer(&from, ask, leaves(leaving)),
                }
            }
            other => turn.answer(&from, ask, done(&other)),
        });
    }

    /// XEP-0077 3.2: the account's owner removes it.
    pub(crate) fn remove_for_owner(&self, turn: &Turn<'_>) -> Outcome {
        let leaving = leaving(turn, turn.env.removal_grace(), Remover::Owner);
        let request = Request::SetStanding(Jid::clone(self.jid()), leaving);
        Outcome::wait(request, move |_, _, _, reply| match reply {
            Reply::Done => Outcome::ResultThen(
                None,
                Box::new(move |account, turn| {
                    account.leave_as(turn, leaving);
                    if leaving.has_left(turn.now) {
                        account.end(turn, |_, _, _| {});
                    }
                }),
            ),
            Reply::Failed(error) => Outcome::Error(super::store_refusal(&error)),
            _ => Outcome::internal(),
        })
    }

    /// It is durable that the account leaves: its sessions end (XEP-0077 3.2), and so contacts see nobody there.
    fn leave_as(&mut self, turn: &mut Turn<'_>, leaving: Standing) {
        self.record.standing = leaving;
        counter!(STANDING, "step" => "left").increment(1);
        let error =
            StreamError::new(StreamCondition::NotAuthorized).with_text("this account was removed");
        self.end_all_sessions(turn, &error);
        tracing::info!(
            account = %self.jid(),
            by = leaving.by().map(Remover::as_str),
            until_ms = leaving.until().map(|until| until.as_millis()),
            "account removed"
        );
        let name = self.jid().local().unwrap_or_default();
        let event = NewEvent::new(EventKind::Removed, "").about(name, self.jid().domain());
        turn.env.noticed.raise(event);
    }

    /// Deletes the account, and answers an operator.
    pub(super) fn end_for(&mut self, turn: &mut Turn<'_>, from: SinkRef, ask: AskId) {
        self.end(turn, move |_, turn, reply| {
            turn.answer(&from, ask, done(&reply));
        });
    }

    /// Deletes an account whose time is over: its contacts are told first. `then` is given what became of it, while the
    /// account is still there.
    fn end(
        &mut self,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, Reply) + Send + 'static,
    ) {
        self.end = End::Farewell {
            since: turn.now,
            then: Box::new(then),
        };
        let (bell, told) = Bell::with_receipt();
        let held = turn.receipt.replace(told);
        self.cancel_all_subscriptions(turn);
        turn.receipt = held;
        // What contacts say to that comes in here, so nothing may wait for it.
        self.request_beside(turn, Request::Settled(bell), |account, turn, _| {
            account.bury(turn);
        });
    }

    /// Goes on with a deletion that has waited long enough for the contacts: their rosters have changed, and who reads
    /// slowly at one of their clients holds up nobody.
    pub(super) fn end_of_farewell(&mut self, turn: &mut Turn<'_>) {
        if let End::Farewell { since, .. } = self.end
            && turn.now.since(since) >= FAREWELL_MAX
        {
            self.bury(turn);
        }
    }

    /// All contacts have been told, or long enough was waited for them.
    fn bury(&mut self, turn: &mut Turn<'_>) {
        match std::mem::replace(&mut self.end, End::Deletion) {
            End::Farewell { then, .. } => {
                let tombstone = turn.env.tombstone(turn.now);
                self.delete(turn, tombstone, "deleted", then);
            }
            other => self.end = other,
        }
    }

    /// Deletes the account and all it owns.
    pub(super) fn delete(
        &mut self,
        turn: &mut Turn<'_>,
        tombstone: Option<Tombstone>,
        step: &'static str,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, Reply) + Send + 'static,
    ) {
        self.end = End::Deletion;
        let request = Request::DeleteAccount(Jid::clone(self.jid()), tombstone);
        self.request(turn, request, move |account, turn, reply| {
            account.end = match reply {
                Reply::Deleted(_) => End::Over(tombstone),
                _ => End::NotYet,
            };
            if account.is_removed() {
                counter!(STANDING, "step" => step).increment(1);
                tracing::info!(account = %account.jid(), step, "account is gone");
            }
            then(account, turn, reply);
        });
    }
}

/// How far the deletion of an account is.
pub(super) enum End {
    /// It has not begun.
    NotYet,
    /// It waits until the contacts have been told.
    Farewell {
        /// From then on.
        since: Timestamp,
        /// Is given what became of it.
        then: Run,
    },
    /// The store deletes it.
    Deletion,
    /// It is gone, and this is left of it.
    Over(Option<Tombstone>),
}

impl End {
    /// Whether nothing else may become of the account.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self, Self::NotYet)
    }
}

/// The standing of an account that is removed now.
fn leaving(turn: &Turn<'_>, grace: Duration, by: Remover) -> Standing {
    Standing::Leaving {
        since: turn.now,
        until: turn.now.plus(grace),
        by,
    }
}

/// What an operator is told of an account that is being deleted.
pub(super) fn is_ending() -> Answer {
    let why = "the account is being deleted now".to_owned();
    Answer::Admin(AdminAnswer::Invalid(why))
}

fn leaves(standing: Standing) -> Answer {
    Answer::Admin(match standing.until() {
        Some(until) => AdminAnswer::Leaving(until),
        None => AdminAnswer::Done,
    })
}

/// How long a deletion waits for that: words between nodes take milliseconds, a shard that is moved a second or two.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// Accounts that began to stand otherwise, by what was done.
pub(crate) const STANDING: &str = "rookery_accounts_standing_total";
