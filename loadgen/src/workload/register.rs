//! `register`: accounts in bulk, each over a connection of its own as strangers do.

use std::rc::Rc;

use tokio::time::Instant;

use crate::measure::Outcome;
use crate::options::Common;
use crate::worker::Worker;

/// Creates accounts.
#[derive(Debug, clap::Args)]
pub(crate) struct Register {
    /// How many accounts.
    #[arg(long, default_value_t = 100)]
    accounts: u32,
    /// The number of the first.
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Register {
    /// Runs it. An account that exists is no failure; how many did is in the notes.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::of("registration");
        worker.ready().await;
        let begin = worker.begin();
        let (connector, first) = (&worker.connector, self.first);
        let accounts = worker.share.of(self.accounts).map(|n| first + n);
        let attempts = worker.paced(accounts, |account| async move {
            let started = Instant::now();
            let result = connector.register(account, account).await;
            (
                result,
                connector.target_of(account),
                started.elapsed(),
                begin.elapsed(),
            )
        });
        let mut existing = 0.0;
        for (result, target, took, at) in attempts.await {
            match result {
                Ok(true) => {
                    let target = connector.targets[target].to_string();
                    outcome.record("registration", &target, at, took);
                }
                Ok(false) => existing += 1.0,
                Err(error) => outcome.fail(error.to_string()),
            }
        }
        worker.end(&mut outcome);
        outcome
            .notes
            .insert("accounts that existed already".to_owned(), existing);
        Ok(outcome)
    }
}
