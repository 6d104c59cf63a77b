//! `mix`: a public server's day in small. Everybody has a partner, and at each turn does one of
//! [`Action`]'s things, chosen by the seed with the weights of a usual hour. Turns come at
//! `--rate`, in turn over all sessions, whatever the server does (an open loop); latency counts
//! from when a turn was due.
//!
//! Every request must be answered, and every chat must arrive, once and in order, also when its
//! recipient is just logging in again: it leaves with `unavailable`, waits until everything before
//! was delivered, and what is sent meanwhile must wait for it on the server.

mod action;
mod member;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::measure::Outcome;
use crate::options::{Common, Timing};
use crate::oracle::{STAMP_BYTES, Tracker};
use crate::pace::{Schedule, Slot, hand_out};
use crate::worker::Worker;
use action::Random;
use member::Member;

/// A day's traffic.
#[derive(Debug, clap::Args)]
pub(crate) struct Mix {
    /// Pairs of users who chat with each other.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Actions a second in all.
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Bytes of a chat's body.
    #[arg(long, default_value_t = 120,
        value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..))]
    body: u32,
    /// How long.
    #[command(flatten)]
    timing: Timing,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Mix {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let pairs = worker.share.of(self.pairs);
        let accounts = pairs.flat_map(|pair| [2 * pair, 2 * pair + 1]).collect();
        let mut sessions = worker.pairs(accounts).await?;
        for session in &mut sessions {
            session.announce().await?;
        }
        let mut outcome = Outcome::of("action");
        outcome.sessions = sessions.len() as u64;
        worker.ready().await;
        let start = Instant::now();
        let day = Rc::new(Day {
            worker: Rc::clone(worker),
            outcome: RefCell::new(outcome),
            begin: Cell::new(None),
            stop: start + self.timing.warmup() + self.timing.duration(),
            body: self.body as usize,
            chats: sessions
                .iter()
                .map(|it| (it.account, Chat::default()))
                .collect(),
            finished: Cell::new(0),
        });
        let slots: Vec<Rc<Slot>> = sessions.iter().map(|_| Rc::default()).collect();
        let mut tasks = JoinSet::new();
        for (session, slot) in sessions.into_iter().zip(&slots) {
            let random = Random::new(self.common.seed, session.account);
            tasks.spawn_local(Member::new(session, &day, slot, random).run());
        }
        let schedule = Schedule::new(start, worker.share.rate(self.rate));
        let pacing = tokio::task::spawn_local(hand_out(schedule, day.stop, worker.epoch, slots));
        sleep_until(start + self.timing.warmup()).await;
        day.begin.set(Some(worker.begin()));
        sleep_until(day.stop).await;
        worker.end(&mut day.outcome.borrow_mut());
        pacing.await??;
        while let Some(joined) = tasks.join_next().await {
            joined?;
        }
        Ok(day.outcome.take())
    }
}

/// What all members of a worker share.
struct Day {
    worker: Rc<Worker>,
    outcome: RefCell<Outcome>,
    begin: Cell<Option<Instant>>,
    stop: Instant,
    body: usize,
    /// What each account has sent to its partner.
    chats: HashMap<u32, Chat>,
    /// Members that will send no more.
    finished: Cell<usize>,
}

/// One direction between two partners.
#[derive(Default)]
struct Chat {
    sent: Cell<u32>,
    /// What became of it.
    tracker: RefCell<Tracker>,
}

impl Day {
    fn record(&self, kind: &str, due_ns: u64, target: &str) {
        let now = Instant::now();
        let Some(begin) = self.begin.get().filter(|_| now < self.stop) else {
            return;
        };
        let latency = Duration::from_nanos(self.worker.ns_of(now).saturating_sub(due_ns));
        let mut outcome = self.outcome.borrow_mut();
        outcome.record(kind, target, now - begin, latency);
        self.worker.progress(outcome.operations);
    }
}
