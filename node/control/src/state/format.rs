//! How commands and states are written: one byte of format, then JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that this build cannot read as a command or a state.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Written by a newer build, in a format this one does not know.
    #[error("control format {found} is newer than this build's {FORMAT}")]
    Newer {
        /// The format of the bytes.
        found: u8,
    },
    /// Not what any build wrote.
    #[error("control record is corrupt: {0}")]
    Corrupt(String),
}

impl FormatError {
    /// The newest format that this build reads.
    pub const KNOWN: u8 = FORMAT;
}

/// What other members and nodes are told.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_as(TOLD, value)
}

/// One byte of format, then JSON.
pub(super) fn encode_as<T: Serialize>(format: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![format];
    serde_json::to_writer(&mut bytes, value).expect("plain data in ordered maps is JSON");
    bytes
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FormatError> {
    match bytes.split_first() {
        Some((found, json)) if (OLDEST..=FORMAT).contains(found) => {
            serde_json::from_slice(json).map_err(|error| FormatError::Corrupt(error.to_string()))
        }
        Some((&found, _)) if found > FORMAT => Err(FormatError::Newer { found }),
        _ => Err(FormatError::Corrupt("no format byte".to_owned())),
    }
}

/// The newest format that this build writes. Raised whenever an older build could misread what a newer one writes, by a
/// new command for instance: which needs it, says [`Command::format`](super::Command::format).
pub(super) const FORMAT: u8 = 6;

/// What other members and nodes are told is marked with this format: its readers pass over fields that they do not
/// know. Raised when one that still is in use could misread it.
const TOLD: u8 = 3;

/// The oldest format that this build reads: 1 has no nodes and tokens, 2 has no names, 3 has no events and invitations,
/// 4 has no removal on a condition and no restored secret, 5 remembers as many registrations as may be.
const OLDEST: u8 = 1;
