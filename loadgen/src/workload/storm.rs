//! `storm`: all clients are connected, all connections break at once, and all come back at once, as after the
//! restart of a load balancer. What is measured is the way back: TCP, TLS, SASL, bind and presence; a client that
//! is refused tries again until the storm is over. With `--resume` they go on with their streams (XEP-0198 5) instead
//! of binding anew; one that cannot is a failure.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::{ClientError, Resumable, Session};
use crate::measure::Outcome;
use crate::options::Common;
use crate::worker::{RESOURCE, Worker};

/// Everybody comes back at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Storm {
    /// How many clients, each of an account of its own.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// How often all connections break.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long everybody has to be back, in seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    within: u64,
    /// Clients resume their streams (XEP-0198).
    #[arg(long)]
    resume: bool,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Storm {
    /// Runs it. A client that is not back in time is a failure; a refused try is in the notes.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let accounts: Vec<u32> = worker.share.of(self.sessions).collect();
        let mut sessions = worker.sessions(accounts).await?;
        for session in &mut sessions {
            session.announce().await?;
            if self.resume {
                session.enable().await?;
            }
        }
        let mut outcome = Outcome::of("return");
        outcome.sessions = sessions.len() as u64;
        let storm = Weather {
            worker,
            outcome: RefCell::new(outcome),
            within: Duration::from_secs(self.within),
        };
        worker.ready().await;
        let begin = worker.begin();
        for round in 0..self.rounds {
            sessions = storm.strike(begin, round, sessions).await;
        }
        let mut outcome = storm.outcome.take();
        worker.end(&mut outcome);
        Ok(outcome)
    }
}

struct Weather<'a> {
    worker: &'a Worker,
    outcome: RefCell<Outcome>,
    within: Duration,
}

impl Weather<'_> {
    /// One round: gives who is back.
    async fn strike(&self, begin: Instant, round: u32, sessions: Vec<Session>) -> Vec<Session> {
        let left = sessions.into_iter().map(|it| (it.account, it.stream));
        let left: Vec<_> = left.collect();
        let struck = Instant::now();
        let returns = left
            .into_iter()
            .map(|(account, stream)| self.come_back(begin, struck, (account, round), stream));
        let back: Vec<Session> = join_all(returns).await.into_iter().flatten().collect();
        let took = struck.elapsed().as_secs_f64();
        let name = format!("seconds until all were back, round {}", round + 1);
        self.outcome.borrow_mut().notes.insert(name, took);
        back
    }

    async fn come_back(
        &self,
        begin: Instant,
        struck: Instant,
        (account, round): (u32, u32),
        stream: Option<Resumable>,
    ) -> Option<Session> {
        let mut refused = 0.0;
        let tries = async {
            loop {
                match self.once(account, round, stream.as_ref()).await {
                    Ok(session) => return session,
                    Err(_) => refused += 1.0,
                }
                sleep(PAUSE).await;
            }
        };
        let session = timeout_at(struck + self.within, Box::pin(tries)).await.ok();
        let mut outcome = self.outcome.borrow_mut();
        let tries = outcome.notes.entry(REFUSED.to_owned()).or_default();
        *tries += refused;
        match &session {
            Some(session) => {
                let target = self.worker.target(session);
                outcome.record("return", &target, begin.elapsed(), struck.elapsed());
                self.worker.progress(outcome.operations);
            }
            None => outcome.fail("not back in time".to_owned()),
        }
        session
    }

    async fn once(
        &self,
        account: u32,
        round: u32,
        stream: Option<&Resumable>,
    ) -> Result<Session, ClientError> {
        let connector = &self.worker.connector;
        if let Some(stream) = stream {
            // On another node, where there is one.
            let resumed = connector.resume(account, account + round + 1, stream).await;
            return resumed.map(|(session, _)| session);
        }
        let mut session = connector.login(account, account, RESOURCE).await?;
        session.announce().await?;
        Ok(session)
    }
}

const REFUSED: &str = "most tries in a process that were refused";

/// Before a client that was refused tries again.
const PAUSE: Duration = Duration::from_millis(500);
