//! Sums over trades: candles and 24-hour windows.
//! Invariant: high ≥ open, close ≥ low, whether or not there was a trade.

use super::book::Side;

/// The candles formed: name and length in milliseconds. All divide a day, so they open at whole
/// multiples of their length since the epoch.
pub(super) const INTERVALS: [(&str, u64); 13] = [
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
pub(super) const DAY_MS: u64 = 86_400_000;

/// One trade: a price in ticks, a quantity in lots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trade {
    pub(super) id: u64,
    pub(super) price: u64,
    pub(super) lots: u64,
    pub(super) maker: Side,
}

/// What happened in a stretch of time.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) open: u64,
    pub(super) high: u64,
    pub(super) low: u64,
    pub(super) close: u64,
    pub(super) last_lots: u64,
    /// First and last trade's id.
    pub(super) ids: Option<(u64, u64)>,
    pub(super) trades: u64,
    pub(super) lots: u64,
    /// Price times quantity, in ticks times lots.
    pub(super) quote: u128,
    /// The part of `lots` and of `quote` that buyers took.
    pub(super) taker_buy_lots: u64,
    pub(super) taker_buy_quote: u128,
}

impl Tally {
    /// Nothing happened yet since the price was `price`.
    pub(super) fn new(price: u64) -> Self {
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

    pub(super) fn add(&mut self, trade: Trade) {
        let quote = u128::from(trade.price) * u128::from(trade.lots);
        if self.trades == 0 {
            (self.open, self.high, self.low) = (trade.price, trade.price, trade.price);
        }
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.close = trade.price;
        self.last_lots = trade.lots;
        self.ids = Some((self.ids.map_or(trade.id, |(first, _)| first), trade.id));
        self.trades += 1;
        self.lots += trade.lots;
        self.quote += quote;
        if trade.maker == Side::Ask {
            self.taker_buy_lots += trade.lots;
            self.taker_buy_quote += quote;
        }
    }
}

/// A candle being formed.
#[derive(Debug)]
pub(super) struct Candle {
    pub(super) interval: &'static str,
    pub(super) stream: String,
    pub(super) open_ms: u64,
    pub(super) tally: Tally,
    length_ms: u64,
}

impl Candle {
    pub(super) fn new(
        (interval, length_ms): (&'static str, u64),
        symbol: &str,
        now_ms: u64,
        price: u64,
    ) -> Self {
        Self {
            interval,
            stream: format!("{symbol}@kline_{interval}"),
            open_ms: now_ms - now_ms % length_ms,
            tally: Tally::new(price),
            length_ms,
        }
    }

    /// The last millisecond that belongs to it.
    pub(super) fn close_ms(&self) -> u64 {
        self.open_ms + self.length_ms - 1
    }

    /// Begins the next candle, at the last one's close.
    pub(super) fn reopen(&mut self) {
        self.open_ms += self.length_ms;
        self.tally = Tally::new(self.tally.close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candles: prices, volumes and the buyers' share add up.
    #[test]
    fn trades_add_up() {
        let mut tally = Tally::new(90);
        for (id, price, lots, maker) in
            [(7, 100, 2, Side::Ask), (8, 105, 1, Side::Bid), (9, 95, 3, Side::Ask)]
        {
            tally.add(Trade { id, price, lots, maker });
        }
        assert_eq!((tally.open, tally.high, tally.low, tally.close), (100, 105, 95, 95));
        assert_eq!((tally.ids, tally.trades, tally.last_lots), (Some((7, 9)), 3, 3));
        assert_eq!((tally.lots, tally.quote), (6, 590));
        assert_eq!((tally.taker_buy_lots, tally.taker_buy_quote), (5, 485));
    }

    /// Candles: they open at whole multiples of their length, and one follows the other.
    #[test]
    fn candles_are_aligned_and_seamless() {
        let mut candle = Candle::new(("1m", 60_000), "x", 123_456, 5);
        assert_eq!((candle.open_ms, candle.close_ms()), (120_000, 179_999));
        candle.tally.add(Trade { id: 1, price: 7, lots: 1, maker: Side::Bid });
        candle.reopen();
        assert_eq!((candle.open_ms, candle.tally.open, candle.tally.ids), (180_000, 7, None));
    }
}
