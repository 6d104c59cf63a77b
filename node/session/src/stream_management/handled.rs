//! What the client has sent, and how much of it has been dealt with.

use std::collections::VecDeque;

/// The count that `<a/>` tells: of the stanzas before the first that is still under way.
#[derive(Debug, Default)]
pub struct Handled {
    /// Modulo 2^32 (XEP-0198 4).
    count: u32,
    /// From the first that is under way on.
    open: VecDeque<Run>,
    /// The number behind all that was under way.
    end: u64,
}

/// Stanzas that went to the shard together.
#[derive(Debug)]
struct Run {
    first: u64,
    stanzas: u32,
    settled: bool,
}

impl Handled {
    /// So many were dealt with before; the next has this number.
    pub fn behind(count: u32, next: u64) -> Self {
        Self {
            count,
            open: VecDeque::new(),
            end: next,
        }
    }

    /// So many stanzas with these numbers are under way.
    pub fn begins(&mut self, first: u64, stanzas: usize) {
        self.end = first + stanzas as u64;
        let stanzas = u32::try_from(stanzas).unwrap_or(u32::MAX);
        self.open.push_back(Run {
            first,
            stanzas,
            settled: false,
        });
    }

    /// A stanza that went nowhere was answered.
    pub(super) fn answers(&mut self) {
        match self.open.back_mut() {
            None => self.count = self.count.wrapping_add(1),
            // It counts when those before it do.
            Some(before) => before.stanzas += 1,
        }
    }

    /// The stanzas that began with this number have been dealt with, those before them perhaps not.
    pub fn settles(&mut self, first: u64) {
        let at = self.open.binary_search_by_key(&first, |run| run.first);
        if let Ok(at) = at {
            self.open[at].settled = true;
        }
        while let Some(run) = self.open.front().filter(|run| run.settled) {
            self.count = self.count.wrapping_add(run.stanzas);
            self.open.pop_front();
        }
    }

    /// How many have been dealt with.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The number of the first that has not been dealt with.
    pub fn next(&self) -> u64 {
        self.open.front().map_or(self.end, |run| run.first)
    }

    /// The number behind the last that has not been dealt with, if there is one that has not.
    pub fn again(&self) -> u64 {
        let last = self.open.iter().rposition(|run| !run.settled);
        let behind = last.and_then(|last| self.open.get(last + 1));
        match last {
            None => self.next(),
            Some(_) => behind.map_or(self.end, |run| run.first),
        }
    }

    /// The number behind the last that is or was under way.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether none is under way.
    pub(super) fn is_complete(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_counts_before_all_that_came_before_it_is_dealt_with() {
        let mut handled = Handled::default();
        handled.answers();
        handled.begins(10, 3);
        handled.answers();
        handled.begins(13, 2);
        assert_eq!(handled.count(), 1);
        handled.settles(13);
        handled.settles(99);
        assert_eq!((handled.count(), handled.is_complete()), (1, false));
        assert_eq!(
            (handled.next(), handled.again(), handled.end()),
            (10, 13, 15)
        );
        handled.settles(10);
        assert_eq!((handled.count(), handled.is_complete()), (7, true));
        assert_eq!((handled.next(), handled.again()), (15, 15));
    }

    #[test]
    fn the_count_goes_on_from_zero_behind_its_largest_value() {
        let mut handled = Handled {
            count: u32::MAX,
            ..Handled::default()
        };
        handled.begins(0, 2);
        handled.settles(0);
        assert_eq!(handled.count(), 1);
    }
}
