//! The program: arguments, configuration, logging, runtime, build, addresses, signals, drain.

use std::process::ExitCode;

use clap::Parser;
use rookery_node::cli::{self, Cli, Failure, Launch};
use rookery_node::http::Metrics;
use rookery_node::operation::LogHandle;
use rookery_node::server::{Server, StopCause};
use tracing::info;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run().and_then(|launch| launch.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            cli::complain(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}

fn run(launch: Launch) -> Result<(), Failure> {
    let config = launch.source.load_checked().map_err(|error| Failure::config(error.to_string()))?;
    let log = LogHandle::start(&config.log).map_err(|error| Failure::software(error.to_string()))?;
    let metrics = Metrics::install().ok_or_else(|| Failure::software("metrics run already"))?;
    info!(version = rookery_node::VERSION, "starting");
    let system = actix::System::new();
    system.block_on(async {
        let failed = |error| Failure::software(format!("the server cannot start: {error}"));
        let server =
            Server::start(config, launch.source, log, metrics).await.map_err(failed)?;
        if let Some(dev) = &launch.dev {
            dev.greet(&server).await?;
        }
        cli::say("ready");
        let cause = server.serve().await.map_err(failed)?;
        match cause {
            StopCause::Signal(signal) => info!(signal, "draining"),
            StopCause::Operator => info!("draining on the operator's word"),
        }
        server.drain().await;
        Ok(())
    })
}
