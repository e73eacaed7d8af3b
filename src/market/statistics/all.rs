//! Statistics of all symbols of a feed.
//! Invariant: symbols are kept in the order of their names, so that what is emitted does not depend
//! on which came first; there are at most [`SYMBOLS_MAX`].

use super::{Emit, SECOND_MS, Statistics, TickerArrays};
use std::collections::BTreeMap;

/// Symbols that statistics are kept of. Trades of further ones are ignored and counted.
pub const SYMBOLS_MAX: usize = 4096;

/// What can be derived of all symbols' trades.
///
/// # Example
/// ```
/// use tickwire::market::statistics::MarketStatistics;
///
/// let mut statistics = MarketStatistics::default();
/// let mut streams = Vec::new();
/// for (stream, payload, event_time) in [
///     ("aaa@trade", r#"{"e":"trade","E":5,"s":"AAA","t":1,"p":"2","q":"3","T":5,"m":true}"#, 5),
///     ("bbb@trade", r#"{"e":"trade","E":999,"s":"BBB","t":1,"p":"4","q":"5","T":999,"m":true}"#, 999),
///     ("bbb@depth", r#"{"e":"depthUpdate","E":1001}"#, 1001),
/// ] {
///     statistics.silence(stream);
///     statistics.trade(stream, payload);
///     statistics.advance(event_time, &mut |stream, _payload| streams.push(stream.to_owned()));
/// }
/// assert_eq!(streams.first().map(String::as_str), Some("aaa@kline_1s"));
/// assert_eq!(streams.last().map(String::as_str), Some("!ticker@arr"));
/// ```
#[derive(Debug, Default)]
pub struct MarketStatistics {
    pub(super) by_symbol: BTreeMap<String, Statistics>,
    arrays: TickerArrays,
    now_ms: u64,
    /// Of symbols that found no room.
    refused: u64,
}

impl MarketStatistics {
    /// Takes an event if it is one of `<symbol>@trade` or `<symbol>@aggTrade`; others do nothing.
    /// Yields the event's time as [`Statistics::trade`] does.
    pub fn trade(&mut self, stream: &str, payload: &str) -> Option<u64> {
        let Some((symbol, "trade" | "aggTrade")) = stream.split_once('@') else { return None };
        match self.of(symbol) {
            Some(statistics) => statistics.trade(payload),
            None => {
                self.refused = self.refused.saturating_add(1);
                None
            }
        }
    }

    /// The symbols that there are, spelled as in their streams' names.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.by_symbol.keys().map(String::as_str)
    }

    /// The names of the streams that are derived from a symbol's trades, those of all symbols
    /// together at the end; none of a symbol that nothing is known of.
    pub fn streams(&self, symbol: &str) -> impl Iterator<Item = &str> {
        let known = self.by_symbol.get(symbol);
        let arrays = known.map(|_| self.arrays.streams()).into_iter().flatten();
        known.map(Statistics::streams).into_iter().flatten().chain(arrays)
    }

    /// Makes room for a symbol whose trades will come. `false`: there is none.
    pub fn expect(&mut self, symbol: &str) -> bool {
        self.of(symbol).is_some()
    }

    /// See [`Statistics::quotes`]; `symbol` is spelled as in its streams' names. Does nothing for a
    /// symbol without trades.
    pub fn quotes(&mut self, symbol: &str, bid: (&str, &str), ask: (&str, &str)) {
        if let Some(statistics) = self.by_symbol.get_mut(symbol) {
            statistics.quotes(bid, ask);
        }
    }

    /// Does not derive this stream any more, because the feed has it. Names of streams that are
    /// never derived do nothing, so that it may be called with all that a feed has.
    pub fn silence(&mut self, stream: &str) {
        self.arrays.silence(stream);
        if let Some((symbol, kind)) = stream.split_once('@')
            && (matches!(kind, "ticker" | "miniTicker" | "avgPrice") || kind.starts_with("kline_"))
            && let Some(statistics) = self.of(symbol)
        {
            statistics.silence(stream);
        }
    }

    /// Whether a second is over at this event time: within one nothing is due.
    #[must_use]
    pub fn ends_second(&self, now_ms: u64) -> bool {
        now_ms / SECOND_MS > self.now_ms / SECOND_MS
    }

    /// Moves the event time of all symbols to `now_ms`, as [`Statistics::advance`] does of one.
    pub fn advance(&mut self, now_ms: u64, emit: &mut Emit<'_>) {
        let ends_second = self.ends_second(now_ms);
        self.now_ms = self.now_ms.max(now_ms);
        if !ends_second {
            return;
        }
        for statistics in self.by_symbol.values_mut() {
            if statistics.advance(self.now_ms, emit) {
                self.arrays.collect(statistics);
            }
        }
        self.arrays.emit(emit);
    }

    /// Forgets all trades and the time: the feed starts over. What is silenced stays so.
    pub fn start_over(&mut self) {
        self.now_ms = 0;
        self.by_symbol.values_mut().for_each(Statistics::start_over);
    }

    /// How many payloads and quotes were not understood, or were of one symbol too many.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        let of_symbols = self.by_symbol.values().map(Statistics::ignored);
        of_symbols.fold(self.refused, u64::saturating_add)
    }

    fn of(&mut self, symbol: &str) -> Option<&mut Statistics> {
        if !self.by_symbol.contains_key(symbol) {
            if self.by_symbol.len() >= SYMBOLS_MAX || symbol.is_empty() || symbol.starts_with('!') {
                return None;
            }
            self.by_symbol.insert(symbol.to_owned(), Statistics::new(symbol));
        }
        self.by_symbol.get_mut(symbol)
    }
}
