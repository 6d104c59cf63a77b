//! `offline`: stores messages for accounts that are not there, then logs these in and collects.
//!
//! How does a sender know that a message was stored? RFC 6120 10.1 keeps order for each (sender,
//! recipient): after `--window` messages it sends an IQ (XEP-0199 ping) to the recipient's bare
//! JID, which the server answers for the account, and must answer after it took the messages; an
//! error is an answer too. The next window goes when the answer came. So the latency here is that
//! of a whole window, and what an answer promises about the disk is the server's word: kill it and
//! run `offline` again to see whether it keeps it.
//!
//! That nothing is lost is then checked: every message must come back, once and in order.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::pairs::write_message;
use crate::client::{ClientError, Frame, Session, checked, stanza};
use crate::measure::Outcome;
use crate::options::Common;
use crate::oracle::{Body, STAMP_BYTES, Stamp, Tracker};
use crate::worker::{RESOURCE, Worker};

/// Stores messages for offline accounts and collects them.
#[derive(Debug, clap::Args)]
pub(crate) struct Offline {
    /// Senders, each with a recipient of its own that is offline.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Messages for each recipient; servers limit what they store for one.
    #[arg(long, default_value_t = 100)]
    messages: u32,
    /// Messages before the sender asks whether they are stored.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Bytes of a body.
    #[arg(long, default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..))]
    body: u32,
    /// Common options.
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Offline {
    /// Runs it.
    pub(crate) async fn run(&self, worker: &Rc<Worker>) -> anyhow::Result<Outcome> {
        let pairs: Vec<u32> = worker.share.of(self.pairs).collect();
        let recipients: Vec<u32> = pairs.iter().map(|pair| 2 * pair + 1).collect();
        let senders = worker
            .sessions(pairs.iter().map(|pair| 2 * pair).collect())
            .await?;
        worker.prepare(recipients.clone()).await?;
        let emptied = worker.paced(recipients.clone(), |account| empty(worker, account));
        emptied.await.into_iter().collect::<Result<Vec<()>, _>>()?;
        let storing = Rc::new(Storing {
            worker: Rc::clone(worker),
            outcome: RefCell::new(Outcome::of("stored message")),
            begin: Cell::new(worker.epoch),
            messages: self.messages,
            window: self.window,
            body: self.body as usize,
        });
        worker.ready().await;
        storing.begin.set(worker.begin());
        let mut tasks = JoinSet::new();
        for sender in senders {
            tasks.spawn_local(Rc::clone(&storing).store(sender));
        }
        while let Some(joined) = tasks.join_next().await {
            joined?;
        }
        worker.end(&mut storing.outcome.borrow_mut());
        let began = Instant::now();
        worker
            .paced(recipients, |account| storing.collect(account))
            .await;
        let mut outcome = storing.outcome.take();
        let took = began.elapsed().as_secs_f64();
        outcome
            .notes
            .insert("seconds to log in and collect all".to_owned(), took);
        Ok(outcome)
    }
}

/// Takes what earlier runs left.
async fn empty(worker: &Worker, account: u32) -> Result<(), ClientError> {
    let mut session = worker.connector.login(account, account, RESOURCE).await?;
    session.announce().await?;
    while let Ok(filled) = timeout(QUIET, session.wire.fill()).await {
        filled?;
        while session.wire.next()?.is_some() {}
    }
    session.close().await
}

struct Storing {
    worker: Rc<Worker>,
    outcome: RefCell<Outcome>,
    begin: Cell<Instant>,
    messages: u32,
    window: u32,
    body: usize,
}

impl Storing {
    async fn store(self: Rc<Self>, mut sender: Session) {
        let mut stored = 0;
        while stored < self.messages {
            let count = self.window.min(self.messages - stored);
            match timeout(ANSWER_WAIT, self.store_window(&mut sender, stored, count)).await {
                Ok(Ok(())) => stored += count,
                Ok(Err(error)) => return self.outcome.borrow_mut().fail(error.to_string()),
                Err(_) => {
                    let late = ClientError::TimedOut("the question whether messages are stored");
                    return self.outcome.borrow_mut().fail(late.to_string());
                }
            }
        }
        if let Err(error) = sender.close().await {
            self.outcome.borrow_mut().fail(format!("closing: {error}"));
        }
    }

