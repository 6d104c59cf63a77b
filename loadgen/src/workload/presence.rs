//! `presence`: groups of accounts that are all in each other's rosters, and storms: every interval
//! every account says a new status, and each of its friends must hear it, once and in order.
//!
//! The rosters are made first (RFC 6121 3: subscribe and approve, both ways) and kept for later
//! runs. Latency counts from the time when the storm was due.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use memchr::memmem;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::{ClientError, Frame, Session, checked, stanza};
use crate::measure::Outcome;
use crate::options::Common;
use crate::oracle::{Faults, STAMP_BYTES, Stamp, Tracker};
use crate::worker::Worker;

/// Rosters and storms.
#[derive(Debug, clap::Args)]
pub(crate) struct Presence {
    /// Groups of friends.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    groups: u32,
    /// Accounts of a group; each has all others in its roster.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1000))]
    friends: u32,
    /// Storms.
    #[arg(long, default_value_t = 10)]
    storms: u32,
    /// Seconds between two storms.
    #[arg(long, default_value_t = 1.0)]
    interval: f64,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Presence {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let groups = worker.share.of(self.groups);
        let friends = self.friends;
        let accounts = groups
            .flat_map(|g| g * friends..(g + 1) * friends)
            .collect();
        let sessions = worker.sessions(accounts).await?;
        let storm = Rc::new(Storm {
            worker: Rc::clone(worker),
            outcome: RefCell::new(Outcome::of("presence")),
            begin: Cell::new(worker.epoch),
            friends,
            storms: self.storms,
            interval: Duration::from_secs_f64(self.interval.clamp(0.001, 3600.0)),
        });
        let members = make_friends(&storm, sessions).await?;
        worker.ready().await;
        let begin = worker.begin();
        storm.begin.set(begin);
        let mut tasks = JoinSet::new();
        storm.outcome.borrow_mut().sessions = members.len() as u64;
        for member in members {
            tasks.spawn_local(member.weather(Rc::clone(&storm)));
        }
        sleep_until(begin + storm.interval * self.storms).await;
        worker.end(&mut storm.outcome.borrow_mut());
        while let Some(joined) = tasks.join_next().await {
            joined?;
        }
        Ok(storm.outcome.take())
    }
}

/// Rosters first, then everybody comes online and waits for all friends.
async fn make_friends(storm: &Rc<Storm>, sessions: Vec<Session>) -> anyhow::Result<Vec<Member>> {
    let mut tasks = JoinSet::new();
    for session in sessions {
        let mut member = Member::new(session, storm);
        tasks.spawn_local(async move {
            let made = timeout(FRIENDS_WAIT, member.befriend()).await;
            made.map_err(|_| ClientError::TimedOut("mutual subscriptions"))?
                .map(|()| member)
        });
    }
    let mut members = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        members.push(joined??);
        storm.worker.progress(members.len() as u64);
    }
    Ok(members)
}

struct Storm {
    worker: Rc<Worker>,
    outcome: RefCell<Outcome>,
    begin: Cell<Instant>,
    friends: u32,
    storms: u32,
    interval: Duration,
}

struct Member {
    session: Session,
    /// Bare JIDs of the others and what came from them.
    friends: HashMap<Vec<u8>, (u32, Tracker)>,
    wrong: Faults,
    target: String,
}

impl Member {
    fn new(session: Session, storm: &Storm) -> Self {
        let first = session.account / storm.friends * storm.friends;
        let others = (first..first + storm.friends).filter(|other| *other != session.account);
        let connector = &storm.worker.connector;
        let named = |other| {
            (
                connector.bare_jid(other).into_bytes(),
                (other, Tracker::default()),
            )
        };
        let target = storm.worker.target(&session);
        Self {
            friends: others.map(named).collect(),
            session,
            wrong: Faults::default(),
            target,
        }
    }

    /// Asks those who are no friends yet and approves all, until the roster says `both` for all.
    async fn befriend(&mut self) -> Result<(), ClientError> {
        self.session.announce().await?;
        let mut asked = false;
        loop {
            let missing = self.not_yet_friends().await?;
            if missing.is_empty() {
                // The last approvals go out now: one in the middle of a storm would make the
                // server say the current status a second time.
                return self.approve_until(Instant::now() + ROSTER_INTERVAL).await;
            }
            if !std::mem::replace(&mut asked, true) {
                for friend in missing {
                    let ask = format!("<presence to='{friend}' type='subscribe'/>");
                    self.session.wire.out().extend_from_slice(ask.as_bytes());
                }
            }
            self.approve_until(Instant::now() + ROSTER_INTERVAL).await?;
        }
    }

