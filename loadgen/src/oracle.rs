//! Judges what arrives: each message carries a serial number, so that what is lost, doubled,
//! reordered, altered or from the wrong sender is known and not guessed.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What a message's body says: which run and stream it belongs to, its number in the stream, and
/// when it was due (nanoseconds since the worker began).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The run; what an earlier run left in an offline queue is told apart by it.
    pub(crate) run: u32,
    /// The (sender, recipient) pair.
    pub(crate) stream: u32,
    /// Counts from 0 within the stream.
    pub(crate) serial: u32,
    /// When it had to be sent. Latency counts from here, whatever the client was busy with.
    pub(crate) due_ns: u64,
}

impl Stamp {
    /// Appends a body of exactly `size` bytes (at least [`STAMP_BYTES`]).
    pub(crate) fn write(self, size: usize, out: &mut Vec<u8>) {
        let end = out.len() + size;
        out.extend_from_slice(b"lg ");
        push_hex(u64::from(self.run), 8, out);
        push_hex(u64::from(self.stream), 8, out);
        push_hex(u64::from(self.serial), 8, out);
        push_hex(self.due_ns, 16, out);
        out.resize(end, b'x');
    }

    /// Reads a body of `size` bytes back; `None` when it is not one of ours or was altered.
    pub(crate) fn read(body: &[u8], size: usize) -> Option<Self> {
        let (head, filling) = body.split_at_checked(STAMP_BYTES)?;
        if body.len() != size || filling.iter().any(|&byte| byte != b'x') {
            return None;
        }
        let head = head.strip_prefix(b"lg ")?;
        Some(Self {
            run: hex(&head[..8])? as u32,
            stream: hex(&head[9..17])? as u32,
            serial: hex(&head[18..26])? as u32,
            due_ns: hex(&head[27..43])?,
        })
    }
}

/// What a body turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// A message of this run.
    Ours(Stamp),
    /// An earlier run's, or not a load generator's at all.
    Foreign,
    /// Bears our mark and is not what was sent.
    Altered,
}

impl Body {
    /// Judges a body that should have `size` bytes.
    pub(crate) fn judge(body: &[u8], size: usize, run: u32) -> Self {
        if !body.starts_with(b"lg ") {
            return Self::Foreign;
        }
        match Stamp::read(body, body.len()) {
            Some(stamp) if stamp.run != run => Self::Foreign,
            Some(stamp) if body.len() == size => Self::Ours(stamp),
            Some(_) | None => Self::Altered,
        }
    }
}

/// The least size of a body.
pub(crate) const STAMP_BYTES: usize = 47;

/// Everything that may go wrong with deliveries, counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Sent and never received.
    pub(crate) lost: u64,
    /// Received more than once.
    pub(crate) doubled: u64,
    /// Received after a later one of the same stream.
    pub(crate) reordered: u64,
    /// Received with a `from` that did not send it, or by someone it was not sent to.
    pub(crate) wrong_sender: u64,
    /// Received with another content than was sent.
    pub(crate) altered: u64,
    /// Came back to the sender as an error.
    pub(crate) bounced: u64,
}

impl Faults {
    /// Whether nothing went wrong.
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// Name and count of each, for reports.
    pub(crate) fn rows(&self) -> [(&'static str, u64); 6] {
        [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("reordered", self.reordered),
            ("wrong sender", self.wrong_sender),
            ("altered", self.altered),
            ("bounced", self.bounced),
        ]
    }
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.wrong_sender += other.wrong_sender;
        self.altered += other.altered;
        self.bounced += other.bounced;
    }
}

/// The receiving end of one stream of numbered messages.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    next: u32,
    /// Numbers below `next` that have not come.
    missing: BTreeSet<u32>,
    /// Numbers that have not come, and need not.
    doubtful: BTreeSet<u32>,
    /// Numbers below may come again.
    again_below: u32,
    /// What was seen so far; `lost` is filled in by [`Self::finish`].
    pub(crate) faults: Faults,
}

impl Tracker {
    /// Takes the number of a message that arrived; false when it was a double.
    pub(crate) fn receive(&mut self, serial: u32) -> bool {
        self.doubtful.remove(&serial);
        if serial == self.next {
            self.next += 1;
        } else if serial > self.next {
            self.missing.extend(self.next..serial);
            self.next = serial + 1;
        } else if self.missing.remove(&serial) {
            self.faults.reordered += 1;
        } else {
            self.faults.doubled += u64::from(serial >= self.again_below);
            return false;
        }
        true
    }

    /// How many different messages came.
    pub(crate) fn received(&self) -> u64 {
        u64::from(self.next) - self.missing.len() as u64
    }

    /// The connection of the sender or of the recipient has ended, when so many had been sent: what was under way may
    /// be lost, or come again to the recipient's next session, for without XEP-0198 neither side can know. What was
    /// overtaken before was lost before.
    pub(crate) fn doubt(&mut self, sent: u32) {
        self.doubtful.extend(self.next..sent);
        self.may_repeat(sent);
    }

