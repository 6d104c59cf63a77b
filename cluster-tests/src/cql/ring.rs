//! A database of the test's own: Apache Cassandra, one node or a small ring, on loopback.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::jars;
use super::node::Node;
use crate::live::process::{Identity, Life};
use crate::suite::wait_for;

/// What somebody at a terminal is told before it starts.
pub(crate) const STARTS: &str =
    "starts the database: half a minute, and longer where Maven has to fetch it first";

/// A running database; dropped, it is killed, unless it was [released](Self::release).
pub(crate) struct Ring {
    nodes: Vec<Node>,
    addresses: Vec<IpAddr>,
    port: u16,
    // Behind the nodes, so that it is removed when they are gone.
    _home: Option<TempDir>,
}

impl Ring {
    /// Starts `count` nodes with empty disks and waits until all answer and see one another. `cache` keeps the
    /// database's jars.
    pub(crate) fn start(cache: &Path, count: usize) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let addresses = (0..count).map(loopback).collect();
        let mut ring = Self::start_in(cache, home.path(), addresses, Life::WithThis)?;
        ring._home = Some(home);
        Ok(ring)
    }

    /// The same, in this folder, a node on each of these addresses.
    pub(crate) fn start_in(
        cache: &Path,
        folder: &Path,
        addresses: Vec<IpAddr>,
        life: Life,
    ) -> Result<Self> {
        let mut ring = Self::launch_in(cache, folder, addresses, life)?;
        ring.wait_until_ready()?;
        Ok(ring)
    }

    /// The same, but the nodes have only begun to start.
    pub(crate) fn launch_in(
        cache: &Path,
        folder: &Path,
        addresses: Vec<IpAddr>,
        life: Life,
    ) -> Result<Self> {
        let jars = jars::fetch(cache)?;
        let port = free_port(&addresses)?;
        let launch = |index| {
            let folder: PathBuf = folder.join(format!("database{}", index + 1));
            Node::start(&jars, folder, (index, &addresses), port, life)
        };
        let nodes = (0..addresses.len())
            .map(launch)
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            nodes,
            addresses,
            port,
            _home: None,
        })
    }

    /// Where the nodes answer.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let address = |address: &IpAddr| format!("{address}:{}", self.port);
        self.addresses.iter().map(address).collect()
    }

    /// The port at which all nodes answer.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The nodes' processes, and the files that each logs to.
    pub(crate) fn processes(&self) -> Result<Vec<(Identity, PathBuf)>> {
        self.nodes
            .iter()
            .map(|node| Ok((Identity::of(node.pid())?, node.log_file())))
            .collect()
    }

    /// Lets the nodes live on when this is dropped, with their data.
    pub(crate) fn release(mut self) {
        self.nodes.drain(..).for_each(Node::release);
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

    /// Waits until all nodes answer and see one another; fails as soon as one ends.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let others = self.addresses.iter().enumerate();
            let others: Vec<String> = others
                .filter(|(it, _)| *it != index)
                .map(|(_, address)| address.to_string())
                .collect();
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

/// The address of a node of a test.
fn loopback(index: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(Ipv4Addr::LOCALHOST.to_bits() + index as u32))
}

/// A port that is free on all nodes' addresses, with the one behind it, below the range from which the kernel gives
/// out ports of its own accord.
fn free_port(addresses: &[IpAddr]) -> Result<u16> {
    let seed = u16::try_from(std::process::id() % 4_000)?;
    let candidates = (0..6_000).map(|step| 20_000 + 2 * ((seed + step) % 6_000));
    let free = |port: &u16| {
        let mut all = addresses
            .iter()
            .flat_map(|it| [(*it, *port), (*it, port + 1)]);
        all.all(|at| TcpListener::bind(at).is_ok())
    };
    candidates
        .into_iter()
        .find(free)
        .context("found no free ports")
}

/// How long a ring may take to be whole.
const DEADLINE: Duration = Duration::from_secs(180);
