//! How much of an archive stays: at its limits the oldest entries make room (XEP-0313 3.2: never from the middle).
//!
//! ```text
//! first entry ─► count ─► what comes is added ─► above a limit ─► count again ─► still above: the oldest go
//!                              └─ what leaves by its age or is retracted is not seen here ─┘ below: go on
//! ```
//!
//! An archive may grow beyond a limit by a sixteenth, so that many entries go at once, and few archives are counted.

use rookery_store::log::{LogEntry, LogQuery, LogRange, LogUsage, Position};
use rookery_xmpp::jid::Jid;

use super::Account;
use crate::ArchiveOptions;
use crate::shard::{Reply, Request, Turn};

/// What is known of an archive's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Size {
    /// Nothing yet.
    #[default]
    Unknown,
    /// Somebody counts, or makes room: what comes meanwhile is counted next time.
    Busy,
    /// So much and no more, as far as this account has seen.
    AtMost(LogUsage),
}

/// How much an archive may hold; 0 is no limit.
#[derive(Clone, Copy)]
struct Limits(LogUsage);

impl Limits {
    fn of(options: &ArchiveOptions) -> Self {
        Self(LogUsage {
            entries: options.entries_max,
            bytes: options.bytes_max,
        })
    }

    fn are_none(self) -> bool {
        self.0 == LogUsage::default()
    }

    /// Whether something has to go at all, and so much more that it is worth it.
    fn are_passed(self, held: LogUsage) -> bool {
        let far = |held, most| most > 0 && held > most + most / 16;
        far(held.entries, self.0.entries) || far(held.bytes, self.0.bytes)
    }

    fn are_kept(self, held: LogUsage) -> bool {
        let within = |held, most| most == 0 || held <= most;
        within(held.entries, self.0.entries) && within(held.bytes, self.0.bytes)
    }

    /// The last of the oldest entries that must go, if one must, and what is left then.
    fn beyond(self, oldest: &[LogEntry], mut held: LogUsage) -> (Option<Position>, LogUsage) {
        let mut last = None;
        for entry in oldest {
            if self.are_kept(held) {
                break;
            }
            held.entries = held.entries.saturating_sub(1);
            held.bytes = held.bytes.saturating_sub(entry.stanza.len() as u64);
            last = Some(entry.position);
        }
        (last, held)
    }
}

impl Account {
    /// So much has come into the archive.
    pub(super) fn archive_grew(&mut self, turn: &mut Turn<'_>, by: LogUsage) {
        if by.entries == 0 {
            return;
        }
        let limits = Limits::of(&turn.env.archive.load());
        match self.archiving.size {
            _ if limits.are_none() => self.archiving.size = Size::Unknown,
            Size::Unknown => self.count_log(turn, limits),
            Size::Busy => {}
            Size::AtMost(held) => {
                let held = LogUsage {
                    entries: held.entries + by.entries,
                    bytes: held.bytes + by.bytes,
                };
                match limits.are_passed(held) {
                    true => self.count_log(turn, limits),
                    false => self.archiving.size = Size::AtMost(held),
                }
            }
        }
    }

    /// Counts what is there, and makes room if that is too much.
    fn count_log(&mut self, turn: &mut Turn<'_>, limits: Limits) {
        self.archiving.size = Size::Busy;
        let request = Request::LogUsage(Jid::clone(self.jid()));
        self.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::LogUsage(held) if limits.are_passed(held) => {
                account.make_room(turn, held, limits);
            }
            Reply::LogUsage(held) => account.archiving.size = Size::AtMost(held),
            _ => account.archiving.size = Size::Unknown,
        });
    }

    /// Removes what is above a limit, a page of it at a time. What waits to be delivered stays.
    fn make_room(&mut self, turn: &mut Turn<'_>, held: LogUsage, limits: Limits) {
        // All of it waits: that is looked at again when a sixteenth more has come.
        let Some(behind) = self.offline.cursor.and_then(|cursor| cursor.next().ok()) else {
            return self.archiving.size = Size::AtMost(limits.0);
        };
        let query = LogQuery {
            before: Some(behind),
            ..LogQuery::after(None, PAGE_ENTRIES)
        };
        let owner = Jid::clone(self.jid());
        let request = Request::ReadLog(owner.clone(), query);
        self.request_beside(turn, request, move |account, turn, reply| {
            let Reply::Log(oldest) = reply else {
                return account.archiving.size = Size::Unknown;
            };
            let (Some(last), left) = limits.beyond(&oldest, held) else {
                return account.archiving.size = Size::AtMost(limits.0);
            };
            let request = Request::RemoveLog(owner, LogRange::through(last));
            account.request_beside(turn, request, move |account, turn, reply| match reply {
                Reply::Done if limits.are_kept(left) => {
                    account.archiving.size = Size::AtMost(left);
                }
                Reply::Done => account.make_room(turn, left, limits),
                _ => account.archiving.size = Size::Unknown,
            });
        });
    }
}

/// Entries in one step: they are read to be removed.
const PAGE_ENTRIES: usize = 100;
