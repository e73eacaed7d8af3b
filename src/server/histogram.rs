//! How long something took, counted by its length: a histogram that one thread fills and any may
//! read, and what a reader gets of it.
//!
//! Buckets are linear within each power of two, so a value is known to one part in 32, from a
//! nanosecond to 18 minutes, in 9 KiB that are never added to. The library for this shares a
//! histogram by locks, or by asking its writer to hand it over; a worker waits for nobody, and one
//! that sleeps hands nothing over (docs/decisions/0014-latency-in-atomic-buckets.md).
//! Invariant: every value is counted in exactly one bucket, whose bounds hold it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets to a power of two, as a power of two.
const PRECISION_BITS: u32 = 5;
/// Values of so many bits and more are counted as the longest.
const VALUE_BITS_MAX: u32 = 40;
/// The values below twice the precision have a bucket each, then each power of two its share.
const BUCKETS: usize = ((VALUE_BITS_MAX - PRECISION_BITS + 1) as usize) << PRECISION_BITS;

/// The place of the bucket for a value.
fn bucket_of(nanos: u64) -> usize {
    let nanos = nanos.min((1 << VALUE_BITS_MAX) - 1);
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(PRECISION_BITS + 1);
    // 40 bits fit, and the platform has 64.
    ((shift as usize) << PRECISION_BITS) + (nanos >> shift) as usize
}

/// The greatest value that the bucket at a place is for.
fn greatest_of(place: usize) -> u64 {
    let shift = (place >> PRECISION_BITS).saturating_sub(1);
    let lowest = (place - (shift << PRECISION_BITS)) as u64;
    ((lowest + 1) << shift) - 1
}

/// The filling end. One thread records.
#[derive(Debug)]
pub(super) struct Recorder {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

impl Recorder {
    /// Counts `times` events that took this long. Only the thread that owns the recorder does so:
    /// a load and a store are enough.
    pub(super) fn record(&self, length: Duration, times: u64) {
        let nanos = length.as_secs().saturating_mul(1_000_000_000);
        let nanos = nanos.saturating_add(u64::from(length.subsec_nanos()));
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.store(bucket.load(Ordering::Relaxed) + times, Ordering::Relaxed);
        }
        // Begins again at 584 years.
        let sum = self.sum.load(Ordering::Relaxed).wrapping_add(nanos.wrapping_mul(times));
        self.sum.store(sum, Ordering::Relaxed);
        if nanos > self.max.load(Ordering::Relaxed) {
            self.max.store(nanos, Ordering::Relaxed);
        }
    }
}

/// How long events took: the counts of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: Box<[u64]>,
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), sum: 0, max: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, recorder: &Recorder) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&recorder.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        self.sum = self.sum.wrapping_add(recorder.sum.load(Ordering::Relaxed));
        self.max = self.max.max(recorder.max.load(Ordering::Relaxed));
    }

    /// How many events were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The longest that one took.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// How long all of them took together, to the nanosecond.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The lengths by which events are counted, from the shortest, each with how many took no
    /// longer than it and longer than the one before. The last stands for all that took longer.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let places = self.buckets.iter().enumerate();
        places.map(|(place, count)| (Duration::from_nanos(greatest_of(place)), *count))
    }

    /// How long the quickest `share` of the events took at most, 0.99 being 99 of 100: at most one
    /// part in 32 above the truth, and never below it. Zero where nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let count = self.count();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a count is within the count, and need not be exact"
        )]
        let wanted = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        for (place, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= wanted {
                return Duration::from_nanos(greatest_of(place).min(self.max));
            }
        }
        self.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(nanos: &[u64]) -> Histogram {
        let recorder = Recorder::default();
        for nanos in nanos {
            recorder.record(Duration::from_nanos(*nanos), 1);
        }
        let mut histogram = Histogram::default();
        histogram.add(&recorder);
        histogram
    }

    /// Buckets follow one another without a gap or an overlap, up to the last.
    #[test]
    fn each_value_has_one_bucket_that_is_narrow_enough() {
        let mut next = 0;
        for place in 0..BUCKETS {
            let greatest = greatest_of(place);
            assert_eq!((bucket_of(next), bucket_of(greatest)), (place, place));
            assert!((greatest - next) * 32 <= next, "{next}..={greatest}");
            next = greatest + 1;
        }
        assert_eq!(next, 1 << VALUE_BITS_MAX);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_is_too_long_is_counted_and_told_as_the_longest() {
        let hours = Duration::from_secs(7200);
        let recorder = Recorder::default();
        recorder.record(hours, 3);
        let mut two = Histogram::default();
        two.add(&recorder);
        two.add(&recorder);
        assert_eq!((two.count(), two.max()), (6, hours));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }

    proptest! {
        /// Against the values in order, which is what a histogram stands for.
        #[test]
        fn quantiles_are_those_of_the_values(
            mut nanos in prop::collection::vec((0_u32..40, any::<u64>()), 1..200),
            parts in 0..=1024_u32,
        ) {
            let mut nanos: Vec<u64> =
                nanos.drain(..).map(|(bits, value)| value & ((1 << bits) - 1)).collect();
            let histogram = histogram(&nanos);
            nanos.sort_unstable();
            // Of 1,024, so that nothing is rounded.
            let rank = (nanos.len() * parts as usize).div_ceil(1024).max(1);
            let exact = nanos[rank - 1];
            let told = u64::try_from(histogram.quantile(f64::from(parts) / 1024.0).as_nanos()).unwrap();
            prop_assert!(told >= exact && told <= exact + exact / 32, "{exact} told as {told}");
            prop_assert_eq!(histogram.max().as_nanos(), u128::from(nanos[nanos.len() - 1]));
            prop_assert_eq!(histogram.count(), nanos.len() as u64);
            let sum: u128 = nanos.iter().map(|nanos| u128::from(*nanos)).sum();
            prop_assert_eq!(histogram.sum().as_nanos(), sum);
            let bound = Duration::from_nanos(exact | 31);
            let within = histogram.buckets().filter(|(greatest, _)| *greatest <= bound);
            let within: u64 = within.map(|(_, count)| count).sum();
            let true_within = nanos.iter().filter(|nanos| u128::from(**nanos) <= bound.as_nanos());
            prop_assert!(within <= true_within.count() as u64, "none is told as quicker");
        }
    }
}
