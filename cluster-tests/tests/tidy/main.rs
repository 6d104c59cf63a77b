//! The rules of the code that a program can see.

mod documents;
mod floors;
mod sources;
mod xeps;

use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate is in the workspace")
        .into()
}

/// Every Rust source of the repository, with its path from the root.
fn rust_sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for folder in ["node", "proto", "cluster-tests", "loadgen", "benches"] {
        collect(&root().join(folder), &mut sources);
    }
    sources.sort();
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

fn collect(folder: &Path, sources: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder)
        .expect("a folder of the repository")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(root())
                .expect("below the root")
                .display()
                .to_string();
            sources.push((
                name,
                std::fs::read_to_string(&path).expect("a readable source"),
            ));
        }
    }
}

/// Fails with all findings at once.
fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}
