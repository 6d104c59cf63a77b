//! A disk that forgets: what a server wrote and did not sync is gone after it was killed, as after a power cut.
//!
//! A kill -9 leaves the kernel's page cache as it is, so it says nothing about syncs. Here a library that is preloaded
//! into the server (`shim.c`) writes down what the server writes and syncs, and [`Disk`] makes of that what may be
//! left.

mod disk;
mod journal;
mod load;
mod look;
mod scenario;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use self::disk::{Disk, Left, Tree};
pub(crate) use self::scenario::{NAMES, tests};
use crate::server::Place;

/// A folder on a disk that forgets.
struct Forgetful {
    home: TempDir,
    /// Without symbolic links, as the shim compares it.
    root: PathBuf,
    /// The disk as it was when the server that runs was started.
    before: Disk,
}

impl Forgetful {
    /// Compiles the shim, with the compiler that Rust links with, and makes an empty disk.
    fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let root = home.path().canonicalize()?.join("disk");
        fs::create_dir(&root)?;
        let before = scan(&root)?;
        let new = Self { home, root, before };
        let source = new.at("shim.c");
        fs::write(&source, include_str!("shim.c"))?;
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-o"])
            .args([&new.at("shim.so"), &source])
            .arg("-pthread")
            .output()
            .context("cc cannot be started")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the shim does not compile: {said}");
        Ok(new)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Where a server runs on this disk, which lies to it if it shall: a sync promises nothing.
    fn place(&self, lies: bool) -> Place {
        let set = |name: &str, value: PathBuf| (name.to_owned(), value.into_os_string());
        let mut environment = vec![
            set("LD_PRELOAD", self.at("shim.so")),
            set("FORGETFUL_ROOT", self.root.clone()),
            set("FORGETFUL_JOURNAL", self.at("journal")),
            set("FORGETFUL_SYNC_US", SYNC_US.into()),
        ];
        if lies {
            environment.push(set("FORGETFUL_LIE", "1".into()));
        }
        Place {
            folder: self.root.join("data"),
            log: self.at("log"),
            environment,
        }
    }

    /// What the process that has ended did, up to so many records.
    fn replayed(&self, upto: usize) -> Result<Disk> {
        let mut disk = self.before.clone();
        for record in self.records()?.iter().take(upto) {
            disk.apply(record)?;
        }
        Ok(disk)
    }

    fn records(&self) -> Result<Vec<journal::Record>> {
        let bytes = fs::read(self.at("journal")).context("the shim was not loaded")?;
        journal::read(&bytes)
    }

    /// The power comes back: the folder is what is left of it, and whatever server is started next starts on that.
    fn cut(&mut self, left: Left) -> Result<()> {
        let tree = self.replayed(usize::MAX)?.after_a_cut(left);
        self.begin_with(&tree)
    }

    /// Makes the disk anew, with this on it.
    fn begin_with(&mut self, tree: &Tree) -> Result<()> {
        fs::remove_dir_all(&self.root)?;
        fs::create_dir(&self.root)?;
        write(tree)?;
        self.go_on()
    }

    /// What is on it, before a server is started.
    fn tree(&self) -> Tree {
        self.before.after_a_cut(Left::Nothing)
    }

    /// Takes all that is there for durable.
    fn go_on(&mut self) -> Result<()> {
        self.before = scan(&self.root)?;
        let journal = self.at("journal");
        if journal.exists() {
            fs::remove_file(journal)?;
        }
        Ok(())
    }

    /// Holds the journal against the folder after an orderly end: whether the shim sees all that is written.
    fn is_complete(&self) -> Result<()> {
        let told = self.replayed(usize::MAX)?.after_a_cut(Left::All);
        let mut found = Tree::new();
        walk(&self.root, &mut |path, _, bytes| {
            found.insert(path.to_owned(), bytes);
            Ok(())
        })?;
        let paths = told.keys().chain(found.keys());
        // The write-ahead log's index is mapped memory, and nothing depends on what a crash leaves of it.
        for path in paths.filter(|path| !path.ends_with("-shm")) {
            ensure!(
                told.get(path) == found.get(path),
                "{path} was changed unseen by the shim"
            );
        }
        Ok(())
    }
}

/// The disk with what is below a folder, all of it durable.
fn scan(root: &Path) -> Result<Disk> {
    let mut disk = Disk::empty(text(root)?, fs::metadata(root)?.ino());
    walk(root, &mut |path, number, bytes| {
        disk.put(path, number, bytes)
    })?;
    Ok(disk)
}

/// Takes what comes, folders before what is in them: path, number, and bytes if it is a file.
type Visitor<'a> = dyn FnMut(&str, u64, Option<Vec<u8>>) -> Result<()> + 'a;

fn walk(folder: &Path, take: &mut Visitor<'_>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        if metadata.is_dir() {
            take(text(&path)?, metadata.ino(), None)?;
            walk(&path, take)?;
        } else if metadata.is_file() {
            take(text(&path)?, metadata.ino(), Some(fs::read(&path)?))?;
        }
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}

/// Writes files and folders, for their owner alone.
fn write(tree: &Tree) -> Result<()> {
    for (path, bytes) in tree {
        match bytes {
            None => fs::DirBuilder::new().mode(0o700).create(path)?,
            Some(bytes) => write_file(Path::new(path), bytes)?,
        }
    }
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    Ok(options.open(path)?.write_all(bytes)?)
}

/// A disk that is slow enough to be killed while it syncs.
const SYNC_US: &str = "3000";
