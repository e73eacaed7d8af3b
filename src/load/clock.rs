//! Time in nanoseconds since a run began, and what that is in the time of day.
//! Invariant: a [`Clock`] never goes back.

use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds since the run began.
pub(crate) type Nanos = u64;

/// A second.
pub(super) const SECOND: Nanos = 1_000_000_000;

/// A duration in nanoseconds, as many as fit.
pub(super) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The clock of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    /// The time of day at the start, in nanoseconds since 1970.
    start_of_day: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self { start: Instant::now(), start_of_day: nanos(since_1970.unwrap_or_default()) }
    }

    pub(super) fn now(&self) -> Nanos {
        nanos(self.start.elapsed())
    }

    /// A moment in nanoseconds since 1970, as servers stamp it.
    pub(super) fn of_day(&self, moment: Nanos) -> u64 {
        self.start_of_day.saturating_add(moment)
    }
}
