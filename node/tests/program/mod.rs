//! Runs the real program for the tests.

#![allow(dead_code, reason = "each test file uses what it needs")]

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod server;

use std::ffi::OsStr;
use std::process::{Command, Output};

/// A run that ended.
pub(crate) struct Run(Output);

/// Runs `rookery` with these arguments to its end, in a folder of its own.
pub(crate) fn rookery(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let output = command().args(arguments).current_dir(dir.path()).output();
    Run(output.expect("the program runs"))
}

/// The program, untouched by the environment of whoever runs the tests.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    for variable in [
        "ROOKERY_CONFIG",
        "ROOKERY_ADMIN_SOCKET",
        "ROOKERY_PASSWORD",
        "RUST_LOG",
    ] {
        command.env_remove(variable);
    }
    command
}

impl Run {
    /// Standard output of a run that succeeded.
    pub(crate) fn expect_success(&self) -> String {
        assert!(self.0.status.success(), "{}", self.errors());
        self.output()
    }

    /// Standard error of a run that failed with this code.
    pub(crate) fn expect_failure(&self, code: i32) -> String {
        assert_eq!(
            self.0.status.code(),
            Some(code),
            "{}{}",
            self.output(),
            self.errors()
        );
        self.errors()
    }

    /// Whether it ended well.
    pub(crate) fn succeeded(&self) -> bool {
        self.0.status.success()
    }

    /// Standard output.
    pub(crate) fn output(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("UTF-8")
    }

    /// Standard error.
    pub(crate) fn errors(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).expect("UTF-8")
    }
}
