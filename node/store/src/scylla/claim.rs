//! Claims on what names look like: of two look-alikes that are created at once one is refused, though their rows are in
//! different partitions and no conditional write spans both.
//!
//! ```text
//! create 0lga                                   create olga
//!   read owner 0lga: r0                           read owner olga: r1
//!   claim (0lga) if nothing changed ─► done       read claims: 0lga, but it has no account: in doubt
//!        .                                        change owner 0lga, r0 ─► r0'       (the fence)
//!        .                                        claim (olga) if nothing changed ─► done
//!   write owner 0lga if r0 ─► refused             write owner olga if r1 ─► done
//!   again: claims: olga, which has an account ─► Confusable
//! ```
//!
//! What decides is the order: who creates reads its own row, then claims, then writes the row on the condition that it
//! is still the one which was read. Who doubts a claim changes that row first. So a creator that was slow is refused
//! and begins again, however long it slept, and nobody is judged by a time. Each claim changes the token of its
//! partition, also one that is made again: it fails whoever has read the claims before.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use rookery_xmpp::jid::{Jid, SKELETON_VERSION, skeleton};
use uuid::Uuid;

use super::cql::Cql;
use super::error::unavailable;
use super::owner::{Change, Incarnation, Patience};
use crate::error::StoreError;

/// What an account of some name claims.
pub(super) struct Claim {
    host: String,
    skeleton: String,
    local: String,
    /// Whether others that claim the same stand in its way.
    alone: bool,
}

/// What became of a claim.
pub(super) enum Claimed {
    /// It stands. Claims that were found void can be dropped once the account is there.
    Done {
        /// Local parts and incarnations.
        void: Vec<(String, Uuid)>,
    },
    /// Another account has it.
    Taken {
        /// Its local part.
        with: String,
    },
    /// It may be made again from the start; if not, for this reason.
    NotDone(StoreError),
}

/// What a look at another claim gave.
enum Doubt {
    Live,
    Void,
    Open(StoreError),
}

/// Token of the partition, and one claim; none where the last was dropped.
type Row = (Option<Uuid>, Option<String>, Option<Uuid>);

impl Claim {
    /// What an account of that name claims, and whether look-alikes stand in its way.
    pub(super) fn of(jid: &Jid, alone: bool) -> Self {
        let local = jid.local().unwrap_or_default();
        Self {
            host: jid.domain().to_owned(),
            skeleton: skeleton(local),
            local: local.to_owned(),
            alone,
        }
    }

    /// By what creations of this process take turns.
    pub(super) fn lane(&self) -> &str {
        &self.skeleton
    }
}

impl Cql {
    /// Claims a skeleton for an account that is to begin with this incarnation.
    pub(super) async fn claim(
        &self,
        claim: &Claim,
        incarnation: Uuid,
        patience: &Patience,
    ) -> Result<Claimed, StoreError> {
        let rows = self.claims(&claim.host, &claim.skeleton).await?;
        let change = rows.first().and_then(|(change, ..)| *change);
        let mut void = Vec::new();
        for (_, local, incarnation) in rows {
            let Some(local) = local.filter(|local| claim.alone && *local != claim.local) else {
                continue;
            };
            match self.doubt(claim, &local, patience).await? {
                Doubt::Live => return Ok(Claimed::Taken { with: local }),
                Doubt::Void => void.extend(incarnation.map(|it| (local, it))),
                Doubt::Open(reason) => return Ok(Claimed::NotDone(reason)),
            }
        }
        let Claim {
            host,
            skeleton,
            local,
            ..
        } = claim;
        let values = (Uuid::new_v4(), incarnation, host, skeleton, local, change);
        let within = patience.attempt(self.options.conditional_within());
        let put = self.try_conditional(&self.statements.claim_put, values, within);
        Ok(match put.await {
            Ok(true) => Claimed::Done { void },
            Ok(false) => Claimed::NotDone(unavailable(&"others claim the same look all the time")),
            Err(error) => Claimed::NotDone(error),
        })
    }

    async fn claims(&self, host: &str, skeleton: &str) -> Result<Vec<Row>, StoreError> {
        let statement = &self.statements.claims_read;
        self.rows(statement, (host, skeleton)).await
    }

