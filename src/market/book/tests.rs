//! Tests of a book by what is told to it and what it answers, against one that is kept by the
//! letter.

use super::super::depth::price::Price;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const FAST: DiffStream = DiffStream::Fast;
const SLOW: DiffStream = DiffStream::Slow;

fn diff(first: u64, last: u64, bids: &str, asks: &str) -> String {
    let head = format!(r#""e":"depthUpdate","E":{last}000,"s":"BTCUSDT","U":{first},"u":{last}"#);
    format!(r#"{{{head},"b":[{bids}],"a":[{asks}]}}"#)
}

fn snapshot(last: u64, bids: &str, asks: &str) -> String {
    format!(r#"{{"lastUpdateId":{last},"bids":[{bids}],"asks":[{asks}]}}"#)
}

fn answer(book: &Book) -> String {
    let mut out = Vec::new();
    book.write(usize::MAX, &mut out);
    String::from_utf8(out).unwrap()
}

/// A book in step at update 10.
fn in_step() -> Book {
    let mut book = Book::new("BTCUSDT");
    let taken = book.handle_snapshot(&snapshot(10, r#"["5","1"],["4.50","2"]"#, r#"["6","1"]"#));
    assert_eq!((taken, book.update_id()), (Snapshotted::Taken, Some(10)));
    book
}

/// The rule: `U <= last + 1 <= u` follows, quantities are absolute, and zero deletes a level.
#[test]
fn diffs_that_follow_are_applied() {
    let mut book = in_step();
    let next = diff(9, 12, r#"["4.5","0.00"],["5.0","7.10"]"#, r#"["5.5","3"],["9","0"]"#);
    assert_eq!(book.handle_diff(FAST, &next), Diffed::Applied);
    assert_eq!(answer(&book), snapshot(12, r#"["5.0","7.10"]"#, r#"["5.5","3"],["6","1"]"#));
    assert_eq!(book.handle_diff(FAST, &diff(13, 13, r#"["5.2","1"]"#, "")), Diffed::Applied);
    assert_eq!((book.update_id(), book.event_time()), (Some(13), 13_000));
    let mut top = Vec::new();
    book.write(1, &mut top);
    assert_eq!(top, snapshot(13, r#"["5.2","1"]"#, r#"["5.5","3"]"#).as_bytes());
}

/// The rule: what says nothing new changes nothing, nor does what is no diff of the symbol.
#[test]
fn stale_and_foreign_diffs_change_nothing() {
    let mut book = in_step();
    let before = answer(&book);
    assert_eq!(book.handle_diff(FAST, &diff(3, 10, r#"["5","0"]"#, "")), Diffed::Stale);
    let foreign = diff(11, 11, r#"["5","0"]"#, "").replace("BTCUSDT", "ETHUSDT");
    for payload in [foreign.as_str(), "{}", "", r#"{"e":"trade"}"#] {
        assert_eq!(book.handle_diff(FAST, payload), Diffed::NotADiff, "{payload}");
    }
    assert_eq!(answer(&book), before);
    assert_eq!(book.handle_snapshot("{}"), Snapshotted::NotASnapshot);
    assert_eq!(book.handle_snapshot(&snapshot(10, "", "")), Snapshotted::Old);
    assert_eq!(answer(&book), before);
}

/// Gaps: the book is withdrawn, and a snapshot heals it with what came meanwhile, in any order.
#[test]
fn a_gap_withdraws_the_book_until_a_snapshot_heals_it() {
    let mut book = in_step();
    let gap = Diffed::Gap { last: 10, first: 13 };
    assert_eq!(book.handle_diff(FAST, &diff(13, 14, r#"["3","1"]"#, "")), gap);
    assert_eq!(
        (book.update_id(), book.gap_after(), answer(&book)),
        (None, Some(10), String::new())
    );
    assert_eq!(book.handle_diff(FAST, &diff(15, 15, r#"["2","1"]"#, "")), Diffed::Waits);
    assert!(book.waits_for(12) && book.waits_for(14) && !book.waits_for(11));
    assert_eq!(book.handle_snapshot(&snapshot(9, "", "")), Snapshotted::Old);
    assert_eq!(book.handle_snapshot(&snapshot(13, r#"["5","1"]"#, "")), Snapshotted::Taken);
    assert_eq!(answer(&book), snapshot(15, r#"["5","1"],["3","1"],["2","1"]"#, ""));
}

/// Gaps: a snapshot from before the gap is not enough.
#[test]
fn a_snapshot_that_nothing_follows_leaves_the_gap() {
    let mut book = in_step();
    book.handle_diff(FAST, &diff(20, 20, "", ""));
    assert_eq!(book.handle_snapshot(&snapshot(15, "", "")), Snapshotted::Taken);
    assert_eq!((book.update_id(), book.gap_after()), (None, Some(15)));
    assert_eq!(book.handle_diff(SLOW, &diff(16, 19, "", "")), Diffed::Applied);
    assert_eq!(book.update_id(), Some(20));
}

/// Streams: the coarser one closes what the finer left out, and is stale where nothing was.
#[test]
fn a_coarser_stream_closes_the_gap_of_a_finer() {
    let mut book = in_step();
    assert_eq!(book.handle_diff(FAST, &diff(11, 12, r#"["3","1"]"#, "")), Diffed::Applied);
    assert_eq!(book.handle_diff(SLOW, &diff(8, 12, r#"["3","1"]"#, "")), Diffed::Stale);
    assert!(matches!(
        book.handle_diff(FAST, &diff(15, 16, r#"["2","1"]"#, "")),
        Diffed::Gap { .. }
    ));
    let coarse = diff(13, 16, r#"["2","1"],["1","9"]"#, "");
    assert_eq!(book.handle_diff(SLOW, &coarse), Diffed::Applied);
    assert_eq!(book.update_id(), Some(16));
    assert!(answer(&book).contains(r#"["1","9"]"#));
    assert_eq!(book.handle_diff(FAST, &diff(17, 17, "", "")), Diffed::Applied);
}

/// Beginnings: the first update there is follows an empty book.
#[test]
fn a_stream_that_begins_with_the_first_update_needs_no_snapshot() {
    for first in [0, 1] {
        let mut book = Book::new("btcusdt");
        assert_eq!(book.handle_diff(FAST, &diff(first, 3, r#"["5","1"]"#, "")), Diffed::Applied);
        assert_eq!(answer(&book), snapshot(3, r#"["5","1"]"#, ""));
    }
    let mut book = Book::new("BTCUSDT");
    assert_eq!(book.handle_diff(FAST, &diff(2, 3, r#"["5","1"]"#, "")), Diffed::Waits);
    assert_eq!((book.update_id(), book.gap_after()), (None, None));
}

/// Beginnings: a recording that is played in a loop goes back to lower ids, with a snapshot before
/// its first diffs, or between them, or with none because its first update is the first there is.
#[test]
fn a_feed_that_begins_anew_is_followed() {
    let first = diff(101, 103, r#"["7","1"]"#, "");
    let second = diff(104, 105, r#"["8","1"]"#, "");
    let told = snapshot(103, r#"["1","1"]"#, "");
    let mut book = Book::new("BTCUSDT");
    for _ in 0..3 {
        book.handle_snapshot(&snapshot(100, "", ""));
        book.handle_diff(FAST, &first);
        assert_eq!(answer(&book), snapshot(103, r#"["7","1"]"#, ""), "a snapshot first");
        book.handle_diff(FAST, &second);
    }
    let mut book = Book::new("BTCUSDT");
    for _ in 0..3 {
        book.handle_diff(FAST, &first);
        assert_eq!(book.update_id(), None);
        assert_eq!(book.handle_snapshot(&told), Snapshotted::Taken);
        book.handle_diff(FAST, &second);
        assert_eq!(answer(&book), snapshot(105, r#"["8","1"],["1","1"]"#, ""), "between them");
    }
    let mut book = Book::new("BTCUSDT");
    for _ in 0..3 {
        book.handle_diff(FAST, &diff(1, 2, r#"["7","1"]"#, ""));
        assert_eq!(answer(&book), snapshot(2, r#"["7","1"]"#, ""), "the first update");
        book.handle_diff(FAST, &diff(3, 9, r#"["8","1"]"#, ""));
    }
}

/// Datagrams: one that comes late, or again, costs the book at most until the next.
#[test]
fn a_diff_that_comes_late_or_again_does_no_harm() {
    let mut book = in_step();
    for (first, last) in [(11, 11), (12, 13)] {
        book.handle_diff(FAST, &diff(first, last, "", ""));
    }
    assert_eq!(book.handle_diff(FAST, &diff(12, 13, "", "")), Diffed::Stale, "again");
    assert!(matches!(book.handle_diff(FAST, &diff(11, 11, "", "")), Diffed::Gap { .. }), "late");
    assert_eq!(book.handle_diff(FAST, &diff(14, 14, "", "")), Diffed::Applied);
    assert_eq!(book.update_id(), Some(14));
    book.handle_diff(FAST, &diff(16, 16, r#"["2","1"]"#, ""));
    assert_eq!(
        book.handle_diff(FAST, &diff(15, 15, "", "")),
        Diffed::Applied,
        "the wrong way round"
    );
    assert_eq!(book.update_id(), Some(16));
}

/// Bounds: what is given up is told, once.
#[test]
fn what_is_given_up_is_told() {
    let mut book = Book::new("BTCUSDT");
    for id in 0..WAITING_DIFFS_MAX as u64 + 3 {
        book.handle_diff(FAST, &diff(10 + id, 10 + id, "", ""));
    }
    let levels: Vec<String> =
        (0..LEVELS_MAX + 2).map(|price| format!(r#"["{price}","1"]"#)).collect();
    book.handle_snapshot(&snapshot(5000, &levels.join(","), ""));
    assert_eq!(book.take_given_up(), GivenUp { levels: 2, diffs: 3 });
    assert_eq!(book.take_given_up(), GivenUp::default());
    assert_eq!(book.depth(), LEVELS_MAX);
}

/// A book that is kept by the letter of the exchange's instructions, with every level in a tree.
#[derive(Default)]
struct Naive {
    last: Option<u64>,
    bids: BTreeMap<Price, (String, String)>,
    asks: BTreeMap<Price, (String, String)>,
}

type Levels = Vec<(u8, u8)>;

impl Naive {
    fn set(&mut self, bids: &Levels, asks: &Levels) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for (price, quantity) in levels {
                let (price, quantity) = (price.to_string(), quantity.to_string());
                let number = Price::parse(&price).unwrap();
                if quantity == "0" {
                    side.remove(&number);
                } else {
                    side.insert(number, (price, quantity));
                }
            }
        }
    }

    fn answer(&self) -> String {
        fn written<'a>(levels: impl Iterator<Item = &'a (String, String)>) -> String {
            let levels = levels.map(|(price, quantity)| format!(r#"["{price}","{quantity}"]"#));
            levels.collect::<Vec<_>>().join(",")
        }
        let (bids, asks) = (written(self.bids.values().rev()), written(self.asks.values()));
        self.last.map_or_else(String::new, |last| snapshot(last, &bids, &asks))
    }
}

fn written(levels: &Levels) -> String {
    let levels = levels.iter().map(|(price, quantity)| format!(r#"["{price}","{quantity}"]"#));
    levels.collect::<Vec<_>>().join(",")
}

proptest! {
    /// Standing oracle: a feed of one stream, with updates lost and snapshots of any age, always
    /// gives the naive book's levels at the same update, or none.
    #[test]
    fn a_book_in_step_is_the_naive_one(
        steps in prop::collection::vec(
            (
                prop::collection::vec((0_u8..12, 0_u8..3), 0..4),
                prop::collection::vec((0_u8..12, 0_u8..3), 0..4),
                0_u8..8,
                1_u64..4,
            ),
            1..40,
        ),
    ) {
        let mut naive = Naive { last: Some(99), ..Naive::default() };
        let mut book = Book::new("BTCUSDT");
        let mut history: Vec<(u64, String)> = vec![(99, naive.answer())];
        for (bids, asks, what, length) in steps {
            let first = naive.last.unwrap() + 1;
            let last = first + length - 1;
            naive.set(&bids, &asks);
            naive.last = Some(last);
            history.push((last, naive.answer()));
            let payload = diff(first, last, &written(&bids), &written(&asks));
            // One in eight is lost, and after three in eight comes a snapshot: of now, or earlier.
            if what != 0 {
                book.handle_diff(FAST, &payload);
            }
            if what >= 5 {
                let age = usize::from(what) - 5;
                let (_, old) = &history[history.len().saturating_sub(1 + age)];
                book.handle_snapshot(old);
            }
            if let Some(update) = book.update_id() {
                let (_, expected) = history.iter().find(|(at, _)| *at == update).unwrap();
                prop_assert_eq!(&answer(&book), expected);
                prop_assert!(what == 0 || update == last, "what came is in it");
            }
            if what == 5 {
                prop_assert_eq!(book.update_id(), Some(last), "a snapshot of now heals");
            }
        }
    }
}
