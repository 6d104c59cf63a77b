//! A database of the test's own: Apache Cassandra, one node or a small ring, on loopback.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::jars;
use super::node::Node;
use crate::suite::wait_for;

/// A running database; dropped, it is killed.
pub(crate) struct Ring {
    nodes: Vec<Node>,
    port: u16,
    // Behind the nodes, so that it is removed when they are gone.
    _home: TempDir,
}

impl Ring {
    /// Starts `count` nodes with empty disks and waits until all answer and see one another. `cache` keeps the
    /// database's jars.
    pub(crate) fn start(cache: &Path, count: usize) -> Result<Self> {
        let jars = jars::fetch(cache)?;
        let home = tempfile::tempdir()?;
        let port = free_port(count)?;
        let launch = |index| {
            let folder: PathBuf = home.path().join(format!("node{index}"));
            Node::start(&jars, folder, index, count, port)
        };
        let nodes = (0..count).map(launch).collect::<Result<Vec<_>>>()?;
        let mut ring = Self {
            nodes,
            port,
            _home: home,
        };
        ring.wait_until_ready()?;
        Ok(ring)
    }

    /// Where the nodes answer.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let address = |index: usize| format!("{}:{}", address(index), self.port);
        (0..self.nodes.len()).map(address).collect()
    }

    /// A crash of a node, until it is [restarted](Self::restart).
    pub(crate) fn kill(&mut self, index: usize) -> Result<()> {
        self.node(index)?.kill()
    }

    /// Starts a killed node again, with its data.
    pub(crate) fn restart(&mut self, index: usize) -> Result<()> {
        self.node(index)?.launch()?;
        self.wait_until_ready()
    }

    /// Makes a node hang, until it is [woken](Self::wake).
    pub(crate) fn hang(&mut self, index: usize) -> Result<()> {
        self.node(index)?.signal(Signal::STOP)
    }

    /// Wakes a node that hangs.
    pub(crate) fn wake(&mut self, index: usize) -> Result<()> {
        self.node(index)?.signal(Signal::CONT)?;
        self.wait_until_ready()
    }

    fn node(&mut self, index: usize) -> Result<&mut Node> {
        self.nodes.get_mut(index).context("a node of the ring")
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let count = self.nodes.len();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let others: Vec<String> = (0..count).filter(|it| *it != index).map(address).collect();
            let ready = wait_for("the database starts", DEADLINE, || {
                if let Some(end) = node.has_ended() {
                    return Some(Err(end));
                }
                node.is_ready(&others).then_some(Ok(()))
            })?;
            if let Err(end) = ready {
                bail!("node {index} of the database {end}");
            }
        }
        Ok(())
    }
}

/// The address of a node.
pub(super) fn address(index: usize) -> String {
    format!("127.0.0.{}", index + 1)
}

/// A port that is free on all nodes' addresses, with the one behind it, below the range from which the kernel gives
/// out ports of its own accord.
fn free_port(count: usize) -> Result<u16> {
    let seed = u16::try_from(std::process::id() % 4_000)?;
    let candidates = (0..6_000).map(|step| 20_000 + 2 * ((seed + step) % 6_000));
    let free = |port: &u16| {
        let mut all = (0..count).flat_map(|index| [(index, *port), (index, port + 1)]);
        all.all(|(index, port)| TcpListener::bind((&*address(index), port)).is_ok())
    };
    candidates
        .into_iter()
        .find(free)
        .context("found no free ports")
}

/// How long a ring may take to be whole.
const DEADLINE: Duration = Duration::from_secs(180);
