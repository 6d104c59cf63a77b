//! The engine of `messages` and `relay`: one task a pair, a sender and a recipient.
//!
//! Closed loop: the sender keeps `window` messages under way; what arrives lets the next one go.
//! Open loop: a schedule says when each message is due, for all pairs in turn, and latency counts
//! from then: a server (or client) that stalls delays the sending and is charged for it.
//!
//! Where clients come back (`--reconnect`), a pair stands still while one of the two is away, and what was under way
//! when it went may be lost. Where their streams are managed, nothing may be.

mod line;
mod returning;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::client::{ClientError, stanza};
use crate::measure::Outcome;
use crate::options::Timing;
use crate::oracle::{Body, STAMP_BYTES, Stamp, Tracker};
use crate::pace::{Schedule, Slot, hand_out};
use crate::worker::Worker;

pub(crate) use self::line::Line;

/// How pairs send.
#[derive(Debug, clap::Args)]
pub(crate) struct Traffic {
    /// Pairs of sessions; one sends to the other.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pairs: u32,
    /// Messages under way in a pair (closed loop).
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Messages a second in all (open loop; replaces --window).
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Bytes of a body.
    #[arg(long, default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..))]
    body: u32,
    /// How long.
    #[command(flatten)]
    timing: Timing,
}

/// Two connections that are ready.
pub(crate) struct Pair {
    /// The number of the pair, unique over all workers.
    pub(crate) number: u32,
    /// Sends.
    pub(crate) sender: Line,
    /// Receives.
    pub(crate) recipient: Line,
    /// The start tag up to the value of the id.
    pub(crate) head: Vec<u8>,
    /// What `from` must be when a message arrives.
    pub(crate) from: Vec<u8>,
    /// The names of the sender's and the recipient's target.
    pub(crate) targets: [String; 2],
}

/// One of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Sender,
    Recipient,
}

/// Whose connection failed, and how.
type Failure = (End, ClientError);

/// Drives all pairs of a worker through warm-up, measuring and the wait for stragglers.
pub(crate) async fn drive(
    worker: &Rc<Worker>,
    traffic: &Traffic,
    pairs: Vec<Pair>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::of("message");
    outcome.sessions = pairs.len() as u64 * 2;
    worker.ready().await;
    let start = Instant::now();
    let shared = Rc::new(Shared {
        worker: Rc::clone(worker),
        outcome: RefCell::new(outcome),
        begin: Cell::new(None),
        stop: start + traffic.timing.warmup() + traffic.timing.duration(),
        window: traffic.rate.map_or(traffic.window, |_| 0),
        body: traffic.body as usize,
        bytes: Cell::new(0),
    });
    let slots: Vec<Rc<Slot>> = pairs.iter().map(|_| Rc::default()).collect();
    let mut tasks = JoinSet::new();
    for (pair, slot) in pairs.into_iter().zip(&slots) {
        let running = Running::new(pair, Rc::clone(&shared), Rc::clone(slot));
        tasks.spawn_local(running.run());
    }
    let pacing = traffic.rate.map(|rate| {
        let schedule = Schedule::new(start, worker.share.rate(rate));
        tokio::task::spawn_local(hand_out(schedule, shared.stop, worker.epoch, slots))
    });
    sleep_until(start + traffic.timing.warmup()).await;
    shared.begin.set(Some(worker.begin()));
    sleep_until(shared.stop).await;
    worker.end(&mut shared.outcome.borrow_mut());
    if let Some(pacing) = pacing {
        pacing.await??;
    }
    while let Some(joined) = tasks.join_next().await {
        joined?;
    }
    let mut outcome = shared.outcome.take();
    let arrived = "bytes that arrived".to_owned();
    outcome.counts.insert(arrived, shared.bytes.get());
    Ok(outcome)
}

struct Shared {
    worker: Rc<Worker>,
    outcome: RefCell<Outcome>,
    begin: Cell<Option<Instant>>,
    stop: Instant,
    /// 0 in an open loop.
    window: u32,
    body: usize,
    /// Of messages that arrived while it was measured, as their senders wrote them.
    bytes: Cell<u64>,
}

impl Shared {
    /// Takes how long it was until the server has answered for a message.
    fn acknowledged(&self, due_ns: u64, now: Instant) {
        if self.begin.get().is_some() && now < self.stop {
            let latency = Duration::from_nanos(self.worker.ns_of(now).saturating_sub(due_ns));
            self.outcome.borrow_mut().also("acknowledgement", latency);
        }
    }

    fn record(&self, due_ns: u64, now: Instant, target: &str, bytes: usize) {
        let Some(begin) = self.begin.get().filter(|_| now < self.stop) else {
            return;
        };
        let latency = Duration::from_nanos(self.worker.ns_of(now).saturating_sub(due_ns));
        let mut outcome = self.outcome.borrow_mut();
        self.bytes.set(self.bytes.get() + bytes as u64);
        outcome.record("message", target, now.duration_since(begin), latency);
        if outcome.operations.is_multiple_of(PROGRESS_EVERY) {
            self.worker.progress(outcome.operations);
        }
    }
}

