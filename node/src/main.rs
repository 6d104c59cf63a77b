//! The program.

use std::process::ExitCode;

use rookery_node::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only where there is one already, and this is the first line that runs.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::read().and_then(Cli::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            cli::complain(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}
