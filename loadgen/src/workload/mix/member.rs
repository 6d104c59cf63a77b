//! One user of the mix: does what is due, takes what comes, and judges it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::action::{Action, Random};
use super::{Chat, Day};
use crate::client::{ClientError, Frame, Session, checked, stanza};
use crate::oracle::{Body, Stamp};
use crate::pace::Slot;
use crate::workload::pairs::write_message;

/// A user and what it knows.
pub(super) struct Member {
    session: Session,
    day: Rc<Day>,
    slot: Rc<Slot>,
    random: Random,
    partner: String,
    target: String,
    /// Requests without an answer: what they were and when they were due.
    asked: HashMap<u32, (Action, u64)>,
    next_id: u32,
    away: bool,
}

impl Member {
    /// A user whose session is open and announced.
    pub(super) fn new(session: Session, day: &Rc<Day>, slot: &Rc<Slot>, random: Random) -> Self {
        let partner = day.worker.connector.bare_jid(session.account ^ 1);
        let target = day.worker.target(&session);
        Self {
            session,
            day: Rc::clone(day),
            slot: Rc::clone(slot),
            random,
            partner,
            target,
            asked: HashMap::new(),
            next_id: 0,
            away: false,
        }
    }

    /// Lives until the day is over and all is answered or given up.
    pub(super) async fn run(mut self) {
        let failure = loop {
            let Err(error) = self.live().await else {
                break None;
            };
            if error.is_disconnect() {
                self.day.outcome.borrow_mut().disconnect(&self.target);
            }
            // One that gets no answer gives the connection up, as if it had ended.
            let comes_back = error.is_disconnect() || error.is_silence();
            if !self.day.worker.reconnects || !comes_back {
                break Some(error);
            }
            if error.is_silence() {
                self.day.outcome.borrow_mut().fail(error.to_string());
            }
            if let Err(error) = self.come_back().await {
                break Some(error);
            }
        };
        let mut outcome = self.day.outcome.borrow_mut();
        if let Some(chat) = self.day.chats.get(&(self.session.account ^ 1)) {
            let tracker = chat.tracker.take();
            outcome.sent += u64::from(chat.sent.get());
            outcome.received += tracker.received();
            outcome.in_doubt += tracker.in_doubt();
            outcome.faults += tracker.finish(chat.sent.get());
        }
        for (action, _) in self.asked.into_values() {
            outcome.fail(format!("no answer to {}", action.name()));
        }
        if let Some(error) = failure {
            outcome.fail(error.to_string());
        }
    }

    async fn live(&mut self) -> Result<(), ClientError> {
        let mut timer = Box::pin(sleep_until(self.day.stop));
        let mut finished = false;
        let give_up = self.day.stop + STRAGGLERS_WAIT;
        loop {
            self.absorb()?;
            for due_ns in self.slot.take() {
                self.act(due_ns).await?;
            }
            let now = Instant::now();
            if now >= self.day.stop {
                if !std::mem::replace(&mut finished, true) {
                    self.day.finished.set(self.day.finished.get() + 1);
                }
                if now >= give_up || self.is_done() {
                    return self.session.wire.flush().await;
                }
                timer.as_mut().reset(now + LOOK_AGAIN);
            }
            poll_fn(|cx| self.poll_turn(&mut timer, cx)).await?;
        }
    }

    /// The connection has ended: what was under way in both directions may be lost, and no answer comes any more.
    async fn come_back(&mut self) -> Result<(), ClientError> {
        let account = self.session.account;
        for direction in [account, account ^ 1] {
            if let Some(chat) = self.day.chats.get(&direction) {
                chat.tracker.borrow_mut().doubt(chat.sent.get());
            }
        }
        self.asked.clear();
        let began = Instant::now();
        self.log_in().await?;
        self.day.outcome.borrow_mut().returned(began.elapsed());
        Ok(())
    }

    async fn log_in(&mut self) -> Result<(), ClientError> {
        let account = self.session.account;
        self.session = Box::pin(self.day.worker.login_again(account)).await?;
        self.target = self.day.worker.target(&self.session);
        self.say("<presence/>");
        self.away = false;
        Ok(())
    }

    /// Whether nobody will send any more and everything that was sent is here.
    fn is_done(&self) -> bool {
        let chat = self.day.chats.get(&(self.session.account ^ 1));
        let complete = |chat: &Chat| {
            let settled = chat.tracker.borrow().settled();
            settled >= u64::from(chat.sent.get())
        };
        self.day.finished.get() == self.day.chats.len()
            && self.asked.is_empty()
            && chat.is_none_or(complete)
    }

