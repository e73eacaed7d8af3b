//! The traders: chance decides who places, cancels and executes what.
//!
//! A hidden fair price wanders and is softly drawn back to its anchor. Resting orders gather
//! around it, and executions are likelier on the side that it has left, so the book follows.
//! Invariant: everything follows from the seed; no floating point, no clock.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::book::{Book, LEVELS_MIN, Side};
use super::spec::SymbolSpec;
use super::{Factor, STEPS_PER_SECOND};

/// Levels on each side of a new book.
const LEVELS_AT_START: u64 = 100;
/// In this many steps, an undisturbed fair price would return to its anchor.
const RETURN_STEPS: u64 = 100_000;
/// An execution reaches at most this many levels.
const LEVELS_SWEPT_MAX: u64 = 4;
/// Cancellations happen among this many best levels.
const CANCEL_DEPTH: u64 = 60;

/// One execution against one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    /// The side that was resting.
    pub(super) maker: Side,
    pub(super) price: u64,
    pub(super) lots: u64,
    /// Of how many resting orders the level consisted: each gives a trade.
    pub(super) orders: u64,
}

#[derive(Debug)]
pub(super) struct OrderFlow {
    rng: ChaCha8Rng,
    fair: u64,
    anchor: u64,
    width: u64,
    order_lots: u64,
    /// Actions per step, in millionths.
    actions_per_step: u64,
    /// Actions due, in millionths.
    due: u64,
}

impl OrderFlow {
    /// `index` tells symbols with the same seed apart.
    pub(super) fn new(spec: &SymbolSpec, seed: u64, index: u64, rate: Factor) -> Self {
        let mut key = [0; 32];
        for (place, byte) in key.iter_mut().zip(seed.to_le_bytes()) {
            *place = byte;
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(index);
        Self {
            rng,
            fair: spec.anchor,
            anchor: spec.anchor,
            width: spec.width,
            order_lots: spec.order_lots,
            actions_per_step: spec.actions_per_second * rate.millionths() / STEPS_PER_SECOND,
            due: 0,
        }
    }

    /// Places the first orders.
    pub(super) fn fill(&mut self, book: &mut Book) {
        let gap = self.width / LEVELS_AT_START + 1;
        let (mut bid, mut ask) = (self.fair - 1, self.fair + 1);
        for _ in 0..LEVELS_AT_START {
            let lots = self.lots();
            book.place(Side::Bid, bid, lots);
            let lots = self.lots();
            book.place(Side::Ask, ask, lots);
            bid -= 1 + self.below(gap);
            ask += 1 + self.below(gap);
        }
    }

    /// Moves the fair price by one step and returns how many actions happen in it.
    pub(super) fn begin_step(&mut self) -> u64 {
        self.wander();
        // Bursts and lulls: between none and twice the mean.
        self.due += self.actions_per_step * self.below(2001) / 1000;
        let actions = self.due / 1_000_000;
        self.due %= 1_000_000;
        actions
    }

    /// One trader acts. Executions are appended to `fills`, in order.
    pub(super) fn act(&mut self, book: &mut Book, fills: &mut Vec<Fill>) {
        let (Some((bid, _)), Some((ask, _))) = (book.best(Side::Bid), book.best(Side::Ask)) else {
            return;
        };
        let strayed = self.fair < bid || self.fair > ask;
        let execute = if strayed { 30 } else { 10 };
        match self.below(100) {
            chance if chance < execute => self.execute(book, (bid, ask), fills),
            chance if chance < execute + 30 => self.cancel(book),
            _ => self.place(book, (bid, ask)),
        }
        self.replenish(book);
    }

    fn wander(&mut self) {
        let stride = (self.width / 25).max(1);
        let moved = (self.fair + self.below(2 * stride + 1)).saturating_sub(stride);
        let distance = moved.abs_diff(self.anchor);
        // The farther away, the likelier it is drawn back by a tick.
        let drawn = u64::from(self.below(RETURN_STEPS) < distance);
        self.fair = if moved > self.anchor { moved - drawn } else { moved + drawn };
        self.fair = self.fair.clamp(self.anchor - self.anchor / 2, self.anchor + self.anchor / 2);
    }

    fn execute(&mut self, book: &mut Book, (bid, ask): (u64, u64), fills: &mut Vec<Fill>) {
        // Buyers come when things are cheap, sellers when they are dear.
        let buyers = match self.fair {
            fair if fair > ask => 85,
            fair if fair < bid => 15,
            _ => 50,
        };
        let maker = if self.below(100) < buyers { Side::Ask } else { Side::Bid };
        let mut lots = self.lots();
        for _ in 0..1 + self.below(LEVELS_SWEPT_MAX) {
            let Some((price, taken)) = book.take_best(maker, lots) else {
                return;
            };
            let orders = (1 + self.below(3)).min(taken);
            fills.push(Fill { maker, price, lots: taken, orders });
            lots -= taken;
        }
    }

    fn cancel(&mut self, book: &mut Book) {
        let side = self.side();
        let rank = usize::try_from(self.near(CANCEL_DEPTH)).unwrap_or_default();
        if let Some((price, lots)) = book.nth(side, rank) {
            let part = if self.below(2) == 0 { lots } else { lots / 2 + 1 };
            book.cancel(side, price, part);
        }
    }

    fn place(&mut self, book: &mut Book, (bid, ask): (u64, u64)) {
        let (side, distance, lots) = (self.side(), self.near(2 * self.width), self.lots());
        let price = match side {
            Side::Bid => self.fair.min(ask - 1).saturating_sub(distance),
            Side::Ask => self.fair.max(bid + 1) + distance,
        };
        book.place(side, price, lots);
    }

    /// Adds levels at the far end of a side that has few.
    fn replenish(&mut self, book: &mut Book) {
        for side in [Side::Bid, Side::Ask] {
            for _ in book.len(side)..LEVELS_MIN + 5 {
                let Some((worst, _)) = book.worst(side) else {
                    return;
                };
                let distance = 1 + self.below(self.width / 20 + 1);
                let lots = self.lots();
                let price = match side {
                    Side::Bid => worst.saturating_sub(distance),
                    Side::Ask => worst + distance,
                };
                book.place(side, price, lots);
            }
        }
    }

    fn side(&mut self) -> Side {
        if self.below(2) == 0 { Side::Bid } else { Side::Ask }
    }

    /// Mostly small orders, and now and then a large one.
    fn lots(&mut self) -> u64 {
        let usual = 1 + self.below(self.order_lots);
        if self.below(16) == 0 { usual * (2 + self.below(12)) } else { usual }
    }

    /// A number below `bound`, small ones likelier.
    fn near(&mut self, bound: u64) -> u64 {
        self.below(bound) * self.below(bound) / bound
    }

    /// A number below `bound`, all equally likely but for a bias of less than `bound` in 2⁶⁴.
    fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.rng.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or_default()
    }
}
