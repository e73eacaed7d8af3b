//! Keeps the books of a feed: every event of the feed is told here before it is published.
//!
//! A diff goes into its book, and what is derived from the book follows it; a trade goes into its
//! symbol's candles and tickers where the feed lacks one of them. Of all other streams only the name
//! is looked up, and at first what a trade says of decimals. Knows no feeds, but what they say.
//! Invariant: what is derived follows from the one event that was taken in last.

use super::book::DiffStream;
use super::depth::price::Digits;
use super::derived::Wanted;
use super::markets::{Markets, Symbol, count};
use super::traded::Traded;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Stream names that are told apart. Events of further ones pass, and no book is kept from them.
const STREAMS_MAX: usize = 65_536;
/// How many of a stream's trades are looked at for their decimals.
const TRADES_LEARNT_FROM: u16 = 256;

/// Keeps [`Markets`] from the events of one feed. `feed::Kept` is a sink around it.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use tickwire::market::{Bookkeeper, Depth, Markets};
///
/// let markets = Arc::<Markets>::default();
/// let mut keeper = Bookkeeper::new(Arc::clone(&markets));
/// // The update with id 1 begins a book.
/// let diff = r#"{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":1,"u":2,"b":[["9","1"]],"a":[]}"#;
/// keeper.handle_event("btcusdt@depth", diff);
///
/// // Now the event is published, and then what follows from it.
/// let derived: Vec<&str> = keeper.derived().map(|(stream, _)| stream).collect();
/// assert_eq!(derived, ["btcusdt@depth5", "btcusdt@depth10", "btcusdt@depth20"]);
/// let Depth::Book(answer) = markets.depth("BTCUSDT", 5) else { panic!("a book") };
/// assert_eq!(&*answer, br#"{"lastUpdateId":2,"bids":[["9","1"]],"asks":[]}"#);
/// ```
#[derive(Debug)]
pub struct Bookkeeper {
    markets: Arc<Markets>,
    routes: HashMap<Box<str>, Route>,
    /// Symbols with new diffs or trades, as their streams' names spell them: what is derived of them
    /// is to be announced before the next event.
    unannounced: Vec<(Box<str>, Arc<Symbol>)>,
    announced: HashSet<String>,
    /// A snapshot that says no symbol, from before there was any.
    unplaced: Option<Box<str>>,
    wanted: Wanted,
    traded: Traded,
    derive: Derive,
    /// Whose book `wanted` is of.
    current: Option<Arc<Symbol>>,
    /// Whether a stream or a symbol found no room, which is said once.
    full: bool,
}

/// What is to be done with a stream's events, besides passing them on.
#[derive(Clone, Debug)]
enum Route {
    Nothing,
    Diff(DiffStream, Arc<Symbol>),
    Trade {
        symbol: Arc<Symbol>,
        left_to_learn: u16,
    },
    /// Best prices, of a symbol as its streams' names spell it.
    BookTicker(Box<str>),
}

/// Which streams are derived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Derive {
    /// Those that follow from what the feed carries, and that it does not carry itself.
    #[default]
    Missing,
    /// None: books are kept, and nothing is published but the feed's events.
    Nothing,
}

/// Whether an event is published, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Now,
    /// It only says how things stand.
    Past,
}

impl Bookkeeper {
    /// A keeper of these books, for one feed; feeds of other symbols may have their own.
    #[must_use]
    pub fn new(markets: Arc<Markets>) -> Self {
        Self {
            markets,
            routes: HashMap::new(),
            unannounced: Vec::new(),
            announced: HashSet::new(),
            unplaced: None,
            wanted: Wanted::default(),
            traded: Traded::default(),
            derive: Derive::default(),
            current: None,
            full: false,
        }
    }

    /// Says which streams are derived, before the first event. Default: [`Derive::Missing`].
    #[must_use]
    pub fn deriving(self, derive: Derive) -> Self {
        Self { derive, ..self }
    }

    /// Notes that the feed carries a stream: nothing is derived in its place from now on.
    pub fn note(&mut self, stream: &str) {
        if self.routes.contains_key(stream) {
            return;
        }
        if self.routes.len() >= STREAMS_MAX {
            return self.note_full();
        }
        if self.derive == Derive::Missing {
            self.traded.note_fed(stream);
        }
        let route = self.route(stream);
        self.routes.insert(stream.into(), route);
    }

    /// Passes the names of streams that will be derived, and were not told yet, to `announce`. Not
    /// to be asked for before all streams that a feed announces in a row are noted: what it carries
    /// itself is not derived.
    pub fn announce(&mut self, announce: &mut dyn FnMut(&str)) {
        for (name, symbol) in std::mem::take(&mut self.unannounced) {
            let names: Vec<&str> = symbol.lock().derived.names(&symbol.names).collect();
            for stream in names.into_iter().chain(self.traded.names(&name)) {
                if self.announced.insert(stream.to_owned()) {
                    announce(stream);
                }
            }
        }
    }

    /// Takes in the next event of the feed, which is to be passed on after this and before what
    /// [`Self::derived`] then says.
    pub fn handle_event(&mut self, stream: &str, payload: &str) {
        self.handle(stream, payload, Told::Now);
    }

    fn handle(&mut self, stream: &str, payload: &str, told: Told) {
        self.wanted.clear();
        self.traded.clear();
        self.current = None;
        if !self.take_in(stream, payload, told) {
            self.note(stream);
            self.take_in(stream, payload, told);
        }
    }

