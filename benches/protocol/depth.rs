//! Folding order-book differences for clients that lag, beside the same by trees of JSON values.

use criterion::{Criterion, Throughput};
use serde_json::{Map, Value};
use std::hint::black_box;
use tickwire::market::depth::{Absorbed, DepthFold, Since};

/// Levels of one diff, half of them bids.
const LEVELS: usize = 100;
/// Diffs in a row: each changes half of the levels of the one before, and half are new.
const DIFFS: usize = 10;

pub(crate) fn bench(criterion: &mut Criterion) {
    let diffs: Vec<Vec<u8>> = (0..DIFFS).map(diff).collect();
    let mut group = criterion.benchmark_group("depth");
    group.throughput(Throughput::Elements(DIFFS as u64));
    group.bench_function("absorb/tickwire", |bencher| {
        bencher.iter(|| folded(black_box(&diffs)));
    });
    group.bench_function("absorb/serde_json::Value", |bencher| {
        bencher.iter(|| merged(black_box(&diffs)));
    });

    let (fold, mut merged) = (folded(&diffs), merged(&diffs));
    let mut out = Vec::new();
    group.bench_function("since/tickwire", |bencher| {
        bencher.iter(|| {
            out.clear();
            assert_eq!(fold.since(0, 1, black_box(&mut out)), Since::Whole);
        });
    });
    group.bench_function("since/serde_json::Value", |bencher| {
        bencher.iter(|| {
            out.clear();
            merged.write(black_box(&mut out));
        });
    });
    group.finish();
}

fn folded(diffs: &[Vec<u8>]) -> DepthFold {
    let mut fold = DepthFold::default();
    for (seq, payload) in (0..).zip(diffs) {
        assert_eq!(fold.absorb(seq, payload), Absorbed::Folded);
    }
    fold
}

fn merged(diffs: &[Vec<u8>]) -> Merged {
    let mut merged = Merged::default();
    for payload in diffs {
        merged.absorb(payload);
    }
    merged
}

fn diff(index: usize) -> Vec<u8> {
    let id = index + 1;
    let side = |best: usize| {
        let price = |rank: usize| best + rank * if rank.is_multiple_of(2) { 1 } else { id };
        let levels =
            (0..LEVELS / 2).map(|rank| format!(r#"["{}.25000000","{id}.5"]"#, price(rank)));
        levels.collect::<Vec<_>>().join(",")
    };
    let (bids, asks) = (side(60_000), side(70_000));
    let head = format!(r#""e":"depthUpdate","E":{id},"s":"BTCUSDT","U":{id},"u":{id}"#);
    format!(r#"{{{head},"b":[{bids}],"a":[{asks}]}}"#).into_bytes()
}

/// The newest quantity of each price, as text: what one would write first.
#[derive(Default)]
struct Merged {
    newest: Value,
    bids: Map<String, Value>,
    asks: Map<String, Value>,
}

impl Merged {
    fn absorb(&mut self, payload: &[u8]) {
        self.newest = serde_json::from_slice(payload).expect("a diff");
        for (side, levels) in [("b", &mut self.bids), ("a", &mut self.asks)] {
            for level in self.newest.get(side).and_then(Value::as_array).into_iter().flatten() {
                if let Some([Value::String(price), quantity]) = level.as_array().map(Vec::as_slice)
                {
                    levels.insert(price.clone(), quantity.clone());
                }
            }
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        for (side, levels) in [("b", &self.bids), ("a", &self.asks)] {
            let levels = levels.iter().map(|(price, quantity)| {
                Value::from(vec![Value::from(price.as_str()), quantity.clone()])
            });
            if let Some(written) = self.newest.get_mut(side) {
                *written = levels.collect();
            }
        }
        serde_json::to_writer(out, &self.newest).expect("a Vec takes everything");
    }
}
