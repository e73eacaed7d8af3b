//! All symbols' order books, shared between the feeds that fill them and the handlers that answer
//! from them.
//!
//! Each symbol has a lock of its own, held while one diff is taken in or one answer is made;
//! answers are made once for an update and a number of levels, and shared.
//! [`Bookkeeper`](super::Bookkeeper) is what fills this. Knows no stream's events but those it is
//! given.
//! Invariant: an answer is of a book that is in step, or there is none; at most [`SYMBOLS_MAX`]
//! symbols are kept.

use super::assets;
use super::book::{Book, DiffStream, Diffed, GivenUp, Snapshotted};
use super::derived::{Derived, Names, Wanted};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Symbols whose books are kept. Streams of further ones pass, and nothing is known of them.
pub const SYMBOLS_MAX: usize = 10_000;

/// The most levels of a side that are answered: the exchange's figure.
pub const DEPTH_LIMIT_MAX: usize = 5000;

/// Answers that are kept of one update: as many as there are usual limits.
const PREPARED_MAX: usize = 8;

/// What there is to say of a symbol's book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The answer, in JSON, shared by all who ask for the same.
    Book(Arc<[u8]>),
    /// Nothing of the symbol has come.
    UnknownSymbol,
    /// The symbol is known, and its book is not.
    Missing(Missing),
}

/// What a book lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A diff stream.
    DepthStream,
    /// A snapshot that its diffs follow.
    Snapshot,
    /// The updates after this one.
    UpdatesAfter(u64),
}

/// The counters of all symbols together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarketCounts {
    /// Symbols that streams have been announced or seen of.
    pub symbols: u64,
    /// Books that are in step with their feed.
    pub books: u64,
    /// Diffs that a book has taken in.
    pub diffs_applied: u64,
    /// Diffs that said nothing new.
    pub diffs_stale: u64,
    /// Diffs that had to wait for a snapshot or for what comes before them.
    pub diffs_waited: u64,
    /// Diffs that waited and were given up for want of room.
    pub diffs_given_up: u64,
    /// Events of diff streams that are none.
    pub diffs_malformed: u64,
    /// Times that a book in step was withdrawn because updates were missing.
    pub gaps: u64,
    /// Events of trade streams that are no trades, where something is derived from trades.
    pub trades_malformed: u64,
    /// Snapshots that became a book.
    pub snapshots_taken: u64,
    /// Snapshots that were older than their book.
    pub snapshots_old: u64,
    /// Snapshots of no symbol that could be told, or that are none.
    pub snapshots_not_understood: u64,
    /// Levels that were given up because a side had too many.
    pub levels_given_up: u64,
    /// Events derived from books and from trades, and published.
    pub derived: u64,
}

/// Counters that feeds write and anybody reads: each number is right by itself.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) symbols: AtomicU64,
    pub(super) books: AtomicU64,
    pub(super) diffs_applied: AtomicU64,
    pub(super) diffs_stale: AtomicU64,
    pub(super) diffs_waited: AtomicU64,
    pub(super) diffs_given_up: AtomicU64,
    pub(super) diffs_malformed: AtomicU64,
    pub(super) trades_malformed: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) snapshots_taken: AtomicU64,
    pub(super) snapshots_old: AtomicU64,
    pub(super) snapshots_not_understood: AtomicU64,
    pub(super) levels_given_up: AtomicU64,
    pub(super) derived: AtomicU64,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The order books of all symbols.
///
/// A book takes in a diff before the diff is published, so an answer is never older than a diff
/// that a client has: whoever buffers diffs, asks for a snapshot and applies what follows it has no
/// gap.
#[derive(Debug, Default)]
pub struct Markets {
    symbols: RwLock<BTreeMap<Box<str>, Arc<Symbol>>>,
    pub(super) counters: Counters,
}

/// What is known of one symbol.
#[derive(Debug)]
pub(super) struct Symbol {
    /// In upper case, as in payloads.
    pub(super) name: Box<str>,
    pub(super) names: Names,
    state: Mutex<Market>,
}

