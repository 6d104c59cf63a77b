//! Gives back the space of incarnations that are over.
//!
//! An incarnation is written down as doomed before the write that ends it, so a crash forgets none. Its data is deleted
//! soon after that write, and again when nothing that had begun before can still arrive.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use uuid::Uuid;

use super::cql::Cql;
use super::names::Name;
use super::owner::Incarnation;
use super::slice::{SLICES, slice_of};
use crate::codec::{millis, timestamp};
use crate::error::StoreError;

impl Cql {
    /// Writes down that an incarnation is about to end.
    pub(super) async fn doom(&self, at: &Incarnation) -> Result<(), StoreError> {
        let since = millis(Timestamp::now());
        let values = (slice_of(&at.owner), &at.owner, at.number, since);
        self.write(&self.statements.doom_put, values).await
    }

    /// Removes what a deleted account leaves. It is out of reach already, so an error is no failure: the sweep comes
    /// back to it.
    pub(super) async fn clear_away(&self, name: &Name, former: &Incarnation) {
        let cleared = tokio::try_join!(self.forget_name(name), self.purge(former));
        if let Err(error) = cleared {
            tracing::debug!(%error, owner = former.owner, "data of a deleted account is left to the sweep");
        }
    }

    /// Deletes everything that belongs to an incarnation.
    async fn purge(&self, at: &Incarnation) -> Result<(), StoreError> {
        let all = (&at.owner, at.number, i64::MIN, i64::MAX);
        let buckets: Vec<(i64, Option<i64>)> = self.rows(&self.statements.buckets_up, all).await?;
        for some in buckets.chunks(AT_ONCE) {
            let drops = some.iter().map(|(bucket, _)| {
                self.write(&self.statements.log_drop, (&at.owner, at.number, *bucket))
            });
            try_join_all(drops).await?;
        }
        let tables = [
            &self.statements.roster_drop,
            &self.statements.document_drop,
            &self.statements.cursor_drop,
            &self.statements.high_drop,
            &self.statements.bucket_drop,
        ];
        let drops = tables.map(|table| self.write(table, (&at.owner, at.number)));
        try_join_all(drops).await?;
        Ok(())
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        for slice in 0..SLICES {
            let statement = &self.statements.doom_read;
            let rows: Vec<(String, Uuid, Option<i64>)> = self.rows(statement, (slice,)).await?;
            for (owner, number, since) in rows {
                let since = timestamp(since.unwrap_or_default());
                if Timestamp::now().since(since) >= SETTLED {
                    self.sweep_one(slice, &Incarnation { owner, number })
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn sweep_one(&self, slice: i16, doomed: &Incarnation) -> Result<(), StoreError> {
        let Ok(owner) = Jid::parse(&doomed.owner) else {
            return Ok(());
        };
        // It goes on if the write that should have ended it never came.
        if self.incarnation(&owner).await? != *doomed {
            self.purge(doomed).await?;
        }
        let values = (slice, &doomed.owner, doomed.number);
        self.write(&self.statements.doom_forget, values).await
    }
}

/// Sweeps now and then, for as long as the store is there.
pub(super) async fn keep_sweeping(cql: Arc<Cql>) {
    let mut turn = tokio::time::interval(PERIOD);
    loop {
        turn.tick().await;
        if let Err(error) = cql.sweep().await {
            tracing::warn!(%error, "deleted accounts could not be swept, trying again later");
        }
    }
}

/// Beyond the time that any call can take, and what clocks may differ.
const SETTLED: Duration = Duration::from_secs(120);

const PERIOD: Duration = Duration::from_secs(600);

/// Partitions deleted at the same time.
const AT_ONCE: usize = 16;
