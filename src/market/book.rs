//! The order book of one symbol, kept from its differences (`depthUpdate`).
//!
//! The exchange's rule: a diff from `U` to `u` follows a book of update `last` where `U <= last + 1
//! <= u`; its quantities are absolute, and zero deletes a level. The diff streams of a symbol share
//! one sequence of ids, so a book takes them all: the finest brings each update first, what a
//! coarser one says then is stale, and where the finer one has left something out the coarser
//! closes the gap. Knows no streams' names, no clock and no threads.
//!
//! Invariant: a book that is in step holds what its snapshot and each update since then say, but
//! for levels beyond [`LEVELS_MAX`]; and one that may lack an update is not in step.

mod side;
mod snapshot;
#[cfg(test)]
mod tests;
mod waiting;

use self::side::{Kind, Side};
use self::snapshot::Snapshot;
pub(super) use self::snapshot::snapshot_update_id;
pub use self::waiting::{WAITING_BYTES_MAX, WAITING_DIFFS_MAX};
use self::waiting::{Waiting, Waits};
use super::assets::Decimals;
use super::depth::diff::{Diff, Level};
use super::depth::price::push_levels;
use super::json::push_string;

/// The most levels of a side. Beyond them the farthest are given up.
pub const LEVELS_MAX: usize = 20_000;
/// How many levels are looked at for their decimals: after so many there are none that have not
/// come.
const LEVELS_LEARNT_FROM: u32 = 10_000;

/// Which of a symbol's diff streams an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffStream {
    /// `@depth@100ms`.
    Fast,
    /// `@depth`.
    Slow,
    /// `@depth@1000ms`, another name for `@depth`.
    SlowByTime,
}

impl DiffStream {
    /// The stream of this kind: what follows the symbol and the first `@` in its name.
    #[must_use]
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "depth@100ms" => Some(Self::Fast),
            "depth" => Some(Self::Slow),
            "depth@1000ms" => Some(Self::SlowByTime),
            _ => None,
        }
    }
}

/// What became of a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diffed {
    /// It is in the book.
    Applied,
    /// The book has all that it says.
    Stale,
    /// There is no book, or one that lacks updates before this: it is kept for when they have come.
    Waits,
    /// The same, and the book was in step until now: updates between these two ids are missing, or
    /// the feed has begun anew with lower ones.
    Gap {
        /// The last update that the book has.
        last: u64,
        /// The diff's `U`.
        first: u64,
    },
    /// It is no diff of this symbol, and the book is as it was.
    NotADiff,
}

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshotted {
    /// It is the book now, with what waited and follows it.
    Taken,
    /// The book is as new.
    Old,
    /// It is none, and the book is as it was.
    NotASnapshot,
}

/// What was given up for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Levels far from the best price.
    pub levels: u64,
    /// Diffs that waited.
    pub diffs: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is known.
    Nothing,
    InStep,
    /// An update after the last one is missing.
    Behind,
    /// The feed has gone back to lower ids.
    BeganAnew,
}

/// An order book.
///
/// # Example
/// ```
/// use tickwire::market::book::{Book, DiffStream, Diffed, Snapshotted};
///
/// let mut book = Book::new("BTCUSDT");
/// let diff =
///     r#"{"e":"depthUpdate","E":9,"s":"BTCUSDT","U":157,"u":160,"b":[["24.0","10"]],"a":[]}"#;
/// assert_eq!(book.handle_diff(DiffStream::Fast, diff), Diffed::Waits);
///
/// // A snapshot from before that diff: it follows, and the book is in step.
/// let snapshot = r#"{"lastUpdateId":158,"bids":[["24.0","3"]],"asks":[["26.0","1"]]}"#;
/// assert_eq!(book.handle_snapshot(snapshot), Snapshotted::Taken);
/// assert_eq!(book.update_id(), Some(160));
///
/// let mut out = Vec::new();
/// book.write(100, &mut out);
/// assert_eq!(out, br#"{"lastUpdateId":160,"bids":[["24.0","10"]],"asks":[["26.0","1"]]}"#);
/// ```
#[derive(Debug)]
pub struct Book {
    symbol: Box<str>,
    state: State,
    /// The last update that the levels have.
    last: u64,
    bids: Side,
    asks: Side,
    /// The time of the newest diff in it, in milliseconds.
    event_time: u64,
    waiting: Waiting,
    /// The `u` of each stream's last diff.
    seen: [Option<u64>; 3],
    /// A snapshot that was too old, until the next diff tells whether the feed has begun anew.
    passed_over: Option<Box<str>>,
    decimals: Decimals,
    /// How many levels are still looked at for their decimals.
    left_to_learn: u32,
    given_up: GivenUp,
}

