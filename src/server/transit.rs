//! How long published events take from their coming in to their subscribers' sockets.
//!
//! What is measured for each event, on each worker that has subscribers to it: from its
//! [`Stamp`](crate::hub::Stamp) to the return of the first and of the last write call of the flush
//! that carried it. A flush has at most two clock reads for all its events: so an event shares the
//! first and the last with those that it is flushed with, whose subscribers may be others. What
//! stays in the send queues of slow clients is not followed: an event of a flush that wrote nothing
//! at all is not counted.
//! Invariant: a flush that carried no event reads no clock, and nothing is allocated once the list
//! has its room.

use super::histogram::{Histogram, Recorder};
use std::time::Instant;

/// Moments remembered between two flushes. Events beyond are counted with the last of them, which
/// makes them look slower than they were, and never quicker.
const MOMENTS_MAX: usize = 4096;

/// The events that the next flush carries.
#[derive(Debug, Default)]
pub(super) struct Transit {
    /// When they came in, and how many did then.
    events: Vec<(Instant, u64)>,
    first_written: Option<Instant>,
}

/// One worker's histograms.
#[derive(Debug, Default)]
pub(super) struct Recorders {
    first: Recorder,
    last: Recorder,
}

/// How long published events took from their coming in to their subscribers' sockets, for each
/// worker that had any: until the first and until the last write of the flush that carried the
/// event. What waits in the send queues of slow clients is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Until the first subscriber's was written.
    pub first: Histogram,
    /// Until the last subscriber's was.
    pub last: Histogram,
}

impl Latency {
    pub(super) fn add(&mut self, recorders: &Recorders) {
        self.first.add(&recorders.first);
        self.last.add(&recorders.last);
    }
}

impl Transit {
    /// Takes note of an event that came in at this moment and goes to somebody.
    pub(super) fn note(&mut self, came_in: Instant) {
        let full = self.events.len() >= MOMENTS_MAX;
        match self.events.last_mut() {
            Some((moment, count)) if full || *moment == came_in => *count += 1,
            _ => self.events.push((came_in, 1)),
        }
    }

    /// A socket has taken something.
    pub(super) fn note_write(&mut self) {
        if self.first_written.is_none() && !self.events.is_empty() {
            self.first_written = Some(Instant::now());
        }
    }

    /// All is written that could be.
    pub(super) fn end_flush(&mut self, recorders: &Recorders) {
        if let Some(first) = self.first_written.take() {
            let last = Instant::now();
            for (came_in, count) in &self.events {
                recorders.first.record(first.saturating_duration_since(*came_in), *count);
                recorders.last.record(last.saturating_duration_since(*came_in), *count);
            }
        }
        self.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(recorders: &Recorders) -> Latency {
        let mut latency = Latency::default();
        latency.add(recorders);
        latency
    }

    #[test]
    fn each_event_is_counted_once_with_its_own_time() {
        let (mut transit, recorders) = (Transit::default(), Recorders::default());
        let now = Instant::now();
        let earlier = now.checked_sub(std::time::Duration::from_secs(1)).unwrap();
        transit.note(earlier);
        transit.note(now);
        transit.note(now);
        transit.note_write();
        transit.note_write();
        transit.end_flush(&recorders);
        let Latency { first, last } = latency(&recorders);
        assert_eq!((first.count(), last.count()), (3, 3));
        assert!(first.max() <= last.max() && first.max() >= now - earlier, "{first:?}");
        assert!(first.quantile(0.6) < now - earlier, "two of three came just now");
        transit.note_write();
        transit.end_flush(&recorders);
        assert_eq!(latency(&recorders).last.count(), 3, "nothing is counted twice");
    }

    #[test]
    fn what_no_socket_took_is_not_counted() {
        let (mut transit, recorders) = (Transit::default(), Recorders::default());
        transit.note(Instant::now());
        transit.end_flush(&recorders);
        transit.note_write();
        transit.end_flush(&recorders);
        assert_eq!(latency(&recorders).first.count(), 0);
    }

    #[test]
    fn the_list_of_moments_is_bounded_and_no_event_is_lost_by_that() {
        let (mut transit, recorders) = (Transit::default(), Recorders::default());
        let start = Instant::now();
        for nanos in 0..3 * MOMENTS_MAX as u64 {
            transit.note(start + std::time::Duration::from_nanos(nanos));
        }
        assert_eq!(transit.events.len(), MOMENTS_MAX);
        transit.note_write();
        transit.end_flush(&recorders);
        assert_eq!(latency(&recorders).last.count(), 3 * MOMENTS_MAX as u64);
    }
}
