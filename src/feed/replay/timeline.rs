//! When events are due, and from which on they are published at all.
//! Knows no clock: times are those of the recording, and spans since its first event.

use std::time::Duration;

use super::super::{Pace, Speed};

/// When each event is due, as the time since the first.
#[derive(Debug)]
pub(super) struct Timeline {
    speed: Speed,
    first_ns: Option<u64>,
    latest: Duration,
}

impl Timeline {
    pub(super) fn pace(&self) -> Pace {
        match self.speed {
            Speed::Times(_) => Pace::Careful,
            Speed::Max => Pace::Lossless,
        }
    }

    pub(super) fn new(speed: Speed) -> Self {
        Self { speed, first_ns: None, latest: Duration::ZERO }
    }

    /// `None` when there is nothing to wait for: at full speed, for an event without a time
    /// (it goes with its predecessor) and for one that is earlier than its predecessor.
    pub(super) fn due(&mut self, received_ns: Option<u64>) -> Option<Duration> {
        let Speed::Times(factor) = self.speed else {
            return None;
        };
        let received_ns = received_ns?;
        let first_ns = *self.first_ns.get_or_insert(received_ns);
        let due = factor.shorten(Duration::from_nanos(received_ns.saturating_sub(first_ns)));
        if due <= self.latest {
            return None;
        }
        self.latest = due;
        Some(due)
    }
}

/// A moment of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// In nanoseconds since the epoch.
    At(u64),
    /// So long after the recording's first event.
    After(Duration),
}

/// Which events come before the moment at which a replay begins. Once one does not, none does that
/// follows it, whatever its time.
#[derive(Debug)]
pub(super) struct Beginning {
    moment: Option<Moment>,
    first_ns: Option<u64>,
}

impl Beginning {
    pub(super) fn new(moment: Option<Moment>) -> Self {
        Self { moment, first_ns: None }
    }

    /// Whether an event comes before it; one without a time goes with its predecessor.
    pub(super) fn is_after(&mut self, received_ns: Option<u64>) -> bool {
        let (Some(moment), Some(received_ns)) = (self.moment, received_ns) else {
            return self.moment.is_some();
        };
        let first_ns = *self.first_ns.get_or_insert(received_ns);
        let begins_ns = match moment {
            Moment::At(ns) => ns,
            Moment::After(span) => {
                first_ns.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
            }
        };
        if received_ns >= begins_ns {
            self.moment = None;
        }
        self.moment.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replay: due times are absolute, so neither rounding nor lateness adds up.
    #[test]
    fn events_are_due_by_their_distance_from_the_first() {
        let mut timeline = Timeline::new("10".parse().unwrap());
        let mut due = |ns| timeline.due(ns).map(|due| due.as_nanos());
        assert_eq!(due(None), None);
        assert_eq!(due(Some(1000)), None);
        assert_eq!(due(Some(1500)), Some(50));
        assert_eq!(due(None), None);
        assert_eq!(due(Some(1200)), None);
        assert_eq!(due(Some(1505)), None);
        assert_eq!(due(Some(1510)), Some(51));
        assert_eq!(due(Some(500)), None);
        assert_eq!(due(Some(61_000)), Some(6000));
    }

    /// Replay: at full speed nothing is ever waited for.
    #[test]
    fn at_full_speed_nothing_is_due_later() {
        let mut timeline = Timeline::new(Speed::Max);
        assert_eq!(timeline.due(Some(1)), None);
        assert_eq!(timeline.due(Some(u64::MAX)), None);
    }

    /// Replay: from a moment on, by the clock or by the recording's own beginning.
    #[test]
    fn what_comes_before_the_moment_is_known() {
        for moment in [Moment::At(1500), Moment::After(Duration::from_nanos(500))] {
            let mut beginning = Beginning::new(Some(moment));
            let events = [Some(1000), None, Some(1499), Some(1500), None, Some(1000)];
            let before = events.map(|received_ns| beginning.is_after(received_ns));
            assert_eq!(before, [true, true, true, false, false, false], "{moment:?}");
        }
        assert!(!Beginning::new(None).is_after(Some(0)));
    }
}
