//! The program.

use std::process::ExitCode;

use rookery_node::cli::{self, Cli, Failure};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let not_yet = |launch: cli::Launch| {
        let checked = launch.source.load_checked();
        checked.map_err(|error| Failure::config(error.to_string()))?;
        Err(Failure::software("the roles are not wired yet"))
    };
    match Cli::read()
        .and_then(Cli::run)
        .and_then(|launch| launch.map_or(Ok(()), not_yet))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            cli::complain(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}
