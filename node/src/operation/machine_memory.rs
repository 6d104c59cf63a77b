//! How much memory the process may have: the machine's, or what its control group (systemd, a container) is given.

use std::fs;
use std::path::{Path, PathBuf};

/// Memory that the process may have, in bytes, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineMemory {
    /// So much.
    pub bytes: u64,
    /// A control group bounds it, and not the machine.
    pub is_of_group: bool,
}

impl MachineMemory {
    /// Reads it; `None` where the system does not tell.
    pub fn read() -> Option<Self> {
        let machine = total(&fs::read_to_string("/proc/meminfo").ok()?)?;
        let group = fs::read_to_string("/proc/self/cgroup").ok();
        let group = group.as_deref().and_then(group_of);
        let limit = group.and_then(|group| smallest(Path::new(GROUPS), group));
        Some(match limit {
            Some(limit) if limit < machine => Self {
                bytes: limit,
                is_of_group: true,
            },
            _ => Self {
                bytes: machine,
                is_of_group: false,
            },
        })
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim();
    kib.parse::<u64>().ok()?.checked_mul(1_024)
}

/// The group of version 2 in `/proc/self/cgroup`, without its leading slash.
fn group_of(groups: &str) -> Option<&str> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(group.trim_start_matches('/'))
}

/// The smallest limit of a group and of those around it.
fn smallest(root: &Path, group: &str) -> Option<u64> {
    let group: PathBuf = root.join(group);
    let around = group.ancestors().take_while(|at| at.starts_with(root));
    let limits = around.filter_map(|at| fs::read_to_string(at.join("memory.max")).ok());
    limits.filter_map(|limit| limit.trim().parse().ok()).min()
}

const GROUPS: &str = "/sys/fs/cgroup";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_has_is_read_in_bytes() {
        assert_eq!(
            total("MemTotal:       24623104 kB\nMemFree: 1 kB\n"),
            Some(24_623_104 << 10)
        );
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_smallest_limit_of_the_groups_around_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let unit = folder.path().join("system.slice/rookery.service");
        fs::create_dir_all(&unit).expect("writable");
        fs::write(unit.join("memory.max"), "max\n").expect("writable");
        let group = group_of("1:name=systemd:/x\n0::/system.slice/rookery.service\n");
        let group = group.expect("version 2");
        assert_eq!(smallest(folder.path(), group), None);
        fs::write(
            folder.path().join("system.slice/memory.max"),
            "1073741824\n",
        )
        .expect("writable");
        assert_eq!(smallest(folder.path(), group), Some(1 << 30));
        fs::write(unit.join("memory.max"), "2147483648\n").expect("writable");
        assert_eq!(smallest(folder.path(), group), Some(1 << 30));
    }
}
