//! What clients do with streams that they manage (XEP-0198): acknowledge, ask, lose their sockets, and come back.

use rookery_session::carrier::SessionId;
use rookery_xmpp::jid::Jid;

use super::clients::FRAMES_AT_ONCE;
use super::departed::unkept;
use super::{CALM_AT, World};
use crate::sim::clock::{MS, SECOND};
use crate::sim::ledger::{Address, Ledger, Written};
use crate::sim::login::{Login, Resumption, Said};

impl World {
    /// A client is bound: it has bound a resource, or goes on with its stream.
    pub(super) fn is_bound(&mut self, at: usize, id: SessionId) {
        let presence = "<presence/>".to_owned();
        let Some(ledger) = &mut self.clients[at].ledger else {
            return self.write_free(at, &[presence]);
        };
        if ledger.counts() {
            return;
        }
        let gone = ledger.begins(id);
        if !gone.is_empty() {
            self.journal
                .note(self.now, format_args!("sends anew {gone:?}"));
        }
        ledger.writes(Written {
            text: presence.clone(),
            message: None,
            at: self.now,
        });
        self.oracle.given().goes_on(id, id);
        self.write_free(at, &[ENABLE.to_owned(), presence]);
    }

    /// A client reads something about its stream.
    pub(super) fn reads_of_stream(&mut self, at: usize, id: SessionId, said: Said) {
        self.journal
            .note(self.now, format_args!("hears {id:?} {said:?}"));
        let client = &mut self.clients[at];
        let Some(ledger) = &mut client.ledger else {
            return;
        };
        let mut counts = None;
        let goes_on = matches!(said, Said::Resumed(_));
        match said {
            Said::Enabled(name) => ledger.enabled(name),
            Said::Resumed(h) => {
                self.oracle.tally.resumed += 1;
                counts = Some(h);
            }
            Said::Failed(h) => {
                self.oracle.tally.refused += 1;
                counts = h;
                ledger.failed();
            }
            Said::Exposed(h) => counts = h,
            Said::Believed => {
                let account = &client.account;
                let what = format!("{account} was believed to have read what was never sent");
                self.oracle.broken(what);
            }
            Said::Acked(h) => counts = Some(h),
            Said::Asked => ledger.owes = true,
            Said::Over => {}
        }
        if let Some(h) = counts {
            match ledger.acknowledged(h) {
                Ok(numbers) => {
                    let database = &self.database;
                    let is_durable = |to: &Jid, number| database.has_in_log(to, number);
                    self.oracle.acked(&numbers, is_durable, self.now);
                }
                Err(what) => self.oracle.broken(format!("{}: {what}", client.account)),
            }
        }
        if goes_on {
            ledger.resumed();
        }
    }

    /// A client looks after its stream. False if it has nothing to do there.
    pub(super) fn tends_stream(&mut self, at: usize, what: u64) -> bool {
        self.acknowledges(at);
        if self.sends_again(at) {
            return true;
        }
        let waits_since = self.ledger(at).and_then(Ledger::waits_since);
        match what {
            _ if self.now >= CALM_AT => {
                if waits_since.is_some() {
                    self.asks(at);
                }
            }
            _ if waits_since.is_some_and(|since| self.now > since + ACK_PATIENCE) => {
                self.loses_socket(at);
            }
            70 | 71 => {
                self.goes_away(at, 100 * MS..6 * SECOND);
                self.closes(at);
            }
            72..=75 | 85..=88 => self.loses_socket(at),
            89..=95 => self.asks(at),
            _ => return false,
        }
        true
    }

    fn ledger(&self, at: usize) -> Option<&Ledger> {
        self.clients[at].ledger.as_ref()
    }

    /// It was asked what it has read, and answers, but not always at once.
    fn acknowledges(&mut self, at: usize) {
        let is_slow = self.dice.permille(400);
        let Some(ledger) = &mut self.clients[at].ledger else {
            return;
        };
        if is_slow || !ledger.owes {
            return;
        }
        ledger.owes = false;
        let answer = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", ledger.read() as u32);
        self.write_free(at, &[answer]);
    }

    fn asks(&mut self, at: usize) {
        if self.has_room(at) {
            self.write_free(at, &["<r xmlns='urn:xmpp:sm:3'/>".to_owned()]);
        }
    }

