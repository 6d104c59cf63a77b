//! The Java that the database runs on.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Java 17, which the database needs, also where another one is the machine's own.
pub(super) fn path() -> PathBuf {
    let debian = PathBuf::from("/usr/lib/jvm/java-17-openjdk-amd64/bin/java");
    match std::env::var_os("JAVA_HOME") {
        Some(home) => PathBuf::from(home).join("bin/java"),
        None if debian.exists() => debian,
        None => PathBuf::from("java"),
    }
}

/// Fails unless it is there, and of that version.
pub(crate) fn check() -> Result<()> {
    let java = path();
    let shown = java.display();
    let told = Command::new(&java)
        .args(["-XshowSettings:properties", "-version"])
        .output()
        .with_context(|| format!("{shown} cannot be started: {ADVICE}"))?;
    let told = String::from_utf8_lossy(&told.stderr);
    let is_17 = told
        .lines()
        .any(|line| line.trim() == "java.specification.version = 17");
    ensure!(is_17, "{shown} is not Java 17: {ADVICE}");
    Ok(())
}

const ADVICE: &str =
    "the database needs Java 17: apt-get install openjdk-17-jre-headless, or set JAVA_HOME";
