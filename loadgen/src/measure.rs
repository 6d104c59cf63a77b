//! What is measured: latencies, counts, and the server's and the machine's CPU time and memory.

mod latency;
mod outcome;
pub(crate) mod process;

pub(crate) use latency::Latency;
pub(crate) use outcome::{BIN, Outcome};
