//! Where scenarios are played: a cluster, made for the first scenario that needs one like it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cluster::{Cluster, Shape, make_empty};
use super::load::{Load, Report};
use super::namespace::Network;
use super::needs;
use super::node::{Place, Role, Settings};
use super::process::Life;
use crate::cql::ring::{self, Ring};

/// What a scenario needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// All nodes on loopback, over one database node.
    Loopback,
    /// All nodes on loopback, over three database nodes.
    Ring,
    /// Each node in a network namespace of its own, over one database node.
    Namespaces,
}

/// What scenarios are played with.
pub(crate) struct Tools<'a> {
    /// The server's binary.
    pub(crate) rookery: &'a Path,
    /// The load generator's binary.
    pub(crate) loadgen: &'a Path,
    /// Keeps the database's jars.
    pub(crate) cache: &'a Path,
    /// Everything that is written goes below.
    pub(crate) folder: &'a Path,
}

impl Tools<'_> {
    /// Fails unless all of it is there: a stage takes a minute to set, and would be for nothing.
    pub(crate) fn check(&self) -> Result<()> {
        needs::program(self.rookery)?;
        needs::program(self.loadgen)?;
        needs::database(self.cache)
    }
}

/// A cluster on its ground.
pub(crate) struct Stage<'a> {
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// The network, where it has one of its own.
    pub(crate) network: Option<Network>,
    /// What kind it is.
    pub(crate) ground: Ground,
    tools: &'a Tools<'a>,
    folder: PathBuf,
    loads: u32,
}

impl<'a> Stage<'a> {
    /// Starts a cluster of three members, three routers and two connection nodes; `number` tells it from others.
    pub(crate) fn set(tools: &'a Tools<'a>, ground: Ground, number: usize) -> Result<Self> {
        let folder = tools.folder.join(format!("cluster{number}"));
        make_empty(&folder)?;
        let mut network = match ground {
            Ground::Namespaces => Some(Network::make()?),
            Ground::Loopback | Ground::Ring => None,
        };
        let host = network
            .as_ref()
            .map_or_else(|| Place::loopback().address, Network::host);
        let settings = Settings {
            tells: true,
            rookery: tools.rookery.to_owned(),
            unlimited: true,
            options: Vec::new(),
            life: Life::WithThis,
        };
        settings.tell(ring::STARTS);
        let ring = match ground {
            Ground::Ring => Ring::start(tools.cache, 3)?,
            _ => Ring::start_in(tools.cache, &folder, vec![host], Life::WithThis)?,
        };
        let mut cluster = Cluster::start(&folder, settings, SHAPE, ring, |_| match &mut network {
            Some(network) => network.add(),
            None => Ok(Place::loopback()),
        })?;
        // What comes now is the scenario's to tell.
        cluster.settings.tells = false;
        Ok(Self {
            cluster,
            network,
            ground,
            tools,
            folder,
            loads: 0,
        })
    }

    /// Starts a load against all connection nodes, with accounts of its own, and waits until everybody is there.
    pub(crate) fn load(&mut self, words: &[&str]) -> Result<Load> {
        self.loads += 1;
        let folder = self.folder.join(format!("load{}", self.loads));
        let prefix = self.last_prefix();
        let words = [words, &["--register", "--prefix", &prefix]].concat();
        let mut load = Load::start(self.tools.loadgen, &folder, &self.cluster, &words)?;
        load.wait_until_measuring()?;
        Ok(load)
    }

    /// What the names of the accounts of the load that began last begin with.
    pub(crate) fn last_prefix(&self) -> String {
        format!("load{}-", self.loads)
    }

    /// A load from its beginning to its end.
    pub(crate) fn run(&mut self, words: &[&str]) -> Result<Report> {
        self.load(words)?.finish()
    }

    /// `rookery admin registration …` at a node.
    pub(crate) fn registration(&self, name: &str, words: &[&str]) -> Result<()> {
        self.admin(name, &[&["registration"], words].concat())
    }

    /// `rookery admin …` at a node.
    pub(crate) fn admin(&self, name: &str, words: &[&str]) -> Result<()> {
        let node = &self.cluster.nodes[self.cluster.find(name)?];
        node.admin(&self.cluster.settings, words).map(drop)
    }

    /// Starts all connection nodes again, with these options as well.
    pub(crate) fn reconfigure_connections(&mut self, options: &[&str]) -> Result<()> {
        let options = options.iter().map(ToString::to_string);
        self.cluster.settings.options.extend(options);
        let of = self.cluster.of(Role::Connection);
        let names: Vec<String> = of.map(|node| node.name.clone()).collect();
        for name in names {
            self.process(&name)?.stop()?;
            self.start_again(&name)?;
        }
        Ok(())
    }

    /// One more connection node on loopback.
    pub(crate) fn add_connection(&mut self) -> Result<()> {
        self.cluster.add(Role::Connection, Place::loopback())?;
        self.cluster.wait_until_whole()
    }

    /// The network of its own.
    pub(crate) fn network(&self) -> Result<&Network> {
        self.network.as_ref().context("a network of its own")
    }

    /// A process of a node, by the node's name.
    pub(crate) fn process(&mut self, name: &str) -> Result<&mut super::process::Process> {
        let index = self.cluster.find(name)?;
        self.cluster.nodes[index].process()
    }

    /// Starts a node again that was killed, and waits until the cluster is whole.
    pub(crate) fn start_again(&mut self, name: &str) -> Result<()> {
        let index = self.cluster.find(name)?;
        let Cluster {
            nodes, settings, ..
        } = &mut self.cluster;
        nodes[index].start(settings)?;
        self.cluster.wait_until_whole()
    }
}

const SHAPE: Shape = Shape {
    controls: 3,
    routers: 3,
    connections: 2,
};
