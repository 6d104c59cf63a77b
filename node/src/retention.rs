//! Has the store forget what is older than the configuration allows.

use std::sync::Arc;
use std::time::Duration;

use rookery_router::environment::Environment;
use rookery_store::Store;
use rookery_xmpp::clock::Timestamp;

/// Looks once an hour, for ever, where `is_my_turn`: one router of a cluster is enough, and two do no harm.
pub(crate) async fn keep(
    store: Arc<dyn Store>,
    environment: Arc<Environment>,
    is_my_turn: impl Fn() -> bool,
) {
    loop {
        tokio::time::sleep(BETWEEN_SWEEPS).await;
        let days = environment.archive.load().retention_days;
        if days > 0 && is_my_turn() {
            sweep(&*store, days, Timestamp::now()).await;
        }
    }
}

async fn sweep(store: &dyn Store, days: u32, now: Timestamp) {
    let age = u64::from(days) * DAY_MS;
    let older_than = Timestamp(now.as_millis().saturating_sub(age));
    match store.expire_log(older_than).await {
        Ok(0) => {}
        Ok(stanzas) => tracing::info!(stanzas, days, "old messages removed"),
        Err(error) => tracing::warn!(%error, "old messages were not removed"),
    }
}

const BETWEEN_SWEEPS: Duration = Duration::from_secs(3_600);

const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use rookery_store::MemoryStore;
    use rookery_store::log::{Append, LogQuery, Position};
    use rookery_xmpp::jid::Jid;

    use super::*;

    #[tokio::test]
    async fn what_is_older_than_the_days_is_gone_and_the_rest_stays() {
        let (store, owner) = (
            MemoryStore::new(),
            Jid::parse("juliet@capulet.example").unwrap(),
        );
        let entry = |day: u64| {
            let position = Position::new(1, day).unwrap();
            Append::new(
                owner.clone(),
                position,
                "<m/>".into(),
                Timestamp(day * DAY_MS),
            )
        };
        store.append((0..10).map(entry).collect()).await.unwrap();
        sweep(&store, 3, Timestamp(9 * DAY_MS)).await;
        let left = store.read_log(&owner, LogQuery::after(None, 20)).await;
        let days: Vec<_> = left
            .unwrap()
            .iter()
            .map(|it| it.position.sequence())
            .collect();
        assert_eq!(days, [6, 7, 8, 9]);
        sweep(&store, u32::MAX, Timestamp(9 * DAY_MS)).await;
        assert_eq!(store.log_usage(&owner).await.unwrap().entries, 4);
    }
}
