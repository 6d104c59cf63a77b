//! Compares what two sources hold, owner by owner, in whichever order they come.

use std::collections::HashMap;

use prost::Message;
use rookery_proto::backup::Record;
use rookery_proto::backup::record::Kind;
use sha2::{Digest, Sha256};

use super::{Amount, BackupError, Source};

/// What a source holds: a hash for each owner, some 50 bytes in memory.
#[derive(Debug, Default)]
pub struct Contents {
    owners: HashMap<Hash, Hash>,
    /// How much it is.
    pub amount: Amount,
}

/// What is not the same on both sides: an owner, or what is everybody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The first knows the secret from which names without an account get their salts, and the second has another, or
    /// none.
    Secret,
    /// Both have it, and something of it is not the same.
    Differs(String),
    /// Only the first has it.
    Missing(String),
    /// Only the second has it.
    Extra(String),
}

/// Half a SHA-256: enough against accident, which is what there is to find.
type Hash = [u8; 16];

impl Contents {
    /// Reads a source to its end.
    pub async fn of(source: &mut Source) -> Result<Self, BackupError> {
        let mut contents = Self::default();
        let mut owner = None;
        while let Some(piece) = source.next().await? {
            contents.take(&piece.records, &mut owner, &mut |_, _| {})?;
        }
        contents.close(owner, &mut |_, _| {});
        Ok(contents)
    }

    fn take(
        &mut self,
        records: &[Record],
        owner: &mut Option<(String, Sha256)>,
        whole: &mut impl FnMut(String, Hash),
    ) -> Result<(), BackupError> {
        for record in records {
            if let Some(Kind::Owner(begun)) = &record.kind {
                let begun = (begun.jid.clone(), Sha256::new());
                self.close(owner.replace(begun), whole);
                self.amount.owners += 1;
            }
            let Some((_, hash)) = owner else {
                return Err(BackupError::Record(
                    "the first belongs to nobody".to_owned(),
                ));
            };
            let encoded = record.encode_length_delimited_to_vec();
            hash.update(&encoded);
            self.amount.records += 1;
            self.amount.bytes += encoded.len() as u64;
        }
        Ok(())
    }

    fn close(&mut self, owner: Option<(String, Sha256)>, whole: &mut impl FnMut(String, Hash)) {
        if let Some((jid, hash)) = owner {
            let hash = half(&hash.finalize());
            self.owners.insert(half(&Sha256::digest(&jid)), hash);
            whole(jid, hash);
        }
    }
}

/// Compares what was [read](Contents::of) of a first source, which `again` reads from its beginning once more if
/// something is missing, with a second one. Gives the differences, in order of kind and name, and how much the second
/// holds.
pub async fn compare(
    mut first: Contents,
    again: &mut Source,
    second: &mut Source,
) -> Result<(Vec<Difference>, Amount), BackupError> {
    let mut differences = Vec::new();
    let mut other = Contents::default();
    let mut owner = None;
    let mut judge =
        |jid: String, hash: Hash| match first.owners.remove(&half(&Sha256::digest(&jid))) {
            Some(expected) if expected == hash => {}
            Some(_) => differences.push(Difference::Differs(jid)),
            None => differences.push(Difference::Extra(jid)),
        };
    while let Some(piece) = second.next().await? {
        other.take(&piece.records, &mut owner, &mut judge)?;
        other.owners.clear();
    }
    other.close(owner, &mut judge);
    let secret = again.secret();
    if secret.is_some() && secret != second.secret() {
        differences.push(Difference::Secret);
    }
    if !first.owners.is_empty() {
        name_missing(&first, again, &mut differences).await?;
    }
    differences.sort();
    Ok((differences, other.amount))
}

/// Only their hashes are left, so the first source is read again.
async fn name_missing(
    first: &Contents,
    again: &mut Source,
    differences: &mut Vec<Difference>,
) -> Result<(), BackupError> {
    while let Some(piece) = again.next().await? {
        for record in piece.records {
            if let Some(Kind::Owner(owner)) = record.kind
                && first
                    .owners
                    .contains_key(&half(&Sha256::digest(&owner.jid)))
            {
                differences.push(Difference::Missing(owner.jid));
            }
        }
    }
    Ok(())
}

fn half(hash: &[u8]) -> Hash {
    hash[..16].try_into().expect("a SHA-256 has 32 bytes")
}
