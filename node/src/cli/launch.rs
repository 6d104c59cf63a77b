//! Runs a server: `rookery serve` and `rookery dev`.

use std::fmt::Display;

use tracing::{info, warn};

use super::{Failure, dev, say};
use crate::config::{Config, Source};
use crate::metrics::Metrics;
use crate::operation::LogHandle;
use crate::server::{Server, StartError};

/// A server that is to run.
pub struct Launch {
    /// Its configuration.
    pub source: Source,
    /// What `rookery dev` says and does once it runs.
    pub dev: Option<dev::Greeting>,
}

impl Launch {
    /// Runs the server until it is told to stop and has drained. One that a part has failed of drains as well, and ends
    /// with an error.
    pub fn run(self) -> Result<(), Failure> {
        let config = self
            .source
            .load_checked()
            .map_err(|error| Failure::config(error.to_string()))?;
        let log = LogHandle::start(&config.log).map_err(software)?;
        let metrics = Metrics::install().ok_or_else(|| Failure::software("metrics run already"))?;
        actix::System::new().block_on(self.serve(config, log, metrics))
    }

    async fn serve(self, config: Config, log: LogHandle, metrics: Metrics) -> Result<(), Failure> {
        let started = Server::start(config, self.source, log, metrics).await;
        let mut server = match started {
            Ok(server) => server,
            Err(StartError::Stopped(cause)) => {
                info!(%cause, "stopped before it had started");
                return Ok(());
            }
            Err(error) => return Err(failure(&error, self.dev.is_some())),
        };
        match (server.removal().await, self.dev) {
            (Some(reason), _) => warn!(reason, "not ready"),
            (None, greeting) => {
                if let Some(greeting) = greeting {
                    greeting.greet(&server).await?;
                }
                say("ready");
            }
        }
        let cause = server.serve().await;
        info!(%cause, "draining");
        server.drain().await;
        match cause.is_failure() {
            false => Ok(()),
            true if cause.is_final() => Err(Failure::config(cause.to_string())),
            true => Err(software(cause)),
        }
    }
}

fn failure(error: &StartError, is_dev: bool) -> Failure {
    let mut text = error.to_string();
    if is_dev && error.is_busy_port() {
        text.push_str("\n    another server has the port: `--port-offset N` moves all of them");
    }
    match error.is_final() {
        true => Failure::config(text),
        false => Failure::software(text),
    }
}

fn software(error: impl Display) -> Failure {
    Failure::software(error.to_string())
}
