//! What this process takes of the machine (proc(5)), under the names that Prometheus' own clients
//! give it. Only what is cheap to ask for: the exact count of resident memory is not, since it
//! holds the lock that a worker's next page waits for. What cannot be read is left out.

use super::exposition::{counter_of_seconds, gauge};
use crate::cli::descriptors;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::fs;
use std::time::{Duration, SystemTime};

/// This process.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) started: SystemTime,
}

impl Collector for Own {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let about = "CPU time of all threads.";
        counter_of_seconds(&mut encoder, "process_cpu", about, cpu_time())?;
        if let Some(bytes) = resident_bytes() {
            gauge(&mut encoder, "process_resident_memory_bytes", "Memory in use.", bytes)?;
        }
        if let Some(open) = open_descriptors() {
            gauge(&mut encoder, "process_open_fds", "Descriptors that are open.", open)?;
        }
        if let Some(allowed) = descriptors::allowed() {
            gauge(&mut encoder, "process_max_fds", "Descriptors that may be open.", allowed)?;
        }
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let about = "When the server began to listen, since 1970.";
        gauge(&mut encoder, "process_start_time_seconds", about, started.as_secs())
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Linux 6.2 tells their number as the folder's size; before, they are to be counted.
fn open_descriptors() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        // One of them is that of the folder while it is read.
        0 => u64::try_from(fs::read_dir(FOLDER).ok()?.count()).ok()?.checked_sub(1),
        open => Some(open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told is this process's, and moves when the process does.
    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_process_is_seen_to_take_more() {
        let (cpu, open) = (cpu_time(), open_descriptors().unwrap());
        let files: Vec<_> = (0..100).map(|_| fs::File::open("/proc/self/status")).collect();
        // Other tests open and close theirs at the same time.
        assert!(open_descriptors().unwrap() > open + 50);
        drop(files);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(cpu_time() > cpu);
    }
}
