//! One symbol's market: its book, its traders and its statistics, turned into events.
//! Invariant: events leave in the order in which their causes happened.

use super::book::{Book, DiffSpeed, Level, Side};
use super::flow::{Fill, OrderFlow};
use super::payload;
use super::spec::SymbolSpec;
use super::{Factor, STEPS_PER_SECOND};
use crate::market::statistics::{Candle, Closed, DAY_MS, INTERVALS, Maker, Style, Tally, Trade};

const STEPS_PER_100_MS: u64 = STEPS_PER_SECOND / 10;
/// The numbers of levels that partial books are sent with.
const PARTIAL_LEVELS: [usize; 3] = [5, 10, 20];

type Emit<'a> = dyn FnMut(&str, &[u8]) + 'a;

#[derive(Debug)]
pub(super) struct Market {
    /// In upper case.
    symbol: String,
    style: Style,
    streams: Streams,
    book: Book,
    flow: OrderFlow,
    /// With their streams.
    candles: Vec<(String, Candle)>,
    window: Tally,
    window_opened_ms: u64,
    /// The last price before the window.
    window_before: u64,
    /// What the last book ticker said.
    best: Option<(Level, Level)>,
    last_trade_ms: u64,
    next_trade_id: u64,
    next_agg_trade_id: u64,
    fills: Vec<Fill>,
    ticker: Vec<u8>,
    mini_ticker: Vec<u8>,
    /// The payload being written.
    payload: Vec<u8>,
}

#[derive(Debug)]
struct Streams {
    trade: String,
    agg_trade: String,
    book_ticker: String,
    depth: String,
    depth_100ms: String,
    partial_depth: [String; 3],
    partial_depth_100ms: [String; 3],
    mini_ticker: String,
    ticker: String,
    avg_price: String,
}

impl Streams {
    fn new(symbol: &str) -> Self {
        Self {
            trade: format!("{symbol}@trade"),
            agg_trade: format!("{symbol}@aggTrade"),
            book_ticker: format!("{symbol}@bookTicker"),
            depth: format!("{symbol}@depth"),
            depth_100ms: format!("{symbol}@depth@100ms"),
            partial_depth: PARTIAL_LEVELS.map(|levels| format!("{symbol}@depth{levels}")),
            partial_depth_100ms: PARTIAL_LEVELS
                .map(|levels| format!("{symbol}@depth{levels}@100ms")),
            mini_ticker: format!("{symbol}@miniTicker"),
            ticker: format!("{symbol}@ticker"),
            avg_price: format!("{symbol}@avgPrice"),
        }
    }
}

