//! The sweep: writing the tail into the index, a share with every commit, in order of the index's key.
//!
//! Random inserts into the index would be nearly the whole cost of a message. In order of the key and some dozens an
//! owner, each visit touches one leaf. A *round* visits every owner in the tail once, and is sized in messages: with
//! each commit the share grows by the messages in it, so that a round takes about `index_round_stanzas` of them. That
//! bounds the tail, and what a start after a crash has to read. A round's end moves the mark `low` to the first
//! row that came after the round began.

use crate::log::LogUsage;
use crate::sqlite::tail::{Tail, TailEntry};

use super::Group;

/// Where the sweep stands. After a failed commit it begins anew with what is found on disk.
#[derive(Debug)]
pub(super) struct Sweep {
    /// The next owner to visit.
    next_owner: i64,
    /// The first row that came after this round began.
    round_start: i64,
    /// The last row that was appended.
    last_body: i64,
    /// Entries that may be written now, times `round_stanzas`.
    share: usize,
    /// Messages a round.
    round_stanzas: usize,
}

impl Sweep {
    /// A sweep at the start of a round, behind the row `last_body`.
    pub(super) fn new(last_body: i64, round_stanzas: u32) -> Self {
        let round_start = last_body + 1;
        let round_stanzas = round_stanzas as usize;
        Self {
            next_owner: 0,
            round_start,
            last_body,
            share: 0,
            round_stanzas,
        }
    }

    /// Writes the share that the group's own appends call for.
    ///
    /// With T entries in the tail and a round of N messages the share is 2·T/N a message. Messages
    /// with two owners add 2, so T settles at N, and so does the length of a round.
    pub(super) fn advance(&mut self, group: &mut Group<'_>, tail: &Tail) -> rusqlite::Result<()> {
        let Some((_, last)) = group.settlement.appended.last() else {
            return Ok(());
        };
        let messages = usize::try_from(last.body - self.last_body).unwrap_or(0);
        self.last_body = self.last_body.max(last.body);
        let due = 2 * messages * tail.count();
        self.share = (self.share + due).min(SHARE_MAX * self.round_stanzas);
        self.spend(group, tail)?;
        Ok(())
    }

    /// Begins to write all that is in the tail, for a store that is being closed: a round that
    /// starts now.
    pub(super) fn begin_flush(&mut self) {
        self.next_owner = 0;
        self.round_start = self.last_body + 1;
    }

    /// Writes a group's worth of the tail. Returns whether the round is over.
    pub(super) fn flush(&mut self, group: &mut Group<'_>, tail: &Tail) -> rusqlite::Result<bool> {
        self.share = SHARE_MAX * self.round_stanzas;
        self.spend(group, tail)
    }

    /// Writes the share that is allowed, or as much of it as makes whole visits. Returns whether the
    /// round is over.
    fn spend(&mut self, group: &mut Group<'_>, tail: &Tail) -> rusqlite::Result<bool> {
        loop {
            let Some((owner, entries)) = tail.next_owner(self.next_owner) else {
                self.end_round(group)?;
                return Ok(true);
            };
            let count = entries.len().min(VISIT_MAX);
            if self.share < count * self.round_stanzas {
                return Ok(false);
            }
            self.share -= count * self.round_stanzas;
            let (now, later) = entries.split_at(count);
            index_entries(group, owner, now)?;
            group.settlement.swept.push((owner, count));
            if later.iter().any(|entry| entry.body < self.round_start) {
                // The tail changes with the commit: the rest is for the next group.
                self.next_owner = owner;
                return Ok(false);
            }
            self.next_owner = owner + 1;
        }
    }

    /// Every row from before the round is indexed now.
    fn end_round(&mut self, group: &Group<'_>) -> rusqlite::Result<()> {
        group.execute(
            "UPDATE mark SET value = ?1 WHERE name = 'low'",
            [self.round_start],
        )?;
        self.next_owner = 0;
        self.round_start = self.last_body + 1;
        Ok(())
    }
}

/// Adds entries of one owner, in order of position, to the index.
fn index_entries(group: &Group<'_>, owner: i64, entries: &[TailEntry]) -> rusqlite::Result<()> {
    let mut usage = LogUsage::default();
    let mut high = 0;
    let mut insert = group.prepare(
        "INSERT OR IGNORE INTO idx (owner, pos, body, marks, received, key) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for entry in entries {
        if group.settlement.removed.contains(&(owner, entry.body)) {
            continue;
        }
        high = high.max(entry.position);
        let TailEntry { position, body, .. } = *entry;
        let (marks, received, key) = (entry.marks, entry.received, entry.key);
        if insert.execute((owner, position, body, marks, received, key))? == 1 {
            usage.entries += 1;
            usage.bytes += u64::from(entry.bytes);
        } else {
            release_if_taken(group, owner, entry)?;
        }
    }
    group.count_in(owner, usage, high)
}

/// The position is in the index: by the entry itself, found again after a crash, or by an earlier one that stays.
fn release_if_taken(group: &Group<'_>, owner: i64, entry: &TailEntry) -> rusqlite::Result<()> {
    let mut find = group.prepare("SELECT body FROM idx WHERE owner = ?1 AND pos = ?2")?;
    let body: i64 = find.query_row((owner, entry.position), |row| row.get(0))?;
    if body == entry.body {
        Ok(())
    } else {
        group.release(owner, entry.body)
    }
}

/// Entries of one owner in one commit: an owner with thousands, such as a busy room, is written in parts.
const VISIT_MAX: usize = 512;

/// Entries in one commit: keeps a commit short, some 20 ms.
const SHARE_MAX: usize = 8192;
