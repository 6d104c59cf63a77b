//! `messages`: account 2k writes to account 2k+1, which reads.

use std::rc::Rc;

use super::pairs::{Pair, Traffic, drive, message_head};
use crate::client::Session;
use crate::measure::Outcome;
use crate::options::Common;
use crate::worker::Worker;

/// Pairs that send messages.
#[derive(Debug, clap::Args)]
pub(crate) struct Messages {
    /// What they send.
    #[command(flatten)]
    traffic: Traffic,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Messages {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let numbers: Vec<u32> = worker.share.of(self.traffic.pairs).collect();
        let accounts = numbers.iter().flat_map(|n| [2 * n, 2 * n + 1]).collect();
        let mut sessions = worker.pairs(accounts).await?.into_iter();
        let mut pairs = Vec::new();
        for number in numbers {
            let (Some(sender), Some(recipient)) = (sessions.next(), sessions.next()) else {
                break;
            };
            pairs.push(pair(worker, number, sender, recipient).await?);
        }
        drive(worker, &self.traffic, pairs).await
    }
}

async fn pair(
    worker: &Worker,
    number: u32,
    mut sender: Session,
    mut recipient: Session,
) -> anyhow::Result<Pair> {
    sender.announce().await?;
    recipient.announce().await?;
    Ok(Pair {
        number,
        head: message_head(&recipient.jid),
        targets: [worker.target(&sender), worker.target(&recipient)],
        from: sender.jid.into_bytes(),
        sender: sender.wire,
        recipient: recipient.wire,
    })
}