impl Market {
    pub(super) fn new(
        spec: &SymbolSpec,
        seed: u64,
        index: u64,
        start_ms: u64,
        rate: Factor,
    ) -> Self {
        let symbol = spec.symbol.to_ascii_lowercase();
        // Ids from 1, should the start be the epoch itself.
        let first_id = start_ms.max(1);
        let mut book = Book::new(first_id);
        let mut flow = OrderFlow::new(spec, seed, index, rate);
        flow.fill(&mut book);
        Self {
            symbol: spec.symbol.clone(),
            style: Style::new(&spec.symbol, spec.tick, spec.lot),
            streams: Streams::new(&symbol),
            book,
            flow,
            candles: INTERVALS
                .map(|interval| {
                    let stream = format!("{symbol}@kline_{}", interval.0);
                    (stream, Candle::new(interval, start_ms, spec.anchor))
                })
                .into(),
            window: Tally::new(spec.anchor),
            window_opened_ms: start_ms,
            window_before: spec.anchor,
            best: None,
            last_trade_ms: start_ms,
            next_trade_id: first_id,
            next_agg_trade_id: first_id,
            fills: Vec::new(),
            ticker: Vec::new(),
            mini_ticker: Vec::new(),
            payload: Vec::new(),
        }
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &str> {
        let names = &self.streams;
        [&names.trade, &names.agg_trade, &names.book_ticker, &names.depth, &names.depth_100ms]
            .into_iter()
            .chain(&names.partial_depth)
            .chain(&names.partial_depth_100ms)
            .chain(self.candles.iter().map(|(stream, _)| stream))
            .chain([&names.mini_ticker, &names.ticker, &names.avg_price])
            .map(String::as_str)
    }

    /// Its symbol, in upper case, and its whole order book as the REST interface answers it.
    pub(super) fn snapshot(&mut self) -> (&str, &[u8]) {
        self.payload.clear();
        payload::partial_depth(&self.style, &self.book, usize::MAX, &mut self.payload);
        (&self.symbol, &self.payload)
    }

    /// The last `@ticker` payload.
    pub(super) fn ticker(&self) -> &[u8] {
        &self.ticker
    }

    /// The last `@miniTicker` payload.
    pub(super) fn mini_ticker(&self) -> &[u8] {
        &self.mini_ticker
    }

    /// What happens in step number `steps`, which ends at `now_ms`.
    pub(super) fn step(&mut self, now_ms: u64, steps: u64, emit: &mut Emit<'_>) {
        self.close_candles(now_ms, emit);
        self.close_window(now_ms);
        for _ in 0..self.flow.begin_step() {
            self.flow.act(&mut self.book, &mut self.fills);
            self.emit_trades(now_ms, emit);
            self.emit_book_ticker(emit);
        }
        // The first best prices are news even when nobody acted.
        self.emit_book_ticker(emit);
        if steps.is_multiple_of(STEPS_PER_100_MS) {
            self.emit_depth(DiffSpeed::Fast, now_ms, emit);
        }
        if steps.is_multiple_of(STEPS_PER_SECOND) {
            self.emit_depth(DiffSpeed::Slow, now_ms, emit);
            self.emit_statistics(now_ms, emit);
            self.emit_candles(now_ms, steps, emit);
        }
    }

    fn close_candles(&mut self, now_ms: u64, emit: &mut Emit<'_>) {
        for (stream, candle) in &mut self.candles {
            while candle.close_ms() < now_ms {
                self.payload.clear();
                self.style.kline(now_ms, candle, Closed::Yes, &mut self.payload);
                emit(stream, &self.payload);
                candle.reopen();
            }
        }
    }

    fn close_window(&mut self, now_ms: u64) {
        if now_ms - self.window_opened_ms >= DAY_MS {
            self.window_opened_ms = now_ms;
            self.window_before = self.window.close;
            self.window = Tally::new(self.window.close);
        }
    }

    /// Each fill is as many trades as orders were resting, and one aggregate trade.
    fn emit_trades(&mut self, now_ms: u64, emit: &mut Emit<'_>) {
        for fill in self.fills.drain(..) {
            let Fill { maker, price, lots, orders } = fill;
            let maker = match maker {
                Side::Bid => Maker::Buyer,
                Side::Ask => Maker::Seller,
            };
            let first_id = self.next_trade_id;
            let mut left = lots;
            for order in 0..orders {
                // Equal parts, and what does not divide goes to the first.
                let share = left - (orders - 1 - order) * (lots / orders);
                left -= share;
                let ids = (self.next_trade_id, self.next_trade_id);
                let trade = Trade { ids, price, lots: share.into(), maker };
                self.next_trade_id += 1;
                self.window.add(trade);
                for (_, candle) in &mut self.candles {
                    candle.tally.add(trade);
                }
                self.payload.clear();
                payload::trade(&self.style, now_ms, trade, &mut self.payload);
                emit(&self.streams.trade, &self.payload);
            }
            let ids = (first_id, self.next_trade_id - 1);
            let total = Trade { ids, price, lots: lots.into(), maker };
            self.payload.clear();
            let id = self.next_agg_trade_id;
            payload::agg_trade(&self.style, now_ms, id, total, &mut self.payload);
            emit(&self.streams.agg_trade, &self.payload);
            self.next_agg_trade_id += 1;
            self.last_trade_ms = now_ms;
        }
    }

    fn emit_book_ticker(&mut self, emit: &mut Emit<'_>) {
        let best = self.book.best(Side::Bid).zip(self.book.best(Side::Ask));
        if best == self.best {
            return;
        }
        self.best = best;
        if let Some(best) = best {
            self.payload.clear();
            payload::book_ticker(&self.style, self.book.update_id(), best, &mut self.payload);
            emit(&self.streams.book_ticker, &self.payload);
        }
    }

    fn emit_depth(&mut self, speed: DiffSpeed, now_ms: u64, emit: &mut Emit<'_>) {
        let (stream, partials) = match speed {
            DiffSpeed::Fast => (&self.streams.depth_100ms, &self.streams.partial_depth_100ms),
            DiffSpeed::Slow => (&self.streams.depth, &self.streams.partial_depth),
        };
        // An unchanged book is not told again.
        let Some(diff) = self.book.take_diff(speed) else {
            return;
        };
        self.payload.clear();
        payload::depth_update(&self.style, now_ms, &diff, &mut self.payload);
        emit(stream, &self.payload);
        for (stream, levels) in partials.iter().zip(PARTIAL_LEVELS) {
            self.payload.clear();
            payload::partial_depth(&self.style, &self.book, levels, &mut self.payload);
            emit(stream, &self.payload);
        }
    }

    fn emit_statistics(&mut self, now_ms: u64, emit: &mut Emit<'_>) {
        let Some((bid, ask)) = self.best else { return };
        let best = ((bid.0, bid.1.into()), (ask.0, ask.1.into()));
        self.mini_ticker.clear();
        self.style.mini_ticker(now_ms, &self.window, &mut self.mini_ticker);
        emit(&self.streams.mini_ticker, &self.mini_ticker);

        let window = (self.window_opened_ms, self.window_before, &self.window);
        self.ticker.clear();
        self.style.ticker(now_ms, window, best, &mut self.ticker);
        emit(&self.streams.ticker, &self.ticker);

        if let Some((_, candle)) = self.candles.iter().find(|(_, candle)| candle.interval == "5m") {
            self.payload.clear();
            let tally = &candle.tally;
            self.style.avg_price(now_ms, self.last_trade_ms, tally, &mut self.payload);
            emit(&self.streams.avg_price, &self.payload);
        }
    }

    /// The candle of a second every second, all others every two.
    fn emit_candles(&mut self, now_ms: u64, steps: u64, emit: &mut Emit<'_>) {
        let even = steps.is_multiple_of(2 * STEPS_PER_SECOND);
        for (stream, candle) in &self.candles {
            if !even && candle.interval != "1s" {
                continue;
            }
            self.payload.clear();
            self.style.kline(now_ms, candle, Closed::No, &mut self.payload);
            emit(stream, &self.payload);
        }
    }

    #[cfg(test)]
    pub(super) fn book(&self) -> &Book {
        &self.book
    }
}
