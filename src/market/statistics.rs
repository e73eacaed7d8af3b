//! Candles, tickers and average prices derived from trades, for feeds that bring trades but not
//! these.
//!
//! [`Statistics`] is one symbol's, [`MarketStatistics`] those of all symbols with the arrays of
//! their tickers. Time is the feed's own: the greatest event time so far, which the caller passes
//! in, so that the same events always give the same bytes. What is derived begins with a symbol's
//! first trade: the candles that are being formed then, and the 24 hours up to then, lack what was
//! before.
//!
//! * Candles ([`Statistics::streams`] has their lengths) hold the trades of their time, told by the
//!   trades' `T`; one that comes after its second is over, by event time, counts as the next
//!   second's. A candle's last event (`x` true) comes with the first event time past its end;
//!   before that it is told every two seconds of event time in which there were trades. That of a
//!   second is told once, when it is over. A candle without trades stands at the last price; of
//!   such a silence at most the last [`EMPTY_CANDLES_MAX`] candles of each length are told, so that
//!   a jump in time is little work.
//! * Tickers come once a second of event time. Their 24 hours slide by whole minutes: they begin
//!   with the minute that lies 24 hours back (`O`), and all since then is counted exactly.
//! * Average prices come once a second too, over the last 5 minutes, which slide by ten seconds.
//!
//! Sums are exact in units of 10⁻⁸ (see [`Statistics::trade`]); the averages, percentages and sums
//! of money written are cut off behind their last digit.
//!
//! Invariant: nothing but what is passed in decides what is emitted; the work of a call is bounded,
//! and so is what is kept: some 210 KB a symbol after 24 hours of trades in every minute.

mod all;
mod arrays;
mod payload;
mod tally;
#[cfg(test)]
mod tests;
mod trade;
mod window;

pub use all::{MarketStatistics, SYMBOLS_MAX};
pub use arrays::TickerArrays;
pub(crate) use payload::{Closed, Style};
pub(crate) use tally::{Candle, DAY_MS, INTERVALS, Maker, Tally, Trade};

use payload::Level;
use trade::{Kind, TIME_MS_MAX, Timed, units};
use window::Window;

/// Candles of one length without a trade that are told after a silence: the last ones.
pub const EMPTY_CANDLES_MAX: u64 = 60;

const SECOND_MS: u64 = 1000;
/// Candles are told at most so often before they end.
const UPDATE_MS: u64 = 2000;
/// By how much the 24 hours slide.
const DAY_BUCKET_MS: u64 = 60_000;
/// What average prices are of, and by how much that slides.
const AVERAGE_MS: u64 = 300_000;
const AVERAGE_BUCKET_MS: u64 = 10_000;

/// What takes derived events: a stream's name and a payload, which is JSON.
pub type Emit<'a> = dyn FnMut(&str, &[u8]) + 'a;

/// One symbol's candles, tickers and average price.
///
/// # Example
/// ```
/// use tickwire::market::statistics::Statistics;
///
/// let mut statistics = Statistics::new("btcusdt");
/// // The feed has tickers of its own.
/// statistics.silence("btcusdt@ticker");
/// statistics.trade(
///     r#"{"e":"trade","E":60001,"s":"BTCUSDT","t":7,"p":"25.5","q":"2","T":60000,"m":false,"M":true}"#,
/// );
/// let mut emitted = Vec::new();
/// statistics.advance(61_000, &mut |stream, payload| {
///     emitted.push((stream.to_owned(), String::from_utf8_lossy(payload).into_owned()));
/// });
/// let streams: Vec<&str> = emitted.iter().map(|(stream, _)| stream.as_str()).collect();
/// assert_eq!(streams, ["btcusdt@kline_1s", "btcusdt@miniTicker", "btcusdt@avgPrice"]);
/// assert_eq!(
///     emitted[0].1,
///     concat!(
///         r#"{"e":"kline","E":61000,"s":"BTCUSDT","k":{"t":60000,"T":60999,"s":"BTCUSDT","#,
///         r#""i":"1s","f":7,"L":7,"o":"25.50000000","c":"25.50000000","h":"25.50000000","#,
///         r#""l":"25.50000000","v":"2.00000000","n":1,"x":true,"q":"51.00000000","#,
///         r#""V":"2.00000000","Q":"51.00000000","B":"0"}}"#,
///     )
/// );
/// ```
#[derive(Debug)]
pub struct Statistics {
    symbol: String,
    style: Style,
    streams: Streams,
    forming: Option<Forming>,
    now_ms: u64,
    /// Best bid and ask, zero until they are told.
    quotes: (Level, Level),
    /// Which kind of trade counts; `None`: there was none yet.
    kind: Option<Kind>,
    /// The last id in an aggregate that was counted.
    aggregated_to: Option<u64>,
    ignored: u64,
    payload: Vec<u8>,
    mini_ticker: Ticker,
    ticker: Ticker,
}

