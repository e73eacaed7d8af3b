//! Candles and tickers derived from trades: what a trade costs, and what a second does.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use tickwire::market::statistics::Statistics;

/// Trades that come in one second.
const TRADES: u64 = 100;
/// Where time begins: a day on, so that tickers look back over it.
const START_MS: u64 = 1_700_000_000_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("statistics");
    let trades: Vec<String> = (0..TRADES).map(trade).collect();
    group.throughput(Throughput::Elements(TRADES));
    // Time stands still, so nothing is emitted.
    let mut statistics = Statistics::new("btcusdt");
    group.bench_function("trade/tickwire", |bencher| {
        bencher.iter(|| {
            for payload in black_box(&trades) {
                statistics.trade(payload);
                statistics.advance(START_MS, &mut |_, _| ());
            }
        });
    });
    group.bench_function("trade/serde_json::Value, read only", |bencher| {
        bencher.iter(|| {
            for payload in black_box(&trades) {
                let trade: serde_json::Value = serde_json::from_str(payload).expect("a trade");
                black_box(trade);
            }
        });
    });
    assert_eq!(statistics.ignored(), 0);

    // One trade, and the end of its second: a candle, all tickers, every other time all candles.
    let mut statistics = Statistics::new("btcusdt");
    let first = trade(0);
    let (mut now_ms, mut emitted) = (START_MS, 0);
    group.throughput(Throughput::Elements(1));
    group.bench_function("second/tickwire", |bencher| {
        bencher.iter(|| {
            now_ms += 1000;
            statistics.trade(&first);
            statistics.advance(now_ms, &mut |_, payload| emitted += payload.len());
        });
    });
    assert!(emitted > 0);
    group.finish();
}

fn trade(index: u64) -> String {
    let (id, cents) = (1000 + index, index * 7 % 100);
    format!(
        r#"{{"e":"trade","E":{START_MS},"s":"BTCUSDT","t":{id},"p":"67000.{cents:02}000000","q":"0.01500000","T":{START_MS},"m":true,"M":true}}"#
    )
}
