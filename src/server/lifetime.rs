//! The greatest age of a connection, each its own: ten thousand that came together must not all be
//! closed, and come back, at once.
//! Invariant: no age is over the longest, nor under it by more than the jitter.

use std::time::Duration;

/// The age at which the connection of this worker and number is closed: `longest`, less up to
/// `jitter_percent` of it.
pub(super) fn lifetime(
    longest: Duration,
    jitter_percent: u8,
    worker: usize,
    number: u64,
) -> Duration {
    let jitter = longest * u32::from(jitter_percent.min(100)) / 100;
    let share = spread(number ^ (worker as u64).rotate_right(16));
    // A product of 53 bits' precision: more than a duration in nanoseconds needs here.
    longest - jitter.mul_f64(share)
}

/// A number in 0..1 from a counter: SplitMix64's mixing function, which leaves no pattern in
/// neighbours. It need not be hard to guess: to know when a connection ends is no use.
fn spread(counter: u64) -> f64 {
    let mut mixed = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let (high, whole) = (u32::try_from(mixed >> 32).unwrap_or_default(), f64::from(u32::MAX));
    f64::from(high) / (whole + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// 10,000 connections that open together end over the whole span of the jitter: no hundredth
    /// of it has more than twice its share.
    #[test]
    fn connections_that_open_together_end_apart() {
        for worker in [0, 1, 7] {
            let mut buckets = [0; 100];
            for number in 0..10_000 {
                let age = lifetime(DAY, 10, worker, number);
                assert!(age <= DAY && age >= DAY - DAY / 10, "{age:?}");
                let bucket = (DAY - age).as_secs() * 100 / (DAY / 10).as_secs();
                buckets[usize::try_from(bucket.min(99)).unwrap()] += 1;
            }
            assert!(buckets.iter().all(|count| (50..200).contains(count)), "{buckets:?}");
        }
    }

    #[test]
    fn workers_do_not_end_the_same_ones_together() {
        let [here, there] =
            [0, 1].map(|worker| (0..100).map(move |number| lifetime(DAY, 10, worker, number)));
        assert!(here.zip(there).all(|(here, there)| here != there));
    }

    #[test]
    fn without_jitter_all_live_as_long() {
        assert!((0..100).all(|number| lifetime(DAY, 0, 0, number) == DAY));
        assert!(lifetime(Duration::MAX / 1000, 200, 0, 3) <= Duration::MAX / 1000);
    }
}
