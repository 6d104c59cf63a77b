//! What is wrong with a configuration: where, what, and what would be right.

use std::fmt;

/// Where an option was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// In a file, at a line counted from 1.
    Line(String, usize),
    /// On the command line, as `--set` with this key.
    Flag(String),
    /// Nowhere: a default, or an option that is missing.
    Absent,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub location: Location,
    /// What, in a sentence without its full stop.
    pub reason: String,
    /// What to do, if that is known.
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A problem without a hint.
    pub fn new(location: Location, reason: impl Into<String>) -> Self {
        Self {
            location,
            reason: reason.into(),
            hint: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{file}:{line}"),
            Self::Flag(key) => write!(f, "--set {key}"),
            Self::Absent => f.write_str("configuration"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.reason)?;
        self.hint
            .iter()
            .try_for_each(|hint| write!(f, "\n    {hint}"))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

/// The candidate that was probably meant by `word`, if one is close enough to be worth naming.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(word, candidate),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Below this a guess would rather mislead: `hsts` finds `hosts` (0.6), `port` does not find
/// `hosts` (0.2).
const LIKENESS_MIN: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named_and_a_far_one_is_not() {
        let keys = ["hosts", "data_dir", "roles"];
        assert_eq!(nearest("hsots", keys), Some("hosts"));
        assert_eq!(nearest("datadir", keys), Some("data_dir"));
        assert_eq!(nearest("port", keys), None);
    }

    #[test]
    fn a_problem_reads_as_place_reason_and_hint() {
        let at = Location::Line("rookery.toml".into(), 7);
        let problem = Problem::new(at, "unknown key `hsts`").with_hint("did you mean `hosts`?");
        assert_eq!(
            problem.to_string(),
            "rookery.toml:7: unknown key `hsts`\n    did you mean `hosts`?"
        );
    }
}
