//! Tombstones in CQL: columns of the owner's row, and a list of hints for operators.
//!
//! A tombstone is listed before it is made, under the incarnation that it is of; so whatever crashes in between, one
//! that is there is in the list, and who reads the list asks the owner's row.

use rookery_xmpp::jid::Jid;

use super::cql::Cql;
use super::owner::{Change, OwnerRow};
use super::slice::slice_of;
use crate::error::StoreError;
use crate::name::{Buried, Tombstone};

impl Cql {
    /// [`bury`](crate::Store::bury).
    pub(super) async fn bury(&self, jid: &Jid, tombstone: Tombstone) -> Result<(), StoreError> {
        let _turn = self.lanes.turn(jid.as_str()).await;
        let mut patience = self.patience();
        loop {
            let before = self.owner(jid).await?;
            if before.account.is_some() {
                return Err(StoreError::AlreadyExists);
            }
            let after = OwnerRow {
                gone: Some(tombstone),
                ..before.clone()
            };
            self.announce_tombstone(jid, &after).await?;
            match self.change_owner(jid, &before, after, &patience).await? {
                Change::Done => return Ok(()),
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// [`lift_tombstone`](crate::Store::lift_tombstone).
    pub(super) async fn lift_tombstone(&self, jid: &Jid) -> Result<bool, StoreError> {
        let _turn = self.lanes.turn(jid.as_str()).await;
        let mut patience = self.patience();
        loop {
            let before = self.owner(jid).await?;
            if before.gone.is_none() {
                return Ok(false);
            }
            let after = OwnerRow {
                gone: None,
                ..before.clone()
            };
            match self.change_owner(jid, &before, after, &patience).await? {
                Change::Done => {
                    self.forget_tombstone(jid, &before).await;
                    return Ok(true);
                }
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// Puts the tombstone of a row that is about to be written in the list, if it has one.
    pub(super) async fn announce_tombstone(
        &self,
        jid: &Jid,
        row: &OwnerRow,
    ) -> Result<(), StoreError> {
        if row.gone.is_none() {
            return Ok(());
        }
        let local = jid.local().unwrap_or_default();
        let values = (jid.domain(), slice_of(local), local, row.incarnation);
        self.write(&self.statements.tombstone_insert, values).await
    }

    /// Takes the tombstone of a row that was replaced from the list, if it had one. What stays is looked up in vain.
    pub(super) async fn forget_tombstone(&self, jid: &Jid, row: &OwnerRow) {
        if row.gone.is_none() {
            return;
        }
        let local = jid.local().unwrap_or_default();
        let values = (jid.domain(), slice_of(local), local, row.incarnation);
        let forgotten = self.write(&self.statements.tombstone_delete, values).await;
        if let Err(error) = forgotten {
            tracing::debug!(%error, account = %jid, "tombstone stays in the list in doubt");
        }
    }

    /// [`tombstones`](crate::Store::tombstones).
    pub(super) async fn tombstones(
        &self,
        host: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Buried>, StoreError> {
        let list = &self.statements.tombstone_page;
        self.page_of(list, (host, after), limit, |jid, row| {
            let jid = jid.clone();
            Ok(row.gone.map(|tombstone| Buried { jid, tombstone }))
        })
        .await
    }
}
