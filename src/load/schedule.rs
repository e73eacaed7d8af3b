//! When messages are due at a fixed rate, whatever the server does.
//! Invariant: message `n` is due at `start + n / rate`, however late the ones before it were taken:
//! the schedule never waits, so no delay of the server's is left out of the figures ("coordinated
//! omission").

use super::clock::{Nanos, SECOND};
use std::fmt;

/// Messages a second, more than none.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Rate(f64);

impl Rate {
    /// The fastest that can be asked for.
    const PER_SECOND_MAX: f64 = 1e8;

    /// A rate; `None` where it is none that can be kept.
    pub(crate) fn per_second(rate: f64) -> Option<Self> {
        (rate > 0.0 && rate <= Self::PER_SECOND_MAX).then_some(Self(rate))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When the next message is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    start: Nanos,
    rate: f64,
    taken: u64,
}

impl Schedule {
    pub(super) fn new(start: Nanos, rate: Rate) -> Self {
        Self { start, rate: rate.0, taken: 0 }
    }

    /// When the next message is due.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "exact up to 2^53 messages and nanoseconds, a hundred days"
    )]
    pub(super) fn next_due(&self) -> Nanos {
        let after = self.taken as f64 / self.rate * SECOND as f64;
        self.start.saturating_add(after as u64)
    }

    /// The moment at which the next message was due, if that is past: it is to be sent now.
    pub(super) fn take(&mut self, now: Nanos) -> Option<Nanos> {
        let due = self.next_due();
        if due > now {
            return None;
        }
        self.taken += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: f64) -> Schedule {
        Schedule::new(100, Rate::per_second(rate).unwrap())
    }

    /// A pause of the server's does not move what comes after it.
    #[test]
    fn what_was_due_in_a_pause_keeps_its_time() {
        let mut schedule = schedule(1000.0);
        assert_eq!(schedule.take(99), None);
        assert_eq!(schedule.take(100), Some(100));
        assert_eq!(schedule.take(1_000_099), None);
        // Nobody asked for three milliseconds: three messages are late, each by its own delay.
        let late: Vec<_> = std::iter::from_fn(|| schedule.take(3_000_100)).collect();
        assert_eq!(late, [1_000_100, 2_000_100, 3_000_100]);
        assert_eq!(schedule.next_due(), 4_000_100);
    }

    /// A rate that divides no second evenly is kept all the same.
    #[test]
    fn rounding_does_not_add_up() {
        let mut schedule = schedule(3.0);
        let mut taken = 0;
        while schedule.take(100 + 3600 * SECOND).is_some() {
            taken += 1;
        }
        assert_eq!(taken, 3 * 3600 + 1);
    }

    #[test]
    fn a_rate_is_more_than_none() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(Rate::per_second(wrong), None, "{wrong}");
        }
        assert!(Rate::per_second(0.5).is_some());
    }
}