    /// What was sent so far may come again, for it was sent again, or its recipient could not say that it had come.
    pub(crate) fn may_repeat(&mut self, sent: u32) {
        self.again_below = sent;
    }

    /// Takes the number of a message that came back as an error.
    pub(crate) fn bounce(&mut self, serial: u32) {
        self.doubtful.remove(&serial);
        self.faults.bounced += 1;
    }

    /// How many have not come and need not.
    pub(crate) fn in_doubt(&self) -> u64 {
        self.doubtful.len() as u64
    }

    /// How many need not be waited for any more.
    pub(crate) fn settled(&self) -> u64 {
        self.received() + self.faults.bounced + self.in_doubt()
    }

    /// The verdict, given how many were sent.
    pub(crate) fn finish(mut self, sent: u32) -> Faults {
        self.faults.lost = u64::from(sent).saturating_sub(self.settled());
        self.faults
    }
}

fn push_hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (place * 4)) as usize & 15]);
    }
    out.push(b' ');
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        Some(value << 4 | u64::from(char::from(digit).to_digit(16)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(arrivals: &[u32], sent: u32) -> Faults {
        let mut tracker = Tracker::default();
        for &serial in arrivals {
            tracker.receive(serial);
        }
        tracker.finish(sent)
    }

    #[test]
    fn what_arrives_in_order_is_clean() {
        assert!(verdict(&[0, 1, 2, 3], 4).is_clean());
    }

    #[test]
    fn a_lost_message_is_found_in_the_middle_and_at_the_end() {
        assert_eq!(
            verdict(&[0, 2], 3),
            Faults {
                lost: 1,
                ..Faults::default()
            }
        );
        assert_eq!(
            verdict(&[0, 1], 3),
            Faults {
                lost: 1,
                ..Faults::default()
            }
        );
        assert_eq!(
            verdict(&[], 2),
            Faults {
                lost: 2,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn a_doubled_message_is_found_and_hides_no_loss() {
        assert_eq!(
            verdict(&[0, 0, 1], 2),
            Faults {
                doubled: 1,
                ..Faults::default()
            }
        );
        let both = Faults {
            doubled: 1,
            lost: 1,
            ..Faults::default()
        };
        assert_eq!(verdict(&[0, 0, 2], 3), both);
    }

    #[test]
    fn a_reordered_message_is_not_counted_as_lost_or_doubled() {
        assert_eq!(
            verdict(&[1, 0, 2], 3),
            Faults {
                reordered: 1,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn a_bounced_message_is_not_lost() {
        let mut tracker = Tracker::default();
        tracker.bounce(0);
        assert_eq!(
            tracker.finish(1),
            Faults {
                bounced: 1,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn what_was_under_way_when_a_connection_ended_may_be_lost_and_nothing_else() {
        let mut tracker = Tracker::default();
        for serial in [0, 2, 3] {
            tracker.receive(serial);
        }
        tracker.doubt(7);
        assert_eq!(tracker.in_doubt(), 3);
        for serial in [5, 8] {
            tracker.receive(serial);
        }
        tracker.bounce(6);
        assert_eq!(tracker.in_doubt(), 1);
        let faults = tracker.finish(10);
        assert_eq!((faults.lost, faults.bounced), (3, 1), "1, 7 and 9");
    }

    #[test]
    fn a_stamp_comes_back_from_its_body() {
        let stamp = Stamp {
            run: 0xdead_beef,
            stream: 7,
            serial: 12,
            due_ns: 1 << 50,
        };
        let mut body = Vec::new();
        stamp.write(200, &mut body);
        assert_eq!(body.len(), 200);
        assert_eq!(Stamp::read(&body, 200), Some(stamp));
    }

    #[test]
    fn what_an_earlier_run_left_is_foreign_whatever_its_size() {
        let mut body = Vec::new();
        let stamp = Stamp {
            run: 1,
            stream: 2,
            serial: 3,
            due_ns: 4,
        };
        stamp.write(60, &mut body);
        assert_eq!(Body::judge(&body, 60, 1), Body::Ours(stamp));
        assert_eq!(Body::judge(&body, 80, 9), Body::Foreign);
        assert_eq!(Body::judge(&body, 80, 1), Body::Altered);
        assert_eq!(Body::judge(b"hello", 80, 1), Body::Foreign);
    }

    #[test]
    fn what_came_before_a_connection_ended_may_come_again_and_nothing_else() {
        let mut tracker = Tracker::default();
        assert!(tracker.receive(0) && tracker.receive(1));
        tracker.doubt(2);
        assert!(!tracker.receive(1) && tracker.receive(2));
        assert!(tracker.faults.is_clean());
        assert!(!tracker.receive(2));
        assert_eq!(tracker.faults.doubled, 1);
    }

    #[test]
    fn a_body_that_was_cut_or_changed_is_not_ours() {
        let mut body = Vec::new();
        Stamp {
            run: 1,
            stream: 2,
            serial: 3,
            due_ns: 4,
        }
        .write(60, &mut body);
        assert_eq!(Stamp::read(&body[..59], 60), None);
        body[55] = b'y';
        assert_eq!(Stamp::read(&body, 60), None);
    }
}
