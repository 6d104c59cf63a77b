//! `idle`: opens sessions, makes them available and holds them. The server's memory before the
//! first and after the last gives the memory of one. A session that ends by itself is a failure.

use std::rc::Rc;

use futures_util::future::{Either, select};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::{ClientError, Frame, Session, checked};
use crate::measure::Outcome;
use crate::options::{Common, Timing};
use crate::worker::Worker;

/// Holds sessions.
#[derive(Debug, clap::Args)]
pub(crate) struct Idle {
    /// How many sessions.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// Sessions of one account: fewer accounts mean fewer key derivations in the client.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    per_account: u32,
    /// How long to hold them; the warm-up lets the server settle first.
    #[command(flatten)]
    timing: Timing,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Idle {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::of("session");
        let (connector, per_account) = (&worker.connector, self.per_account);
        let accounts = worker
            .share
            .of(self.sessions.div_ceil(per_account))
            .collect();
        worker.prepare(accounts).await?;
        worker.ready().await;
        let begin = worker.begin();
        let numbers = worker
            .share
            .of(self.sessions.div_ceil(per_account))
            .flat_map(|account| {
                (account * per_account..(account + 1) * per_account)
                    .take_while(|n| *n < self.sessions)
            });
        let opened = worker.paced(numbers, |number| async move {
            let started = Instant::now();
            let resource = format!("idle{number}");
            let mut session = connector
                .login(number / per_account, number, &resource)
                .await?;
            session.announce().await?;
            Ok::<_, ClientError>((session, started.elapsed(), begin.elapsed()))
        });
        let stop = || Instant::now() + self.timing.warmup() + self.timing.duration();
        let mut holding = JoinSet::new();
        let opened = opened.await;
        let stop = stop();
        for result in opened {
            match result {
                Ok((session, took, at)) => {
                    outcome.record("login", &worker.target(&session), at, took);
                    holding.spawn_local(hold(session, stop));
                }
                Err(error) => outcome.fail(error.to_string()),
            }
        }
        outcome.sessions = holding.len() as u64;
        sleep_until(stop).await;
        worker.end(&mut outcome);
        while let Some(held) = holding.join_next().await {
            if let Err(error) = held? {
                outcome.fail(format!("an idle session ended: {error}"));
            }
        }
        Ok(outcome)
    }
}

/// Reads and drops what comes until `stop`.
async fn hold(mut session: Session, stop: Instant) -> Result<(), ClientError> {
    let mut timer = std::pin::pin!(sleep_until(stop));
    loop {
        while let Some(frame) = session.wire.next()? {
            match frame {
                Frame::Stanza(bytes) => drop(checked(bytes)?),
                Frame::Open(_) => {}
                Frame::Close => return Err(ClientError::Closed),
            }
        }
        let fill = std::pin::pin!(session.wire.fill());
        match select(fill, timer.as_mut()).await {
            Either::Left((filled, _)) => filled?,
            Either::Right(_) => return Ok(()),
        }
    }
}
