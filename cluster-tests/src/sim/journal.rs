//! What happened, as one number: two runs of a seed must be the same.

use std::fmt::{self, Write};

use super::clock::{MS, Micros};

/// Hashes every line of a run (FNV-1a), and prints it if somebody reads along.
#[derive(Debug)]
pub(crate) struct Journal {
    hash: u64,
    trace: bool,
}

impl Journal {
    /// An empty journal.
    pub(crate) fn new(trace: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            trace,
        }
    }

    /// Something happened.
    pub(crate) fn note(&mut self, now: Micros, what: fmt::Arguments<'_>) {
        // A hasher takes everything.
        let _ = write!(self, "{now} {what}");
        if self.trace {
            trace(now, what);
        }
    }

    /// All that was noted.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

impl Write for Journal {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "asked for on the command line")]
fn trace(now: Micros, what: fmt::Arguments<'_>) {
    println!("{:>9}.{:03} {what}", now / MS, now % MS);
}
