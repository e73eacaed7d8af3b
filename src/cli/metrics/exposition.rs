//! What is watched, as text in the OpenMetrics format, which Prometheus and its relatives read.
//! Invariant: each of the server's counters is there under its own name, also one that is new.

use super::{Fed, Watched, process};
use crate::market::MarketCounts;
use crate::server::{Histogram, Reading, ReadingKind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// What the names of the server's metrics begin with.
const PREFIX: &str = "tickwire";

/// The bounds of a histogram's buckets, in microseconds. An event is counted under the first that
/// it is known to be within, so it may be told as slower by one part in 32, and never as quicker.
const BOUNDS_MICROS: [u64; 20] = [
    1, 3, 10, 20, 30, 50, 100, 200, 300, 500, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000,
    1_000_000, 3_000_000, 10_000_000, 30_000_000,
];

/// All metrics, ready to be written as often as somebody asks.
pub(super) fn registry(watched: Watched) -> Registry {
    let mut registry = Registry::default();
    let started = watched.started;
    registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(watched));
    registry.register_collector(Box::new(process::Own { started }));
    registry
}

/// The metrics as they are now.
pub(super) fn render(registry: &Registry) -> Result<String, fmt::Error> {
    let mut out = String::with_capacity(16 << 10);
    text::encode(&mut out, registry)?;
    Ok(out)
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let about = "The version of the program.";
        encoder.encode_descriptor("build", about, None, MetricType::Info)?.encode_info(&version)?;

        let stats = self.stats.read();
        for reading in stats.readings() {
            let Reading { about, kind, value, .. } = reading;
            match kind {
                ReadingKind::Counter => counter(&mut encoder, name_of(&reading), about, value)?,
                ReadingKind::Gauge => gauge(&mut encoder, name_of(&reading), about, value)?,
            }
        }
        let about = "Connections that have ended, each for one reason.";
        let mut ended =
            encoder.encode_descriptor("disconnects", about, None, MetricType::Counter)?;
        for (reason, count) in stats.ended_by_cause() {
            let label = [("reason", reason)];
            let mut ended = ended.encode_family(&label)?;
            ended.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }

        let published = self.publisher.stats();
        let about = "Messages published, by feeds and by handlers.";
        counter(&mut encoder, "published", about, published.published)?;
        let about = "Messages that a worker's subscribers missed because its inbox was full.";
        counter(&mut encoder, "dropped_inbox_full", about, published.dropped_inbox_full)?;

        let latency = self.stats.latency();
        let about = "From an event's coming in to its first subscriber's socket.";
        histogram(&mut encoder, "ingest_to_first_write", about, &latency.first)?;
        let about = "From an event's coming in to its last subscriber's socket.";
        histogram(&mut encoder, "ingest_to_last_write", about, &latency.last)?;

        let Some(Fed { counters: feed, markets }) = &self.feed else { return Ok(()) };
        counter(&mut encoder, "feed_events", "Events that the feed has brought.", feed.events())?;
        let about = "Bytes of those events' payloads.";
        counter(&mut encoder, "feed_bytes", about, feed.bytes())?;
        let about = "Lines of the feed that could not be understood and were skipped.";
        counter(&mut encoder, "feed_malformed_lines", about, feed.malformed_lines())?;
        let about = "Lines of the feed that hold a whole order book.";
        counter(&mut encoder, "feed_snapshot_lines", about, feed.snapshot_lines())?;
        books(&mut encoder, &markets.counts())
    }
}

/// Writes what became of diffs and snapshots.
fn books(encoder: &mut DescriptorEncoder<'_>, counts: &MarketCounts) -> fmt::Result {
    let about = "Symbols that streams have been announced or seen of.";
    gauge(encoder, "symbols", about, counts.symbols)?;
    let about = "Order books that are in step with their feed.";
    gauge(encoder, "books", about, counts.books)?;
    for (name, about, value) in [
        ("book_gaps", "Order books withdrawn because updates were missing.", counts.gaps),
        ("book_diffs_applied", "Diffs that an order book took in.", counts.diffs_applied),
        ("book_diffs_stale", "Diffs that said nothing new.", counts.diffs_stale),
        (
            "book_diffs_waited",
            "Diffs that waited for a snapshot or for what comes before them.",
            counts.diffs_waited,
        ),
        (
            "book_diffs_given_up",
            "Diffs that waited and were given up for want of room.",
            counts.diffs_given_up,
        ),
        ("book_diffs_malformed", "Events of diff streams that are none.", counts.diffs_malformed),
        ("trades_malformed", "Events of trade streams that are none.", counts.trades_malformed),
        ("book_snapshots_taken", "Snapshots that became an order book.", counts.snapshots_taken),
        ("book_snapshots_old", "Snapshots older than their order book.", counts.snapshots_old),
        (
            "book_snapshots_not_understood",
            "Snapshots of no symbol that could be told, or that are none.",
            counts.snapshots_not_understood,
        ),
        (
            "book_levels_given_up",
            "Levels given up because a side of an order book had too many.",
            counts.levels_given_up,
        ),
        ("derived_events", "Events derived from order books and published.", counts.derived),
    ] {
        counter(encoder, name, about, value)?;
    }
    Ok(())
}

/// A counter's name, which says what it is of where its own does not.
fn name_of(reading: &Reading) -> &'static str {
    match reading.name {
        "accepted" => "connections_accepted",
        "open" => "connections_open",
        name => name,
    }
}

/// Writes a counter; the format adds `_total` to its name.
fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    about: &str,
    value: u64,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, about, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
}

/// Writes a counter of time; the format adds `_seconds_total` to its name.
pub(super) fn counter_of_seconds(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    about: &str,
    value: Duration,
) -> fmt::Result {
    let unit = Some(&Unit::Seconds);
    let mut metric = encoder.encode_descriptor(name, about, unit, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, _, f64>(&value.as_secs_f64(), None)
}

/// Writes a number that also falls.
pub(super) fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    about: &str,
    value: u64,
) -> fmt::Result {
    encoder.encode_descriptor(name, about, None, MetricType::Gauge)?.encode_gauge(&value)
}

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    about: &str,
    histogram: &Histogram,
) -> fmt::Result {
    let buckets = buckets(histogram);
    // Counted from the buckets, so that the two agree.
    let count = buckets.iter().map(|(_, count)| count).sum();
    let sum = histogram.sum().as_secs_f64();
    let kind = MetricType::Histogram;
    let mut metric = encoder.encode_descriptor(name, about, Some(&Unit::Seconds), kind)?;
    metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

/// The bounds in seconds, and how many events are within each and not within the one before.
fn buckets(histogram: &Histogram) -> Vec<(f64, u64)> {
    let bounds = BOUNDS_MICROS.map(Duration::from_micros);
    let seconds = bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
    let mut buckets: Vec<(f64, u64)> = seconds.map(|bound| (bound, 0)).collect();
    for (length, count) in histogram.buckets() {
        let place = bounds.partition_point(|bound| *bound < length);
        if let Some((_, sum)) = buckets.get_mut(place) {
            *sum += count;
        }
    }
    buckets
}
