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
            let length = lines[at..]
                .iter()
                .position(|line| **line == end)
                .map_or(1, |n| n + 1);
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
    let words = match words.strip_prefix("pub(") {
        Some(scope) => scope.split_once(") ").map_or(words, |(_, rest)| rest),
        None => words,
    };
    let words = ["pub ", "const ", "async "]
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
            let characters = line.chars().count();
            if characters > LINE_CHARACTERS_MAX && !is_literal(line) {
                findings.push(format!(
                    "{name}:{}: a line of {characters} characters",
                    at + 1
                ));
            }
        }
    }
    report(&findings);
}

/// Whether a line is one string literal and nothing else: a sample is as long as it is, and reads best
/// (and is found) in one piece.
fn is_literal(line: &str) -> bool {
    let line = line.trim().trim_end_matches([',', ';']);
    let line = line.strip_prefix('b').unwrap_or(line);
    let (hashes, raw) = match line.strip_prefix('r') {
        Some(rest) => (rest.len() - rest.trim_start_matches('#').len(), true),
        None => (0, false),
    };
    let quote = format!("\"{}", "#".repeat(hashes));
    let text = line[usize::from(raw) + hashes..]
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix(&*quote));
    text.is_some_and(|text| {
        if raw {
            !text.contains(&*quote)
        } else {
            let unescaped = text.replace("\\\\", "").replace("\\\"", "");
            !unescaped.contains('"') && !unescaped.ends_with('\\')
        }
    })
}

#[test]
fn a_line_with_more_than_a_literal_is_none() {
    for line in [
        r##"    "<a x='1'/>","##,
        r##""a \" b \\";"##,
        r###"r#"<a x="1"/>"#,"###,
        r##"b"\x00""##,
    ] {
        assert!(is_literal(line), "{line}");
    }
    for line in [
        r##"let a = "b";"##,
        r##""a", "b","##,
        r###"r#"a"#, r#"b"#"###,
        r##""a \""##,
        r##"r"a".len();"##,
        "return;",
    ] {
        assert!(!is_literal(line), "{line}");
    }
}

/// Machines decide, movers move: these folders hold machines only.
const MACHINES: [&str; 16] = [
    "node/xmpp/src/",
    "node/session/src/",
    "node/connection/src/admission.rs",
    "node/connection/src/complaints.rs",
    "node/connection/src/flood.rs",
    "node/connection/src/generations.rs",
    "node/connection/src/guard",
    "node/router/src/account/",
    "node/router/src/modules/",
    "node/control/src/state/",
    "node/control/src/quota/",
    "node/link/src/machine/",
    "node/link/src/wire/",
    "node/router/src/shard/machine.rs",
    "node/src/watchers/digest.rs",
    "node/src/watchers/letter.rs",
];

#[test]
fn machines_do_no_io() {
    let forbidden = [
        "tokio::",
        ".await",
        "Instant::now",
        "SystemTime::now",
        "std::net::TcpListener",
        "std::net::TcpStream",
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
            for word in forbidden.iter().filter(|word| has_word(code, word)) {
                findings.push(format!("{name}:{}: `{word}` in a machine", at + 1));
            }
        }
    }
    report(&findings);
}

/// Whether `word` stands in `code` as a whole: `.await` is not in `attempt.awaits_client()`.
fn has_word(code: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .map(|(at, _)| &code[at + word.len()..])
        .any(|rest| !(word.ends_with(part_of_name) && rest.starts_with(part_of_name)))
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
