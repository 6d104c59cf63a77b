//! Logs in SQLite: stanzas in order of arrival, and their places written behind (`sweep`).

mod append;
mod expire;
mod read;
mod remove;

pub(super) use append::AppendEntries;
pub(super) use expire::ExpireSlice;
pub(super) use read::{high, page, usage, usage_of};
pub(super) use remove::RemoveSlice;
