//! Sizes of files and functions, machines without IO, the form of log messages.

use super::{report, rust_sources};

const FILE_LINES_MAX: usize = 600;
const FILE_LINES_MEDIAN_MAX: usize = 200;
const FUNCTION_LINES_MAX: usize = 70;
const MAIN_LINES_MAX: usize = 130;
const LINE_CHARACTERS_MAX: usize = 120;

#[test]
fn files_are_short() {
    let mut findings = Vec::new();
    let mut lengths = Vec::new();
    for (name, text) in rust_sources() {
        let lines = text.lines().count();
        lengths.push(lines);
        let max = if name.ends_with("main.rs") {
            MAIN_LINES_MAX
        } else {
            FILE_LINES_MAX
        };
        if lines > max {
            findings.push(format!("{name}: {lines} lines, at most {max}"));
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    if median >= FILE_LINES_MEDIAN_MAX {
        findings.push(format!("the median file has {median} lines"));
    }
    report(&findings);
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for (name, text) in rust_sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !begins_function(line) || !has_body(&lines[at..]) {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[at..].iter().position(|line| **line == end).map_or(1, |n| n + 1);
            if length > FUNCTION_LINES_MAX {
                findings.push(format!("{name}:{}: a function of {length} lines", at + 1));
            }
        }
    }
    report(&findings);
}

/// Whether a signature is followed by a body: a trait's method may end with a semicolon.
fn has_body(lines: &[&str]) -> bool {
    lines.iter().find_map(|line| match line.chars().last() {
        Some('{' | '}') => Some(true),
        Some(';') => Some(false),
        _ => None,
    }) == Some(true)
}

/// Whether a line of formatted source begins a function with a body.
fn begins_function(line: &str) -> bool {
    let words = line.trim_start();
    let words = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async "]
        .iter()
        .fold(words, |words, prefix| {
            words.strip_prefix(prefix).unwrap_or(words)
        });
    words.starts_with("fn ") && !words.ends_with(';') && !words.ends_with("{}")
}

#[test]
fn lines_fit() {
    let mut findings = Vec::new();
    for (name, text) in rust_sources() {
        for (at, line) in text.lines().enumerate() {
            if line.chars().count() > LINE_CHARACTERS_MAX {
                findings.push(format!(
                    "{name}:{}: a line of {} characters",
                    at + 1,
                    line.len()
                ));
            }
        }
    }
    report(&findings);
}

/// Machines decide, movers move: these folders hold machines only.
const MACHINES: [&str; 6] = [
    "node/xmpp/src/",
    "node/session/src/",
    "node/router/src/account/",
    "node/router/src/modules/",
    "node/control/src/state/",
    "node/router/src/shard/machine.rs",
];

#[test]
fn machines_do_no_io() {
    let forbidden = [
        "tokio::",
        ".await",
        "Instant::now",
        "SystemTime::now",
        "std::net::Tcp",
        "actix::",
    ];
    let mut findings = Vec::new();
    for (name, text) in rust_sources() {
        // The one place where movers read the clock.
        let machine = MACHINES.iter().any(|folder| name.starts_with(folder));
        if !machine || name == "node/xmpp/src/clock.rs" {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in forbidden.iter().filter(|word| code.contains(**word)) {
                findings.push(format!("{name}:{}: `{word}` in a machine", at + 1));
            }
        }
    }
    report(&findings);
}

#[test]
fn log_messages_are_lower_case_without_a_full_stop() {
    let macros = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];
    let mut findings = Vec::new();
    for (name, text) in rust_sources() {
        let logs = text
            .split("tracing::")
            .skip(1)
            .filter(|rest| macros.iter().any(|name| rest.starts_with(name)));
        for log in logs {
            let call = log.split(");").next().unwrap_or_default();
            let Some(message) = call.rsplit('"').nth(1) else {
                continue;
            };
            let capital = message.chars().next().is_some_and(char::is_uppercase);
            if capital || message.ends_with('.') {
                findings.push(format!("{name}: log message {message:?}"));
            }
        }
    }
    report(&findings);
}
