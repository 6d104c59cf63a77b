//! Streams whose sessions no node serves, kept in the store while their shard has no owner.
//!
//! ```text
//! shard is given up, or its process stops ──► a document for each stream that waits for its client
//! next owner reads them ──► the session is there again, detached ──► resumed, or its time is up ──► document deleted
//! ```
//!
//! Other streams have a node that announces them. Where that alone would have what its client has not got, there is a
//! document that says that the stream goes on: without its node nobody can, and what is in it is for others. The
//! documents of a shard belong to an owner of their own, so that the next owner of the shard finds them without knowing
//! whose they are. What is in one stays there until the stream has gone on, its client has got it, or it is in the log.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::Seen;
use rookery_session::carrier::{
    Bell, Delivered, Kept, Origin, Origins, Receipt, SessionId, ShardId, SinkRef,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, parse_rec};

use super::mirror::Mirror;
use super::mirror_bounds::Bounds;
use super::stored::{Stored, WriteId, Written};
use super::stream::Stream;
use super::{Account, Session, Work, unsure};
use crate::shard::{Request, Then, Turn};

/// The namespace of the documents; another form gets another one.
const NS: &str = "urn:rookery:stream:2";

/// Their collection.
pub(crate) const COLLECTION: &str = "streams";

/// Whose documents the streams of a shard are: nobody's, for `.invalid` is no domain (RFC 6761 6.4).
pub(crate) fn owner(shard: ShardId) -> Jid {
    let name = format!("shard-{}.invalid", shard.0);
    name.parse().expect("a domain of ASCII letters")
}

/// A stream that waits for its client.
#[derive(Clone, Debug)]
pub(crate) struct Stranded {
    /// The session that it was last.
    pub(super) session: SessionId,
    /// Its full JID.
    pub(super) jid: Arc<Jid>,
    /// Where its client connected from.
    pub(super) address: IpAddr,
    /// When it ends without its client.
    pub(super) ends: Timestamp,
    /// It has gone on as this session: its node knows of what its client has said since, and this does not.
    pub(super) goes_on: bool,
    /// [`Session::remembered`].
    pub(super) state: Bytes,
    /// What its client has sent and got.
    pub(super) kept: Kept,
    /// What its client has sent that has not been dealt with, by number: where its node is lost as well nobody else
    /// has it, and what was done behind it cannot be told apart.
    pub(super) undone: Vec<(u64, Bytes)>,
}

impl Stranded {
    /// A session with what is known of its stream, which waits.
    pub(super) fn of(session: &Session, kept: Kept, ends: Timestamp) -> Self {
        let stream = session.stream.as_ref();
        Self {
            undone: stream.map_or_else(Vec::new, Stream::undone),
            session: session.id,
            jid: session.jid.clone(),
            address: session.address,
            ends,
            goes_on: false,
            state: session.remembered(),
            kept,
        }
    }

    /// The stream goes on as this session.
    pub(super) fn going_on_as(mut self, session: SessionId) -> Self {
        (self.session, self.goes_on) = (session, true);
        // Its node has that, and says it again.
        self.undone = Vec::new();
        self
    }

    /// What is known of its document, for it is in the store.
    pub(super) fn stored(&self) -> Stored {
        let goes_on = self.goes_on.then_some(self.session);
        Stored::found(self.kept.sent(), goes_on)
    }

