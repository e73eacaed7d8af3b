//! How many messages a peer may send (RFC 6455 §10.4 leaves limits to the implementation).
//! Invariant: over any span, at most `burst` messages and `per_second` for each second of it pass.

use crate::proto::Millis;
use std::num::NonZeroU32;

/// A rate of messages, with room for bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages a second, in the long run.
    pub per_second: NonZeroU32,
    /// Messages at once, after a pause.
    pub burst: NonZeroU32,
}

/// The state of one peer: when its next message would be on schedule, in microseconds.
///
/// The generic cell rate algorithm: each message moves the schedule on by one interval, and is
/// refused where that puts the schedule more than a burst ahead of the clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    due_micros: u64,
}

impl Meter {
    /// Whether one more message passes.
    pub(super) fn admit(&mut self, rate: &Rate, now: Millis) -> bool {
        let now = now.0.saturating_mul(1000);
        let interval = 1_000_000 / u64::from(rate.per_second.get());
        let due = self.due_micros.max(now) + interval;
        let passes = due - now <= interval * u64::from(rate.burst.get());
        if passes {
            self.due_micros = due;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let [per_second, burst] = [5, 15].map(|n| NonZeroU32::new(n).unwrap());
        let rate = Rate { per_second, burst };
        let mut meter = Meter::default();
        let start = Millis(123_456);
        let at_once = (0..100).filter(|_| meter.admit(&rate, start)).count();
        assert_eq!(at_once, 15);
        let later = start.0 + 1000;
        assert_eq!((0..100).filter(|_| meter.admit(&rate, Millis(later))).count(), 5);
        let steady = (0..100u64).filter(|n| meter.admit(&rate, Millis(later + 200 * (n + 1))));
        assert_eq!(steady.count(), 100);
    }
}
