//! What this node has asked the group and not been answered.

use std::collections::BTreeMap;

use rookery_xmpp::clock::Timestamp;

use crate::error::Unavailable;
use crate::state::{Command, NodeId, Outcome, Policy, Proposal, RequestId};

/// Names one question of this process's run, in the order they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What came of a proposal.
    Outcome(Outcome),
    /// To a read: the policy, at least as new as any that was set before the question.
    Policy(Policy),
    /// No answer in time, or ever.
    Unavailable(Unavailable),
}

/// Questions under way, each with a deadline and the tick at which it is asked again.
#[derive(Debug)]
pub(super) struct Pending {
    proposals: BTreeMap<Ticket, Waiting<Proposed>>,
    /// Which of the proposals are another node's.
    forwarded: BTreeMap<RequestId, Ticket>,
    reads: BTreeMap<Ticket, Waiting<Option<u64>>>,
    timeout_ticks: u64,
    retry_ticks: u64,
    max: usize,
}

impl Pending {
    pub(super) fn new(timeout_ticks: u64, retry_ticks: u64, max: usize) -> Self {
        let (proposals, reads) = (BTreeMap::new(), BTreeMap::new());
        Self {
            proposals,
            forwarded: BTreeMap::new(),
            reads,
            timeout_ticks,
            retry_ticks,
            max,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.proposals.len() + self.reads.len() >= self.max
    }

    pub(super) fn add_proposal(
        &mut self,
        ticket: Ticket,
        now: Timestamp,
        command: Command,
        tick: u64,
    ) {
        let waiting = self.waiting(
            Proposed {
                now,
                command,
                foreign: None,
                logged: None,
            },
            tick,
        );
        self.proposals.insert(ticket, waiting);
    }

    /// A proposal of another node. A copy of one that waits already takes over its answer.
    pub(super) fn add_forwarded(&mut self, ticket: Ticket, proposal: Proposal, tick: u64) {
        let Proposal {
            request,
            acknowledged,
            now,
            command,
        } = proposal;
        let proposed = Proposed {
            now,
            command,
            foreign: Some((request, acknowledged)),
            logged: None,
        };
        let waiting = self.waiting(proposed, tick);
        self.proposals.insert(ticket, waiting);
        self.forwarded.insert(request, ticket);
    }

    /// The question here that waits for this request of another node.
    pub(super) fn forwarded(&self, request: RequestId) -> Option<Ticket> {
        self.forwarded.get(&request).copied()
    }

    pub(super) fn add_read(&mut self, ticket: Ticket, tick: u64) {
        let waiting = self.waiting(None, tick);
        self.reads.insert(ticket, waiting);
    }

    fn waiting<T>(&self, question: T, tick: u64) -> Waiting<T> {
        Waiting {
            question,
            deadline: tick + self.timeout_ticks,
            retry_at: tick + self.retry_ticks,
        }
    }

    /// No answer is awaited to our own proposals below this ticket.
    pub(super) fn acknowledged(&self) -> Option<Ticket> {
        let ours = |waiting: &Waiting<Proposed>| waiting.question.foreign.is_none();
        let mut all = self.proposals.iter();
        all.find(|(_, waiting)| ours(waiting))
            .map(|(ticket, _)| *ticket)
    }

    /// The proposal as it goes into the log.
    pub(super) fn entry(
        &mut self,
        ticket: Ticket,
        node: NodeId,
        incarnation: u64,
    ) -> Option<Proposal> {
        let first = self.acknowledged().map_or(ticket.0, |first| first.0);
        let proposed = self.proposal(ticket)?;
        let own = RequestId {
            node,
            incarnation,
            sequence: ticket.0,
        };
        let (request, acknowledged) = proposed.foreign.unwrap_or((own, first));
        Some(Proposal {
            request,
            acknowledged,
            now: proposed.now,
            command: proposed.command.clone(),
        })
    }

    /// The proposal was taken into the log that we lead in this term, if we lead.
    pub(super) fn logged(&mut self, ticket: Ticket, own_term: Option<u64>) {
        if let Some(proposed) = self.proposal(ticket) {
            proposed.logged = own_term;
        }
    }

    fn proposal(&mut self, ticket: Ticket) -> Option<&mut Proposed> {
        self.proposals
            .get_mut(&ticket)
            .map(|waiting| &mut waiting.question)
    }

    /// Takes an answered proposal out; false if nobody waits for it.
    pub(super) fn answered(&mut self, ticket: Ticket) -> bool {
        let Some(waiting) = self.proposals.remove(&ticket) else {
            return false;
        };
        self.forget_forwarded(&waiting.question, ticket);
        true
    }

    fn forget_forwarded(&mut self, proposed: &Proposed, ticket: Ticket) {
        if let Some((request, _)) = proposed.foreign
            && self.forwarded.get(&request) == Some(&ticket)
        {
            self.forwarded.remove(&request);
        }
    }

    /// The group allows the read once `index` is applied.
    pub(super) fn allow_read(&mut self, ticket: Ticket, index: u64) {
        if let Some(waiting) = self.reads.get_mut(&ticket) {
            waiting.question.get_or_insert(index);
        }
    }

    /// Takes out the reads that may be answered with everything up to `applied`.
    pub(super) fn readable(&mut self, applied: u64) -> Vec<Ticket> {
        let ready =
            |waiting: &Waiting<Option<u64>>| waiting.question.is_some_and(|at| at <= applied);
        take(&mut self.reads, ready)
    }

    /// Takes out what nobody shall wait for any longer.
    pub(super) fn expired(&mut self, tick: u64) -> Vec<Ticket> {
        let mut tickets = take(&mut self.proposals, |waiting| waiting.deadline <= tick);
        self.forwarded
            .retain(|_, ticket| self.proposals.contains_key(ticket));
        tickets.extend(take(&mut self.reads, |waiting| waiting.deadline <= tick));
        tickets
    }

    /// Takes everything out: nothing will be answered.
    pub(super) fn abandon(&mut self) -> Vec<Ticket> {
        self.expired(u64::MAX)
    }

    /// What shall be asked again at this tick: proposals that are not in the log of this term, if that log is our own,
    /// and reads not yet allowed.
    pub(super) fn due(
        &mut self,
        tick: u64,
        all: All,
        own_term: Option<u64>,
    ) -> (Vec<Ticket>, Vec<Ticket>) {
        let retry_at = tick + self.retry_ticks;
        let logged = |it: &Proposed| own_term.is_some() && it.logged == own_term;
        let proposals = due(&mut self.proposals, tick, retry_at, all.proposals, |it| {
            !logged(it)
        });
        let reads = due(&mut self.reads, tick, retry_at, all.reads, Option::is_none);
        (proposals, reads)
    }
}

/// What is asked again now, whenever it was asked last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct All {
    pub(super) proposals: bool,
    pub(super) reads: bool,
}

