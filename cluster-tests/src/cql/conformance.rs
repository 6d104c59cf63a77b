//! The suite of all stores.

use std::sync::Arc;

use anyhow::{Result, ensure};
use rookery_store::Store;
use rookery_store::conformance::{Case, cases};

use super::ring::Ring;
use super::wipe::wipe;
use super::{block_on, open};
use crate::suite::{now, say};

/// Runs every case, and tells all that fail.
pub(super) fn run(ring: &Ring) -> Result<()> {
    block_on(async {
        let mut failed = Vec::new();
        let start = now();
        for case in cases() {
            if let Err(reason) = run_case(ring, case).await {
                say(&format!("        {}: {reason:#}", case.name));
                failed.push(case.name);
            }
        }
        let seconds = start.elapsed().as_secs_f32();
        say(&format!(
            "        {} cases in {seconds:.1} s",
            cases().len()
        ));
        ensure!(failed.is_empty(), "{} cases failed", failed.len());
        Ok(())
    })
}

/// A case finds an empty keyspace, and a store that remembers nothing.
async fn run_case(ring: &Ring, case: Case) -> Result<()> {
    let store: Arc<dyn Store> = Arc::new(open(ring, "cases").await?);
    // In a task of its own, so that its panic is its failure alone.
    let outcome = tokio::spawn(async move { (case.run)(&*store).await }).await;
    wipe(ring, "cases").await?;
    Ok(outcome?)
}
