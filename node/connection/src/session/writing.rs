//! From shards and machine to the socket, and its end.

use std::task::{Context, Poll};
use std::time::Duration;

use rookery_session::carrier::{Delivered, ToSession};
use rookery_session::event::Event;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::stanza::{Batch, Kind};

use super::actor::SessionActor;
use crate::scratch::Scratch;
use crate::timers::Alarm;

/// How far the connection's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It lives.
    NotYet,
    /// What was sealed is still to be written.
    Flushing,
    /// All is written; the client's last bytes are dropped until it has seen that.
    Lingering,
    /// Nothing more happens.
    Over,
}

impl SessionActor {
    /// Takes what waits in the inbox, as long as the client takes what is written.
    pub(super) fn collect(&mut self, cx: &Context<'_>, scratch: &mut Scratch, now: Timestamp) {
        self.acknowledge(cx, scratch, now);
        let takes_more = self.wire.unsent_bytes() == 0 && self.machine.may_send();
        if !takes_more || self.ending != Ending::NotYet {
            return;
        }
        let mut frames = std::mem::take(&mut scratch.frames);
        self.inbox.take(WRITE_BYTES_MAX, &mut frames);
        let any = !frames.is_empty();
        for frame in frames.drain(..) {
            match frame {
                ToSession::Deliver(delivered) if self.machine.is_watched() => {
                    self.put(&delivered, scratch);
                }
                ToSession::Deliver(delivered) => self.put_due(delivered, scratch),
                // Who carries frames between nodes keeps it, and the inbox counts the other.
                ToSession::Remember(_) | ToSession::WrongPassword => {}
                ToSession::Answer { ask, answer } => {
                    let answer = self.withheld(ask, answer);
                    self.event(Event::Answered(ask, answer), scratch, now);
                }
                ToSession::Close(error) => self.event(Event::Kicked(error), scratch, now),
            }
        }
        scratch.frames = frames;
        if self.machine.is_managed() {
            self.event(Event::Sent, scratch, now);
        }
        if any && self.inbox.has_frames() {
            cx.waker().wake_by_ref();
        }
    }

    /// Tells the machine what has been dealt with of what the client sent.
    fn acknowledge(&mut self, cx: &Context<'_>, scratch: &mut Scratch, now: Timestamp) {
        if !self.machine.has_under_way() {
            return;
        }
        let mut settled = std::mem::take(&mut scratch.settled);
        let may_read = self.machine.may_read();
        let awaits_more = self.machine.awaits_settled();
        self.inbox.take_settled(&mut settled, awaits_more);
        if !settled.is_empty() {
            self.event(Event::Settled(&settled), scratch, now);
            settled.clear();
        }
        scratch.settled = settled;
        if !may_read && self.machine.may_read() {
            // The socket was not read for want of that.
            cx.waker().wake_by_ref();
        }
    }

    /// Has stanzas written in this turn.
    pub(super) fn put(&mut self, delivered: &Delivered, scratch: &mut Scratch) {
        self.machine.sent(delivered);
        render(&delivered.batch, &mut scratch.outgoing);
        let messages = messages_in(&delivered.batch);
        if messages > 0 {
            scratch.meters.messages.increment(messages);
        }
    }

    /// Writes what a client that does not look is to get now.
    fn put_due(&mut self, delivered: Delivered, scratch: &mut Scratch) {
        let mut due = Vec::new();
        self.machine.deliver(delivered, &mut due);
        due.iter()
            .for_each(|delivered| self.put(delivered, scratch));
    }

    /// Writes all that this turn has made. Ready when the connection is over.
    pub(super) fn write(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        now: Timestamp,
    ) -> Poll<()> {
        self.seal(scratch, now);
        let (written, polled) = self.wire.poll_send(cx, &scratch.sealed);
        scratch.sealed.clear();
        scratch.meters.bytes_written.increment(written as u64);
        match polled {
            Poll::Ready(Ok(())) => self.timers.disarm(Alarm::Stalled),
            Poll::Ready(Err(_)) => self.lose(scratch, now),
            Poll::Pending if written > 0 || !self.timers.is_armed(Alarm::Stalled) => {
                self.timers.arm(Alarm::Stalled, self.shared.write_stall);
            }
            Poll::Pending => {}
        }
        let over = self.end(cx, scratch);
        if over.is_pending() {
            self.timers.wake_later(cx);
        }
        over
    }

    /// Seals what is to be sent, so that what comes after it may change how.
    pub(super) fn seal(&mut self, scratch: &mut Scratch, now: Timestamp) {
        if scratch.outgoing.is_empty() {
            return;
        }
        let sealed = self.wire.seal(&scratch.outgoing, &mut scratch.sealed);
        scratch.outgoing.clear();
        if sealed.is_err() && self.ending == Ending::NotYet {
            self.lose(scratch, now);
        }
    }

    fn end(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        if self.ending == Ending::Flushing && self.wire.unsent_bytes() == 0 {
            self.ending = match self.wire.poll_shutdown(cx) {
                Poll::Ready(Ok(())) => Ending::Lingering,
                Poll::Ready(Err(_)) => Ending::Over,
                Poll::Pending => Ending::Flushing,
            };
            self.timers.arm(Alarm::Lingered, LINGER);
        }
        if self.ending == Ending::Lingering && self.wire.poll_discard(cx, scratch).is_ready() {
            self.ending = Ending::Over;
        }
        if self.ending == Ending::Over {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

fn messages_in(batch: &Batch) -> u64 {
    let messages = batch.recs.iter().filter(|rec| rec.kind == Kind::Message);
    messages.count() as u64
}

/// Appends the stanzas' bytes. Neighbours, as they usually are, in one piece.
fn render(batch: &Batch, out: &mut Vec<u8>) {
    let mut recs = batch.recs.iter();
    let Some(first) = recs.next() else { return };
    let (mut start, mut end) = (first.start, first.end);
    for rec in recs {
        if rec.start != end {
            out.extend_from_slice(&batch.buf[start as usize..end as usize]);
            start = rec.start;
        }
        end = rec.end;
    }
    out.extend_from_slice(&batch.buf[start as usize..end as usize]);
}

/// Bytes of deliveries in one turn: about as much as one read of the thread's other sessions.
const WRITE_BYTES_MAX: usize = 16 * 1024;

/// How long the client's last bytes are dropped. Closing with unread bytes would reset the
/// connection and take back an error that the client has not read yet.
const LINGER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rookery_xmpp::stanza::Rec;

    use super::*;

    #[test]
    fn only_the_stanzas_of_a_batch_are_rendered() {
        let buf = Bytes::from_static(b"aabbXXcc");
        let rec = |start, end| Rec {
            start,
            end,
            ..Rec::default()
        };
        let mut out = vec![];
        render(
            &Batch {
                buf,
                recs: vec![rec(0, 2), rec(2, 4), rec(6, 8)],
            },
            &mut out,
        );
        assert_eq!(out, b"aabbcc");
    }
}