/// A change that was asked for.
#[derive(Debug)]
pub(super) struct Proposed {
    pub(super) now: Timestamp,
    pub(super) command: Command,
    /// Another node's number of it, and below which number that node waits for nothing.
    pub(super) foreign: Option<(RequestId, u64)>,
    /// The term in which we led and took it into our own log: as long as we lead that term it cannot get lost, and
    /// asking again would only lengthen the queue of a slow disk.
    pub(super) logged: Option<u64>,
}

#[derive(Debug)]
struct Waiting<T> {
    question: T,
    deadline: u64,
    retry_at: u64,
}

fn take<T>(
    map: &mut BTreeMap<Ticket, Waiting<T>>,
    mut which: impl FnMut(&Waiting<T>) -> bool,
) -> Vec<Ticket> {
    let mut taken = Vec::new();
    map.retain(|ticket, waiting| {
        let goes = which(waiting);
        if goes {
            taken.push(*ticket);
        }
        !goes
    });
    taken
}

fn due<T>(
    map: &mut BTreeMap<Ticket, Waiting<T>>,
    tick: u64,
    retry_at: u64,
    all: bool,
    open: impl Fn(&T) -> bool,
) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for (ticket, waiting) in map {
        if (all || waiting.retry_at <= tick) && open(&waiting.question) {
            waiting.retry_at = retry_at;
            tickets.push(*ticket);
        }
    }
    tickets
}
