//! `login`: churn. Each login is a new connection, a full TLS handshake (no resumption), SASL and
//! bind, then the closing handshake.
//!
//! The first login of each account is made before measuring: it derives the client's SCRAM keys,
//! which cost the client more than everything else and the server nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::measure::Outcome;
use crate::options::{Common, Timing};
use crate::worker::Worker;

/// Logs in and out.
#[derive(Debug, clap::Args)]
pub(crate) struct Login {
    /// Accounts that take turns.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    accounts: u32,
    /// Logins under way at a time, all processes together.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// How long.
    #[command(flatten)]
    timing: Timing,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Login {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let accounts: Vec<u32> = worker.share.of(self.accounts).collect();
        worker.prepare(accounts.clone()).await?;
        let connector = &worker.connector;
        let first = worker.paced(accounts.clone(), |account| async move {
            connector
                .login(account, account, "warm")
                .await?
                .close()
                .await
        });
        first.await.into_iter().collect::<Result<Vec<()>, _>>()?;
        worker.ready().await;
        let start = Instant::now();
        let stop = start + self.timing.warmup() + self.timing.duration();
        let churn = Rc::new(Churn {
            worker: Rc::clone(worker),
            accounts,
            next: Cell::new(0),
            stop,
            begin: Cell::new(None),
            outcome: RefCell::new(Outcome::of("login")),
        });
        let mut tasks = JoinSet::new();
        for _ in worker.share.of(self.concurrency) {
            tasks.spawn_local(Rc::clone(&churn).run());
        }
        sleep_until(start + self.timing.warmup()).await;
        churn.begin.set(Some(worker.begin()));
        sleep_until(stop).await;
        worker.end(&mut churn.outcome.borrow_mut());
        while let Some(joined) = tasks.join_next().await {
            joined?;
        }
        Ok(churn.outcome.take())
    }
}

struct Churn {
    worker: Rc<Worker>,
    accounts: Vec<u32>,
    next: Cell<u32>,
    stop: Instant,
    begin: Cell<Option<Instant>>,
    outcome: RefCell<Outcome>,
}

impl Churn {
    async fn run(self: Rc<Self>) {
        while Instant::now() < self.stop && !self.accounts.is_empty() {
            let number = self.next.get();
            self.next.set(number.wrapping_add(1));
            self.one(number).await;
        }
    }

    async fn one(&self, number: u32) {
        let account = self.accounts[number as usize % self.accounts.len()];
        let started = Instant::now();
        let resource = format!("churn{number}");
        let session = match self
            .worker
            .connector
            .login(account, number, &resource)
            .await
        {
            Ok(session) => session,
            Err(error) => return self.outcome.borrow_mut().fail(error.to_string()),
        };
        let now = Instant::now();
        if let Some(begin) = self.begin.get().filter(|_| now < self.stop) {
            let target = self.worker.target(&session);
            let mut outcome = self.outcome.borrow_mut();
            outcome.record("login", &target, now - begin, now - started);
            self.worker.progress(outcome.operations);
        }
        if let Err(error) = session.close().await {
            self.outcome.borrow_mut().fail(format!("closing: {error}"));
        }
    }
}