/// A ticker's last payload, and whether what it says is new, but for the time.
#[derive(Debug, Default)]
struct Ticker {
    payload: Vec<u8>,
    changed: bool,
}

/// A stream that is derived unless the feed has it.
#[derive(Debug)]
struct Stream {
    name: String,
    silent: bool,
}

impl Stream {
    fn new(name: String) -> Self {
        Self { name, silent: false }
    }

    fn emit(&self, payload: &[u8], emit: &mut Emit<'_>) {
        if !self.silent {
            emit(&self.name, payload);
        }
    }
}

#[derive(Debug)]
struct Streams {
    /// In the order of [`INTERVALS`].
    candles: Vec<Stream>,
    mini_ticker: Stream,
    ticker: Stream,
    avg_price: Stream,
}

impl Streams {
    fn new(symbol: &str) -> Self {
        let of = |kind: &str| Stream::new(format!("{symbol}@{kind}"));
        Self {
            candles: INTERVALS.iter().map(|(name, _)| of(&format!("kline_{name}"))).collect(),
            mini_ticker: of("miniTicker"),
            ticker: of("ticker"),
            avg_price: of("avgPrice"),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Stream> {
        self.candles.iter().chain([&self.mini_ticker, &self.ticker, &self.avg_price])
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        let Self { candles, mini_ticker, ticker, avg_price } = self;
        candles.iter_mut().chain([mini_ticker, ticker, avg_price])
    }
}

/// What there is from the first trade on.
#[derive(Debug)]
struct Forming {
    /// The second whose trades `second` has; candles and windows have all before it.
    second_ms: u64,
    second: Tally,
    /// Trades of a second that event time has not come to yet.
    later: Option<(u64, Tally)>,
    candles: Vec<Forms>,
    day: Window,
    recent: Window,
    last_trade_ms: u64,
}

/// A candle, and whether there were trades since it was last told.
#[derive(Debug)]
struct Forms {
    candle: Candle,
    changed: bool,
}

impl Statistics {
    /// Statistics of this symbol, spelled as in its streams' names: `btcusdt`. All streams are
    /// derived until [`Self::silence`] says otherwise.
    #[must_use]
    pub fn new(symbol: &str) -> Self {
        Self {
            symbol: symbol.to_owned(),
            style: Style::new(&symbol.to_ascii_uppercase(), 1, 1),
            streams: Streams::new(symbol),
            forming: None,
            now_ms: 0,
            quotes: ((0, 0), (0, 0)),
            kind: None,
            aggregated_to: None,
            ignored: 0,
            payload: Vec::new(),
            mini_ticker: Ticker::default(),
            ticker: Ticker::default(),
        }
    }

    /// The names of the streams that are derived: those that are not silenced.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        self.streams.all().filter(|stream| !stream.silent).map(|stream| stream.name.as_str())
    }

    /// Does not derive this stream any more, because the feed has it. Other names do nothing.
    pub fn silence(&mut self, stream: &str) {
        for known in self.streams.all_mut().filter(|known| known.name == stream) {
            known.silent = true;
        }
    }

    /// Takes the payload of a `@trade` or `@aggTrade` event. Aggregates count only until the first
    /// single trade has come, and no trade counts twice for it.
    ///
    /// What is no trade of this symbol in every part is ignored and counted: prices over 1.8 × 10¹¹
    /// and numbers finer than 10⁻⁸ too. Yields the event's time (`E`), for [`Self::advance`], whether
    /// the trade counts or not; `None` of what is ignored.
    pub fn trade(&mut self, payload: &str) -> Option<u64> {
        let Some(Timed { kind, trade, at_ms, event_time }) = Timed::parse(payload, &self.symbol)
        else {
            self.ignored = self.ignored.saturating_add(1);
            return None;
        };
        match kind {
            Kind::Aggregate if self.kind == Some(Kind::Trade) => return Some(event_time),
            Kind::Aggregate => self.aggregated_to = Some(trade.ids.1),
            Kind::Trade if self.aggregated_to.is_some_and(|to| trade.ids.1 <= to) => {
                return Some(event_time);
            }
            Kind::Trade => {}
        }
        self.kind = Some(kind);
        let now_ms = self.now_ms;
        let forming = self.forming.get_or_insert_with(|| {
            let second_ms = second_of(at_ms.max(now_ms));
            Forming::new(second_ms, trade.price)
        });
        forming.add(trade, at_ms);
        Some(event_time)
    }

    /// Sets what tickers tell as the best bid and ask, prices and quantities as decimal numbers. A
    /// side that is not one is left as it was, and counted as ignored.
    pub fn quotes(&mut self, bid: (&str, &str), ask: (&str, &str)) {
        for ((price, quantity), level) in [(bid, &mut self.quotes.0), (ask, &mut self.quotes.1)] {
            let read =
                units(price).and_then(|price| u64::try_from(price).ok()).zip(units(quantity));
            match read {
                Some(read) => {
                    self.ticker.changed |= *level != read;
                    *level = read;
                }
                None => self.ignored = self.ignored.saturating_add(1),
            }
        }
    }

    /// Forgets all trades and the time: the feed starts over. What is silenced stays so.
    pub fn start_over(&mut self) {
        (self.forming, self.now_ms) = (None, 0);
        (self.kind, self.aggregated_to) = (None, None);
        self.quotes = ((0, 0), (0, 0));
        (self.mini_ticker, self.ticker) = (Ticker::default(), Ticker::default());
    }

    /// How many payloads and quotes could not be understood.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Moves event time to `now_ms`, in milliseconds since 1970, if that is later than it is, and
    /// passes what is due to `emit`. Call it for each event that tells a time, after
    /// [`Self::trade`] where it is a trade; it costs nothing within a second. Yields whether a
    /// second ended, and with it what [`TickerArrays::collect`] wants to know.
    pub fn advance(&mut self, now_ms: u64, emit: &mut Emit<'_>) -> bool {
        self.now_ms = self.now_ms.max(now_ms.min(TIME_MS_MAX));
        let now_ms = self.now_ms;
        let Some(forming) = &mut self.forming else { return false };
        let last_ms = forming.second_ms;
        if now_ms < last_ms + SECOND_MS {
            return false;
        }
        let mut traded = false;
        while forming.second_ms < second_of(now_ms) {
            traded |= forming.end_second(second_of(now_ms));
            for (forms, stream) in forming.candles.iter_mut().zip(&self.streams.candles) {
                forms.close(forming.second_ms, |candle| {
                    self.payload.clear();
                    self.style.kline(now_ms, candle, Closed::Yes, &mut self.payload);
                    stream.emit(&self.payload, emit);
                });
            }
        }
        if last_ms / UPDATE_MS != now_ms / UPDATE_MS {
            for (forms, stream) in forming.candles.iter_mut().zip(&self.streams.candles) {
                if std::mem::take(&mut forms.changed) {
                    self.payload.clear();
                    self.style.kline(now_ms, &forms.candle, Closed::No, &mut self.payload);
                    stream.emit(&self.payload, emit);
                }
            }
        }
        let slid = forming.day.slide(now_ms);
        forming.recent.slide(now_ms);
        self.emit_tickers(traded || slid, emit);
        true
    }

    fn emit_tickers(&mut self, changed: bool, emit: &mut Emit<'_>) {
        let Self { forming, style, streams, now_ms, mini_ticker, ticker, payload, .. } = self;
        let Some(Forming { day, recent, last_trade_ms, .. }) = forming else { return };
        mini_ticker.changed |= changed;
        mini_ticker.payload.clear();
        style.mini_ticker(*now_ms, day.total(), &mut mini_ticker.payload);
        streams.mini_ticker.emit(&mini_ticker.payload, emit);

        ticker.changed |= changed;
        ticker.payload.clear();
        let window = (day.opened_ms(), day.before(), day.total());
        style.ticker(*now_ms, window, self.quotes, &mut ticker.payload);
        streams.ticker.emit(&ticker.payload, emit);

        payload.clear();
        style.avg_price(*now_ms, *last_trade_ms, recent.total(), payload);
        streams.avg_price.emit(payload, emit);
    }
}

impl Forming {
    fn new(second_ms: u64, price: u64) -> Self {
        let formed =
            |interval| Forms { candle: Candle::new(interval, second_ms, price), changed: false };
        Self {
            second_ms,
            second: Tally::new(price),
            later: None,
            candles: INTERVALS.map(formed).into(),
            day: Window::new(DAY_MS, DAY_BUCKET_MS, second_ms, price),
            recent: Window::new(AVERAGE_MS, AVERAGE_BUCKET_MS, second_ms, price),
            last_trade_ms: 0,
        }
    }

