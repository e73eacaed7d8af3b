//! What happened in the last hours or minutes: a window that slides by whole buckets.
//! Invariant: `total` is what its buckets say together, in order; there are never more of them
//! than the span is long, and one.

use super::tally::Tally;
use std::collections::VecDeque;

/// A sliding sum.
#[derive(Debug)]
pub(super) struct Window {
    span_ms: u64,
    bucket_ms: u64,
    /// Those with trades, oldest first, by their first millisecond.
    buckets: VecDeque<(u64, Tally)>,
    total: Tally,
    /// The last price before the window, if it ever slid over a trade.
    before: Option<u64>,
    opened_ms: u64,
}

impl Window {
    /// An empty window up to `now_ms`, before which the price was `price`.
    pub(super) fn new(span_ms: u64, bucket_ms: u64, now_ms: u64, price: u64) -> Self {
        let (buckets, total) = (VecDeque::new(), Tally::new(price));
        let mut window = Self { span_ms, bucket_ms, buckets, total, before: None, opened_ms: 0 };
        window.slide(now_ms);
        window
    }

    /// All that happened in it.
    pub(super) fn total(&self) -> &Tally {
        &self.total
    }

    /// The first millisecond that belongs to it.
    pub(super) fn opened_ms(&self) -> u64 {
        self.opened_ms
    }

    /// The last price before it, or the first in it where that is not known.
    pub(super) fn before(&self) -> u64 {
        self.before.unwrap_or(self.total.open)
    }

    /// Adds what happened from `at_ms` on, which is not before anything that was added.
    pub(super) fn add(&mut self, at_ms: u64, tally: &Tally) {
        let start = at_ms - at_ms % self.bucket_ms;
        self.total.append(tally);
        match self.buckets.back_mut() {
            Some((last, bucket)) if *last == start => bucket.append(tally),
            _ => self.buckets.push_back((start, tally.clone())),
        }
    }

    /// Moves the end to `now_ms`; yields whether anything has left.
    pub(super) fn slide(&mut self, now_ms: u64) -> bool {
        let opened = now_ms.saturating_sub(self.span_ms);
        self.opened_ms = opened - opened % self.bucket_ms;
        let left = self.buckets.partition_point(|(start, _)| *start < self.opened_ms);
        let Some((_, newest_left)) = self.buckets.drain(..left).next_back() else { return false };
        self.before = Some(newest_left.close);
        // Highs and lows cannot be subtracted: what is left is added up anew, once a bucket.
        self.total = Tally::new(newest_left.close);
        for (_, bucket) in &self.buckets {
            self.total.append(bucket);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::{Maker, Trade};
    use super::*;

    fn one(id: u64, price: u64) -> Tally {
        let mut tally = Tally::new(price);
        tally.add(Trade { ids: (id, id), price, lots: 1, maker: Maker::Buyer });
        tally
    }

    /// The window covers its span, and up to a bucket more.
    #[test]
    fn what_is_older_than_the_span_and_a_bucket_has_left() {
        let mut window = Window::new(1000, 100, 5000, 7);
        assert_eq!((window.opened_ms(), window.before(), window.total().close), (4000, 7, 7));
        window.add(5050, &one(1, 9));
        window.add(5099, &one(2, 5));
        window.add(5100, &one(3, 6));
        assert!(!window.slide(6099));
        assert_eq!((window.opened_ms(), window.before(), window.total().open), (5000, 9, 9));
        assert!(window.slide(6100));
        assert_eq!((window.opened_ms(), window.before(), window.total().open), (5100, 5, 6));
        assert_eq!((window.total().high, window.buckets.len()), (6, 1));
        assert!(window.slide(99_999));
        assert_eq!((window.total(), window.before()), (&Tally::new(6), 6));
    }
}
