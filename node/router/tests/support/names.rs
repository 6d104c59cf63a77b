//! Names of a world.

use std::sync::Arc;

use futures_util::FutureExt;
use rookery_control::{NameOptions, RouterReport};
use rookery_router::modules::caps;
use rookery_router::{Contact, ContactOptions, ServerInfo, ServerInfoOptions};
use rookery_store::Store;
use rookery_store::name::Tombstone;
use rookery_xmpp::element::Element;

use super::{World, jid};

impl World {
    /// Whom people reach when they write to the server, from now on.
    pub(crate) fn set_contact(&self, contact: ContactOptions) {
        self.env.contact.store(Arc::new(Contact::new(contact)));
    }

    /// Hosts tell of themselves from now on as this says.
    pub(crate) fn set_server_info(&self, options: &ServerInfoOptions) {
        let server_info = ServerInfo::new(options);
        self.env.server_info.store(Arc::new(server_info));
    }

    /// The stream feature by which the host shows what it can do.
    pub(crate) fn caps(&self) -> Element {
        caps::feature(&self.env, "localhost")
    }

    /// What the control group would be told now, once.
    pub(crate) fn noticed(&self) -> Option<RouterReport> {
        let report = self.env.noticed.report(1)?;
        self.env.noticed.reported(report.sequence);
        Some(report)
    }

    /// Names are to be treated like this from now on.
    pub(crate) fn set_names(&self, names: NameOptions) {
        self.env.names.store(Arc::new(names));
    }

    /// Lifts the tombstone of a name behind the server's back.
    pub(crate) fn lift_tombstone(&self, name: &str) {
        let jid = jid(&format!("{name}@localhost"));
        let lifted = self.store.lift_tombstone(&jid).now_or_never();
        assert_eq!(lifted, Some(Ok(true)));
    }

    /// Deletes an account for ever behind the server's back: nobody is told.
    pub(crate) fn bury(&self, name: &str) {
        let jid = jid(&format!("{name}@localhost"));
        let tombstone = Tombstone {
            at: self.now,
            until: None,
        };
        let deleted = self.store.delete_account(&jid, Some(tombstone));
        assert_eq!(deleted.now_or_never(), Some(Ok(true)));
    }
}
