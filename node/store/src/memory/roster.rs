//! Rosters in memory.

use rookery_xmpp::jid::Jid;

use super::State;
use crate::error::StoreError;
use crate::roster::{Roster, RosterChange};

impl State {
    pub(super) fn roster(&self, jid: &Jid) -> Roster {
        let Some(owner) = self.owners.get(jid) else {
            return Roster::default();
        };
        Roster {
            version: owner.roster_version,
            items: owner.roster.values().cloned().collect(),
        }
    }

    pub(super) fn update_roster(
        &mut self,
        jid: &Jid,
        change: RosterChange,
    ) -> Result<(), StoreError> {
        self.account(jid).ok_or(StoreError::NotFound)?;
        let owner = self.owner_mut(jid);
        owner.roster_version = change.version;
        for contact in &change.remove {
            owner.roster.remove(contact);
        }
        owner
            .roster
            .extend(change.put.into_iter().map(|item| (item.jid.clone(), item)));
        Ok(())
    }
}
