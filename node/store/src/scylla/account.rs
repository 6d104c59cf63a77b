//! Accounts in CQL.

use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use uuid::Uuid;

use super::cql::Cql;
use super::owner::{AccountColumns, Change, OwnerRow, Patience};
use crate::account::{AccountRecord, Loaded, NewAccount};
use crate::codec::{corrupt, from_json, millis, timestamp, to_json};
use crate::document::ACCOUNT_COLLECTION;
use crate::error::StoreError;
use crate::limits::RECENT_ENTRIES;

impl Cql {
    /// [`create_account`](crate::Store::create_account).
    pub(super) async fn create_account(&self, account: NewAccount) -> Result<(), StoreError> {
        let NewAccount {
            jid,
            credentials,
            created,
            details,
            address,
        } = account;
        let columns = AccountColumns {
            created: millis(created),
            enabled: true,
            address: address.map(|address| address.to_string()),
            credentials: to_json(&credentials)?,
            details: to_json(&details)?,
        };
        let _turn = self.lanes.turn(jid.as_str()).await;
        let mut patience = self.patience();
        loop {
            let before = self.owner(&jid).await?;
            if before.account.is_some() {
                return Err(StoreError::AlreadyExists);
            }
            let creation = self.try_create(&jid, &before, columns.clone(), &patience);
            match creation.await? {
                Change::Done => return Ok(()),
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// What is said before the deciding write may be left behind by a crash; each of it is only a hint.
    async fn try_create(
        &self,
        jid: &Jid,
        before: &OwnerRow,
        columns: AccountColumns,
        patience: &Patience,
    ) -> Result<Change, StoreError> {
        let name = self.name(jid, Uuid::new_v4());
        let former = before.of(jid);
        tokio::try_join!(self.announce_name(&name), self.doom(&former))?;
        let changed = self
            .change_owner(jid, before, name.incarnation, Some(columns), patience)
            .await?;
        let settled = match changed {
            Change::Done => self.confirm_name(&name).await,
            Change::NotDone(_) => self.forget_name(&name).await,
        };
        if let Err(error) = settled {
            tracing::debug!(%error, account = %jid, "name of an account stays in doubt");
        }
        Ok(changed)
    }

    /// [`account`](crate::Store::account).
    pub(super) async fn account(&self, jid: &Jid) -> Result<Option<AccountRecord>, StoreError> {
        let row = self.owner(jid).await?;
        row.account.map(|columns| record(jid, columns)).transpose()
    }

    /// [`set_credentials`](crate::Store::set_credentials).
    pub(super) async fn set_credentials(
        &self,
        jid: &Jid,
        credentials: &Credentials,
    ) -> Result<(), StoreError> {
        let credentials = to_json(credentials)?;
        self.change_account(jid, |columns| columns.credentials.clone_from(&credentials))
            .await
    }

    /// [`set_enabled`](crate::Store::set_enabled).
    pub(super) async fn set_enabled(&self, jid: &Jid, enabled: bool) -> Result<(), StoreError> {
        self.change_account(jid, |columns| columns.enabled = enabled)
            .await
    }

    async fn change_account(
        &self,
        jid: &Jid,
        change: impl Fn(&mut AccountColumns) + Send + Sync,
    ) -> Result<(), StoreError> {
        let _turn = self.lanes.turn(jid.as_str()).await;
        let mut patience = self.patience();
        loop {
            let before = self.owner(jid).await?;
            let mut columns = before.account.clone().ok_or(StoreError::NotFound)?;
            change(&mut columns);
            let changed = self
                .change_owner(jid, &before, before.incarnation, Some(columns), &patience)
                .await?;
            match changed {
                Change::Done => return Ok(()),
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// [`delete_account`](crate::Store::delete_account): the one write that begins another incarnation is the deletion.
    pub(super) async fn delete_account(&self, jid: &Jid) -> Result<bool, StoreError> {
        let _turn = self.lanes.turn(jid.as_str()).await;
        let mut patience = self.patience();
        loop {
            let before = self.owner(jid).await?;
            if before.account.is_none() {
                return Ok(false);
            }
            let (former, name) = (before.of(jid), self.name(jid, before.incarnation));
            tokio::try_join!(self.doubt_name(&name), self.doom(&former))?;
            let changed = self
                .change_owner(jid, &before, Uuid::new_v4(), None, &patience)
                .await?;
            match changed {
                Change::Done => {
                    self.clear_away(&name, &former).await;
                    return Ok(true);
                }
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// [`load`](crate::Store::load). The parts are read at the same time, each from a consistent view of its own;
    /// together they belong to one incarnation.
    pub(super) async fn load(&self, jid: &Jid) -> Result<Option<Loaded>, StoreError> {
        let row = self.owner(jid).await?;
        let at = row.of(jid);
        let Some(columns) = row.account else {
            return Ok(None);
        };
        let (roster, top, (delivered, owed), documents) = tokio::try_join!(
            self.roster(&at),
            self.log_top(&at, RECENT_ENTRIES),
            self.delivered_and_owed(&at),
            self.documents(&at, ACCOUNT_COLLECTION),
        )?;
        Ok(Some(Loaded {
            record: record(jid, columns)?,
            roster,
            log_tail: top.high,
            delivered,
            owed,
            recent: top.recent,
            documents,
        }))
    }
}

/// The account of `jid`.
pub(super) fn record(jid: &Jid, columns: AccountColumns) -> Result<AccountRecord, StoreError> {
    let address = columns.address.map(|text| text.parse());
    Ok(AccountRecord {
        jid: jid.clone(),
        credentials: from_json(&columns.credentials)?,
        created: timestamp(columns.created),
        enabled: columns.enabled,
        details: from_json(&columns.details)?,
        address: address.transpose().map_err(|error| corrupt(&error))?,
    })
}
