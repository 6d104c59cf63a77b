//! The tally, as people see it.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::NAMES;
use super::scene::Scene;
use super::talk::{Talk, Totals};
use crate::suite::say;

/// Shows the tally until the other end of `ends` is dropped.
pub(super) fn show(scene: &Scene, ends: &Receiver<()>) {
    let terminal = std::io::stdout().is_terminal();
    let [one, two] = NAMES;
    say(&format!(
        "{:6}{:20}{:36}  {two} to {one}\n{HEAD}",
        "",
        "",
        format!("{one} to {two}")
    ));
    for second in 0u64.. {
        match ends.recv_timeout(Duration::from_secs(1)) {
            Err(RecvTimeoutError::Timeout) if terminal => {
                let mut output = std::io::stdout();
                // Nobody reads it any more if this fails.
                let _ = write!(output, "\r{}\x1b[K", line(scene)).and_then(|()| output.flush());
            }
            Err(RecvTimeoutError::Timeout) if second % QUIET_EVERY == 0 => say(&line(scene)),
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
    }
}

/// One line: the time, what is wrong, and how both directions stand.
fn line(scene: &Scene) -> String {
    let seconds = scene.elapsed().as_secs();
    let state = scene.state();
    let [one, two] = &state.talk.directions;
    let trouble = match state.trouble.as_str() {
        "" => "all up",
        other => other,
    };
    format!(
        "{:02}:{:02} {trouble:20}{}  {}{:9}{:6}",
        seconds / 60,
        seconds % 60,
        columns(&one.totals(false)),
        columns(&two.totals(false)),
        state.talk.resumptions(),
        state.talk.new_sessions(),
    )
}

fn columns(it: &Totals) -> String {
    format!(
        "{:6}{:7}{:9}{:6}{:8}",
        it.sent, it.acknowledged, it.received, it.lost, it.doubled
    )
}

/// How it ended.
pub(super) fn table(talk: &Talk) -> String {
    let [one, two] = NAMES;
    let [a, b] = [0, 1].map(|at| talk.directions[at].totals(true));
    let rows = [
        ("sent", a.sent, b.sent),
        ("acknowledged", a.acknowledged, b.acknowledged),
        ("received", a.received, b.received),
        ("LOST: acknowledged, and never received", a.lost, b.lost),
        ("DOUBLED within a session", a.doubled, b.doubled),
        ("OUT OF ORDER within a session", a.disordered, b.disordered),
        (
            "overtaken while it waited for a session",
            a.overtaken,
            b.overtaken,
        ),
        ("sent again in a new session", a.sent_again, b.sent_again),
        (
            "received again after a new session",
            a.received_again,
            b.received_again,
        ),
        ("returned as an error", a.returned, b.returned),
    ];
    let titles = [format!("{one} to {two}"), format!("{two} to {one}")];
    let mut text = format!("\n{:40}{:>22}{:>22}\n", "", titles[0], titles[1]);
    for (title, a, b) in rows {
        text += &format!("{title:40}{a:22}{b:22}\n");
    }
    for (name, client) in NAMES.iter().zip(&talk.clients) {
        let new = client.bound.saturating_sub(1);
        text += &format!(
            "{name} resumed its session {} times and had to take a new one {new} times\n",
            client.resumed
        );
    }
    text
}

/// The processes that no kill has come to: a run may be too short for all of them.
pub(super) fn spared<'a>(killed: &[String], names: &'a [String]) -> Vec<&'a str> {
    let spared = names.iter().filter(|name| !killed.contains(name));
    spared.map(String::as_str).collect()
}

/// Who was killed and who was not, in words. The database is not among the nodes, and is never killed.
pub(super) fn killed(killed: &[String], names: &[String]) -> String {
    let spared = spared(killed, names);
    let hit = names.len() - spared.len();
    let mut text = format!("killed {hit} of {} nodes", names.len());
    if killed.len() > hit {
        text += &format!(", with {} kills", killed.len());
    }
    match spared.is_empty() {
        true => text += "; not killed: the database",
        false => text += &format!("; not killed: {}, the database", spared.join(", ")),
    }
    text
}

const HEAD: &str = "time  cluster               sent  acked received  lost doubled    \
                    sent  acked received  lost doubled  resumed   new";

/// Where nobody sees a line change, one is enough in so many seconds.
const QUIET_EVERY: u64 = 5;
