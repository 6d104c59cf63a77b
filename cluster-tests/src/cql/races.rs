//! Several at once: nodes that start, clients that want one name.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rookery_store::account::NewAccount;
use rookery_store::{ScyllaStore, Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use super::ring::Ring;
use super::{block_on, open, options};

/// An account that nothing is special about.
pub(super) fn new_account(name: &str) -> Result<NewAccount> {
    let credentials = Credentials::derive("secret", b"some salt", 1);
    Ok(NewAccount {
        jid: Jid::parse(&format!("{name}@capulet.example"))?,
        credentials: credentials.ok().context("a valid password")?,
        created: Timestamp::now(),
        details: [("origin".to_owned(), name.to_owned())].into(),
        address: None,
    })
}

pub(super) fn two_migrators(ring: &Ring) -> Result<()> {
    block_on(async {
        for round in 0..3 {
            let keyspace = format!("start_{round}");
            let starts = (0..2).map(|_| {
                let options = options(ring, &keyspace);
                tokio::spawn(async { anyhow::Ok(ScyllaStore::open(options?).await?) })
            });
            let starts: Vec<_> = starts.collect();
            for (number, start) in starts.into_iter().enumerate() {
                let store = start.await??;
                let name = format!("user{number}");
                store.create_account(new_account(&name)?).await?;
                store.health().await?;
            }
            let store = open(ring, &keyspace).await?;
            let count = store.count_accounts("capulet.example").await?;
            ensure!(count == 2, "{count} accounts of two");
        }
        Ok(())
    })
}

pub(super) fn one_account(ring: &Ring) -> Result<()> {
    block_on(async {
        let stores = [open(ring, "race").await?, open(ring, "race").await?];
        let stores = stores.map(Arc::new);
        for round in 0..10 {
            let name = format!("juliet{round}");
            let tries = (0..16).map(|number| {
                let store = stores[number % 2].clone();
                let mut account = new_account(&name);
                if let Ok(account) = &mut account {
                    account.created = Timestamp(number as u64);
                }
                tokio::spawn(async move { anyhow::Ok(store.create_account(account?).await) })
            });
            let tries: Vec<_> = tries.collect();
            let mut winners = Vec::new();
            for (number, outcome) in tries.into_iter().enumerate() {
                match outcome.await?? {
                    Ok(()) => winners.push(number as u64),
                    Err(StoreError::AlreadyExists) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            ensure!(winners.len() == 1, "round {round}: {winners:?} won");
            let jid = new_account(&name)?.jid;
            let found = stores[0].account(&jid).await?.context("the account")?;
            ensure!(
                found.created.as_millis() == winners[0],
                "not the winner's account"
            );
        }
        let count = stores[1].count_accounts("capulet.example").await?;
        ensure!(count == 10, "{count} accounts of ten");
        Ok(())
    })
}

pub(super) fn newer_schema(ring: &Ring) -> Result<()> {
    block_on(async {
        drop(open(ring, "newer").await?);
        set_version(ring, "newer", 1_000).await?;
        let refused = ScyllaStore::open(options(ring, "newer")?).await;
        let refused = refused.err().context("a newer schema was taken")?;
        let expected = matches!(refused, StoreError::NewerSchema { found: 1_000, .. });
        ensure!(expected, "{refused}");
        Ok(())
    })
}

/// Pretends that a later binary was here.
async fn set_version(ring: &Ring, keyspace: &str, version: i32) -> Result<()> {
    let session = scylla::client::session_builder::SessionBuilder::new()
        .known_nodes(ring.addresses())
        .use_keyspace(keyspace, false)
        .build()
        .await?;
    let cql = "UPDATE migration SET version = ? WHERE name = 'version' IF EXISTS";
    session.query_unpaged(cql, (version,)).await?;
    Ok(())
}
