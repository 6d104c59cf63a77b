//! raft-rs's log lines, as `tracing` events.

use std::fmt::{self, Write as _};

use slog::{Drain, KV, Level, Logger, Never, OwnedKVList, Record, Serializer};

/// A logger whose records become `tracing` events. raft-rs's `info` is every vote and every probe, so it is shown as
/// `debug`.
pub(super) fn tracing_logger() -> Logger {
    Logger::root(TracingDrain, slog::o!())
}

struct TracingDrain;

impl Drain for TracingDrain {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let text = || {
            let mut text = Fields(record.msg().to_string());
            // Writing to a string cannot fail.
            let _ = record.kv().serialize(record, &mut text);
            let _ = values.serialize(record, &mut text);
            text.0
        };
        match record.level() {
            Level::Critical | Level::Error => tracing::error!(target: "raft", "{}", text()),
            Level::Warning => tracing::warn!(target: "raft", "{}", text()),
            Level::Info => tracing::debug!(target: "raft", "{}", text()),
            Level::Debug | Level::Trace => tracing::trace!(target: "raft", "{}", text()),
        }
        Ok(())
    }
}

struct Fields(String);

impl Serializer for Fields {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        write!(self.0, " {key}={value}")?;
        Ok(())
    }
}
