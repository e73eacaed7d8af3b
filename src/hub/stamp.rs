//! When a message came in, by both clocks: one to measure with, one to tell others.
//! Invariant: both readings are of the same moment, as nearly as two reads can be.

use std::time::{Instant, SystemTime};

/// When a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// By the clock that never goes back, which the server's latencies are measured with.
    pub at: Instant,
    /// By the clock on the wall, in nanoseconds since the Unix epoch.
    pub unix_ns: u64,
}

impl Stamp {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        // 64 bits of nanoseconds last until the year 2554.
        let unix_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        Self { at: Instant::now(), unix_ns }
    }
}
