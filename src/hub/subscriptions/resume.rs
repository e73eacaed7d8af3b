//! Those who come back: what they have missed, what of it is gone, and what they have seen already.
//! Invariant: who is subscribed gets each event after the one that it has seen once, whichever worker
//! the others came from, or was told that it is missing.

use super::super::topic::Publication;
use super::{Slot, SlotKey, Subscriptions};

#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) session: u32,
    pub(super) slot: SlotKey,
    pub(super) seen: u64,
}

/// What a topic keeps for those who come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Nothing: what was missed is lost.
    Nothing,
    /// The last event, which says all that those before it did.
    Last,
    Events,
}

/// What is known of a topic's numbers on all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// The number before that of the first publication.
    pub(crate) before_first: u64,
    /// The number of the last publication, which may be on its way to a worker.
    pub(crate) last: u64,
    pub(crate) keeps: Keeps,
}

impl Subscriptions {
    /// Which of a topic's events one who has seen all up to number `seen` is not going to get: the
    /// first and the last of them. There may be others between these two, which it gets.
    pub(crate) fn missing(
        &self,
        name: &str,
        seen: u64,
        numbering: Numbering,
    ) -> Option<(u64, u64)> {
        let Numbering { before_first, last, keeps } = numbering;
        if seen > last {
            // Not of this run: nobody has published so much.
            return Some((last + 1, seen));
        }
        let mut missing: Option<(u64, u64)> = None;
        let mut expected = seen.saturating_add(1);
        let mut comes = |seq: u64| {
            if seq > expected {
                missing = Some((missing.map_or(expected, |(first, _)| first), seq - 1));
            }
            expected = expected.max(seq.saturating_add(1));
        };
        match keeps {
            Keeps::Nothing => comes(last.saturating_add(1)),
            // Nothing stands for what was before the first.
            Keeps::Last => comes(before_first + 1),
            Keeps::Events => {
                let slot = self.find(name).and_then(|key| self.slots.get(key.0));
                let history = slot.map(|slot| &slot.history);
                history
                    .into_iter()
                    .flat_map(|history| history.after(seen))
                    .for_each(|event| comes(event.seq));
                comes(self.newest(slot, before_first).saturating_add(1));
            }
        }
        missing
    }

    /// What a session that has seen all up to number `seen` has missed, as far as it is kept, in
    /// order; the session was just subscribed. What it has seen already and is yet to come to this
    /// worker it will not get again.
    pub(crate) fn resume(
        &mut self,
        session: u32,
        key: SlotKey,
        seen: u64,
        numbering: Numbering,
    ) -> impl Iterator<Item = &Publication> {
        let Numbering { before_first, last, keeps } = numbering;
        let newest = self.newest(self.slots.get(key.0), before_first);
        let seen_or_lost = if keeps == Keeps::Nothing { last } else { seen };
        if seen <= last && seen_or_lost > newest {
            self.ahead.push(Ahead { session, slot: key, seen: seen_or_lost });
        }
        let slot = self.slots.get(key.0);
        let events = slot.into_iter().flat_map(move |slot| slot.history.after(seen));
        let state = slot
            .and_then(|slot| slot.last.as_ref())
            .filter(move |state| keeps == Keeps::Last && (state.seq > seen || seen > last));
        state.into_iter().chain(events)
    }

    /// The highest number of a topic that has come to this worker.
    fn newest(&self, slot: Option<&Slot>, before_first: u64) -> u64 {
        let last = slot.and_then(|slot| slot.last.as_ref()).map_or(before_first, |last| last.seq);
        slot.map_or(before_first, |slot| slot.history.newest().max(last).max(before_first))
    }

    /// Whether any session may have seen what is yet to come.
    pub(crate) fn is_anybody_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Whether a session has seen event `seq` of a topic already.
    pub(crate) fn has_seen(&self, session: u32, key: SlotKey, seq: u64) -> bool {
        let mut all = self.ahead.iter();
        all.any(|ahead| ahead.session == session && ahead.slot == key && seq <= ahead.seen)
    }

    /// Takes note that event `seq` of a topic has come: who was ahead by so much is not any more.
    pub(crate) fn catch_up(&mut self, key: SlotKey, seq: u64) {
        self.ahead.retain(|ahead| ahead.slot != key || ahead.seen > seq);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::stamp::Stamp;
    use super::super::super::topic::{Retain, TopicOptions, Topics};
    use super::*;
    use crate::proto::Message;

    /// Whoever has seen more than has come to this worker is passed over until that has come.
    #[test]
    fn what_was_seen_elsewhere_does_not_come_again() {
        let topics = Topics::default();
        let options = TopicOptions { resume_events: 10, ..Retain::Nothing.into() };
        let topic = topics.intern("x", options);
        let events = [(); 4].map(|()| Publication::new(&topic, Message::Text("1"), Stamp::now()));
        let mut table = Subscriptions::new(1 << 20);
        let [first, second, third, fourth] = &events;
        let key = table.note(first).unwrap();
        let numbering = Numbering { before_first: 0, last: 4, keeps: Keeps::Events };
        assert_eq!(table.missing("x", 3, numbering), None);
        for session in [7, 8] {
            table.subscribe(session, "x").unwrap();
            assert_eq!(table.resume(session, key, 3, numbering).count(), 0);
        }
        table.subscribe(9, "x").unwrap();
        assert_eq!(table.resume(9, key, 0, numbering).count(), 1);
        table.unsubscribe_all(8);
        table.subscribe(8, "x").unwrap();
        for (event, seen) in [(second, true), (third, true), (fourth, false)] {
            assert!(table.note(event).is_some());
            assert_eq!([7, 8, 9].map(|s| table.has_seen(s, key, event.seq)), [seen, false, false]);
            table.catch_up(key, event.seq);
        }
        assert!(!table.is_anybody_ahead());
    }

    /// One range tells what is missing, before and between what there is.
    #[test]
    fn a_gap_spans_all_that_is_missing() {
        let topics = Topics::default();
        let options = TopicOptions { resume_events: 4, ..Retain::Nothing.into() };
        let topic = topics.intern("x", options);
        let events = [(); 9].map(|()| Publication::new(&topic, Message::Text("1"), Stamp::now()));
        let mut table = Subscriptions::new(1 << 20);
        // Numbers 5 and 8 did not come to this worker; of the others it keeps 4, 6, 7 and 9.
        for event in events.iter().filter(|event| ![5, 8].contains(&event.seq)) {
            table.note(event);
        }
        let numbering = Numbering { before_first: 0, last: 9, keeps: Keeps::Events };
        let gaps = [(0, Some((1, 8))), (3, Some((5, 8))), (5, Some((8, 8))), (8, None), (9, None)];
        for (seen, gap) in gaps {
            assert_eq!(table.missing("x", seen, numbering), gap, "{seen}");
        }
        assert_eq!(table.missing("x", 12, numbering), Some((10, 12)));
    }
}
