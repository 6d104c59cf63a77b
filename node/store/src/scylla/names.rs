//! The names of a host's accounts, in order, for operators.
//!
//! A name is announced before its account is made, and in doubt before its account is deleted. So whatever crashes in
//! between, an account without doubt is one, and a name in doubt is looked up.

use futures_util::future::try_join_all;
use rookery_xmpp::jid::Jid;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::account::record;
use super::cql::Cql;
use super::owner::OwnerRow;
use super::slice::{SLICES, slice_of};
use crate::account::AccountRecord;
use crate::error::StoreError;

/// A name, of one incarnation.
pub(super) struct Name {
    host: String,
    slice: i16,
    local: String,
    pub(super) incarnation: Uuid,
    /// When it was announced; it is confirmed as of right behind, so that whatever is done later wins over that.
    announced: i64,
}

impl Cql {
    /// The name of an account.
    pub(super) fn name(&self, jid: &Jid, incarnation: Uuid) -> Name {
        let local = jid.local().unwrap_or_default().to_owned();
        Name {
            host: jid.domain().to_owned(),
            slice: slice_of(&local),
            local,
            incarnation,
            announced: self.stamps.next(),
        }
    }

    /// Puts a name in the list, in doubt.
    pub(super) async fn announce_name(&self, name: &Name) -> Result<(), StoreError> {
        let (host, slice, local, incarnation) = name.key();
        let values = (host, slice, local, incarnation, name.announced);
        self.write(&self.statements.name_insert, values).await
    }

    /// There is an account of that name without doubt.
    pub(super) async fn confirm_name(&self, name: &Name) -> Result<(), StoreError> {
        let (host, slice, local, incarnation) = name.key();
        let values = (name.announced + 1, host, slice, local, incarnation);
        self.write(&self.statements.name_live, values).await
    }

    /// Whether there is an account of that name has to be looked up from now on.
    pub(super) async fn doubt_name(&self, name: &Name) -> Result<(), StoreError> {
        self.write(&self.statements.name_doubt, name.key()).await
    }

    /// There is no account of that name and incarnation.
    pub(super) async fn forget_name(&self, name: &Name) -> Result<(), StoreError> {
        self.write(&self.statements.name_delete, name.key()).await
    }

    /// [`list_accounts`](crate::Store::list_accounts).
    pub(super) async fn list_accounts(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let list = &self.statements.name_page;
        self.page_of(list, (host, after), limit, |jid, row| {
            row.account.map(|columns| record(jid, columns)).transpose()
        })
        .await
    }

    /// What `pick` finds in the owners' rows of names in a list of hints, in the order of names: so many at most, and
    /// fewer only at the end of the list.
    pub(super) async fn page_of<T>(
        &self,
        list: &PreparedStatement,
        (host, after): (&str, Option<&str>),
        limit: usize,
        pick: impl Fn(&Jid, OwnerRow) -> Result<Option<T>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut page: Vec<T> = Vec::new();
        let mut after = after.unwrap_or_default().to_owned();
        while page.len() < limit {
            let names = self
                .names_behind(list, host, &after, limit - page.len())
                .await?;
            let Some(last) = names.last().cloned() else {
                break;
            };
            for some in names.chunks(AT_ONCE) {
                let named = some.iter().map(|name| format!("{name}@{host}"));
                let jids: Vec<Jid> = named.filter_map(|jid| Jid::parse(&jid).ok()).collect();
                let rows = try_join_all(jids.iter().map(|jid| self.owner(jid))).await?;
                for (jid, row) in jids.iter().zip(rows) {
                    page.extend(pick(jid, row)?);
                }
            }
            after = last;
        }
        Ok(page)
    }

    /// The next names of the list, at most `limit`; none at its end.
    async fn names_behind(
        &self,
        statement: &PreparedStatement,
        host: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let most = i32::try_from(limit).unwrap_or(i32::MAX);
        let slices =
            (0..SLICES).map(|slice| self.rows::<(String,)>(statement, (host, slice, after, most)));
        let mut names: Vec<String> = try_join_all(slices)
            .await?
            .into_iter()
            .flatten()
            .map(|(name,)| name)
            .collect();
        names.sort_unstable();
        // One slice alone could hold all that come next, so only as many as each was asked for are the next.
        names.truncate(limit);
        names.dedup();
        Ok(names)
    }

    async fn named(&self, host: &str, local: &str) -> Result<Option<AccountRecord>, StoreError> {
        let Ok(jid) = Jid::parse(&format!("{local}@{host}")) else {
            return Ok(None);
        };
        let row = self.owner(&jid).await?;
        row.account.map(|columns| record(&jid, columns)).transpose()
    }

    /// [`count_accounts`](crate::Store::count_accounts).
    pub(super) async fn count_accounts(&self, host: &str) -> Result<u64, StoreError> {
        let slices = (0..SLICES).map(|slice| self.count_slice(host, slice));
        Ok(try_join_all(slices).await?.into_iter().sum())
    }

    async fn count_slice(&self, host: &str, slice: i16) -> Result<u64, StoreError> {
        let statement = &self.statements.name_all;
        let rows: Vec<(String, Option<bool>)> = self.rows(statement, (host, slice)).await?;
        let mut count = 0;
        for incarnations in rows.chunk_by(|(one, _), (other, _)| one == other) {
            let certain = incarnations.iter().any(|(_, live)| *live == Some(true));
            if certain || self.named(host, &incarnations[0].0).await?.is_some() {
                count += 1;
            }
        }
        Ok(count)
    }
}

impl Name {
    /// The local part.
    pub(super) fn local(&self) -> &str {
        &self.local
    }

    fn key(&self) -> (&str, i16, &str, Uuid) {
        (&self.host, self.slice, &self.local, self.incarnation)
    }
}

/// Accounts looked up at the same time for one page.
const AT_ONCE: usize = 32;
