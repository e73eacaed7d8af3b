//! What the kernel says of a process: CPU time, resident memory, open descriptors (proc(5)).
//! Invariant: CPU time is that of all threads that live, or have ended since
//! [`Process::watch`] was called where the kernel counts no finer.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Ticks of /proc/PID/stat in a second: 100 on every Linux that runs Rust's standard library.
const TICKS_A_SECOND: f64 = 100.0;

/// A process that is watched.
#[derive(Debug)]
pub(super) struct Process {
    folder: PathBuf,
}

/// What it had used at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
}

impl Process {
    /// Watches the process with this id, if there is one.
    pub(super) fn watch(pid: u32) -> io::Result<Self> {
        let process = Self { folder: PathBuf::from(format!("/proc/{pid}")) };
        process.usage().map_err(|error| match error.kind() {
            ErrorKind::NotFound => io::Error::new(ErrorKind::NotFound, "there is no such process"),
            _ => error,
        })?;
        Ok(process)
    }

    pub(super) fn usage(&self) -> io::Result<Usage> {
        let cpu_seconds = match self.scheduled_seconds() {
            Some(seconds) => seconds,
            None => ticks(&self.read("stat")?).ok_or(ErrorKind::InvalidData)? / TICKS_A_SECOND,
        };
        Ok(Usage { cpu_seconds, resident_bytes: self.resident_bytes()? })
    }

    /// How many descriptors it has open.
    pub(super) fn descriptors(&self) -> io::Result<u64> {
        let folder = self.folder.join("fd");
        // The folder's size, since Linux 6.2; earlier it has none, and there are always some.
        match fs::metadata(&folder)?.len() {
            0 => Ok(fs::read_dir(folder)?.count() as u64),
            open => Ok(open),
        }
    }

    /// The scheduler's own count, to the nanosecond, where the kernel has it.
    fn scheduled_seconds(&self) -> Option<f64> {
        let mut nanos = 0.0;
        for thread in fs::read_dir(self.folder.join("task")).ok()? {
            // A thread may end while we read.
            let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else {
                continue;
            };
            nanos += text.split_ascii_whitespace().next()?.parse::<f64>().ok()?;
        }
        (nanos > 0.0).then_some(nanos / 1e9)
    }

    /// Exact where that may be read; the count that threads keep for themselves is late otherwise.
    fn resident_bytes(&self) -> io::Result<u64> {
        let exact = self.read("smaps_rollup").ok();
        let exact = exact.and_then(|text| kibibytes(&text, "Rss:"));
        let kibibytes = match exact {
            Some(kibibytes) => kibibytes,
            None => kibibytes(&self.read("status")?, "VmRSS:").ok_or(ErrorKind::InvalidData)?,
        };
        Ok(kibibytes * 1024)
    }

    fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.folder.join(file))
    }
}

/// User and system time of /proc/PID/stat, the fields 14 and 15. The second may hold spaces, and
/// ends with the last parenthesis.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proc(5): the name stands in parentheses and may hold more of them.
    #[test]
    fn times_are_the_fields_14_and_15() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks("42 (a) S 1"), None);
        assert_eq!(kibibytes("Name: x\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
    }

    /// This process has used CPU time and memory, and uses more when it works.
    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_process_is_seen_to_work() {
        let own = Process::watch(std::process::id()).unwrap();
        let before = own.usage().unwrap();
        assert!(before.resident_bytes > 100_000, "{before:?}");
        let mut now = before;
        let start = std::time::Instant::now();
        while now.cpu_seconds <= before.cpu_seconds && start.elapsed().as_secs() < 20 {
            now = own.usage().unwrap();
        }
        assert!(now.cpu_seconds > before.cpu_seconds, "{now:?}");
    }

    /// Each socket is one more. Other tests open some too: it is asked until there are enough.
    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_descriptors_are_counted() {
        let own = Process::watch(std::process::id()).unwrap();
        let listed = || fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let sockets: Vec<_> =
            (0..50).map(|_| std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap()).collect();
        let start = std::time::Instant::now();
        while own.descriptors().unwrap().abs_diff(listed()) > 2 {
            assert!(start.elapsed().as_secs() < 20);
        }
        assert!(own.descriptors().unwrap() >= 50);
        drop(sockets);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let error = Process::watch(u32::MAX).unwrap_err();
        assert_eq!(error.to_string(), "there is no such process");
    }
}
