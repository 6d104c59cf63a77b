//! What is in `deploy` fits the program: configurations load, a dashboard shows what is measured.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rookery_node::config::Source;

#[test]
fn each_configuration_is_one_that_a_server_starts_with() {
    let files = files(&repository().join("deploy"), "toml");
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let source = Source {
            file: Some(file.clone()),
            ..Source::default()
        };
        let loaded = source.load_checked();
        assert!(
            loaded.is_ok(),
            "{}: {}",
            file.display(),
            loaded.unwrap_err()
        );
    }
}

#[test]
fn each_metric_of_a_dashboard_is_one_that_the_program_has() {
    let mut sources = String::new();
    for file in files(&repository().join("node"), "rs") {
        sources += &std::fs::read_to_string(file).expect("a source");
    }
    for file in files(&repository().join("deploy/dashboards"), "json") {
        let text = std::fs::read_to_string(file).expect("a dashboard");
        let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let mut expressions = Vec::new();
        collect(&dashboard, &mut expressions);
        let metrics: BTreeSet<&str> = expressions.iter().flat_map(|it| metrics(it)).collect();
        assert!(metrics.len() > 30, "{metrics:?}");
        for metric in metrics {
            let histogram = metric.strip_suffix("_bucket").unwrap_or(metric);
            assert!(
                sources.contains(&format!("\"{histogram}\"")),
                "there is no {metric}"
            );
        }
    }
}

/// All expressions of a dashboard.
fn collect<'a>(value: &'a serde_json::Value, into: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::Object(fields) => {
            into.extend(fields.get("expr").and_then(|expr| expr.as_str()));
            fields.values().for_each(|field| collect(field, into));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}

/// The metrics in an expression.
fn metrics(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("rookery_") || word.starts_with("process_"))
}

/// Files with this ending, below a folder.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path, ending));
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn repository() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder
        .parent()
        .expect("it is in the repository")
        .into()
}
