//! CPU time and memory of processes and of the machine, from `/proc`.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::{fs, io};

use serde::Serialize;

/// What `/proc` says at one moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sample {
    /// One entry a watched process, in the order they were named.
    pub(crate) processes: Vec<ProcessSample>,
    machine: MachineTicks,
    /// CPU time of the load generator and its ended or running workers, in µs.
    own_cpu_us: u64,
}

/// One process at one moment.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct ProcessSample {
    /// Process id.
    pub(crate) pid: u32,
    /// CPU time since its start, user and system, all threads, in µs.
    pub(crate) cpu_us: u64,
    /// Resident memory in bytes.
    pub(crate) rss_bytes: u64,
}

/// The machine between two samples.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct MachineLoad {
    /// Stolen time, in percent of all cores.
    pub(crate) steal_percent: f64,
    /// Cores that were busy with neither the server nor the load generator.
    pub(crate) others_cores: f64,
    /// Cores that were busy at all.
    pub(crate) busy_cores: f64,
}

impl Sample {
    /// Reads now. `pids` are the server's, `own` the load generator's workers.
    pub(crate) fn take(pids: &[u32], own: &[u32]) -> Self {
        let own_cpu = own
            .iter()
            .map(|&pid| process(pid).unwrap_or_default().cpu_us)
            .sum::<u64>();
        let me = process(std::process::id()).unwrap_or_default().cpu_us;
        let processes = pids
            .iter()
            .map(|&pid| process(pid).unwrap_or_default())
            .collect();
        Self {
            processes,
            machine: MachineTicks::read(),
            own_cpu_us: own_cpu + me,
        }
    }

    /// CPU time of all watched processes since `earlier`, in µs.
    pub(crate) fn cpu_us_since(&self, earlier: &Self) -> u64 {
        let total = |s: &Self| s.processes.iter().map(|p| p.cpu_us).sum::<u64>();
        total(self).saturating_sub(total(earlier))
    }

    /// Resident memory of all watched processes, in bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        self.processes.iter().map(|p| p.rss_bytes).sum()
    }

    /// What else the machine did since `earlier`.
    pub(crate) fn machine_since(&self, earlier: &Self) -> MachineLoad {
        let ticks = self.machine.all.saturating_sub(earlier.machine.all).max(1) as f64;
        let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        let busy = self.machine.busy.saturating_sub(earlier.machine.busy) as f64 / ticks * cores;
        let seconds = ticks / cores / rustix::param::clock_ticks_per_second() as f64;
        let ours = self.own_cpu_us.saturating_sub(earlier.own_cpu_us) + self.cpu_us_since(earlier);
        let steal = self.machine.steal.saturating_sub(earlier.machine.steal) as f64;
        MachineLoad {
            steal_percent: steal / ticks * 100.0,
            others_cores: (busy - ours as f64 / 1e6 / seconds).max(0.0),
            busy_cores: busy,
        }
    }
}

/// CPU time of this process so far, in µs.
pub(crate) fn own_cpu_us() -> u64 {
    process(std::process::id()).unwrap_or_default().cpu_us
}

/// Whether a process with this id can be watched.
pub(crate) fn exists(pid: u32) -> bool {
    process(pid).is_some()
}

/// The process that listens on a Unix socket.
pub(crate) fn behind(socket: &Path) -> io::Result<u32> {
    let stream = UnixStream::connect(socket)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream)?;
    Ok(peer.pid.as_raw_nonzero().get().unsigned_abs())
}

fn process(pid: u32) -> Option<ProcessSample> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (ticks, pages) = parse_stat(&stat)?;
    Some(ProcessSample {
        pid,
        cpu_us: ticks * 1_000_000 / rustix::param::clock_ticks_per_second(),
        rss_bytes: pages * rustix::param::page_size() as u64,
    })
}

/// User plus system ticks, and resident pages. The command's name may hold blanks and brackets.
fn parse_stat(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((number(11)? + number(12)?, number(21)?))
}

#[derive(Debug, Default, Clone, Copy)]
struct MachineTicks {
    all: u64,
    busy: u64,
    steal: u64,
}

impl MachineTicks {
    fn read() -> Self {
        fs::read_to_string("/proc/stat")
            .map(|stat| Self::parse(&stat))
            .unwrap_or_default()
    }

    /// `cpu user nice system idle iowait irq softirq steal …`
    fn parse(stat: &str) -> Self {
        let first = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first
            .split_ascii_whitespace()
            .skip(1)
            .take(8)
            .flat_map(str::parse)
            .collect();
        let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks[..] else {
            return Self::default();
        };
        let busy = user + nice + system + irq + softirq;
        Self {
            all: busy + idle + iowait + steal,
            busy,
            steal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_line_is_read_behind_a_hostile_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4 0 0 0 0 30 12 0 0 20 0 1 0 5 1000 250 18 0";
        assert_eq!(parse_stat(stat), Some((42, 250)));
    }

    #[test]
    fn this_process_exists_and_uses_memory() {
        let me = process(std::process::id()).unwrap();
        assert!(me.rss_bytes > 0);
        assert!(exists(me.pid));
    }

    #[test]
    fn the_process_behind_a_socket_is_found() {
        let path = std::env::temp_dir().join(format!("loadgen-{}.sock", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(behind(&path).unwrap(), std::process::id());
        drop(listener);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn stolen_time_and_foreign_work_are_told_apart() {
        let ticks = MachineTicks::parse("cpu  10 0 10 70 0 0 0 10 0 0\ncpu0 1 2\n");
        assert_eq!((ticks.all, ticks.busy, ticks.steal), (100, 20, 10));
    }
}
