//! `rookery admin server`.

use clap::Subcommand;
use rookery_proto::admin::server_client::ServerClient;
use rookery_proto::admin::{
    DrainRequest, DrainResponse, ReloadRequest, SetLogLevelRequest, ShowLogLevelRequest,
    ShowStatusRequest, ShowStatusResponse, ShowVersionRequest, StopRequest,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, duration};
use super::Shown;
use crate::operator::DRAINING;

/// The node itself.
#[derive(Debug, Subcommand)]
pub(super) enum ServerCommand {
    /// How the node does.
    Status,
    /// Which software it runs.
    Version,
    /// Show what is logged, or change it until the node stops or reloads.
    LogLevel {
        /// The new filter, such as `debug` or `info,rookery_router=debug`.
        filter: Option<String>,
    },
    /// Read the configuration and the certificates again.
    Reload,
    /// Empty the node until it starts again: its shards move to others, and its clients are sent away in waves.
    Drain {
        /// How many seconds the command may wait until it is empty; it fails if the node is not by then. The default is
        /// enough for 50,000 clients in waves of `cluster.drain_wave_clients`, each `cluster.drain_wave_ms` behind the
        /// last.
        #[arg(long, value_name = "SECONDS", default_value_t = 270)]
        within: u32,
    },
    /// End all sessions and stop.
    Stop,
}

impl ServerCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = ServerClient::new(channel);
        match self {
            Self::Status => Ok(status(
                client.show_status(ShowStatusRequest {}).await?.into_inner(),
            )),
            Self::Version => {
                let shown = client
                    .show_version(ShowVersionRequest {})
                    .await?
                    .into_inner();
                let text = format!("{} {}", shown.name, shown.version);
                Ok(Shown {
                    text,
                    json: json!({"name": shown.name, "version": shown.version}),
                })
            }
            Self::LogLevel { filter: None } => {
                let filter = client
                    .show_log_level(ShowLogLevelRequest {})
                    .await?
                    .into_inner()
                    .filter;
                Ok(Shown {
                    text: filter.clone(),
                    json: json!({"filter": filter}),
                })
            }
            Self::LogLevel {
                filter: Some(filter),
            } => {
                let request = SetLogLevelRequest {
                    filter: filter.clone(),
                };
                let previous = client.set_log_level(request).await?.into_inner().previous;
                let text = format!("logs by `{filter}`, before by `{previous}`");
                Ok(Shown {
                    text,
                    json: json!({"filter": filter, "previous": previous}),
                })
            }
            Self::Reload => {
                let report = client.reload(ReloadRequest {}).await?.into_inner();
                let mut text = format!("applied: {}", report.applied.join(", "));
                if !report.needs_restart.is_empty() {
                    let waiting = report.needs_restart.join(", ");
                    text.push_str(&format!("\nchanged, but needs a restart: {waiting}"));
                }
                let (applied, needs_restart) = (report.applied, report.needs_restart);
                Ok(Shown {
                    text,
                    json: json!({"applied": applied, "needs_restart": needs_restart}),
                })
            }
            Self::Drain { within } => {
                let within_ms = u64::from(within) * 1_000;
                let left = client.drain(DrainRequest { within_ms }).await?.into_inner();
                drained(&left)
            }
            Self::Stop => {
                let within_ms = client.stop(StopRequest {}).await?.into_inner().within_ms;
                let text = format!("stops within {}", duration(within_ms));
                Ok(Shown {
                    text,
                    json: json!({"within_ms": within_ms}),
                })
            }
        }
    }
}

/// Whoever stops a node after the command must hear that it was too early.
fn drained(left: &DrainResponse) -> Result<Shown, Status> {
    let (shards, connections) = (left.shards, left.connections);
    match (shards, connections) {
        (0, 0) => Ok(Shown {
            text: "empty, until it starts again".to_owned(),
            json: json!({"shards": shards, "connections": connections}),
        }),
        _ => Err(Status::deadline_exceeded(format!(
            "not empty yet: {} and {} are left",
            counted(u64::from(shards), "shard"),
            counted(connections, "connection")
        ))),
    }
}

fn status(status: ShowStatusResponse) -> Shown {
    let parts = status.components.iter();
    let (drained, others): (Vec<_>, Vec<_>) = parts.partition(|part| part.name == DRAINING);
    let well = others.iter().all(|part| part.healthy);
    let state = match (drained.is_empty(), status.ready) {
        (false, _) if well => "draining",
        (true, true) => "ready",
        _ => "NOT READY",
    };
    let mut lines = vec![
        format!(
            "rookery {}, {state}, up {}",
            status.version,
            duration(status.uptime_ms)
        ),
        format!(
            "process      {} ({})",
            status.process_id,
            status.roles.join(", ")
        ),
    ];
    let hosts = status.hosts.iter();
    lines.extend(hosts.map(|host| {
        let accounts = host.accounts.map(|count| counted(count, "account"));
        let accounts = accounts.map_or_else(String::new, |accounts| format!(": {accounts}"));
        format!("host         {}{accounts}", host.host)
    }));
    lines.extend(status.components.iter().map(|part| {
        let state = match part.healthy {
            _ if part.name == DRAINING => "yes",
            true => "ok",
            false => "NOT OK",
        };
        let detail = match part.detail.as_str() {
            "" => String::new(),
            detail => format!(" ({detail})"),
        };
        format!("{:<11}  {state}{detail}", part.name)
    }));
    let listeners = status.listeners.iter();
    lines.extend(listeners.map(|at| format!("listens      {} on {}", at.name, at.address)));
    let components = status
        .components
        .iter()
        .map(|part| json!({"name": part.name, "healthy": part.healthy, "detail": part.detail}));
    let json = json!({
        "version": status.version,
        "ready": status.ready,
        "started_ms": status.started_ms,
        "uptime_ms": status.uptime_ms,
        "process_id": status.process_id,
        "roles": status.roles,
        "connections": status.connections,
        "hosts": status.hosts.iter().map(|h| json!({"host": h.host, "accounts": h.accounts})).collect::<Vec<_>>(),
        "components": components.collect::<Vec<_>>(),
        "listeners": status.listeners.iter().map(|l| json!({"name": l.name, "address": l.address})).collect::<Vec<_>>(),
    });
    Shown {
        text: lines.join("\n"),
        json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_that_leaves_something_fails() {
        let left = |shards, connections| {
            drained(&DrainResponse {
                shards,
                connections,
            })
        };
        assert!(left(0, 0).is_ok());
        for (shards, connections) in [(1, 0), (0, 1)] {
            assert!(left(shards, connections).is_err());
        }
    }
}
