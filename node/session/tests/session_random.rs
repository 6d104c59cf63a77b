//! Whole dialogues and SASL messages at random, for some seconds or as long as `ROOKERY_FUZZ_SECONDS` says.

use std::time::{Duration, Instant};

use rookery_session::testing::{Reached, check_dialogue, check_messages, make_messages};
use rookery_xmpp::entropy::Seeded;

/// How long a test may look for something.
fn duration() -> Duration {
    Duration::from_secs(number("ROOKERY_FUZZ_SECONDS").unwrap_or(3))
}

/// The first case of this run; another one makes others.
fn seed() -> u64 {
    number("ROOKERY_FUZZ_SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs cases until the time is over. Every case has a seed of its own, so that it alone can be repeated.
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on the test's own run time"
)]
fn run_cases(check: impl Fn(&mut Seeded) -> Result<Reached, String>) -> Vec<Reached> {
    let start = Instant::now();
    let mut all = Vec::new();
    while start.elapsed() < duration() {
        for _ in 0..100 {
            let case = seed()
                .wrapping_mul(1_000_003)
                .wrapping_add(all.len() as u64);
            match check(&mut Seeded::new(case)) {
                Ok(reached) => all.push(reached),
                Err(error) => panic!("case {case}: {error}"),
            }
        }
    }
    all
}

/// How many in 100 came so far.
fn share(all: &[Reached], so_far: impl Fn(&Reached) -> bool) -> usize {
    all.iter().filter(|reached| so_far(reached)).count() * 100 / all.len()
}

#[test]
fn dialogues_hold_what_sessions_promise() {
    let all = run_cases(|entropy| check_dialogue(entropy));
    let shares = [
        share(&all, |r| r.secured),
        share(&all, |r| r.failures > 0),
        share(&all, |r| r.authenticated),
        share(&all, |r| r.bound),
        share(&all, |r| r.ended),
    ];
    println!("{} dialogues: {shares:?} %", all.len());
    // Each part of a session must be reached often, or nothing is said about it.
    assert!(shares.iter().all(|share| *share >= 5), "{shares:?}");
}

#[test]
fn sasl_messages_prove_nothing_but_what_they_prove() {
    let all = run_cases(|entropy| {
        let data = make_messages(entropy);
        check_messages(&data).map_err(|error| format!("{error}\n  of {}", data.escape_ascii()))
    });
    let shares = [
        share(&all, |r| r.failures > 0),
        share(&all, |r| r.authenticated),
    ];
    println!("{} logins: {shares:?} %", all.len());
    assert!(shares.iter().all(|share| *share >= 5), "{shares:?}");
}
