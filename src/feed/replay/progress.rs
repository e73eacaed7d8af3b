//! How far a replay is, for whoever wants to show it.
//! Written by the replay's threads and read by any other: each number is right by itself.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a replay is in its pass through the recording.
#[derive(Debug, Default)]
pub struct ReplayProgress {
    bytes: AtomicU64,
    bytes_total: u64,
    time_ns: AtomicU64,
}

impl ReplayProgress {
    pub(super) fn of(bytes_total: u64) -> Self {
        Self { bytes_total, ..Self::default() }
    }

    /// Bytes of the file that were read for what was published so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes in the file when it was opened.
    #[must_use]
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// When the event published last was received, in nanoseconds since the epoch; 0 before the first
    /// that says so.
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        self.time_ns.load(Ordering::Relaxed)
    }

    pub(super) fn reach_byte(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn reach_time(&self, ns: u64) {
        self.time_ns.store(ns, Ordering::Relaxed);
    }
}

/// Counts what is read.
pub(super) struct Counting<R> {
    pub(super) reader: R,
    pub(super) bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        // A read's length is far below 2^64.
        self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}
