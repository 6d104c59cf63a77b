//! Runs tests one after another and counts them.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What every test is run with.
pub(crate) struct Suite {
    /// The server's binary.
    pub(crate) rookery: PathBuf,
    /// The load generator's binary.
    pub(crate) loadgen: PathBuf,
    only: String,
}

/// One test: its name is a sentence.
pub(crate) type Test<'a> = (&'static str, Box<dyn Fn(&Suite) -> Result<()> + 'a>);

/// What a test does that needs the suite alone.
pub(crate) type Case = fn(&Suite) -> Result<()>;

/// Such tests, by their names.
pub(crate) fn named(names: &'static [&'static str], cases: &[Case]) -> Vec<Test<'static>> {
    let pairs = names.iter().zip(cases);
    pairs
        .map(|(name, case)| (*name, Box::new(*case) as Box<_>))
        .collect()
}

impl Suite {
    /// A suite over these binaries; `only` picks tests by a part of their name.
    pub(crate) fn new(rookery: PathBuf, loadgen: PathBuf, only: String) -> Self {
        Self {
            rookery,
            loadgen,
            only,
        }
    }

    /// Prints the names of all tests.
    pub(crate) fn list(&self, parts: &[&[&str]]) {
        for name in parts
            .iter()
            .copied()
            .flatten()
            .filter(|name| name.contains(&self.only))
        {
            say(name);
        }
    }

    /// Runs the tests.
    pub(crate) fn run(&self, tests: &[Test<'_>]) -> ExitCode {
        let mut failed = 0;
        let mut passed = 0;
        for (name, test) in tests.iter().filter(|(name, _)| name.contains(&self.only)) {
            let start = now();
            match test(self) {
                Ok(()) => {
                    passed += 1;
                    say(&format!(
                        "ok      {name} ({:.1} s)",
                        start.elapsed().as_secs_f32()
                    ));
                }
                Err(error) => {
                    failed += 1;
                    say(&format!("FAILED  {name}: {error:#}"));
                }
            }
        }
        say(&format!("{passed} passed, {failed} failed"));
        if failed == 0 && passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Prints a line.
pub(crate) fn say(line: &str) {
    // Nobody reads it any more if this fails.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The present moment. These tests watch real processes, so real time is theirs.
#[expect(
    clippy::disallowed_methods,
    reason = "tests of real processes wait in real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Looks again and again until `look` finds something, for at most `deadline`.
pub(crate) fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    let start = now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if start.elapsed() > deadline {
            bail!("{what}: nothing for {deadline:?}");
        }
        pause(Duration::from_millis(20));
    }
}

/// Gives way between two looks at a condition.
#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks, under a deadline"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