    /// Whether another claim has an account. If not, its row is changed, so that whoever is about to create it begins
    /// again.
    async fn doubt(
        &self,
        claim: &Claim,
        local: &str,
        patience: &Patience,
    ) -> Result<Doubt, StoreError> {
        let Ok(other) = Jid::parse(&format!("{local}@{}", claim.host)) else {
            return Ok(Doubt::Void);
        };
        // Claimed by other tables, in which it looked like this.
        if skeleton(local) != claim.skeleton {
            return Ok(Doubt::Void);
        }
        let row = self.owner(&other).await?;
        if row.account.is_some() {
            return Ok(Doubt::Live);
        }
        let fenced = self.change_owner(&other, &row, row.clone(), patience);
        Ok(match fenced.await? {
            Change::Done => Doubt::Void,
            Change::NotDone(reason) => Doubt::Open(reason),
        })
    }

    /// Drops claims of incarnations that have no account. What stays is doubted again by the next.
    pub(super) async fn drop_claims(&self, claim: &Claim, void: Vec<(String, Uuid)>) {
        let within = self.options.conditional_within();
        for (local, incarnation) in void {
            let values = (&claim.host, &claim.skeleton, &local, incarnation);
            let dropped = self.try_conditional(&self.statements.claim_drop, values, within);
            if let Err(error) = dropped.await {
                tracing::debug!(%error, local, host = claim.host, "claim without an account stays");
            }
        }
    }

    /// [`names_like`](crate::Store::names_like).
    pub(super) async fn names_like(
        &self,
        host: &str,
        looks: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        for (_, local, _) in self.claims(host, looks).await? {
            let Some(local) = local.filter(|local| skeleton(local) == looks) else {
                continue;
            };
            let Ok(jid) = Jid::parse(&format!("{local}@{host}")) else {
                continue;
            };
            if names.len() < limit && self.owner(&jid).await?.account.is_some() {
                names.push(local);
            }
        }
        Ok(names)
    }

    /// Makes the claims of accounts that have none by the tables of this build. While that goes on, look-alikes of
    /// those that are not reached yet are not found.
    async fn index_names(&self) -> Result<(), StoreError> {
        let version = i32::try_from(SKELETON_VERSION).unwrap_or(i32::MAX);
        let found: Option<(Option<i32>,)> = self.first(&self.statements.skeletons_read, ()).await?;
        if found.and_then(|(found,)| found) == Some(version) {
            return Ok(());
        }
        let (mut next, mut made) = (Some(i64::MIN), 0_u64);
        while let Some(token) = next {
            let (owners, behind) = self.owners_behind(token, PAGE).await?;
            for some in owners.chunks(AT_ONCE) {
                let each = try_join_all(some.iter().map(|owner| self.index_one(owner))).await?;
                made += each.into_iter().filter(|made| *made).count() as u64;
            }
            next = behind;
        }
        self.write(&self.statements.skeletons_set, (version,))
            .await?;
        tracing::info!(
            accounts = made,
            version,
            "names indexed by what they look like"
        );
        Ok(())
    }

    /// True if there is an account, and its claim was not there.
    async fn index_one(&self, owner: &str) -> Result<bool, StoreError> {
        let Ok(jid) = Jid::parse(owner) else {
            return Ok(false);
        };
        if jid.local().is_none() {
            return Ok(false);
        }
        let claim = Claim::of(&jid, false);
        let mut patience = self.patience();
        loop {
            let row = self.owner(&jid).await?;
            if row.account.is_none() {
                return Ok(false);
            }
            let Incarnation { number, .. } = row.of(&jid);
            let claims = self.claims(&claim.host, &claim.skeleton).await?;
            let stands = |(_, local, of): &Row| {
                local.as_deref() == Some(&claim.local) && *of == Some(number)
            };
            if claims.iter().any(stands) {
                return Ok(false);
            }
            match self.claim(&claim, number, &patience).await? {
                Claimed::NotDone(reason) => patience.wait_after(reason).await?,
                Claimed::Done { .. } | Claimed::Taken { .. } => return Ok(true),
            }
        }
    }
}

/// Makes the claims that are missing, once behind a start; tried again until it is done.
pub(super) async fn keep_indexed(cql: Arc<Cql>) {
    while let Err(error) = cql.index_names().await {
        tracing::warn!(%error, "names could not be indexed, trying again later");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Owners in one step of a walk.
const PAGE: usize = 256;

/// Accounts whose claims are looked at and made at the same time: clients' requests go on beside it.
const AT_ONCE: usize = 8;

/// Until an index that failed is tried again.
const PAUSE: Duration = Duration::from_secs(10);