/// One pair at work.
struct Running {
    pair: Pair,
    shared: Rc<Shared>,
    slot: Rc<Slot>,
    tracker: Tracker,
    sent: u32,
}

impl Running {
    fn new(pair: Pair, shared: Rc<Shared>, slot: Rc<Slot>) -> Self {
        Self {
            pair,
            shared,
            slot,
            tracker: Tracker::default(),
            sent: 0,
        }
    }

    async fn exchange(&mut self) -> Result<(), Failure> {
        let stop = self.shared.stop;
        let mut timer = Box::pin(sleep_until(stop));
        let mut last_call = None;
        loop {
            self.absorb_messages()
                .map_err(|error| (End::Recipient, error))?;
            self.absorb_errors().map_err(|error| (End::Sender, error))?;
            self.send_due();
            let now = Instant::now();
            if now >= stop {
                let answered = self.answered() >= self.sent && self.pair.sender.is_acknowledged();
                let until = *last_call.get_or_insert(now + STRAGGLERS_WAIT);
                let until = if answered {
                    until.min(now + DOUBLES_WAIT)
                } else {
                    until
                };
                last_call = Some(until);
                if now >= until {
                    return Ok(());
                }
                timer.as_mut().reset(until);
            }
            self.turn(&mut timer).await?;
        }
    }

    /// Takes all that arrived at the recipient.
    fn absorb_messages(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        let (number, from) = (self.pair.number, &self.pair.from);
        let bytes = written_bytes(&self.pair.head, self.shared.body);
        let (body, run) = (self.shared.body, self.shared.worker.share.run);
        let (tracker, shared) = (&mut self.tracker, &self.shared);
        let [_, target] = &self.pair.targets;
        self.pair.recipient.absorb(|arrived| {
            if !stanza::is(arrived, "message") {
                return;
            }
            match judge(arrived, from, number, body, run) {
                Verdict::Foreign => {}
                Verdict::WrongSender => tracker.faults.wrong_sender += 1,
                Verdict::Altered => tracker.faults.altered += 1,
                Verdict::Ours(stamp) => {
                    if tracker.receive(stamp.serial) {
                        shared.record(stamp.due_ns, now, target, bytes);
                    }
                }
            }
        })?;
        Ok(())
    }

    /// Takes all that arrived at the sender.
    fn absorb_errors(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        let tracker = &mut self.tracker;
        let acknowledged = self.pair.sender.absorb(|bytes| {
            if stanza::is(bytes, "message")
                && stanza::has_type(bytes, "error")
                && let Some(serial) = serial_of(bytes)
            {
                tracker.bounce(serial);
            }
        })?;
        for stamp in acknowledged {
            self.shared.acknowledged(stamp.due_ns, now);
        }
        Ok(())
    }

    fn send_due(&mut self) {
        let before = self.sent;
        if self.shared.window == 0 {
            let due = self.slot.take();
            due.into_iter().for_each(|due_ns| self.push(due_ns));
        } else if Instant::now() < self.shared.stop {
            let due_ns = self.shared.worker.now_ns();
            while self.sent - self.answered() < self.shared.window {
                self.push(due_ns);
            }
        }
        if self.sent > before {
            self.pair.sender.ask();
        }
    }

    fn push(&mut self, due_ns: u64) {
        let run = self.shared.worker.share.run;
        let stamp = Stamp {
            run,
            stream: self.pair.number,
            serial: self.sent,
            due_ns,
        };
        self.write(stamp);
        self.pair.sender.sent(stamp);
        self.sent += 1;
    }

    fn write(&mut self, stamp: Stamp) {
        let out = self.pair.sender.wire.out();
        write_message(stamp, &self.pair.head, self.shared.body, out);
    }

    fn answered(&self) -> u32 {
        u32::try_from(self.tracker.settled())
            .unwrap_or(u32::MAX)
            .min(self.sent)
    }

    /// Writes what can be written and sleeps until something came, is due, or time is up.
    async fn turn(&mut self, timer: &mut Pin<Box<Sleep>>) -> Result<(), Failure> {
        poll_fn(|cx| self.poll_turn(timer, cx)).await
    }