    fn poll_turn(
        &mut self,
        timer: &mut Pin<Box<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ClientError>> {
        if let Poll::Ready(Err(error)) = self.session.wire.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        let filled = match self.session.wire.poll_fill(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        let due = self.slot.poll_due(cx);
        let woken = timer.as_mut().poll(cx).is_ready();
        if filled || due || woken {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    async fn act(&mut self, due_ns: u64) -> Result<(), ClientError> {
        let action = Action::choose(&mut self.random);
        if let Some((kind, to_partner, payload)) = action.request() {
            let id = self.next_id;
            self.next_id += 1;
            self.asked.insert(id, (action, due_ns));
            let to = if to_partner {
                format!(" to='{}'", self.partner)
            } else {
                String::new()
            };
            let to = if action == Action::Discovery {
                self.to_server()
            } else {
                to
            };
            self.say(&format!("<iq type='{kind}' id='q{id}'{to}>{payload}</iq>"));
            return Ok(());
        }
        match action {
            Action::Chat => self.chat(due_ns),
            Action::Typing => self.state("composing"),
            Action::Relogin => return self.relogin(due_ns).await,
            _ => {
                self.away = !self.away;
                let show = if self.away {
                    "<presence><show>away</show></presence>"
                } else {
                    "<presence/>"
                };
                self.say(show);
            }
        }
        Ok(())
    }

    fn chat(&mut self, due_ns: u64) {
        self.state("composing");
        let Some(chat) = self.day.chats.get(&self.session.account) else {
            return;
        };
        let (run, stream) = (self.day.worker.share.run, self.session.account);
        let serial = chat.sent.get();
        chat.sent.set(serial + 1);
        let head = format!("<message to='{}' type='chat' id='", self.partner);
        let stamp = Stamp {
            run,
            stream,
            serial,
            due_ns,
        };
        write_message(
            stamp,
            head.as_bytes(),
            self.day.body,
            self.session.wire.out(),
        );
    }

    fn state(&mut self, state: &str) {
        let states = "http://jabber.org/protocol/chatstates";
        let to = &self.partner;
        self.say(&format!(
            "<message to='{to}' type='chat'><{state} xmlns='{states}'/></message>"
        ));
    }

    /// Leaves in a way that loses nothing: unavailable, a last question, the end; then comes back.
    async fn relogin(&mut self, due_ns: u64) -> Result<(), ClientError> {
        self.say("<presence type='unavailable'/>");
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id, (Action::Ping, due_ns));
        self.say(&format!(
            "<iq type='get' id='q{id}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ));
        let until = Instant::now() + STRAGGLERS_WAIT;
        while !self.asked.is_empty() {
            let filled = tokio::time::timeout_at(until, self.session.wire.fill()).await;
            filled.map_err(|_| ClientError::TimedOut("the last question before leaving"))??;
            self.absorb()?;
        }
        self.session.wire.send(b"</stream:stream>").await?;
        self.log_in().await?;
        self.day
            .record(Action::Relogin.name(), due_ns, &self.target);
        Ok(())
    }

    fn absorb(&mut self) -> Result<(), ClientError> {
        while let Some(frame) = self.session.wire.next()? {
            let bytes = match frame {
                Frame::Stanza(bytes) => checked(bytes)?,
                Frame::Open(_) => continue,
                Frame::Close => return Err(ClientError::Closed),
            };
            if stanza::is(bytes, "message") {
                let account = self.session.account;
                take_message(&self.day, account, &self.partner, &self.target, bytes);
            } else if stanza::is(bytes, "iq")
                && let Some(id) = answered(bytes)
                && let Some((action, due_ns)) = self.asked.remove(&id)
            {
                self.day.record(action.name(), due_ns, &self.target);
                // A partner without a vCard is no failure of the server.
                if stanza::has_type(bytes, "error") && action != Action::GetVcard {
                    let why = format!("{}: {}", action.name(), stanza::condition(bytes));
                    self.day.outcome.borrow_mut().fail(why);
                }
            }
        }
        Ok(())
    }

    fn to_server(&self) -> String {
        format!(
            " to='{}'",
            stanza::escape(&self.day.worker.connector.domain)
        )
    }

    fn say(&mut self, stanza: &str) {
        self.session.wire.out().extend_from_slice(stanza.as_bytes());
    }
}

/// The number of the request that an IQ answers.
fn answered(iq: &[u8]) -> Option<u32> {
    let id = stanza::attribute(iq, "id")?.strip_prefix(b"q")?;
    let is_answer = stanza::has_type(iq, "result") || stanza::has_type(iq, "error");
    std::str::from_utf8(id)
        .ok()?
        .parse()
        .ok()
        .filter(|_| is_answer)
}

fn take_message(day: &Day, account: u32, partner: &str, target: &str, bytes: &[u8]) {
    if stanza::has_type(bytes, "error") {
        // Our own chat came back; the partner's tracker will count it as lost.
        day.outcome
            .borrow_mut()
            .fail(format!("a message bounced: {}", stanza::condition(bytes)));
        return;
    }
    let Some(chat) = day.chats.get(&(account ^ 1)) else {
        return;
    };
    let mut tracker = chat.tracker.borrow_mut();
    let body = stanza::body(bytes).unwrap_or_default();
    match Body::judge(body, day.body, day.worker.share.run) {
        Body::Foreign => {}
        Body::Altered => tracker.faults.altered += 1,
        Body::Ours(stamp) => {
            let from = stanza::attribute(bytes, "from").unwrap_or_default();
            let resource = from.strip_prefix(partner.as_bytes()).unwrap_or_default();
            if stamp.stream != account ^ 1 || !resource.starts_with(b"/") {
                tracker.faults.wrong_sender += 1;
            } else if tracker.receive(stamp.serial) {
                day.record(Action::Chat.name(), stamp.due_ns, target);
            }
        }
    }
}

const STRAGGLERS_WAIT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
