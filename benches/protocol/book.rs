//! Order books: levels in a sorted list with the best one last, beside other ways to keep them; a
//! book as it is taken in and answered, beside a tree and what serde writes.
//!
//! The market: two sides of 200 or 5,000 levels. Of ten changes nine are within twenty levels of
//! the best price; a third delete a level, a third bring one, the others change a quantity.

#![allow(clippy::indexing_slicing, reason = "a place that was searched for is there")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hint::black_box;
use tickwire::feed::{Flow, Kept, Pace, Sink};
use tickwire::market::book::{Book, DiffStream, Diffed};
use tickwire::market::{Bookkeeper, Markets};

/// Levels that one diff changes: as many as 100 ms of a busy market do.
const CHANGES: usize = 20;
const DIFFS: usize = 200;

pub(crate) fn bench(criterion: &mut Criterion) {
    structures(criterion);
    updates(criterion);
    snapshots(criterion);
    keeper(criterion);
}

/// As large as the library's own: a number to compare by, and two texts.
#[derive(Clone, Copy)]
struct Level {
    price: u128,
    _texts: [[u8; 32]; 2],
}

/// A change: its price, and whether the level is deleted.
type Change = (u128, bool);

fn level(price: u128) -> Level {
    Level { price, _texts: [[0; 32]; 2] }
}

/// Numbers that look like chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("below the end")
    }
}

/// Changes of a side of asks with so many levels at even prices from 100,000 on.
fn changes(levels: usize, count: usize) -> Vec<Change> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let change = |_| {
        let near = chance.below(10) < 9;
        let rank = chance.below(if near { 20 } else { levels });
        let price = 100_000 + 2 * rank as u128;
        match chance.below(3) {
            0 => (price, true),
            // A new level lies between two, and goes again when a later change deletes it.
            1 => (price + 1, chance.below(2) == 0),
            _ => (price, false),
        }
    };
    (0..count).map(change).collect()
}

