//! Sessions whose clients are gone: those whose nodes have not noticed, those that wait for their clients, and those
//! that wait for room to say their last words.

use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::World;
use super::clients::FRAMES_AT_ONCE;
use crate::sim::clock::{Micros, SECOND};
use crate::sim::ledger::Ledger;
use crate::sim::message::Received;
use crate::sim::session::{Departed, Heard, Session};

/// All of them.
#[derive(Default)]
pub(super) struct AllDeparted {
    /// Their nodes write into sockets that nobody reads, until they notice.
    unnoticed: Vec<(Micros, Session)>,
    /// Until when each waits.
    waiting: Vec<(Micros, Session)>,
    /// They are over, and have not said so to their shards yet.
    leaving: Vec<Session>,
}

impl World {
    /// A client's session ends. One whose stream can be resumed waits, unless it was ended on purpose.
    pub(super) fn end_session(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if let Some(ledger) = &mut client.ledger {
            ledger.is_cut();
        }
        if let Some(session) = client.session.take() {
            self.depart(session);
        }
    }

    /// The client of a session is gone, which its node notices then.
    pub(super) fn is_left(&mut self, mut session: Session, noticed: Micros) {
        session.goes_silent();
        self.departed.unnoticed.push((noticed, session));
    }

    fn depart(&mut self, mut session: Session) {
        let Some(process) = self.processes.get(&session.id.node) else {
            return;
        };
        let guard = process.enter();
        let departed = session.depart(process);
        drop(guard);
        self.has_departed(session, departed);
    }

    fn has_departed(&mut self, session: Session, departed: Departed) {
        let id = session.id;
        match departed {
            Departed::Waits(window_s) => {
                self.journal.note(self.now, format_args!("waits {id:?}"));
                let until = self.now + u64::from(window_s) * SECOND;
                self.departed.waiting.push((until, session));
            }
            Departed::Over {
                was_closed,
                given_back,
                kept,
            } => {
                let gives = format_args!("end {id:?} gives back {given_back:?}");
                self.journal.note(self.now, gives);
                self.oracle.left(id.node, &given_back);
                self.oracle.parts(id.node, &kept);
                if was_closed {
                    self.oracle.ended(id, self.now);
                }
                if !session.has_room() {
                    self.departed.leaving.push(session);
                }
            }
        }
    }

    /// Goes on with the sessions of a node that have no clients any more.
    pub(super) fn serve_departed(&mut self, node: u32) {
        self.serve_unnoticed(node);
        self.serve_waiting(node);
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let _guard = process.enter();
        self.departed.leaving.retain_mut(|session| {
            if session.id.node == node {
                session.poll(process);
            }
            !session.has_room()
        });
    }

    fn serve_unnoticed(&mut self, node: u32) {
        for (noticed, mut session) in std::mem::take(&mut self.departed.unnoticed) {
            let Some(process) = self
                .processes
                .get(&node)
                .filter(|_| session.id.node == node)
            else {
                self.departed.unnoticed.push((noticed, session));
                continue;
            };
            let (mut heard, mut unread) = (Vec::new(), Vec::new());
            let guard = process.enter();
            session.poll(process);
            session.look_around(process, self.now, &mut heard);
            for _ in 0..FRAMES_AT_ONCE {
                let known = heard.len();
                session.hear(process, self.now, &mut heard);
                unread.extend(unkept(&session, &heard[known..]).flatten());
            }
            drop(guard);
            let is_over = |heard: &Heard| matches!(heard, Heard::Close | Heard::Refused);
            let ends = heard.iter().any(is_over) || self.now >= noticed;
            self.oracle.unread(&unread);
            match ends {
                true => self.depart(session),
                false => self.departed.unnoticed.push((noticed, session)),
            }
        }
    }

    fn serve_waiting(&mut self, node: u32) {
        for (until, mut session) in std::mem::take(&mut self.departed.waiting) {
            let Some(process) = self
                .processes
                .get(&node)
                .filter(|_| session.id.node == node)
            else {
                self.departed.waiting.push((until, session));
                continue;
            };
            let guard = process.enter();
            session.poll(process);
            let is_over = session.is_ended_while_waiting() || self.now >= until;
            let departed = is_over.then(|| session.waits_no_more(process, false));
            drop(guard);
            match departed {
                Some(departed) => self.has_departed(session, departed),
                None => self.departed.waiting.push((until, session)),
            }
        }
    }

    /// A connection node sends its clients away, and keeps no place for those who are gone.
    pub(super) fn sends_away(&mut self, node: u32) {
        let mut here = Vec::new();
        for client in &mut self.clients {
            let session = client.session.take_if(|session| session.id.node == node);
            if session.is_some() {
                client.ledger.iter_mut().for_each(Ledger::is_cut);
            }
            here.extend(session);
        }
        let is_here = |(_, session): &mut (Micros, Session)| session.id.node == node;
        let unnoticed = self.departed.unnoticed.extract_if(.., is_here);
        here.extend(unnoticed.map(|(_, session)| session));
        let waiting: Vec<_> = self.departed.waiting.extract_if(.., is_here).collect();
        for mut session in here {
            session.kick(StreamError::new(StreamCondition::SystemShutdown), self.now);
            self.depart(session);
        }
        for (_, mut session) in waiting {
            let Some(process) = self.processes.get(&node) else {
                return;
            };
            let guard = process.enter();
            let departed = session.waits_no_more(process, true);
            drop(guard);
            self.has_departed(session, departed);
        }
        self.touch(node);
    }

    /// A connection node dies.
    pub(super) fn cut_sessions(&mut self, node: u32) {
        self.oracle.node_died(node, self.now);
        let is_here = |(_, session): &mut (Micros, Session)| session.id.node == node;
        let AllDeparted {
            unnoticed,
            waiting,
            leaving,
        } = &mut self.departed;
        leaving.retain(|session| session.id.node != node);
        let mut gone: Vec<_> = unnoticed.extract_if(.., is_here).collect();
        gone.extend(waiting.extract_if(.., is_here));
        let mut gone: Vec<_> = gone.into_iter().map(|(_, session)| session).collect();
        for client in &mut self.clients {
            let session = client.session.take_if(|session| session.id.node == node);
            if session.is_some() {
                client.ledger.iter_mut().for_each(Ledger::is_cut);
            }
            gone.extend(session);
        }
        for session in gone {
            self.oracle.ended(session.id, self.now);
            let (unread, kept) = session.cut();
            self.oracle.unread(&unread);
            self.oracle.alone(&kept, node, self.now);
        }
    }
}

/// Which of this is a message that is lost if its client is gone, for nobody keeps it: what comes before a stream is
/// managed is as if it were never.
pub(super) fn unkept(session: &Session, heard: &[Heard]) -> impl Iterator<Item = Option<u64>> {
    let is_kept = session.keeps_written();
    heard.iter().map(move |heard| match heard {
        Heard::Stanza(Received::Message(number, ..), 0) if !is_kept => Some(*number),
        _ => None,
    })
}