    /// As a document.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let kept = &self.kept;
        let mut stream = Element::new("stream", NS)
            .with_attr("id", kept.id.as_str())
            .with_attr("jid", self.jid.as_str())
            .with_attr("session", text(self.session))
            .with_attr("address", self.address.to_string())
            .with_attr("ends", self.ends.0.to_string())
            .with_attr("next", kept.next_stanza.to_string())
            .with_attr("h", kept.h.to_string())
            .with_attr("acked", kept.acked.to_string());
        if kept.again > 0 {
            let (again, submitted) = (kept.again.to_string(), kept.submitted.to_string());
            stream = stream
                .with_attr("again", again)
                .with_attr("submitted", submitted);
        }
        if self.goes_on {
            stream = stream.with_attr("goes-on", "true");
        }
        if let Ok(state) = Element::parse(&self.state) {
            stream = stream.with_child(state);
        }
        for (session, next, came) in kept.seen.told() {
            let seen = Element::new("seen", NS)
                .with_attr("session", text(session))
                .with_attr("next", next.to_string())
                .with_attr("came", came.to_string());
            stream = stream.with_child(seen);
        }
        for (number, stanza) in &self.undone {
            let undone = Element::new("undone", NS).with_attr("number", number.to_string());
            stream = stream.with_child(undone.with_text(&String::from_utf8_lossy(stanza)));
        }
        for delivered in &kept.unacked {
            for at in 0..delivered.batch.recs.len() {
                stream = stream.with_child(unacked(delivered, at));
            }
        }
        stream.to_bytes()
    }

    /// From a document; `None` if it is not one.
    pub(crate) fn parse(document: &[u8]) -> Option<Self> {
        let stream = Element::parse(document).ok()?;
        if !stream.is("stream", NS) {
            return None;
        }
        let number = |name| stream.attr(name)?.parse::<u64>().ok();
        let state = stream.elements().find(|child| child.name() == "session");
        let seen = stream.elements().filter(|child| child.is("seen", NS));
        let unacked = stream.elements().filter(|child| child.is("unacked", NS));
        let undone = stream.elements().filter(|child| child.is("undone", NS));
        let undone = undone.filter_map(|it| {
            let number = it.attr("number")?.parse().ok()?;
            Some((number, Bytes::from(it.text())))
        });
        let kept = Kept {
            id: stream.attr("id")?.to_owned(),
            next_stanza: number("next")?,
            again: number("again").unwrap_or(0),
            submitted: number("submitted").unwrap_or(0),
            h: number("h")? as u32,
            acked: number("acked")?,
            unacked: unacked.filter_map(read_unacked).collect(),
            seen: Seen::heard(seen.filter_map(read_seen)),
        };
        Some(Self {
            session: session(stream.attr("session")?)?,
            jid: Arc::new(Jid::parse(stream.attr("jid")?).ok()?),
            address: stream.attr("address")?.parse().ok()?,
            ends: Timestamp(number("ends")?),
            goes_on: stream.attr("goes-on") == Some("true"),
            state: state.map_or_else(Bytes::new, Element::to_bytes),
            kept,
            undone: undone.collect(),
        })
    }

    /// The name of the stream.
    pub(crate) fn stream(&self) -> &str {
        &self.kept.id
    }

    /// The account's bare JID.
    pub(crate) fn account(&self) -> Jid {
        self.jid.to_bare()
    }
}

/// `<unacked number='…' arrival='…' session='…' sequence='…'>` with the text of one stanza: as an element it would be
/// deeper here than where it was allowed.
fn unacked(delivered: &Delivered, at: usize) -> Element {
    let behind = |first: u64| match first {
        0 => 0,
        first => first + at as u64,
    };
    let mut unacked = Element::new("unacked", NS)
        .with_attr("number", behind(delivered.number).to_string())
        .with_attr("arrival", behind(delivered.arrival).to_string());
    if let Some(origin) = delivered.origins.at(at) {
        unacked = unacked
            .with_attr("session", text(origin.session))
            .with_attr("sequence", origin.sequence.to_string());
    }
    if let Some(place) = delivered.logged.at(at) {
        unacked = unacked.with_attr("place", place.to_string());
    }
    let rec = delivered.batch.recs[at];
    let stanza = rec.bytes(&delivered.batch.buf);
    unacked.with_text(&String::from_utf8_lossy(stanza))
}

fn read_unacked(unacked: &Element) -> Option<Delivered> {
    let number = |name| unacked.attr(name)?.parse::<u64>().ok();
    let buf = Bytes::from(unacked.text());
    let recs = vec![parse_rec(&buf)?];
    let origin = unacked.attr("session").and_then(session);
    let origin = origin.and_then(|session| {
        let sequence = number("sequence")?;
        Some(Origin { session, sequence })
    });
    Some(Delivered {
        origins: Origins::from(origin),
        arrival: number("arrival")?,
        number: number("number")?,
        logged: number("place").and_then(NonZeroU64::new).into(),
        ..Delivered::from(Batch { buf, recs })
    })
}

fn read_seen(seen: &Element) -> Option<(SessionId, u64, u64)> {
    let number = |name| seen.attr(name)?.parse::<u64>().ok();
    let session = session(seen.attr("session")?)?;
    Some((session, number("next")?, number("came")?))
}

/// A session as text.
pub(super) fn text(session: SessionId) -> String {
    format!("{} {}", session.node, session.serial)
}

