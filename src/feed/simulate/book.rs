//! An order book: price levels on two sides, and what changed in them since it was last told.
//! Knows no time and no chance.
//! Invariant: the best bid is below the best ask; every change has its own update id; a level's
//! quantity is never zero.

use std::collections::{BTreeMap, BTreeSet};

/// A side never has fewer levels, once filled.
pub(super) const LEVELS_MIN: usize = 40;
/// A side never has more levels: the farthest are given up.
pub(super) const LEVELS_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Bid,
    Ask,
}

/// A price in ticks and its quantity in lots.
pub(super) type Level = (u64, u64);

/// Which of the two diff streams: each has its own account of what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiffSpeed {
    Fast,
    Slow,
}

#[derive(Debug)]
pub(super) struct Book {
    bids: BTreeMap<u64, u64>,
    asks: BTreeMap<u64, u64>,
    update_id: u64,
    fast: Changes,
    slow: Changes,
}

#[derive(Debug)]
struct Changes {
    first_id: u64,
    bids: BTreeSet<u64>,
    asks: BTreeSet<u64>,
}

/// What changed between two updates, with the quantities of now; zero where a level is gone.
#[derive(Debug)]
pub(super) struct Diff {
    pub(super) first_id: u64,
    pub(super) last_id: u64,
    /// Best first.
    pub(super) bids: Vec<Level>,
    /// Best first.
    pub(super) asks: Vec<Level>,
}

impl Book {
    /// An empty book whose first change will be `first_id`.
    pub(super) fn new(first_id: u64) -> Self {
        let changes = || Changes { first_id, bids: BTreeSet::new(), asks: BTreeSet::new() };
        Self {
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            update_id: first_id - 1,
            fast: changes(),
            slow: changes(),
        }
    }

    /// The id of the last change.
    pub(super) fn update_id(&self) -> u64 {
        self.update_id
    }

    pub(super) fn len(&self, side: Side) -> usize {
        self.levels_of(side).len()
    }

    /// The highest bid or the lowest ask.
    pub(super) fn best(&self, side: Side) -> Option<Level> {
        self.nth(side, 0)
    }

    /// The level `rank` places behind the best one.
    pub(super) fn nth(&self, side: Side, rank: usize) -> Option<Level> {
        let level = match side {
            Side::Bid => self.bids.iter().nth_back(rank),
            Side::Ask => self.asks.iter().nth(rank),
        };
        level.map(|(&price, &lots)| (price, lots))
    }

    /// The level farthest from the other side.
    pub(super) fn worst(&self, side: Side) -> Option<Level> {
        let level = match side {
            Side::Bid => self.bids.first_key_value(),
            Side::Ask => self.asks.last_key_value(),
        };
        level.map(|(&price, &lots)| (price, lots))
    }

    /// Bids, best first.
    pub(super) fn bids(&self) -> impl Iterator<Item = Level> {
        self.bids.iter().rev().map(|(&price, &lots)| (price, lots))
    }

    /// Asks, best first.
    pub(super) fn asks(&self) -> impl Iterator<Item = Level> {
        self.asks.iter().map(|(&price, &lots)| (price, lots))
    }

    /// Adds a resting order. One that would cross is moved to the last price that does not.
    pub(super) fn place(&mut self, side: Side, price: u64, lots: u64) {
        let price = match side {
            Side::Bid => self.best(Side::Ask).map_or(price, |(ask, _)| price.min(ask - 1)),
            Side::Ask => self.best(Side::Bid).map_or(price, |(bid, _)| price.max(bid + 1)),
        };
        if price == 0 {
            return;
        }
        let resting = self.levels_of(side).get(&price).copied().unwrap_or(0);
        self.set(side, price, resting + lots);
        if self.len(side) > LEVELS_MAX
            && let Some((worst, _)) = self.worst(side)
        {
            self.set(side, worst, 0);
        }
    }

    /// Takes up to `lots` off a level, unless that would leave its side with too few.
    pub(super) fn cancel(&mut self, side: Side, price: u64, lots: u64) {
        let resting = self.levels_of(side).get(&price).copied().unwrap_or(0);
        let left = resting.saturating_sub(lots);
        if resting > 0 && (left > 0 || self.len(side) > LEVELS_MIN) {
            self.set(side, price, left);
        }
    }

