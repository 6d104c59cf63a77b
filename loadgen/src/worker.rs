//! A worker process: does its share of the sessions on one thread and tells the coordinator.
//!
//! ```text
//! coordinator                         worker
//!     │ ◄──────────── ready ──────────── │  sessions are open
//!     │ ───────────── start ───────────► │  (a line on its standard input)
//!     │ ◄──────────── begin ──────────── │  warm-up is over
//!     │ ◄────────── progress ─────────── │
//!     │ ◄───────────── end ───────────── │  measuring is over, stragglers are awaited
//!     │ ◄──────── done(Outcome) ──────── │
//! ```
//!
//! When its standard input ends, the coordinator is gone and the worker exits.

use std::cell::Cell;
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::client::{ClientError, Connector, Resumable, Session};
use crate::measure::{Outcome, process};
use crate::options::{Cli, Common};

/// A line from a worker to the coordinator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// So many of so many steps of the set-up, or operations, are done.
    Progress(u64),
    /// The set-up is complete.
    Ready,
    /// Measuring begins.
    Begin,
    /// Measuring ends.
    End,
    /// All is over.
    Done(Box<Outcome>),
    /// It could not run, and why.
    Failed(String),
}

/// Which share of the whole a worker has, and the run's number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Share {
    /// This worker, from 0.
    pub(crate) index: u32,
    /// All workers.
    pub(crate) of: u32,
    /// Marks the messages of this run.
    pub(crate) run: u32,
}

impl Share {
    /// The numbers below `count` that are this worker's.
    pub(crate) fn of(self, count: u32) -> impl Iterator<Item = u32> + Clone {
        (self.index..count).step_by(self.of as usize)
    }

    /// This worker's part of a rate.
    pub(crate) fn rate(self, whole: f64) -> f64 {
        whole / f64::from(self.of)
    }
}

/// The surroundings of a workload.
pub(crate) struct Worker {
    /// Its share.
    pub(crate) share: Share,
    /// How to reach the server.
    pub(crate) connector: Rc<Connector>,
    /// When the worker began; stamps count from here.
    pub(crate) epoch: Instant,
    /// Whether clients come back.
    pub(crate) reconnects: bool,
    connect_rate: f64,
    connecting_max: usize,
    registers: bool,
    start: Cell<Option<oneshot::Receiver<()>>>,
    reported: Cell<Option<Instant>>,
    begun: Cell<Option<(Instant, u64)>>,
}

/// How a client whose stream is managed is back.
pub(crate) enum Returned {
    /// With its stream, on which the server has got so many stanzas.
    Resumed(Session, u32),
    /// As a new session.
    Anew(Session),
}

impl Worker {
    fn new(share: Share, common: &Common) -> anyhow::Result<Self> {
        Ok(Self {
            share,
            connector: Rc::new(common.connector()?),
            epoch: Instant::now(),
            reconnects: common.reconnect,
            connect_rate: common.connect_rate(),
            connecting_max: common.connecting as usize,
            registers: common.register,
            start: Cell::new(Some(watch_input()?)),
            reported: Cell::new(None),
            begun: Cell::new(None),
        })
    }

    /// Says that the set-up is complete and waits until all workers are.
    pub(crate) async fn ready(&self) {
        report(&Report::Ready);
        if let Some(start) = self.start.take() {
            // The sender lives until the input ends, and then the process exits.
            let _ = start.await;
        }
    }

    /// Measuring begins now.
    pub(crate) fn begin(&self) -> Instant {
        report(&Report::Begin);
        let now = Instant::now();
        self.begun.set(Some((now, process::own_cpu_us())));
        now
    }

    /// Measuring ends now: fills in duration and CPU time.
    pub(crate) fn end(&self, outcome: &mut Outcome) {
        report(&Report::End);
        if let Some((begun, cpu)) = self.begun.get() {
            outcome.seconds = begun.elapsed().as_secs_f64();
            outcome.client_cpu_us = process::own_cpu_us().saturating_sub(cpu);
        }
    }