    fn poll_turn(
        &mut self,
        timer: &mut Pin<Box<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        if let Poll::Ready(Err(error)) = self.pair.sender.wire.poll_flush(cx) {
            return Poll::Ready(Err((End::Sender, error)));
        }
        // What it says are acknowledgements.
        if let Poll::Ready(Err(error)) = self.pair.recipient.wire.poll_flush(cx) {
            return Poll::Ready(Err((End::Recipient, error)));
        }
        let mut woken = false;
        let Pair {
            sender, recipient, ..
        } = &mut self.pair;
        for (end, line) in [(End::Recipient, recipient), (End::Sender, sender)] {
            match line.wire.poll_fill(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err((end, error))),
                Poll::Ready(Ok(())) => woken = true,
                Poll::Pending => {}
            }
        }
        woken |= self.slot.poll_due(cx);
        woken |= timer.as_mut().poll(cx).is_ready();
        if woken {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

/// The start of a message to this address, up to the value of its id.
pub(crate) fn message_head(to: &str) -> Vec<u8> {
    format!("<message to='{to}' type='chat' id='").into_bytes()
}

/// The number of a message, from the id that [`write_message`] gave it.
fn serial_of(message: &[u8]) -> Option<u32> {
    let id = std::str::from_utf8(stanza::attribute(message, "id")?).ok()?;
    u32::from_str_radix(id, 16).ok()
}

/// Appends a whole message whose start tag is `head` up to the value of its id.
pub(crate) fn write_message(stamp: Stamp, head: &[u8], body: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    for place in (0..SERIAL_DIGITS).rev() {
        out.push(b"0123456789abcdef"[(stamp.serial >> (place * 4)) as usize & 15]);
    }
    out.extend_from_slice(BODY_OPEN);
    stamp.write(body, out);
    out.extend_from_slice(BODY_CLOSE);
}

/// How much [`write_message`] appends.
fn written_bytes(head: &[u8], body: usize) -> usize {
    head.len() + SERIAL_DIGITS + BODY_OPEN.len() + body + BODY_CLOSE.len()
}

const BODY_OPEN: &[u8] = b"'><body>";
const BODY_CLOSE: &[u8] = b"</body></message>";
/// Hexadecimal digits of a serial number.
const SERIAL_DIGITS: usize = 8;

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Ours(Stamp),
    /// Not of this run: left from earlier, or the server's own words.
    Foreign,
    WrongSender,
    Altered,
}

fn judge(message: &[u8], from: &[u8], stream: u32, body: usize, run: u32) -> Verdict {
    match Body::judge(stanza::body(message).unwrap_or_default(), body, run) {
        Body::Foreign => Verdict::Foreign,
        Body::Altered => Verdict::Altered,
        Body::Ours(stamp) => {
            let sender = stanza::attribute(message, "from");
            let is_ours = stamp.stream == stream && sender == Some(from);
            if is_ours {
                Verdict::Ours(stamp)
            } else {
                Verdict::WrongSender
            }
        }
    }
}

/// How long messages may take that are under way when measuring ends; then they are lost. A server may wait this long
/// for its database twice, for the sender's archive and then for the recipient's.
const STRAGGLERS_WAIT: Duration = Duration::from_secs(25);
/// How long to look out for doubles when everything has arrived.
const DOUBLES_WAIT: Duration = Duration::from_millis(200);
const PROGRESS_EVERY: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u32 = 9;

    fn delivered(from: &str, stamp: Stamp) -> Vec<u8> {
        let head = format!("<message from='{from}' to='b@x/r' id='");
        let mut message = Vec::new();
        write_message(stamp, head.as_bytes(), 80, &mut message);
        message
    }

    fn stamp(run: u32, stream: u32) -> Stamp {
        Stamp {
            run,
            stream,
            serial: 3,
            due_ns: 5,
        }
    }

    #[test]
    fn a_planted_forgery_or_misdelivery_is_found() {
        let ours = delivered("a@x/r", stamp(RUN, 1));
        assert_eq!(
            judge(&ours, b"a@x/r", 1, 80, RUN),
            Verdict::Ours(stamp(RUN, 1))
        );
        let forged = delivered("mallory@x/r", stamp(RUN, 1));
        assert_eq!(judge(&forged, b"a@x/r", 1, 80, RUN), Verdict::WrongSender);
        let misdelivered = delivered("a@x/r", stamp(RUN, 2));
        assert_eq!(
            judge(&misdelivered, b"a@x/r", 1, 80, RUN),
            Verdict::WrongSender
        );
        let without_from = ours.strip_prefix(b"<message from='a@x/r'").unwrap();
        let without_from = [b"<message", without_from].concat();
        assert_eq!(
            judge(&without_from, b"a@x/r", 1, 80, RUN),
            Verdict::WrongSender
        );
    }

    #[test]
    fn the_bytes_of_a_message_are_known_before_it_is_written() {
        let head = b"<message from='a@x/r' to='b@x/r' id='";
        let written = delivered("a@x/r", stamp(RUN, 1)).len();
        assert_eq!(written_bytes(head, 80), written);
    }

    #[test]
    fn the_number_of_a_message_that_comes_back_is_known() {
        assert_eq!(serial_of(&delivered("a@x/r", stamp(RUN, 1))), Some(3));
        assert_eq!(serial_of(b"<message id='other' type='error'/>"), None);
    }

    #[test]
    fn an_altered_body_is_found_and_an_earlier_run_is_not_blamed() {
        let mut altered = delivered("a@x/r", stamp(RUN, 1));
        let at = altered.iter().rposition(|byte| *byte == b'x').unwrap();
        altered[at] = b'y';
        assert_eq!(judge(&altered, b"a@x/r", 1, 80, RUN), Verdict::Altered);
        let earlier = delivered("a@x/r", stamp(RUN - 1, 1));
        assert_eq!(judge(&earlier, b"a@x/r", 1, 80, RUN), Verdict::Foreign);
    }
}
