//! Runs seeds, shrinks what fails, and says how to repeat it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::clock::{Micros, SECOND};
use super::faults::Scheduled;
use super::oracle::Tally;
use super::planted::{self, Planted};
use super::world::{self, Asked, World};

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Put in this bug, and end well if it is found; `all`: each in turn.
    #[arg(long)]
    planted: Option<String>,
    /// Only these faults of the seed, by number and with commas, or `none`: what a shrunk run has left.
    #[arg(long)]
    faults: Option<String>,
    /// No client manages its stream (XEP-0198); otherwise half of them do.
    #[arg(long)]
    unmanaged: bool,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
}

impl Options {
    fn asked(&self, planted: Option<Planted>, trace: bool) -> Asked {
        Asked {
            planted,
            unmanaged: self.unmanaged,
            trace,
        }
    }
}

/// Runs what is asked for.
pub(crate) fn run(options: &Options) -> ExitCode {
    quiet_panics();
    let all_well = match options.planted.as_deref() {
        None => run_seeds(options),
        Some("all") => {
            let bugs: Vec<_> = (0..planted::ALL.len() as u64).collect();
            let found = over_cores(&bugs, |bug| {
                let (bug, name, first) = planted::ALL[bug as usize];
                hunt(options, bug, name, first)
            });
            found.into_iter().all(|found| found)
        }
        Some(name) => match planted::by_name(name) {
            Some(bug) => hunt(options, bug, name, options.from),
            None => {
                let names: Vec<_> = planted::ALL.iter().map(|(_, name, _)| *name).collect();
                say(&format!(
                    "no such bug: {name}; there are {}",
                    names.join(", ")
                ));
                false
            }
        },
    };
    if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What came of one seed.
struct Ran {
    /// What was broken.
    failure: Option<String>,
    /// The hash of the journal; `None` after a panic.
    hash: Option<u64>,
    tally: Tally,
}

/// Runs one seed with some of its faults.
fn run_seed(seed: u64, faults: &[Scheduled], asked: Asked) -> Ran {
    run_until(seed, faults, asked, world::RUN)
}

fn run_until(seed: u64, faults: &[Scheduled], asked: Asked, until: Micros) -> Ran {
    let run = || World::new(seed, faults.to_vec(), asked).run(until);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcomes) => Ran {
            failure: outcomes.violation,
            hash: Some(outcomes.hash),
            tally: outcomes.tally,
        },
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
            Ran {
                failure: Some(format!("panic: {}", text.unwrap_or_default())),
                hash: None,
                tally: Tally::default(),
            }
        }
    }
}

fn run_seeds(options: &Options) -> bool {
    let begun = Instant::now();
    let seeds: Vec<_> = (options.from..options.from + options.seeds).collect();
    let ran = over_cores(&seeds, |seed| {
        run_seed(
            seed,
            &chosen(seed, options),
            options.asked(None, options.trace),
        )
    });
    let took = begun.elapsed();
    let mut total = Tally::default();
    let mut failed = 0;
    for (seed, ran) in seeds.iter().zip(&ran) {
        add(&mut total, &ran.tally);
        if let Some(failure) = &ran.failure {
            failed += 1;
            explain(*seed, failure, options, failed <= SHRUNK_MAX);
        }
    }
    say(&summary(options.seeds, failed, &total, took));
    failed == 0 && repeats(options, &ran)
}

/// Whether the first seed, run again, does the same again.
fn repeats(options: &Options, ran: &[Ran]) -> bool {
    let Some(first) = ran.first() else {
        return true;
    };
    let again = run_seed(
        options.from,
        &chosen(options.from, options),
        options.asked(None, false),
    );
    let same = again.hash == first.hash;
    if !same {
        say(&format!("seed {} did not repeat itself", options.from));
    }
    same
}

