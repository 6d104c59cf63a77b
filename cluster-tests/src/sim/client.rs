//! A client, its stream, and its session's way to its account's shard: what `node/connection/src/session/shard_link.rs`
//! does.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use rookery_control::QuotaKey;
use rookery_session::carrier::{
    Answer, Delivered, Full, Routers, SessionId, ShardId, Sink, ToSession, ToShard,
};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Batch;

use super::clock::Micros;
use super::inbox::Inbox;
use super::message::{self, Received};
use super::planted::Planted;
use super::process::Process;
use super::stream::{Stream, Wish};

/// One client. It has one account and one resource, and a session now and then.
pub(crate) struct Client {
    pub(crate) account: Jid,
    pub(crate) resource: &'static str,
    /// What it takes from with all that it sends.
    pub(crate) budgets: [QuotaKey; 2],
    pub(crate) session: Option<Session>,
    /// It does not read what comes until then.
    pub(crate) deaf_until: Micros,
    /// It stays away until then.
    pub(crate) away_until: Micros,
}

/// A client's session.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Its full JID, once it is bound.
    pub(crate) bound: Option<Arc<Jid>>,
    /// When it asked to be bound.
    pub(crate) asked: Micros,
    inbox: Arc<Inbox>,
    stream: Stream,
    shard: ShardId,
    sequence: u64,
    waiting: Option<Pin<Box<dyn Future<Output = ()>>>>,
    backlog: VecDeque<ToShard>,
    planted: Option<Planted>,
}

/// What a session has heard.
pub(crate) enum Heard {
    /// It is bound.
    Bound,
    /// It was refused, or nobody could tell.
    Refused,
    /// It must end.
    Close,
    /// A stanza.
    Stanza(Received),
}

impl Session {
    /// Connects, and logs in.
    pub(crate) fn begin(
        process: &Process,
        inbox: Inbox,
        account: &Jid,
        resource: &'static str,
        planted: Option<Planted>,
        now: Micros,
    ) -> Self {
        let id = inbox.session();
        let mut session = Self {
            id,
            bound: None,
            asked: now,
            inbox: Arc::new(inbox),
            stream: Stream::new(account, resource, id.serial),
            shard: ShardId::of(account.bare_str(), process.ways.shards()),
            sequence: 0,
            waiting: None,
            backlog: VecDeque::new(),
            planted,
        };
        let wishes = session.stream.connect(now);
        session.fulfil(process, wishes, &mut Vec::new());
        session
    }

