//! The workloads, one file each. A workload sets up, says `ready`, says `begin` and `end` around
//! what is to be measured, and returns its [`Outcome`].

pub(crate) mod funnel;
pub(crate) mod idle;
pub(crate) mod knock;
pub(crate) mod login;
pub(crate) mod messages;
pub(crate) mod mix;
pub(crate) mod offline;
pub(crate) mod pairs;
pub(crate) mod presence;
pub(crate) mod register;
pub(crate) mod relay;
pub(crate) mod storm;

use std::rc::Rc;

use crate::measure::Outcome;
use crate::options::Command;
use crate::worker::Worker;

/// Runs this worker's share of a command.
pub(crate) async fn run(worker: &Rc<Worker>, command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Register(it) => it.run(worker).await,
        Command::Login(it) => it.run(worker).await,
        Command::Idle(it) => it.run(worker).await,
        Command::Messages(it) => it.run(worker).await,
        Command::Presence(it) => it.run(worker).await,
        Command::Mix(it) => it.run(worker).await,
        Command::Offline(it) => it.run(worker).await,
        Command::Relay(it) => it.run(worker).await,
        Command::Storm(it) => it.run(worker).await,
        Command::Funnel(it) => it.run(worker).await,
        Command::Knock(it) => it.run(worker).await,
    }
}
