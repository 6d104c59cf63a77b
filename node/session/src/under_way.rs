//! How much of what a client has sent may still be to be dealt with.
//!
//! ```text
//! client ── stanzas ──► shard ──► sessions of others, and logs ──► settled
//!    ▲                    │ more than the bound is under way
//!    └── is not read ◄────┘ until some of it has been dealt with
//! ```
//!
//! A message may be delivered long before a store has it in the logs where it belongs. Without a bound at its source
//! whoever sends is answered by those who read, not by the store, and what the store is slower by piles up before it
//! until messages are refused. So a client is read as fast as what it sends is dealt with as a whole.

use std::collections::VecDeque;

use crate::options::SessionOptions;

/// What went to the shard and has not been dealt with.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    /// By the numbers of their first stanzas.
    runs: VecDeque<Run>,
    stanzas: u64,
    bytes: u64,
}

/// Stanzas that went to the shard together.
#[derive(Debug)]
struct Run {
    first: u64,
    stanzas: u32,
    bytes: u32,
}

impl UnderWay {
    /// So many stanzas, of so many bytes together, are under way, the first under this number.
    pub(crate) fn begins(&mut self, first: u64, stanzas: usize, bytes: usize) {
        let run = Run {
            first,
            stanzas: u32::try_from(stanzas).unwrap_or(u32::MAX),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        self.stanzas += u64::from(run.stanzas);
        self.bytes += u64::from(run.bytes);
        self.runs.push_back(run);
    }

    /// Those that began with these numbers have been dealt with.
    pub(crate) fn settles(&mut self, firsts: &[u64]) {
        for first in firsts {
            let at = self.runs.binary_search_by_key(first, |run| run.first);
            if let Some(run) = at.ok().and_then(|at| self.runs.remove(at)) {
                self.stanzas -= u64::from(run.stanzas);
                self.bytes -= u64::from(run.bytes);
            }
        }
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether its client is to wait.
    pub(crate) fn is_full(&self, options: &SessionOptions) -> bool {
        self.stanzas >= u64::from(options.under_way_stanzas_max)
            || self.bytes >= u64::from(options.under_way_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SessionOptions {
        SessionOptions {
            under_way_stanzas_max: 4,
            under_way_bytes_max: 100,
            ..SessionOptions::default()
        }
    }

    #[test]
    fn a_client_waits_when_so_many_stanzas_are_under_way_until_some_are_not() {
        let (mut under_way, options) = (UnderWay::default(), options());
        under_way.begins(0, 3, 3);
        assert!(!under_way.is_full(&options));
        under_way.begins(3, 2, 2);
        assert!(under_way.is_full(&options));
        under_way.settles(&[3]);
        assert!(!under_way.is_full(&options), "in whatever order");
        under_way.begins(5, 1, 1);
        assert!(under_way.is_full(&options));
        under_way.settles(&[3, 9, 0, 0]);
        assert!(!under_way.is_full(&options));
        under_way.settles(&[5]);
        assert_eq!((under_way.stanzas, under_way.bytes), (0, 0));
    }

    #[test]
    fn a_client_waits_when_so_many_bytes_are_under_way() {
        let (mut under_way, options) = (UnderWay::default(), options());
        under_way.begins(0, 1, 99);
        assert!(!under_way.is_full(&options));
        under_way.begins(1, 1, 1_000_000);
        assert!(under_way.is_full(&options), "one of any size is taken");
        under_way.settles(&[1]);
        assert!(!under_way.is_full(&options));
    }
}