    /// Does what is to be done with an event of a stream that is known; `false` of another.
    fn take_in(&mut self, stream: &str, payload: &str, told: Told) -> bool {
        let Self { routes, markets, wanted, traded, unplaced, current, derive, .. } = self;
        let Some(route) = routes.get_mut(stream) else { return false };
        let event_time = match route {
            Route::Diff(of, symbol) => {
                if let Some(snapshot) = unplaced.take() {
                    markets.handle_snapshot(symbol, &snapshot);
                }
                *current = Some(Arc::clone(symbol));
                let is_derived = told == Told::Now && *derive == Derive::Missing;
                markets.handle_diff(symbol, *of, payload, is_derived.then_some(wanted))
            }
            Route::Trade { symbol, left_to_learn } => {
                if *left_to_learn > 0 {
                    *left_to_learn -= 1;
                    learn(symbol, payload);
                }
                take_trade(traded, markets, stream, payload)
            }
            Route::BookTicker(symbol) => {
                if traded.is_wanted(symbol) {
                    traded.note_best(symbol, payload);
                }
                None
            }
            Route::Nothing => None,
        };
        if let Some(event_time) = event_time {
            traded.advance(event_time, markets);
        }
        true
    }

    /// What follows from the event that was taken in last: streams and payloads, in order. Each is
    /// counted as published.
    pub fn derived(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_book = self.current.iter().flat_map(|symbol| self.wanted.events(&symbol.names));
        of_book.chain(self.traded.events()).inspect(|_| count(&self.markets.counters.derived))
    }

    /// Takes in an event that is not published, nor is anything that follows from it: it only says
    /// how things stand.
    pub fn handle_past(&mut self, stream: &str, payload: &str) {
        self.handle(stream, payload, Told::Past);
        self.traded.clear();
    }

    /// The feed starts over, with times from before those that have come: what is derived from trades
    /// begins anew. Books notice it by their ids.
    pub fn start_over(&mut self) {
        self.traded.start_over();
    }

    /// Takes in a whole order book, of this symbol if the feed says one.
    pub fn handle_snapshot(&mut self, symbol: Option<&str>, payload: &str) {
        let symbol = match symbol {
            Some(name) => self.markets.symbol(name),
            None => self.place(payload),
        };
        match symbol {
            Some(symbol) => self.markets.handle_snapshot(&symbol, payload),
            None if self.unplaced.is_some() => {}
            None => self.markets.note_unknown_snapshot("it does not say which symbol it is of"),
        }
    }

    fn route(&mut self, stream: &str) -> Route {
        // Market-wide streams start with `!` and have no symbol: `!ticker@arr`.
        let parts = stream.split_once('@').filter(|(symbol, _)| !symbol.starts_with('!'));
        let Some((name, kind)) = parts.filter(|(symbol, _)| !symbol.is_empty()) else {
            return Route::Nothing;
        };
        let Some(symbol) = self.markets.symbol(name) else {
            self.note_full();
            return Route::Nothing;
        };
        symbol.lock().derived.note_fed(kind);
        let diffs = DiffStream::of(kind);
        let is_trades = matches!(kind, "trade" | "aggTrade");
        if self.derive == Derive::Missing && (diffs.is_some() || is_trades) {
            self.unannounced.push((name.into(), Arc::clone(&symbol)));
            if is_trades {
                self.traded.expect(name);
            }
        }
        match (diffs, kind) {
            (Some(stream), _) => Route::Diff(stream, symbol),
            _ if is_trades => Route::Trade { symbol, left_to_learn: TRADES_LEARNT_FROM },
            (None, "bookTicker") => Route::BookTicker(name.into()),
            _ => Route::Nothing,
        }
    }

    fn note_full(&mut self) {
        if !std::mem::replace(&mut self.full, true) {
            tracing::warn!("too many streams or symbols: no order books are kept of new ones");
        }
    }

    /// Whose book a snapshot is that does not say it: that of the only symbol whose diffs wait for
    /// it, or of the only symbol that has diffs.
    fn place(&mut self, payload: &str) -> Option<Arc<Symbol>> {
        let id = super::book::snapshot_update_id(payload)?;
        let (mut with_diffs, mut waiting) = (Vec::new(), Vec::new());
        for symbol in self.markets.all() {
            let market = symbol.lock();
            let (has_diffs, waits) = (market.derived.has_diffs(), market.book.waits_for(id));
            drop(market);
            if waits {
                waiting.push(Arc::clone(&symbol));
            }
            if has_diffs {
                with_diffs.push(symbol);
            }
        }
        let none_yet = with_diffs.is_empty();
        let only = [waiting, with_diffs].into_iter().find_map(|all| <[_; 1]>::try_from(all).ok());
        if only.is_none() && none_yet {
            self.unplaced = Some(payload.into());
        }
        only.map(|[symbol]| symbol)
    }
}

/// Takes in a trade where anything is derived from it; yields its event time.
fn take_trade(traded: &mut Traded, markets: &Markets, stream: &str, payload: &str) -> Option<u64> {
    let (symbol, _) = stream.split_once('@')?;
    if !traded.is_wanted(symbol) {
        return None;
    }
    let event_time = traded.trade(stream, payload);
    if event_time.is_none() {
        count(&markets.counters.trades_malformed);
    }
    event_time
}

/// Notes the decimals of a trade.
fn learn(symbol: &Symbol, payload: &str) {
    #[derive(Deserialize)]
    struct Trade<'a> {
        p: &'a str,
        q: &'a str,
    }
    let Ok(Trade { p, q }) = serde_json::from_str(payload) else { return };
    if let (Some(price), Some(quantity)) = (Digits::parse(p), Digits::parse(q)) {
        symbol.lock().traded.note(price.decimals(), quantity.decimals());
    }
}
