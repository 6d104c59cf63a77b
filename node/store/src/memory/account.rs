//! Accounts in memory.

use std::ops::Bound;

use rookery_xmpp::jid::Jid;

use super::State;
use crate::account::{AccountRecord, Loaded, NewAccount};
use crate::document::ACCOUNT_COLLECTION;
use crate::error::StoreError;
use crate::log::DELIVERED;

impl State {
    pub(super) fn create_account(&mut self, account: NewAccount) -> Result<(), StoreError> {
        if self.account(&account.jid).is_some() {
            return Err(StoreError::AlreadyExists);
        }
        self.forget_owner(&account.jid);
        let NewAccount {
            jid,
            credentials,
            created,
            details,
            address,
        } = account;
        let (host, local) = place(&jid);
        let record = AccountRecord {
            jid,
            credentials,
            created,
            enabled: true,
            details,
            address,
        };
        self.owner_mut(&record.jid);
        self.accounts.entry(host).or_default().insert(local, record);
        Ok(())
    }

    pub(super) fn account(&self, jid: &Jid) -> Option<&AccountRecord> {
        if jid.is_full() {
            return None;
        }
        self.accounts.get(jid.domain())?.get(jid.local()?)
    }

    pub(super) fn account_mut(&mut self, jid: &Jid) -> Result<&mut AccountRecord, StoreError> {
        self.account(jid).ok_or(StoreError::NotFound)?;
        let (host, local) = place(jid);
        let accounts = self.accounts.get_mut(&host);
        accounts
            .and_then(|accounts| accounts.get_mut(&local))
            .ok_or(StoreError::NotFound)
    }

    pub(super) fn delete_account(&mut self, jid: &Jid) -> bool {
        if self.account(jid).is_none() {
            return false;
        }
        let (host, local) = place(jid);
        if let Some(accounts) = self.accounts.get_mut(&host) {
            accounts.remove(&local);
        }
        self.forget_owner(jid);
        true
    }

    pub(super) fn list_accounts(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<AccountRecord> {
        let Some(accounts) = self.accounts.get(host) else {
            return Vec::new();
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = accounts
            .range::<str, _>((from, Bound::Unbounded))
            .take(limit);
        page.map(|(_, record)| record.clone()).collect()
    }

    pub(super) fn load(&self, jid: &Jid) -> Option<Loaded> {
        let record = self.account(jid)?.clone();
        let owner = self.owners.get(jid);
        let delivered = owner.and_then(|owner| owner.cursors.get(DELIVERED).copied());
        Some(Loaded {
            record,
            roster: self.roster(jid),
            log_tail: owner.and_then(|owner| owner.log_high),
            delivered,
            owed: self.owed(jid, delivered),
            recent: owner.map_or_else(Vec::new, |owner| self.recent(jid, owner)),
            documents: self.documents(jid, ACCOUNT_COLLECTION),
        })
    }
}

/// Host and local part of an account's JID.
fn place(jid: &Jid) -> (String, String) {
    (
        jid.domain().to_owned(),
        jid.local().unwrap_or_default().to_owned(),
    )
}
