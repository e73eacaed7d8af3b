//! Events from a simulated market: every kind of stream, without a network.
//!
//! [`Simulator`] is the pure part: a seed, a start and a list of symbols determine every byte it
//! emits, whenever and however fast it is advanced. Its state is integers only, and each symbol
//! draws from its own sequence of numbers. [`Simulate`] advances it in real time.
//!
//! What is simplified: 24-hour windows run from the start and begin anew after 24 hours, the
//! average price is that of the five-minute candle being formed, and every ticker is sent every
//! second whether it changed or not. Identifiers start at the start's milliseconds, so that those
//! of a restarted simulation are higher than those before.
//!
//! Invariant: books are never empty or crossed; on each diff stream of a symbol, `U` is one more
//! than the last `u`, and the first diff holds the whole book.

mod book;
mod flow;
mod market;
mod payload;
mod spec;

use std::time::{Duration, Instant};

use market::Market;
pub use spec::{SymbolError, SymbolSpec};

use super::{Factor, FeedCounters, Flow, Pace, Sink, Switch};

/// Virtual time advances in steps of this many milliseconds.
pub const STEP_MS: u64 = 10;
const STEPS_PER_SECOND: u64 = 1000 / STEP_MS;

/// A deterministic market.
///
/// # Example
/// ```
/// use tickwire::feed::{Factor, Simulator, SymbolSpec};
///
/// let mut simulator = Simulator::new(7, 1_700_000_000_000, &SymbolSpec::defaults(), Factor::ONE);
/// let mut names = Vec::new();
/// simulator.advance(&mut |stream, _payload| names.push(stream.to_owned()));
/// assert_eq!(names.first().map(String::as_str), Some("btcusdt@bookTicker"));
/// ```
#[derive(Debug)]
pub struct Simulator {
    start_ms: u64,
    steps: u64,
    markets: Vec<Market>,
    tickers: Vec<u8>,
    mini_tickers: Vec<u8>,
}

impl Simulator {
    /// A market of these symbols, `start_ms` milliseconds after the epoch. `rate` multiplies the
    /// orders in it, and with them trades and book changes; what is sent on a clock stays. A
    /// symbol that is named twice is simulated once.
    #[must_use]
    pub fn new(seed: u64, start_ms: u64, symbols: &[SymbolSpec], rate: Factor) -> Self {
        let mut unique: Vec<&SymbolSpec> = Vec::new();
        for spec in symbols {
            if unique.iter().all(|known| known.symbol() != spec.symbol()) {
                unique.push(spec);
            }
        }
        let markets = unique
            .into_iter()
            .zip(0..)
            .map(|(spec, index)| Market::new(spec, seed, index, start_ms, rate))
            .collect();
        Self { start_ms, steps: 0, markets, tickers: Vec::new(), mini_tickers: Vec::new() }
    }

    /// The names of all streams that are fed.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        let arrays = if self.markets.is_empty() {
            [].as_slice()
        } else {
            ["!miniTicker@arr", "!ticker@arr"].as_slice()
        };
        self.markets.iter().flat_map(Market::streams).chain(arrays.iter().copied())
    }

    /// Passes each symbol and its whole order book as the REST interface answers it to `emit`: the
    /// differences that come next follow it.
    pub fn snapshots(&mut self, emit: &mut dyn FnMut(&str, &[u8])) {
        for market in &mut self.markets {
            let (symbol, payload) = market.snapshot();
            emit(symbol, payload);
        }
    }

    /// The time reached, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.start_ms + self.steps * STEP_MS
    }

    /// Advances by one step of [`STEP_MS`] and passes each event, its stream and payload, to
    /// `emit`.
    pub fn advance(&mut self, emit: &mut dyn FnMut(&str, &[u8])) {
        self.steps += 1;
        let now_ms = self.now_ms();
        for market in &mut self.markets {
            market.step(now_ms, self.steps, emit);
        }
        if self.steps.is_multiple_of(STEPS_PER_SECOND) && !self.markets.is_empty() {
            self.collect_tickers();
            emit("!miniTicker@arr", &self.mini_tickers);
            emit("!ticker@arr", &self.tickers);
        }
    }

    fn collect_tickers(&mut self) {
        for array in [&mut self.tickers, &mut self.mini_tickers] {
            array.clear();
            array.push(b'[');
        }
        for (index, market) in self.markets.iter().enumerate() {
            if index > 0 {
                self.tickers.push(b',');
                self.mini_tickers.push(b',');
            }
            self.tickers.extend_from_slice(market.ticker());
            self.mini_tickers.extend_from_slice(market.mini_ticker());
        }
        self.tickers.push(b']');
        self.mini_tickers.push(b']');
    }
}

/// A simulator that runs in real time.
#[derive(Debug)]
pub struct Simulate {
    simulator: Simulator,
}

impl Simulate {
    /// Runs `simulator` from where it is.
    #[must_use]
    pub fn new(simulator: Simulator) -> Self {
        Self { simulator }
    }

    /// Announces its streams, tells its order books as snapshots, and publishes until stopped. Each
    /// step has its due time from the start; after a delay the steps that are overdue follow
    /// without a pause, so that no event is left out and the market's time catches up.
    pub fn run(mut self, sink: &mut impl Sink, switch: &Switch, counters: &FeedCounters) {
        self.simulator.streams().for_each(|stream| sink.announce(stream));
        self.simulator.snapshots(&mut |symbol, payload| {
            if let Ok(payload) = std::str::from_utf8(payload) {
                sink.snapshot(Some(symbol), payload);
            }
        });
        if switch.wait_until_started() == Flow::Stop {
            return;
        }
        let started = Instant::now();
        let start_ms = self.simulator.now_ms();
        let mut flow = Flow::Continue;
        while flow == Flow::Continue {
            self.simulator.advance(&mut |stream, payload| {
                // What the simulator writes is JSON, which is UTF-8.
                if flow == Flow::Continue
                    && let Ok(payload) = std::str::from_utf8(payload)
                {
                    flow = counters.publish(sink, stream, payload, Pace::Live);
                }
            });
            let due = Duration::from_millis(self.simulator.now_ms() - start_ms);
            if switch.sleep_until(started + due) == Flow::Stop {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
