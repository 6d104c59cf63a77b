//! The only place that writes to the terminal. A reader that went away (`| head`) is no error.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// A line, or several, on standard output.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A line, or several, on standard error.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A line of standard input without its end. At a terminal it is asked for with `prompt`, and what
/// is typed is not shown.
pub(super) fn read_secret(prompt: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let hidden = stdin.is_terminal().then(|| Hidden::begin(prompt));
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    drop(hidden);
    read?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// A terminal that does not show what is typed, for as long as this value lives.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin(prompt: &str) -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            // The line's end is still shown, so that the next output begins on a line of its own.
            hidden.local_modes.insert(LocalModes::ECHONL);
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &hidden);
        }
        let _ = write!(io::stderr(), "{prompt}");
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// A table with a head; columns as wide as they must be, two spaces apart.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let plain = |row: &Vec<String>| row.iter().map(|cell| shown(cell)).collect::<Vec<_>>();
    let rows: &[Vec<String>] = &rows.iter().map(plain).collect::<Vec<_>>();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    [&head]
        .into_iter()
        .chain(rows)
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A cell as it may reach a terminal: nodes and clients have written what is in it.
fn shown(cell: &str) -> String {
    let visible = cell
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c });
    visible.take(CELL_CHARS_MAX).collect()
}

/// The widest column: longer than any JID and address that is meant to be read.
const CELL_CHARS_MAX: usize = 400;

/// A moment as people write it (UTC).
pub(super) fn moment(ms: u64) -> String {
    let text = rookery_xmpp::datetime::format(rookery_xmpp::clock::Timestamp(ms - ms % 1000));
    text.replace('T', " ")
        .replace('Z', " UTC")
        .replace(".000", "")
}

/// A length of time in its two largest units.
pub(super) fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// So many of something, in the singular where there is one.
pub(super) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["juliet@x".to_owned(), "1".to_owned()],
            vec!["r".into(), "22".into()],
        ];
        assert_eq!(
            table(&["JID", "N"], &rows),
            "JID       N\njuliet@x  1\nr         22"
        );
    }

    #[test]
    fn what_others_have_written_cannot_move_the_cursor_or_fill_the_memory() {
        let rows = vec![vec!["\u{1b}[2Ja\nb".to_owned()], vec!["x".repeat(100_000)]];
        let table = table(&["JID"], &rows);
        assert_eq!(table.lines().nth(1), Some("\u{fffd}[2Ja\u{fffd}b"));
        assert_eq!(
            table.lines().map(|line| line.chars().count()).max(),
            Some(400)
        );
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(duration(59_999), "59 s");
        assert_eq!(duration(3_725_000), "1 h 2 min");
        assert!(moment(1_000_000_000_123).starts_with("2001-09-09 01:46:40"));
    }
}