    /// Shows how far it is, at most a few times a second.
    pub(crate) fn progress(&self, done: u64) {
        let due = self
            .reported
            .get()
            .is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL);
        if due {
            self.reported.set(Some(Instant::now()));
            report(&Report::Progress(done));
        }
    }

    /// Nanoseconds since the worker began.
    pub(crate) fn now_ns(&self) -> u64 {
        self.ns_of(Instant::now())
    }

    /// A moment as nanoseconds since the worker began.
    pub(crate) fn ns_of(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Runs `step` for each item, many at a time, paced by `--connect-rate`; results in order.
    pub(crate) async fn paced<T, F: Future>(
        &self,
        items: impl IntoIterator<Item = T>,
        mut step: impl FnMut(T) -> F,
    ) -> Vec<F::Output> {
        self.paced_at(self.connect_rate, items, |item, _| step(item))
            .await
    }

    /// The same at another rate, in steps a second; `step` is told when it was due.
    pub(crate) async fn paced_at<T, F: Future>(
        &self,
        rate: f64,
        items: impl IntoIterator<Item = T>,
        mut step: impl FnMut(T, Instant) -> F,
    ) -> Vec<F::Output> {
        let began = Instant::now();
        let interval = Duration::from_secs_f64(1.0 / rate.max(0.1));
        let mut done = 0;
        let waiting = items.into_iter().enumerate().map(|(n, item)| {
            let turn = began + interval.mul_f64(n as f64);
            let work = step(item, turn);
            async move {
                sleep_until(turn).await;
                (n, work.await)
            }
        });
        let mut results: Vec<_> = stream::iter(waiting)
            .buffer_unordered(self.connecting_max)
            .inspect(|_| {
                done += 1;
                self.progress(done);
            })
            .collect()
            .await;
        results.sort_unstable_by_key(|(n, _)| *n);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Registers accounts if `--register` was given; those that exist are fine.
    pub(crate) async fn prepare(&self, accounts: Vec<u32>) -> Result<(), ClientError> {
        if !self.registers {
            return Ok(());
        }
        let connector = &self.connector;
        let made = self
            .paced(accounts, |account| connector.register(account, account))
            .await;
        made.into_iter().try_for_each(|result| result.map(drop))
    }

    /// Registers (if asked) and logs in one session for each account, in order; all must succeed.
    pub(crate) async fn sessions(&self, accounts: Vec<u32>) -> Result<Vec<Session>, ClientError> {
        self.sessions_at(accounts, |account| account).await
    }

    /// The same, for pairs of accounts.
    pub(crate) async fn pairs(&self, accounts: Vec<u32>) -> Result<Vec<Session>, ClientError> {
        self.sessions_at(accounts, |account| self.connector.place_in_pair(account))
            .await
    }

    /// The same, with the first account in the place of every pair's sender: each of its sessions has a resource of its
    /// own.
    pub(crate) async fn pairs_of_one_sender(
        &self,
        accounts: Vec<u32>,
    ) -> Result<Vec<Session>, ClientError> {
        let used = accounts.iter().copied().filter(|account| account % 2 == 1);
        // More than one worker may make it: to one of them it exists already.
        self.prepare(std::iter::once(0).chain(used).collect())
            .await?;
        let connector = &self.connector;
        let open = self.paced(accounts, |account| async move {
            let place = connector.place_in_pair(account);
            match account % 2 {
                0 => {
                    let resource = format!("{RESOURCE}{account}");
                    connector.login(0, place, &resource).await
                }
                _ => connector.login(account, place, RESOURCE).await,
            }
        });
        open.await.into_iter().collect()
    }

    async fn sessions_at(
        &self,
        accounts: Vec<u32>,
        place: impl Fn(u32) -> u32,
    ) -> Result<Vec<Session>, ClientError> {
        self.prepare(accounts.clone()).await?;
        let connector = &self.connector;
        let open = self.paced(accounts, |account| {
            connector.login(account, place(account), RESOURCE)
        });
        open.await.into_iter().collect()
    }

    /// Logs one of a pair in again: at its own target, or where clients come back, at the first that lets it in.
    pub(crate) async fn login_again(&self, account: u32) -> Result<Session, ClientError> {
        let place = self.connector.place_in_pair(account);
        if !self.reconnects {
            return self.connector.login(account, place, RESOURCE).await;
        }
        self.at_one_of(|step| self.connector.login(account, place + step, RESOURCE))
            .await
    }

    /// Has one of a pair go on with its stream at the next target, or at the first behind that which lets it. Where the
    /// server says that it has the stream no more, it logs in anew and is available.
    pub(crate) async fn resume_again(
        &self,
        account: u32,
        stream: &Resumable,
    ) -> Result<Returned, ClientError> {
        let connector = &self.connector;
        let place = connector.place_in_pair(account) + 1;
        self.at_one_of(|step| async move {
            match connector.resume(account, place + step, stream).await {
                Ok((session, h)) => Ok(Returned::Resumed(session, h)),
                Err(error) if error.is_of_no_stream() => {
                    let mut session = connector.login(account, place + step, RESOURCE).await?;
                    session.announce().await?;
                    Ok(Returned::Anew(session))
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Tries all targets in turn, until one does it or the time is up.
    async fn at_one_of<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        mut step: impl FnMut(u32) -> F,
    ) -> Result<T, ClientError> {
        let until = Instant::now() + RETURN_MAX;
        loop {
            let mut last = ClientError::TimedOut("the return");
            for target in 0..self.connector.targets.len() as u32 {
                match timeout(RETURN_TRY_MAX, Box::pin(step(target))).await {
                    Ok(Ok(back)) => return Ok(back),
                    Ok(Err(error)) => last = error,
                    Err(_) => {}
                }
            }
            if Instant::now() > until {
                return Err(last);
            }
            sleep(RETURN_PAUSE).await;
        }
    }

    /// The name of a session's target.
    pub(crate) fn target(&self, session: &Session) -> String {
        self.connector.targets[session.target].to_string()
    }
}

/// Runs a worker to its end; what goes wrong is told to the coordinator.
pub(crate) fn run(share: Share, cli: &Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = tokio::task::LocalSet::new().block_on(&runtime, async {
        let worker = Rc::new(Worker::new(share, cli.command.common())?);
        crate::workload::run(&worker, &cli.command).await
    });
    report(&match result {
        Ok(outcome) => Report::Done(Box::new(outcome)),
        Err(error) => Report::Failed(format!("{error:#}")),
    });
    Ok(())
}

fn report(report: &Report) {
    let mut line = serde_json::to_vec(report).expect("reports are plain data");
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    if out.write_all(&line).and_then(|()| out.flush()).is_err() {
        // Nobody listens any more.
        std::process::exit(2);
    }
}

/// A thread, because standard input has no readiness: `start`, then the end.
fn watch_input() -> anyhow::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            let mut sender = Some(sender);
            for line in std::io::stdin().lock().lines() {
                match (line.as_deref(), sender.take()) {
                    (Ok("start"), Some(sender)) => drop(sender.send(())),
                    _ => break,
                }
            }
            std::process::exit(2);
        })?;
    Ok(receiver)
}

/// The resource of every session that needs no particular one.
pub(crate) const RESOURCE: &str = "loadgen";
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How long a client tries to come back, and how long one try may take.
const RETURN_MAX: Duration = Duration::from_secs(60);
const RETURN_TRY_MAX: Duration = Duration::from_secs(5);
/// Between two rounds of tries over all targets.
const RETURN_PAUSE: Duration = Duration::from_millis(200);
