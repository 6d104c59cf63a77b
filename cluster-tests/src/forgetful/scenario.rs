//! Power cuts: under load, while a server starts for the first time, and on a disk that lies.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use rusqlite::Connection;

use super::disk::{Left, Tree};
use super::load::{self, Promised};
use super::{Forgetful, look, write_file};
use crate::server::Server;
use crate::sim::Dice;
use crate::suite::{Case, Suite, Test, named};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "a power cut under load loses nothing that was promised, be messages archived or not",
    "a disk that lies about its syncs is found out by everything that is looked for",
    "a power cut at any moment of its first start leaves a folder that a server starts on",
];

/// The tests.
pub(crate) fn tests() -> Vec<Test<'static>> {
    let cases: [Case; 3] = [under_load, liar, first_start];
    named(NAMES, &cases)
}

/// Registrations are counted, as many as there may be.
const OPTIONS: &[&str] = &[
    "--unlimited",
    "--set",
    "registration.mode=on",
    "--set",
    "registration.per_address=10000/1h",
    "--set",
    "registration.per_prefix_24=10000/1h",
    "--set",
    "registration.per_host=10000/1h",
    "--set",
    "registration.in_all=10000/1h",
];

fn options(archives: &str) -> Vec<String> {
    let archive = format!("archive.default={archives}");
    let all = OPTIONS.iter().map(ToString::to_string);
    all.chain(["--set".to_owned(), archive]).collect()
}

fn start(suite: &Suite, disk: &Forgetful, archives: &str) -> Result<Server> {
    let options = options(archives);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Server::start_at(suite, disk.place(false), &options)
}

fn under_load(suite: &Suite) -> Result<()> {
    for (seed, archives) in [(1, "never"), (2, "always")] {
        rounds(suite, seed, archives).with_context(|| format!("archives: {archives}"))?;
    }
    Ok(())
}

fn rounds(suite: &Suite, seed: u64, archives: &str) -> Result<()> {
    let mut disk = Forgetful::new()?;
    let mut server = start(suite, &disk, archives)?;
    load::create(&server)?;
    let mut promised = Promised::default();
    let mut dice = Dice::new(seed, 2);
    for round in 0..6 {
        let left = match round {
            0 | 5 => Left::Nothing,
            2 => Left::Beginning(seed * 100 + u64::from(round)),
            _ => Left::Some(seed * 100 + u64::from(round)),
        };
        let more = dice.between(50, 300) as usize;
        promised = load::until_killed(&mut server, round, promised, more)?;
        disk.cut(left)?;
        if round % 2 == 1 {
            cut_again(&mut disk, &mut server, &mut dice).context("while it starts again")?;
        }
        let seen = again(&disk, &mut server, &promised, round, archives);
        let lost = seen.with_context(|| format!("round {round}, {left:?}"))?;
        ensure!(
            lost.is_empty(),
            "round {round}, {left:?}: lost are {lost:?}"
        );
    }
    server.stop()?;
    disk.is_complete()
}

/// The power goes again, at any moment of the server's start.
fn cut_again(disk: &mut Forgetful, server: &mut Server, dice: &mut Dice) -> Result<()> {
    server.restart_at(disk.place(false))?;
    server.kill()?;
    let moment = dice.below(disk.records()?.len() as u64 + 1) as usize;
    let left = Left::Some(dice.below(u64::MAX));
    let tree = disk.replayed(moment)?.after_a_cut(left);
    disk.begin_with(&tree)
}

/// Starts the server on what is left, which must be sound, and looks for what is lost.
fn again(
    disk: &Forgetful,
    server: &mut Server,
    promised: &Promised,
    round: u32,
    archives: &str,
) -> Result<Vec<String>> {
    is_sound(disk)?;
    quietly(disk, || server.restart_at(disk.place(false)))?;
    look::losses(server, promised, round, archives == "always")
}

/// Does it and finds no complaint in the server's log.
fn quietly(disk: &Forgetful, start: impl FnOnce() -> Result<()>) -> Result<()> {
    let log = disk.at("log");
    if log.exists() {
        fs::remove_file(&log)?;
    }
    start()?;
    let said = fs::read_to_string(&log)?;
    ensure!(said.is_empty(), "the server complains: {said}");
    Ok(())
}

/// That a copy of each database opens and is whole.
fn is_sound(disk: &Forgetful) -> Result<()> {
    for name in ["store.db", "control.sqlite"] {
        let copy = tempfile::tempdir()?;
        let mut found = false;
        for (path, bytes) in &disk.tree() {
            let (Some((_, file)), Some(bytes)) = (path.rsplit_once('/'), bytes) else {
                continue;
            };
            if file == name || file.strip_suffix("-wal") == Some(name) {
                write_file(&copy.path().join(file), bytes)?;
                found |= file == name;
            }
        }
        ensure!(found, "{name} is gone");
        let database = Connection::open(copy.path().join(name))?;
        let said: String =
            database.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
        ensure!(said == "ok", "{name}: {said}");
    }
    Ok(())
}

/// The same judge, before which something of every kind is lost.
fn liar(suite: &Suite) -> Result<()> {
    let mut disk = Forgetful::new()?;
    let mut server = start(suite, &disk, "always")?;
    load::create(&server)?;
    server.stop()?;
    disk.go_on()?;
    server.restart_at(disk.place(true))?;
    let promised = load::until_killed(&mut server, 0, Promised::default(), 50)?;
    disk.cut(Left::Nothing)?;
    let lost = again(&disk, &mut server, &promised, 0, "always")?;
    let archives = ["sender0", "reader1"].map(|name| format!("in {name}"));
    let kinds = [
        "account ",
        "contact ",
        "note ",
        "ban ",
        "throttle",
        "in the log",
    ];
    for kind in kinds.into_iter().chain(archives.iter().map(String::as_str)) {
        let noticed = lost.iter().any(|line| line.contains(kind));
        ensure!(noticed, "nobody noticed a loss of `{kind}`: {lost:?}");
    }
    Ok(())
}

/// Looks at moments of one first start, and at each with what was synced, with all, and with something in between.
fn first_start(suite: &Suite) -> Result<()> {
    let mut disk = Forgetful::new()?;
    let mut server = start(suite, &disk, "never")?;
    server.kill()?;
    let moments = disk.records()?.len();
    let mut trees: Vec<(String, Tree)> = Vec::new();
    for n in 0..MOMENTS {
        let moment = moments * (n + 1) / MOMENTS;
        let then = disk.replayed(moment)?;
        let left = [Left::Nothing, Left::All, Left::Some(n as u64)][n % 3];
        trees.push((
            format!("{left:?} after {moment} of {moments} changes"),
            then.after_a_cut(left),
        ));
    }
    for (what, tree) in trees {
        disk.begin_with(&tree)?;
        let started = quietly(&disk, || server.restart_at(disk.place(false)));
        started.with_context(|| what.clone())?;
        if server.admin(&["users", "show", "admin@localhost"]).is_err() {
            bail!("{what}: the operator has no account");
        }
        server.kill()?;
    }
    Ok(())
}

const MOMENTS: usize = 15;
