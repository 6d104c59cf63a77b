//! Accounts in memory.

use std::ops::Bound;

use rookery_xmpp::jid::Jid;

use super::State;
use crate::account::{AccountRecord, Found, Loaded, NewAccount};
use crate::document::ACCOUNT_COLLECTION;
use crate::error::StoreError;
use crate::log::DELIVERED;
use crate::name::Tombstone;

impl State {
    pub(super) fn create_account(&mut self, account: NewAccount) -> Result<(), StoreError> {
        if self.account(&account.jid).is_some() {
            return Err(StoreError::AlreadyExists);
        }
        self.names.check(&account)?;
        self.names.lift(&account.jid);
        self.names.claim(&account.jid);
        self.forget_owner(&account.jid);
        let NewAccount {
            jid,
            credentials,
            created,
            details,
            address,
            checks: _,
            standing,
            inviter,
        } = account;
        let (host, local) = place(&jid);
        let record = AccountRecord {
            jid,
            credentials,
            created,
            enabled: true,
            standing,
            details,
            address,
            inviter,
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

    pub(super) fn delete_account(&mut self, jid: &Jid, tombstone: Option<Tombstone>) -> bool {
        if self.account(jid).is_none() {
            return false;
        }
        let (host, local) = place(jid);
        if let Some(accounts) = self.accounts.get_mut(&host) {
            accounts.remove(&local);
        }
        self.names.free(jid);
        if let Some(tombstone) = tombstone {
            self.names.bury(jid, tombstone);
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

    pub(super) fn load(&self, jid: &Jid) -> Found {
        let Some(record) = self.account(jid).cloned() else {
            let tombstone = self.names.tombstone(jid);
            return tombstone.map_or(Found::Nobody, Found::Gone);
        };
        let owner = self.owners.get(jid);
        let delivered = owner.and_then(|owner| owner.cursors.get(DELIVERED).copied());
        Found::Account(Box::new(Loaded {
            record,
            roster: self.roster(jid),
            log_tail: owner.and_then(|owner| owner.log_high),
            delivered,
            owed: self.owed(jid, delivered),
            recent: owner.map_or_else(Vec::new, |owner| self.recent(jid, owner)),
            documents: self.documents(jid, ACCOUNT_COLLECTION),
        }))
    }
}

/// Host and local part of an account's JID.
pub(super) fn place(jid: &Jid) -> (String, String) {
    (
        jid.domain().to_owned(),
        jid.local().unwrap_or_default().to_owned(),
    )
}
