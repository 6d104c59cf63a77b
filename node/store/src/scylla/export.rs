//! Export from CQL: a walk over the tables in the order of their partitions' tokens.
//!
//! The table of owners comes first. Behind it come those who own something and have no row there, table by table, each
//! where it is met first. A life is the incarnation.

use std::str::FromStr;

use rookery_xmpp::jid::Jid;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::account::record;
use super::cql::Cql;
use super::cursor::position;
use super::owner::Incarnation;
use crate::codec::jid;
use crate::error::StoreError;
use crate::export::{Owned, OwnersPage, StoredDocument};
use crate::log::Position;
use crate::roster::Roster;

/// Where a walk is: in which table, behind which token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    table: Table,
    token: i64,
}

/// The tables in which an owner may have something, in the order of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Owner,
    Document,
    Cursor,
    LogHigh,
    LogBucket,
}

/// A partition that a walk meets.
struct Met {
    owner: String,
    incarnation: Uuid,
    token: i64,
}

impl Cql {
    /// [`owners`](crate::Store::owners).
    pub(super) async fn owners(&self, from: Walk, limit: usize) -> Result<OwnersPage, StoreError> {
        let limit = limit.max(MET_MIN);
        let mut met = self.meet(from, limit).await?;
        let more = met.len() >= limit;
        if more {
            drop_last_token(&mut met);
        }
        let next = match met.last().filter(|_| more) {
            Some(last) => Some(Walk {
                token: last.token,
                ..from
            }),
            None => from.table.next().map(Walk::over),
        };
        let mut owners = Vec::with_capacity(met.len());
        for it in &met {
            if from.table == Table::Owner || self.is_first_met(from.table, it).await? {
                owners.push(jid(&it.owner)?);
            }
        }
        let next = next.map(|walk| walk.to_string());
        Ok(OwnersPage { owners, next })
    }

    /// Owners of the table of owners behind a token, and where the next begin; none at the end.
    pub(super) async fn owners_behind(
        &self,
        token: i64,
        limit: usize,
    ) -> Result<(Vec<String>, Option<i64>), StoreError> {
        let table = Table::Owner;
        let limit = limit.max(MET_MIN);
        let mut met = self.meet(Walk { table, token }, limit).await?;
        let more = met.len() >= limit;
        if more {
            drop_last_token(&mut met);
        }
        let next = met.last().filter(|_| more).map(|last| last.token);
        Ok((met.into_iter().map(|it| it.owner).collect(), next))
    }

    async fn meet(&self, from: Walk, limit: usize) -> Result<Vec<Met>, StoreError> {
        let most = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (from.token, most);
        if from.table == Table::Owner {
            let statement = &self.statements.owner_walk;
            let rows: Vec<(String, i64)> = self.rows(statement, values).await?;
            let met = |(owner, token)| Met {
                owner,
                incarnation: Uuid::nil(),
                token,
            };
            return Ok(rows.into_iter().map(met).collect());
        }
        let statement = self.walk_of(from.table);
        let rows: Vec<(String, Uuid, i64)> = self.rows(statement, values).await?;
        let met = |(owner, incarnation, token)| Met {
            owner,
            incarnation,
            token,
        };
        Ok(rows.into_iter().map(met).collect())
    }

    fn walk_of(&self, table: Table) -> &PreparedStatement {
        match table {
            Table::Owner => &self.statements.owner_walk,
            Table::Document => &self.statements.document_walk,
            Table::Cursor => &self.statements.cursor_walk,
            Table::LogHigh => &self.statements.high_walk,
            Table::LogBucket => &self.statements.bucket_walk,
        }
    }

    /// Whether an owner has nothing in the tables before this one. Only those who never had a row among the owners are
    /// in the incarnation of zeros for good.
    async fn is_first_met(&self, table: Table, met: &Met) -> Result<bool, StoreError> {
        if !met.incarnation.is_nil() {
            return Ok(false);
        }
        let statement = &self.statements.incarnation_read;
        let row: Option<(Option<Uuid>,)> = self.first(statement, (&met.owner,)).await?;
        if row.is_some() {
            return Ok(false);
        }
        let key = (&met.owner, met.incarnation);
        if table > Table::Document && self.has_documents(key).await? {
            return Ok(false);
        }
        if table > Table::Cursor {
            let statement = &self.statements.cursor_all;
            if !self.rows::<(String, i64)>(statement, key).await?.is_empty() {
                return Ok(false);
            }
        }
        if table > Table::LogHigh {
            let statement = &self.statements.high_read;
            return Ok(self.first::<(i64,)>(statement, key).await?.is_none());
        }
        Ok(true)
    }

    async fn has_documents(&self, key: (&String, Uuid)) -> Result<bool, StoreError> {
        let statement = &self.statements.document_any;
        Ok(self.first::<(String,)>(statement, key).await?.is_some())
    }

