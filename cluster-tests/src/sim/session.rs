//! A session at its connection node, and its way to its account's shard: what
//! `node/connection/src/session/{shard_link,writing}.rs` do.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use rookery_session::carrier::{
    AskId, Delivered, Full, Question, Receipt, Receipts, Routers, SessionId, ShardId, Sink,
    ToSession, ToShard,
};
use rookery_session::{Afterwards, KeptHere, farewell};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Batch;

use super::clock::Micros;
use super::inbox::{Inbox, numbers};
use super::login::{Login, Said};
use super::message::{self, Received};
use super::planted::Planted;
use super::process::Process;
use super::stream::{Stream, Wish};

/// A client's session.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Its full JID, once it is bound.
    pub(crate) bound: Option<Arc<Jid>>,
    /// When it began.
    pub(crate) asked: Micros,
    inbox: Arc<Inbox>,
    stream: Stream,
    shard: ShardId,
    waiting: Option<Pin<Box<dyn Future<Output = ()>>>>,
    backlog: VecDeque<ToShard>,
    planted: Option<Planted>,
}

/// What a session has heard.
pub(crate) enum Heard {
    /// It is bound.
    Bound,
    /// Something about its stream.
    Said(Said),
    /// It was refused, or nobody could tell.
    Refused,
    /// It must end.
    Close,
    /// A stanza, and its number if that counts.
    Stanza(Received, u64),
}

/// What has become of a session whose stream is over.
pub(crate) enum Departed {
    /// It waits for its client, for so many seconds.
    Waits(u32),
    /// It is over, or has left to its shard.
    Over {
        /// Whether the shard had ended it before.
        was_closed: bool,
        /// The messages that it gives back, where nobody else has them.
        given_back: Vec<u64>,
        /// What it gives back as well, and its shard has too.
        kept: Vec<u64>,
    },
}

