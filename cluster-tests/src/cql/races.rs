//! Several at once: nodes that start, clients that want one name.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rookery_store::account::NewAccount;
use rookery_store::log::LogQuery;
use rookery_store::name::NameChecks;
use rookery_store::standing::Standing;
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
        checks: NameChecks::ALL,
        standing: Standing::Member,
        inviter: None,
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
        execute(ring, "newer", &set_version(1_000)).await?;
        let refused = ScyllaStore::open(options(ring, "newer")?).await;
        let refused = refused.err().context("a newer schema was taken")?;
        let expected = matches!(refused, StoreError::NewerSchema { found: 1_000, .. });
        ensure!(expected, "{refused}");
        Ok(())
    })
}

/// What the first version of the schema holds is kept; a start that died half-way is finished by the next.
pub(super) fn older_schema(ring: &Ring) -> Result<()> {
    block_on(async {
        drop(open(ring, "older").await?);
        execute(ring, "older", "ALTER TABLE log DROP origin").await?;
        execute(ring, "older", &set_version(1)).await?;
        let key = "'juliet@capulet.example', 00000000-0000-0000-0000-000000000000, 0";
        let entry = format!(
            "INSERT INTO log (owner, incarnation, bucket, position, arrival, received, size, stanza, changed) \
             VALUES ({key}, 1, 1, 1, 4, 0x3c6d2f3e, 1)"
        );
        execute(ring, "older", &entry).await?;
        let bucket =
            format!("INSERT INTO log_bucket (owner, incarnation, bucket, seen) VALUES ({key}, 1)");
        execute(ring, "older", &bucket).await?;
        for _ in 0..2 {
            let store = open(ring, "older").await?;
            ensure!(store.schema_version().await? > 1, "it stays as it was");
            let juliet = new_account("juliet")?.jid;
            let log = store.read_log(&juliet, LogQuery::after(None, 9)).await?;
            let kept = log.len() == 1 && log[0].origin.is_none() && log[0].stanza == "<m/>";
            ensure!(kept, "{log:?}");
            // The column is there, and nobody has written so.
            execute(ring, "older", &set_version(1)).await?;
        }
        Ok(())
    })
}

fn set_version(version: u32) -> String {
    format!("UPDATE migration SET version = {version} WHERE name = 'version' IF EXISTS")
}

/// Does something to the tables behind the store's back.
async fn execute(ring: &Ring, keyspace: &str, cql: &str) -> Result<()> {
    let session = scylla::client::session_builder::SessionBuilder::new()
        .known_nodes(ring.addresses())
        .use_keyspace(keyspace, false)
        .build()
        .await?;
    session.query_unpaged(cql, ()).await?;
    session.await_schema_agreement().await?;
    Ok(())
}
