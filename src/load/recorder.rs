//! Latencies: recorded in a histogram with three significant digits, told as percentiles.
//! Invariant: recording allocates nothing, and no value is lost: one beyond the range counts as the
//! range's end.

use super::clock::{Nanos, SECOND};
use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency told apart from longer ones.
const LATENCY_MAX: Nanos = 600 * SECOND;
const SIGNIFICANT_DIGITS: u8 = 3;

/// The percentiles that are told by name, and their keys in JSON.
const NAMED: [(&str, &str, f64); 6] = [
    ("p50", "p50_us", 50.0),
    ("p90", "p90_us", 90.0),
    ("p99", "p99_us", 99.0),
    ("p99.9", "p99_9_us", 99.9),
    ("p99.99", "p99_99_us", 99.99),
    ("max", "max_us", 100.0),
];

/// Latencies in nanoseconds.
#[derive(Debug)]
pub(super) struct Recorder(Histogram<u64>);

impl Recorder {
    pub(super) fn new() -> Self {
        let bounded = Histogram::new_with_bounds(1, LATENCY_MAX, SIGNIFICANT_DIGITS);
        Self(bounded.expect("bounds that are constant, and right"))
    }

    pub(super) fn record(&mut self, latency: Nanos) {
        self.0.saturating_record(latency);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The microseconds that so many percent are at or below; 0 where nothing was recorded.
    pub(super) fn micros_at(&self, percentile: f64) -> f64 {
        micros(self.0.value_at_percentile(percentile))
    }

    pub(super) fn latencies(&self) -> Latencies {
        let named = NAMED.map(|(name, key, percentile)| Percentile {
            name,
            key,
            us: self.micros_at(percentile),
        });
        Latencies {
            count: self.count(),
            mean_us: self.0.mean() / 1e3,
            min_us: micros(if self.count() == 0 { 0 } else { self.0.min() }),
            percentiles: named,
            curve: self.curve(),
        }
    }

    /// Points up to the percentile behind which one value is left, ten for each nine.
    fn curve(&self) -> Vec<(f64, f64)> {
        const STEPS_A_NINE: i32 = 10;
        let mut points = Vec::new();
        for step in 0.. {
            let beyond = 10f64.powf(-f64::from(step) / f64::from(STEPS_A_NINE));
            #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 values")]
            let left = beyond * self.count() as f64;
            if left < 1.0 {
                break;
            }
            let quantile = 1.0 - beyond;
            points.push((quantile * 100.0, micros(self.0.value_at_quantile(quantile))));
        }
        points
    }
}

/// One percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentile {
    /// What it is called: `p99.9`.
    pub(crate) name: &'static str,
    key: &'static str,
    /// Microseconds.
    pub(crate) us: f64,
}

/// What a recorder holds, told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latencies {
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) min_us: f64,
    #[serde(flatten, serialize_with = "by_name")]
    pub(crate) percentiles: [Percentile; 6],
    /// Percentile and microseconds, for a plot.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// `"p99_9_us": 12.3` for each.
fn by_name<S: serde::Serializer>(all: &[Percentile; 6], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(all.iter().map(|one| (one.key, one.us)))
}

#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 ns, a hundred days")]
fn micros(nanos: Nanos) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(latencies: impl IntoIterator<Item = Nanos>) -> Latencies {
        let mut recorder = Recorder::new();
        latencies.into_iter().for_each(|latency| recorder.record(latency));
        recorder.latencies()
    }

    /// Each percentile is the value that so many are at or below, to three digits.
    #[test]
    fn percentiles_are_those_of_the_values() {
        let told = recorded((1..=10_000).map(|us| us * 1000));
        assert_eq!(told.count, 10_000);
        let expected = [5_000.0, 9_000.0, 9_900.0, 9_990.0, 9_999.0, 10_000.0];
        for (percentile, expected) in told.percentiles.iter().zip(expected) {
            let off = (percentile.us - expected).abs() / expected;
            assert!(off < 1e-3, "{percentile:?}");
        }
        assert!((told.mean_us - 5_000.5).abs() < 5.0 && (told.min_us - 1.0).abs() < 1e-3);
        let names: Vec<_> = told.percentiles.iter().map(|percentile| percentile.name).collect();
        assert_eq!(names, ["p50", "p90", "p99", "p99.9", "p99.99", "max"]);
    }

    /// A curve goes as far as there are values to tell of, and never down.
    #[test]
    fn a_curve_ends_where_one_value_is_left() {
        let told = recorded((1..=1000).map(|us| us * 1000));
        assert_eq!(told.curve.len(), 31);
        assert!(told.curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{:?}", told.curve);
        let (percentile, us) = told.curve.last().copied().unwrap();
        assert!((percentile - 99.9).abs() < 1e-9 && (us - 999.0).abs() < 1.0);
    }

    #[test]
    fn what_is_out_of_range_is_kept_at_its_ends() {
        let told = recorded([0, u64::MAX]);
        assert_eq!(told.count, 2);
        assert!(told.percentiles[5].us >= 600e6);
        assert!(recorded([]).curve.is_empty());
    }

    /// Names are keys, one level deep.
    #[test]
    fn percentiles_are_keys_in_json() {
        let json = serde_json::to_value(recorded([2_000])).unwrap();
        assert!(json["p99_9_us"].is_number() && json["max_us"].is_number(), "{json}");
        assert_eq!(json["count"], 1);
    }
}
