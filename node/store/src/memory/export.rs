//! Export from memory.

use std::ops::Bound;

use rookery_xmpp::jid::Jid;

use super::{Owner, State};
use crate::export::{Owned, OwnersPage, StoredDocument};
use crate::log::{LogEntry, LogQuery, Position};

impl State {
    pub(super) fn owners(&self, after: Option<&str>, limit: usize) -> OwnersPage {
        let behind = |jid: &&Jid| after.is_none_or(|after| after < jid.as_str());
        let all = self.owners.keys().chain(self.names.buried());
        let mut owners: Vec<Jid> = all.filter(behind).cloned().collect();
        owners.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        owners.dedup();
        let more = owners.len() > limit;
        owners.truncate(limit);
        let next = owners.last().filter(|_| more);
        let next = next.map(|last| last.as_str().to_owned());
        OwnersPage { owners, next }
    }

    pub(super) fn export_owner(&self, jid: &Jid) -> Option<Owned> {
        let account = self.account(jid).cloned();
        let tombstone = self.names.tombstone(jid);
        let nothing = Owner::default();
        let owner = self.owners.get(jid);
        let owner = owner.or_else(|| tombstone.map(|_| &nothing))?;
        let roster = self.roster(jid);
        let has_documents = owner.documents.values().any(|some| !some.is_empty());
        let owns = account.is_some() || has_documents || owner.log_high.is_some();
        let owns = owns || tombstone.is_some();
        (owns || !owner.cursors.is_empty()).then(|| Owned {
            life: owner.life.to_string(),
            account,
            roster,
            cursors: owner.cursors.clone().into_iter().collect(),
            log_high: owner.log_high,
            tombstone,
        })
    }

    pub(super) fn export_documents(
        &self,
        jid: &Jid,
        life: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Vec<StoredDocument> {
        let Some(owner) = self.living(jid, life) else {
            return Vec::new();
        };
        let first = Bound::Included(after.map_or("", |(collection, _)| collection));
        let collections = owner.documents.range::<str, _>((first, Bound::Unbounded));
        let all = collections.flat_map(|(collection, some)| {
            some.iter()
                .map(move |(key, value)| (collection, key, value))
        });
        let behind = |(collection, key, _): &(&String, &String, _)| {
            after.is_none_or(|after| after < (collection.as_str(), key.as_str()))
        };
        let page = all.filter(behind).take(limit);
        page.map(|(collection, key, value)| StoredDocument {
            collection: collection.clone(),
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
    }

    pub(super) fn export_log(
        &self,
        jid: &Jid,
        life: &str,
        after: Option<Position>,
        limit: usize,
    ) -> Vec<LogEntry> {
        match self.living(jid, life) {
            Some(_) => self.read_log(jid, LogQuery::after(after, limit)),
            None => Vec::new(),
        }
    }

    pub(super) fn raise_log(&mut self, jid: &Jid, position: Position) {
        let owner = self.owner_mut(jid);
        owner.log_high = owner.log_high.max(Some(position));
    }

    fn living(&self, jid: &Jid, life: &str) -> Option<&Owner> {
        let owner = self.owners.get(jid)?;
        (owner.life.to_string() == life).then_some(owner)
    }
}
