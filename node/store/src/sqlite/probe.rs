//! A write that changes nothing anybody reads: the way to find out whether the store can write.

use super::error::Failure;
use super::writer::{Group, Mutation};

/// The write of [`health`](crate::Store::health).
pub(super) struct Probe;

impl Mutation for Probe {
    type Output = ();

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        group.execute("UPDATE mark SET value = value + 1 WHERE name = 'probe'", [])?;
        Ok(())
    }
}
