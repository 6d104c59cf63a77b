//! How the accounts of a world stand.

use std::sync::Arc;

use futures_util::FutureExt;
use rookery_router::AccountOptions;
use rookery_session::carrier::{AdminAnswer, AdminQuestion, Answer, Moderation, Question};
use rookery_store::Store;
use rookery_store::standing::Standing;
use rookery_xmpp::units::Span;

use super::{World, jid};

impl World {
    /// Removed accounts are to be kept for so many milliseconds from now on.
    pub(crate) fn set_grace(&self, ms: u32) {
        let removal_grace = Span::from_ms(ms);
        self.env
            .accounts
            .store(Arc::new(AccountOptions { removal_grace }));
    }

    /// How an account stands in the store; none without one.
    pub(crate) fn standing(&self, name: &str) -> Option<Standing> {
        let jid = jid(&format!("{name}@localhost"));
        let account = self.store.account(&jid).now_or_never();
        let account = account.expect("memory is quick").expect("it can be read");
        account.map(|record| record.standing)
    }

    /// Has an account stand so, behind the server's back and before it is loaded.
    pub(crate) fn set_standing(&self, name: &str, standing: Standing) {
        let jid = jid(&format!("{name}@localhost"));
        let set = self.store.set_standing(&jid, standing).now_or_never();
        assert_eq!(set, Some(Ok(())));
    }

    /// An operator, or the sweeper, does something about how an account stands.
    pub(crate) fn moderate(&mut self, name: &str, step: Moderation) -> AdminAnswer {
        let account = jid(&format!("{name}@localhost"));
        self.ask_admin(AdminQuestion::Moderate { account, step })
    }

    /// An operator removes an account.
    pub(crate) fn delete(&mut self, name: &str, now: bool) -> AdminAnswer {
        let account = jid(&format!("{name}@localhost"));
        self.ask_admin(AdminQuestion::DeleteAccount { account, now })
    }

    /// Asks, and lets some seconds go by: a deletion waits so long for contacts whose clients do not read.
    fn ask_admin(&mut self, question: AdminQuestion) -> AdminAnswer {
        let mailbox = self.mailbox();
        let mut answer = self.ask_from(mailbox.clone(), Question::Admin(question));
        for _ in 0..6 {
            if answer.is_none() {
                self.tick();
                answer = mailbox.take_answer();
            }
        }
        match answer {
            Some(Answer::Admin(answer)) => answer,
            answer => panic!("{answer:?}"),
        }
    }
}
