//! Accounts in CQL.

use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use uuid::Uuid;

use super::claim::{Claim, Claimed};
use super::cql::Cql;
use super::creation::{Creation, Looked};
use super::names::Name;
use super::owner::{AccountColumns, Change, OwnerRow, Patience};
use crate::account::{AccountRecord, Found, Loaded, NewAccount};
use crate::codec::{
    corrupt, details_from_json, details_to_json, from_json, millis, timestamp, to_json,
};
use crate::document::ACCOUNT_COLLECTION;
use crate::error::StoreError;
use crate::limits::RECENT_ENTRIES;
use crate::name::Tombstone;
use crate::standing::Standing;

impl Cql {
    /// [`create_account`](crate::Store::create_account).
    pub(super) async fn create_account(&self, account: NewAccount) -> Result<(), StoreError> {
        let NewAccount {
            jid,
            credentials,
            created,
            details,
            address,
            checks,
            standing,
            inviter,
        } = account;
        let mut columns = AccountColumns {
            created: millis(created),
            enabled: true,
            address: address.map(|address| address.to_string()),
            credentials: to_json(&credentials)?,
            details: details_to_json(details, inviter)?,
            standing_since: None,
            leaves: None,
            left_by: None,
        };
        columns.set_standing(standing);
        let claim = Claim::of(&jid, checks.look_alikes);
        let _look = self.looks.turn(claim.lane()).await;
        let _turn = self.lanes.turn(jid.as_str()).await;
        let mut patience = self.patience();
        let mut creation = Creation::new(created, checks.tombstones);
        loop {
            // Read before the claim: whoever doubts the claim changes the row, and what was read holds no more.
            let before = self.owner(&jid).await?;
            if creation.look(&before)? == Looked::CameThrough {
                return self.create_after_all(&jid, &before).await;
            }
            let name = self.name(&jid, creation.begin(Uuid::new_v4()));
            let creation =
                self.try_create((&jid, &name), &claim, &before, columns.clone(), &patience);
            match creation.await? {
                Change::Done => return Ok(()),
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// A deciding write whose time was up, and which was not there when it was looked for, has come through after that.
    async fn create_after_all(&self, jid: &Jid, row: &OwnerRow) -> Result<(), StoreError> {
        let name = self.name(jid, row.incarnation);
        let columns = row.account.as_ref();
        let standing = columns.map_or(Ok(Standing::Member), AccountColumns::standing)?;
        tokio::try_join!(
            self.announce_name(&name),
            self.announce_standing(jid, name.incarnation, standing),
        )?;
        self.confirm_name(&name).await
    }

    /// What is said before the deciding write may be left behind by a crash; each of it is only a hint.
    async fn try_create(
        &self,
        (jid, name): (&Jid, &Name),
        claim: &Claim,
        before: &OwnerRow,
        columns: AccountColumns,
        patience: &Patience,
    ) -> Result<Change, StoreError> {
        let former = before.of(jid);
        let standing = columns.standing()?;
        let (claimed, (), (), ()) = tokio::try_join!(
            self.claim(claim, name.incarnation, patience),
            self.announce_name(name),
            self.announce_standing(jid, name.incarnation, standing),
            self.doom(&former)
        )?;
        let changed = match &claimed {
            Claimed::Done { .. } => {
                let after = OwnerRow {
                    incarnation: name.incarnation,
                    account: Some(columns),
                    ..OwnerRow::default()
                };
                self.change_owner(jid, before, after, patience).await?
            }
            Claimed::NotDone(reason) => Change::NotDone(reason.clone()),
            Claimed::Taken { with } => {
                // Left in doubt, it would only be looked up in vain.
                let _ = self.forget_name(name).await;
                let with = with.as_str().into();
                return Err(StoreError::Confusable { with });
            }
        };
        let settled = match changed {
            Change::Done => self.confirm_name(name).await,
            Change::NotDone(_) => self.forget_name(name).await,
        };
        if let Err(error) = settled {
            tracing::debug!(%error, account = %jid, "name of an account stays in doubt");
        }
        if let (Change::Done, Claimed::Done { void }) = (&changed, claimed) {
            self.drop_claims(claim, void).await;
            self.forget_tombstone(jid, before).await;
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
            let after = OwnerRow {
                account: Some(columns),
                ..before.clone()
            };
            match self.change_owner(jid, &before, after, &patience).await? {
                Change::Done => return Ok(()),
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// [`delete_account`](crate::Store::delete_account): the one write that begins another incarnation is the deletion.
    pub(super) async fn delete_account(
        &self,
        jid: &Jid,
        tombstone: Option<Tombstone>,
    ) -> Result<bool, StoreError> {
        let _turn = self.lanes.turn(jid.as_str()).await;
        let mut patience = self.patience();
        loop {
            let before = self.owner(jid).await?;
            if before.account.is_none() {
                return Ok(false);
            }
            let (former, name) = (before.of(jid), self.name(jid, before.incarnation));
            let after = OwnerRow {
                incarnation: Uuid::new_v4(),
                gone: tombstone,
                ..OwnerRow::default()
            };
            tokio::try_join!(
                self.doubt_name(&name),
                self.doom(&former),
                self.announce_tombstone(jid, &after)
            )?;
            match self.change_owner(jid, &before, after, &patience).await? {
                Change::Done => {
                    self.clear_away(&name, &former).await;
                    let claim = (name.local().to_owned(), former.number);
                    self.drop_claims(&Claim::of(jid, false), vec![claim]).await;
                    self.forget_standing(jid, &before, Standing::Member).await;
                    return Ok(true);
                }
                Change::NotDone(reason) => patience.wait_after(reason).await?,
            }
        }
    }

    /// [`load`](crate::Store::load). The parts are read at the same time, each from a consistent view of its own;
    /// together they belong to one incarnation.
    pub(super) async fn load(&self, jid: &Jid) -> Result<Found, StoreError> {
        let row = self.owner(jid).await?;
        let at = row.of(jid);
        let Some(columns) = row.account else {
            return Ok(row.gone.map_or(Found::Nobody, Found::Gone));
        };
        let (roster, top, (delivered, owed), documents) = tokio::try_join!(
            self.roster(&at),
            self.log_top(&at, RECENT_ENTRIES),
            self.delivered_and_owed(&at),
            self.documents(&at, ACCOUNT_COLLECTION),
        )?;
        Ok(Found::Account(Box::new(Loaded {
            record: record(jid, columns)?,
            roster,
            log_tail: top.high,
            delivered,
            owed,
            recent: top.recent,
            documents,
        })))
    }
}

/// The account of `jid`.
pub(super) fn record(jid: &Jid, columns: AccountColumns) -> Result<AccountRecord, StoreError> {
    let standing = columns.standing()?;
    let address = columns.address.map(|text| text.parse());
    let (details, inviter) = details_from_json(&columns.details)?;
    Ok(AccountRecord {
        jid: jid.clone(),
        credentials: from_json(&columns.credentials)?,
        created: timestamp(columns.created),
        enabled: columns.enabled,
        standing,
        details,
        address: address.transpose().map_err(|error| corrupt(&error))?,
        inviter,
    })
}