/// The part that changes.
#[derive(Debug)]
pub(super) struct Market {
    pub(super) book: Book,
    pub(super) derived: Derived,
    /// Answers of the book's present update, by how many levels they have.
    prepared: Vec<(usize, Arc<[u8]>)>,
    steps: Option<Steps>,
    /// How many decimals prices and quantities of trades have had, where there is no book.
    pub(super) traded: assets::Decimals,
}

/// By what prices and quantities move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) price: String,
    pub(super) quantity: String,
}

impl Markets {
    /// Says by what a symbol's prices and quantities move, in decimals; where nobody says it, it is
    /// learnt from the decimals that come.
    pub fn set_steps(&self, symbol: &str, price: String, quantity: String) {
        if let Some(symbol) = self.symbol(symbol) {
            symbol.lock().steps = Some(Steps { price, quantity });
        }
    }

    /// The best levels of a symbol's book, up to `limit` a side and at most [`DEPTH_LIMIT_MAX`]:
    /// `{"lastUpdateId":…,"bids":[["price","quantity"],…],"asks":[…]}`. Symbols are in upper case.
    #[must_use]
    pub fn depth(&self, symbol: &str, limit: usize) -> Depth {
        match self.find(symbol) {
            Some(symbol) => symbol.lock().answer(limit.min(DEPTH_LIMIT_MAX)),
            None => Depth::UnknownSymbol,
        }
    }

    /// The names of all symbols that are known, in order.
    #[must_use]
    pub fn symbols(&self) -> Vec<String> {
        let symbols = self.symbols.read().unwrap_or_else(PoisonError::into_inner);
        symbols.keys().map(|name| name.to_string()).collect()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counts(&self) -> MarketCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        MarketCounts {
            symbols: of(&counters.symbols),
            books: of(&counters.books),
            diffs_applied: of(&counters.diffs_applied),
            diffs_stale: of(&counters.diffs_stale),
            diffs_waited: of(&counters.diffs_waited),
            diffs_given_up: of(&counters.diffs_given_up),
            diffs_malformed: of(&counters.diffs_malformed),
            trades_malformed: of(&counters.trades_malformed),
            gaps: of(&counters.gaps),
            snapshots_taken: of(&counters.snapshots_taken),
            snapshots_old: of(&counters.snapshots_old),
            snapshots_not_understood: of(&counters.snapshots_not_understood),
            levels_given_up: of(&counters.levels_given_up),
            derived: of(&counters.derived),
        }
    }

    /// The symbol with this name in upper case, if it is known.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Symbol>> {
        self.symbols.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All symbols, in the order of their names.
    pub(super) fn all(&self) -> Vec<Arc<Symbol>> {
        let symbols = self.symbols.read().unwrap_or_else(PoisonError::into_inner);
        symbols.values().cloned().collect()
    }

    /// The symbol with this name in any case, known from now on; `None` where there is no room.
    pub(super) fn symbol(&self, name: &str) -> Option<Arc<Symbol>> {
        let name = name.to_uppercase();
        if let Some(known) = self.find(&name) {
            return Some(known);
        }
        let mut symbols = self.symbols.write().unwrap_or_else(PoisonError::into_inner);
        if symbols.len() >= SYMBOLS_MAX {
            return None;
        }
        let symbol = symbols.entry(name.as_str().into()).or_insert_with(|| {
            count(&self.counters.symbols);
            Arc::new(Symbol::new(&name))
        });
        Some(Arc::clone(symbol))
    }

