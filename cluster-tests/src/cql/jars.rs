//! The jars of the database, fetched with Maven once for each content of the list.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Whether the jars are below `cache` already.
pub(crate) fn are_in(cache: &Path) -> Result<bool> {
    Ok(folder(cache)?.is_dir())
}

/// Where the jars are below `cache`, or will be.
fn folder(cache: &Path) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    LIST.hash(&mut hasher);
    Ok(std::path::absolute(cache)?.join(format!("{:016x}", hasher.finish())))
}

/// The folder with the jars, below `cache`.
pub(super) fn fetch(cache: &Path) -> Result<PathBuf> {
    let cache = std::path::absolute(cache)?;
    let jars = folder(&cache)?;
    if jars.is_dir() {
        return Ok(jars);
    }
    std::fs::create_dir_all(&cache)?;
    // Renamed when it is whole, so that a download that was cut short is never taken for one.
    let part = tempfile::tempdir_in(&cache)?;
    let list = part.path().join("pom.xml");
    std::fs::write(&list, LIST)?;
    let whole = part.path().join("jars");
    let status = Command::new("mvn")
        .args(["-B", "-q", "-f"])
        .arg(&list)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", whole.display()))
        .status()
        .context("mvn cannot be started")?;
    ensure!(status.success(), "the database's jars cannot be downloaded");
    std::fs::rename(&whole, &jars)?;
    Ok(jars)
}

const LIST: &str = include_str!("../../cassandra/pom.xml");