impl Session {
    /// Connects, and logs in.
    pub(crate) fn begin(
        process: &Process,
        inbox: Inbox,
        account: &Jid,
        login: Login,
        planted: Option<Planted>,
        now: Micros,
    ) -> Self {
        let id = inbox.session();
        let mut session = Self {
            id,
            bound: None,
            asked: now,
            inbox: Arc::new(inbox),
            stream: Stream::new(login, id.serial),
            shard: ShardId::of(account.bare_str(), process.ways.shards()),
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

    /// The client has sent this, in one read.
    pub(crate) fn stanzas(
        &mut self,
        process: &Process,
        stanzas: &[String],
        now: Micros,
    ) -> Vec<Heard> {
        let mut heard = Vec::new();
        let wishes = self.stream.write(stanzas, now);
        self.fulfil(process, wishes, &mut heard);
        heard
    }

    /// Does what the stream wants done.
    fn fulfil(&mut self, process: &Process, wishes: Vec<Wish>, heard: &mut Vec<Heard>) {
        for wish in wishes {
            match wish {
                Wish::Ask(ask, question) => self.ask(process, ask, question),
                Wish::Bound(jid) => {
                    self.bound = Some(jid);
                    heard.push(Heard::Bound);
                }
                Wish::Enable(ask, account, first) => {
                    self.inbox.keep(KeptHere::new(first));
                    self.ask(process, ask, Question::Enable { account, first });
                }
                Wish::NotEnabled => self.inbox.keep_nothing(),
                Wish::Acknowledged(acked) => self.acknowledged(process, acked),
                Wish::HandOver(batch, first) => self.hand_over(process, batch, first),
                Wish::Said(said) => heard.push(Heard::Said(said)),
                Wish::Over => heard.push(Heard::Refused),
            }
        }
    }

    fn ask(&mut self, process: &Process, ask: AskId, question: Question) {
        let from = self.inbox.clone();
        let ask = ToShard::Ask {
            from,
            ask,
            question,
        };
        self.send(process, ask);
    }

    fn hand_over(&mut self, process: &Process, batch: Batch, sequence: u64) {
        let Some(from) = self.bound.clone() else {
            return;
        };
        let mut receipt = None;
        if self.stream.is_managed() {
            self.inbox.submitted(sequence, batch.recs.len());
            receipt = Some(Receipt::new(self.shard, sequence, self.inbox.clone()));
        }
        if self.planted == Some(Planted::AckTooEarly) && receipt.take().is_some() {
            self.inbox.settled(self.shard, sequence);
        }
        let frame = ToShard::Stanzas {
            session: self.id,
            from,
            sequence,
            batch,
            receipt,
        };
        self.send(process, frame);
    }

    fn acknowledged(&mut self, process: &Process, acked: u64) {
        self.inbox.acknowledged(acked);
        let Some(jid) = self.bound.clone() else {
            return;
        };
        let session = self.id;
        let frame = ToShard::Acked {
            session,
            jid,
            acked,
        };
        self.send(process, frame);
    }

    /// Rings the timers that have run out, and tells what was dealt with.
    pub(crate) fn look_around(&mut self, process: &Process, now: Micros, heard: &mut Vec<Heard>) {
        let wishes = self.stream.look_at_the_clock(now);
        self.fulfil(process, wishes, heard);
        let settled = self.inbox.take_settled();
        let wishes = self.stream.settled(&settled, now);
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

    /// The next things that have come for the client.
    pub(crate) fn hear(&mut self, process: &Process, now: Micros, heard: &mut Vec<Heard>) {
        let frames = self.inbox.take();
        if frames.is_empty() {
            return;
        }
        for frame in frames {
            match frame {
                ToSession::Answer { ask, answer } => {
                    let wishes = self.stream.answered(ask, answer, now);
                    self.fulfil(process, wishes, heard);
                }
                // Who carries frames between nodes keeps it, and nobody guesses passwords here.
                ToSession::Remember(_) | ToSession::WrongPassword => {}
                ToSession::Close(error) => {
                    // That the stream ends then is what it was told.
                    drop(self.stream.kicked(error, now));
                    heard.push(Heard::Close);
                }
                ToSession::Deliver(delivered) => {
                    self.stream.sent(&delivered);
                    heard.extend(read(&delivered));
                }
            }
        }
        let wishes = self.stream.turn_ends(now);
        self.fulfil(process, wishes, heard);
    }

    /// The node ends, and sends its clients away.
    pub(crate) fn kick(&mut self, error: rookery_xmpp::stream_error::StreamError, now: Micros) {
        drop(self.stream.kicked(error, now));
    }

    /// Nobody reads any more what goes to the client.
    pub(crate) fn goes_silent(&mut self) {
        self.stream.goes_silent();
    }

    /// Whether what is written without a number is kept.
    pub(crate) fn keeps_written(&self) -> bool {
        self.stream.keeps_written()
    }

    /// The socket is lost, if the stream was not over before: what becomes of the session.
    pub(crate) fn depart(&mut self, process: &Process) -> Departed {
        self.stream.lose();
        match self.stream.afterwards() {
            Afterwards::Waits(window_s) => Departed::Waits(window_s),
            afterwards => self.leave(process, afterwards),
        }
    }

    /// Whether the shard has ended a session that waits for its client. What comes for it is kept, and written nowhere.
    pub(crate) fn is_ended_while_waiting(&self) -> bool {
        self.inbox.drop_frames()
    }

    /// A session that waits for its client is served here no more.
    pub(crate) fn waits_no_more(&mut self, process: &Process, is_left: bool) -> Departed {
        self.leave(process, Afterwards::of_waiting(is_left))
    }

    /// The session is over: its shard gets back what its client has not read, and hears of it behind everything else.
    fn leave(&mut self, process: &Process, afterwards: Afterwards) -> Departed {
        let written = self.stream.take_written();
        let mut rest = match afterwards {
            Afterwards::StaysAtShard => self.inbox.stop(),
            _ => self.inbox.close(),
        };
        let was_closed = rest
            .frames
            .iter()
            .any(|frame| matches!(frame, ToSession::Close(_)));
        let mut given_back: Vec<_> = rest.frames.iter().flat_map(lonely).collect();
        given_back.extend(written.iter().flat_map(numbers));
        let kept = rest.unacked.iter().flat_map(numbers).collect();
        let bound = self.bound.clone();
        if afterwards == Afterwards::StaysAtShard {
            let (session, receipt) = (self.id, None);
            if let Some(jid) = bound {
                let detached = ToShard::Detached {
                    session,
                    jid,
                    receipt,
                };
                self.send(process, detached);
            }
        } else {
            if self.planted == Some(Planted::LeftForgotten) {
                rest.unacked.clear();
            }
            let words = farewell(self.id, bound, written, rest);
            for frame in words.into_iter().flat_map(|(_, words)| words) {
                self.send(process, frame);
            }
        }
        Departed::Over {
            was_closed,
            given_back,
            kept,
        }
    }

    /// The node has died, and with it the session. Gives the numbers of the messages that its client has not read: of
    /// those that nobody else has, and of those that its shard keeps.
    pub(crate) fn cut(mut self) -> (Vec<u64>, Vec<u64>) {
        let rest = self.inbox.close();
        let mut unread: Vec<_> = rest.frames.iter().flat_map(lonely).collect();
        unread.extend(self.stream.take_written().iter().flat_map(numbers));
        let kept = rest.unacked.iter().flat_map(numbers).collect();
        (unread, kept)
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

/// The stanzas as the client reads them.
fn read(delivered: &Delivered) -> impl Iterator<Item = Heard> {
    let batch = &delivered.batch;
    batch.recs.iter().enumerate().map(|(at, rec)| {
        let number = match delivered.number {
            0 => 0,
            first => first + at as u64,
        };
        Heard::Stanza(message::read(&batch.buf, rec), number)
    })
}

/// The messages in a frame that nobody else keeps.
fn lonely(frame: &ToSession) -> Vec<u64> {
    match frame {
        ToSession::Deliver(delivered) if delivered.number == 0 => numbers(delivered).collect(),
        _ => Vec::new(),
    }
}