    /// Whether its shard takes more. A session whose shard does not reads nothing from its client.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.is_none()
    }

    /// How many stanzas wait for its client.
    pub(crate) fn unread(&self) -> usize {
        self.inbox.stanzas()
    }

    /// The client has sent these, in one read.
    pub(crate) fn stanzas(&mut self, process: &Process, stanzas: &[String], now: Micros) {
        let wishes = self.stream.write(stanzas, now);
        self.fulfil(process, wishes, &mut Vec::new());
    }

    /// Does what the stream wants done.
    fn fulfil(&mut self, process: &Process, wishes: Vec<Wish>, heard: &mut Vec<Heard>) {
        for wish in wishes {
            match wish {
                Wish::Ask(ask, question) => {
                    let from = self.inbox.clone();
                    let ask = ToShard::Ask {
                        from,
                        ask,
                        question,
                    };
                    self.send(process, ask);
                }
                Wish::Bound(jid) => {
                    self.bound = Some(jid);
                    heard.push(Heard::Bound);
                }
                Wish::HandOver(batch) => self.hand_over(process, batch),
                Wish::Over => heard.push(Heard::Refused),
            }
        }
    }

    fn hand_over(&mut self, process: &Process, batch: Batch) {
        let Some(from) = self.bound.clone() else {
            return;
        };
        let sequence = self.sequence;
        self.sequence += batch.recs.len() as u64;
        let frame = ToShard::Stanzas {
            session: self.id,
            from,
            sequence,
            batch,
            receipt: None,
        };
        self.send(process, frame);
    }

    /// Rings the timers that have run out.
    pub(crate) fn look_at_the_clock(
        &mut self,
        process: &Process,
        now: Micros,
        heard: &mut Vec<Heard>,
    ) {
        let wishes = self.stream.look_at_the_clock(now);
        self.fulfil(process, wishes, heard);
    }

    /// Goes on with what waits for room at the shard.
    pub(crate) fn poll(&mut self, process: &Process) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Some(waiting) = &mut self.waiting {
            if waiting.as_mut().poll(&mut cx).is_pending() {
                return;
            }
            self.waiting = None;
            while self.waiting.is_none()
                && let Some(frame) = self.next_of_backlog()
            {
                self.send(process, frame);
            }
        }
    }

    /// The next thing that has come for the client.
    pub(crate) fn hear(&mut self, process: &Process, now: Micros, heard: &mut Vec<Heard>) {
        let Some(frame) = self.inbox.take() else {
            return;
        };
        match frame {
            ToSession::Answer { ask, answer } => {
                let wishes = self.stream.answered(ask, answer, now);
                self.fulfil(process, wishes, heard);
            }
            // Who carries frames between nodes keeps it.
            ToSession::Remember(_) => {}
            ToSession::Close(error) => {
                // That the stream ends then is what it was told.
                drop(self.stream.kicked(error, now));
                heard.push(Heard::Close);
            }
            ToSession::Deliver(Delivered { batch, .. }) => {
                let read = |rec| Heard::Stanza(message::read(&batch.buf, rec));
                heard.extend(batch.recs.iter().map(read));
            }
        }
    }

    /// The session is over: its shard gets back what its client has not read, and hears of it behind everything else.
    /// Gives whether the shard had ended it before, the messages that it gives back, and what is to be finished behind
    /// it.
    pub(crate) fn end(mut self, process: &Process) -> (bool, Vec<u64>, Self) {
        self.stream.lose();
        let (mut told, mut was_closed) = (None, false);
        let (mut left, mut given_back) = (Vec::new(), Vec::new());
        for frame in self.inbox.close() {
            given_back.extend(numbers(&frame));
            match frame {
                ToSession::Answer {
                    answer: Answer::Bound(jid),
                    ..
                } => told = Some(jid),
                ToSession::Close(_) => was_closed = true,
                ToSession::Deliver(delivered) => left.push(delivered),
                _ => {}
            }
        }
        if let Some(jid) = self.bound.clone().or(told) {
            for frame in ToShard::last_words(self.id, &jid, left) {
                self.send(process, frame);
            }
        }
        (was_closed, given_back, self)
    }

    /// The node has died, and with it the session. Gives the numbers of the messages that its client has not read.
    pub(crate) fn cut(self) -> Vec<u64> {
        self.inbox.close().iter().flat_map(numbers).collect()
    }

    fn next_of_backlog(&mut self) -> Option<ToShard> {
        match self.planted {
            Some(Planted::BacklogReversed) => self.backlog.pop_back(),
            _ => self.backlog.pop_front(),
        }
    }

    fn send(&mut self, process: &Process, frame: ToShard) {
        if self.waiting.is_some() {
            self.backlog.push_back(frame);
        } else if let Err(Full(frame)) = process.ways.send(self.shard, frame) {
            self.waiting = Some(process.ways.send_when_room(self.shard, frame));
        }
    }
}

/// The messages in a frame.
fn numbers(frame: &ToSession) -> Vec<u64> {
    let ToSession::Deliver(Delivered { batch, .. }) = frame else {
        return Vec::new();
    };
    let read = |rec| match message::read(&batch.buf, rec) {
        Received::Message(number, ..) => Some(number),
        _ => None,
    };
    batch.recs.iter().filter_map(read).collect()
}
