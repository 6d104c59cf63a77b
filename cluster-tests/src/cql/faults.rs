//! Nodes of the database that die or hang while the store is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rookery_store::log::{Append, LogQuery, Position};
use rookery_store::{ScyllaOptions, ScyllaStore, Store};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use tokio::task::JoinHandle;

use super::races::new_account;
use super::ring::Ring;
use super::way::Way;
use super::{block_on, open, options};
use crate::suite::{now, say};

/// What the store is asked all the time, each by a worker of its own.
struct Work {
    store: Arc<ScyllaStore>,
    ends: AtomicBool,
    appended: AtomicU64,
}

/// How long calls took, in order of time.
#[derive(Default)]
struct Times(Vec<Duration>);

/// How long calls of each kind took.
struct Measured {
    appends: Times,
    reads: Times,
    conditional: Times,
}

/// The only node cannot be reached for a moment.
pub(super) fn cut_way(ring: &Ring) -> Result<()> {
    block_on(async {
        let addresses = ring.addresses();
        let way = Way::open(addresses.first().context("a node")?).await?;
        let options = ScyllaOptions {
            nodes: vec![way.address.to_string()],
            ..options(ring, "cut")?
        };
        let work = Work::on(ScyllaStore::open(options).await?).await?;
        let cut = work.measure(CALM, || {
            way.cut()?;
            let way = way.clone();
            tokio::spawn(async move {
                tokio::time::sleep(CUT).await;
                way.mend().await
            });
            Ok(())
        });
        let cut = cut.await?;
        say(&format!("        no way for {CUT:?}: {}", cut.shown()));
        ensure!(cut.appends.at(1.0) > CUT / 2, "nothing was cut");
        work.all_is_there().await
    })
}

pub(super) fn killed_node(ring: &mut Ring) -> Result<()> {
    block_on(async {
        let work = Work::start(ring, "killed").await?;
        let before = work.measure(CALM, || Ok(())).await?;
        say(&format!("        whole ring: {}", before.shown()));
        let dead = work.measure(TROUBLE, || ring.kill(1)).await?;
        say(&format!("        one node dead: {}", dead.shown()));
        work.all_is_there().await?;
        let back = work.measure(CALM, || ring.restart(1)).await?;
        say(&format!("        it comes back: {}", back.shown()));
        work.all_is_there().await
    })
}

pub(super) fn hanging_node(ring: &mut Ring) -> Result<()> {
    block_on(async {
        let work = Work::start(ring, "hanging").await?;
        let before = work.measure(SETTLED, || Ok(())).await?;
        say(&format!("        whole ring: {}", before.shown()));
        let hanging = work.measure(TROUBLE, || ring.hang(2)).await?;
        say(&format!("        one node hangs: {}", hanging.shown()));
        work.all_is_there().await?;
        let back = work.measure(CALM, || ring.wake(2)).await?;
        say(&format!("        it wakes: {}", back.shown()));
        work.all_is_there().await?;
        for (what, times) in [("an append", &hanging.appends), ("a read", &hanging.reads)] {
            let slowest = times.at(1.0);
            ensure!(slowest < PLAIN_MAX, "{what} took {slowest:?}");
        }
        let (most, slowest) = (hanging.conditional.at(0.95), hanging.conditional.at(1.0));
        ensure!(
            most < CONDITIONAL_MOST && slowest < CONDITIONAL_MAX,
            "of the conditional writes 95 of 100 took less than {most:?}, the slowest {slowest:?}"
        );
        Ok(())
    })
}

impl Work {
    async fn start(ring: &Ring, keyspace: &str) -> Result<Arc<Self>> {
        Self::on(open(ring, keyspace).await?).await
    }

    async fn on(store: ScyllaStore) -> Result<Arc<Self>> {
        let store = Arc::new(store);
        store.create_account(new_account("juliet")?).await?;
        Ok(Arc::new(Self {
            store,
            ends: AtomicBool::new(false),
            appended: AtomicU64::new(0),
        }))
    }