impl Book {
    /// A book of which nothing is known yet. Diffs of other symbols are none of it.
    #[must_use]
    pub fn new(symbol: &str) -> Self {
        Self {
            symbol: symbol.into(),
            state: State::Nothing,
            last: 0,
            bids: Side::new(Kind::Bids),
            asks: Side::new(Kind::Asks),
            event_time: 0,
            waiting: Waiting::default(),
            seen: [None; 3],
            passed_over: None,
            decimals: Decimals::default(),
            left_to_learn: LEVELS_LEARNT_FROM,
            given_up: GivenUp::default(),
        }
    }

    /// The last update in it; `None` where it is not in step.
    #[must_use]
    pub fn update_id(&self) -> Option<u64> {
        (self.state == State::InStep).then_some(self.last)
    }

    /// The last update before the first that is missing, where there is such a gap.
    #[must_use]
    pub fn gap_after(&self) -> Option<u64> {
        matches!(self.state, State::Behind | State::BeganAnew).then_some(self.last)
    }

    /// The time of the newest diff in it, in milliseconds since 1970; 0 before the first.
    #[must_use]
    pub fn event_time(&self) -> u64 {
        self.event_time
    }

    /// How many levels the longer side has.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.bids.len().max(self.asks.len())
    }

    /// What was given up since this was last asked.
    pub fn take_given_up(&mut self) -> GivenUp {
        std::mem::take(&mut self.given_up)
    }

    /// Takes in the next diff of a stream.
    pub fn handle_diff(&mut self, stream: DiffStream, payload: &str) -> Diffed {
        let diff = Diff::parse(payload.as_bytes());
        let Some(diff) = diff.filter(|diff| diff.symbol.eq_ignore_ascii_case(&self.symbol)) else {
            return Diffed::NotADiff;
        };
        let before = self.update_id();
        if self.goes_back(stream, &diff) {
            self.begin_anew();
        } else {
            self.passed_over = None;
        }
        let unknown = matches!(self.state, State::Nothing | State::BeganAnew);
        if unknown && diff.first_update_id <= 1 {
            // The first update there is: before it the book was empty.
            self.replace(diff.first_update_id.saturating_sub(1), &[], &[]);
        }
        if self.state != State::Nothing
            && self.is_followed_by(diff.first_update_id, diff.last_update_id)
        {
            self.apply(&diff);
            self.catch_up();
            return Diffed::Applied;
        }
        let known = matches!(self.state, State::InStep | State::Behind);
        if known && diff.last_update_id <= self.last {
            return Diffed::Stale;
        }
        let waits = Waits::new(diff.first_update_id, diff.last_update_id, payload);
        self.given_up.diffs += self.waiting.push(waits);
        if self.state == State::InStep {
            self.state = State::Behind;
        }
        match before {
            Some(last) => Diffed::Gap { last, first: diff.first_update_id },
            None => Diffed::Waits,
        }
    }

    /// Takes in a whole book, as the REST interface answers it.
    pub fn handle_snapshot(&mut self, payload: &str) -> Snapshotted {
        let Some(snapshot) = Snapshot::parse(payload) else { return Snapshotted::NotASnapshot };
        let known = matches!(self.state, State::InStep | State::Behind);
        if known && snapshot.last_update_id <= self.last {
            self.passed_over = Some(payload.into());
            return Snapshotted::Old;
        }
        self.replace(snapshot.last_update_id, &snapshot.bids, &snapshot.asks);
        self.catch_up();
        Snapshotted::Taken
    }

    /// Whether a snapshot of this update would be followed by what waits.
    #[must_use]
    pub fn waits_for(&self, update_id: u64) -> bool {
        self.waiting.iter().any(|waits| waits.follows(update_id))
    }

    /// Appends the best levels, up to `limit` a side, as the REST interface answers them: prices
    /// and quantities are in the feed's own digits. Nothing is appended of a book that is not in
    /// step.
    pub fn write(&self, limit: usize, out: &mut Vec<u8>) {
        if self.state != State::InStep {
            return;
        }
        out.extend_from_slice(br#"{"lastUpdateId":"#);
        out.extend_from_slice(itoa::Buffer::new().format(self.last).as_bytes());
        out.extend_from_slice(br#","bids":["#);
        push_best(&self.bids, limit, out);
        out.extend_from_slice(br#"],"asks":["#);
        push_best(&self.asks, limit, out);
        out.extend_from_slice(b"]}");
    }

    /// Appends the payload of a `@bookTicker` that tells the best bid and ask.
    pub(super) fn write_book_ticker(&self, (bid, ask): &(Level, Level), out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"u":"#);
        out.extend_from_slice(itoa::Buffer::new().format(self.last).as_bytes());
        out.extend_from_slice(br#","s":"#);
        push_string(&self.symbol, out);
        for (key, digits) in [
            (br#","b":""#, &bid.digits),
            (br#","B":""#, &bid.quantity),
            (br#","a":""#, &ask.digits),
            (br#","A":""#, &ask.quantity),
        ] {
            out.extend_from_slice(key);
            out.extend_from_slice(digits.as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
    }

    /// The best bid and ask, where it is in step and has both.
    pub(super) fn best(&self) -> Option<(Level, Level)> {
        self.update_id()?;
        Some((*self.bids.iter().next()?, *self.asks.iter().next()?))
    }

    pub(super) fn decimals(&self) -> Decimals {
        self.decimals
    }

    /// Whether a stream has gone back behind what it said before, and behind all that is known. One
    /// diff that came late or again is not told from a feed that begins anew; the next one tells.
    fn goes_back(&mut self, stream: DiffStream, diff: &Diff<'_>) -> bool {
        let [fast, slow, slow_by_time] = &mut self.seen;
        let seen = match stream {
            DiffStream::Fast => fast,
            DiffStream::Slow => slow,
            DiffStream::SlowByTime => slow_by_time,
        };
        let last = diff.last_update_id;
        let back = seen.replace(last).is_some_and(|seen| last < seen);
        back && match self.state {
            State::Nothing => self.waiting.iter().all(|waits| last < waits.first),
            State::InStep | State::Behind => last <= self.last,
            State::BeganAnew => false,
        }
    }

    /// What is known may be of another run of the feed: only what follows from now on tells.
    fn begin_anew(&mut self) {
        self.waiting.clear();
        if self.state != State::Nothing {
            self.state = State::BeganAnew;
        }
        if let Some(snapshot) = self.passed_over.take() {
            self.handle_snapshot(&snapshot);
        }
    }

    fn is_followed_by(&self, first: u64, last: u64) -> bool {
        first <= self.last.saturating_add(1) && last > self.last
    }

    /// Begins from these levels.
    fn replace(&mut self, last: u64, bids: &[Level], asks: &[Level]) {
        (self.bids, self.asks) = (Side::new(Kind::Bids), Side::new(Kind::Asks));
        self.set(bids, asks);
        self.last = last;
        self.passed_over = None;
        self.state = State::InStep;
    }

    fn apply(&mut self, diff: &Diff<'_>) {
        self.set(&diff.bids, &diff.asks);
        self.last = diff.last_update_id;
        self.event_time = self.event_time.max(diff.event_time);
    }

    fn set(&mut self, bids: &[Level], asks: &[Level]) {
        let mut given_up = 0;
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels {
                given_up += side.set(level);
                if self.left_to_learn > 0 {
                    self.left_to_learn -= 1;
                    self.decimals.note(level.digits.decimals(), level.quantity.decimals());
                }
            }
        }
        self.given_up.levels += u64::try_from(given_up).unwrap_or(u64::MAX);
    }

    /// Applies what waits and follows, in any order, and says whether that is all.
    fn catch_up(&mut self) {
        loop {
            let last = self.last;
            self.waiting.forget_up_to(last);
            let Some(next) = self.waiting.take_following(last) else { break };
            // It was a diff when it came.
            if let Some(diff) = Diff::parse(next.payload.as_bytes()) {
                self.apply(&diff);
            }
        }
        self.state = if self.waiting.is_empty() { State::InStep } else { State::Behind };
    }
}

fn push_best(side: &Side, limit: usize, out: &mut Vec<u8>) {
    push_levels(side.iter().take(limit).map(|level| (&level.digits, &level.quantity)), out);
}
