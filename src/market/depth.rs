//! Order-book differences (`depthUpdate`) folded into one, for clients that lag.
//!
//! The rule of the exchange is that the `U` of a diff is the `u` of the one before it and 1. So a
//! client that has missed diffs loses nothing by getting one in their place, from the `U` of the
//! first to the `u` of the last, with the newest quantity of each level that they change.
//! [`DepthFold`] takes in each event of a stream once, however many clients lag on it, and says to
//! each what it has missed. Knows no topics and no clients: events are told apart by a number that
//! grows.
//! Invariant: what is said of events from one number on is what they say one by one; a gap between
//! their ids is never hidden; and no more than `levels_max` levels are held.

pub(super) mod diff;
pub(super) mod price;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use self::diff::{Diff, Level};
use self::price::{Digits, Price, push_levels};
use super::json::push_string;

/// How many changed levels a fold holds unless told otherwise: 2 to 3 MB of them.
pub const LEVELS_MAX: usize = 20_000;

/// Reads the `U` of a diff: the id of the first update in it. `None` of what is no diff.
#[must_use]
pub fn first_update_id(payload: &[u8]) -> Option<u64> {
    Diff::parse(payload).map(|diff| diff.first_update_id)
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absorbed {
    /// It is in the fold.
    Folded,
    /// It is no diff of this book, and the fold is as it was. Nothing can take the place of such an
    /// event: it has to be sent as it is, after what the fold says.
    NotADiff,
    /// It changes more levels than there is room for. Everything is forgotten, and whoever waits
    /// for this event or an earlier one cannot be told what they said.
    Full,
    /// Its number is not above the one before it. Everything is forgotten, as by [`Self::Full`].
    OutOfOrder,
}

/// What [`DepthFold::since`] had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// No event has come from that number on; nothing was written.
    Nothing,
    /// All that they say together.
    Whole,
    /// There is a gap between their ids. What was written is said by those after the last gap, with
    /// the `U` of the first of these: the client sees the gap, and takes a new snapshot.
    AfterGap,
    /// The fold does not know, and nothing was written: it has forgotten those events, or the feed
    /// began anew at the very id that the client waits for, so that the client would not see it.
    Unknown,
}

/// What a stream's diffs say together, from any of several numbers on.
///
/// # Example
/// ```
/// use tickwire::market::depth::{Absorbed, DepthFold, Since};
///
/// let mut fold = DepthFold::default();
/// for (seq, payload) in [
///     (7, r#"{"e":"depthUpdate","E":10,"s":"BTC","U":1,"u":3,"b":[["5.0","1"]],"a":[]}"#),
///     (8, r#"{"e":"depthUpdate","E":20,"s":"BTC","U":4,"u":4,"b":[],"a":[["6.0","2"]]}"#),
///     (9, r#"{"e":"depthUpdate","E":30,"s":"BTC","U":5,"u":9,"b":[["5.0","0"]],"a":[]}"#),
/// ] {
///     assert_eq!(fold.absorb(seq, payload.as_bytes()), Absorbed::Folded);
/// }
///
/// // To a client that has got none of them: the first has number 7, and its U is 1.
/// let mut out = Vec::new();
/// assert_eq!(fold.since(7, 1, &mut out), Since::Whole);
/// assert_eq!(
///     String::from_utf8(out).unwrap(),
///     r#"{"e":"depthUpdate","E":30,"s":"BTC","U":1,"u":9,"b":[["5.0","0"]],"a":[["6.0","2"]]}"#,
/// );
/// ```
#[derive(Debug)]
pub struct DepthFold {
    levels_max: usize,
    /// Of events with lower numbers nothing is known. `None`: there was no event yet.
    known_from: Option<u64>,
    run: Option<Run>,
    bids: BTreeMap<Price, Change>,
    asks: BTreeMap<Price, Change>,
}

/// The events since the last gap between ids; those that [`DepthFold::bids`] and asks come from.
#[derive(Debug)]
struct Run {
    first_seq: u64,
    first_update_id: u64,
    last_seq: u64,
    last_update_id: u64,
    event_time: u64,
    symbol: Box<str>,
}

/// What was last said of a level.
#[derive(Clone, Copy, Debug)]
struct Change {
    seq: u64,
    price: Digits,
    quantity: Digits,
}

impl Default for DepthFold {
    fn default() -> Self {
        Self::new(LEVELS_MAX)
    }
}

impl DepthFold {
    /// An empty fold that will hold up to `levels_max` levels, of both sides together.
    #[must_use]
    pub fn new(levels_max: usize) -> Self {
        let (bids, asks) = (BTreeMap::new(), BTreeMap::new());
        Self { levels_max, known_from: None, run: None, bids, asks }
    }

