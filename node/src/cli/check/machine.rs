//! The machine: ports that can be bound, files that can be opened, a folder to write to.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rookery_connection::bind_port;

use super::finding::Finding;
use crate::config::{Config, Role};
use crate::operation::{
    Ceilings, Folder, FolderError, MachineMemory, MemoryShare, OpenFiles, mebibytes,
};

/// Everything about this machine.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = folder(&config.server.data_dir);
    let running = findings.iter().any(|finding| finding.what.contains(RUNS));
    let mut listens = vec![
        ("http.listen", &config.http.listen),
        ("admin.listen", &config.admin.listen),
        ("cluster.listen", &config.cluster.listen),
        ("web.listen", &config.web.listen),
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
    let ceilings = Ceilings::of(config);
    findings.extend(open_files(config, OpenFiles::reachable()));
    findings.push(memory(&ceilings, MachineMemory::read()));
    findings
}

fn port(option: &str, address: SocketAddr, running: bool) -> Option<Finding> {
    let cause = bind_port(address, 1).err()?;
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

fn open_files(config: &Config, open: OpenFiles) -> Option<Finding> {
    let needed = OpenFiles::needed(config.sockets_max());
    let clients = config.connections_max();
    let pages = match config.sockets_max() - clients {
        0 => String::new(),
        pages => format!(" and web.connections_max = {pages}"),
    };
    let what = format!(
        "at most {} files can be open, and {needed} are needed for connection.connections_max = {clients}{pages}",
        open.max
    );
    let fix = format!(
        "set LimitNOFILE={needed} in the systemd unit (or `ulimit -Hn`), or lower connection.connections_max"
    );
    (open.max < needed).then(|| Finding::warning("files", what, fix))
}

/// What the node may hold in memory, part by part.
fn memory(ceilings: &Ceilings, machine: Option<MachineMemory>) -> Finding {
    let expected = ceilings.expected_bytes();
    let shares = ceilings.memory.iter();
    let shares: Vec<_> = shares
        .filter(|share| share.expected_bytes >> 20 > 0)
        .map(|share| format!("{} for {}", mebibytes(share.expected_bytes), share.what))
        .collect();
    let there = machine.map_or_else(String::new, |machine| {
        let whose = if machine.is_of_group {
            "its control group has"
        } else {
            "the machine has"
        };
        format!(", and {whose} {}", mebibytes(machine.bytes))
    });
    let what = format!(
        "{} of memory are expected with {} clients that behave{there}: {}; if each held as much as one may, {}",
        mebibytes(expected),
        ceilings.connections,
        shares.join(", "),
        mebibytes(ceilings.bounded_bytes())
    );
    let largest = ceilings
        .memory
        .iter()
        .map(|share: &MemoryShare| share.options)
        .find(|options| !options.is_empty())
        .unwrap_or("nothing that can be set");
    match machine {
        Some(machine) if machine.bytes < expected => {
            let fix = format!("take a larger machine (or a larger MemoryMax), or lower {largest}");
            Finding::warning("memory", what, fix)
        }
        _ => Finding::note(
            "memory",
            what,
            format!("the largest part that has a bound to set is bounded by {largest}"),
        ),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::finding::Severity;

    fn of(bytes: u64) -> Option<MachineMemory> {
        Some(MachineMemory {
            bytes,
            is_of_group: true,
        })
    }

    #[test]
    fn a_machine_that_is_too_small_for_its_clients_is_warned_of() {
        let ceilings = Ceilings::of(&Config::default());
        let expected = ceilings.expected_bytes();
        let enough = memory(&ceilings, of(expected));
        assert_eq!(enough.severity, Severity::Note);
        let too_small = memory(&ceilings, of(expected - 1));
        assert_eq!(too_small.severity, Severity::Warning);
        assert!(too_small.fix.contains("connection.connections_max"));
    }

    #[test]
    fn too_few_files_are_told_with_the_options_that_need_them() {
        let mut config = Config::default();
        config.connection.connections_max = 20_000;
        let needed = OpenFiles::needed(20_000);
        assert_eq!(open_files(&config, OpenFiles { max: needed }), None);
        let max = needed - 1;
        let told = |config: &Config| open_files(config, OpenFiles { max }).unwrap().what;
        let clients = "for connection.connections_max = 20000";
        assert!(told(&config).ends_with(clients), "{}", told(&config));
        config.web.listen = vec!["127.0.0.1:5443".parse().unwrap()];
        let pages = "for connection.connections_max = 20000 and web.connections_max = 512";
        assert!(told(&config).ends_with(pages), "{}", told(&config));
    }

    #[test]
    fn where_the_system_does_not_tell_the_sum_is_shown_all_the_same() {
        let shown = memory(&Ceilings::of(&Config::default()), None);
        assert_eq!(shown.severity, Severity::Note);
        assert!(shown.what.contains("585 MiB for clients"), "{}", shown.what);
    }
}
