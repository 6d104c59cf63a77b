//! `funnel`: strangers of many networks register at a rate, through all nodes, and most are refused.
//!
//! Which of them succeed depends on who comes first; how many succeed does not. Limits by address, by prefix and in all
//! lie inside one another and a refused attempt costs nobody anything, so every order comes to one count: as many of
//! each address as its limit allows, of these as many of each prefix, of these as many as in all. With the limits that
//! the server has as options, that count is the judge.

mod tally;

use std::cell::RefCell;
use std::rc::Rc;

use tokio::time::Instant;

use crate::client::ClientError;
use crate::measure::Outcome;
use crate::options::Common;
use crate::worker::Worker;
use tally::{Limits, Tally};

/// Registers from many networks (`--networks`), and counts who is let in.
#[derive(Debug, clap::Args)]
pub(crate) struct Funnel {
    /// Attempts to register, each with another name.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=MAX_ATTEMPTS))]
    attempts: u32,
    /// Attempts a second; latency counts from when one is due.
    #[arg(long, default_value_t = 200.0, value_name = "PER_SECOND")]
    rate: f64,
    /// The server's limits.
    #[command(flatten)]
    limits: Limits,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// How one attempt ended, and how long the server took over the request alone, without connection and TLS.
struct Answer {
    result: Result<bool, ClientError>,
    took: std::time::Duration,
}

impl Funnel {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        // Limits are judged where all attempts are counted.
        anyhow::ensure!(worker.share.of == 1, "funnel runs in one process");
        worker.ready().await;
        let begin = worker.begin();
        let outcome = RefCell::new(Outcome::of("attempt"));
        let tally = RefCell::new(Tally::default());
        let attempts = worker.paced_at(self.rate, 0..self.attempts, |number, due| {
            let (outcome, tally) = (&outcome, &tally);
            async move {
                let answer = attempt(worker, number).await;
                let mut told = Told {
                    outcome: &mut outcome.borrow_mut(),
                    tally: &mut tally.borrow_mut(),
                };
                told.take(worker, number, answer, due, begin);
            }
        });
        attempts.await;
        let mut outcome = outcome.into_inner();
        worker.end(&mut outcome);
        let tally = tally.into_inner();
        for violation in tally.violations(&self.limits) {
            outcome.fail(violation);
        }
        outcome.notes.extend(tally.notes());
        Ok(outcome)
    }
}

/// The name has the run's number in it, so that a second run finds its names free.
async fn attempt(worker: &Worker, number: u32) -> Answer {
    let connector = &worker.connector;
    let name = format!("{}{:x}-{number}", connector.prefix, worker.share.run);
    let mut took = std::time::Duration::ZERO;
    let asked = async {
        let mut wire = connector.stranger(number).await?;
        let begun = Instant::now();
        let result = connector.ask_for(&mut wire, &name).await;
        took = begun.elapsed();
        result
    };
    let result = asked.await;
    Answer { result, took }
}

/// Where answers go.
struct Told<'a> {
    outcome: &'a mut Outcome,
    tally: &'a mut Tally,
}

impl Told<'_> {
    fn take(&mut self, worker: &Worker, number: u32, answer: Answer, due: Instant, begin: Instant) {
        let connector = &worker.connector;
        let target = connector.targets[connector.target_of(number)].to_string();
        let source = connector.source(number);
        let kind = match answer.result {
            Ok(true) => {
                self.tally.succeeded(source);
                "success"
            }
            Ok(false) => {
                self.tally.failed(source);
                return self.outcome.fail("the name was taken".to_owned());
            }
            Err(ClientError::Registration(why)) => {
                self.tally.refused(source, &why);
                "refusal"
            }
            Err(error) => {
                self.tally.failed(source);
                return self.outcome.fail(error.to_string());
            }
        };
        self.outcome
            .record(kind, &target, begin.elapsed(), due.elapsed());
        self.outcome
            .also(&format!("{kind}, TLS aside"), answer.took);
    }
}

/// Half an hour at 2,000 a second: more names than any limit lets in.
const MAX_ATTEMPTS: i64 = 3_600_000;
