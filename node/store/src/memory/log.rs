//! Logs in memory.

use std::ops::Bound;

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::{Owner, State};
use crate::limits::{PAGE_ENTRIES_MAX, RECENT_ENTRIES, SEARCH_ENTRIES_MAX};
use crate::log::{
    Append, Key, LogEntry, LogQuery, LogRange, LogSearch, Marks, Origin, Place, Position, Recent,
};

/// A stanza and the one or two places that it still has.
#[derive(Debug)]
pub(super) struct Body {
    places: Vec<Place>,
    stanza: Bytes,
    received: Timestamp,
    origin: Option<Origin>,
}

impl Body {
    /// What the stanza is for in the log of `jid`: an entry is in one log once.
    fn marks(&self, jid: &Jid) -> Marks {
        let place = self.places.iter().find(|place| place.owner == *jid);
        place.map_or(Marks::NONE, |place| place.marks)
    }
}

impl State {
    pub(super) fn append(&mut self, append: Append) {
        let id = self.next_body;
        self.next_body += 1;
        let bytes = append.stanza.len();
        let is_free = |place: &&Place| self.owner_mut(&place.owner).take(place.position, id, bytes);
        let places: Vec<Place> = append.places().filter(is_free).cloned().collect();
        if !places.is_empty() {
            let Append {
                stanza,
                received,
                origin,
                ..
            } = append;
            self.bodies.insert(
                id,
                Body {
                    places,
                    stanza,
                    received,
                    origin,
                },
            );
        }
    }

    pub(super) fn read_log(&self, jid: &Jid, query: LogQuery) -> Vec<LogEntry> {
        let Some(owner) = self.owners.get(jid) else {
            return Vec::new();
        };
        let limit = query.limit.min(PAGE_ENTRIES_MAX);
        let after = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let before = query.before.map_or(Bound::Unbounded, Bound::Excluded);
        if let (Some(after), Some(before)) = (query.after, query.before)
            && before <= after
        {
            return Vec::new();
        }
        let inside = owner.log.range((after, before));
        let wanted = |(position, id): (&Position, &u64)| {
            let entry = self.entry(jid, *position, *id)?;
            query.wants(entry.marks, entry.received).then_some(entry)
        };
        if query.newest_first {
            inside.rev().filter_map(wanted).take(limit).collect()
        } else {
            inside.filter_map(wanted).take(limit).collect()
        }
    }

    pub(super) fn find_log(&self, jid: &Jid, search: LogSearch) -> Vec<LogEntry> {
        let Some(owner) = self.owners.get(jid) else {
            return Vec::new();
        };
        let before = search.before.map_or(Bound::Unbounded, Bound::Excluded);
        let newest = owner.log.range((Bound::Unbounded, before)).rev();
        let entries = newest
            .take(search.among.min(SEARCH_ENTRIES_MAX))
            .filter_map(|(position, id)| self.entry(jid, *position, *id));
        let is_meant = |entry: &LogEntry| {
            entry.marks.contains(Marks::ARCHIVED) && Key::of(&entry.stanza) == Some(search.key)
        };
        entries.filter(is_meant).take(search.limit).collect()
    }

    pub(super) fn replace_log(&mut self, jid: &Jid, position: Position, stanza: Bytes) -> bool {
        let Some(entry) = self
            .owners
            .get(jid)
            .and_then(|owner| owner.log.get(&position))
            .and_then(|id| self.entry(jid, position, *id))
        else {
            return false;
        };
        self.remove_log(jid, LogRange::only(position));
        let append = Append::new(jid.clone(), position, stanza, entry.received);
        self.append(append.of(entry.origin).marked(entry.marks));
        true
    }

    fn entry(&self, jid: &Jid, position: Position, id: u64) -> Option<LogEntry> {
        let body = self.bodies.get(&id)?;
        Some(LogEntry {
            position,
            received: body.received,
            stanza: body.stanza.clone(),
            origin: body.origin,
            marks: body.marks(jid),
        })
    }

    /// How many entries above `delivered` wait to be delivered.
    pub(super) fn owed(&self, jid: &Jid, delivered: Option<Position>) -> u64 {
        let Some(owner) = self.owners.get(jid) else {
            return 0;
        };
        let above = delivered.map_or(Bound::Unbounded, Bound::Excluded);
        let inside = owner.log.range((above, Bound::Unbounded));
        let is_owed = |id: &u64| {
            let body = self.bodies.get(id);
            body.is_some_and(|body| body.marks(jid).contains(Marks::OWED))
        };
        inside.filter(|(_, id)| is_owed(id)).count() as u64
    }

    /// The newest entries that have an origin, newest first.
    pub(super) fn recent(&self, jid: &Jid, owner: &Owner) -> Vec<Recent> {
        let newest = owner.log.iter().rev().take(RECENT_ENTRIES);
        let recent = |(position, id): (&Position, &u64)| {
            let body = self.bodies.get(id)?;
            Some(Recent {
                position: *position,
                origin: body.origin?,
                marks: body.marks(jid),
            })
        };
        newest.filter_map(recent).collect()
    }

    pub(super) fn remove_log(&mut self, jid: &Jid, range: LogRange) -> u64 {
        let Some(owner) = self.owners.get(jid) else {
            return 0;
        };
        let packed = range.packed();
        let is_meant = |(position, id): &(&Position, &u64)| {
            let body = self.bodies.get(id);
            packed.contains(&position.pack())
                && body.is_none_or(|body| range.takes(body.marks(jid)))
        };
        let inside = owner.log.iter().filter(is_meant);
        let taken: Vec<(Position, u64)> = inside.map(|(position, id)| (*position, *id)).collect();
        for (position, id) in &taken {
            self.release(jid, *position, *id);
        }
        taken.len() as u64
    }

    /// The entry `position` of `jid` is gone: its stanza goes when that was its last place.
    fn release(&mut self, jid: &Jid, position: Position, id: u64) {
        let Some(body) = self.bodies.get_mut(&id) else {
            return;
        };
        body.places
            .retain(|place| place.owner != *jid || place.position != position);
        let bytes = body.stanza.len();
        if body.places.is_empty() {
            self.bodies.remove(&id);
        }
        if let Some(owner) = self.owners.get_mut(jid) {
            owner.drop_entry(position, bytes);
        }
    }

    pub(super) fn expire_log(&mut self, older_than: Timestamp) -> u64 {
        let is_old = |(_, body): &(&u64, &Body)| body.received < older_than;
        let old: Vec<u64> = self
            .bodies
            .iter()
            .filter(is_old)
            .map(|(id, _)| *id)
            .collect();
        let old: Vec<Body> = old.iter().filter_map(|id| self.bodies.remove(id)).collect();
        for body in &old {
            for place in &body.places {
                self.owner_mut(&place.owner)
                    .drop_entry(place.position, body.stanza.len());
            }
        }
        old.len() as u64
    }
}

impl Owner {
    /// Gives `position` to the stanza `id`, if it is free.
    fn take(&mut self, position: Position, id: u64, stanza_bytes: usize) -> bool {
        if self.log.contains_key(&position) {
            return false;
        }
        self.log.insert(position, id);
        self.log_high = self.log_high.max(Some(position));
        self.usage.entries += 1;
        self.usage.bytes += stanza_bytes as u64;
        true
    }

    fn drop_entry(&mut self, position: Position, stanza_bytes: usize) {
        self.log.remove(&position);
        self.usage.entries -= 1;
        self.usage.bytes -= stanza_bytes as u64;
    }
}
