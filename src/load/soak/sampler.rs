//! What the watched server has in memory and in descriptors, second by second.
//! Invariant: without a process to watch, or once it has gone, there is nothing to tell and nothing
//! to find fault with.

use crate::load::clock::{Nanos, SECOND};
use crate::load::drive::Phase;
use crate::load::error::LoadError;
use crate::load::process::Process;
use crate::load::report::{Report, Unit, float};

/// Between two samples.
const EVERY: Nanos = SECOND;
/// Descriptors that a server may have at the end beyond those that it began with: a log, a file.
const SPARE_DESCRIPTORS: u64 = 4;
const MINUTE_SECONDS: f64 = 60.0;

/// One moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Nanos,
    resident_bytes: u64,
    descriptors: u64,
}

/// The samples of a run.
#[derive(Debug)]
pub(crate) struct Sampler {
    process: Option<Process>,
    before: Option<Sample>,
    /// Those of the measured part.
    samples: Vec<Sample>,
    last: Option<Sample>,
    next: Nanos,
    /// The most memory at any moment, and descriptors.
    peak: (u64, u64),
}

impl Sampler {
    /// Watches a process, which nobody has connected to yet.
    pub(super) fn start(pid: Option<u32>) -> Result<Self, LoadError> {
        let watched = |pid| Process::watch(pid).map_err(|error| LoadError::Process { pid, error });
        let process = pid.map(watched).transpose()?;
        let (samples, last, peak) = (Vec::new(), None, (0, 0));
        let mut sampler = Self { process, before: None, samples, last, next: 0, peak };
        sampler.before = sampler.look(0);
        Ok(sampler)
    }

    /// Takes a sample if it is time; yields the memory in use if one was taken.
    pub(super) fn on_time(&mut self, now: Nanos, phase: Phase) -> Option<u64> {
        if now < self.next {
            return None;
        }
        self.next = now + EVERY;
        self.last = self.look(now);
        let sample = self.last?;
        let (resident_bytes, descriptors) = self.peak;
        self.peak =
            (resident_bytes.max(sample.resident_bytes), descriptors.max(sample.descriptors));
        if phase == Phase::Measuring {
            self.samples.push(sample);
        }
        Some(sample.resident_bytes)
    }

    fn look(&self, at: Nanos) -> Option<Sample> {
        let process = self.process.as_ref()?;
        let resident_bytes = process.usage().ok()?.resident_bytes;
        Some(Sample { at, resident_bytes, descriptors: process.descriptors().ok()? })
    }

    /// Descriptors that the server has beyond those it began with, now that everybody has gone.
    pub(super) fn leaked(&self) -> u64 {
        let spare = |before: Sample| before.descriptors + SPARE_DESCRIPTORS;
        let both = self.before.map(spare).zip(self.last);
        both.map_or(0, |(allowed, last)| last.descriptors.saturating_sub(allowed))
    }

    /// Adds what there was to a report.
    pub(super) fn tell(&self, report: &mut Report) {
        let (Some(before), Some(first), Some(end)) =
            (self.before, self.samples.first(), self.samples.last())
        else {
            report.notes.push("give --pid the server's process to see its memory".to_owned());
            return;
        };
        let (peak_bytes, peak_descriptors) = self.peak;
        for (key, title, bytes) in [
            ("resident_bytes_before", "memory before", before.resident_bytes),
            ("resident_bytes_start", "memory at the start", first.resident_bytes),
            ("resident_bytes_peak", "memory at most", peak_bytes),
            ("resident_bytes_end", "memory at the end", end.resident_bytes),
        ] {
            report.figure(key, title, float(bytes), Unit::Bytes);
        }
        let half = self.samples.get(self.samples.len() / 2..).unwrap_or_default();
        let slope = slope_per_minute(half);
        let title = "its slope in the last half";
        report.figure("resident_bytes_per_minute", title, slope, Unit::BytesPerMinute);
        for (key, title, count) in [
            ("descriptors_before", "descriptors before", before.descriptors),
            ("descriptors_peak", "descriptors at most", peak_descriptors),
            ("descriptors_end", "descriptors at the end", end.descriptors),
        ] {
            report.count(key, title, count);
        }
        // A server that has been stopped has nothing.
        if let Some(after) = self.last {
            let (title, bytes) = ("memory when all had gone", float(after.resident_bytes));
            report.figure("resident_bytes_after", title, bytes, Unit::Bytes);
            let title = "descriptors when all had gone";
            report.count("descriptors_after", title, after.descriptors);
        }
    }
}

/// The line of least squares through the memory of some samples: by how much it rises a minute.
fn slope_per_minute(samples: &[Sample]) -> f64 {
    let count = float(samples.len() as u64).max(1.0);
    let point = |sample: &Sample| (float(sample.at) / 1e9, float(sample.resident_bytes));
    let (times, sizes) =
        samples.iter().map(point).fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
    let (time, size) = (times / count, sizes / count);
    let deviations = samples.iter().map(point).map(|p| (p.0 - time, p.1 - size));
    let (along, squares) =
        deviations.fold((0.0, 0.0), |sum, d| (sum.0 + d.0 * d.1, sum.1 + d.0 * d.0));
    if squares > 0.0 { along / squares * MINUTE_SECONDS } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(sizes: &[u64]) -> Vec<Sample> {
        let sample = |(second, size): (u64, &u64)| Sample {
            at: second * SECOND,
            resident_bytes: *size,
            descriptors: 0,
        };
        (0..).zip(sizes).map(sample).collect()
    }

    /// The slope is that of the line, whatever lies evenly about it.
    #[test]
    fn a_slope_is_bytes_a_minute() {
        let slope = |sizes: &[u64]| slope_per_minute(&samples(sizes));
        assert!((slope(&[100, 110, 120, 130]) - 600.0).abs() < 1e-6);
        assert!((slope(&[130, 120, 110]) + 600.0).abs() < 1e-6);
        assert!(slope(&[50, 60, 50, 60, 50]).abs() < 1e-6);
        assert!(slope(&[7]).abs() < 1e-6 && slope(&[]).abs() < 1e-6);
    }

    /// What a server holds beyond what it began with, and a few to spare, is leaked.
    #[test]
    fn descriptors_are_compared_with_those_before() {
        let mut sampler = Sampler::start(None).unwrap();
        assert_eq!(sampler.leaked(), 0);
        let sample = |descriptors| Sample { at: 0, resident_bytes: 0, descriptors };
        sampler.before = Some(sample(10));
        sampler.last = Some(sample(10 + SPARE_DESCRIPTORS));
        assert_eq!(sampler.leaked(), 0);
        sampler.last = Some(sample(10 + SPARE_DESCRIPTORS + 3));
        assert_eq!(sampler.leaked(), 3);
    }
}
