//! Which of the frames in a turn's arena are published events, and what may happen to each.
//! Invariant: sorted by where the frames begin, each once.

use crate::hub::{Lag, Publication};
use crate::outbox::SlotId;
use std::ops::Range;
use std::rc::Rc;

/// A published event, as far as those need to know who queue it.
#[derive(Clone, Debug)]
pub(in crate::server) struct Origin {
    /// The topic and the key under which it replaces others.
    pub(in crate::server) slot: SlotId,
    pub(in crate::server) lag: Lag,
    /// It is queued while there is room, whatever its topic's lag.
    pub(in crate::server) queued_first: bool,
    /// The event itself, where it may be folded.
    pub(in crate::server) publication: Option<Publication>,
}

/// An event's frame in the arena.
#[derive(Debug)]
pub(super) struct EventFrame {
    start: usize,
    pub(super) origin: Origin,
    /// A copy for the queues of those who lag, which they share.
    copy: Option<Rc<[u8]>>,
}

/// The events' frames of a turn.
#[derive(Debug, Default)]
pub(super) struct EventFrames(Vec<EventFrame>);

impl EventFrames {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets the frames from `start` on.
    pub(super) fn truncate(&mut self, start: usize) {
        let kept = self.0.partition_point(|event| event.start < start);
        self.0.truncate(kept);
    }

    /// Notes that the frame which begins at `start` is an event, unless that is known.
    pub(super) fn note(&mut self, start: usize, origin: impl FnOnce() -> Origin) {
        let at = match self.0.last() {
            Some(last) if last.start >= start => match self.search(start) {
                Ok(_) => return,
                Err(at) => at,
            },
            _ => self.0.len(),
        };
        self.0.insert(at, EventFrame { start, origin: origin(), copy: None });
    }

    /// The event whose frame begins at `start`, if it is one.
    pub(super) fn find(&mut self, start: usize) -> Option<&mut EventFrame> {
        let at = self.search(start).ok()?;
        self.0.get_mut(at)
    }

    /// The events of a topic that may be folded, in the order in which they were published.
    pub(super) fn of_topic(&self, topic: usize) -> impl Iterator<Item = &Publication> {
        let of_topic = self.0.iter().filter(move |event| event.origin.slot.topic == topic);
        of_topic.filter_map(|event| event.origin.publication.as_ref())
    }

    /// How many events have their frames in these ranges.
    pub(super) fn count(&self, ranges: &[Range<usize>]) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        let before = |end: usize| self.0.partition_point(|event| event.start < end);
        let count: usize = ranges.iter().map(|range| before(range.end) - before(range.start)).sum();
        count as u64
    }

    fn search(&self, start: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&start, |event| event.start)
    }
}

impl EventFrame {
    /// The frame, which lies at `bytes`, to be kept.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Rc<[u8]> {
        Rc::clone(self.copy.get_or_insert_with(|| Rc::from(bytes)))
    }
}
