//! One account as a machine: its sessions, its roster, what it sends and what arrives for it.
//!
//! ```text
//!             Work
//!               │  while a change is being written (busy) work waits here, in order, bounded
//!               ▼
//! submit ── what its own sessions send        arrive ── what others send to it (RFC 6121 8)
//!   │  iq ── modules, roster                    │  iq ── modules, in the account's name
//!   │  presence, subscription                   │  presence, subscription
//!   └► Turn::route ─► other accounts            └► Turn::deliver ─► sessions;  offline ─► the log
//! ```

pub(crate) mod absent;
mod appending;
mod archiving;
mod arrive;
pub(crate) mod befriending;
mod bind;
pub(crate) mod budget;
mod carbons;
mod deciding;
mod departing;
mod earlier;
mod former;
mod given;
pub(crate) mod gone;
mod iq;
mod leaving;
mod logins;
pub(crate) mod mailbox;
mod mirror;
mod mirror_bounds;
mod offline;
mod open;
mod operator;
mod over;
mod presence;
mod reading;
mod refused;
mod remembered;
mod removal;
mod repeats;
mod resumption;
mod retention;
mod retracting;
mod roster;
mod roster_iq;
mod served;
mod sessions;
mod settling;
mod slots;
mod standing;
mod stored;
pub(crate) mod stranded;
mod stream;
mod submit;
mod subscription;
mod undelivered;
mod ungiven;
mod unsure;
mod void;
mod waiting;
mod work;

use std::sync::Arc;
use std::time::Duration;

use rookery_session::carrier::{PeerFrame, SessionId};
use rookery_store::account::{AccountRecord, Loaded};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza_error::{Condition, StanzaError};

pub(crate) use archiving::{Preferences, archive_id, position_of};
pub(crate) use mailbox::MailboxPace;
pub(crate) use offline::store_refusal;
use removal::End;
pub(crate) use removal::STANDING;
pub use roster::Roster;
pub use sessions::{Availability, Session, Sessions};
pub use slots::Slots;
pub(crate) use stranded::Stranded;
pub(crate) use waiting::Waiting;
pub(crate) use work::Work;

use crate::modules::{Iq, Place};
use crate::shard::{Reply, Request, Run, Then, Turn};

/// The collection of those small documents that are read together with the account.
pub const COLLECTION: &str = "account";

/// One account in memory.
pub struct Account {
    jid: Arc<Jid>,
    /// What the store keeps of the account itself.
    pub record: AccountRecord,
    /// Its contacts.
    pub roster: Roster,
    /// Its sessions.
    pub sessions: Sessions,
    /// What modules keep of this account.
    pub slots: Slots,
    /// Its log, as far as offline messages need it.
    pub(crate) offline: offline::Offline,
    /// What it archives, and who asks for it.
    pub(crate) archiving: archiving::Archiving,
    fanout: budget::Budget,
    carbons: carbons::Carbons,
    retracting: retracting::Retracting,
    /// What came from whom.
    repeats: repeats::Repeats,
    /// What was said to others, and there was no room for.
    refused: refused::Refused,
    /// What was refused of sessions that were replaced.
    untold: void::Void,
    /// Sessions that were resumed as others, of streams that are over.
    left: Vec<SessionId>,
    /// Sessions whose streams have gone on as others, which were announced before them.
    outrun: Vec<SessionId>,
    /// Streams that may go on by another way soon.
    deciding: deciding::Deciding,
    /// Sessions that were ended here, and are not over at their nodes.
    departing: departing::Departing,
    /// What is in the store of streams, and on its way from there.
    leaving: leaving::Leaving,
    /// Streams that are over.
    over: over::Over,
    /// Who waits for its keys.
    logins: logins::Logins,
    /// Changes that are being written; while there are any, work waits.
    busy: u32,
    waiting: Waiting,
    last_used: Timestamp,
    end: End,
}

