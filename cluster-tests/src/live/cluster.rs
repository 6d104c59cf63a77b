//! A cluster of real processes over a real database, made with the commands of an operator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::node::{Node, Place, Role, Settings};
use super::process::Identity;
use super::record::{Entry, Ports, Record};
use crate::cql::ring::Ring;
use crate::suite::wait_for;

/// How many nodes of each role a cluster has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Members of the control group.
    pub(crate) controls: usize,
    /// Routers.
    pub(crate) routers: usize,
    /// Connection nodes.
    pub(crate) connections: usize,
}

/// A running cluster; dropped, it is killed, unless it was [released](Self::release).
pub(crate) struct Cluster {
    /// In the order in which they joined, control members first.
    pub(crate) nodes: Vec<Node>,
    /// What all have in common.
    pub(crate) settings: Settings,
    /// The database.
    pub(crate) ring: Ring,
    folder: PathBuf,
}

impl Cluster {
    /// Starts the nodes over this database, with everything that they write below `folder`. `place` says where node
    /// number so-and-so runs.
    pub(crate) fn start(
        folder: &Path,
        mut settings: Settings,
        shape: Shape,
        ring: Ring,
        mut place: impl FnMut(usize) -> Result<Place>,
    ) -> Result<Self> {
        settings.options.extend([
            "store.backend=scylla".to_owned(),
            format!("scylla.nodes={:?}", ring.addresses()),
            format!("scylla.copies={}", ring.addresses().len()),
        ]);
        let mut cluster = Self {
            nodes: Vec::new(),
            settings,
            ring,
            folder: folder.to_owned(),
        };
        let roles = [
            (Role::Control, shape.controls),
            (Role::Router, shape.routers),
            (Role::Connection, shape.connections),
        ];
        let roles = roles
            .into_iter()
            .flat_map(|(role, count)| std::iter::repeat_n(role, count));
        for (index, role) in roles.enumerate() {
            let place = place(index)?;
            cluster.add(role, place)?;
        }
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// One more node, which runs; gives its place in the list.
    pub(crate) fn add(&mut self, role: Role, place: Place) -> Result<usize> {
        let number = self.of(role).count() + 1;
        let name = format!("{}{number}", role.name());
        self.settings.tell(&format!("starts {name}"));
        let mut node = Node::new(&self.folder, name, role, place)?;
        if self.nodes.is_empty() {
            node.init(&self.settings, "live")?;
        } else {
            let token = self.token(role)?;
            let controls = self.of(Role::Control);
            let peers: Vec<String> = controls.map(Node::cluster_address).collect();
            node.join(&self.settings, &token, &peers)?;
        }
        self.nodes.push(node);
        let last = self.nodes.len() - 1;
        self.nodes[last].launch(&self.settings)?;
        // A start that fails half-way, or is broken off, leaves nothing that `down` does not know.
        self.write_record()?;
        self.nodes[last].wait_until_ready()?;
        // Now it has its certificate too.
        self.write_record()?;
        Ok(last)
    }

    fn token(&self, role: Role) -> Result<String> {
        let first = self.nodes.first().context("a cluster has a first node")?;
        let words = [
            "cluster",
            "token",
            "--roles",
            role.name(),
            "--expires",
            "5m",
        ];
        Ok(first.admin(&self.settings, &words)?.trim().to_owned())
    }

    /// The nodes of a role.
    pub(crate) fn of(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.role == role)
    }

    /// The names of all nodes: one of each role, the next of each role, and so on.
    pub(crate) fn in_turn(&self) -> Vec<String> {
        let roles = [Role::Connection, Role::Router, Role::Control];
        let names = |role| self.of(role).map(|node| node.name.clone());
        let lists: Vec<Vec<String>> = roles.map(|role| names(role).collect()).into();
        let most = lists.iter().map(Vec::len).max().unwrap_or_default();
        (0..most)
            .flat_map(|turn| lists.iter().filter_map(move |list| list.get(turn).cloned()))
            .collect()
    }

    /// The place of a node in the list.
    pub(crate) fn find(&self, name: &str) -> Result<usize> {
        let found = self.nodes.iter().position(|node| node.name == name);
        found.with_context(|| format!("there is no {name}"))
    }