    async fn not_yet_friends(&mut self) -> Result<Vec<String>, ClientError> {
        // The wait for the answer must not swallow somebody's request.
        let get = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>";
        self.session.wire.send(get.as_bytes()).await?;
        let roster = loop {
            let element = self.session.wire.element().await?;
            self.approve(&element);
            if stanza::attribute(&element, "id") == Some(b"roster") {
                break element;
            }
        };
        let mut missing: HashMap<&[u8], ()> = self
            .friends
            .keys()
            .map(|jid| (jid.as_slice(), ()))
            .collect();
        for at in memmem::find_iter(&roster, b"<item ") {
            let item = &roster[at..];
            if stanza::attribute(item, "subscription") == Some(b"both")
                && let Some(jid) = stanza::attribute(item, "jid")
            {
                missing.remove(jid);
            }
        }
        Ok(missing
            .into_keys()
            .map(|jid| String::from_utf8_lossy(jid).into_owned())
            .collect())
    }

    async fn approve_until(&mut self, until: Instant) -> Result<(), ClientError> {
        self.session.wire.flush().await?;
        while let Ok(element) = timeout(until - Instant::now(), self.session.wire.element()).await {
            self.approve(&element?);
        }
        self.session.wire.flush().await
    }

    fn approve(&mut self, element: &[u8]) {
        if stanza::is(element, "presence")
            && stanza::has_type(element, "subscribe")
            && let Some(from) = stanza::attribute(element, "from")
        {
            let from = String::from_utf8_lossy(from).into_owned();
            let answer = format!("<presence to='{from}' type='subscribed'/>");
            self.session.wire.out().extend_from_slice(answer.as_bytes());
        }
    }

    async fn weather(mut self, storm: Rc<Storm>) {
        let failure = self.storms(&storm).await.err();
        let mut outcome = storm.outcome.borrow_mut();
        outcome.faults += self.wrong;
        for (_, tracker) in self.friends.into_values() {
            outcome.sent += u64::from(storm.storms);
            outcome.received += tracker.received();
            outcome.faults += tracker.finish(storm.storms);
        }
        if let Some(error) = failure {
            outcome.fail(error.to_string());
        }
    }

    async fn storms(&mut self, storm: &Storm) -> Result<(), ClientError> {
        for serial in 0..storm.storms {
            let due = storm.begin.get() + storm.interval * serial;
            self.listen(storm, due, false).await?;
            let due_ns = storm.worker.ns_of(due);
            let (run, stream) = (storm.worker.share.run, self.session.account);
            let out = self.session.wire.out();
            out.extend_from_slice(b"<presence><status>");
            Stamp {
                run,
                stream,
                serial,
                due_ns,
            }
            .write(STAMP_BYTES, out);
            out.extend_from_slice(b"</status></presence>");
        }
        let end = storm.begin.get() + storm.interval * storm.storms;
        self.listen(storm, end, false).await?;
        self.listen(storm, end + STRAGGLERS_WAIT, true).await
    }

    /// Takes presence until `until`, or until all is there.
    async fn listen(
        &mut self,
        storm: &Storm,
        until: Instant,
        stop_when_complete: bool,
    ) -> Result<(), ClientError> {
        loop {
            self.absorb(storm)?;
            let storms = u64::from(storm.storms);
            let complete = || self.friends.values().all(|(_, it)| it.received() >= storms);
            if stop_when_complete && complete() {
                return Ok(());
            }
            let rest = until.saturating_duration_since(Instant::now());
            match timeout(rest, self.session.wire.fill()).await {
                Ok(filled) => filled?,
                Err(_) => return Ok(()),
            }
        }
    }

    fn absorb(&mut self, storm: &Storm) -> Result<(), ClientError> {
        let now = Instant::now();
        while let Some(frame) = self.session.wire.next()? {
            let Frame::Stanza(bytes) = frame else {
                continue;
            };
            let bytes = checked(bytes)?;
            let Some(stamp) = stanza::status(bytes).and_then(|s| Stamp::read(s, STAMP_BYTES))
            else {
                continue;
            };
            if stamp.run != storm.worker.share.run || stamp.stream == self.session.account {
                continue;
            }
            let from = stanza::attribute(bytes, "from").unwrap_or_default();
            let bare = from.split(|byte| *byte == b'/').next().unwrap_or_default();
            match self.friends.get_mut(bare) {
                Some((account, tracker)) if *account == stamp.stream => {
                    if tracker.receive(stamp.serial) {
                        let due = Duration::from_nanos(stamp.due_ns);
                        let latency = (now - storm.worker.epoch).saturating_sub(due);
                        let at = now - storm.begin.get();
                        let mut outcome = storm.outcome.borrow_mut();
                        outcome.record("presence", &self.target, at, latency);
                    }
                }
                _ => self.wrong.wrong_sender += 1,
            }
        }
        Ok(())
    }
}

const FRIENDS_WAIT: Duration = Duration::from_secs(120);
const ROSTER_INTERVAL: Duration = Duration::from_millis(300);
const STRAGGLERS_WAIT: Duration = Duration::from_secs(10);
