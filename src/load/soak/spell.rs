//! Spells with the nuisances and spells without, and the latencies of each.
//! Invariant: neither the spell in which nuisances come and go nor its beginning is recorded, so
//! that the two differ by who is there and by nothing else.

use crate::load::clock::{Nanos, nanos};
use crate::load::recorder::Recorder;
use std::time::Duration;

/// Whether the nuisances are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spell {
    Quiet,
    Disturbed,
}

/// The spells of a run.
#[derive(Debug)]
pub(crate) struct Spells {
    /// How long each is; all is one where there is no length.
    length: Option<Nanos>,
    start: Option<Nanos>,
    pub(super) quiet: Recorder,
    pub(super) disturbed: Recorder,
}

impl Spells {
    pub(super) fn new(length: Option<Duration>) -> Self {
        let length = length.map(|length| nanos(length).max(1));
        Self { length, start: None, quiet: Recorder::new(), disturbed: Recorder::new() }
    }

    /// The measured part begins.
    pub(super) fn begin(&mut self, now: Nanos) {
        self.start = Some(now);
    }

    /// The measured part is over.
    pub(super) fn end(&mut self) {
        self.start = None;
    }

    /// The spell at this moment. Before the measured part the nuisances come, where they stay.
    pub(super) fn at(&self, now: Nanos) -> Spell {
        let Some(length) = self.length else {
            return Spell::Disturbed;
        };
        let passed = self.start.map_or(0, |start| now.saturating_sub(start) / length);
        if passed.is_multiple_of(2) { Spell::Quiet } else { Spell::Disturbed }
    }

    /// Records a latency, if this is a time to.
    pub(super) fn record(&mut self, now: Nanos, latency: Nanos) {
        let Some(start) = self.start else {
            return;
        };
        let settling = |length| now.saturating_sub(start) % length < length / 4;
        if self.length.is_some_and(settling) {
            return;
        }
        match self.at(now) {
            Spell::Quiet => self.quiet.record(latency),
            Spell::Disturbed => self.disturbed.record(latency),
        }
    }

    /// How many times the quiet spells' p99 the disturbed ones' is; 0 where one of them is empty.
    pub(super) fn p99_ratio(&self) -> f64 {
        let [quiet, disturbed] = [&self.quiet, &self.disturbed].map(|one| one.micros_at(99.0));
        if quiet > 0.0 { disturbed / quiet } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quiet and disturbed by turns, and the first quarter of each counts for nothing.
    #[test]
    fn spells_alternate_and_begin_unrecorded() {
        let mut spells = Spells::new(Some(Duration::from_nanos(100)));
        assert_eq!(spells.at(5), Spell::Quiet);
        spells.record(5, 1);
        spells.begin(1000);
        let at = [1000, 1099, 1100, 1199, 1200].map(|now| spells.at(now));
        use Spell::{Disturbed, Quiet};
        assert_eq!(at, [Quiet, Quiet, Disturbed, Disturbed, Quiet]);
        for now in (1000..1200).step_by(5) {
            spells.record(now, if now < 1100 { 1_000 } else { 3_000 });
        }
        assert_eq!((spells.quiet.count(), spells.disturbed.count()), (15, 15));
        assert!((spells.p99_ratio() - 3.0).abs() < 0.01, "{}", spells.p99_ratio());
        spells.end();
        spells.record(1250, 1);
        assert_eq!(spells.quiet.count(), 15);
    }

    /// Without turns the nuisances are always there, and all of the measured part counts.
    #[test]
    fn without_turns_all_is_disturbed() {
        let mut spells = Spells::new(None);
        assert_eq!(spells.at(0), Spell::Disturbed);
        spells.begin(10);
        spells.record(10, 1);
        assert_eq!((spells.quiet.count(), spells.disturbed.count()), (0, 1));
        assert!(spells.p99_ratio().abs() < f64::EPSILON);
    }
}