    /// Sends again what was not acknowledged. True if there was something.
    fn sends_again(&mut self, at: usize) -> bool {
        let now = self.now;
        let is_behind = self.ledger(at).is_some_and(Ledger::is_behind);
        let may_send = self.may_send(at) && self.has_room(at);
        let Some(ledger) = &mut self.clients[at].ledger else {
            return false;
        };
        if !may_send {
            return is_behind;
        }
        if let Some(texts) = ledger.repeats(now) {
            self.write(at, &texts);
            return true;
        }
        let lost = ledger.take_lost();
        let any = !lost.is_empty();
        if any {
            self.send_to(at, &lost, None);
        }
        any
    }

    /// The client ends its stream. What was not acknowledged then it sends on the next one.
    fn closes(&mut self, at: usize) {
        self.write_free(at, &["</stream:stream>".to_owned()]);
        if let Some(ledger) = &mut self.clients[at].ledger {
            ledger.failed();
        }
        self.end_session(at);
    }

    /// A client's socket breaks: what it wrote last is perhaps not read, and what was written to it last neither. Its
    /// node may notice later.
    pub(super) fn loses_socket(&mut self, at: usize) {
        match self.dice.permille(880) {
            true => self.goes_away(at, 50 * MS..3 * SECOND),
            // Too long for its stream.
            false => self.goes_away(at, 9 * SECOND..16 * SECOND),
        }
        self.writes_last(at);
        self.reads_last(at);
        let client = &mut self.clients[at];
        client.ledger.iter_mut().for_each(Ledger::is_cut);
        let Some(session) = client.session.take() else {
            return;
        };
        let notices = match self.dice.below(10) {
            0..=4 => 0,
            5..=8 => self.dice.below(3 * SECOND),
            _ => self.dice.below(14 * SECOND),
        };
        let node = session.id.node;
        let cut = format_args!("socket of {:?} breaks, noticed in {notices}", session.id);
        self.journal.note(self.now, cut);
        self.is_left(session, self.now + notices);
        self.touch(node);
    }

    fn writes_last(&mut self, at: usize) {
        if !self.has_room(at) || !self.may_send(at) || self.is_behind(at) {
            return;
        }
        let count = self.dice.below(3);
        let posts: Vec<Address> = (0..count).map(|_| self.addresses_somebody()).collect();
        let mut texts = self.compose(at, &posts, None);
        let read = self.dice.below(texts.len() as u64 + 1) as usize;
        if self.dice.permille(500)
            && let Some(half) = texts.get_mut(read)
        {
            half.truncate(half.len() / 2);
            texts.truncate(read + 1);
        } else {
            texts.truncate(read);
        }
        if !texts.is_empty() {
            self.write(at, &texts);
        }
    }

    fn is_behind(&self, at: usize) -> bool {
        self.ledger(at).is_some_and(Ledger::is_behind)
    }

    fn reads_last(&mut self, at: usize) {
        let frames = self.dice.below(FRAMES_AT_ONCE as u64 / 4);
        let client = &mut self.clients[at];
        let Some(session) = &mut client.session else {
            return;
        };
        let Some(process) = self.processes.get(&session.id.node) else {
            return;
        };
        let (mut heard, mut lost) = (Vec::new(), Vec::new());
        let guard = process.enter();
        for _ in 0..frames {
            let known = heard.len();
            session.hear(process, self.now, &mut heard);
            lost.extend(unkept(session, &heard[known..]));
        }
        drop(guard);
        let read = self.dice.below(heard.len() as u64 + 1) as usize;
        heard.truncate(read);
        let unread: Vec<_> = lost.into_iter().skip(read).flatten().collect();
        self.oracle.unread(&unread);
        self.hears(at, heard);
    }

    /// A client asks to resume its stream, and leaves that connection before it hears the answer.
    pub(super) fn asks_and_leaves(
        &mut self,
        at: usize,
        nodes: &[u32],
        resumption: Option<Resumption>,
    ) {
        let node = self.dice.pick(nodes);
        let client = &self.clients[at];
        let login = Login::new(&client.account, client.resource, resumption).leaving();
        if let Some(session) = self.begin_session(at, node, login) {
            let noticed = self.now + self.dice.between(300 * MS, 4 * SECOND);
            self.is_left(session, noticed);
            self.touch(node);
        }
    }

    /// Writes what takes nothing from budgets.
    fn write_free(&mut self, at: usize, texts: &[String]) {
        let Some(session) = &mut self.clients[at].session else {
            return;
        };
        let Some(process) = self.processes.get(&session.id.node) else {
            return;
        };
        let guard = process.enter();
        let heard = session.stanzas(process, texts, self.now);
        drop(guard);
        self.hears(at, heard);
    }
}

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

/// How long a client waits for an acknowledgement before it takes its socket for dead.
const ACK_PATIENCE: u64 = 6 * SECOND;
