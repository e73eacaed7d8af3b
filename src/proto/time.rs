//! Time as the protocol sees it: milliseconds since a moment that the caller chose.
//! Invariant: only differences matter; this module never asks what time it is.

use std::time::Duration;

/// Milliseconds since an epoch of the caller's choosing (the start of a worker, say).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `duration` after this one, rounded up to a millisecond, at most [`Self::NEVER`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = duration.as_nanos().div_ceil(1_000_000);
        Self(self.0.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    /// The time from this moment until `later`; zero where `later` is past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deadline is never early, and never wraps.
    #[test]
    fn durations_round_up_and_saturate() {
        assert_eq!(Millis(5).after(Duration::from_micros(1)), Millis(6));
        assert_eq!(Millis(5).after(Duration::from_millis(2)), Millis(7));
        assert_eq!(Millis(5).after(Duration::MAX), Millis::NEVER);
        assert_eq!(Millis(9).until(Millis(5)), Duration::ZERO);
        assert_eq!(Millis(5).until(Millis(9)), Duration::from_millis(4));
    }
}
