//! Sums over trades, and candles: what candles, tickers and averages are made of.
//! Knows no payloads and no clock; prices and quantities are in whatever units the caller counts.
//! Invariant: high ≥ open, close ≥ low, whether or not there was a trade; sums that would not fit
//! stay at the greatest number there is.

/// The candles formed: name and length in milliseconds. All divide a day, so they open at whole
/// multiples of their length since the epoch.
pub(crate) const INTERVALS: [(&str, u64); 13] = [
    ("1s", 1000),
    ("1m", 60_000),
    ("3m", 180_000),
    ("5m", 300_000),
    ("15m", 900_000),
    ("30m", 1_800_000),
    ("1h", 3_600_000),
    ("2h", 7_200_000),
    ("4h", 14_400_000),
    ("6h", 21_600_000),
    ("8h", 28_800_000),
    ("12h", 43_200_000),
    ("1d", DAY_MS),
];

/// A day in milliseconds.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// Who of the two was resting in the book: the other one took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    Buyer,
    Seller,
}

/// One trade, or several at one price that one order caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trade {
    /// The first and the last trade's id.
    pub(crate) ids: (u64, u64),
    /// In ticks.
    pub(crate) price: u64,
    pub(crate) lots: u128,
    pub(crate) maker: Maker,
}

/// What happened in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) open: u64,
    pub(crate) high: u64,
    pub(crate) low: u64,
    pub(crate) close: u64,
    pub(crate) last_lots: u128,
    /// First and last trade's id.
    pub(crate) ids: Option<(u64, u64)>,
    pub(crate) trades: u64,
    pub(crate) lots: u128,
    /// Price times quantity, in ticks times lots.
    pub(crate) quote: u128,
    /// The part of `lots` and of `quote` that buyers took.
    pub(crate) taker_buy_lots: u128,
    pub(crate) taker_buy_quote: u128,
}

impl Tally {
    /// Nothing happened yet since the price was `price`.
    pub(crate) fn new(price: u64) -> Self {
        Self {
            open: price,
            high: price,
            low: price,
            close: price,
            last_lots: 0,
            ids: None,
            trades: 0,
            lots: 0,
            quote: 0,
            taker_buy_lots: 0,
            taker_buy_quote: 0,
        }
    }

    /// Adds the trade that came next.
    pub(crate) fn add(&mut self, trade: Trade) {
        let Trade { ids, price, lots, maker } = trade;
        let quote = u128::from(price).saturating_mul(lots);
        let (taker_buy_lots, taker_buy_quote) = match maker {
            Maker::Seller => (lots, quote),
            Maker::Buyer => (0, 0),
        };
        self.append(&Self {
            open: price,
            high: price,
            low: price,
            close: price,
            last_lots: lots,
            ids: Some(ids),
            trades: ids.1.saturating_sub(ids.0).saturating_add(1),
            lots,
            quote,
            taker_buy_lots,
            taker_buy_quote,
        });
    }

    /// Adds what happened in the time that follows this one's.
    pub(crate) fn append(&mut self, later: &Self) {
        let Some((first, last)) = later.ids else { return };
        let Some((oldest, _)) = self.ids else {
            self.clone_from(later);
            return;
        };
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.last_lots = later.last_lots;
        debug_assert!(first <= last, "a trade's ids are in order");
        self.ids = Some((oldest, last));
        self.trades = self.trades.saturating_add(later.trades);
        self.lots = self.lots.saturating_add(later.lots);
        self.quote = self.quote.saturating_add(later.quote);
        self.taker_buy_lots = self.taker_buy_lots.saturating_add(later.taker_buy_lots);
        self.taker_buy_quote = self.taker_buy_quote.saturating_add(later.taker_buy_quote);
    }
}

/// A candle being formed.
#[derive(Debug)]
pub(crate) struct Candle {
    pub(crate) interval: &'static str,
    pub(crate) open_ms: u64,
    pub(crate) tally: Tally,
    length_ms: u64,
}

impl Candle {
    /// The candle that `now_ms` falls into.
    pub(crate) fn new((interval, length_ms): (&'static str, u64), now_ms: u64, price: u64) -> Self {
        let open_ms = now_ms - now_ms % length_ms;
        Self { interval, open_ms, tally: Tally::new(price), length_ms }
    }

    /// The last millisecond that belongs to it.
    pub(crate) fn close_ms(&self) -> u64 {
        self.open_ms + self.length_ms - 1
    }

    /// How many candles of this length end before `now_ms`, from this one on.
    pub(crate) fn ended_by(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.open_ms) / self.length_ms
    }

    /// Begins the next candle, at the last one's close.
    pub(crate) fn reopen(&mut self) {
        self.skip(1);
    }

    /// Begins the candle `count` lengths later, at this one's close.
    pub(crate) fn skip(&mut self, count: u64) {
        self.open_ms += self.length_ms * count;
        self.tally = Tally::new(self.tally.close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(id: u64, price: u64, lots: u128, maker: Maker) -> Trade {
        Trade { ids: (id, id), price, lots, maker }
    }

    /// Candles: prices, volumes and the buyers' share add up.
    #[test]
    fn trades_add_up() {
        let mut tally = Tally::new(90);
        for (id, price, lots, maker) in
            [(7, 100, 2, Maker::Seller), (8, 105, 1, Maker::Buyer), (9, 95, 3, Maker::Seller)]
        {
            tally.add(trade(id, price, lots, maker));
        }
        assert_eq!((tally.open, tally.high, tally.low, tally.close), (100, 105, 95, 95));
        assert_eq!((tally.ids, tally.trades, tally.last_lots), (Some((7, 9)), 3, 3));
        assert_eq!((tally.lots, tally.quote), (6, 590));
        assert_eq!((tally.taker_buy_lots, tally.taker_buy_quote), (5, 485));
    }

    /// An aggregate counts as the trades that it is made of.
    #[test]
    fn an_aggregate_counts_its_trades() {
        let mut tally = Tally::new(90);
        tally.add(Trade { ids: (5, 9), price: 100, lots: 2, maker: Maker::Buyer });
        assert_eq!((tally.trades, tally.ids, tally.lots), (5, Some((5, 9)), 2));
    }

    /// Sums have an end, which is no panic and no small number.
    #[test]
    fn sums_that_do_not_fit_stay_at_the_greatest() {
        let mut tally = Tally::new(1);
        for _ in 0..2 {
            let ids = (0, u64::MAX);
            tally.add(Trade { ids, price: u64::MAX, lots: u128::MAX, maker: Maker::Seller });
        }
        assert_eq!((tally.lots, tally.quote), (u128::MAX, u128::MAX));
        assert_eq!((tally.taker_buy_lots, tally.taker_buy_quote), (u128::MAX, u128::MAX));
        assert_eq!(tally.trades, u64::MAX);
    }

    /// Candles: they open at whole multiples of their length, and one follows the other.
    #[test]
    fn candles_are_aligned_and_seamless() {
        let mut candle = Candle::new(("1m", 60_000), 123_456, 5);
        assert_eq!((candle.open_ms, candle.close_ms()), (120_000, 179_999));
        assert_eq!([179_999, 180_000, 240_000].map(|now| candle.ended_by(now)), [0, 1, 2]);
        candle.tally.add(trade(1, 7, 1, Maker::Buyer));
        candle.reopen();
        assert_eq!((candle.open_ms, candle.tally.open, candle.tally.ids), (180_000, 7, None));
        candle.skip(3);
        assert_eq!((candle.open_ms, candle.tally.close), (360_000, 7));
    }
}
