//! What an account archives (XEP-0313 3, XEP-0441): each message that it sends, and each that it receives, once, as an
//! entry of its log.
//!
//! ```text
//! sent ─────► put aside (ARCHIVED) ─► routed            at the end of the frame: one Append for all
//! received ─► somebody reads: put aside (ARCHIVED), delivered with its <stanza-id/>
//!             nobody does:    one entry (OWED and ARCHIVED), delivered later with its <stanza-id/>
//! ```
//!
//! The receipt of the frame is held until the append is durable, so what is acknowledged is archived. What was sent on
//! or delivered and is refused by the store can be neither taken back nor bounced: the store is asked again each
//! second, and while too much waits for it new messages are refused. A message to the account itself is archived where
//! it arrives.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use rookery_store::StoreError;
use rookery_store::log::{Marks, Position};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::{Flags, Rec, StanzaType, append_child};
use rookery_xmpp::stanza_error::StanzaError;

use super::Account;
use super::appending::Kept;
use super::budget::Budget;
use super::carbons::Given;
use super::offline::{is_kept, store_refusal};
use super::retention::Size;
use super::settling::Waiting;
use super::unsure::is_alone;
use crate::ArchiveDefault;
use crate::modules::Stanza;
use crate::modules::retraction::Retraction;
use crate::shard::Turn;

/// What an account archives, and who asks for it.
#[derive(Default)]
pub(crate) struct Archiving {
    /// What it has said; without a word of its own the server's default holds.
    pub(crate) preferences: Option<Box<Preferences>>,
    /// Queries that are under way.
    pub(crate) queries: u32,
    /// Those of them that wait for what is on its way into the log.
    pub(super) waiting: Vec<Waiting>,
    /// Entries that they looked at for nothing.
    pub(crate) searched: Budget,
    /// How much it holds.
    pub(super) size: Size,
}

/// With whom an account's messages are archived (XEP-0441 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// For whom neither list names.
    pub(crate) default: ArchiveDefault,
    /// Always.
    pub(crate) always: BTreeSet<Jid>,
    /// Never.
    pub(crate) never: BTreeSet<Jid>,
}

impl Account {
    /// Whether a message to or from this address belongs to the archive.
    pub(super) fn archives(&self, turn: &Turn<'_>, contact: &Jid, buf: &[u8], rec: Rec) -> bool {
        match &self.archiving.preferences {
            None => {
                let default = turn.env.archive.load().default;
                default != ArchiveDefault::Never
                    && is_archived(buf, rec)
                    && self.archives_by(default, contact)
            }
            Some(preferences) => {
                is_archived(buf, rec)
                    && match preferences.says(contact) {
                        Some(word) => word,
                        None => self.archives_by(preferences.default, contact),
                    }
            }
        }
    }

    fn archives_by(&self, default: ArchiveDefault, contact: &Jid) -> bool {
        match default {
            ArchiveDefault::Never => false,
            // What an account writes to itself is between its own clients.
            ArchiveDefault::Roster => {
                self.jid().same_bare(contact) || self.roster.get(contact).is_some()
            }
            ArchiveDefault::Always => true,
        }
    }

    /// Archives what a session sends, if it is archived at all, and gives its place. An error is to be told to the
    /// session, and nothing is sent.
    pub(super) fn archive_sent(
        &mut self,
        turn: &mut Turn<'_>,
        stanza: Stanza<'_>,
    ) -> Result<Option<Position>, StanzaError> {
        let Some(to) = stanza
            .to
            .filter(|to| self.archives(turn, to, stanza.buf, stanza.rec))
        else {
            return Ok(None);
        };
        let is_host = to.local().is_none() && turn.env.is_local(to.domain());
        if self.jid().same_bare(to) || is_host {
            return Ok(None);
        }
        let Stanza { buf, rec, from, .. } = stanza;
        let retraction = self.retraction(from, buf, rec)?;
        let position = match self.archived_before(turn, buf) {
            Some(position) => position,
            None => self.put_aside(turn, (from, to), buf, rec, Marks::ARCHIVED)?,
        };
        self.retracts(turn, (from, to), retraction, Some(position));
        Ok(Some(position))
    }

    /// Where the log ends for who reads it: what is above is on its way, and may still come in any order.
    pub(crate) fn log_end(&self) -> Option<Position> {
        self.offline.settled_below()
    }

    /// Whether nothing can come any more between the entries of a page that ends with this one; none if there is no
    /// end to it.
    pub(crate) fn is_stable_through(&self, last: Option<Position>, now: Timestamp) -> bool {
        let open = self.offline.open_from(now);
        open.is_none_or(|open| last.is_some_and(|last| last < open))
    }

