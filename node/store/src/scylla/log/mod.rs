//! Logs in CQL: buckets of positions, a partition each.
//!
//! An append is one write of one partition, after a read of the owner's incarnation. It does not look whether its
//! position is taken: of several entries at one position the one that arrived first counts, and whoever reads drops the
//! others.

mod append;
mod bucket;
mod expire;
mod find;
mod known;
mod owed;
mod read;
mod remove;
mod replace;
mod tail;
mod usage;
mod when;

pub(super) use bucket::Bucket;
pub(super) use known::Known;
