//! A cluster that outlives the command which starts it: `up` and `down`.
//!
//! ```text
//! up: what is needed is there? ─► database, in cluster.json ─► nodes, each in cluster.json ─► all ready ─► let go
//!       no: nothing was begun        fails: what was begun is ended, and what was written is removed
//! down: ends what cluster.json names, if it still runs
//! ```
//!
//! Each process is in `cluster.json` as soon as it runs, so `down` ends what an `up` has left that was killed.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::cluster::{Cluster, Shape, databases, make_empty};
use super::needs;
use super::node::{Place, Settings};
use super::process::Life;
use super::record::Record;
use crate::cql::ring::{self, Ring};
use crate::suite::{now, say};

/// `cluster-tests up`: a cluster on loopback that is left running. If it comes to nothing, nothing is left.
pub(crate) fn up(settings: Settings, folder: &Path, cache: &Path, shape: Shape) -> Result<()> {
    let folder = std::path::absolute(folder)?;
    needs::program(&settings.rookery)?;
    needs::database(cache)?;
    ensure!(
        !Record::file(&folder).exists(),
        "{} has a cluster already: `cluster-tests down` stops it",
        folder.display()
    );
    let existed = folder.exists();
    make_empty(&folder)?;
    let begun = now();
    if let Err(error) = raise(settings, &folder, cache, shape) {
        sweep(&folder, existed).context("what was written stays")?;
        return Err(error);
    }
    say(&format!(
        "up after {} s, as {} says",
        begun.elapsed().as_secs(),
        Record::file(&folder).display()
    ));
    Ok(())
}

fn raise(settings: Settings, folder: &Path, cache: &Path, shape: Shape) -> Result<()> {
    let address = Place::loopback().address;
    say(ring::STARTS);
    let mut ring = Ring::launch_in(cache, folder, vec![address], Life::OnItsOwn)?;
    let mut record = Record::new(folder);
    record.processes = databases(&ring)?;
    record.write(folder)?;
    ring.wait_until_ready()?;
    Cluster::start(folder, settings, shape, ring, |_| Ok(Place::loopback()))?.release()
}

/// Removes what is in a folder, and the folder if it is new.
fn sweep(folder: &Path, existed: bool) -> Result<()> {
    if !existed {
        return Ok(std::fs::remove_dir_all(folder)?);
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// `cluster-tests down`: stops what `up` started, all of it or the part it came to; its folder stays, without
/// `cluster.json`. Where nothing was started there is nothing to stop, which is no failure.
pub(crate) fn down(folder: &Path) -> Result<()> {
    let file = Record::file(folder);
    if !file.exists() {
        say(&format!("nothing to stop: there is no {}", file.display()));
        return Ok(());
    }
    Record::read(folder)?.end()?;
    match std::fs::remove_file(&file) {
        // The `up` whose cluster this was has noticed, and has cleared up.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| file.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::{Identity, Process};
    use super::super::record::{Entry, Ports};
    use super::*;

    #[test]
    fn without_the_servers_binary_nothing_is_begun() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("cluster");
        let settings = Settings {
            tells: false,
            rookery: home.path().join("rookery"),
            unlimited: false,
            options: Vec::new(),
            life: Life::OnItsOwn,
        };
        let shape = Shape {
            controls: 1,
            routers: 1,
            connections: 1,
        };
        let refused = up(settings, &folder, home.path(), shape).unwrap_err();
        assert!(
            format!("{refused:#}").contains("cargo build"),
            "{refused:#}"
        );
        assert!(!folder.exists());
    }

    #[test]
    fn what_a_failed_start_has_written_is_removed() {
        let home = tempfile::tempdir().unwrap();
        for existed in [false, true] {
            let folder = home.path().join("cluster");
            std::fs::create_dir_all(folder.join("database1/data")).unwrap();
            std::fs::write(folder.join("cluster.json"), "{}").unwrap();
            sweep(&folder, existed).unwrap();
            assert_eq!(folder.exists(), existed);
            assert!(!existed || make_empty(&folder).is_ok());
        }
    }

    #[test]
    fn half_a_cluster_is_stopped_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let words = ["sleep", "60"].map(str::to_owned);
        let mut process = Process::start(Life::WithThis, &words, &log).unwrap();
        let identity = Identity::of(process.pid().unwrap()).unwrap();
        process.release();
        let mut record = Record::new(folder.path());
        record.processes.push(Entry {
            name: "database1".to_owned(),
            roles: Vec::new(),
            node: None,
            identity: identity.clone(),
            address: "127.0.0.1".to_owned(),
            ports: Ports::default(),
            log,
            admin: None,
        });
        record.write(folder.path()).unwrap();
        down(folder.path()).unwrap();
        assert_ne!(Identity::of(identity.pid).ok(), Some(identity));
        down(folder.path()).unwrap();
    }
}
