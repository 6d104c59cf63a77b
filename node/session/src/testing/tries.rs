//! The login guard's books: every try that it admitted ends once.

use rookery_xmpp::jid::Jid;

use super::{Verdict, ensure};
use crate::event::Admission;

/// The try that is going on, if there is one.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Who asked to be admitted and waits for the answer.
    asking: Option<Option<Jid>>,
    /// Who was admitted.
    open: Option<Option<Jid>>,
    /// How many were refused or reported as failed.
    pub(super) failed: u32,
}

impl Tries {
    /// The machine asks whether a try may go on.
    ///
    /// # Errors
    /// Another one goes on.
    pub(super) fn ask(&mut self, account: Option<&Jid>) -> Verdict {
        ensure(self.is_settled(), "two tries at once")?;
        self.asking = Some(account.cloned());
        Ok(())
    }

    /// The guard answers.
    pub(super) fn answer(&mut self, admission: Admission) {
        let account = self.asking.take();
        match admission {
            Admission::Now | Admission::After { .. } => self.open = account,
            Admission::Refused => self.failed += 1,
        }
    }

    /// The machine reports how a try ended.
    ///
    /// # Errors
    /// There is none, or it was somebody else's.
    pub(super) fn end(&mut self, account: Option<&Jid>, succeeded: bool) -> Verdict {
        self.failed += u32::from(!succeeded);
        self.close(account)
    }

    /// The machine takes a try back.
    ///
    /// # Errors
    /// There is none, or it was somebody else's.
    pub(super) fn withdraw(&mut self, account: Option<&Jid>) -> Verdict {
        self.close(account)
    }

    /// Whether a try was admitted and goes on.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether nothing is asked and nothing goes on.
    pub(super) fn is_settled(&self) -> bool {
        self.asking.is_none() && self.open.is_none()
    }

    fn close(&mut self, account: Option<&Jid>) -> Verdict {
        let open = self.open.take().ok_or("a try ended that was not open")?;
        ensure(open.as_ref() == account, "somebody else's try ended")
    }
}
