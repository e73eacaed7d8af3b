//! `!miniTicker@arr` and `!ticker@arr`: the tickers of those symbols in which something changed.
//! Invariant: what is emitted is one array that is not empty, of each symbol's last payload.

use super::{Emit, Statistics, Stream, Ticker};

/// The arrays of a second.
///
/// After all symbols' [`Statistics::advance`], those in which a second ended are collected, and
/// then the arrays emitted; [`MarketStatistics`](super::MarketStatistics) does all this.
#[derive(Debug)]
pub struct TickerArrays {
    mini_tickers: Array,
    tickers: Array,
}

#[derive(Debug)]
struct Array {
    stream: Stream,
    payload: Vec<u8>,
}

impl Default for TickerArrays {
    fn default() -> Self {
        let of = |name: &str| Array { stream: Stream::new(name.to_owned()), payload: Vec::new() };
        Self { mini_tickers: of("!miniTicker@arr"), tickers: of("!ticker@arr") }
    }
}

impl TickerArrays {
    /// The names of the streams that are derived: those that are not silenced.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        let streams = [&self.mini_tickers.stream, &self.tickers.stream];
        streams.into_iter().filter(|stream| !stream.silent).map(|stream| stream.name.as_str())
    }

    /// Does not derive this stream any more, because the feed has it. Other names do nothing.
    pub fn silence(&mut self, stream: &str) {
        for array in [&mut self.mini_tickers, &mut self.tickers] {
            array.stream.silent |= array.stream.name == stream;
        }
    }

    /// Adds a symbol's tickers, of which a second has ended, if they have changed since they were
    /// last collected.
    pub fn collect(&mut self, statistics: &mut Statistics) {
        self.mini_tickers.collect(&mut statistics.mini_ticker);
        self.tickers.collect(&mut statistics.ticker);
    }

    /// Passes the arrays of what was collected to `emit`, and begins new ones.
    pub fn emit(&mut self, emit: &mut Emit<'_>) {
        for array in [&mut self.mini_tickers, &mut self.tickers] {
            if !array.payload.is_empty() {
                array.payload.push(b']');
                array.stream.emit(&array.payload, emit);
                array.payload.clear();
            }
        }
    }
}

impl Array {
    fn collect(&mut self, ticker: &mut Ticker) {
        if std::mem::take(&mut ticker.changed) && !self.stream.silent {
            self.payload.push(if self.payload.is_empty() { b'[' } else { b',' });
            self.payload.extend_from_slice(&ticker.payload);
        }
    }
}