    /// Takes in the next diff of a symbol; where the book is in step with it, what is `wanted` of
    /// the book is told to `derive` while it is locked. Yields the time of a diff that was applied.
    pub(super) fn handle_diff(
        &self,
        symbol: &Symbol,
        stream: DiffStream,
        payload: &str,
        derive: Option<&mut Wanted>,
    ) -> Option<u64> {
        let mut market = symbol.lock();
        let was = market.book.update_id().is_some();
        let diffed = market.book.handle_diff(stream, payload);
        self.note_change(&mut market, was);
        let counters = &self.counters;
        match diffed {
            Diffed::Applied => count(&counters.diffs_applied),
            Diffed::Stale => count(&counters.diffs_stale),
            Diffed::Waits => count(&counters.diffs_waited),
            Diffed::NotADiff => count(&counters.diffs_malformed),
            Diffed::Gap { last, first } => {
                count(&counters.diffs_waited);
                count(&counters.gaps);
                tracing::warn!(
                    symbol = &*symbol.name,
                    last_update = last,
                    next_update = first,
                    "updates are missing: the order book is withdrawn until they or a snapshot come"
                );
            }
        }
        if let (Diffed::Applied, Some(wanted)) = (diffed, derive) {
            let Market { book, derived, .. } = &mut *market;
            derived.write(book, wanted);
        }
        (diffed == Diffed::Applied).then(|| market.book.event_time())
    }

    /// Takes in a snapshot of a symbol.
    pub(super) fn handle_snapshot(&self, symbol: &Symbol, payload: &str) {
        let mut market = symbol.lock();
        let was = market.book.update_id().is_some();
        let snapshotted = market.book.handle_snapshot(payload);
        self.note_change(&mut market, was);
        match snapshotted {
            Snapshotted::Taken => count(&self.counters.snapshots_taken),
            Snapshotted::Old => count(&self.counters.snapshots_old),
            Snapshotted::NotASnapshot => {
                drop(market);
                self.note_unknown_snapshot(&format!("it is no snapshot of {}", symbol.name));
            }
        }
    }

    /// Counts and reports a snapshot that nothing can be done with.
    pub(super) fn note_unknown_snapshot(&self, why: &str) {
        count(&self.counters.snapshots_not_understood);
        tracing::warn!("an order book in the feed is not understood: {why}");
    }

    /// What follows where a book was given something; `was` tells whether it was in step before.
    fn note_change(&self, market: &mut Market, was: bool) {
        market.prepared.clear();
        let is = market.book.update_id().is_some();
        match (was, is) {
            (false, true) => count(&self.counters.books),
            (true, false) => _ = self.counters.books.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        let GivenUp { levels, diffs } = market.book.take_given_up();
        if levels > 0 || diffs > 0 {
            self.counters.levels_given_up.fetch_add(levels, Ordering::Relaxed);
            self.counters.diffs_given_up.fetch_add(diffs, Ordering::Relaxed);
        }
    }
}

impl Symbol {
    fn new(name: &str) -> Self {
        let state = Market {
            book: Book::new(name),
            derived: Derived::default(),
            prepared: Vec::new(),
            steps: None,
            traded: assets::Decimals::default(),
        };
        Self { name: name.into(), names: Names::new(name), state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Market> {
        // A book whose feed panicked is whole all the same: what changes it is done with it or not.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Market {
    /// By what prices and quantities move, as far as is known.
    pub(super) fn steps(&self) -> Steps {
        let learnt = || self.book.decimals().or(self.traded).steps();
        self.steps.clone().unwrap_or_else(learnt)
    }

    fn answer(&mut self, limit: usize) -> Depth {
        let Self { book, prepared, derived, .. } = self;
        if book.update_id().is_none() {
            return Depth::Missing(match book.gap_after() {
                Some(last) => Missing::UpdatesAfter(last),
                None if derived.has_diffs() => Missing::Snapshot,
                None => Missing::DepthStream,
            });
        }
        // More levels than there are make no difference.
        let levels = limit.min(book.depth());
        if let Some((_, answer)) = prepared.iter().find(|(of, _)| *of == levels) {
            return Depth::Book(Arc::clone(answer));
        }
        let mut out = Vec::new();
        book.write(levels, &mut out);
        let answer = Arc::<[u8]>::from(out);
        if prepared.len() >= PREPARED_MAX {
            prepared.swap_remove(0);
        }
        prepared.push((levels, Arc::clone(&answer)));
        Depth::Book(answer)
    }
}
