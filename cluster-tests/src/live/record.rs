//! `cluster.json`: what runs, for people, programs and `cluster-tests down`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::process::Identity;
use crate::suite::say;

/// A cluster that runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The virtual host of the accounts.
    pub(crate) domain: String,
    /// The certificates that clients must trust, a PEM file.
    pub(crate) ca: PathBuf,
    /// Where clients connect, with STARTTLS.
    pub(crate) targets: Vec<String>,
    /// All processes, in the order of their start.
    pub(crate) processes: Vec<Entry>,
}

/// One process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its name in this cluster.
    pub(crate) name: String,
    /// `control`, `router`, `connection`, or `database`.
    pub(crate) roles: Vec<String>,
    /// Its id in the cluster, if it is a node.
    pub(crate) node: Option<u64>,
    /// The process.
    #[serde(flatten)]
    pub(crate) identity: Identity,
    /// The address of its ports.
    pub(crate) address: String,
    /// Where it listens.
    pub(crate) ports: Ports,
    /// What it logs.
    pub(crate) log: PathBuf,
    /// Its admin socket, if it is a node.
    pub(crate) admin: Option<PathBuf>,
}

/// The ports of a process.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ports {
    /// For clients that begin in clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) starttls: Option<u16>,
    /// For clients that begin with TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direct_tls: Option<u16>,
    /// For monitoring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<u16>,
    /// For other nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<u16>,
    /// For clients of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cql: Option<u16>,
}

impl Record {
    /// Of a cluster in this folder, of which nothing runs yet.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            domain: "localhost".to_owned(),
            ca: Self::authorities(folder),
            targets: Vec::new(),
            processes: Vec::new(),
        }
    }

    /// Where the certificates are that clients must trust.
    pub(crate) fn authorities(folder: &Path) -> PathBuf {
        folder.join("ca.pem")
    }

    /// The file in a cluster's folder.
    pub(crate) fn file(folder: &Path) -> PathBuf {
        folder.join("cluster.json")
    }

    /// Writes it, so that a reader finds the old one or the new one.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let part = folder.join("cluster.json.part");
        std::fs::write(&part, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(std::fs::rename(&part, Self::file(folder))?)
    }

    /// Reads it.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let file = Self::file(folder);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("there is no cluster: {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| file.display().to_string())
    }

    /// Ends all processes that still are those of the record, the last one first. One that cannot be ended keeps none
    /// of the others from it.
    pub(crate) fn end(&self) -> Result<()> {
        let mut left = Vec::new();
        for entry in self.processes.iter().rev() {
            let what = match entry.identity.end(END_MAX) {
                Ok(true) => "stopped".to_owned(),
                Ok(false) => "was gone".to_owned(),
                Err(error) => {
                    left.push(entry.name.as_str());
                    format!("cannot be stopped: {error:#}")
                }
            };
            say(&format!(
                "{} (pid {}) {what}",
                entry.name, entry.identity.pid
            ));
        }
        ensure!(left.is_empty(), "still run: {}", left.join(", "));
        Ok(())
    }
}

/// An orderly end waits for clients and for what is to be written.
const END_MAX: Duration = Duration::from_secs(20);
