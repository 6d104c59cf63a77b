//! Keeps count, over the whole cluster, of the accounts that await approval, and deletes those that nobody approved.
//!
//! ```text
//! control group: counted ─┐
//!                         ├─► differences ─► TendAwaiting: what a crash between the two has left out
//! store: who awaits ──────┘
//!                └─► who has waited for too long: their shards, each: is it so? it is deleted
//! ```

use std::collections::BTreeSet;

use rookery_control::{Control, RegistrationMode, Unavailable};
use rookery_store::{Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

/// An account was approved or denied: it is counted no more. If the control group does not hear it now, the next sweep
/// tells it.
pub(crate) async fn left(control: &Control, account: &Jid) {
    let told = control.tend_awaiting(Vec::new(), vec![account.to_string()]);
    if let Err(error) = told.await {
        tracing::debug!(%error, %account, "account is counted as awaiting approval for a while");
    }
}

/// Compares the count with the store. Gives the accounts of these hosts that have waited since before `before`.
pub(crate) async fn compare(
    store: &dyn Store,
    control: &Control,
    hosts: impl Iterator<Item = &String>,
    before: Timestamp,
) -> Vec<Jid> {
    // First, so that whoever is found there has been made: an account is counted behind its creation.
    let is_open = control.policy().registration.mode == RegistrationMode::Approval;
    let counted = match is_open {
        true => control.awaiting().await,
        false => Ok(Vec::new()),
    };
    let (mut found, mut expired) = (BTreeSet::new(), Vec::new());
    for host in hosts {
        match waiting(store, host).await {
            Ok(waiting) => {
                for (account, since) in waiting {
                    found.insert(account.to_string());
                    if since < before {
                        expired.push(account);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, host, "accounts that await approval were not looked for");
                return expired;
            }
        }
    }
    if is_open && let Err(error) = correct(control, counted, &found).await {
        tracing::warn!(%error, "accounts that await approval were not counted");
    }
    expired
}

async fn correct(
    control: &Control,
    counted: Result<Vec<String>, Unavailable>,
    found: &BTreeSet<String>,
) -> Result<(), Unavailable> {
    let counted = counted?.into_iter().collect();
    let (joined, left) = differences(&counted, found);
    for some in joined.chunks(AT_ONCE) {
        control.tend_awaiting(some.to_vec(), Vec::new()).await?;
    }
    for some in left.chunks(AT_ONCE) {
        control.tend_awaiting(Vec::new(), some.to_vec()).await?;
    }
    Ok(())
}

/// Who is to be counted, and who no more.
fn differences(counted: &BTreeSet<String>, found: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
    let joined = found.difference(counted).cloned().collect();
    let left = counted.difference(found).cloned().collect();
    (joined, left)
}

/// All accounts of a host that await approval, and since when.
async fn waiting(store: &dyn Store, host: &str) -> Result<Vec<(Jid, Timestamp)>, StoreError> {
    let mut all: Vec<(Jid, Timestamp)> = Vec::new();
    loop {
        let after = all
            .last()
            .and_then(|(jid, _)| jid.local())
            .map(str::to_owned);
        let page = store.awaiting(host, after.as_deref(), PAGE).await?;
        let more = page.len() == PAGE;
        all.extend(page.into_iter().map(|record| {
            let since = record.standing.since().unwrap_or_default();
            (record.jid, since)
        }));
        if !more {
            return Ok(all);
        }
    }
}

/// Accounts looked for at once.
const PAGE: usize = 500;

/// Accounts in one proposal, which has room for so many of the longest addresses.
const AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_and_is_not_counted_joins_and_who_waits_no_more_leaves() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (joined, left) = differences(&set(&["a", "b"]), &set(&["b", "c", "d"]));
        assert_eq!(joined, ["c", "d"]);
        assert_eq!(left, ["a"]);
    }
}
