//! A query under way: what came before it goes into the log, ids are looked up, then the log is read in bounded steps
//! until the page is full.
//!
//! ```text
//! ids that the query names ─► each is in the archive? ─► read ─► read … ─► results and <fin/> to the session
//!                             no: item-not-found          └─ a `with` makes several steps; at most so many entries
//! ```

use std::sync::Arc;

use rookery_session::carrier::SessionId;
use rookery_store::log::{LogEntry, LogQuery, Marks, Position};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::parse_rec;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::query::Query;
use super::results::{Page, delivered};
use crate::ArchiveOptions;
use crate::account::{Account, store_refusal};
use crate::modules::{Iq, Outcome};
use crate::shard::{Reply, Request, Turn};

/// A query and what was found so far.
pub(super) struct Search {
    iq: Iq,
    session: SessionId,
    query: Query,
    options: Arc<ArchiveOptions>,
    /// Ids that are to be looked up, the next one last.
    unknown: Vec<Position>,
    /// What lies before this is on its way no more.
    end: Option<Position>,
    /// Nothing is on its way that came before the query.
    is_settled: bool,
    /// Where the next step begins: behind this, or before it.
    reached: Option<Position>,
    /// Entries that were looked at.
    looked_at: usize,
    bytes: usize,
    /// In the order in which they were read.
    found: Vec<LogEntry>,
}

/// Begins a query. The account counts it until it is answered.
pub(super) fn begin(
    account: &mut Account,
    turn: &mut Turn<'_>,
    iq: Iq,
    query: Query,
    options: Arc<ArchiveOptions>,
) {
    let Some(session) = iq.session else {
        account.archiving.queries -= 1;
        return;
    };
    let named = query.after.iter().chain(&query.before);
    let search = Search {
        unknown: named.copied().collect(),
        end: None,
        is_settled: false,
        reached: None,
        looked_at: 0,
        bytes: 0,
        found: Vec::new(),
        iq,
        session,
        query,
        options,
    };
    account.when_in_log(turn, move |account, turn, is_settled| {
        let end = account.log_end();
        let search = Search {
            end,
            is_settled,
            ..search
        };
        search.look_up(account, turn);
    });
}

impl Search {
    /// Makes sure that the ids are in the archive (XEP-0313 4.1.3, 4.3.2), then goes on.
    fn look_up(mut self, account: &mut Account, turn: &mut Turn<'_>) {
        let Some(position) = self.unknown.pop() else {
            return self.begin_to_read(account, turn);
        };
        let request = at(account, position);
        account.request_beside(turn, request, move |account, turn, reply| {
            match found_at(reply, position) {
                Ok(_) => self.look_up(account, turn),
                Err(error) => self.fail(account, turn, error),
            }
        });
    }

    fn begin_to_read(mut self, account: &mut Account, turn: &mut Turn<'_>) {
        if let Some(mut ids) = self.query.ids.take() {
            ids.reverse();
            return self.read_ids(account, turn, ids);
        }
        if self.query.max == 0 {
            return self.count(account, turn);
        }
        let (after, before) = self.query.bounds();
        self.reached = match self.query.backwards {
            true => before,
            false => after,
        };
        self.read(account, turn);
    }

    /// The entries of a query that names them (4.1.3), one after another.
    fn read_ids(mut self, account: &mut Account, turn: &mut Turn<'_>, mut ids: Vec<Position>) {
        let Some(position) = ids.pop() else {
            return self.finish(account, turn, true);
        };
        let request = at(account, position);
        account.request_beside(turn, request, move |account, turn, reply| {
            match found_at(reply, position) {
                Err(error) => self.fail(account, turn, error),
                Ok(entry) => {
                    let wanted = self.is_asked_for(account, &entry);
                    let full = wanted && !self.take(entry);
                    match full {
                        true => self.finish(account, turn, false),
                        false => self.read_ids(account, turn, ids),
                    }
                }
            }
        });
    }

