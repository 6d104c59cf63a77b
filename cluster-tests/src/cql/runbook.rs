//! The runbook's section for one machine, word by word.

use anyhow::Result;

use super::ring::Ring;
use crate::guide::{Document, free_ports};
use crate::suite::Suite;

/// Runs all blocks of the section as one script.
pub(super) fn run(suite: &Suite, ring: &Ring) -> Result<()> {
    let runbook = Document::read("deploy/RUNBOOK.md", 5)?;
    let home = tempfile::tempdir()?;
    let environment = [
        ("SCYLLA", ring.addresses()[0].clone()),
        ("KEYSPACE", "runbook".to_owned()),
        ("PORT", free_ports(108)?.to_string()),
    ];
    runbook.run(suite, home.path(), home.path(), environment)
}
