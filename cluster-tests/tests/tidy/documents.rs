//! Documents do not run ahead of the code.

use super::{report, root};

/// Each path that a document names must exist: whatever stands in backquotes and has a slash in it.
#[test]
fn each_path_that_a_document_names_exists() {
    let mut findings = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md"] {
        let text = std::fs::read_to_string(root().join(document)).expect("the document");
        let mut named = 0;
        for path in text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| is_path(word))
        {
            named += 1;
            if !root().join(path).exists() {
                findings.push(format!("{document} names `{path}`, which does not exist"));
            }
        }
        assert!(named > 0, "{document} names no path");
    }
    report(&findings);
}

fn is_path(word: &str) -> bool {
    let tops = [
        "node/",
        "proto/",
        "cluster-tests/",
        "loadgen/",
        "benches/",
        "deploy/",
        ".ci/",
    ];
    tops.iter().any(|top| word.starts_with(top)) && !word.contains(char::is_whitespace)
}

#[test]
fn the_top_level_is_the_one_of_the_design() {
    let allowed = [
        ".ci",
        ".check",
        ".git",
        ".gitignore",
        "ARCHITECTURE.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "benches",
        "check",
        "clippy.toml",
        "cluster-tests",
        "deploy",
        "loadgen",
        "node",
        "proto",
        "rookery",
        "rustfmt.toml",
        "target",
        "rookery-data",
    ];
    let mut findings = Vec::new();
    for entry in std::fs::read_dir(root()).expect("the root").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !allowed.contains(&&*name) {
            findings.push(format!("{name} is not of the top level"));
        }
    }
    report(&findings);
}

#[test]
fn nothing_points_outside_the_repository() {
    let mut findings = Vec::new();
    let mut documents: Vec<_> = super::rust_sources();
    for name in [
        "ARCHITECTURE.md",
        "README.md",
        "check",
        "rookery",
        ".ci/run",
    ] {
        documents.push((
            name.into(),
            std::fs::read_to_string(root().join(name)).unwrap_or_default(),
        ));
    }
    let outside = concat!("shared", "/");
    for (name, text) in documents {
        if text.contains(&format!("../{outside}")) || text.contains(&format!("/work/{outside}")) {
            findings.push(format!("{name} points outside the repository"));
        }
    }
    report(&findings);
}
