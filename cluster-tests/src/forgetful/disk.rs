//! A model of a disk below one folder: what is durable, and what may or may not be there after a power cut.
//!
//! It promises as little as POSIX lets a disk promise. A sync of a file makes its bytes and its length durable, and not
//! its name; names are durable once their folder is synced. What is not durable reaches the disk in any order, and
//! bytes by the sector.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};

use super::journal::Record;
use crate::sim::Dice;

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Left {
    /// All of it: the folder as the process saw it.
    All,
    /// Nothing.
    Nothing,
    /// What came first, up to a moment, and a part of one write.
    Beginning(u64),
    /// Names, lengths and sectors at random.
    Some(u64),
}

/// Files and folders by their paths; what is no file has no bytes.
pub(crate) type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// The disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    root: String,
    nodes: Vec<Node>,
    /// By the file system's numbers, which are given again when a file is gone.
    numbers: HashMap<u64, usize>,
    records: u64,
}

#[derive(Clone, Debug)]
enum Node {
    File {
        durable: Vec<u8>,
        pending: Vec<(u64, Change)>,
    },
    Folder {
        /// As the process sees it.
        now: BTreeMap<String, usize>,
        durable: BTreeMap<String, usize>,
        /// What a name led to since then.
        pending: Vec<(u64, String, Option<usize>)>,
    },
}

#[derive(Clone, Debug)]
enum Change {
    Written { at: u64, data: Vec<u8> },
    Sized(u64),
}

impl Disk {
    /// A disk on which there is nothing yet below the folder `root` with this number.
    pub(crate) fn empty(root: &str, number: u64) -> Self {
        Self {
            root: root.to_owned(),
            nodes: vec![Node::folder()],
            numbers: HashMap::from([(number, 0)]),
            records: 0,
        }
    }

    /// Puts a durable file, or a folder if it has no bytes, which are known by this number from now on.
    pub(crate) fn put(&mut self, path: &str, number: u64, bytes: Option<Vec<u8>>) -> Result<()> {
        let node = self.add(number, bytes.map_or_else(Node::folder, Node::file));
        let (folder, name) = self.place(path)?;
        if let Node::Folder { now, durable, .. } = &mut self.nodes[folder] {
            now.insert(name.clone(), node);
            durable.insert(name, node);
        }
        Ok(())
    }

    /// Takes the next record of the journal.
    pub(crate) fn apply(&mut self, record: &Record) -> Result<()> {
        let moment = self.records;
        self.records += 1;
        match record {
            Record::MadeFile { path, node } => {
                let node = self.add(*node, Node::file(vec![]));
                self.name(moment, path, Some(node))
            }
            Record::MadeFolder { path, node } => {
                let node = self.add(*node, Node::folder());
                self.name(moment, path, Some(node))
            }
            Record::Written { node, at, data } => {
                let (at, data) = (*at, data.clone());
                self.change(moment, *node, Change::Written { at, data })
            }
            Record::Sized { node, bytes } => self.change(moment, *node, Change::Sized(*bytes)),
            Record::Synced { node, upto } => self.sync(*node, *upto),
            Record::Removed { path } => self.name(moment, path, None),
            Record::Renamed { from, to } => {
                let (folder, name) = self.place(from)?;
                let node = self.names(folder).get(&name).copied();
                let node = node.with_context(|| format!("{from} is renamed and was not there"))?;
                // Of one moment, so both or neither come through.
                self.name(moment, to, Some(node))?;
                self.name(moment, from, None)
            }
        }
    }

    /// What is there after a power cut.
    pub(crate) fn after_a_cut(&self, left: Left) -> Tree {
        let mut tree = Tree::new();
        let mut luck = Luck::new(left, self.records);
        self.gather(0, &self.root, &mut luck, &mut tree);
        tree
    }

    fn gather(&self, folder: usize, path: &str, luck: &mut Luck, tree: &mut Tree) {
        let Node::Folder {
            durable, pending, ..
        } = &self.nodes[folder]
        else {
            return;
        };
        let mut names = durable.clone();
        for (moment, name, node) in pending {
            match node {
                _ if !luck.names(*moment) => {}
                Some(node) => drop(names.insert(name.clone(), *node)),
                None => drop(names.remove(name)),
            }
        }
        for (name, node) in names {
            let path = format!("{path}/{name}");
            match &self.nodes[node] {
                Node::File { durable, pending } => {
                    let bytes = luck.bytes(durable, pending);
                    tree.insert(path, Some(bytes));
                }
                Node::Folder { .. } => {
                    tree.insert(path.clone(), None);
                    self.gather(node, &path, luck, tree);
                }
            }
        }
    }

    fn add(&mut self, number: u64, node: Node) -> usize {
        self.nodes.push(node);
        let at = self.nodes.len() - 1;
        self.numbers.insert(number, at);
        at
    }

    fn change(&mut self, moment: u64, number: u64, change: Change) -> Result<()> {
        match self.numbers.get(&number).map(|at| &mut self.nodes[*at]) {
            Some(Node::File { pending, .. }) => pending.push((moment, change)),
            _ => bail!("file {number} is written and unknown"),
        }
        Ok(())
    }

