//! The version of the protocol between nodes.

/// The version that this build speaks.
pub const PROTOCOL: u32 = 2;

/// The oldest version that this build takes: the one before its own, so that a cluster is upgraded node by node.
pub const PROTOCOL_OLDEST: u32 = PROTOCOL - 1;

/// The metadata in which a node that refuses a version tells its own.
pub const VERSION_KEY: &str = "rookery-version";

/// Whether this build takes messages of that version.
pub fn speaks(version: u32) -> bool {
    (PROTOCOL_OLDEST..=PROTOCOL).contains(&version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_takes_its_own_version_and_the_one_before() {
        assert!(speaks(PROTOCOL) && speaks(PROTOCOL - 1));
        assert!(!speaks(PROTOCOL + 1) && !speaks(PROTOCOL - 2));
    }
}