    /// Works for `time` after `trouble`, which begins when the work has; every error is one of the test.
    async fn measure(
        self: &Arc<Self>,
        time: Duration,
        trouble: impl FnOnce() -> Result<()>,
    ) -> Result<Measured> {
        self.ends.store(false, Ordering::Relaxed);
        let appends = self.each(Self::append);
        let reads = self.each(Self::read);
        let conditional = self.each(Self::change);
        trouble()?;
        tokio::time::sleep(time).await;
        self.ends.store(true, Ordering::Relaxed);
        Ok(Measured {
            appends: appends.await??,
            reads: reads.await??,
            conditional: conditional.await??,
        })
    }

    fn each<F>(self: &Arc<Self>, call: fn(Arc<Self>) -> F) -> JoinHandle<Result<Times>>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let work = self.clone();
        tokio::spawn(async move {
            let mut times = Times::default();
            while !work.ends.load(Ordering::Relaxed) {
                let start = now();
                call(work.clone()).await?;
                times.0.push(start.elapsed());
            }
            Ok(times)
        })
    }

    async fn append(self: Arc<Self>) -> Result<()> {
        let number = self.appended.load(Ordering::Relaxed);
        let stanza = format!("<message id='{number}'/>").into();
        let position = Position::new(1, number)?;
        let entry = Append::new(juliet()?, position, stanza, Timestamp::now());
        self.store.append(vec![entry]).await.context("append")?;
        self.appended.store(number + 1, Ordering::Relaxed);
        Ok(())
    }

    async fn read(self: Arc<Self>) -> Result<()> {
        let loaded = self.store.load(&juliet()?).await.context("load")?;
        ensure!(loaded.account().is_some(), "the account is gone");
        Ok(())
    }

    async fn change(self: Arc<Self>) -> Result<()> {
        let credentials = Credentials::derive("secret", b"some salt", 1);
        let credentials = credentials.ok().context("a valid password")?;
        let changed = self.store.set_credentials(&juliet()?, credentials).await;
        changed.context("a change of the account")
    }

    /// Everything that was acknowledged, once and in order.
    async fn all_is_there(&self) -> Result<()> {
        let count = self.appended.load(Ordering::Relaxed);
        let (mut after, mut seen) = (None, 0);
        loop {
            let page = LogQuery::after(after, 1_000);
            let page = self.store.read_log(&juliet()?, page).await?;
            let Some(last) = page.last() else { break };
            for entry in &page {
                let expected = format!("<message id='{seen}'/>");
                ensure!(entry.stanza == expected, "entry {seen} is another or lost");
                seen += 1;
            }
            after = Some(last.position);
        }
        ensure!(seen >= count, "{seen} entries of {count}");
        Ok(())
    }
}

impl Measured {
    fn shown(&self) -> String {
        format!(
            "append {}; load {}; conditional write {}",
            self.appends.shown(),
            self.reads.shown(),
            self.conditional.shown()
        )
    }
}

impl Times {
    fn at(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    }

    fn shown(&self) -> String {
        let ms = |share| self.at(share).as_secs_f64() * 1_000.0;
        format!(
            "p50 {:.1} p99 {:.1} max {:.1} ms ({})",
            ms(0.5),
            ms(0.99),
            ms(1.0),
            self.0.len()
        )
    }
}

fn juliet() -> Result<Jid> {
    Ok(Jid::parse("juliet@capulet.example")?)
}

/// For how long there is no way: longer than the driver needs to notice, shorter than a request may take.
const CUT: Duration = Duration::from_millis(1_500);

/// How long the work goes on with all nodes, and without one: long enough for the others to notice.
const CALM: Duration = Duration::from_secs(4);
const TROUBLE: Duration = Duration::from_secs(12);

/// A database node looks every five or ten seconds for how long it may wait for one replica of a table. Before it first
/// has, it waits for half of its time-out, whatever the table says.
const SETTLED: Duration = Duration::from_secs(14);

/// Two requests after one another, each sent to a second node after 100 ms and to a third after 200, on a machine that
/// is busy itself.
const PLAIN_MAX: Duration = Duration::from_millis(1_500);

/// A write that is unknown after 400 ms, and a read that tells.
const CONDITIONAL_MOST: Duration = Duration::from_millis(1_500);

/// One that is under way when the node stops is open in Paxos at the others, and all tries behind it contend with it
/// until the database gives it up: seconds, for one account.
const CONDITIONAL_MAX: Duration = Duration::from_millis(8_000);
