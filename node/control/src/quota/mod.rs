//! Traffic budgets as one connection node spends them: [`QuotaShare`].
//!
//! ```text
//! session ── open(key) ──► Tap ◄── floor, leases ── QuotaShare ◄── grant ── control group
//!    │ wait_ms before a read      │ what was spent,     │
//!    └ spend after it ───────────►│ who had to wait ───►└─ ask: one renewal for all keys, once a second at most
//! ```
//!
//! No IO and no clock: times are milliseconds of one monotonic clock, which the caller reads. Why the nodes together
//! keep a budget is proved in [`state::quota`](crate::state::Quotas)'s module.
//!
//! # What it costs
//!
//! A kind without a budget has no taps, and its sessions hold none. With a budget a read costs one look at an atomic
//! before it, and behind it a lock that only sessions of the same key take, for some instructions. Keys that nobody
//! spends from are not visited: [`QuotaShare::ask`] looks only at those that were spent from or closed, or are not full
//! again.

mod activity;
mod bucket;
mod demand;
mod share;
#[cfg(test)]
mod simulation;
mod tap;

pub use share::{KindFigures, QuotaFigures, QuotaShare};
pub use tap::{Tap, TapState};
