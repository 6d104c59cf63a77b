//! Each XEP module is registered, and the README's table is the one that the modules give.

use std::collections::BTreeSet;
use std::fmt::Write;

use rookery_router::modules::{Registry, Status, all};

use super::{report, root, rust_sources};

#[test]
fn each_module_with_an_info_is_registered() {
    let registered: BTreeSet<u16> = Registry::new(all())
        .infos()
        .iter()
        .map(|info| info.xep)
        .collect();
    let mut findings = Vec::new();
    let mut seen = 0;
    for (name, text) in rust_sources() {
        if !name.starts_with("node/router/src/modules/") || !text.contains("const INFO: Info = ") {
            continue;
        }
        seen += 1;
        let number = text
            .split("xep: ")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        let number = number.and_then(|number| number.trim().parse().ok());
        if !number.is_some_and(|number| registered.contains(&number)) {
            findings.push(format!("{name} is not registered"));
        }
    }
    assert_eq!(
        seen,
        registered.len(),
        "every registered module has a file of its own"
    );
    report(&findings);
}

#[test]
fn the_table_of_xeps_in_the_readme_is_the_generated_one() {
    let (begin, end) = ("<!-- xeps: begin -->\n", "<!-- xeps: end -->");
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("a README");
    let (before, rest) = readme
        .split_once(begin)
        .expect("the README marks where the table begins");
    let (found, after) = rest
        .split_once(end)
        .expect("the README marks where the table ends");
    let table = table();
    if std::env::var_os("ROOKERY_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}"))
            .expect("README written");
        return;
    }
    assert_eq!(
        found, table,
        "run the tests with ROOKERY_BLESS=1 to write the table anew"
    );
}

fn table() -> String {
    let mut table =
        String::from("| XEP | title | version | status | note |\n|---|---|---|---|---|\n");
    for info in Registry::new(all()).infos() {
        let status = match info.status {
            Status::Complete => "complete",
            Status::Partial => "partial",
        };
        let number = info.xep;
        writeln!(
            table,
            "| [{number:04}](https://xmpp.org/extensions/xep-{number:04}.html) | {} | {} | {status} | {} |",
            info.title, info.version, info.note
        )
        .expect("writing to a string");
    }
    table
}
