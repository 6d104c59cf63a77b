//! `relay`: the same pairs, windows and bytes as `messages`, against a relay that knows no XMPP.
//!
//! The relay (benches, `relay`) joins two TLS connections that name the same pair in their first
//! line, and copies bytes. So that a message has the size that an XMPP server delivers, the
//! sender writes the `from` itself.

use std::rc::Rc;

use super::pairs::{Line, Pair, Traffic, drive};
use crate::measure::Outcome;
use crate::options::Common;
use crate::worker::{RESOURCE, Worker};

/// Pairs over a bare relay.
#[derive(Debug, clap::Args)]
pub(crate) struct Relay {
    /// What they send.
    #[command(flatten)]
    traffic: Traffic,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Relay {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let connector = &worker.connector;
        let mut pairs = Vec::new();
        for number in worker.share.of(self.traffic.pairs) {
            let mut sender = connector.bare(number).await?;
            let mut recipient = connector.bare(number).await?;
            let name = format!("{number}\n");
            sender.send(name.as_bytes()).await?;
            recipient.send(name.as_bytes()).await?;
            let target = connector.targets[connector.target_of(number)].to_string();
            let from = format!("{}/{RESOURCE}", connector.bare_jid(2 * number));
            let to = format!("{}/{RESOURCE}", connector.bare_jid(2 * number + 1));
            pairs.push(Pair {
                number,
                sender: Line::new(sender, None),
                recipient: Line::new(recipient, None),
                head: format!("<message from='{from}' to='{to}' type='chat' id='").into_bytes(),
                from: from.into_bytes(),
                targets: [target.clone(), target],
            });
        }
        drive(worker, &self.traffic, pairs).await
    }
}
