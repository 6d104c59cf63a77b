//! The log: one subscriber for the process, whose filter can change while it runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{LogFormat, LogOptions};

/// The running log. Clones change the same one.
#[derive(Clone)]
pub struct LogHandle {
    reload: reload::Handle<EnvFilter, Registry>,
    filter: Arc<ArcSwap<String>>,
}

/// A filter that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the log filter cannot be understood: {0}")]
pub struct FilterError(
    /// Why.
    pub String,
);

impl LogHandle {
    /// Starts logging to standard error. Fails if the process logs already.
    pub fn start(options: &LogOptions) -> Result<Self, TryInitError> {
        // The configuration's check has refused what cannot be understood.
        let filter = parse(&options.filter).unwrap_or_else(|_| EnvFilter::new("info"));
        let (filter, reload) = reload::Layer::new(filter);
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match options.format {
            LogFormat::Human => lines.with_ansi(is_terminal()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init()?;
        Ok(Self {
            reload,
            filter: Arc::new(ArcSwap::from_pointee(options.filter.clone())),
        })
    }

    /// What is logged now.
    pub fn filter(&self) -> String {
        self.filter.load().as_ref().clone()
    }

    /// Logs by another filter from now on, and returns the one before.
    pub fn set_filter(&self, text: &str) -> Result<String, FilterError> {
        let filter = parse(text)?;
        self.reload
            .reload(filter)
            .map_err(|error| FilterError(error.to_string()))?;
        Ok(self.filter.swap(Arc::new(text.to_owned())).as_ref().clone())
    }
}

/// Whether a text is a filter.
///
/// # Errors
/// If it cannot be read, or has a bare word that would be the name of an unheard-of target: a level misspelt, as
/// in `wurn`, would switch off all of the log.
pub fn check_filter(text: &str) -> Result<(), FilterError> {
    EnvFilter::try_new(text).map_err(|error| FilterError(error.to_string()))?;
    let mut bare = text.split(',').map(str::trim).filter(|word| {
        // What is in brackets is a span.
        !word.is_empty() && !word.contains(['=', '['])
    });
    let meant = |word: &str| {
        let is_level = word.parse::<LevelFilter>().is_ok();
        is_level || word.starts_with(OURS) || word.contains("::")
    };
    match bare.find(|word| !meant(word)) {
        None => Ok(()),
        Some(word) => Err(FilterError(format!(
            "`{word}` is no level (error, warn, info, debug, trace, off) and no part of this server; for a library \
             write `{word}=debug`"
        ))),
    }
}

/// A filter that lets libraries tell more than `info` only when it names them: `debug` is about the
/// server, and would drown in the frames of its own admin API. Of what clients send, rustls warns at
/// each packet: anybody could fill the log.
fn parse(text: &str) -> Result<EnvFilter, FilterError> {
    check_filter(text)?;
    let read =
        |text: &str| EnvFilter::try_new(text).map_err(|error| FilterError(error.to_string()));
    let filter = read(text)?;
    let level = filter.max_level_hint();
    // Of two directives for one target the later holds.
    if level <= Some(LevelFilter::ERROR) {
        Ok(filter)
    } else if level <= Some(LevelFilter::INFO) {
        read(&format!("{PROVOKED},{text}"))
    } else {
        read(&format!("{CHATTY},{PROVOKED},{text}"))
    }
}

/// With what the targets of this server begin.
const OURS: &str = "rookery";

const PROVOKED: &str = "rustls=error";

const CHATTY: &str = "h2=info,hyper=info,hyper_util=info,tonic=info,tower=info,axum=info,mio=info";

fn is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_no_filter() {
        for text in ["wurn", "foo", "info,debg", "info,rookery_router=debg", "h2"] {
            assert!(check_filter(text).is_err(), "{text}");
        }
        for text in [
            "",
            "off",
            "WARN",
            "info,rookery_router=debug",
            "rookery_router",
            "rookery::admin, debug",
            "info,h2=trace",
            "info,[login]",
        ] {
            assert!(check_filter(text).is_ok(), "{text}");
        }
        let told = check_filter("wurn").unwrap_err().to_string();
        assert!(told.contains("`wurn` is no level"), "{told}");
    }

    #[test]
    fn libraries_stay_quiet_until_they_are_named() {
        let filter = |text: &str| parse(text).unwrap().to_string();
        assert!(filter("debug").contains("h2=info"));
        assert_eq!(filter("error"), "error");
        assert!(filter("warn").contains("rustls=error"));
        assert!(filter("info,rustls=warn").contains("rustls=warn"));
        let named = filter("debug,h2=trace");
        assert!(
            named.contains("h2=trace") && !named.contains("h2=info"),
            "{named}"
        );
    }
}