impl Account {
    pub(crate) fn new(turn: &Turn<'_>, jid: Arc<Jid>, loaded: Loaded) -> Self {
        let mut account = Self {
            jid,
            offline: offline::Offline::new(turn.epoch, &loaded),
            archiving: archiving::Archiving::default(),
            record: loaded.record,
            roster: Roster::new(loaded.roster),
            sessions: Sessions::new(turn.epoch),
            slots: Slots::default(),
            fanout: budget::Budget::default(),
            carbons: carbons::Carbons::default(),
            retracting: retracting::Retracting::default(),
            repeats: repeats::Repeats::new(turn.epoch, &loaded.recent),
            refused: refused::Refused::default(),
            untold: void::Void::default(),
            left: Vec::new(),
            deciding: deciding::Deciding::default(),
            departing: departing::Departing::default(),
            leaving: leaving::Leaving::default(),
            over: over::Over::default(),
            logins: logins::Logins::default(),
            outrun: Vec::new(),
            busy: 0,
            waiting: Waiting::default(),
            last_used: turn.now,
            end: End::NotYet,
        };
        turn.env.modules.loaded(&mut account, &loaded.documents);
        account
    }

    /// The account's bare JID.
    pub fn jid(&self) -> &Arc<Jid> {
        &self.jid
    }

    /// Whether whoever asks may know if somebody is here: the account itself, and those who see its
    /// presence.
    pub fn may_be_seen_by(&self, iq: &Iq) -> bool {
        iq.place != Place::Account
            || self.jid.same_bare(&iq.from)
            || self.roster.is_subscriber(&iq.from)
    }

