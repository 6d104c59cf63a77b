//! Work that an account cannot do yet, in order and bounded: while it is loaded, or while a change
//! of it is written.

use std::collections::VecDeque;

use super::Work;
use crate::RouterOptions;

/// A queue of work, with what it holds.
#[derive(Default)]
pub(crate) struct Waiting {
    queue: VecDeque<Work>,
    stanzas: usize,
    bytes: usize,
}

impl Waiting {
    /// Adds work at the end. Past the limits it comes back, unless it must not be refused.
    pub(crate) fn push(&mut self, work: Work, options: &RouterOptions) -> Result<(), Work> {
        let full = self.stanzas + work.stanzas() > options.waiting_stanzas_max as usize
            || self.bytes + work.bytes() > options.waiting_bytes_max as usize;
        // An empty queue has room for anything: one batch is bounded by what a stream may send at
        // once.
        if full && !self.queue.is_empty() && work.may_be_refused() {
            return Err(work);
        }
        self.keep(work);
        Ok(())
    }

    /// Adds at the end what had been let in before.
    pub(crate) fn keep(&mut self, work: Work) {
        self.count(&work);
        self.queue.push_back(work);
    }

    /// Puts the rest of a batch back in front, because the account became busy in its middle.
    pub(crate) fn push_front(&mut self, work: Work) {
        self.count(&work);
        self.queue.push_front(work);
    }

    /// Takes the oldest.
    pub(crate) fn pop(&mut self) -> Option<Work> {
        let work = self.queue.pop_front()?;
        self.stanzas -= work.stanzas();
        self.bytes -= work.bytes();
        Some(work)
    }

    fn count(&mut self, work: &Work) {
        self.stanzas += work.stanzas();
        self.bytes += work.bytes();
    }
}

impl Iterator for Waiting {
    type Item = Work;

    fn next(&mut self) -> Option<Work> {
        self.pop()
    }
}
