//! How long to wait before connecting again: longer each time, and never quite as long as others do.
//! Invariant: a wait is at least a quarter of `FIRST` and at most `LONGEST`.

use crate::net::nonce;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(20);

/// Waits between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next wait, by chance between half and all of what it may be, so that clients that were
    /// lost together do not come back together.
    pub(super) fn wait(&mut self) -> Duration {
        let [chance, ..] = nonce();
        let half = self.next / 2;
        let wait = half + half * u32::from(chance) / u32::from(u8::MAX);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        let mut backoff = Backoff::new();
        let waits: Vec<Duration> = (0..12).map(|_| backoff.wait()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits[1] >= FIRST && waits[1] <= FIRST * 2);
        assert!(waits[6..].iter().all(|wait| *wait >= LONGEST / 2 && *wait <= LONGEST));
        assert!(waits[6..].iter().any(|wait| *wait != waits[6]));
    }
}