    /// Where an earlier owner of the shard has archived the stanza that is being handled.
    fn archived_before(&self, turn: &Turn<'_>, buf: &Bytes) -> Option<Position> {
        self.repeats.archived_at(turn.origin_of(buf)?)
    }

    /// Handles a message that arrives and belongs to the archive: as any other (RFC 6121 8.5), but with an entry in the
    /// log, and its id on what sessions get. Says who is given it, and in which form if that is another one.
    pub(super) fn arrive_archived(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Arc<Jid>,
        to: &Arc<Jid>,
        buf: &Bytes,
        rec: Rec,
    ) -> (Given, Option<(Bytes, Rec)>) {
        let retraction = match self.retraction(from, buf, rec) {
            Ok(retraction) => retraction,
            Err(error) => {
                turn.bounce(from, to, buf, rec, &error);
                return (Given::Nobody, None);
            }
        };
        let resource = to.resource();
        let session = resource.and_then(|resource| self.sessions.by_resource(resource));
        let session = session.filter(|session| !self.must_stay_behind(session, turn.now));
        let direct = session.map(|session| (session.id, session.sink.clone(), session.jid.clone()));
        let is_read = self.sessions.readers(turn.now).next().is_some();
        let waits = direct.is_none() && (self.offline.holds_any() || !is_read);
        let position = match self.archived_before(turn, buf) {
            Some(position) => position,
            None if waits => {
                let marks = Marks::OWED | Marks::ARCHIVED;
                let position = self.keep_offline(turn, from, to, buf, rec, marks);
                if position.is_some() {
                    self.retracts(turn, (from, to), retraction, position);
                }
                return (Given::Log, None);
            }
            None => {
                let is_unsure = match &direct {
                    Some((_, sink, _)) => is_alone(turn, sink),
                    None => self.has_reader_alone(turn),
                };
                let marks = match is_unsure {
                    true => Marks::OWED | Marks::ARCHIVED,
                    false => Marks::ARCHIVED,
                };
                match self.put_aside(turn, (from, to), buf, rec, marks) {
                    Ok(position) => position,
                    Err(error) => {
                        turn.bounce(from, to, buf, rec, &error);
                        return (Given::Nobody, None);
                    }
                }
            }
        };
        self.retracts(turn, (from, to), retraction, Some(position));
        let (buf, rec) = identified(buf, rec, self.jid(), position);
        turn.replaced(&buf);
        turn.logged = self.place_if_unsure(position);
        let given = match direct {
            Some((id, sink, jid)) => {
                turn.deliver(&sink, &jid, &buf, rec);
                Given::To(id)
            }
            None if waits => {
                self.keep_offline(turn, from, to, &buf, rec, Marks::OWED);
                Given::Log
            }
            None => {
                self.deliver_to_all(turn, &buf, rec);
                Given::Readers
            }
        };
        turn.logged = None;
        (given, Some((buf, rec)))
    }

    /// Gives a message a place in the log; it is written at the end of the frame, and sent on or delivered at once.
    pub(super) fn put_aside(
        &mut self,
        turn: &Turn<'_>,
        (from, to): (&Arc<Jid>, &Arc<Jid>),
        buf: &Bytes,
        rec: Rec,
        marks: Marks,
    ) -> Result<Position, StanzaError> {
        let bytes = rec.bytes(buf);
        let (entries, held) = self.offline.archiving;
        let most = (
            u64::from(turn.options.waiting_stanzas_max),
            turn.options.waiting_bytes_max as usize,
        );
        if entries >= most.0 || held + bytes.len() > most.1 {
            return Err(store_refusal(&StoreError::Busy));
        }
        let position = self.offline.take_position();
        let position = position.map_err(|error| store_refusal(&error))?;
        self.offline.archiving = (entries + 1, held + bytes.len());
        self.offline.batch.push(Kept {
            from: from.clone(),
            to: to.clone(),
            position,
            bytes: Bytes::copy_from_slice(bytes),
            rec: rec.moved_to(0),
            origin: turn.origin_of(buf),
            marks,
            is_given: true,
            is_told: false,
        });
        if marks.contains(Marks::OWED) {
            let is_archived = marks.contains(Marks::ARCHIVED);
            self.offline.gives_unsure(position, turn.now, is_archived);
        }
        Ok(position)
    }

