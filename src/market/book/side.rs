//! One side of an order book: its levels in a tree, the best one first.
//! Invariant: no quantity is zero, and there are at most [`LEVELS_MAX`](super::LEVELS_MAX) levels,
//! the best of those that came.

use super::super::depth::diff::Level;
use super::super::depth::price::Price;
use super::LEVELS_MAX;
use std::collections::BTreeMap;

/// Which levels these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The highest is the best.
    Bids,
    /// The lowest is the best.
    Asks,
}

#[derive(Debug)]
pub(super) struct Side {
    kind: Kind,
    /// By what [`Side::key`] makes of the price.
    levels: BTreeMap<Price, Level>,
}

impl Side {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, levels: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    /// From the best on.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Level> {
        self.levels.values()
    }

    /// Sets a level, or deletes it where its quantity is zero. Yields how many were given up for
    /// want of room: the farthest.
    pub(super) fn set(&mut self, level: &Level) -> usize {
        let key = self.key(level.price);
        if level.quantity.is_zero() {
            self.levels.remove(&key);
            return 0;
        }
        self.levels.insert(key, *level);
        if self.levels.len() <= LEVELS_MAX {
            return 0;
        }
        self.levels.pop_last();
        1
    }

    /// Small for good prices.
    fn key(&self, price: Price) -> Price {
        match self.kind {
            Kind::Bids => price.complement(),
            Kind::Asks => price,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(price: usize, quantity: &str) -> Level {
        Level::parse(&price.to_string(), quantity).unwrap()
    }

    /// Bounds: a side that is full gives up the level farthest from the best one.
    #[test]
    fn the_farthest_level_goes_when_there_is_no_room() {
        for kind in [Kind::Bids, Kind::Asks] {
            let mut side = Side::new(kind);
            let given_up: usize = (1..=LEVELS_MAX).map(|price| side.set(&level(price, "1"))).sum();
            assert_eq!((side.len(), given_up), (LEVELS_MAX, 0));
            assert_eq!(side.set(&level(7, "2")), 0, "a level that is there takes no room");
            assert_eq!(side.set(&level(LEVELS_MAX + 1, "1")), 1);
            let prices: Vec<Price> = side.iter().map(|level| level.price).collect();
            let price = |price| level(price, "1").price;
            let expected: Vec<Price> = match kind {
                Kind::Bids => (2..=LEVELS_MAX + 1).rev().map(price).collect(),
                Kind::Asks => (1..=LEVELS_MAX).map(price).collect(),
            };
            assert_eq!(prices, expected);
        }
    }

    /// Levels may come in any order, and again, and as nothing.
    #[test]
    fn levels_are_put_in_order() {
        let mut side = Side::new(Kind::Bids);
        let levels = [level(3, "1"), level(1, "1"), level(2, "1"), level(3, "5"), level(1, "0.0")];
        levels.iter().for_each(|level| _ = side.set(level));
        let got: Vec<Level> = side.iter().copied().collect();
        assert_eq!(got, [level(3, "5"), level(2, "1")]);
    }
}
