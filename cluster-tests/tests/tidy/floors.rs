//! Who may depend on whom: the floors of the design, read from the manifests.

use super::{report, root};

/// Each crate of ours, its folder, and those of ours that it may use.
const FLOORS: &[(&str, &[&str])] = &[
    ("node/xmpp", &[]),
    ("proto", &[]),
    ("node/store", &["rookery-xmpp"]),
    ("node/control", &["rookery-xmpp", "rookery-proto"]),
    ("node/session", &["rookery-xmpp"]),
    (
        "node/router",
        &[
            "rookery-xmpp",
            "rookery-proto",
            "rookery-store",
            "rookery-control",
            "rookery-session",
        ],
    ),
    (
        "node/link",
        &["rookery-xmpp", "rookery-proto", "rookery-session"],
    ),
    (
        "node/connection",
        &[
            "rookery-xmpp",
            "rookery-proto",
            "rookery-session",
            "rookery-control",
        ],
    ),
];

#[test]
fn crates_use_only_lower_floors() {
    let mut findings = Vec::new();
    for (folder, allowed) in FLOORS {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml"))
            .expect("each floor is a crate");
        let own = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = "));
        let own = own.unwrap_or_default().trim_matches('"');
        let used = manifest
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next());
        for name in used.filter(|name| name.starts_with("rookery-") && *name != own) {
            if !allowed.contains(&name) {
                findings.push(format!("{folder} uses {name}"));
            }
        }
    }
    report(&findings);
}
