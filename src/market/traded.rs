//! Streams that are made from trades because the feed does not carry them: candles, tickers and
//! average prices ([`MarketStatistics`]), as a [`Bookkeeper`](super::Bookkeeper) wants them.
//!
//! Time is that of the feed's events (`E`). Tickers tell the best prices of the symbol's book, or
//! where there is none in step those of the feed's last `@bookTicker`.
//! Invariant: a stream that was announced or seen is not derived from then on.

use super::markets::Markets;
use super::statistics::MarketStatistics;
use serde::Deserialize;
use std::collections::HashMap;

/// What is derived from trades, and what the last event brought.
#[derive(Debug, Default)]
pub(super) struct Traded {
    statistics: MarketStatistics,
    /// Payloads of the last `@bookTicker` of symbols, spelled as in their streams' names.
    best_prices: HashMap<Box<str>, String>,
    events: Events,
}

/// Streams and payloads, one behind the other.
#[derive(Debug, Default)]
struct Events {
    text: String,
    /// Where each stream's name ends, and each payload.
    ends: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct BookTicker<'a> {
    #[serde(rename = "b")]
    bid: &'a str,
    #[serde(rename = "B")]
    bid_quantity: &'a str,
    #[serde(rename = "a")]
    ask: &'a str,
    #[serde(rename = "A")]
    ask_quantity: &'a str,
}

impl Traded {
    /// Notes that the feed carries this stream.
    pub(super) fn note_fed(&mut self, stream: &str) {
        self.statistics.silence(stream);
    }

    /// The feed carries trades of this symbol, spelled as in its streams' names.
    pub(super) fn expect(&mut self, symbol: &str) {
        self.statistics.expect(symbol);
    }

    /// Whether anything is derived from this symbol's trades; it is spelled as in its streams' names.
    pub(super) fn is_wanted(&self, symbol: &str) -> bool {
        self.statistics.streams(symbol).next().is_some()
    }

    /// The names of the streams that are derived from this symbol's trades.
    pub(super) fn names(&self, symbol: &str) -> impl Iterator<Item = &str> {
        self.statistics.streams(symbol)
    }

    /// Forgets what the last event brought.
    pub(super) fn clear(&mut self) {
        self.events.clear();
    }

    /// Takes in a trade; yields its event time, or `None` where it is none of this stream's symbol.
    pub(super) fn trade(&mut self, stream: &str, payload: &str) -> Option<u64> {
        self.statistics.trade(stream, payload)
    }

    /// Takes note of the best prices of a symbol whose book the feed may not carry.
    pub(super) fn note_best(&mut self, symbol: &str, payload: &str) {
        match self.best_prices.get_mut(symbol) {
            Some(last) => {
                last.clear();
                last.push_str(payload);
            }
            None => _ = self.best_prices.insert(symbol.into(), payload.to_owned()),
        }
    }

    /// Moves time to that of an event; what is due then is kept for [`Self::events`].
    pub(super) fn advance(&mut self, event_time: u64, markets: &Markets) {
        if self.statistics.ends_second(event_time) {
            self.tell_quotes(markets);
        }
        let Self { statistics, events, .. } = self;
        statistics.advance(event_time, &mut |stream, payload| events.push(stream, payload));
    }

    /// Time begins anew, and with it all that is derived.
    pub(super) fn start_over(&mut self) {
        self.statistics.start_over();
        self.best_prices.clear();
    }

    /// What is due, in order.
    pub(super) fn events(&self) -> impl Iterator<Item = (&str, &str)> {
        self.events.iter()
    }

    fn tell_quotes(&mut self, markets: &Markets) {
        let Self { statistics, best_prices, .. } = self;
        let symbols: Vec<String> = statistics.symbols().map(str::to_owned).collect();
        for symbol in symbols {
            let known = markets.find(&symbol.to_uppercase());
            let best = known.and_then(|symbol| symbol.lock().book.best());
            if let Some((bid, ask)) = best {
                let [bid, ask] =
                    [&bid, &ask].map(|level| (level.digits.text(), level.quantity.text()));
                statistics.quotes(&symbol, bid, ask);
            } else if let Some(last) = best_prices.get(symbol.as_str())
                && let Ok(best) = serde_json::from_str::<BookTicker<'_>>(last)
            {
                let (bid, ask) = ((best.bid, best.bid_quantity), (best.ask, best.ask_quantity));
                statistics.quotes(&symbol, bid, ask);
            }
        }
    }
}

impl Events {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn push(&mut self, stream: &str, payload: &[u8]) {
        // What is derived is JSON, which is UTF-8.
        let Ok(payload) = str::from_utf8(payload) else { return };
        self.text.push_str(stream);
        let stream_end = self.text.len();
        self.text.push_str(payload);
        self.ends.push((stream_end, self.text.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().filter_map(move |&(stream_end, end)| {
            let event = self.text.get(start..stream_end).zip(self.text.get(stream_end..end));
            start = end;
            event
        })
    }
}
