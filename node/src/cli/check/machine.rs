//! The machine: ports that can be bound, files that can be opened, a folder to write to.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::finding::Finding;
use crate::config::{Config, Role};
use crate::operation::{Folder, FolderError, OpenFiles};

/// Everything about this machine.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = folder(&config.server.data_dir);
    let running = findings.iter().any(|finding| finding.what.contains(RUNS));
    let mut listens = vec![
        ("http.listen", &config.http.listen),
        ("admin.listen", &config.admin.listen),
        ("cluster.listen", &config.cluster.listen),
    ];
    if config.server.has(Role::Connection) {
        listens.push(("connection.starttls", &config.connection.starttls));
        listens.push(("connection.direct_tls", &config.connection.direct_tls));
    }
    for (option, addresses) in listens {
        findings.extend(
            addresses
                .iter()
                .filter_map(|address| port(option, *address, running)),
        );
    }
    findings.extend(open_files(config.sockets_max()));
    findings
}

fn port(option: &str, address: SocketAddr, running: bool) -> Option<Finding> {
    let cause = TcpListener::bind(address).err()?;
    let what = format!("cannot listen on {address} ({option}): {cause}");
    Some(match cause.kind() {
        // That is the server's own.
        ErrorKind::AddrInUse if running => return None,
        ErrorKind::AddrInUse => {
            let fix = format!(
                "find who does with `ss -ltnp 'sport = :{}'` and stop it",
                address.port()
            );
            Finding::error("port", what, fix)
        }
        ErrorKind::PermissionDenied => {
            let fix = "ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE (systemd)";
            Finding::error("port", what, fix)
        }
        _ => Finding::error("port", what, "is this an address of this machine?"),
    })
}

fn open_files(connections_max: usize) -> Option<Finding> {
    let (open, needed) = (OpenFiles::reachable(), OpenFiles::needed(connections_max));
    let what = format!(
        "at most {} files can be open, but connection.connections_max = {connections_max} needs {needed}",
        open.max
    );
    let fix = format!(
        "set LimitNOFILE={needed} in the systemd unit (or `ulimit -Hn`), or lower connection.connections_max"
    );
    (open.max < needed).then(|| Finding::warning("files", what, fix))
}

fn folder(path: &Path) -> Vec<Finding> {
    let shown = path.display();
    let Ok(metadata) = std::fs::metadata(path) else {
        return missing(path);
    };
    let mut findings = Vec::new();
    if metadata.permissions().mode() & 0o077 != 0 {
        let what =
            format!("others can look into {shown}, where passwords' keys and messages are kept");
        findings.push(Finding::warning(
            "folder",
            what,
            format!("chmod 700 {shown}"),
        ));
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user && user != 0 {
        let what = format!("{shown} belongs to another user (id {})", metadata.uid());
        findings.push(Finding::error(
            "folder",
            what,
            format!("run this as that user, or chown it to id {user}"),
        ));
        return findings;
    }
    match Folder::open(path) {
        Err(FolderError::InUse { holder, .. }) => {
            let what = format!("a server {RUNS} {shown} (process {holder})");
            findings.push(Finding::note(
                "folder",
                what,
                "its own ports were not tested",
            ));
        }
        Err(error) => {
            findings.push(Finding::error(
                "folder",
                error.to_string(),
                "let the server's user write there",
            ));
        }
        Ok(_) => {}
    }
    findings.extend(free_space(path));
    findings
}

fn missing(path: &Path) -> Vec<Finding> {
    let parent = path.parent().unwrap_or_else(|| Path::new("/"));
    let shown = path.display();
    if !parent.exists() {
        let fix = format!("install -d -m 700 -o rookery {shown}");
        return vec![Finding::error(
            "folder",
            format!("{shown} does not exist, nor does what it is in"),
            fix,
        )];
    }
    let fix = "the server makes it at its first start, if it may";
    vec![Finding::note(
        "folder",
        format!("{shown} does not exist yet"),
        fix,
    )]
}

fn free_space(path: &Path) -> Option<Finding> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let what = format!("only {} MiB are free below {}", free >> 20, path.display());
    let fix = "make room: a full disk refuses registrations, roster changes and offline messages";
    (free < FREE_BYTES_MIN).then(|| Finding::warning("folder", what, fix))
}

const RUNS: &str = "runs on";

/// A day of a busy server's archive.
const FREE_BYTES_MIN: u64 = 1 << 30;
