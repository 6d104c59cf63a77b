//! Which version of the protocol is spoken with whom.

use std::sync::atomic::{AtomicU32, Ordering};

use rookery_control::FormatError;
use rookery_proto::{PROTOCOL, PROTOCOL_OLDEST, VERSION_KEY, speaks};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// The newest version that this process speaks: one process is one node.
static NEWEST: AtomicU32 = AtomicU32::new(PROTOCOL);

/// The version that this node's messages say, unless the peer is known to speak an older one.
pub(super) fn newest() -> u32 {
    NEWEST.load(Ordering::Relaxed)
}

/// Speaks no newer version than this from now on (`cluster.protocol_max`). Before the first message.
pub(super) fn hold_back(to: u32) {
    NEWEST.store(to.min(PROTOCOL), Ordering::Relaxed);
}

/// The newest format of the control group's commands that this node speaks. One that is held back takes part like the
/// builds of that protocol, so that nothing gets into the log that they could not read.
pub(super) fn format() -> u8 {
    match newest() < PROTOCOL {
        true => FORMAT_OF_PROTOCOL_1,
        false => FormatError::KNOWN,
    }
}

/// Refuses a message of a version that this node does not take, with a line in the log.
pub(super) fn check(version: u32, what: &'static str) -> Result<(), Status> {
    let own = newest();
    if speaks(version) && version <= own {
        return Ok(());
    }
    tracing::warn!(version, own, what, "protocol version refused");
    let mut status = Status::failed_precondition(format!(
        "this node speaks versions {PROTOCOL_OLDEST} to {own} of the protocol, not {version}"
    ));
    status
        .metadata_mut()
        .insert(VERSION_KEY, MetadataValue::from(own));
    Err(status)
}

/// The version that one peer is spoken to in.
#[derive(Debug)]
pub(super) struct Spoken(AtomicU32);

impl Default for Spoken {
    fn default() -> Self {
        Self(AtomicU32::new(newest()))
    }
}

impl Spoken {
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes over to the peer's version, if the peer has refused ours and this build knows its.
    pub(super) fn heed(&self, refusal: &Status) {
        if refusal.code() != Code::FailedPrecondition {
            return;
        }
        let told = refusal
            .metadata()
            .get(VERSION_KEY)
            .and_then(|value| value.to_str().ok());
        if let Some(version) = told.and_then(|text| text.parse().ok())
            && speaks(version)
            && version <= newest()
        {
            self.0.store(version, Ordering::Relaxed);
        }
    }
}

/// The newest format of commands that builds knew before there was protocol 2.
const FORMAT_OF_PROTOCOL_1: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_peer_is_spoken_to_in_its_version_and_a_far_newer_one_is_not() {
        let spoken = Spoken::default();
        let refusal = |version: u32| {
            let mut status = Status::failed_precondition("");
            status
                .metadata_mut()
                .insert(VERSION_KEY, MetadataValue::from(version));
            status
        };
        spoken.heed(&refusal(PROTOCOL + 1));
        assert_eq!(spoken.get(), PROTOCOL);
        spoken.heed(&refusal(PROTOCOL - 1));
        assert_eq!(spoken.get(), PROTOCOL - 1);
        assert!(check(PROTOCOL - 1, "test").is_ok());
        let refused = check(PROTOCOL + 1, "test").unwrap_err();
        assert!(refused.message().contains("not 3"), "{refused}");
    }
}