    /// [`export_owner`](crate::Store::export_owner).
    pub(super) async fn export_owner(&self, owner: &Jid) -> Result<Option<Owned>, StoreError> {
        let row = self.owner(owner).await?;
        let at = row.of(owner);
        let account = row.account.map(|columns| record(owner, columns));
        let account = account.transpose()?;
        let key = (&at.owner, at.number);
        let roster = async {
            match account {
                Some(_) => self.roster(&at).await,
                None => Ok(Roster::default()),
            }
        };
        let cursors = self.rows::<(String, i64)>(&self.statements.cursor_all, key);
        let (roster, cursors, top) = tokio::try_join!(roster, cursors, self.log_top(&at, 1))?;
        let log_high = top.high;
        let owns = account.is_some() || !cursors.is_empty() || log_high.is_some();
        let owns = owns || row.gone.is_some();
        if !owns && !self.has_documents(key).await? {
            return Ok(None);
        }
        let cursors = cursors.into_iter();
        let cursors: Vec<(String, Position)> = cursors
            .map(|(name, packed)| Ok((name, position(packed)?)))
            .collect::<Result<_, StoreError>>()?;
        Ok(Some(Owned {
            life: at.number.to_string(),
            account,
            roster,
            cursors,
            log_high,
            tombstone: row.gone,
        }))
    }

    /// The incarnation of an owner, if it is still that `life`.
    pub(super) async fn living(
        &self,
        owner: &Jid,
        life: &str,
    ) -> Result<Option<Incarnation>, StoreError> {
        let at = self.incarnation(owner).await?;
        Ok((at.number.to_string() == life).then_some(at))
    }

    /// [`export_documents`](crate::Store::export_documents).
    pub(super) async fn export_documents(
        &self,
        at: &Incarnation,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        let most = i32::try_from(limit).unwrap_or(i32::MAX);
        let rows: Vec<(String, String, Vec<u8>)> = match after {
            None => {
                let values = (&at.owner, at.number, most);
                self.rows(&self.statements.document_first, values).await?
            }
            Some((collection, key)) => {
                let values = (&at.owner, at.number, collection, key, most);
                self.rows(&self.statements.document_page, values).await?
            }
        };
        let document = |(collection, key, value): (String, String, Vec<u8>)| StoredDocument {
            collection,
            key,
            value: value.into(),
        };
        Ok(rows.into_iter().map(document).collect())
    }
}

/// Several partitions may have one token, and the next page begins behind it: the last ones of a full page may not be
/// all of theirs, and come again.
fn drop_last_token(met: &mut Vec<Met>) {
    let Some(last) = met.last().map(|it| it.token) else {
        return;
    };
    let keep = met.iter().take_while(|it| it.token != last).count();
    if keep > 0 {
        met.truncate(keep);
    }
}

impl Table {
    const ALL: [Self; 5] = [
        Self::Owner,
        Self::Document,
        Self::Cursor,
        Self::LogHigh,
        Self::LogBucket,
    ];

    fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table > self)
    }
}

impl Walk {
    fn over(table: Table) -> Self {
        Self {
            table,
            token: i64::MIN,
        }
    }
}

impl Default for Walk {
    fn default() -> Self {
        Self::over(Table::Owner)
    }
}

/// `TABLE:TOKEN`, both as numbers.
impl std::fmt::Display for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.table as usize, self.token)
    }
}

impl FromStr for Walk {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let read = || {
            let (table, token) = text.split_once(':')?;
            let table = *Table::ALL.get(table.parse::<usize>().ok()?)?;
            let token = token.parse().ok()?;
            Some(Self { table, token })
        };
        read().ok_or(StoreError::Invalid(
            "this is not where a walk of this store was",
        ))
    }
}

/// A page meets at least so many: of only one, all could have one token.
const MET_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_on_where_its_text_says() {
        let walk = Walk {
            table: Table::Cursor,
            token: -7,
        };
        assert_eq!(walk.to_string().parse(), Ok(walk));
        for wrong in ["", "9:1", "1", "1:x", "juliet@capulet.example"] {
            assert!(wrong.parse::<Walk>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_full_page_leaves_its_last_token_to_the_next() {
        let met = |token| Met {
            owner: String::new(),
            incarnation: Uuid::nil(),
            token,
        };
        let left = |tokens: &[i64]| {
            let mut all = tokens.iter().map(|token| met(*token)).collect();
            drop_last_token(&mut all);
            all.iter().map(|it| it.token).collect::<Vec<_>>()
        };
        assert_eq!(left(&[1, 2, 3]), [1, 2]);
        assert_eq!(left(&[1, 3, 3]), [1]);
        assert_eq!(left(&[3, 3]), [3, 3], "they go on rather than stand still");
    }
}