/// Does the same for many, on all cores; the answers come in the order of the questions.
fn over_cores<T: Send>(all: &[u64], work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(seed) = all.get(at) else {
                    return done;
                };
                done.push((at, work(*seed)));
            }
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|done| done.expect("a panic of a run is caught"))
            .collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, answer)| answer).collect()
}

/// Runs seeds until a planted bug is found: by a seed that finds nothing without it.
fn hunt(options: &Options, bug: Planted, name: &str, first: u64) -> bool {
    for seed in first..first + options.seeds {
        let faults = chosen(seed, options);
        let ran = run_seed(seed, &faults, options.asked(Some(bug), options.trace));
        if let Some(failure) = ran.failure
            && run_seed(seed, &faults, options.asked(None, false))
                .failure
                .is_none()
        {
            say(&format!("planted {name}: found by seed {seed}: {failure}"));
            return true;
        }
    }
    say(&format!(
        "planted {name}: NOT FOUND by {} seeds",
        options.seeds
    ));
    false
}

fn chosen(seed: u64, options: &Options) -> Vec<Scheduled> {
    let all = world::faults_of(seed);
    let numbers = numbers(all.len(), options);
    numbers.into_iter().map(|at| all[at]).collect()
}

/// The numbers of the faults that are wanted, of so many.
fn numbers(all: usize, options: &Options) -> Vec<usize> {
    match &options.faults {
        None => (0..all).collect(),
        Some(some) => some
            .split(',')
            .filter_map(|at| at.parse().ok().filter(|at| *at < all))
            .collect(),
    }
}

/// Prints a failure, what of its faults is enough for one, and the command that repeats it.
fn explain(seed: u64, failure: &str, options: &Options, shrinks: bool) {
    say(&format!("seed {seed}: {failure}"));
    let unmanaged = if options.unmanaged {
        " --unmanaged"
    } else {
        ""
    };
    if !shrinks {
        return say(&format!(
            "  again: cluster-tests sim --seeds 1 --from {seed}{unmanaged} --trace"
        ));
    }
    let faults = world::faults_of(seed);
    let run = |some: &[usize]| {
        let some: Vec<_> = some.iter().map(|at| faults[*at]).collect();
        run_seed(seed, &some, options.asked(None, false)).failure
    };
    let left = shrink(numbers(faults.len(), options), |some| run(some).is_some());
    for at in &left {
        let Scheduled { at, lasts, fault } = faults[*at];
        say(&format!(
            "  at {} ms for {} ms: {fault:?}",
            at / 1_000,
            lasts / 1_000
        ));
    }
    if let Some(failure) = run(&left).filter(|again| again != failure) {
        say(&format!("  then: {failure}"));
    }
    let mut left: Vec<_> = left.iter().map(usize::to_string).collect();
    if left.is_empty() {
        left.push("none".to_owned());
    }
    say(&format!(
        "  again: cluster-tests sim --seeds 1 --from {seed} --faults={}{unmanaged} --trace",
        left.join(",")
    ));
}

/// Leaves out halves, quarters, … and at last single faults, as long as it still fails.
fn shrink(mut faults: Vec<usize>, fails: impl Fn(&[usize]) -> bool) -> Vec<usize> {
    let mut size = faults.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < faults.len() {
            let end = (at + size).min(faults.len());
            let fewer = [&faults[..at], &faults[end..]].concat();
            if fails(&fewer) {
                faults = fewer;
            } else {
                at = end;
            }
        }
        if size == 1 {
            return faults;
        }
        size = size.div_ceil(2);
    }
}

fn summary(seeds: u64, failed: u64, total: &Tally, took: Duration) -> String {
    let Tally {
        sent,
        delivered,
        bounced,
        stored,
        excused,
        moves,
        held,
        registered,
        acked,
        resumed,
        refused,
    } = total;
    let virtual_s = seeds * (world::RUN / SECOND);
    let speed = virtual_s as f64 / took.as_secs_f64().max(0.001);
    format!(
        "{seeds} seeds, {failed} failed; {sent} messages sent, {delivered} deliveries, {bounced} bounced, \
         {stored} stored, {excused} lost where that is allowed, {held} held back by budgets, \
         {acked} acknowledged, {resumed} streams resumed and {refused} not, \
         {moves} shards given up, {registered} registered; \
         {virtual_s} s of the cluster's time in {:.1} s: {speed:.0} times as fast",
        took.as_secs_f64()
    )
}

