//! Deadlines of many connections: a coarse wheel. RFC 6455 sets no times; §7.1.1 speaks of "a
//! reasonable amount of time".
//!
//! A connection has one deadline, which moves with almost every message. So an entry of the wheel
//! is only a reminder to look: it is set when there is none early enough, and left alone when the
//! deadline moves to later. Deadlines past the wheel's horizon get a reminder at the horizon.
//! Invariant: a reminder comes at or after its time, and less than two ticks late while the wheel
//! is advanced.

use super::key::Key;
use super::table::Pages;
use crate::proto::Millis;

/// Milliseconds in a tick.
const TICK: u64 = 8;
/// Ticks until the wheel comes round: about 8 s.
const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;
/// The end of a list.
const NONE: u32 = u32::MAX;

/// The tick of a reminder that is set, as a connection remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

impl Tick {
    /// No reminder is set.
    pub(super) const NONE: Self = Self(u64::MAX);
}

/// Reminders of one worker's connections. Memory grows with their number alone: what has come leaves
/// its place to another.
#[derive(Debug)]
pub(super) struct Timers {
    /// Where the list of each slot begins in `places`.
    slots: Vec<u32>,
    /// Which slots have entries, a bit each.
    occupied: [u64; WORDS],
    /// The first tick that has not been looked at.
    next: u64,
    places: Pages<Place>,
    /// Where the list of those that are due begins, and that of places to be taken again.
    due: u32,
    free: u32,
}

/// A reminder, and the one that follows it in its list.
#[derive(Debug)]
struct Place {
    key: Key,
    tick: Tick,
    next: u32,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![NONE; SLOTS],
            occupied: [0; WORDS],
            next: 0,
            places: Pages::new(),
            due: NONE,
            free: NONE,
        }
    }

    /// Sees to it that there is a reminder for `key` by `deadline`, `set` being the one it has.
    /// Yields the one it has then.
    pub(super) fn remind(&mut self, key: Key, deadline: Millis, set: Tick) -> Tick {
        if deadline == Millis::NEVER {
            return set;
        }
        let horizon = self.next + SLOTS as u64 - 1;
        let number = deadline.0.div_ceil(TICK).clamp(self.next, horizon);
        let tick = Tick(number);
        if set <= tick {
            return set;
        }
        let index = slot_of(number);
        if let (Some(slot), Some(word)) =
            (self.slots.get_mut(index), self.occupied.get_mut(index / 64))
        {
            let place = Place { key, tick, next: *slot };
            match self.places.get_mut(self.free) {
                Some(free) => {
                    *slot = std::mem::replace(&mut self.free, free.next);
                    *free = place;
                }
                None => {
                    let Ok(new) = u32::try_from(self.places.len()) else { return set };
                    self.places.push(place);
                    *slot = new;
                }
            }
            *word |= 1 << (index % 64);
        }
        tick
    }

    /// Has [`Self::pop_due`] yield the reminders due by `now`.
    pub(super) fn advance(&mut self, now: Millis) {
        let end = now.0 / TICK + 1;
        // After a long sleep each slot is looked at once.
        let passes = end.saturating_sub(self.next).min(SLOTS as u64);
        for tick in self.next..self.next + passes {
            let index = slot_of(tick);
            let Some(word) = self.occupied.get_mut(index / 64) else {
                continue;
            };
            let bit = 1 << (index % 64);
            if *word & bit != 0
                && let Some(slot) = self.slots.get_mut(index)
            {
                *word &= !bit;
                while let Some(place) = self.places.get_mut(*slot) {
                    let following = std::mem::replace(&mut place.next, self.due);
                    self.due = std::mem::replace(slot, following);
                }
            }
        }
        self.next = self.next.max(end);
    }

    /// A reminder that is due, in no order.
    pub(super) fn pop_due(&mut self) -> Option<(Key, Tick)> {
        let place = self.places.get_mut(self.due)?;
        let following = std::mem::replace(&mut place.next, self.free);
        self.free = std::mem::replace(&mut self.due, following);
        Some((place.key, place.tick))
    }

    /// When the next reminder comes; `None` if there is none.
    pub(super) fn next_at(&self) -> Option<Millis> {
        let start = slot_of(self.next);
        let (first_word, first_bit) = (start / 64, start % 64);
        for step in 0..=WORDS {
            let index = (first_word + step) % WORDS;
            let mut word = self.occupied.get(index).copied().unwrap_or_default();
            // The word with the start is visited first for what follows it, and again at the end
            // for what comes before.
            if step == 0 {
                word &= u64::MAX << first_bit;
            } else if step == WORDS {
                word &= !(u64::MAX << first_bit);
            }
            if word != 0 {
                let slot = index * 64 + word.trailing_zeros() as usize;
                let ahead = (slot + SLOTS - start) % SLOTS;
                return Some(Millis((self.next + ahead as u64) * TICK));
            }
        }
        None
    }
}

fn slot_of(tick: u64) -> usize {
    // The remainder is below `SLOTS`.
    usize::try_from(tick % SLOTS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(index: u32) -> Key {
        Key { index, generation: 0 }
    }

    fn due(timers: &mut Timers, now: u64) -> Vec<u32> {
        timers.advance(Millis(now));
        std::iter::from_fn(|| timers.pop_due()).map(|(key, _)| key.index).collect()
    }

    #[test]
    fn reminders_come_on_time_and_once() {
        let mut timers = Timers::new();
        let set = timers.remind(key(1), Millis(20), Tick::NONE);
        assert_eq!(timers.remind(key(1), Millis(400), set), set, "later: left alone");
        assert_eq!(timers.next_at(), Some(Millis(24)));
        assert!(due(&mut timers, 19).is_empty());
        assert_eq!(due(&mut timers, 24), [1]);
        assert!(due(&mut timers, 9000).is_empty());
        assert_eq!(timers.next_at(), None);
    }

    /// A deadline that moves to earlier gets a reminder of its own.
    #[test]
    fn an_earlier_deadline_is_reminded_of_earlier() {
        let mut timers = Timers::new();
        let late = timers.remind(key(1), Millis(4000), Tick::NONE);
        let early = timers.remind(key(1), Millis(100), late);
        assert!(early < late);
        assert_eq!(due(&mut timers, 110), [1]);
    }

    /// Reminders that have come leave their places to others.
    #[test]
    fn memory_grows_with_the_reminders_that_are_set() {
        let mut timers = Timers::new();
        for round in 1..100 {
            for index in 0..10 {
                timers.remind(key(index), Millis(round * 50), Tick::NONE);
            }
            let mut indices = due(&mut timers, round * 50 + TICK);
            indices.sort_unstable();
            assert!(indices.into_iter().eq(0..10), "each once");
        }
        assert_eq!(timers.places.len(), 10);
    }

    proptest! {
        /// Never early, never two ticks late, and the sleep until then is as long as said.
        #[test]
        fn reminders_are_never_early_and_hardly_late(
            deadlines in prop::collection::vec(0u64..7000, 1..40), start in 0u64..100_000
        ) {
            let mut timers = Timers::new();
            due(&mut timers, start);
            for (index, deadline) in (0u32..).zip(&deadlines) {
                timers.remind(key(index), Millis(start + deadline), Tick::NONE);
            }
            let mut seen = 0;
            while let Some(next) = timers.next_at() {
                for index in due(&mut timers, next.0) {
                    let deadline = start + deadlines[index as usize];
                    prop_assert!(next.0 >= deadline, "early");
                    prop_assert!(next.0 < deadline.max(start) + 2 * TICK, "late");
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, deadlines.len());
        }
    }
}
