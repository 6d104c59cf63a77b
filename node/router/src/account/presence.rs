//! Presence (RFC 6121 4): broadcast, probes, directed presence, and what others' presence does
//! here.
//!
//! ```text
//! first available:  probe those we see; tell those who see us; requests that wait; the log
//! later available:  tell those who see us
//! unavailable, or the session's end: tell those who see us and those who were told directly
//! ```

use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{HeadChanges, Rec, StanzaType, parse_rec, rewrite_head};
use rookery_xmpp::stanza_error::{Condition, StanzaError};

use super::roster::Step;
use super::subscription::subscription_stanza;
use super::{Account, Availability, Session};
use crate::shard::Turn;

impl Account {
    /// Presence without an address, of one of the account's sessions.
    pub(super) fn broadcast_presence(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        buf: &Bytes,
        rec: Rec,
    ) {
        if rec.stanza_type == StanzaType::Unavailable {
            return self.leave(turn, id, buf, rec);
        }
        let Some(availability) = Availability::read(rec.bytes(buf)) else {
            let error = StanzaError::new(Condition::BadRequest)
                .with_text("a priority is a number from -128 to 127");
            return self.refuse(turn, id, buf, rec, &error);
        };
        let options = &turn.options;
        let limits = (options.presence_fanout_per_s, options.presence_fanout_burst);
        if !self.fanout.is_open(turn.now, limits) {
            let error = StanzaError::new(Condition::ResourceConstraint)
                .with_text("presence changes too often for so many contacts");
            return self.refuse(turn, id, buf, rec, &error);
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (first, read) = (session.availability.is_none(), session.takes_messages());
        session.availability = Some(Box::new(availability));
        turn.remember(session);
        if !read {
            self.sessions.begins_to_read(id);
        }
        self.fanout.charge(self.roster.subscribers().count());
        self.announce(turn, id);
        if first {
            self.fanout.charge(self.roster.publishers().count());
            self.come_online(turn, id);
        }
        turn.env.modules.presence_changed(self, turn, id);
        self.drain_offline(turn);
    }

    /// RFC 6121 4.2: what a first presence sets in motion.
    fn come_online(&self, turn: &mut Turn<'_>, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let (jid, sink) = (session.jid.clone(), session.sink.clone());
        for contact in self.roster.publishers().filter(|jid| !self.blocks(jid)) {
            let probe = probe_stanza(&jid, contact);
            turn.route_element(&jid, contact, &probe);
        }
        for other in self.sessions.available().filter(|other| other.id != id) {
            if let Some(availability) = &other.availability {
                let (bytes, rec) = addressed(&availability.stanza, jid.as_str());
                turn.deliver(&sink, &jid, &bytes, rec);
            }
        }
        for (contact, item) in self.roster.all() {
            if let Some(request) = item.pending_in.as_ref().filter(|_| !self.blocks(contact)) {
                turn.deliver_bytes(&sink, &jid, request.clone());
            }
        }
    }

    /// Tells subscribers and the account's own available sessions of a session's presence (RFC 6121
    /// 4.2.2, 4.4.2).
    fn announce(&self, turn: &mut Turn<'_>, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if let Some(availability) = &session.availability {
            self.tell_subscribers(turn, &session.jid, &availability.stanza);
            self.tell_own_sessions(turn, &availability.stanza);
        }
    }

    /// One buffer holds the stanza once for each subscriber, with its address.
    fn tell_subscribers(&self, turn: &mut Turn<'_>, from: &Arc<Jid>, stanza: &Bytes) {
        let Some(rec) = parse_rec(stanza) else { return };
        let subscribers: Vec<&Arc<Jid>> = self
            .roster
            .subscribers()
            .filter(|contact| !self.blocks(contact))
            .collect();
        let mut out = Vec::with_capacity(subscribers.len() * (stanza.len() + 48));
        let recs: Vec<Rec> = subscribers
            .iter()
            .map(|to| rewrite_head(stanza, &rec, &to_only(to.as_str()), &mut out))
            .collect();
        let buf = Bytes::from(out);
        for (to, rec) in subscribers.into_iter().zip(recs) {
            turn.route(from, to, &buf, rec);
        }
    }