    /// Executes against the best level of `side`. Returns its price and how much was there to
    /// take: at most `lots`, and `None` when the side is down to its last levels.
    pub(super) fn take_best(&mut self, side: Side, lots: u64) -> Option<Level> {
        let (price, resting) = self.best(side)?;
        if self.len(side) <= LEVELS_MIN || lots == 0 {
            return None;
        }
        let taken = lots.min(resting);
        self.set(side, price, resting - taken);
        Some((price, taken))
    }

    /// What changed since this was last asked for `speed`, `None` if nothing did.
    pub(super) fn take_diff(&mut self, speed: DiffSpeed) -> Option<Diff> {
        let changes = match speed {
            DiffSpeed::Fast => &mut self.fast,
            DiffSpeed::Slow => &mut self.slow,
        };
        if changes.first_id > self.update_id {
            return None;
        }
        let now = |levels: &BTreeMap<u64, u64>, price: u64| {
            (price, levels.get(&price).copied().unwrap_or(0))
        };
        let diff = Diff {
            first_id: changes.first_id,
            last_id: self.update_id,
            bids: changes.bids.iter().rev().map(|&price| now(&self.bids, price)).collect(),
            asks: changes.asks.iter().map(|&price| now(&self.asks, price)).collect(),
        };
        changes.first_id = self.update_id + 1;
        changes.bids.clear();
        changes.asks.clear();
        Some(diff)
    }

    fn levels_of(&self, side: Side) -> &BTreeMap<u64, u64> {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    /// The one place where the book changes. A quantity of zero removes the level.
    fn set(&mut self, side: Side, price: u64, lots: u64) {
        let levels = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        if lots == 0 {
            levels.remove(&price);
        } else {
            levels.insert(price, lots);
        }
        self.update_id += 1;
        for changes in [&mut self.fast, &mut self.slow] {
            match side {
                Side::Bid => changes.bids.insert(price),
                Side::Ask => changes.asks.insert(price),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Book {
        let mut book = Book::new(1);
        for step in 0..50 {
            book.place(Side::Bid, 100 - step, 5);
            book.place(Side::Ask, 110 + step, 5);
        }
        book
    }

    /// Diffs: each lists what changed since the one before it, deletions as zero, best first.
    #[test]
    fn a_diff_says_what_changed_since_the_last_one() {
        let mut book = filled();
        let whole = book.take_diff(DiffSpeed::Fast).unwrap();
        assert_eq!((whole.first_id, whole.last_id), (1, 100));
        assert_eq!((whole.bids.len(), whole.asks[0]), (50, (110, 5)));
        assert!(book.take_diff(DiffSpeed::Fast).is_none());

        assert_eq!(book.take_best(Side::Ask, 9), Some((110, 5)));
        book.place(Side::Bid, 99, 1);
        book.place(Side::Bid, 101, 2);
        let diff = book.take_diff(DiffSpeed::Fast).unwrap();
        assert_eq!((diff.first_id, diff.last_id), (101, 103));
        assert_eq!((diff.bids, diff.asks), (vec![(101, 2), (99, 6)], vec![(110, 0)]));
        assert_eq!(book.take_diff(DiffSpeed::Slow).unwrap().first_id, 1);
    }

    /// Books: an order never crosses the other side.
    #[test]
    fn a_crossing_order_rests_beside_the_other_side() {
        let mut book = filled();
        book.place(Side::Bid, 500, 1);
        assert_eq!(book.best(Side::Bid), Some((109, 1)));
        book.place(Side::Ask, 1, 1);
        assert_eq!(book.best(Side::Ask), Some((110, 6)));
    }

    /// Books: neither executions nor cancellations take a side's last levels, and no flood of
    /// orders makes it grow without end.
    #[test]
    fn a_side_keeps_between_its_least_and_most_levels() {
        let mut book = filled();
        while book.take_best(Side::Bid, 1000).is_some() {}
        assert_eq!(book.len(Side::Bid), LEVELS_MIN);
        let (price, lots) = book.best(Side::Bid).unwrap();
        book.cancel(Side::Bid, price, lots);
        assert_eq!(book.len(Side::Bid), LEVELS_MIN);
        book.cancel(Side::Bid, price, lots - 1);
        assert_eq!(book.best(Side::Bid), Some((price, 1)));
        for step in 0..1000 {
            book.place(Side::Ask, 200 + step, 1);
        }
        assert_eq!(book.len(Side::Ask), LEVELS_MAX);
    }
}
