//! Where a node keeps its certificate, and how such files are written.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::ClusterOptions;
use crate::operation::{make_folder, write_file};

/// The files of one node.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The node's certificate.
    pub(super) certificate: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
    /// The cluster's authority.
    pub(super) authority: PathBuf,
    /// The authority's key, on the nodes that hold it.
    pub(super) authority_key: PathBuf,
    /// There until this node has begun the control group.
    pub(super) founder: PathBuf,
    /// There once this node has a log of the control group: without the log it must not start again.
    pub(super) member: PathBuf,
    /// There while the node is empty until it starts again.
    pub(super) resting: PathBuf,
}

impl Files {
    /// The files of a data folder, where `rookery cluster` puts them.
    pub(super) fn of_folder(data_dir: &Path) -> Self {
        let dir = data_dir.join("cluster");
        Self {
            certificate: dir.join("node.pem"),
            key: dir.join("node.key"),
            authority: dir.join("ca.pem"),
            authority_key: dir.join("ca.key"),
            founder: dir.join("founder"),
            member: dir.join("member"),
            resting: dir.join("resting"),
        }
    }

    /// The files that the configuration names, those of the data folder in place of what it leaves out.
    pub(super) fn configured(options: &ClusterOptions, data_dir: &Path) -> Self {
        let usual = Self::of_folder(data_dir);
        let or = |given: &PathBuf, usual: PathBuf| match given.as_os_str().is_empty() {
            true => usual,
            false => given.clone(),
        };
        Self {
            certificate: or(&options.certificate, usual.certificate),
            key: or(&options.key, usual.key),
            authority: or(&options.ca, usual.authority),
            ..usual
        }
    }
}

/// Writes a file that only its owner can read, all of it or nothing, in a folder that only he can enter.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    make_folder(path.parent().unwrap_or_else(|| Path::new(".")))?;
    write_file(path, 0o600, text.as_bytes())
}