fn structures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("book/levels");
    for levels in [200, 5000] {
        let changes = changes(levels, DIFFS * CHANGES);
        group.throughput(Throughput::Elements(changes.len() as u64));
        let prices = || (0..levels).map(|rank| 100_000 + 2 * rank as u128);
        group.bench_with_input(
            BenchmarkId::new("list, best last", levels),
            &changes,
            |b, changes| {
                let list: Vec<Level> = prices().rev().map(level).collect();
                b.iter_batched_ref(
                    || list.clone(),
                    |list| best_last(list, changes),
                    BatchSize::LargeInput,
                );
            },
        );
        group.bench_with_input(
            BenchmarkId::new("list, best first", levels),
            &changes,
            |b, changes| {
                let list: Vec<Level> = prices().map(level).collect();
                b.iter_batched_ref(
                    || list.clone(),
                    |list| best_first(list, changes),
                    BatchSize::LargeInput,
                );
            },
        );
        group.bench_with_input(
            BenchmarkId::new("two lists, best last", levels),
            &changes,
            |b, changes| {
                let keys: Vec<u128> = prices().rev().collect();
                let rest: Vec<Level> = keys.iter().copied().map(level).collect();
                let lists = (keys, rest);
                b.iter_batched_ref(
                    || lists.clone(),
                    |lists| two_lists(lists, changes),
                    BatchSize::LargeInput,
                );
            },
        );
        group.bench_with_input(BenchmarkId::new("BTreeMap", levels), &changes, |b, changes| {
            let tree: BTreeMap<u128, Level> = prices().map(|price| (price, level(price))).collect();
            b.iter_batched_ref(
                || tree.clone(),
                |tree| in_tree(tree, changes),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn best_last(list: &mut Vec<Level>, changes: &[Change]) {
    for (price, deleted) in changes {
        match (list.binary_search_by(|at| price.cmp(&at.price)), deleted) {
            (Ok(place), true) => _ = list.remove(place),
            (Ok(place), false) => list[place] = level(*price),
            (Err(place), false) => list.insert(place, level(*price)),
            (Err(_), true) => {}
        }
    }
}

fn best_first(list: &mut Vec<Level>, changes: &[Change]) {
    for (price, deleted) in changes {
        match (list.binary_search_by(|at| at.price.cmp(price)), deleted) {
            (Ok(place), true) => _ = list.remove(place),
            (Ok(place), false) => list[place] = level(*price),
            (Err(place), false) => list.insert(place, level(*price)),
            (Err(_), true) => {}
        }
    }
}

fn two_lists((keys, rest): &mut (Vec<u128>, Vec<Level>), changes: &[Change]) {
    for (price, deleted) in changes {
        match (keys.binary_search_by(|at| price.cmp(at)), deleted) {
            (Ok(place), true) => {
                keys.remove(place);
                rest.remove(place);
            }
            (Ok(place), false) => rest[place] = level(*price),
            (Err(place), false) => {
                keys.insert(place, *price);
                rest.insert(place, level(*price));
            }
            (Err(_), true) => {}
        }
    }
}

fn in_tree(tree: &mut BTreeMap<u128, Level>, changes: &[Change]) {
    for (price, deleted) in changes {
        if *deleted {
            tree.remove(price);
        } else {
            tree.insert(*price, level(*price));
        }
    }
}

fn decimal(units: u128) -> String {
    format!("{}.{:02}000000", units / 100, units % 100)
}

/// A book of so many levels a side, as it is answered.
fn snapshot(levels: usize) -> String {
    let side = |price: &dyn Fn(u128) -> u128| {
        let levels =
            (0..levels as u128).map(|rank| format!(r#"["{}","1.50000000"]"#, decimal(price(rank))));
        levels.collect::<Vec<_>>().join(",")
    };
    let (bids, asks) = (side(&|rank| 99_998 - 2 * rank), side(&|rank| 100_000 + 2 * rank));
    format!(r#"{{"lastUpdateId":1,"bids":[{bids}],"asks":[{asks}]}}"#)
}

/// Diffs that follow [`snapshot`], half bids and half asks.
fn diffs(levels: usize) -> Vec<String> {
    let changes = changes(levels, DIFFS * CHANGES);
    let written = |(price, deleted): &Change| {
        format!(
            r#"["{}","{}"]"#,
            decimal(*price),
            if *deleted { "0.00000000" } else { "2.25000000" }
        )
    };
    let diff = |(index, changes): (usize, &[Change])| {
        let (bids, asks) = changes.split_at(CHANGES / 2);
        let bids: Vec<_> =
            bids.iter().map(|(price, deleted)| (199_998 - price, *deleted)).collect();
        let list = |changes: &[Change]| changes.iter().map(written).collect::<Vec<_>>().join(",");
        let id = index + 2;
        let head = format!(r#""e":"depthUpdate","E":{id},"s":"BTCUSDT","U":{id},"u":{id}"#);
        format!(r#"{{{head},"b":[{}],"a":[{}]}}"#, list(&bids), list(asks))
    };
    changes.chunks(CHANGES).enumerate().map(diff).collect()
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what a diff has is read, as the library does")]
struct PlainDiff<'a> {
    #[serde(rename = "E")]
    event_time: u64,
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(borrow, rename = "b")]
    bids: Vec<[&'a str; 2]>,
    #[serde(borrow, rename = "a")]
    asks: Vec<[&'a str; 2]>,
}

/// What one would write first: two trees by price, which is read as a number of 10⁻⁸.
#[derive(Clone, Default, Serialize)]
struct PlainBook {
    #[serde(rename = "lastUpdateId")]
    last: u64,
    bids: BTreeMap<u64, [String; 2]>,
    asks: BTreeMap<u64, [String; 2]>,
}

impl PlainBook {
    fn apply(&mut self, payload: &str) {
        let diff: PlainDiff<'_> = serde_json::from_str(payload).expect("a diff");
        self.last = diff.last;
        for (side, levels) in [(&mut self.bids, &diff.bids), (&mut self.asks, &diff.asks)] {
            for [price, quantity] in levels {
                let number: u64 = price.replace('.', "").parse().expect("a number");
                if quantity.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
                    side.remove(&number);
                } else {
                    side.insert(number, [(*price).to_owned(), (*quantity).to_owned()]);
                }
            }
        }
    }
}

fn updates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("book/update");
    group.throughput(Throughput::Elements(DIFFS as u64));
    for levels in [200, 5000] {
        let (snapshot, diffs) = (snapshot(levels), diffs(levels));
        let book = || {
            let mut book = Book::new("BTCUSDT");
            book.handle_snapshot(&snapshot);
            book
        };
        group.bench_function(BenchmarkId::new("tickwire", levels), |b| {
            let apply = |book: &mut Book| {
                for diff in &diffs {
                    assert_eq!(book.handle_diff(DiffStream::Fast, diff), Diffed::Applied);
                }
            };
            b.iter_batched_ref(book, apply, BatchSize::LargeInput);
        });
        let plain = plain_book(&snapshot);
        group.bench_function(BenchmarkId::new("BTreeMap and serde_json", levels), |b| {
            let apply = |book: &mut PlainBook| diffs.iter().for_each(|diff| book.apply(diff));
            b.iter_batched_ref(|| plain.clone(), apply, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn plain_book(snapshot: &str) -> PlainBook {
    #[derive(Deserialize)]
    struct Snapshot {
        bids: Vec<[String; 2]>,
        asks: Vec<[String; 2]>,
    }
    let Snapshot { bids, asks } = serde_json::from_str(snapshot).expect("a snapshot");
    let side = |levels: Vec<[String; 2]>| {
        let number = |price: &str| price.replace('.', "").parse().expect("a number");
        levels.into_iter().map(|level| (number(&level[0]), level)).collect()
    };
    PlainBook { last: 1, bids: side(bids), asks: side(asks) }
}

fn snapshots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("book/answer");
    let whole = snapshot(5000);
    let mut book = Book::new("BTCUSDT");
    book.handle_snapshot(&whole);
    let plain = plain_book(&whole);
    for levels in [100, 1000, 5000] {
        group.throughput(Throughput::Elements(2 * levels as u64));
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new("tickwire", levels), |b| {
            b.iter(|| {
                out.clear();
                book.write(black_box(levels), &mut out);
            });
        });
        group.bench_function(BenchmarkId::new("BTreeMap and serde_json", levels), |b| {
            b.iter(|| {
                out.clear();
                serde_json::to_writer(&mut out, &Answer::of(&plain, black_box(levels)))
                    .expect("a Vec takes everything");
            });
        });
    }
    group.finish();
}

/// The best levels, for serde to write.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(rename = "lastUpdateId")]
    last: u64,
    bids: Vec<&'a [String; 2]>,
    asks: Vec<&'a [String; 2]>,
}

impl<'a> Answer<'a> {
    fn of(book: &'a PlainBook, levels: usize) -> Self {
        let bids = book.bids.values().rev().take(levels).collect();
        Self { last: book.last, bids, asks: book.asks.values().take(levels).collect() }
    }
}

/// Takes events and does nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn publish(&mut self, stream: &str, payload: &str, _: Pace) -> Flow {
        black_box((stream, payload));
        Flow::Continue
    }
}

/// What keeping books adds to an event on its way, in a market of a hundred symbols.
fn keeper(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("book/keeper");
    let mut keeper = Bookkeeper::new(std::sync::Arc::<Markets>::default());
    let mut nowhere = Nowhere;
    let mut sink = Kept::new(&mut keeper, &mut nowhere);
    for symbol in 0..100 {
        for kind in ["bookTicker", "trade", "depth@100ms", "depth20"] {
            sink.announce(&format!("symbol{symbol}@{kind}"));
        }
    }
    let ticker =
        r#"{"u":400900217,"s":"SYMBOL50","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}"#;
    group.bench_function("bookTicker", |b| {
        b.iter(|| sink.publish(black_box("symbol50@bookTicker"), ticker, Pace::Live));
    });
    group.bench_function("bookTicker, without a keeper", |b| {
        b.iter(|| Nowhere.publish(black_box("symbol50@bookTicker"), ticker, Pace::Live));
    });
    group.finish();
}