    /// Waits until every node is ready, the control group has all its members, and every shard answers.
    pub(crate) fn wait_until_whole(&self) -> Result<()> {
        let controls = self.of(Role::Control).count();
        // Two members have one voter, for two are no safer than one.
        let voters = if controls.is_multiple_of(2) {
            controls - 1
        } else {
            controls
        };
        self.settings
            .tell(&format!("waits for {voters} voters in the control group"));
        wait_for("all voters", WHOLE_MAX, || {
            (self.voters().ok()? == voters).then_some(())
        })?;
        self.settings.tell("waits for every node to be ready");
        for node in &self.nodes {
            wait_for("the node is ready", WHOLE_MAX, || {
                node.is_ready().ok().filter(|ready| *ready)
            })
            .with_context(|| node.trouble())?;
        }
        match self.of(Role::Router).count() {
            0 => Ok(()),
            _ => self.wait_until_served(),
        }
    }

    /// Waits until every shard answers every connection node.
    pub(crate) fn wait_until_served(&self) -> Result<()> {
        self.settings
            .tell("waits for every shard to answer every connection node");
        for node in self.of(Role::Connection) {
            wait_for("every shard is served", WHOLE_MAX, || {
                node.ask(&self.settings, &["sessions", "list"]).ok()
            })
            .context(node.name.clone())?;
        }
        Ok(())
    }

    fn voters(&self) -> Result<usize> {
        let members = self.members()?;
        let members = members["members"].as_array().context("a list")?.iter();
        Ok(members.filter(|member| member["voter"] == true).count())
    }

    /// The control group, as the first member that answers sees it.
    fn members(&self) -> Result<Value> {
        let mut asked = self.of(Role::Control);
        let answer = asked.find_map(|node| {
            let members = node.ask(&self.settings, &["control", "members"]).ok()?;
            members["members"].is_array().then_some(members)
        });
        answer.context("no member of the control group answers")
    }

    /// The place in the list of the control group's leader.
    pub(crate) fn leader(&self) -> Result<usize> {
        let mut asked = self.of(Role::Control);
        let found = asked.find_map(|node| {
            let shown = node.ask(&self.settings, &["control", "leader"]).ok()?;
            let id = shown["leader"].as_u64().filter(|id| *id != 0)?;
            self.nodes.iter().position(|node| node.id == id)
        });
        found.context("the control group has no leader")
    }

    /// Where clients connect, with STARTTLS.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.nodes.iter().filter_map(Node::client_address).collect()
    }

    /// The certificates that clients must trust: of all connection nodes, in one file.
    pub(crate) fn authorities(&self) -> PathBuf {
        Record::authorities(&self.folder)
    }

    /// Writes `cluster.json` and the certificates.
    pub(crate) fn write_record(&self) -> Result<()> {
        let mut authorities = Vec::new();
        for node in self.of(Role::Connection) {
            // It is there as soon as the node has started.
            authorities.extend(std::fs::read(node.authority()).unwrap_or_default());
        }
        std::fs::write(self.authorities(), authorities)?;
        let mut processes = databases(&self.ring)?;
        for node in &self.nodes {
            processes.push(entry(node)?);
        }
        let record = Record {
            targets: self.targets(),
            processes,
            ..Record::new(&self.folder)
        };
        record.write(&self.folder)
    }

    /// Lets all processes live on when this is dropped.
    pub(crate) fn release(mut self) -> Result<()> {
        self.write_record()?;
        for node in &mut self.nodes {
            node.process()?.release();
        }
        self.ring.release();
        Ok(())
    }
}

/// The nodes of the database, as `cluster.json` has them.
pub(super) fn databases(ring: &Ring) -> Result<Vec<Entry>> {
    let entry = |((identity, log), (index, at)): (_, (usize, &String))| Entry {
        name: format!("database{}", index + 1),
        roles: vec!["database".to_owned()],
        node: None,
        identity,
        address: at.split(':').next().unwrap_or_default().to_owned(),
        ports: Ports {
            cql: Some(ring.port()),
            ..Ports::default()
        },
        log,
        admin: None,
    };
    let processes = ring.processes()?.into_iter();
    let addresses = ring.addresses();
    Ok(processes
        .zip(addresses.iter().enumerate())
        .map(entry)
        .collect())
}

fn entry(node: &Node) -> Result<Entry> {
    Ok(Entry {
        name: node.name.clone(),
        roles: vec![node.role.name().to_owned()],
        node: Some(node.id),
        identity: Identity::of(node.pid()?)?,
        address: node.place.address.to_string(),
        ports: node.ports,
        log: node.log(),
        admin: Some(node.socket()),
    })
}

/// Makes a folder, in which there must not be anything: a new cluster must not find what belongs to another.
pub(crate) fn make_empty(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let empty = std::fs::read_dir(folder)?.next().is_none();
    anyhow::ensure!(
        empty,
        "{} is not empty: a new cluster takes a new folder",
        folder.display()
    );
    Ok(())
}

/// Elections, joint changes and the first leases, on a machine that does other things too.
const WHOLE_MAX: Duration = Duration::from_secs(60);
