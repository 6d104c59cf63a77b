//! The limit on open files: each client is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// How many files may be open; `u64::MAX` without a limit.
    pub max: u64,
}

impl OpenFiles {
    /// With fewer the server does not start: threads and database would fail one after the other.
    pub const OWN_MIN: u64 = 128;

    /// Raises the soft limit to the hard one, which needs no privilege.
    pub fn raise() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => Self {
                max: limit.maximum.unwrap_or(u64::MAX),
            },
            Err(_) => Self {
                max: limit.current.unwrap_or(u64::MAX),
            },
        }
    }

    /// The hard limit, which [`raise`](Self::raise) would reach.
    pub fn reachable() -> Self {
        Self {
            max: getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
        }
    }

    /// How many clients that leaves room for.
    pub fn connections(self) -> usize {
        usize::try_from(self.max.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX)
    }

    /// How many files this many clients need, the server's own included.
    pub fn needed(connections: usize) -> u64 {
        u64::try_from(connections)
            .unwrap_or(u64::MAX)
            .saturating_add(OWN_FILES)
    }
}

/// Database, log, listeners, admin clients, epoll and event descriptors of each thread: below 200;
/// the rest is for safety.
const OWN_FILES: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_reaches_the_hard_limit() {
        assert_eq!(OpenFiles::raise(), OpenFiles::reachable());
    }
}
