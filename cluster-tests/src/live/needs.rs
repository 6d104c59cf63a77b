//! What a cluster needs of the machine, looked for before anything is started.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cql::{jars, java};

/// Fails unless the program is there and can be started.
pub(crate) fn program(path: &Path) -> Result<()> {
    let shown = path.display();
    let told = Command::new(path).arg("--version").output();
    let told = told.with_context(|| {
        format!("{shown} cannot be started: `cargo build --release -p rookery -p rookery-loadgen`")
    })?;
    ensure!(
        told.status.success(),
        "{shown} --version: {}: {}",
        told.status,
        String::from_utf8_lossy(&told.stderr).trim()
    );
    Ok(())
}

/// Fails unless the machine has what the database needs, whose jars are kept in `cache`.
pub(crate) fn database(cache: &Path) -> Result<()> {
    java::check()?;
    if jars::are_in(cache)? {
        return Ok(());
    }
    let maven = Command::new("mvn").arg("--version").output();
    maven.context("mvn, which fetches the database, cannot be started: apt-get install maven")?;
    Ok(())
}
