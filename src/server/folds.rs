//! Topics whose events are folded into one for those who lag (see [`Fold`]).
//!
//! One fold a topic and worker, however many subscribers lag: each of them keeps from where on it
//! has seen nothing, and gets all that came since, as one event, when its socket has room.
//! Invariant: a fold is there for as long as somebody waits on it, and takes in each event of its
//! topic in order from the first on that anybody waits for.

use super::encoder::{Encoder, Wants};
use super::handler::Published;
use crate::hub::{Publication, Stamp, Topic};
use crate::outbox::{FoldFrom, SlotId};
use crate::proto::OpCode;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

/// Folds a topic's events into one, for subscribers that lag. See
/// [`Handler::fold`](super::Handler::fold).
pub trait Fold {
    /// What [`Self::since`] will want to know of an event that a subscriber has not got, if that
    /// can be the first of those that are folded. `None`: it cannot be folded at all.
    fn mark(&self, payload: &[u8]) -> Option<u64>;

    /// Takes in the topic's next event, number `seq`.
    fn absorb(&mut self, seq: u64, payload: &[u8]) -> Absorbed;

    /// Appends one event that says what all events from number `seq` on say together; `mark` is
    /// that event's. `false`: it cannot be said, and whoever wants it is closed, as a slow consumer.
    fn since(&self, seq: u64, mark: u64, out: &mut Vec<u8>) -> bool;

    /// No subscriber waits for anything before number `seq` any more.
    fn forget_before(&mut self, seq: u64);
}

/// Whether an event could be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absorbed {
    /// It was.
    Taken,
    /// It was not, or it would have been too much: those who wait are closed, as slow consumers.
    Refused,
}

/// The function that makes folds: [`Handler::fold`](super::Handler::fold).
pub(super) type MakeFold = fn(&str) -> Option<Box<dyn Fold>>;

/// A worker's folds.
pub(super) struct Folds {
    make: MakeFold,
    /// Few at a time, and none while nobody lags.
    by_topic: BTreeMap<usize, Folding>,
}

struct Folding {
    topic: Topic,
    opcode: OpCode,
    fold: Box<dyn Fold>,
    /// How many wait from which event on.
    waiting: BTreeMap<u64, usize>,
    /// The last event taken in.
    last: u64,
    stamp: Stamp,
    /// An event could not be taken in, so there is nothing to say any more.
    refused: bool,
}

impl std::fmt::Debug for Folds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folds").field("topics", &self.by_topic.len()).finish_non_exhaustive()
    }
}

impl Folds {
    pub(super) fn new(make: MakeFold) -> Self {
        Self { make, by_topic: BTreeMap::new() }
    }

    /// Takes in an event that is being published, if anybody waits on its topic.
    pub(super) fn note(&mut self, topic: usize, publication: &Publication) {
        if self.by_topic.is_empty() {
            return;
        }
        if let Some(folding) = self.by_topic.get_mut(&topic) {
            folding.absorb(publication);
        }
    }

    /// One more waits, for an event and all that follow; `None` where they cannot be folded.
    /// `published` are the topic's events that [`Self::note`] may have missed, while nobody waited.
    pub(super) fn join<'p>(
        &mut self,
        topic: usize,
        first: &Publication,
        published: impl Iterator<Item = &'p Publication>,
    ) -> Option<FoldFrom> {
        let folding = match self.by_topic.entry(topic) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let fold = (self.make)(first.topic.name())?;
                fold.mark(&first.payload)?;
                let folding = entry.insert(Folding::new(fold, first));
                published.for_each(|publication| folding.absorb(publication));
                folding
            }
        };
        let mark = folding.fold.mark(&first.payload)?;
        *folding.waiting.entry(first.seq).or_default() += 1;
        Some(FoldFrom { seq: first.seq, mark })
    }

    /// One that waited for event `seq` and all that follow does not any more.
    pub(super) fn leave(&mut self, topic: usize, seq: u64) {
        let Some(folding) = self.by_topic.get_mut(&topic) else { return };
        if let Some(count) = folding.waiting.get_mut(&seq) {
            *count -= 1;
            if *count == 0 {
                folding.waiting.remove(&seq);
            }
        }
        match folding.waiting.keys().next() {
            Some(oldest) => folding.fold.forget_before(*oldest),
            None => _ = self.by_topic.remove(&topic),
        }
    }

    /// How many wait, on all topics.
    #[cfg(feature = "simulator")]
    pub(super) fn waiting(&self) -> usize {
        self.by_topic.values().flat_map(|folding| folding.waiting.values()).sum()
    }

    /// The frame that says what has been published since, for one who wants it so. `None`: there
    /// can be none.
    pub(super) fn frame(
        &self,
        id: SlotId,
        from: FoldFrom,
        wants: Wants,
        encoder: &mut Encoder,
    ) -> Option<Rc<[u8]>> {
        self.by_topic.get(&id.topic)?.frame(from, wants, encoder)
    }
}

impl Folding {
    fn new(fold: Box<dyn Fold>, first: &Publication) -> Self {
        Self {
            topic: first.topic.clone(),
            opcode: first.opcode,
            fold,
            waiting: BTreeMap::new(),
            last: 0,
            stamp: first.stamp,
            refused: false,
        }
    }

    /// Takes in the topic's next event, once.
    fn absorb(&mut self, publication: &Publication) {
        let Publication { seq, payload, stamp, .. } = publication;
        if *seq > self.last {
            self.refused |= self.fold.absorb(*seq, payload) == Absorbed::Refused;
            (self.last, self.stamp) = (*seq, *stamp);
        }
    }

    fn frame(&self, from: FoldFrom, wants: Wants, encoder: &mut Encoder) -> Option<Rc<[u8]>> {
        if self.refused {
            return None;
        }
        let mut payload = Vec::new();
        if !self.fold.since(from.seq, from.mark, &mut payload) {
            return None;
        }
        let event = Published {
            topic: self.topic.name(),
            payload: &payload,
            seq: self.last,
            stamp: self.stamp,
        };
        let mut frames = Vec::new();
        let range = encoder.event(&event, self.opcode, wants, &mut frames);
        encoder.end_event();
        frames.get(range).filter(|frame| !frame.is_empty()).map(Rc::from)
    }
}
