//! Logs in SQLite: stanzas in order of arrival, and their places written behind (`sweep`).

mod append;
mod expire;
mod raise;
mod read;
mod remove;
mod replace;
mod when;

pub(super) use append::AppendEntries;
pub(super) use expire::ExpireSlice;
pub(super) use raise::Raise;
pub(super) use read::{find, high, owed, page, page_of, recent, unpack, usage, usage_of};
pub(super) use remove::RemoveSlice;
pub(super) use replace::Replace;