    fn tell_own_sessions(&self, turn: &mut Turn<'_>, stanza: &Bytes) {
        let (bytes, rec) = addressed(stanza, self.jid().as_str());
        for session in self.sessions.available() {
            turn.deliver(&session.sink, &session.jid, &bytes, rec);
        }
    }

    /// A session goes, but its stream stays (RFC 6121 4.5).
    fn leave(&mut self, turn: &mut Turn<'_>, id: SessionId, buf: &Bytes, rec: Rec) {
        let stanza = Bytes::copy_from_slice(rec.bytes(buf));
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let (jid, was_available) = (session.jid.clone(), session.availability.is_some());
        if was_available {
            self.fanout.charge(self.roster.subscribers().count());
            self.tell_subscribers(turn, &jid, &stanza);
            // The leaving session is still among the available ones, and hears of it (RFC 6121
            // 4.5.2).
            self.tell_own_sessions(turn, &stanza);
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.availability = None;
        let directed = std::mem::take(&mut session.directed);
        turn.remember(session);
        self.tell_directed(turn, &jid, directed, &stanza);
        turn.env.modules.presence_changed(self, turn, id);
    }

    /// A session is gone (RFC 6121 4.5.3): what it would have said itself.
    pub(super) fn session_gone(&mut self, turn: &mut Turn<'_>, session: &Session) {
        let stanza = Element::new("presence", ns::CLIENT)
            .with_attr("from", session.jid.as_str())
            .with_attr("type", "unavailable")
            .to_bytes();
        if session.availability.is_some() {
            self.fanout.charge(self.roster.subscribers().count());
            self.tell_subscribers(turn, &session.jid, &stanza);
            self.tell_own_sessions(turn, &stanza);
        }
        self.tell_directed(turn, &session.jid, session.directed.clone(), &stanza);
    }

    /// RFC 6121 4.6.3: whoever got directed presence learns of the end, unless it did already as a
    /// subscriber.
    fn tell_directed(
        &self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        directed: impl IntoIterator<Item = Arc<Jid>>,
        stanza: &Bytes,
    ) {
        for to in directed {
            if !self.roster.is_subscriber(&to) {
                let (bytes, rec) = addressed(stanza, to.as_str());
                turn.route(from, &to, &bytes, rec);
            }
        }
    }

    /// Whom a session showed itself directly, and who may not see it any more, is told that it
    /// left.
    pub(crate) fn end_directed(&mut self, turn: &mut Turn<'_>, ends: impl Fn(&Jid) -> bool) {
        for session in self.sessions.iter_mut() {
            let known = session.directed.len();
            let ended: Vec<_> = session
                .directed
                .iter()
                .filter(|to| ends(to))
                .cloned()
                .collect();
            for to in ended {
                session.directed.remove(&to);
                let stanza = unavailable_stanza(&session.jid, &to);
                turn.route_element(&session.jid, &to, &stanza);
            }
            if known > session.directed.len() {
                turn.remember(session);
            }
        }
    }

    /// Presence with an address (RFC 6121 4.6).
    pub(super) fn direct_presence(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        let directed_max = turn.options.directed_presence_max as usize;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if rec.stanza_type == StanzaType::Unavailable {
            session.directed.remove(to);
        } else if session.directed.len() < directed_max || session.directed.contains(to) {
            session.directed.insert(to.clone());
        } else {
            let error = StanzaError::new(Condition::PolicyViolation)
                .with_text("directed presence to too many addresses");
            return self.refuse(turn, id, buf, rec, &error);
        }
        let from = session.jid.clone();
        turn.remember(session);
        turn.route(&from, to, buf, rec);
    }

    /// Presence that somebody sends here.
    pub(super) fn arrive_presence(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) {
        match rec.stanza_type {
            StanzaType::None | StanzaType::Unavailable | StanzaType::Error => {
                self.show_presence(turn, to, buf, rec);
            }
            StanzaType::Probe => self.answer_probe(turn, from, to),
            _ => self.arrive_subscription(turn, from, buf, rec),
        }
    }

    fn show_presence(&self, turn: &mut Turn<'_>, to: &Arc<Jid>, buf: &Bytes, rec: Rec) {
        match to.resource() {
            Some(resource) => {
                if let Some(session) = self.sessions.by_resource(resource) {
                    turn.deliver(&session.sink, &session.jid, buf, rec);
                }
            }
            None if rec.stanza_type == StanzaType::Error => {}
            None => {
                for session in self.sessions.available() {
                    turn.deliver(&session.sink, &session.jid, buf, rec);
                }
            }
        }
    }

    /// RFC 6121 4.3.2: only those who may see it get an answer; others are told that they may not.
    fn answer_probe(&self, turn: &mut Turn<'_>, from: &Arc<Jid>, to: &Arc<Jid>) {
        if !self.roster.is_subscriber(from) && !self.jid().same_bare(from) {
            let refusal = subscription_stanza(self.jid(), from, Step::Unsubscribed);
            turn.route_element(self.jid(), &Arc::new(from.to_bare()), &refusal);
            return;
        }
        let wanted = to.resource();
        for session in self.sessions.available() {
            if wanted.is_none_or(|resource| session.jid.resource() == Some(resource)) {
                self.send_one_availability(turn, session, from);
            }
        }
    }

    /// Sends the presence of all available sessions to somebody who may see it from now on.
    pub(crate) fn send_availability(&self, turn: &mut Turn<'_>, to: &Arc<Jid>) {
        for session in self.sessions.available() {
            self.send_one_availability(turn, session, to);
        }
    }

    fn send_one_availability(&self, turn: &mut Turn<'_>, session: &Session, to: &Arc<Jid>) {
        if let Some(availability) = &session.availability {
            let (bytes, rec) = addressed(&availability.stanza, to.as_str());
            turn.route(&session.jid, to, &bytes, rec);
        }
    }

    /// Tells somebody who may not see it any more that every session is gone.
    pub(crate) fn send_unavailability(&self, turn: &mut Turn<'_>, to: &Arc<Jid>) {
        for session in self.sessions.available() {
            let stanza = unavailable_stanza(&session.jid, to);
            turn.route_element(&session.jid, to, &stanza);
        }
    }

    /// Asks a contact's account for its presence, for all sessions that are here.
    pub(crate) fn probe(&self, turn: &mut Turn<'_>, contact: &Arc<Jid>) {
        for session in self.sessions.available() {
            let probe = probe_stanza(&session.jid, contact);
            turn.route_element(&session.jid, contact, &probe);
        }
    }
}

impl Availability {
    /// Reads a presence; `None` when its priority is not one (RFC 6121 4.7.2.3).
    pub(super) fn read(stanza: &[u8]) -> Option<Self> {
        let element = Element::parse(stanza).ok()?;
        let stanza = Bytes::copy_from_slice(stanza);
        // What another node has sent need not be canonical.
        parse_rec(&stanza)?;
        let text = |name| element.child(name, ns::CLIENT).map(Element::text);
        let priority = match text("priority").as_deref().map(str::trim) {
            None | Some("") => 0,
            Some(number) => number.parse().ok()?,
        };
        let show = text("show").unwrap_or_default();
        Some(Self {
            stanza,
            priority,
            show,
        })
    }
}

fn probe_stanza(from: &Jid, to: &Jid) -> Element {
    Element::new("presence", ns::CLIENT)
        .with_attr("from", from.as_str())
        .with_attr("to", to.as_str())
        .with_attr("type", "probe")
}

fn unavailable_stanza(from: &Jid, to: &Jid) -> Element {
    Element::new("presence", ns::CLIENT)
        .with_attr("from", from.as_str())
        .with_attr("to", to.as_str())
        .with_attr("type", "unavailable")
}

fn to_only(to: &str) -> HeadChanges<'_> {
    HeadChanges {
        to: Some(to),
        ..HeadChanges::default()
    }
}

/// A stanza of our own with another address.
fn addressed(stanza: &Bytes, to: &str) -> (Bytes, Rec) {
    let rec = parse_rec(stanza).expect("presence is kept in canonical form");
    let mut out = Vec::with_capacity(stanza.len() + to.len() + 8);
    let rec = rewrite_head(stanza, &rec, &to_only(to), &mut out);
    (out.into(), rec)
}
