//! What a run found: pure data, which is printed as a table, saved as JSON, or drawn.
//! Invariant: a report has the same figures in the same order in every form.

use super::drive::Measured;
use super::faults::Faults;
use super::recorder::{Latencies, Recorder};
use serde::{Serialize, Serializer};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things.
    Count,
    /// Things a second.
    PerSecond,
    /// Bytes.
    Bytes,
    /// Bytes, exact to a fraction: an average.
    BytesEach,
    /// Microseconds.
    Micros,
    /// Bytes a minute, perhaps fewer than none.
    BytesPerMinute,
    /// A hundredth.
    Percent,
    /// So many times another figure.
    Times,
}

/// One number.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// Its key in JSON.
    pub(crate) key: &'static str,
    /// What it is called in a table.
    pub(crate) title: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
}

/// The latencies of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Its key in JSON.
    pub(crate) key: &'static str,
    /// What it is called in a table.
    pub(crate) title: &'static str,
    pub(crate) latencies: Latencies,
}

/// What a run found.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Seconds measured, warm-up and drain left out.
    pub(crate) seconds: f64,
    /// Whether the user ended it early.
    pub(crate) interrupted: bool,
    #[serde(serialize_with = "figures_by_key")]
    pub(crate) figures: Vec<Figure>,
    /// Which latencies are what the run is about.
    pub(crate) main_latency: &'static str,
    #[serde(serialize_with = "latencies_by_key")]
    pub(crate) latencies: Vec<Series>,
    pub(crate) errors: Faults,
    /// What a reader should know of the figures.
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(super) fn new(measured: &Measured, errors: Faults) -> Self {
        let (seconds, interrupted) = (measured.seconds, measured.interrupted);
        Self { seconds, interrupted, errors, ..Self::default() }
    }

    pub(super) fn figure(
        &mut self,
        key: &'static str,
        title: &'static str,
        value: f64,
        unit: Unit,
    ) -> &mut Self {
        self.figures.push(Figure { key, title, value, unit });
        self
    }

    pub(super) fn count(&mut self, key: &'static str, title: &'static str, count: u64) {
        self.figure(key, title, float(count), Unit::Count);
    }

    /// So many of something in the measured part, and a second.
    pub(super) fn rate(
        &mut self,
        (count_key, count_title): (&'static str, &'static str),
        (rate_key, rate_title): (&'static str, &'static str),
        count: u64,
    ) {
        let rate = if self.seconds > 0.0 { float(count) / self.seconds } else { 0.0 };
        self.figure(rate_key, rate_title, rate, Unit::PerSecond);
        self.count(count_key, count_title, count);
    }

    /// Latencies; the first are what the run is about.
    pub(super) fn series(&mut self, key: &'static str, title: &'static str, from: &Recorder) {
        if self.latencies.is_empty() {
            self.main_latency = key;
        }
        self.latencies.push(Series { key, title, latencies: from.latencies() });
    }

    /// What server and client took for so many messages.
    pub(super) fn costs(&mut self, measured: &Measured, messages: u64, each: &'static str) {
        if let Some(server) = &measured.server {
            let cpu_us = server.cpu_seconds * 1e6;
            if messages > 0 {
                self.figure("server_cpu_us_each", each, cpu_us / float(messages), Unit::Micros);
            }
            let percent = server.cpu_seconds / measured.seconds.max(1e-9) * 100.0;
            self.figure("server_cpu_percent", "server's CPU", percent, Unit::Percent);
            let resident = float(server.resident_bytes);
            self.figure("server_resident_bytes", "server's memory", resident, Unit::Bytes);
        }
        self.figure("client_busy_percent", "client busy", measured.busy_percent, Unit::Percent);
        if measured.busy_percent > 90.0 {
            self.notes.push(
                "the client was busy nearly all the time: the server may be able to do more"
                    .to_owned(),
            );
        }
    }
}

/// A count as a number with a fraction: exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

fn figures_by_key<S: Serializer>(figures: &[Figure], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(figures.iter().map(|figure| (figure.key, figure.value)))
}

fn latencies_by_key<S: Serializer>(all: &[Series], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(all.iter().map(|series| (series.key, &series.latencies)))
}