    /// How many there are, and no page (XEP-0059 2.7): approximately, and only where nothing is left out.
    fn count(self, account: &mut Account, turn: &mut Turn<'_>) {
        let Query {
            with, start, end, ..
        } = &self.query;
        let filtered = with.is_some() || start.is_some() || end.is_some();
        if filtered || self.query.bounds() != (None, None) {
            return self.conclude(account, turn, Page::default());
        }
        let request = Request::LogUsage(Jid::clone(account.jid()));
        account.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::LogUsage(usage) => {
                let page = Page {
                    count: Some(usage.entries),
                    complete: usage.entries == 0,
                    ..Page::default()
                };
                self.conclude(account, turn, page);
            }
            other => self.fail(account, turn, failure(other)),
        });
    }

    /// A step: as many entries as are missing and one more, or a bounded number where not all are wanted.
    fn read(self, account: &mut Account, turn: &mut Turn<'_>) {
        let missing = self.query.max + 1 - self.found.len();
        let left = (self.options.scan_entries_max as usize).saturating_sub(self.looked_at);
        let limit = match self.query.with {
            Some(_) => STEP_ENTRIES.min(left),
            None => missing,
        };
        if limit == 0 {
            return self.finish(account, turn, false);
        }
        let (after, before) = self.query.bounds();
        let before = earlier(before, self.end);
        let (after, before) = match self.query.backwards {
            true => (after, earlier(self.reached, before)),
            false => (self.reached.max(after), before),
        };
        let query = LogQuery {
            after,
            before,
            newest_first: self.query.backwards,
            since: self.query.start,
            until: self.query.end,
            ..LogQuery::after(None, limit).only(Marks::ARCHIVED)
        };
        let request = Request::ReadLog(Jid::clone(account.jid()), query);
        account.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Log(entries) => self.look_at(account, turn, entries, limit),
            other => self.fail(account, turn, failure(other)),
        });
    }

    fn look_at(
        mut self,
        account: &mut Account,
        turn: &mut Turn<'_>,
        entries: Vec<LogEntry>,
        limit: usize,
    ) {
        let is_end = entries.len() < limit;
        for entry in entries {
            let position = entry.position;
            if self.wants(account, &entry) && !self.take(entry) {
                return self.finish(account, turn, false);
            }
            self.looked_at += 1;
            self.reached = Some(position);
        }
        match is_end {
            true => self.finish(account, turn, true),
            false => self.read(account, turn),
        }
    }

    /// Takes a result. False if the page is full without it.
    fn take(&mut self, entry: LogEntry) -> bool {
        let bytes = self.bytes + entry.stanza.len();
        let fits = bytes <= self.options.page_bytes_max as usize || self.found.is_empty();
        if self.found.len() >= self.query.max || !fits {
            return false;
        }
        self.bytes = bytes;
        self.found.push(entry);
        true
    }

    /// Whether an entry that was found by its id is within all else that is asked for.
    fn is_asked_for(&self, account: &Account, entry: &LogEntry) -> bool {
        let (after, before) = self.query.bounds();
        let Query { start, end, .. } = self.query;
        after.is_none_or(|after| after < entry.position)
            && before.is_none_or(|before| entry.position < before)
            && start.is_none_or(|start| start <= entry.received)
            && end.is_none_or(|end| entry.received <= end)
            && self.wants(account, entry)
    }

    fn wants(&self, account: &Account, entry: &LogEntry) -> bool {
        if self.query.with.is_none() {
            return true;
        }
        let Some(rec) = parse_rec(&entry.stanza) else {
            return false;
        };
        let address = |name| {
            let text = rec.attr_str(&entry.stanza, name)?;
            Jid::parse(&text).ok()
        };
        let (from, to) = (address("from"), address("to"));
        self.query.wants(account.jid(), from.as_ref(), to.as_ref())
    }

    fn finish(mut self, account: &mut Account, turn: &mut Turn<'_>, complete: bool) {
        if self.query.backwards && self.query.ids.is_none() {
            self.found.sort_unstable_by_key(|entry| entry.position);
        }
        // Where nothing was found within what may be looked at, the client goes on from there.
        let reached = self.reached.filter(|_| self.found.is_empty() && !complete);
        let page = Page {
            entries: std::mem::take(&mut self.found),
            reached,
            complete,
            ..Page::default()
        };
        self.conclude(account, turn, page);
    }

    /// Gives the session its page, if it is still here.
    fn conclude(self, account: &mut Account, turn: &mut Turn<'_>, mut page: Page) {
        let for_nothing = self.looked_at.saturating_sub(page.entries.len());
        account.archiving.searched.charge(for_nothing);
        // A page that is the last has all that is behind its last entry as well.
        let last = page.entries.last().filter(|_| !page.complete);
        let last = last.map(|entry| entry.position).or(page.reached);
        page.stable = account.is_stable_through(last, turn.now) && self.is_settled;
        let Some(session) = account.sessions.get(self.session) else {
            account.archiving.queries -= 1;
            return;
        };
        let to = session.sink.clone();
        let delivered = Box::new(delivered(account.jid(), &self.iq, &self.query, page));
        let request = Request::Deliver { to, delivered };
        account.request_beside(turn, request, move |account, turn, reply| match reply {
            Reply::Done => account.archiving.queries -= 1,
            _ => {
                let error = StanzaError::new(Condition::ResourceConstraint)
                    .with_type(ErrorType::Wait)
                    .with_text("read what was sent first, or ask for less");
                self.fail(account, turn, error);
            }
        });
    }

    fn fail(self, account: &mut Account, turn: &mut Turn<'_>, error: StanzaError) {
        account.archiving.queries -= 1;
        account.conclude(turn, self.iq, Outcome::Error(error));
    }
}

/// Asks for the entry of the archive at a position.
fn at(account: &Account, position: Position) -> Request {
    let query = LogQuery::after(position.previous(), 1).only(Marks::ARCHIVED);
    let query = LogQuery {
        before: position.next().ok(),
        ..query
    };
    Request::ReadLog(Jid::clone(account.jid()), query)
}

fn found_at(reply: Reply, position: Position) -> Result<LogEntry, StanzaError> {
    match reply {
        Reply::Log(entries) => {
            let found = entries.into_iter().find(|entry| entry.position == position);
            found.ok_or_else(|| StanzaError::new(Condition::ItemNotFound))
        }
        other => Err(failure(other)),
    }
}

fn failure(reply: Reply) -> StanzaError {
    match reply {
        Reply::Failed(error) => store_refusal(&error),
        _ => StanzaError::new(Condition::InternalServerError),
    }
}

/// The lower of two upper bounds.
fn earlier(one: Option<Position>, other: Option<Position>) -> Option<Position> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Entries that a step of a search for some of them reads: between two steps the account does other things.
const STEP_ENTRIES: usize = 100;
