//! A server started for measuring: stopped by its own process id when dropped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens (direct TLS, or STARTTLS if it has nothing else).
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command` and waits until something listens on `port`.
    ///
    /// # Errors
    /// When it cannot be started, ends early, or does not listen within 15 s.
    pub fn start(command: &mut Command, port: u16) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot start {program}"))?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        for _ in 0..TRIES {
            if TcpStream::connect_timeout(&server.address, TRY).is_ok() {
                return Ok(server);
            }
            // Also the pause between tries: it ends early only when the child does.
            if let Some(status) = server.wait(TRY)? {
                bail!("{program} ended at once: {status}");
            }
        }
        bail!("{program} does not listen on {}", server.address)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "std cannot wait for a child with a deadline"
    )]
    fn wait(&mut self, time: Duration) -> anyhow::Result<Option<std::process::ExitStatus>> {
        std::thread::sleep(time);
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on loopback that is free now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A binary that was built beside this one.
///
/// # Errors
/// When it was not.
pub fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.exists(),
        "{} is missing: build it first (see the file's head)",
        path.display()
    );
    Ok(path)
}

const TRY: Duration = Duration::from_millis(100);
const TRIES: u32 = 150;
