//! What is in `deploy` fits the program: configurations load, a dashboard shows what is measured.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use rookery_node::cli::Failure;
use rookery_node::config::Source;
use rookery_node::operation::Ceilings;

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
fn help_comes_at_once_also_where_nothing_is_built() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    for words in [&["dev", "--help"][..], &["-h"], &["help"], &[]] {
        // Without Cargo it could not be built.
        let told = Command::new(repository().join("rookery"))
            .args(words)
            .env("CARGO_TARGET_DIR", empty.path())
            .env("HOME", empty.path())
            .env("PATH", "/usr/bin:/bin")
            .output()
            .expect("a shell");
        let text = String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success(), "{words:?}: {told:?}");
        assert!(text.contains("builds it first"), "{words:?}: {text}");
    }
}

#[test]
fn each_metric_of_the_dashboard_and_the_runbook_is_one_that_the_program_has() {
    let runbook = repository().join("deploy/RUNBOOK.md");
    let runbook = std::fs::read_to_string(runbook).expect("the runbook");
    let mut sources = String::new();
    for file in files(&repository().join("node"), "rs") {
        sources += &std::fs::read_to_string(file).expect("a source");
    }
    for file in files(&repository().join("deploy/dashboards"), "json") {
        let text = std::fs::read_to_string(file).expect("a dashboard");
        let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let mut expressions = Vec::new();
        collect(&dashboard, &mut expressions);
        let mut metrics: BTreeSet<&str> = expressions.iter().flat_map(|it| metrics(it)).collect();
        assert!(metrics.len() > 30, "{metrics:?}");
        metrics.extend(self::metrics(&runbook));
        for metric in metrics {
            let histogram = metric.strip_suffix("_bucket").unwrap_or(metric);
            assert!(
                sources.contains(&format!("\"{histogram}\"")),
                "there is no {metric}"
            );
        }
    }
}

#[test]
fn each_metric_says_what_it_means() {
    let mut said = String::new();
    for folder in [
        "node/src/metrics.rs",
        "node/store/src/scylla/metrics.rs",
        "node/store/src/sqlite/metrics.rs",
    ] {
        said += &std::fs::read_to_string(repository().join(folder)).expect("a source");
    }
    let mut silent = BTreeSet::new();
    for file in files(&repository().join("node"), "rs") {
        let source = std::fs::read_to_string(file).expect("a source");
        let packed: String = source.split_whitespace().collect();
        for before in ["counter!(\"", "gauge!(\"", "histogram!(\"", ":&str=\""] {
            let named = packed
                .split(before)
                .skip(1)
                .filter_map(|rest| rest.split('"').next());
            let metrics = named.filter(|name| name.starts_with("rookery_"));
            silent.extend(
                metrics
                    .filter(|name| !said.contains(&format!("\"{name}\"")))
                    .map(str::to_owned),
            );
        }
    }
    assert_eq!(silent, BTreeSet::new());
}

#[test]
fn each_unit_is_not_started_again_after_what_no_restart_mends() {
    let units = files(&repository().join("deploy/systemd"), "service");
    assert_eq!(units.len(), 4, "{units:?}");
    let line = format!("RestartPreventExitStatus=64 {}", Failure::CONFIG);
    for unit in units {
        let text = std::fs::read_to_string(&unit).expect("a unit");
        assert!(
            text.lines().any(|found| found == line),
            "{}",
            unit.display()
        );
    }
}

#[test]
fn each_unit_may_open_the_files_that_its_configuration_needs() {
    let folder = repository().join("deploy");
    let units = [
        ("rookery", "all-in-one"),
        ("rookery-connection", "connection"),
        ("rookery-router", "router"),
        ("rookery-control", "control"),
    ];
    for (unit, configuration) in units {
        let source = Source {
            file: Some(folder.join(format!("config/{configuration}.toml"))),
            ..Source::default()
        };
        let needed = Ceilings::of(&source.load_checked().expect("it loads")).files;
        let unit = folder.join(format!("systemd/{unit}.service"));
        let text = std::fs::read_to_string(&unit).expect("a unit");
        let mut lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("LimitNOFILE="));
        let limit: u64 = lines
            .next()
            .and_then(|limit| limit.parse().ok())
            .expect("a limit");
        assert!(limit >= needed, "{}: {limit} of {needed}", unit.display());
    }
}

#[test]
fn a_pod_has_the_time_that_its_clients_take_to_leave_in_waves() {
    let folder = repository().join("deploy/kubernetes");
    let text = std::fs::read_to_string(folder.join("connection.yaml")).expect("a manifest");
    let source = Source {
        file: Some(folder.join("config/connection.toml")),
        ..Source::default()
    };
    let config = source.load_checked().expect("it loads");
    let number = |before: &str| -> u64 {
        let (_, rest) = text.split_once(before).expect("it is there");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let (within, grace) = (
        number("drain --within "),
        number("terminationGracePeriodSeconds: "),
    );
    let waves = (config.connection.connections_max as u64)
        .div_ceil(u64::from(config.cluster.drain_wave_clients));
    let waves_ms = waves * config.cluster.drain_wave_ms;
    assert!(within * 1_000 > waves_ms, "{waves_ms} ms of waves");
    assert!(grace * 1_000 >= 5_000 + within * 1_000 + config.connection.drain_ms_max);
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
