//! What topics keep for those who come back: their last publications.
//!
//! Payloads are shared with whoever else holds them. A topic's part is bounded in events, all
//! topics' together in bytes; over that the oldest of all go first.
//! Invariant: a topic's publications lie in the order of their numbers, and `bytes` is what all
//! hold.

use super::topic::Publication;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// What a publication counts beside its payload.
const EVENT_BYTES: usize = 96;

/// One topic's last publications.
#[derive(Debug, Default)]
pub(super) struct History {
    events: VecDeque<Publication>,
    /// The highest number that ever came.
    newest: u64,
}

impl History {
    /// The highest number that ever came; 0 where none did.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Those after number `seen` that are still there.
    pub(super) fn after(&self, seen: u64) -> impl Iterator<Item = &Publication> {
        let first = self.events.partition_point(|event| event.seq <= seen);
        self.events.range(first..)
    }

    fn pop(&mut self) -> usize {
        self.events.pop_front().map_or(0, |event| size_of(&event))
    }
}

/// What all of a worker's topics keep together.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: usize,
    bytes_max: usize,
}

impl Kept {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes: 0, bytes_max }
    }

    /// Keeps a publication; yields whether all together are over their limit now.
    pub(super) fn push(&mut self, history: &mut History, publication: &Publication) -> bool {
        let History { events, newest } = history;
        *newest = publication.seq.max(*newest);
        // Where several threads publish, one may overtake another.
        let at = match events.back() {
            Some(last) if last.seq > publication.seq => {
                events.partition_point(|event| event.seq < publication.seq)
            }
            _ => events.len(),
        };
        events.insert(at, publication.clone());
        self.bytes += size_of(publication);
        if events.len() > publication.topic.resume_events() {
            self.bytes -= history.pop();
        }
        self.bytes > self.bytes_max
    }

    /// Drops the oldest of all, and some more, so that it need not be done again at once.
    pub(super) fn make_room<'h>(&mut self, histories: impl Iterator<Item = &'h mut History>) {
        let mut all: Vec<&mut History> = histories.collect();
        let front = |history: &History| history.events.front().map(|event| event.stamp.at);
        let oldest = all.iter().enumerate();
        let mut oldest: BinaryHeap<_> =
            oldest.filter_map(|(at, history)| Some(Reverse((front(history)?, at)))).collect();
        while self.bytes > self.bytes_max - self.bytes_max / 64
            && let Some(Reverse((_, at))) = oldest.pop()
        {
            let Some(history) = all.get_mut(at) else { continue };
            self.bytes -= history.pop();
            oldest.extend(front(history).map(|next| Reverse((next, at))));
        }
    }
}

fn size_of(publication: &Publication) -> usize {
    publication.payload.len() + EVENT_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::stamp::Stamp;
    use super::super::topic::{Lag, Retain, TopicOptions, Topics};
    use super::*;
    use crate::proto::Message;

    fn numbers(history: &History, seen: u64) -> Vec<u64> {
        history.after(seen).map(|event| event.seq).collect()
    }

    fn options(resume_events: usize) -> TopicOptions {
        TopicOptions { retain: Retain::Nothing, lag: Lag::Close, resume_events }
    }

    /// A topic keeps its last events, in the order of their numbers whatever overtakes what.
    #[test]
    fn the_last_events_are_kept_in_order() {
        let topic = Topics::default().intern("t", options(3));
        let [one, two, three, four, five] =
            [(); 5].map(|()| Publication::new(&topic, Message::Text("x"), Stamp::now()));
        let (mut kept, mut history) = (Kept::new(1 << 20), History::default());
        for event in [&one, &three, &two, &five] {
            assert!(!kept.push(&mut history, event));
        }
        assert_eq!((numbers(&history, 0), history.newest()), (vec![2, 3, 5], 5));
        kept.push(&mut history, &four);
        assert_eq!((numbers(&history, 3), history.newest()), (vec![4, 5], 5));
        assert_eq!(kept.bytes, 3 * (EVENT_BYTES + 1));
    }

    /// All topics together keep what their limit says, and give up what is oldest.
    #[test]
    fn over_the_limit_the_oldest_of_all_goes() {
        let topics = Topics::default();
        let topics = ["a", "b"].map(|name| topics.intern(name, options(1000)));
        let (mut kept, mut histories) = (Kept::new(0), [History::default(), History::default()]);
        kept.bytes_max = 10 * (EVENT_BYTES + 1);
        let mut over = 0;
        for place in [0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1] {
            let event = Publication::new(&topics[place], Message::Text("x"), Stamp::now());
            if kept.push(&mut histories[place], &event) {
                over += 1;
                kept.make_room(histories.iter_mut());
            }
            assert!(kept.bytes <= kept.bytes_max);
        }
        assert!(over > 0);
        // Of twelve there are nine or ten left, and both topics have lost only their oldest.
        assert_eq!(numbers(&histories[0], 0), [3]);
        assert_eq!(numbers(&histories[1], 0), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
