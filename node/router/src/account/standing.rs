//! An account that is not in use: it awaits approval, or leaves.
//!
//! | | awaits approval | leaves |
//! |---|---|---|
//! | login with the right password | refused, and told why | refused, and told why |
//! | the same where it is disabled too | as for every wrong password | as for every wrong password |
//! | with a wrong one | as for every wrong password | as for every wrong password |
//! | message, IQ | `service-unavailable`, nothing is kept | `service-unavailable`, nothing is kept |
//! | subscriptions of others | as for a name that does not exist | handled, so that rosters agree if it is restored |
//! | probe | as for a name that does not exist | nobody is there |
//!
//! ```text
//! operator, sweeper ── Moderate ─► restore, approve: SetStanding(Member)
//!                                  deny, or its time is over: told, deleted (see [`super::removal`])
//! ```

use std::sync::Arc;

use bytes::Bytes;
use metrics::counter;
use rookery_session::carrier::{AdminAnswer, Answer, AskId, Barred, Moderation, SinkRef};
use rookery_store::standing::Standing;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Kind, Rec};

use super::operator::done;
use super::removal::{STANDING, is_ending};
use super::{Account, absent};
use crate::shard::{Reply, Request, Turn};

impl Account {
    /// What a login is answered. An account that an operator has disabled looks as it did, and takes no password; of
    /// one that is not in use whoever knows the password is told why.
    pub(super) fn credentials(&self) -> Answer {
        if !self.record.enabled {
            let locked = self.record.credentials.locked();
            return Answer::Credentials(Some(Arc::new(locked)));
        }
        let keys = Arc::new(self.record.credentials.clone());
        match self.record.standing {
            Standing::Member => Answer::Credentials(Some(keys)),
            Standing::Awaiting { .. } => Answer::Barred(keys, Barred::AwaitsApproval),
            Standing::Leaving { .. } => Answer::Barred(keys, Barred::Leaves),
        }
    }

    /// Answers a stanza for an account that is not in use. False if it is to be handled as ever.
    pub(super) fn stands_aside(
        &self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) -> bool {
        let aside = match self.record.standing {
            Standing::Member => false,
            Standing::Awaiting { .. } => true,
            Standing::Leaving { .. } => rec.kind != Kind::Presence,
        };
        if aside {
            absent::absent_stanza(turn, from, to, buf, rec);
        }
        aside
    }

    /// Changes how the account stands, if it stands so that this can be done.
    pub(super) fn moderated(
        &mut self,
        turn: &mut Turn<'_>,
        from: SinkRef,
        ask: AskId,
        step: Moderation,
    ) {
        if self.end.has_begun() {
            return turn.answer(&from, ask, is_ending());
        }
        match (step, self.record.standing) {
            (Moderation::Restore, Standing::Leaving { .. }) => {
                self.becomes_member(turn, from, ask, "restored");
            }
            (Moderation::Approve, Standing::Awaiting { .. }) => {
                self.becomes_member(turn, from, ask, "approved");
            }
            (Moderation::Deny { tombstone }, Standing::Awaiting { .. }) => {
                let tombstone = tombstone.then(|| turn.env.tombstone_of_denied(turn.now));
                self.delete(turn, tombstone, "denied", move |_, turn, reply| {
                    turn.answer(&from, ask, done(&reply));
                });
            }
            (Moderation::EndDue { .. }, standing) if standing.has_left(turn.now) => {
                self.end_for(turn, from, ask);
            }
            (Moderation::EndDue { awaiting_before }, Standing::Awaiting { since })
                if since < awaiting_before =>
            {
                self.delete(turn, None, "expired", move |_, turn, reply| {
                    turn.answer(&from, ask, done(&reply));
                });
            }
            (step, standing) => {
                let why = refusal(step, standing).to_owned();
                turn.answer(&from, ask, Answer::Admin(AdminAnswer::Invalid(why)));
            }
        }
    }

    fn becomes_member(
        &mut self,
        turn: &mut Turn<'_>,
        from: SinkRef,
        ask: AskId,
        step: &'static str,
    ) {
        let request = Request::SetStanding(Jid::clone(self.jid()), Standing::Member);
        self.request(turn, request, move |account, turn, reply| {
            if matches!(reply, Reply::Done) {
                account.record.standing = Standing::Member;
                counter!(STANDING, "step" => step).increment(1);
                tracing::info!(account = %account.jid(), step, "account is in use");
            }
            turn.answer(&from, ask, done(&reply));
        });
    }
}

fn refusal(step: Moderation, standing: Standing) -> &'static str {
    match (step, standing) {
        (Moderation::EndDue { .. }, _) => "its time is not over",
        (_, Standing::Member) => "the account is in use",
        (_, Standing::Awaiting { .. }) => "the account awaits approval",
        (_, Standing::Leaving { .. }) => "the account was removed: `users restore` restores it",
    }
}