    async fn store_window(
        &self,
        sender: &mut Session,
        first: u32,
        count: u32,
    ) -> Result<(), ClientError> {
        let to = self.worker.connector.bare_jid(sender.account + 1);
        let head = format!("<message to='{to}' type='chat' id='");
        let started = Instant::now();
        for serial in first..first + count {
            let (run, stream) = (self.worker.share.run, sender.account / 2);
            let stamp = Stamp {
                run,
                stream,
                serial,
                due_ns: self.worker.ns_of(started),
            };
            write_message(stamp, head.as_bytes(), self.body, sender.wire.out());
        }
        self.outcome.borrow_mut().sent += u64::from(count);
        let id = format!("stored{first}");
        let ask = format!("<iq to='{to}' type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>");
        sender.wire.send(ask.as_bytes()).await?;
        loop {
            let element = sender.wire.element().await?;
            if stanza::is(&element, "iq")
                && stanza::attribute(&element, "id") == Some(id.as_bytes())
            {
                break;
            }
            if stanza::is(&element, "message") && stanza::has_type(&element, "error") {
                self.outcome.borrow_mut().faults.bounced += 1;
            }
        }
        let (now, target) = (Instant::now(), self.worker.target(sender));
        let mut outcome = self.outcome.borrow_mut();
        for _ in 0..count {
            outcome.record(
                "window stored",
                &target,
                now - self.begin.get(),
                now - started,
            );
        }
        self.worker.progress(outcome.operations);
        Ok(())
    }

    async fn collect(&self, account: u32) {
        let mut tracker = Tracker::default();
        let failure = self.collect_into(account, &mut tracker).await.err();
        let mut outcome = self.outcome.borrow_mut();
        outcome.received += tracker.received();
        outcome.faults += tracker.finish(self.messages);
        if let Some(error) = failure {
            outcome.fail(error.to_string());
        }
    }

    async fn collect_into(&self, account: u32, tracker: &mut Tracker) -> Result<(), ClientError> {
        let connector = &self.worker.connector;
        let mut session = connector.login(account, account, RESOURCE).await?;
        let from = format!("{}/", connector.bare_jid(account - 1));
        session.announce().await?;
        let deadline = Instant::now() + ANSWER_WAIT;
        loop {
            while let Some(frame) = session.wire.next()? {
                if let Frame::Stanza(bytes) = frame {
                    self.judge(checked(bytes)?, account / 2, from.as_bytes(), tracker);
                }
            }
            let complete = tracker.received() >= u64::from(self.messages);
            let wait = if complete {
                QUIET
            } else {
                deadline - Instant::now()
            };
            match timeout(wait, session.wire.fill()).await {
                Ok(filled) => filled?,
                Err(_) => return session.close().await,
            }
        }
    }

    fn judge(&self, bytes: &[u8], stream: u32, from: &[u8], tracker: &mut Tracker) {
        let body = stanza::body(bytes).unwrap_or_default();
        match Body::judge(body, self.body, self.worker.share.run) {
            Body::Foreign => {}
            Body::Altered => tracker.faults.altered += 1,
            Body::Ours(stamp) => {
                let sender = stanza::attribute(bytes, "from");
                if stamp.stream == stream && sender.is_some_and(|it| it.starts_with(from)) {
                    tracker.receive(stamp.serial);
                } else {
                    tracker.faults.wrong_sender += 1;
                }
            }
        }
    }
}

/// A session from which nothing came for so long has nothing more to say.
const QUIET: Duration = Duration::from_millis(300);
const ANSWER_WAIT: Duration = Duration::from_secs(30);
