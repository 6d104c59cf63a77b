//! One thing that `rookery check` has to say.

use std::fmt;

use serde_json::json;

use crate::config::{Location, Problem};

/// How bad it is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Clients, or some of them, will not get through.
    Error,
    /// It works, at a risk.
    Warning,
    /// Worth knowing.
    Note,
}

/// What was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// `certificate`, `identity`, `port`, `files`, `memory`, `dns`, `contact`, `folder`, `setting`,
    /// `configuration`, `shards`, `store`.
    pub(super) topic: &'static str,
    pub(super) what: String,
    pub(super) fix: String,
}

impl Finding {
    pub(super) fn error(topic: &'static str, what: String, fix: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            topic,
            what,
            fix: fix.into(),
        }
    }

    pub(super) fn warning(topic: &'static str, what: String, fix: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            topic,
            what,
            fix: fix.into(),
        }
    }

    pub(super) fn note(topic: &'static str, what: String, fix: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            topic,
            what,
            fix: fix.into(),
        }
    }

    pub(super) fn from_problem(problem: Problem) -> Self {
        let what = match &problem.location {
            Location::Absent => problem.reason,
            place => format!("{place}: {}", problem.reason),
        };
        Self::error("configuration", what, problem.hint.unwrap_or_default())
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        json!({
            "severity": self.severity.name(),
            "topic": self.topic,
            "what": self.what,
            "fix": self.fix,
        })
    }
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<7}  {}: {}",
            self.severity.name(),
            self.topic,
            self.what
        )?;
        if self.fix.is_empty() {
            Ok(())
        } else {
            let fix = self.fix.replace('\n', "\n           ");
            write!(f, "\n         → {fix}")
        }
    }
}