    fn add(&mut self, trade: Trade, at_ms: u64) {
        self.last_trade_ms = self.last_trade_ms.max(at_ms);
        let second_ms = second_of(at_ms);
        if second_ms <= self.second_ms {
            self.second.add(trade);
            return;
        }
        let later = self.later.get_or_insert_with(|| (second_ms, Tally::new(trade.price)));
        later.1.add(trade);
    }

    /// Goes on to the next second that has trades, `to_ms` at most; yields whether the one that
    /// ended had any.
    fn end_second(&mut self, to_ms: u64) -> bool {
        let traded = self.second.ids.is_some();
        if traded {
            for forms in &mut self.candles {
                forms.candle.tally.append(&self.second);
                forms.changed = true;
            }
            self.day.add(self.second_ms, &self.second);
            self.recent.add(self.second_ms, &self.second);
        }
        let due = self.later.take_if(|(second_ms, _)| *second_ms <= to_ms);
        (self.second_ms, self.second) = due.unwrap_or((to_ms, Tally::new(self.second.close)));
        traded
    }
}

impl Forms {
    /// Tells the candles that have ended by `now_ms`, but for those of too long a silence.
    fn close(&mut self, now_ms: u64, mut tell: impl FnMut(&Candle)) {
        let ended = self.candle.ended_by(now_ms);
        if ended == 0 {
            return;
        }
        self.changed = false;
        tell(&self.candle);
        self.candle.skip(1 + (ended - 1).saturating_sub(EMPTY_CANDLES_MAX));
        for _ in 0..(ended - 1).min(EMPTY_CANDLES_MAX) {
            tell(&self.candle);
            self.candle.reopen();
        }
    }
}

/// The first millisecond of the second.
fn second_of(at_ms: u64) -> u64 {
    at_ms - at_ms % SECOND_MS
}