    /// Asks for something to be written or read, and lets nothing else happen in this account until
    /// `run` was given the reply: so that what a client is told, and what others see, is what was
    /// stored.
    pub fn request(
        &mut self,
        turn: &mut Turn<'_>,
        request: Request,
        run: impl FnOnce(&mut Self, &mut Turn<'_>, Reply) + Send + 'static,
    ) {
        self.busy += 1;
        let then = Then::Account {
            account: self.jid.clone(),
            gates: true,
            run: Box::new(run),
        };
        turn.request(request, then);
    }

    /// Asks for something without making the account wait for it.
    pub fn request_beside(
        &mut self,
        turn: &mut Turn<'_>,
        request: Request,
        run: impl FnOnce(&mut Self, &mut Turn<'_>, Reply) + Send + 'static,
    ) {
        let then = Then::Account {
            account: self.jid.clone(),
            gates: false,
            run: Box::new(run),
        };
        turn.request(request, then);
    }

    /// Does a piece of work, or keeps it until the account is free. What a session did not take is
    /// older than everything that waits, and changes nothing that is being written: it never waits.
    pub(crate) fn work(&mut self, turn: &mut Turn<'_>, work: Work) {
        self.last_used = turn.now;
        if self.busy == 0 || work.never_waits() {
            self.perform(turn, work);
        } else if let Err(work) = self.waiting.push(work, &turn.options) {
            self.overloaded(turn, work);
        }
    }

    /// Goes on with a reply, then with what waited.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>, gates: bool, run: Run, reply: Reply) {
        if gates {
            self.busy -= 1;
        }
        run(self, turn, reply);
        while self.busy == 0 && !self.is_removed() {
            let Some(work) = self.waiting.pop() else {
                break;
            };
            self.perform(turn, work);
        }
        if let End::Over(left) = self.end {
            let is_told = left.is_some_and(|tombstone| gone::is_told(turn, &tombstone));
            let waiting = std::mem::take(&mut self.waiting);
            for work in self.logins_left().into_iter().chain(waiting) {
                match is_told {
                    true => gone::answer(turn, work),
                    false => absent::answer(turn, work),
                }
            }
        }
    }

    fn perform(&mut self, turn: &mut Turn<'_>, work: Work) {
        let Some(work) = self.unless_undecided(turn, work) else {
            return;
        };
        turn.receipt = work.receipt();
        self.perform_held(turn, work);
        turn.receipt = None;
        turn.cause = None;
        turn.arrival = 0;
    }

    /// Does a piece of work while the turn holds its receipt.
    fn perform_held(&mut self, turn: &mut Turn<'_>, work: Work) {
        if let Some(session) = work.ends() {
            let is_last_word = !matches!(work, Work::Left { .. });
            self.counts_no_more(session, is_last_word);
            self.departing.holds(session, turn.receipt.as_ref());
        }
        match work {
            Work::Submit { .. } => self.submit(turn, work),
            Work::Arrive { .. } => self.arrive(turn, work),
            Work::Ask {
                from,
                ask,
                question,
            } => self.asked(turn, from, ask, question),
            Work::Ended { session, .. } if self.is_former(session) => {}
            Work::Ended { session, .. } => {
                self.departing.ends(session);
                self.remembers_over(session);
                self.session_ended(turn, session);
            }
            Work::Announced {
                state,
                kept: Some(kept),
                ..
            } if kept.is_past() => self.ends_former(turn, &state),
            Work::Announced {
                from,
                jid,
                address,
                state,
                kept,
            } => self.go_on_with(turn, from, jid, address, (&state, kept.as_deref())),
            Work::Stranded(stranded) => self.take_back(turn, &stranded),
            Work::Acked { session, acked } => self.acknowledged(turn, session, acked),
            Work::Detached { session, .. } => self.detached(turn, session),
            Work::Left { session, delivered } => {
                if !self.is_former(session) {
                    self.sessions.leaves(session);
                }
                self.left(turn, session, &delivered);
            }
            Work::Undelivered { session, delivered } => {
                self.undelivered(turn, session, &delivered);
            }
        }
    }

    /// Too much waits: stanzas are answered with `resource-constraint`. The account's own sessions
    /// are told at once, for an error that has to come in through the account would find it as
    /// full.
    fn overloaded(&mut self, turn: &mut Turn<'_>, work: Work) {
        let Work::Submit {
            session,
            batch,
            next,
            ..
        } = work
        else {
            return absent::overloaded(turn, work);
        };
        let error = StanzaError::new(Condition::ResourceConstraint);
        for rec in &batch.recs[next..] {
            self.refuse(turn, session, &batch.buf, *rec, &error);
        }
    }

    /// There was no room for something that one of its sessions, or itself, said to somebody else.
    pub(crate) fn was_refused(&mut self, frame: &PeerFrame) {
        self.refused.note(frame);
    }

    fn wait_in_front(&mut self, work: Work) {
        self.waiting.push_front(work);
    }

    fn is_busy(&self) -> bool {
        self.busy > 0
    }

    /// A second went by: what a slow session left in the log is tried again.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>, idle: Duration) {
        self.append_again(turn);
        self.queries_go_on(turn);
        self.logins_go_on(turn);
        self.retract_again(turn);
        self.look_after_streams(turn);
        self.clear_sure(turn);
        self.untold.look_at_the_clock(turn.now);
        self.end_of_farewell(turn);
        if self.busy == 0 {
            self.drain_offline(turn);
        }
        if self.is_unused(turn.now, idle) {
            self.keep_cursor(turn);
        }
    }

    /// Whether the account was deleted, so that its shard must forget it.
    pub(crate) fn is_removed(&self) -> bool {
        matches!(self.end, End::Over(_))
    }

    /// Whether the account may leave the memory.
    pub(crate) fn is_idle(&self, now: Timestamp, idle: Duration) -> bool {
        self.is_unused(now, idle)
            && self.offline.is_quiet()
            && !self.offline.has_moved()
            && self.retracting.is_quiet()
            && self.deciding.is_quiet()
            && self.departing.is_quiet()
            && self.leaving.is_quiet()
            && self.untold.is_quiet()
            && self.logins.is_quiet()
            && !self.end.has_begun()
    }

    fn is_unused(&self, now: Timestamp, idle: Duration) -> bool {
        self.busy == 0 && self.sessions.is_empty() && now.since(self.last_used) >= idle
    }
}
