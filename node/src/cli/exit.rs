//! How a command ends when it fails: what it says, and the code by which scripts tell failures
//! apart (sysexits.h).

use std::fmt;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    message: String,
}

impl Failure {
    /// The code of what no restart mends.
    pub const CONFIG: u8 = 78;

    /// 64: the command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 64,
            message: message.into(),
        }
    }

    /// 78: the configuration, the node's identity or what the node finds is wrong. The same command fails until the
    /// operator has changed something, so that a supervisor need not try it again (`RestartPreventExitStatus` of the
    /// units).
    pub fn config(message: impl Into<String>) -> Self {
        Self {
            code: Self::CONFIG,
            message: message.into(),
        }
    }

    /// 69: the server that was to answer does not.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            code: 69,
            message: message.into(),
        }
    }

    /// 70: the server could not start or do its work; another try may succeed.
    pub fn software(message: impl Into<String>) -> Self {
        Self {
            code: 70,
            message: message.into(),
        }
    }

    /// 1: the server answered with an error, or `rookery check` found errors.
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            code: 1,
            message: message.into(),
        }
    }

    /// 2: `rookery check` found warnings, and no errors.
    pub fn warned(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