/// A session from text.
pub(super) fn session(text: &str) -> Option<SessionId> {
    let (node, serial) = text.split_once(' ')?;
    Some(SessionId {
        node: node.parse().ok()?,
        serial: serial.parse().ok()?,
    })
}

impl Account {
    /// The streams that wait for their clients, and no node serves; and those that a node serves which alone has the
    /// other copy of something, until `then`.
    pub(crate) fn stranded(&self, then: Timestamp) -> impl Iterator<Item = Stranded> {
        let needs = move |session: &Session| {
            let stream = session.stream.as_ref()?;
            let goes_on = match stream.ends {
                Some(_) => stream.stored.goes_on().filter(|_| stream.is_from_store),
                None if stream.lies_elsewhere(session.id) => return None,
                None => Some(session.id),
            };
            let ends = stream.ends.unwrap_or(then);
            let stranded = Stranded::of(session, stream.left(session.next_stanza), ends);
            Some(match goes_on {
                Some(id) => stranded.going_on_as(id),
                None => stranded,
            })
        };
        self.sessions.iter().filter_map(needs)
    }

    /// The receipts of what the clients of these streams have sent and has not been dealt with: where their node is
    /// gone, nobody sends that to the next owner of the shard.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = Receipt> {
        let streams = self.sessions.iter().filter_map(|it| it.stream.as_ref());
        let waiting = streams.filter(|stream| stream.ends.is_some());
        waiting.flat_map(Stream::unsettled)
    }

    /// No node serves the session: its stream goes into the store, for this node may be the next that is lost.
    pub(super) fn store_stream(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let session = self.sessions.get(id);
        let stream = session.and_then(|session| session.stream.as_ref());
        if let Some(ends) = stream.and_then(|stream| stream.ends) {
            self.store_until(turn, id, ends);
        }
    }

    /// The present way of a stream is over before it is decided whether another one follows. What it has not taken
    /// finds its second copy in the store: whoever wants to go on waits for the end of what the client had sent, and an
    /// error that came back for it may be among what was not taken.
    pub(super) fn way_is_over(&mut self, turn: &mut Turn<'_>, id: SessionId, ends: Timestamp) {
        let session = self.sessions.get_mut(id);
        let Some(stream) = session.and_then(|session| session.stream.as_mut()) else {
            return;
        };
        stream.is_left(None);
        let before = turn.receipt.take();
        self.store_until(turn, id, ends);
        turn.receipt = before;
    }

    pub(super) fn store_until(&mut self, turn: &mut Turn<'_>, id: SessionId, ends: Timestamp) {
        // If the store refuses, the next tick tries again.
        self.store_as(turn, id, (ends, None), |_, _, _| {});
    }

    /// Writes the document of a session's stream: as one that waits, or goes on as that session. `then` hears whether
    /// that was done; it is not as long as the one that is there must stay ([`Leaving`](super::leaving::Leaving)).
    pub(super) fn store_as(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        (ends, goes_on): (Timestamp, Option<SessionId>),
        then: impl FnOnce(&mut Self, &mut Turn<'_>, bool) + Send + 'static,
    ) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(stream) = &mut session.stream else {
            return;
        };
        if self.leaving.has(&stream.id) {
            return then(self, turn, false);
        }
        let (name, kept) = (stream.id.clone(), stream.left(session.next_stanza));
        let write = stream.stored.begins(kept.sent(), goes_on);
        let (counts_all, open) = (kept.again == 0, stream.unsettled().collect());
        let waits = Stranded::of(session, kept, ends);
        let stranded = match goes_on {
            Some(session) => waits.going_on_as(session),
            None => waits,
        };
        let request = put(turn.shard, &stranded);
        self.store_when_dealt_with(turn, (id, write), open);
        self.request_beside(turn, request, move |account, turn, reply| {
            let written = Written::from(&reply);
            if let Some(stream) = account.any_stream_named(&name) {
                stream.is_written(write, written, counts_all);
            }
            if written == Written::Refused && !account.deciding.is_quiet() {
                account.waits_for_no_store();
            }
            then(account, turn, written == Written::Done);
        });
    }

    /// The document that this write makes does not count what its client has sent with these receipts: another one does
    /// as soon as that is dealt with, unless it is written anew before.
    fn store_when_dealt_with(
        &mut self,
        turn: &mut Turn<'_>,
        (id, write): (SessionId, WriteId),
        open: Vec<Receipt>,
    ) {
        if open.is_empty() {
            return;
        }
        // It may be one of them.
        let before = turn.receipt.take();
        let bell = Request::Settled(Bell::behind(open));
        self.request_beside(turn, bell, move |account, turn, _| {
            let session = account.sessions.get(id);
            let stream = session.and_then(|session| session.stream.as_ref());
            if stream.is_some_and(|stream| stream.stored.is_last(write)) {
                account.store_stream(turn, id);
            }
        });
        turn.receipt = before;
    }

    /// A stream of this account by its name, whatever becomes of it.
    pub(super) fn any_stream_named(&mut self, name: &str) -> Option<&mut Stream> {
        let mut streams = self.sessions.iter_mut().filter_map(|it| it.stream.as_mut());
        streams.find(|stream| stream.id == name)
    }

    /// A stream that a former owner of the shard has left in the store. If its place is taken, what its client has not
    /// got is for others; if a node has announced it, it has gone on.
    pub(super) fn take_back(&mut self, turn: &mut Turn<'_>, stranded: &Stranded) {
        let Stranded {
            session, jid, kept, ..
        } = stranded;
        let named = |it: &&Session| it.stream.as_ref().is_some_and(|it| it.id == kept.id);
        let known = self.sessions.iter().find(named).map(|known| known.id);
        if let Some(known) = known {
            return self.take_back_into(turn, known, stranded);
        }
        let resource = jid.resource().unwrap_or_default();
        if self.sessions.by_resource(resource).is_some() || !self.record.may_log_in() {
            return self.leaves_stored(turn, *session, &kept.id, &kept.unacked);
        }
        let mirror = Arc::new(Mirror::stranded(*session, kept, Bounds::now(turn)));
        let sink: SinkRef = mirror.clone();
        let mut taken = Session::new(jid.clone(), sink, stranded.address, turn.now);
        taken.next_stanza = kept.next_stanza;
        taken.stream = Some(Stream::stranded(stranded, mirror, turn.now));
        taken.recall(&stranded.state);
        self.sessions.insert(taken);
        self.sessions.begins_to_read(*session);
        self.were_given(turn, &kept.unacked);
        turn.env.modules.session_bound(self, turn, *session);
        self.drain_offline(turn);
        if !stranded.goes_on && stranded.ends > turn.now {
            self.does_undone(turn, stranded);
        }
    }

    /// What had not been dealt with of what the client of a stream has sent comes from the document as its node would
    /// send it again.
    fn does_undone(&mut self, turn: &mut Turn<'_>, stranded: &Stranded) {
        for (sequence, buf) in &stranded.undone {
            let Some(rec) = parse_rec(buf) else {
                continue;
            };
            let (_, receipt) = Bell::with_receipt();
            let work = Work::Submit {
                session: stranded.session,
                from: stranded.jid.clone(),
                sequence: *sequence,
                batch: Batch {
                    buf: buf.clone(),
                    recs: vec![rec],
                },
                next: 0,
                receipt: Some(receipt),
            };
            self.work(turn, work);
        }
    }

    /// What a stream has of the log is not given to it again.
    fn were_given(&mut self, turn: &Turn<'_>, unacked: &[Delivered]) {
        for delivered in unacked {
            for at in 0..delivered.batch.recs.len() {
                let has_origin = delivered.origins.at(at).is_some();
                if let Some(position) = delivered.logged.at(at).and_then(unsure::position) {
                    self.offline.was_given(position, has_origin, turn.now);
                }
            }
        }
    }

    /// A node has announced the stream: it may not have been given all that is in the store.
    fn take_back_into(&mut self, turn: &mut Turn<'_>, id: SessionId, stranded: &Stranded) {
        let session = self.sessions.get_mut(id);
        let Some(stream) = session.and_then(|session| session.stream.as_mut()) else {
            return;
        };
        let clashing = stream.has_in_store(stranded);
        if !clashing.is_empty() {
            self.leaves_stored(turn, id, &stranded.kept.id, &clashing);
        }
        self.is_served(turn, id);
    }
}

