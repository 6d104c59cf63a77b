//! What a run says in the end: a summary on the terminal, JSON, and a page for people.

mod html;
mod json;

use std::io::Write;

use anyhow::Context;

use crate::coordinator::Measured;
use crate::options::Command;
use json::Summary;

/// Prints the summary and writes the files that were asked for.
pub(crate) fn write(command: &Command, measured: &Measured) -> anyhow::Result<()> {
    let summary = Summary::new(command.name(), measured);
    let common = command.common();
    if let Some(path) = &common.json {
        let text = serde_json::to_string_pretty(&summary)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &common.html {
        let page = html::page(&summary);
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    let mut out = std::io::stdout().lock();
    for line in summary.lines() {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
