//! Backups: a copy of all that the store holds, in one format for every store, so that a server can move from one to
//! another.
//!
//! ```text
//!                 server: admin API ◄── rookery backup DIR ───────────────┐ (also straight from a store at rest)
//! store ─ freeze ─► walk ─► records ─► gRPC, as they are taken ─► Writer ─► DIR: manifest.jsonl, chunk-000001 …
//! DIR ─► Reader (checks everything first) ─► restore ─► an empty store
//! DIR, store or server ─► Contents ─► compare
//! ```
//!
//! # The folder
//!
//! `chunk-NNNNNN` holds whole owners: eight bytes `RKBACKUP`, the version of the format (u32, big endian), then
//! records, each behind its length (u32, big endian): `rookery.backup.v1.Record` of `proto/backup.proto`. A chunk ends
//! with the page of owners that made it [32 MiB](writer::CHUNK_BYTES) or longer. A field that is added to a record is
//! optional, and leaves the version as it is: an earlier build passes over it.
//!
//! `manifest.jsonl` has a line of JSON for the beginning (format, version, what the control group held), one for each
//! chunk behind it (length, SHA-256, counts, where the walk goes on), and one for the end, with the SHA-256 of all
//! lines. A line is written when what it tells of is on disk. So a backup without its last line is not finished,
//! and goes on behind its last chunk when it is begun again; a byte that was changed or is missing anywhere is found.
//!
//! Nothing is encrypted or compressed: both are better done by what carries the folder away. It holds SCRAM keys and
//! people's messages, so it is made for its owner's eyes only.
//!
//! # What it is a copy of
//!
//! *SQLite*: a copy of the database is made first, page by page between the writer's commits, and read: the backup is
//! of the moment at which that was complete. A backup that was interrupted goes on with a new copy, so then it is of
//! two moments, and each owner of one of them.
//!
//! *CQL*: owners are read one after another while they change, and the parts of one within milliseconds, as
//! [`rookery_store::export`] says: all of one incarnation, each part from a consistent view of its own, the log in
//! order of its positions, so no message is there without those before it (but for those that were delivered and
//! removed meanwhile). Each owner is as of some milliseconds between the beginning and the end of the backup; whoever
//! came after the beginning may be missing.
//!
//! *The control group*: its version at the beginning and at the end, and the registration policy in force. Not in it:
//! the throttle's ledger, which is of the last hours and would turn away the wrong people when it is put back days
//! later; leases and the shard map, which only living routers have; nodes, whose certificates would not fit another
//! cluster. A restored cluster is a new one.
//!
//! *The secret that the nodes share* (`node/src/secret.rs`) is in the first line. With another one the salts of names
//! without an account would change and those of accounts would not: who has asked for a name before and after a restore
//! could tell whether it had an account. It is worth less than the SCRAM keys beside it. A backup of an earlier build
//! has none; then a new cluster keeps its own.
//!
//! # Restoring
//!
//! [`restore`] takes an empty store, or one that the same backup was being restored into: a document of
//! `restore.invalid` marks it until it is done, and a server does not start on a store with that mark
//! ([`restore::is_marked`]). The epochs of the restored positions are remembered, so that servers go on above them
//! ([`restore::highest_epoch`]), and so is the secret, which a router has the control group take over before it serves
//! any shard ([`restore::restored_secret`]). Nor is a store taken that a router uses, or has lately ([`in_use`]). A
//! message that two logs shared is stored in each of them.

mod chunk;
mod compare;
mod error;
mod export;
pub mod in_use;
mod manifest;
mod reader;
mod record;
pub mod restore;
mod source;
pub mod writer;

pub use compare::{Contents, Difference, compare};
pub use error::BackupError;
pub use export::export;
pub use manifest::{Begin, Control, End, FORMAT_VERSION};
pub use reader::Reader;
pub use restore::restore;
pub use source::{Piece, Source};
pub use writer::Writer;

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Owners: accounts, hosts, rooms.
    pub owners: u64,
    /// Records, those of the owners included.
    pub records: u64,
    /// Bytes of the encoded records.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, other: Self) {
        self.owners += other.owners;
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests;
