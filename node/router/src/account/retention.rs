//! How much of an archive stays: at its limit the oldest entries make room (XEP-0313 3.2: never from the middle).
//!
//! The log is counted once, when something is first archived, and from then on by what comes. It may grow beyond the
//! limit by a sixteenth, so that many entries go at once.

use rookery_store::log::{LogQuery, LogRange};
use rookery_xmpp::jid::Jid;

use super::Account;
use crate::shard::{Reply, Request, Turn};

/// What is known of an archive's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Size {
    /// Nothing yet.
    #[default]
    Unknown,
    /// Somebody counts, or makes room: what comes meanwhile is counted next time.
    Busy,
    /// Entries, as far as this account has seen.
    Entries(u64),
}

impl Account {
    /// So many entries have come into the archive.
    pub(super) fn archive_grew(&mut self, turn: &mut Turn<'_>, by: u64) {
        if by == 0 {
            return;
        }
        let most = turn.env.archive.load().entries_max;
        match self.archiving.size {
            _ if most == 0 => self.archiving.size = Size::Unknown,
            Size::Unknown => self.count_log(turn),
            Size::Busy => {}
            Size::Entries(known) if known + by > most + most / 16 => {
                self.make_room(turn, known + by, most);
            }
            Size::Entries(known) => self.archiving.size = Size::Entries(known + by),
        }
    }

    fn count_log(&mut self, turn: &mut Turn<'_>) {
        self.archiving.size = Size::Busy;
        let request = Request::LogUsage(Jid::clone(self.jid()));
        self.request_beside(turn, request, |account, _, reply| {
            account.archiving.size = match reply {
                Reply::LogUsage(usage) => Size::Entries(usage.entries),
                _ => Size::Unknown,
            };
        });
    }

    /// Removes what is above the limit, a page of it at a time. What waits to be delivered stays.
    fn make_room(&mut self, turn: &mut Turn<'_>, known: u64, most: u64) {
        self.archiving.size = Size::Busy;
        let Some(behind) = self.offline.cursor.and_then(|cursor| cursor.next().ok()) else {
            self.archiving.size = Size::Entries(most);
            return;
        };
        let page = usize::try_from(known - most)
            .unwrap_or(usize::MAX)
            .min(PAGE_ENTRIES);
        let query = LogQuery {
            before: Some(behind),
            ..LogQuery::after(None, page)
        };
        let owner = Jid::clone(self.jid());
        let request = Request::ReadLog(owner.clone(), query);
        self.request_beside(turn, request, move |account, turn, reply| {
            let oldest = match reply {
                Reply::Log(oldest) => oldest,
                _ => Vec::new(),
            };
            let Some(last) = oldest.last() else {
                account.archiving.size = Size::Entries(most);
                return;
            };
            let left = known - oldest.len() as u64;
            let request = Request::RemoveLog(owner, LogRange::through(last.position));
            account.request_beside(turn, request, move |account, turn, reply| match reply {
                Reply::Done if left > most => account.make_room(turn, left, most),
                Reply::Done => account.archiving.size = Size::Entries(left),
                _ => account.archiving.size = Size::Unknown,
            });
        });
    }
}

/// Entries in one step: they are read to be removed.
const PAGE_ENTRIES: usize = 100;
