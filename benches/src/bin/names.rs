//! Question: how long does a registration wait for the checks of its name, in a store with a million accounts?
//!
//! ```text
//! cargo run --release -p rookery-benches --bin names
//! ```
//!
//! The store is SQLite, filled by its own creations. Then new accounts are created one after another, each with all
//! checks: that it does not exist, looks like no other, and was not deleted. What is refused by a look-alike or a
//! tombstone is measured as well, and beside it the rules of the control state over a name, which need no store.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use futures_util::future::try_join_all;
use rookery_control::{NameForms, NameKind, NameRule};
use rookery_store::account::NewAccount;
use rookery_store::name::{NameChecks, Tombstone};
use rookery_store::standing::Standing;
use rookery_store::{SqliteOptions, SqliteStore, Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use tokio::time::Instant;

/// Measures creations of accounts in a large store.
#[derive(Debug, Parser)]
struct Options {
    /// Accounts in the store.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    accounts: u64,
    /// Creations that are measured, of each kind.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..))]
    measured: u64,
    /// Where the store goes, and stays for the next run; a temporary folder if there is none.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let temporary = std::env::temp_dir().join(format!("rookery-names-{}", std::process::id()));
    let dir = options.dir.as_deref().unwrap_or(&temporary);
    let measured = measure(dir, &options).await;
    if options.dir.is_none() {
        std::fs::remove_dir_all(&temporary).context("the temporary folder")?;
    }
    measured
}

async fn measure(dir: &Path, options: &Options) -> anyhow::Result<()> {
    let store = SqliteStore::open(dir, SqliteOptions::default())?;
    let keys = Credentials::derive("secret", b"0123456789abcdef", 1)
        .map_err(|_| anyhow::anyhow!("keys"))?;
    let there = store.count_accounts(HOST).await?;
    let begun = Instant::now();
    for first in (there..options.accounts).step_by(BATCH as usize) {
        let last = (first + BATCH).min(options.accounts);
        let batch = (first..last).map(|number| store.create_account(account(&name(number), &keys)));
        try_join_all(batch).await?;
    }
    say(&format!(
        "filled to {} accounts in {:.0?}",
        options.accounts,
        begun.elapsed()
    ))?;
    let run = Timestamp::now().as_millis();
    let mut rows = vec![rules(options.measured)?];
    let mut times = Vec::new();
    for number in 0..options.measured {
        let new = account(&format!("new{run}x{number}"), &keys);
        let begun = Instant::now();
        store.create_account(new).await?;
        times.push(begun.elapsed());
    }
    rows.push(("created", times));
    let mut times = Vec::new();
    for number in 0..options.measured {
        // The same name with an o of another script.
        let alike = account(&name(number).replacen('o', "о", 1), &keys);
        let begun = Instant::now();
        let refused = store.create_account(alike).await;
        times.push(begun.elapsed());
        ensure!(
            matches!(refused, Err(StoreError::Confusable { .. })),
            "{refused:?}"
        );
    }
    rows.push(("look-alike refused", times));
    let mut times = Vec::new();
    for number in 0..options.measured {
        let jid = Jid::parse(&format!("new{run}x{number}@{HOST}"))?;
        let (at, until) = (Timestamp::now(), None);
        store
            .delete_account(&jid, Some(Tombstone { at, until }))
            .await?;
        let again = account(jid.local().unwrap_or_default(), &keys);
        let begun = Instant::now();
        let refused = store.create_account(again).await;
        times.push(begun.elapsed());
        ensure!(
            matches!(refused, Err(StoreError::Gone { .. })),
            "{refused:?}"
        );
    }
    rows.push(("tombstone refused", times));
    print(rows)
}

fn print(rows: Vec<(&str, Vec<Duration>)>) -> anyhow::Result<()> {
    say(&format!(
        "{:<24} {:>12} {:>12} {:>12}",
        "", "p50", "p99", "most"
    ))?;
    for (what, mut times) in rows {
        times.sort_unstable();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
        say(&format!(
            "{what:<24} {:>12.1?} {:>12.1?} {:>12.1?}",
            at(50),
            at(99),
            at(100)
        ))?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// A name against as many rules as an operator may write by hand, patterns among them.
fn rules(measured: u64) -> anyhow::Result<(&'static str, Vec<Duration>)> {
    let texts = (0..1_000).map(|number| match number % 10 {
        0 => format!("*reserved{number}*"),
        1 => format!("~word{number}"),
        _ => format!("reserved{number}"),
    });
    let rules = texts.map(|text| NameRule::new(&text, NameKind::Reserved, "", Timestamp(0)));
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    let mut times = Vec::new();
    for number in 0..measured {
        let name = name(number);
        let begun = Instant::now();
        let forms = NameForms::of(&name);
        let withheld = rules.iter().any(|rule| rule.withholds(&forms));
        times.push(begun.elapsed());
        ensure!(!withheld, "{name}");
    }
    Ok(("1,000 rules, one by one", times))
}

fn name(number: u64) -> String {
    format!("someone.number-{number}")
}

fn account(name: &str, keys: &Credentials) -> NewAccount {
    let jid = Jid::parse(&format!("{name}@{HOST}"));
    NewAccount {
        jid: jid.expect("the names of this measurement are valid"),
        credentials: keys.clone(),
        created: Timestamp::now(),
        details: Default::default(),
        address: None,
        checks: NameChecks::ALL,
        standing: Standing::Member,
        inviter: None,
    }
}

const HOST: &str = "localhost";

/// Creations at once while the store is filled: they share a commit.
const BATCH: u64 = 1_000;
