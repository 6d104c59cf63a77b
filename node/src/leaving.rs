//! Deletes the accounts whose time is over: those that leave, at the end of their grace, and those that await approval,
//! when nobody has approved them in time.
//!
//! ```text
//! store: who is due? ─► their shards, each: is it so? contacts are told, then it is deleted
//! ```
//!
//! One router of a cluster does it, and two do no harm: a shard decides by what it knows of its account.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use rookery_control::Control;
use rookery_router::environment::Environment;
use rookery_session::carrier::{AdminAnswer, AdminQuestion, Moderation};
use rookery_store::Store;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use crate::admin::Shards;
use crate::awaiting;

/// Looks now and then, for ever, where `is_my_turn`.
pub(crate) async fn keep(
    store: Arc<dyn Store>,
    environment: Arc<Environment>,
    control: Control,
    shards: Shards,
    is_my_turn: impl Fn() -> bool,
) {
    loop {
        tokio::time::sleep(between_sweeps(&environment)).await;
        if !is_my_turn() {
            continue;
        }
        let now = Timestamp::now();
        let before = control.policy().registration.awaiting_since_min(now);
        let end = |account| end(&shards, account, before);
        sweep(&*store, now, end).await;
        let hosts = environment.hosts.iter();
        for account in awaiting::compare(&*store, &control, hosts, before).await {
            if end(account.clone()).await == Ended::Gone {
                awaiting::left(&control, &account).await;
            }
        }
    }
}

/// Often enough that an account is not kept much longer than was said.
fn between_sweeps(environment: &Environment) -> Duration {
    let grace = environment.accounts.load().removal_grace;
    Duration::from_millis(grace.as_ms().into()).clamp(SWEEPS_LEAST, SWEEPS_MOST)
}

/// What became of an account that seemed due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It is gone.
    Gone,
    /// Its shard knows better: it was restored, or its clock is behind.
    Stays,
    /// Its shard could not be asked, or its store refused.
    Unknown,
}

/// Deletes page by page, until nobody is due or nothing is gained by it.
async fn sweep<F>(store: &dyn Store, now: Timestamp, end: impl Fn(Jid) -> F)
where
    F: Future<Output = Ended>,
{
    let mut gone = 0;
    loop {
        let due = match store.leaving_due(now, PAGE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "accounts that leave were not looked for");
                break;
            }
        };
        let asked = due.len();
        let ended = stream::iter(due).map(&end).buffer_unordered(AT_ONCE);
        let ended: Vec<Ended> = ended.collect().await;
        let count = |what| ended.iter().filter(|ended| **ended == what).count();
        gone += count(Ended::Gone);
        if count(Ended::Unknown) > 0 {
            let accounts = count(Ended::Unknown);
            tracing::warn!(accounts, "accounts whose grace is over were not deleted");
        }
        if asked < PAGE || count(Ended::Gone) == 0 {
            break;
        }
    }
    if gone > 0 {
        tracing::info!(accounts = gone, "accounts deleted whose grace is over");
    }
}

async fn end(shards: &Shards, account: Jid, awaiting_before: Timestamp) -> Ended {
    let question = AdminQuestion::Moderate {
        account: account.clone(),
        step: Moderation::EndDue { awaiting_before },
    };
    match shards.ask(&account, question).await {
        Ok(AdminAnswer::Done) => Ended::Gone,
        Ok(AdminAnswer::NotFound | AdminAnswer::Invalid(_)) => Ended::Stays,
        Ok(_) => Ended::Unknown,
        Err(status) => {
            tracing::debug!(%account, reason = status.message(), "account was not deleted");
            Ended::Unknown
        }
    }
}

const SWEEPS_LEAST: Duration = Duration::from_secs(1);

const SWEEPS_MOST: Duration = Duration::from_secs(60);

/// Accounts looked for at once.
const PAGE: usize = 500;

/// Accounts deleted at the same time.
const AT_ONCE: usize = 16;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rookery_store::MemoryStore;
    use rookery_store::account::NewAccount;
    use rookery_store::name::NameChecks;
    use rookery_store::standing::{Remover, Standing};
    use rookery_xmpp::scram::Credentials;

    use super::*;

    async fn store_with(leaving: usize) -> MemoryStore {
        let store = MemoryStore::new();
        let credentials = Credentials::derive("secret", b"some salt", 1).unwrap();
        for number in 0..leaving {
            let account = NewAccount {
                jid: Jid::parse(&format!("guest{number}@capulet.example")).unwrap(),
                credentials: credentials.clone(),
                created: Timestamp(0),
                details: Default::default(),
                address: None,
                checks: NameChecks::NONE,
                standing: Standing::Leaving {
                    since: Timestamp(0),
                    until: Timestamp(5),
                    by: Remover::Owner,
                },
                inviter: None,
            };
            store.create_account(account).await.unwrap();
        }
        store
    }

    async fn delete(store: &MemoryStore, account: Jid) -> Ended {
        store.delete_account(&account, None).await.unwrap();
        Ended::Gone
    }

    #[tokio::test]
    async fn all_who_are_due_are_ended_however_many_and_before_that_nobody() {
        let store = store_with(2 * PAGE + 7).await;
        let count = async || store.count_accounts("capulet.example").await.unwrap();
        sweep(&store, Timestamp(4), |account| delete(&store, account)).await;
        assert_eq!(count().await, 2 * PAGE as u64 + 7);
        sweep(&store, Timestamp(5), |account| delete(&store, account)).await;
        assert_eq!(count().await, 0);
    }

    #[tokio::test]
    async fn who_cannot_be_ended_is_asked_once_a_sweep() {
        for ended in [Ended::Stays, Ended::Unknown] {
            let store = store_with(PAGE + 1).await;
            let asked = RefCell::new(0);
            let end = |_| {
                *asked.borrow_mut() += 1;
                std::future::ready(ended)
            };
            sweep(&store, Timestamp(9), end).await;
            assert_eq!(*asked.borrow(), PAGE);
        }
    }
}