    /// These are in the archive for good, and nobody waits for them.
    pub(super) fn archived(&mut self, kept: &[Kept]) {
        let bytes: usize = kept.iter().map(|message| message.bytes.len()).sum();
        self.offline.archiving.0 -= kept.len() as u64;
        self.offline.archiving.1 -= bytes;
        // What sessions are not sure to have is passed when they are.
        let is_passed = |it: &&Kept| it.marks == Marks::ARCHIVED;
        self.offline.passed += kept.iter().filter(is_passed).count() as u64;
    }
}

impl Preferences {
    /// The same for everybody.
    pub(crate) fn all(default: ArchiveDefault) -> Self {
        Self {
            default,
            always: BTreeSet::new(),
            never: BTreeSet::new(),
        }
    }

    /// What the lists say of an address (XEP-0441 2.3.1): one with a resource means that one only.
    fn says(&self, contact: &Jid) -> Option<bool> {
        let names = |list: &BTreeSet<Jid>| {
            !list.is_empty()
                && (list.contains(contact.as_str()) || list.contains(contact.bare_str()))
        };
        if names(&self.never) {
            return Some(false);
        }
        names(&self.always).then_some(true)
    }
}

/// What an archive is for: chat that says something, and of other messages those with a body, receipts and markers,
/// which need no type (XEP-0184 7, XEP-0333 4.2), unless the sender asked otherwise (XEP-0313 3, XEP-0334 4), and
/// retractions (XEP-0424 5). Rooms have archives of their own.
fn is_archived(buf: &[u8], rec: Rec) -> bool {
    let flags = rec.flags;
    let of_any_type =
        Flags::BODY | Flags::RECEIPT | Flags::MARKER | Flags::ENCRYPTED | Flags::STORE;
    let says_something = match rec.stanza_type {
        StanzaType::Chat => flags.intersects(of_any_type | Flags::SUBJECT | Flags::OTHER_CHILD),
        StanzaType::None | StanzaType::Normal | StanzaType::Unknown => {
            flags.intersects(of_any_type) || Retraction::find(buf, rec).is_some()
        }
        _ => false,
    };
    says_something && is_kept(flags) && !flags.contains(Flags::NO_PERMANENT_STORE)
}

/// The id of an archived message for its account's clients (XEP-0359 2.1, XEP-0313 3.6).
pub(super) fn stanza_id(account: &Jid, position: Position) -> Element {
    Element::new("stanza-id", ns::STANZA_IDS)
        .with_attr("by", account.as_str())
        .with_attr("id", archive_id(position))
}

/// The id of an entry, for clients: 16 hexadecimal digits, in the order of the archive, and good for as long as the
/// entry, whoever serves the account.
pub(crate) fn archive_id(position: Position) -> String {
    format!("{:016x}", position.pack())
}

/// The entry that [`archive_id`] names: one text for one position.
pub(crate) fn position_of(id: &str) -> Option<Position> {
    let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() != 16 || !id.bytes().all(digits) {
        return None;
    }
    Position::unpack(i64::from_str_radix(id, 16).ok()?).ok()
}

/// The message with the id of its place in the account's archive, for its account's clients alone (XEP-0313 3.6).
pub(super) fn identified(buf: &Bytes, rec: Rec, account: &Jid, position: Position) -> (Bytes, Rec) {
    let (mut child, mut out) = (Vec::new(), Vec::new());
    stanza_id(account, position).write(&mut child);
    let rec = append_child(buf, &rec, &child, &mut out);
    (out.into(), rec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_one_position_and_has_one_spelling() {
        let position = Position::new(7, 42).unwrap();
        assert_eq!(archive_id(position), "000007000000002a");
        assert_eq!(position_of("000007000000002a"), Some(position));
        let lowest = Position::unpack(0).unwrap();
        assert_eq!(position_of(&archive_id(lowest)), Some(lowest));
        for wrong in [
            "",
            "7-42",
            "000007000000002A",
            "00007000000002a",
            "0000007000000002a",
            "+00007000000002a",
            "ffffffffffffffff",
        ] {
            assert_eq!(position_of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_lists_go_by_resource_where_they_name_one() {
        let jid = |text| Jid::parse(text).unwrap();
        let preferences = Preferences {
            default: ArchiveDefault::Roster,
            always: [jid("romeo@montague.example"), jid("paris@example/work")].into(),
            never: [jid("romeo@montague.example/phone")].into(),
        };
        let says = |text| preferences.says(&jid(text));
        assert_eq!(says("romeo@montague.example/orchard"), Some(true));
        assert_eq!(says("romeo@montague.example/phone"), Some(false));
        assert_eq!(says("paris@example/work"), Some(true));
        assert_eq!(says("paris@example"), None);
    }
}