fn add(total: &mut Tally, tally: &Tally) {
    total.sent += tally.sent;
    total.delivered += tally.delivered;
    total.bounced += tally.bounced;
    total.stored += tally.stored;
    total.excused += tally.excused;
    total.moves += tally.moves;
    total.held += tally.held;
    total.registered += tally.registered;
    total.acked += tally.acked;
    total.resumed += tally.resumed;
    total.refused += tally.refused;
}

/// Of so many failures what is enough for them is looked for.
const SHRUNK_MAX: u64 = 5;

/// A panic is a failure of its seed, and told as one.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::clock::MS;
    use crate::sim::faults::Fault;

    /// Long enough for the first faults; whole runs are for the release build.
    const SHORT: Micros = 13 * SECOND;

    #[test]
    fn a_seed_repeats_its_run_byte_for_byte_and_another_does_not() {
        let hash = |seed| run_until(seed, &world::faults_of(seed), Asked::default(), SHORT).hash;
        let first = hash(2);
        assert!(first.is_some());
        assert_eq!(first, hash(2));
        assert_ne!(first, hash(3));
    }

    #[test]
    fn what_a_session_reads_has_come_to_its_shard_before() {
        // In this seed clients are at a node that may have shards as well, and gets them all.
        let moves = (0..world::SHARDS).map(|shard| Scheduled {
            at: 3 * SECOND + u64::from(shard) * SECOND / 2,
            lasts: SECOND,
            fault: Fault::Move(shard, *world::CONNECTIONS.end()),
        });
        let moves: Vec<_> = moves.collect();
        assert_eq!(run_until(1, &moves, Asked::default(), SHORT).failure, None);
    }

    #[test]
    fn what_clients_have_not_got_outlives_their_node_where_its_owner_gave_it_up() {
        // The next owner has not heard of the sessions yet, or is their node.
        let dies = *world::CONNECTIONS.end();
        for (seed, to, after) in [(19, *world::ROUTERS.start(), 40 * MS), (22, dies, 500 * MS)] {
            let begins = 7 * SECOND;
            let scheduled = |at, fault| Scheduled {
                at,
                lasts: SECOND,
                fault,
            };
            let moves = (0..world::SHARDS).map(|shard| Fault::Move(shard, to));
            let moves = moves.map(|fault| scheduled(begins, fault));
            let death = [scheduled(begins + after, Fault::Crash(dies))];
            let faults: Vec<_> = moves.chain(death).collect();
            let ran = run_until(seed, &faults, Asked::default(), Micros::MAX);
            assert_eq!(ran.failure, None, "{seed}");
        }
    }

    #[test]
    fn what_is_enough_for_a_failure_is_left() {
        let fails = |faults: &[usize]| faults.contains(&3) && faults.contains(&7);
        assert_eq!(shrink((0..11).collect(), fails), [3, 7]);
        assert!(shrink((0..4).collect(), |_| true).is_empty());
    }

    #[test]
    fn an_order_of_questions_is_an_order_of_answers() {
        let all: Vec<_> = (0..100).collect();
        assert_eq!(over_cores(&all, |number| number), all);
    }

    #[test]
    fn a_planted_bug_is_found() {
        let found = (1..9).any(|seed| {
            let asked = Asked {
                planted: Some(Planted::TrimTooEarly),
                ..Asked::default()
            };
            let ran = run_until(seed, &world::faults_of(seed), asked, SHORT);
            ran.failure.is_some()
        });
        assert!(found);
    }
}
