//! Names in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rookery_xmpp::jid::{Jid, skeleton};

use super::account::place;
use crate::account::NewAccount;
use crate::error::StoreError;
use crate::name::{Buried, Tombstone};

/// Who claims which skeleton, and the tombstones.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Host and skeleton → local parts of accounts.
    claims: BTreeMap<(String, String), BTreeSet<String>>,
    /// By host, then by local part: the order of lists.
    tombstones: BTreeMap<String, BTreeMap<String, Buried>>,
}

impl Names {
    /// Refuses a name as far as its account's checks ask for it.
    pub(super) fn check(&self, account: &NewAccount) -> Result<(), StoreError> {
        let NewAccount { jid, checks, .. } = account;
        let tombstone = self.tombstone(jid).filter(|_| checks.tombstones);
        if let Some(tombstone) = tombstone.filter(|it| it.holds(account.created)) {
            let until = tombstone.until;
            return Err(StoreError::Gone { until });
        }
        match self.claims.get(&claim(jid)).and_then(BTreeSet::first) {
            Some(other) if checks.look_alikes => {
                let with = other.as_str().into();
                Err(StoreError::Confusable { with })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn claim(&mut self, jid: &Jid) {
        let (_, local) = place(jid);
        self.claims.entry(claim(jid)).or_default().insert(local);
    }

    pub(super) fn free(&mut self, jid: &Jid) {
        let (key, (_, local)) = (claim(jid), place(jid));
        if let Some(locals) = self.claims.get_mut(&key) {
            locals.remove(&local);
            if locals.is_empty() {
                self.claims.remove(&key);
            }
        }
    }

    pub(super) fn like(&self, host: &str, skeleton: &str, limit: usize) -> Vec<String> {
        let key = (host.to_owned(), skeleton.to_owned());
        let locals = self.claims.get(&key).into_iter().flatten();
        locals.take(limit).cloned().collect()
    }

    pub(super) fn tombstone(&self, jid: &Jid) -> Option<Tombstone> {
        let of_host = self.tombstones.get(jid.domain())?;
        Some(of_host.get(jid.local()?)?.tombstone)
    }

    pub(super) fn tombstones(&self, host: &str, after: Option<&str>, limit: usize) -> Vec<Buried> {
        let Some(of_host) = self.tombstones.get(host) else {
            return Vec::new();
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = of_host.range::<str, _>((from, Bound::Unbounded));
        page.take(limit).map(|(_, buried)| buried.clone()).collect()
    }

    pub(super) fn bury(&mut self, jid: &Jid, tombstone: Tombstone) {
        let (host, local) = place(jid);
        let jid = jid.clone();
        let of_host = self.tombstones.entry(host).or_default();
        of_host.insert(local, Buried { jid, tombstone });
    }

    pub(super) fn lift(&mut self, jid: &Jid) -> bool {
        let (host, local) = place(jid);
        let of_host = self.tombstones.get_mut(&host);
        of_host.is_some_and(|of_host| of_host.remove(&local).is_some())
    }

    /// Everybody who has a tombstone.
    pub(super) fn buried(&self) -> impl Iterator<Item = &Jid> {
        let all = self.tombstones.values().flat_map(BTreeMap::values);
        all.map(|buried| &buried.jid)
    }
}

/// What an account of that name claims.
fn claim(jid: &Jid) -> (String, String) {
    let local = jid.local().unwrap_or_default();
    (jid.domain().to_owned(), skeleton(local))
}
