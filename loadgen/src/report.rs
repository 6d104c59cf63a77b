//! What a run says in the end: a summary on the terminal, JSON, and a page for people.

mod html;
mod json;

use std::fs::File;
use std::io::Write;

use anyhow::Context;

use crate::coordinator::Measured;
use crate::options::Command;
use json::Summary;

/// Fails where the files that were asked for cannot be written: before the run, and not after an
/// hour of it.
pub(crate) fn prepare(command: &Command) -> anyhow::Result<()> {
    let common = command.common();
    for path in common.json.iter().chain(&common.html) {
        let opened = File::options().create(true).append(true).open(path);
        opened.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Prints the summary and writes the files that were asked for.
pub(crate) fn write(command: &Command, measured: &Measured) -> anyhow::Result<()> {
    let summary = Summary::new(command.name(), measured);
    let common = command.common();
    let mut out = std::io::stdout().lock();
    for line in summary.lines() {
        writeln!(out, "{line}")?;
    }
    if let Some(path) = &common.json {
        let text = serde_json::to_string_pretty(&summary)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &common.html {
        let page = html::page(&summary);
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
