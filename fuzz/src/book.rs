//! An order book: diffs of three streams that are lost, repeated, late or begin anew, snapshots of
//! any age, and payloads of any kind, beside a market in which every update says by its id what it
//! is.

use super::script::Script;
use std::collections::BTreeMap;
use tickwire::market::book::{Book, DiffStream, Diffed, Snapshotted};

const STREAMS: [DiffStream; 3] = [DiffStream::Fast, DiffStream::Slow, DiffStream::SlowByTime];
/// With the number in hundredths: ten levels.
const PRICES: [(&str, u64); 12] = [
    ("1", 100),
    ("01.0", 100),
    ("2", 200),
    ("2.50", 250),
    ("3", 300),
    ("10", 1000),
    ("9", 900),
    ("0.5", 50),
    ("7", 700),
    ("7.00", 700),
    ("8", 800),
    ("4", 400),
];
const QUANTITIES: [&str; 4] = ["0", "1", "0.000", "22.50"];
/// Beyond every id that a script can say.
const ID_END: u64 = 1000;

/// A book that is in step is the market's at that update, whatever came before.
pub fn book(bytes: &[u8]) {
    let mut book = Book::new("X");
    let mut script = Script::new(bytes);
    let mut next = 1;
    while !script.is_empty() {
        let step = script.byte();
        let stream = one_of(&STREAMS, usize::from(step >> 4));
        match step & 0x0f {
            // The next one, of one update or more.
            kind @ 0..=5 => {
                let last = next + u64::from(kind);
                book.handle_diff(stream, &diff(next, last));
                next = last + 1;
            }
            // Any one: late, again, or with updates missing before it.
            6..=8 => {
                let first = u64::from(script.byte());
                book.handle_diff(stream, &diff(first, first + u64::from(script.byte() & 7)));
            }
            // Lost on the way.
            9 => next += u64::from(script.byte() & 15),
            10 => next = u64::from(script.byte()),
            11..=14 => _ = book.handle_snapshot(&at(u64::from(script.byte()))),
            _ => check_payload(&mut book, script.bytes(usize::MAX)),
        }
        check(&book);
    }
    let taken = book.handle_snapshot(&at(ID_END));
    assert_eq!((taken, book.update_id()), (Snapshotted::Taken, Some(ID_END)), "a new one heals");
    check(&book);
    assert_eq!(book.handle_diff(DiffStream::Fast, &diff(ID_END + 1, ID_END + 2)), Diffed::Applied);
    check(&book);
}

fn check(book: &Book) {
    let mut out = Vec::new();
    book.write(usize::MAX, &mut out);
    match book.update_id() {
        Some(update) => assert_eq!(str::from_utf8(&out), Ok(at(update).as_str())),
        None => assert!(out.is_empty(), "of a book that is not in step nothing is told"),
    }
}

/// A payload of another kind changes nothing, and one that is a diff cannot be told from the
/// feed's.
fn check_payload(book: &mut Book, payload: &[u8]) {
    let Ok(payload) = str::from_utf8(payload) else { return };
    let mut other = Book::new("Y");
    for stream in STREAMS {
        other.handle_diff(stream, payload);
        other.handle_snapshot(payload);
    }
    let before = book.update_id();
    if book.handle_diff(DiffStream::Fast, payload) == Diffed::NotADiff
        && book.handle_snapshot(payload) == Snapshotted::NotASnapshot
    {
        assert_eq!(book.update_id(), before);
    } else {
        // It is no update of the market's.
        *book = Book::new("X");
    }
}

/// The newest texts of each level, by side and price in hundredths.
type Levels = BTreeMap<(bool, u64), (&'static str, &'static str)>;

/// What updates say together: each sets one level, by its id.
fn updates(first: u64, last: u64) -> Levels {
    (first..=last)
        .map(|id| {
            let mixed = usize::try_from(id.wrapping_mul(0x9e37_79b9) >> 7).unwrap_or_default();
            let (text, hundredths) = one_of(&PRICES, mixed >> 1);
            ((mixed & 1 == 0, hundredths), (text, one_of(&QUANTITIES, mixed >> 9)))
        })
        .collect()
}

fn one_of<T: Copy>(all: &[T], index: usize) -> T {
    *all.get(index % all.len()).expect("within its length")
}

fn written(levels: &Levels, of_bids: bool) -> String {
    let side = levels.iter().filter(|((is_bid, _), _)| *is_bid == of_bids);
    let texts = side.map(|(_, (price, quantity))| format!(r#"["{price}","{quantity}"]"#));
    let mut texts: Vec<String> = texts.collect();
    if of_bids {
        texts.reverse();
    }
    texts.join(",")
}

fn diff(first: u64, last: u64) -> String {
    let levels = updates(first.max(1), last);
    let (bids, asks) = (written(&levels, true), written(&levels, false));
    let head = format!(r#""e":"depthUpdate","E":{last},"s":"X","U":{first},"u":{last}"#);
    format!(r#"{{{head},"b":[{bids}],"a":[{asks}]}}"#)
}

/// The whole book at an update.
fn at(update: u64) -> String {
    let mut levels = updates(1, update);
    levels.retain(|_, (_, quantity)| quantity.bytes().any(|byte| matches!(byte, b'1'..=b'9')));
    let (bids, asks) = (written(&levels, true), written(&levels, false));
    format!(r#"{{"lastUpdateId":{update},"bids":[{bids}],"asks":[{asks}]}}"#)
}
