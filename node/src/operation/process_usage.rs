//! What the process costs its machine, read from `/proc/self` when somebody asks.

use std::fmt::Write;
use std::fs;

use super::OpenFiles;

/// CPU, memory and files of this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessUsage {
    /// User and system time since the start.
    pub cpu_seconds: f64,
    /// Memory that is in RAM.
    pub resident_bytes: u64,
    /// Open files, sockets included.
    pub open_files: u64,
    /// When the process started, in seconds since 1970; 0 where the system does not tell.
    pub started: f64,
}

impl ProcessUsage {
    /// Reads it; `None` where there is no `/proc`.
    pub fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in brackets and may hold anything, so count from
        // behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let ticks = number(11)? + number(12)?;
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let since_boot = number(19)? as f64 / ticks_per_second as f64;
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        Some(Self {
            cpu_seconds: ticks as f64 / ticks_per_second as f64,
            resident_bytes: number(21)? * page,
            open_files: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
            started: boot_time().map_or(0.0, |boot| boot + since_boot),
        })
    }

    /// Prometheus' text form, with the names that its other exporters use.
    pub fn to_prometheus(self) -> String {
        let mut text = String::new();
        let metrics = [
            ("process_cpu_seconds_total", "counter", self.cpu_seconds),
            (
                "process_resident_memory_bytes",
                "gauge",
                self.resident_bytes as f64,
            ),
            ("process_open_fds", "gauge", self.open_files as f64),
            (
                "process_max_fds",
                "gauge",
                OpenFiles::reachable().max as f64,
            ),
            ("process_start_time_seconds", "gauge", self.started),
        ];
        for (name, kind, value) in metrics {
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
        }
        text
    }
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_sees_its_own_memory_and_files() {
        let usage = ProcessUsage::read().unwrap();
        assert!(
            usage.resident_bytes > 100_000 && usage.open_files >= 3,
            "{usage:?}"
        );
        assert!(usage.to_prometheus().contains("\nprocess_open_fds "));
    }
}