/// Keeps a stream as a document of its shard.
pub(crate) fn put(shard: ShardId, stranded: &Stranded) -> Request {
    Request::PutDocument {
        owner: owner(shard),
        collection: COLLECTION,
        key: stranded.stream().to_owned(),
        document: stranded.to_bytes(),
    }
}

/// Deletes the document of a stream. One that stays is of a stream that is over, or has gone on: it ends by its time.
pub(crate) fn forget(turn: &mut Turn<'_>, stream: String) {
    let request = delete(turn.shard, stream);
    turn.request(request, Then::Free(Box::new(|_, _| {})));
}

/// Deletes the document of a stream.
pub(super) fn delete(shard: ShardId, stream: String) -> Request {
    Request::DeleteDocument {
        owner: owner(shard),
        collection: COLLECTION,
        key: stream,
    }
}

#[cfg(test)]
mod tests {
    use rookery_session::carrier::Logged;
    use rookery_xmpp::element::DEPTH_MAX;
    use rookery_xmpp::stanza::Rec;

    use super::*;

    fn id(serial: u64) -> SessionId {
        SessionId { node: 3, serial }
    }

    fn delivered() -> Delivered {
        // As deep as it may be.
        let deep = |tag: &str| tag.repeat(DEPTH_MAX - 2);
        let first = format!(
            "<message from=\"a@b/c\"><body>1 &amp; 2&#13;</body>{}{}</message>",
            deep("<x>"),
            deep("</x>")
        );
        let first = first.as_str();
        let second = "<presence><x xmlns=\"y\"/></presence>";
        let buf = Bytes::from(format!("{first}{second}"));
        let at = |start: usize, text: &str| -> Rec {
            let rec = parse_rec(text.as_bytes()).expect("canonical");
            rec.moved_to(start as u32)
        };
        let recs = vec![at(0, first), at(first.len(), second)];
        Delivered {
            origins: Origins::Run(Origin {
                session: id(9),
                sequence: 5,
            }),
            arrival: 70,
            number: 8,
            logged: Logged::Each([3, 9].into()),
            ..Delivered::from(Batch { buf, recs })
        }
    }

