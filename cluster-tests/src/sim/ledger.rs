//! What a client knows of its stream (XEP-0198): how much it has read, and what of its own was not acknowledged.
//!
//! ```text
//! write <enable/> ─► what is written counts          read <enabled/> ─► what is read counts
//! read <a h/>, <resumed h/>, <failed h/> ─► what it covers is forgotten
//! read <resumed/> ─► the rest is written again       read <failed/> ─► the rest is sent as new messages
//! ```

use std::collections::VecDeque;

use rookery_session::carrier::SessionId;

use super::clock::Micros;
use super::login::Resumption;

/// One client's count of its stream.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The first session of the stream, by which all that was sent and read on it is known.
    root: Option<SessionId>,
    /// The name of the stream, if it can be resumed.
    id: Option<String>,
    /// What is written counts.
    counts: bool,
    /// What is read counts.
    reads: bool,
    read: u64,
    acked: u32,
    unacked: VecDeque<Written>,
    /// What is not acknowledged is to be written again.
    repeats: bool,
    /// What is to be sent as new, for the stream on which it was is gone.
    lost: VecDeque<Address>,
    /// It was asked what it has read.
    pub(crate) owes: bool,
}

/// For whom a message is: the number of a client, and whether any of its account's will do.
pub(crate) type Address = (usize, bool);

/// A stanza that is not acknowledged.
pub(crate) struct Written {
    /// As it is written.
    pub(crate) text: String,
    /// The number of the message and whom it is for, unless it is something else.
    pub(crate) message: Option<(u64, Address)>,
    /// When it was written last.
    pub(crate) at: Micros,
}

impl Ledger {
    /// How the stream is gone on with, if it can be.
    pub(crate) fn resumption(&self) -> Option<Resumption> {
        self.id.clone().map(|id| Resumption {
            id,
            h: self.read as u32,
            lies: false,
        })
    }

    /// By which session the stream is known.
    pub(crate) fn root(&self) -> Option<SessionId> {
        self.root
    }

    /// Whether what is written counts.
    pub(crate) fn counts(&self) -> bool {
        self.counts
    }

    /// Whether the stream can be resumed.
    pub(crate) fn is_named(&self) -> bool {
        self.id.is_some()
    }

    /// A new stream begins with this session. What the former had not acknowledged is sent as new: those messages.
    pub(crate) fn begins(&mut self, session: SessionId) -> Vec<u64> {
        let former = std::mem::take(self);
        self.lost = former.lost;
        let gone: Vec<_> = former.unacked.iter().filter_map(|it| it.message).collect();
        self.lost.extend(gone.iter().map(|(_, address)| *address));
        self.root = Some(session);
        self.counts = true;
        gone.into_iter().map(|(number, _)| number).collect()
    }

    /// The stream is managed, and can be resumed if it has a name.
    pub(crate) fn enabled(&mut self, id: Option<String>) {
        self.id = id;
        self.reads = true;
    }

    /// The stream goes on: all that is not acknowledged is to be written again.
    pub(crate) fn resumed(&mut self) {
        (self.counts, self.reads) = (true, true);
        self.repeats = !self.unacked.is_empty();
    }

    /// The stream cannot be resumed.
    pub(crate) fn failed(&mut self) {
        self.id = None;
    }

    /// The connection is gone.
    pub(crate) fn is_cut(&mut self) {
        (self.counts, self.reads, self.owes) = (false, false, false);
    }

    /// A stanza is written.
    pub(crate) fn writes(&mut self, written: Written) {
        if self.counts {
            self.unacked.push_back(written);
        }
    }

    /// A stanza was read that the server counts under this number, or not at all.
    pub(crate) fn reads(&mut self, number: u64) -> Result<(), String> {
        self.read += u64::from(self.reads);
        // What can be resumed is counted by the shard, and the rest by nobody.
        let expected = match self.reads && self.is_named() {
            true => self.read,
            false => 0,
        };
        match number == expected {
            true => Ok(()),
            false => Err(format!("stanza {expected} is number {number} to its shard")),
        }
    }

    /// How many it has read.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// So many of its stanzas count: the messages that are acknowledged with that.
    pub(crate) fn acknowledged(&mut self, h: u32) -> Result<Vec<u64>, String> {
        let news = h.wrapping_sub(self.acked) as usize;
        if news > self.unacked.len() {
            let sent = self.acked as usize + self.unacked.len();
            return Err(format!("h is {h} behind {}, of {sent}", self.acked));
        }
        self.acked = h;
        let acked = self.unacked.drain(..news);
        Ok(acked
            .filter_map(|written| Some(written.message?.0))
            .collect())
    }

    /// What is to be written again, as it was, if that is due.
    pub(crate) fn repeats(&mut self, now: Micros) -> Option<Vec<String>> {
        if !std::mem::replace(&mut self.repeats, false) {
            return None;
        }
        let again = |written: &mut Written| {
            written.at = now;
            written.text.clone()
        };
        Some(self.unacked.iter_mut().map(again).collect())
    }

    /// Whether something is to be written again.
    pub(crate) fn is_behind(&self) -> bool {
        self.repeats
    }

    /// For whom messages are to be sent as new.
    pub(crate) fn take_lost(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.lost).into()
    }

    /// When the oldest was written that is not acknowledged.
    pub(crate) fn waits_since(&self) -> Option<Micros> {
        self.unacked.front().map(|written| written.at)
    }

    /// How many stanzas are not acknowledged, or were never sent again.
    pub(crate) fn open(&self) -> usize {
        self.unacked.len() + self.lost.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64) -> Written {
        Written {
            text: format!("m{number}"),
            message: Some((number, (number as usize, true))),
            at: 0,
        }
    }

    fn begun() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.begins(SessionId { node: 7, serial: 1 });
        ledger.enabled(Some("name".to_owned()));
        (5..8).for_each(|number| ledger.writes(message(number)));
        ledger
    }

    #[test]
    fn a_count_that_goes_back_or_beyond_what_was_sent_is_found() {
        let mut ledger = begun();
        assert_eq!(ledger.acknowledged(2), Ok(vec![5, 6]));
        assert_eq!(ledger.acknowledged(2), Ok(vec![]));
        assert!(ledger.acknowledged(1).is_err());
        assert!(ledger.acknowledged(4).is_err());
    }

    #[test]
    fn what_is_not_covered_is_written_again_or_sent_as_new() {
        let mut ledger = begun();
        ledger.is_cut();
        ledger.writes(message(9));
        ledger.resumed();
        assert_eq!(ledger.acknowledged(1), Ok(vec![5]));
        assert_eq!(ledger.repeats(1), Some(vec!["m6".into(), "m7".into()]));
        assert_eq!(ledger.repeats(1), None);
        let gone = ledger.begins(SessionId { node: 7, serial: 2 });
        assert_eq!(gone, [6, 7]);
        assert_eq!(ledger.take_lost(), [(6, true), (7, true)]);
        assert_eq!(ledger.open(), 0);
    }

    #[test]
    fn what_the_server_counts_otherwise_is_found() {
        let mut ledger = Ledger::default();
        assert!(ledger.reads(0).is_ok() && ledger.reads(1).is_err());
        ledger.enabled(Some("name".to_owned()));
        assert!(ledger.reads(1).is_ok() && ledger.reads(3).is_err());
    }
}