    fn sync(&mut self, number: u64, upto: u64) -> Result<()> {
        let at = self.numbers.get(&number);
        match at.map(|at| &mut self.nodes[*at]) {
            Some(Node::File { durable, pending }) => {
                let until = pending.partition_point(|(moment, _)| *moment < upto);
                for (_, change) in pending.drain(..until) {
                    change.apply(durable);
                }
            }
            Some(Node::Folder {
                durable, pending, ..
            }) => {
                let until = pending.partition_point(|(moment, ..)| *moment < upto);
                for (_, name, node) in pending.drain(..until) {
                    match node {
                        Some(node) => durable.insert(name, node),
                        None => durable.remove(&name),
                    };
                }
            }
            None => bail!("{number} is synced and unknown"),
        }
        Ok(())
    }

    /// Lets a name lead there, or nowhere.
    fn name(&mut self, moment: u64, path: &str, node: Option<usize>) -> Result<()> {
        let (folder, name) = self.place(path)?;
        if let Node::Folder { now, pending, .. } = &mut self.nodes[folder] {
            match node {
                Some(node) => now.insert(name.clone(), node),
                None => now.remove(&name),
            };
            pending.push((moment, name, node));
        }
        Ok(())
    }

    /// The folder of a path, and the name in it.
    fn place(&self, path: &str) -> Result<(usize, String)> {
        let inside = path
            .strip_prefix(&self.root)
            .and_then(|rest| rest.strip_prefix('/'));
        let inside = inside.with_context(|| format!("{path} is elsewhere"))?;
        let mut steps: Vec<&str> = inside.split('/').collect();
        let name = steps.pop().unwrap_or_default();
        let mut folder = 0;
        for step in steps {
            let next = self.names(folder).get(step);
            folder = *next.with_context(|| format!("the folder of {path} is unknown"))?;
        }
        Ok((folder, name.to_owned()))
    }

    fn names(&self, folder: usize) -> &BTreeMap<String, usize> {
        static NONE: BTreeMap<String, usize> = BTreeMap::new();
        match &self.nodes[folder] {
            Node::Folder { now, .. } => now,
            Node::File { .. } => &NONE,
        }
    }
}

impl Node {
    fn file(durable: Vec<u8>) -> Self {
        let pending = vec![];
        Self::File { durable, pending }
    }

    fn folder() -> Self {
        Self::Folder {
            now: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: vec![],
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Written { at, data } => write(bytes, *at as usize, data),
            Self::Sized(length) => bytes.resize(*length as usize, 0),
        }
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(data);
}

/// What one power cut lets through.
struct Luck {
    left: Left,
    dice: Dice,
    /// Before which moment all came through.
    until: u64,
    /// How much comes through of the rest, in a thousand.
    odds: u64,
    /// Which names of the rest came through, by their moments.
    drawn: HashMap<u64, bool>,
}

impl Luck {
    fn new(left: Left, records: u64) -> Self {
        let seed = match left {
            Left::Beginning(seed) | Left::Some(seed) => seed,
            Left::All | Left::Nothing => 0,
        };
        let mut dice = Dice::new(seed, 1);
        let (until, odds) = match left {
            Left::All => (u64::MAX, 0),
            Left::Nothing => (0, 0),
            // Most of a journal is synced: what counts is near its end.
            Left::Beginning(_) => (records.saturating_sub(dice.below(60)), 0),
            Left::Some(_) => (0, dice.pick(&[100, 500, 900])),
        };
        Self {
            left,
            dice,
            until,
            odds,
            drawn: HashMap::new(),
        }
    }

    fn names(&mut self, moment: u64) -> bool {
        let drawn = self.drawn.entry(moment);
        moment < self.until || *drawn.or_insert_with(|| self.dice.permille(self.odds))
    }

    fn bytes(&mut self, durable: &[u8], pending: &[(u64, Change)]) -> Vec<u8> {
        let mut bytes = durable.to_vec();
        for (moment, change) in pending {
            match change {
                _ if *moment < self.until => change.apply(&mut bytes),
                Change::Sized(_) if self.dice.permille(self.odds) => change.apply(&mut bytes),
                Change::Sized(_) => {}
                Change::Written { at, data } => self.tear(*moment, &mut bytes, *at as usize, data),
            }
        }
        bytes
    }

    /// Writes those sectors that come through.
    fn tear(&mut self, moment: u64, bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
        let odds = match self.left {
            Left::Beginning(_) if moment == self.until => 500,
            _ => self.odds,
        };
        let mut done = 0;
        while done < data.len() {
            let sector_ends = (at + done) / SECTOR * SECTOR + SECTOR - at;
            let end = sector_ends.min(data.len());
            if self.dice.permille(odds) {
                write(bytes, at + done, &data[done..end]);
            }
            done = end;
        }
    }
}

/// What a disk writes in one piece.
const SECTOR: usize = 512;

#[cfg(test)]
mod tests;