    #[test]
    fn a_stream_comes_back_from_its_document_as_it_was() {
        let stranded = Stranded {
            session: id(1),
            jid: Arc::new("juliet@localhost/balcony".parse().expect("a JID")),
            address: [127, 0, 0, 1].into(),
            ends: Timestamp(99),
            goes_on: true,
            state: Bytes::from_static(b"<session xmlns=\"urn:rookery:session:1\" bound=\"3\"/>"),
            undone: vec![(40, Bytes::from_static(b"<message to=\"a@b\"/>"))],
            kept: Kept {
                id: "name".to_owned(),
                next_stanza: 40,
                again: 42,
                submitted: 43,
                h: u32::MAX,
                acked: 7,
                unacked: vec![delivered()],
                seen: Seen::heard([(id(9), 7, u64::MAX)]),
            },
        };
        let back = Stranded::parse(&stranded.to_bytes()).expect("it is one");
        assert_eq!((back.session, &back.jid), (stranded.session, &stranded.jid));
        assert_eq!((back.ends, back.address), (stranded.ends, stranded.address));
        assert!(back.goes_on);
        assert_eq!(back.state, stranded.state);
        assert_eq!(back.undone, stranded.undone);
        assert_eq!((back.kept.h, back.kept.acked), (u32::MAX, 7));
        assert_eq!((back.kept.again, back.kept.submitted), (42, 43));
        assert_eq!(back.kept.seen, stranded.kept.seen);
        let (before, unacked) = (delivered(), &back.kept.unacked);
        assert_eq!(unacked.len(), 2);
        for (at, stanza) in unacked.iter().enumerate() {
            let [rec] = stanza.batch.recs[..] else {
                panic!("each is alone")
            };
            let was = before.batch.recs[at].bytes(&before.batch.buf);
            assert_eq!(rec.bytes(&stanza.batch.buf), was);
            assert_eq!(
                (stanza.number, stanza.arrival),
                (8 + at as u64, 70 + at as u64)
            );
            assert_eq!(stanza.origins.at(0), before.origins.at(at));
            assert_eq!(stanza.logged.at(0), before.logged.at(at));
        }
    }

    #[test]
    fn what_is_no_stream_is_none() {
        for document in [
            "",
            "<stream/>",
            "<stream xmlns=\"urn:rookery:stream:2\" id=\"1\"/>",
        ] {
            assert!(Stranded::parse(document.as_bytes()).is_none(), "{document}");
        }
    }
}
