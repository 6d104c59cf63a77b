//! How accounts stand, in CQL: columns of the owner's row, and two lists of hints.
//!
//! An account is listed before it stands so, and taken from the list behind the write that ends that. So whatever
//! crashes in between, one that leaves or waits is in its list, and who reads a list asks the owner's row.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use uuid::Uuid;

use super::account::record;
use super::cql::Cql;
use super::owner::{AccountColumns, Change, OwnerRow};
use super::slice::{SLICES, slice_of};
use crate::account::AccountRecord;
use crate::codec::{decode_remover, millis, timestamp};
use crate::error::StoreError;
use crate::standing::{Remover, Standing};

impl Cql {
    /// [`set_standing`](crate::Store::set_standing).
    pub(super) async fn set_standing(
        &self,
        jid: &Jid,
        standing: Standing,
    ) -> Result<(), StoreError> {
        let _turn = self.lanes.turn(jid.as_str()).await;
        let mut patience = self.patience();
        loop {
            let before = self.owner(jid).await?;
            let mut columns = before.account.clone().ok_or(StoreError::NotFound)?;
            columns.set_standing(standing);
            self.announce_standing(jid, before.incarnation, standing)
                .await?;
            let after = OwnerRow {
                account: Some(columns),
                ..before.clone()
            };
            match self.change_owner(jid, &before, after, &patience).await? {
                Change::Done => {
                    self.forget_standing(jid, &before, standing).await;
                    return Ok(());
                }
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// Lists an account that is about to stand so.
    pub(super) async fn announce_standing(
        &self,
        jid: &Jid,
        incarnation: Uuid,
        standing: Standing,
    ) -> Result<(), StoreError> {
        match standing {
            Standing::Member => Ok(()),
            Standing::Awaiting { .. } => {
                let local = jid.local().unwrap_or_default();
                let values = (jid.domain(), slice_of(local), local, incarnation);
                self.write(&self.statements.awaiting_insert, values).await
            }
            Standing::Leaving { until, .. } => {
                let (day, owner) = (day_of(until), jid.as_str());
                let values = (day, slice_of(owner), millis(until), owner);
                let day = self.write(&self.statements.leaving_days_put, (day,));
                let listed = self.write(&self.statements.leaving_insert, values);
                tokio::try_join!(day, listed).map(|_| ())
            }
        }
    }

    /// Takes the account of a row that was replaced from the list that it was in, unless it is to be there `now`. What
    /// stays is looked up in vain.
    pub(super) async fn forget_standing(&self, jid: &Jid, row: &OwnerRow, now: Standing) {
        let Some(Ok(former)) = row.account.as_ref().map(AccountColumns::standing) else {
            return;
        };
        let forgotten = match former {
            Standing::Awaiting { .. } if !now.is_awaiting() => {
                let local = jid.local().unwrap_or_default();
                let values = (jid.domain(), slice_of(local), local, row.incarnation);
                self.write(&self.statements.awaiting_delete, values).await
            }
            Standing::Leaving { until, .. } if now.until() != Some(until) => {
                self.forget_leaving(jid.as_str(), until).await
            }
            _ => Ok(()),
        };
        if let Err(error) = forgotten {
            tracing::debug!(%error, account = %jid, "account stays in a list in doubt");
        }
    }

    async fn forget_leaving(&self, owner: &str, until: Timestamp) -> Result<(), StoreError> {
        let values = (day_of(until), slice_of(owner), millis(until), owner);
        self.write(&self.statements.leaving_delete, values).await
    }

    /// [`leaving_due`](crate::Store::leaving_due): the days up to today, slice by slice.
    pub(super) async fn leaving_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Jid>, StoreError> {
        let today = day_of(now);
        let statement = &self.statements.leaving_days_read;
        let days: Vec<(i32,)> = self.rows(statement, (today,)).await?;
        let mut due = Vec::new();
        for (day,) in days {
            let mut listed = 0;
            for slice in 0..SLICES {
                if due.len() >= limit {
                    return Ok(due);
                }
                let most = limit - due.len();
                listed += self.due_of(day, slice, now, most, &mut due).await?;
            }
            if listed == 0 && day + DAYS_KEPT < today {
                self.write(&self.statements.leaving_days_forget, (day,))
                    .await?;
            }
        }
        Ok(due)
    }

    /// Adds those of a slice that are due, and says how many it lists. What was listed in vain goes when nobody can be
    /// about to make it true.
    async fn due_of(
        &self,
        day: i32,
        slice: i16,
        now: Timestamp,
        limit: usize,
        due: &mut Vec<Jid>,
    ) -> Result<usize, StoreError> {
        let most = i32::try_from(limit + IN_VAIN).unwrap_or(i32::MAX);
        let values = (day, slice, millis(now), most);
        let rows: Vec<(i64, String)> = self.rows(&self.statements.leaving_page, values).await?;
        let end = due.len() + limit;
        for (leaves, owner) in &rows {
            let Ok(jid) = Jid::parse(owner) else {
                continue;
            };
            let until = timestamp(*leaves);
            let account = self.owner(&jid).await?.account;
            let standing = account.as_ref().map(AccountColumns::standing).transpose()?;
            if standing.and_then(Standing::until) == Some(until) {
                if due.len() < end {
                    due.push(jid);
                }
            } else if now.since(until) > SETTLED {
                self.forget_leaving(owner, until).await?;
            }
        }
        Ok(rows.len())
    }

    /// [`awaiting`](crate::Store::awaiting).
    pub(super) async fn awaiting(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let list = &self.statements.awaiting_page;
        self.page_of(list, (host, after), limit, |jid, row| {
            let found = row
                .account
                .map(|columns| record(jid, columns))
                .transpose()?;
            Ok(found.filter(|record| record.standing.is_awaiting()))
        })
        .await
    }
}

impl AccountColumns {
    /// How the account stands.
    pub(super) fn standing(&self) -> Result<Standing, StoreError> {
        let by = self.left_by.map(|code| decode_remover(code.into()));
        let (since, until) = (self.standing_since, self.leaves);
        let (since, until) = (since.map(timestamp), until.map(timestamp));
        Ok(Standing::from_parts(since, until, by.transpose()?))
    }

    /// Changes how it stands.
    pub(super) fn set_standing(&mut self, standing: Standing) {
        self.standing_since = standing.since().map(millis);
        self.leaves = standing.until().map(millis);
        self.left_by = standing.by().map(Remover::code).map(u8::cast_signed);
    }
}

fn day_of(moment: Timestamp) -> i32 {
    i32::try_from(moment.as_millis() / DAY_MS).unwrap_or(i32::MAX)
}

const DAY_MS: u64 = 86_400_000;

/// Rows read of a slice beyond those that are wanted: accounts that were restored stay listed for some time.
const IN_VAIN: usize = 1_000;

/// Beyond the time that any call can take, and what clocks may differ.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Days that stay listed though nothing is left of them: longer than a clock may be behind.
const DAYS_KEPT: i32 = 2;
