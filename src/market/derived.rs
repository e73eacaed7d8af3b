//! Streams that are made from a book because the feed does not carry them: the best levels
//! (`@depth5`, `10`, `20`, with and without `@100ms`) and `@bookTicker`.
//!
//! Time is that of the feed's events (`E`), so that the same recording always gives the same bytes.
//! Invariant: a stream that was announced or seen is not derived from then on.

use super::book::Book;
use super::depth::diff::Level;

/// The kinds of stream that can be derived, and the number of levels of each.
const KINDS: [(&str, Kind); 7] = [
    ("bookTicker", Kind::Best),
    ("depth5@100ms", Kind::Fast(5)),
    ("depth10@100ms", Kind::Fast(10)),
    ("depth20@100ms", Kind::Fast(20)),
    ("depth5", Kind::EachSecond(5)),
    ("depth10", Kind::EachSecond(10)),
    ("depth20", Kind::EachSecond(20)),
];

/// When a stream has an event, and of how many levels.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Whenever the best price or its quantity has changed.
    Best,
    /// At each diff, where there is a stream of diffs each 100 ms.
    Fast(usize),
    /// Once in a second of the feed's time.
    EachSecond(usize),
}

/// The names of a symbol's derived streams, each at the place of its kind.
#[derive(Debug)]
pub(super) struct Names([Box<str>; KINDS.len()]);

impl Names {
    pub(super) fn new(symbol: &str) -> Self {
        let symbol = symbol.to_lowercase();
        Self(KINDS.map(|(kind, _)| format!("{symbol}@{kind}").into()))
    }
}

/// What is derived of one symbol, and what was last said.
#[derive(Debug, Default)]
pub(super) struct Derived {
    /// Which kinds the feed carries, by place.
    fed: [bool; KINDS.len()],
    has_fast_diffs: bool,
    has_slow_diffs: bool,
    best: Option<(Level, Level)>,
    /// The second of the feed's time in which `EachSecond` was last due.
    second: Option<u64>,
}

/// Where derived payloads are written: one behind the other, with the places of their kinds.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    payloads: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl Derived {
    /// Notes that the feed carries a stream of this kind: it is derived no more.
    pub(super) fn note_fed(&mut self, kind: &str) {
        match kind {
            "depth@100ms" => self.has_fast_diffs = true,
            "depth" | "depth@1000ms" => self.has_slow_diffs = true,
            _ => {}
        }
        for (fed, _) in self.fed.iter_mut().zip(KINDS).filter(|(_, (of, _))| *of == kind) {
            *fed = true;
        }
    }

    /// Whether the feed carries diffs.
    pub(super) fn has_diffs(&self) -> bool {
        self.has_fast_diffs || self.has_slow_diffs
    }

    /// The names of the streams that are derived.
    pub(super) fn names<'n>(&self, names: &'n Names) -> impl Iterator<Item = &'n str> {
        let wanted = self.wanted();
        names.0.iter().zip(wanted).filter_map(|(name, wanted)| wanted.then_some(&**name))
    }

    fn wanted(&self) -> [bool; KINDS.len()] {
        let mut wanted = self.fed.map(|fed| !fed && self.has_diffs());
        for (wanted, (_, kind)) in wanted.iter_mut().zip(KINDS) {
            if matches!(kind, Kind::Fast(_)) && !self.has_fast_diffs {
                *wanted = false;
            }
        }
        wanted
    }

    /// Writes what a book in step has to say after a diff.
    pub(super) fn write(&mut self, book: &Book, out: &mut Wanted) {
        let wanted = self.wanted();
        if book.update_id().is_none() || !wanted.contains(&true) {
            return;
        }
        let best = book.best();
        let best_changed = best.is_some() && best != self.best;
        self.best = best;
        let second = book.event_time() / 1000;
        let new_second = self.second.is_none_or(|last| second != last);
        self.second = Some(second);
        for (place, (_, kind)) in KINDS.into_iter().enumerate() {
            if !wanted.get(place).is_some_and(|wanted| *wanted) {
                continue;
            }
            match (kind, best) {
                (Kind::Best, Some(best)) if best_changed => {
                    book.write_book_ticker(&best, &mut out.payloads);
                }
                (Kind::Fast(levels), _) => book.write(levels, &mut out.payloads),
                (Kind::EachSecond(levels), _) if new_second => {
                    book.write(levels, &mut out.payloads);
                }
                _ => continue,
            }
            out.ends.push((place, out.payloads.len()));
        }
    }
}

impl Wanted {
    pub(super) fn clear(&mut self) {
        self.payloads.clear();
        self.ends.clear();
    }

    /// The streams and payloads written, in order.
    pub(super) fn events<'a>(
        &'a self,
        names: &'a Names,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut start = 0;
        self.ends.iter().filter_map(move |(place, end)| {
            let payload = self.payloads.get(start..*end);
            start = *end;
            // What the book writes is digits and JSON, which is UTF-8.
            Some((&**names.0.get(*place)?, str::from_utf8(payload?).ok()?))
        })
    }
}
