//! A client: its account, its present session, and what it knows of its stream.

use rookery_control::QuotaKey;
use rookery_xmpp::jid::Jid;

use super::clock::Micros;
use super::ledger::Ledger;
use super::session::Session;

/// One client. It has one account and one resource, and a session now and then.
pub(crate) struct Client {
    pub(crate) account: Jid,
    pub(crate) resource: &'static str,
    /// What it takes from with all that it sends.
    pub(crate) budgets: [QuotaKey; 2],
    pub(crate) session: Option<Session>,
    /// It does not read what comes until then.
    pub(crate) deaf_until: Micros,
    /// It stays away until then.
    pub(crate) away_until: Micros,
    /// What it knows of its stream, if it manages it (XEP-0198).
    pub(crate) ledger: Option<Ledger>,
}
