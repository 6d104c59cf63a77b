//! `messages`: account 2k writes to account 2k+1, which reads.

use std::rc::Rc;

use super::pairs::{Line, Pair, Traffic, drive, message_head};
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
    /// Clients manage their streams (XEP-0198), count acknowledgements, and when their connection ends go on with the
    /// stream at the next target: nothing may be lost, doubled or reordered. Who cannot resume binds anew and sends
    /// again what was not acknowledged, which may then come twice.
    #[arg(long)]
    resume: bool,
    /// All senders are sessions of the first account.
    #[arg(long, conflicts_with_all = ["resume", "reconnect"])]
    one_sender: bool,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Messages {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let numbers: Vec<u32> = worker.share.of(self.traffic.pairs).collect();
        let accounts = numbers.iter().flat_map(|n| [2 * n, 2 * n + 1]).collect();
        let sessions = match self.one_sender {
            false => worker.pairs(accounts).await?,
            true => worker.pairs_of_one_sender(accounts).await?,
        };
        let mut sessions = sessions.into_iter();
        let mut pairs = Vec::new();
        for number in numbers {
            let (Some(sender), Some(recipient)) = (sessions.next(), sessions.next()) else {
                break;
            };
            pairs.push(self.pair(worker, number, sender, recipient).await?);
        }
        drive(worker, &self.traffic, pairs).await
    }

    async fn pair(
        &self,
        worker: &Worker,
        number: u32,
        mut sender: Session,
        mut recipient: Session,
    ) -> anyhow::Result<Pair> {
        sender.announce().await?;
        recipient.announce().await?;
        if self.resume {
            sender.enable().await?;
            recipient.enable().await?;
        }
        Ok(Pair {
            number,
            head: message_head(&recipient.jid),
            targets: [worker.target(&sender), worker.target(&recipient)],
            from: sender.jid.into_bytes(),
            sender: Line::new(sender.wire, sender.stream),
            recipient: Line::new(recipient.wire, recipient.stream),
        })
    }
}
