//! What a finished login proves.

use rookery_xmpp::jid::Jid;

/// Proof that a client knows the password of an account. Only [`scram`](super::scram) and [`plain`](super::plain) make
/// one, after they compared.
#[derive(Debug)]
pub(crate) struct Proof {
    account: Jid,
}

impl Proof {
    pub(super) fn of(account: Jid) -> Self {
        Self { account }
    }

    /// The bare JID that was proved.
    pub(crate) fn into_account(self) -> Jid {
        self.account
    }
}