    /// How many levels are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bids.len() + self.asks.len()
    }

    /// Whether no level is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in the stream's next event. `seq` is above that of the one before.
    pub fn absorb(&mut self, seq: u64, payload: &[u8]) -> Absorbed {
        let Some(diff) = Diff::parse(payload) else { return Absorbed::NotADiff };
        if self.run.as_ref().is_some_and(|run| *run.symbol != *diff.symbol) {
            return Absorbed::NotADiff;
        }
        if self.run.as_ref().is_some_and(|run| seq <= run.last_seq) {
            self.forget_all(seq);
            return Absorbed::OutOfOrder;
        }
        self.known_from.get_or_insert(seq);
        self.follow(seq, &diff);
        for (levels, side) in [(&diff.bids, Side::Bid), (&diff.asks, Side::Ask)] {
            for level in levels {
                if !self.change(seq, side, level) {
                    self.forget_all(seq);
                    return Absorbed::Full;
                }
            }
        }
        Absorbed::Folded
    }

    /// Notes the ids of a diff, and lets go of what came before a gap: nobody can use it.
    fn follow(&mut self, seq: u64, diff: &Diff<'_>) {
        // "U of the next = u of this + 1"
        let next = self.run.as_mut().filter(|run| {
            run.last_update_id.checked_add(1).is_some_and(|next| next == diff.first_update_id)
        });
        if let Some(run) = next {
            run.last_seq = seq;
            run.last_update_id = diff.last_update_id;
            run.event_time = diff.event_time;
            return;
        }
        self.bids.clear();
        self.asks.clear();
        self.run = Some(Run {
            first_seq: seq,
            first_update_id: diff.first_update_id,
            last_seq: seq,
            last_update_id: diff.last_update_id,
            event_time: diff.event_time,
            symbol: diff.symbol.into(),
        });
    }

    /// Notes what a diff says of one level; `false` where there is no room for it.
    fn change(&mut self, seq: u64, side: Side, level: &Level) -> bool {
        let full = self.len() >= self.levels_max;
        let levels = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        let change = Change { seq, price: level.digits, quantity: level.quantity };
        match levels.entry(level.price) {
            Entry::Occupied(mut entry) => _ = entry.insert(change),
            Entry::Vacant(_) if full => return false,
            Entry::Vacant(entry) => _ = entry.insert(change),
        }
        true
    }

    /// Knows nothing any more, of event `seq` neither.
    fn forget_all(&mut self, seq: u64) {
        self.bids.clear();
        self.asks.clear();
        let newest = self.run.take().map_or(seq, |run| run.last_seq.max(seq));
        let after = newest.saturating_add(1);
        self.known_from = Some(self.known_from.map_or(after, |from| from.max(after)));
    }

    /// Appends one diff that says what all events from number `seq` on say together. The `U` of
    /// event `seq` is `first_update_id`; the newest event has said the rest of what is no level.
    /// Bids go from high to low and asks from low to high, prices and quantities as they came.
    pub fn since(&self, seq: u64, first_update_id: u64, out: &mut Vec<u8>) -> Since {
        if self.known_from.is_some_and(|from| seq < from) {
            return Since::Unknown;
        }
        let Some(run) = self.run.as_ref().filter(|run| seq <= run.last_seq) else {
            return Since::Nothing;
        };
        let (first, said) = if seq >= run.first_seq {
            (first_update_id, Since::Whole)
        } else if run.first_update_id != first_update_id {
            (run.first_update_id, Since::AfterGap)
        } else {
            return Since::Unknown;
        };
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(br#"{"e":"depthUpdate","E":"#);
        out.extend_from_slice(digits.format(run.event_time).as_bytes());
        out.extend_from_slice(br#","s":"#);
        push_string(&run.symbol, out);
        out.extend_from_slice(br#","U":"#);
        out.extend_from_slice(digits.format(first).as_bytes());
        out.extend_from_slice(br#","u":"#);
        out.extend_from_slice(digits.format(run.last_update_id).as_bytes());
        out.extend_from_slice(br#","b":["#);
        push_since(self.bids.values().rev(), seq, out);
        out.extend_from_slice(br#"],"a":["#);
        push_since(self.asks.values(), seq, out);
        out.extend_from_slice(b"]}");
        said
    }

    /// Lets go of what only those need who wait for events before number `seq`: nobody does.
    /// Looks at every level.
    pub fn forget_before(&mut self, seq: u64) {
        self.known_from = self.known_from.map(|from| from.max(seq));
        self.bids.retain(|_, change| change.seq >= seq);
        self.asks.retain(|_, change| change.seq >= seq);
    }
}

#[derive(Clone, Copy)]
enum Side {
    Bid,
    Ask,
}

fn push_since<'a>(changes: impl Iterator<Item = &'a Change>, seq: u64, out: &mut Vec<u8>) {
    let since = changes.filter(|change| change.seq >= seq);
    push_levels(since.map(|change| (&change.price, &change.quantity)), out);
}
