//! UTF-8 validation, beside the standard library's.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use tickwire::proto::utf8;

pub(crate) fn bench(criterion: &mut Criterion) {
    for (texts, pattern) in [("ASCII", "{\"p\":\"0.0024\"}, "), ("mixed", "price 價格 цена é 😀 ")]
    {
        let mut group = criterion.benchmark_group(format!("utf8 {texts}"));
        for (name, len) in [("16 B", 16), ("64 B", 64), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)] {
            let mut text = pattern.repeat(len / pattern.len() + 1);
            text.truncate(text.floor_char_boundary(len));
            let bytes = text.as_bytes();
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(BenchmarkId::new("tickwire", name), |bencher| {
                bencher.iter(|| utf8::validate(black_box(bytes)).is_ok());
            });
            group.bench_function(BenchmarkId::new("std", name), |bencher| {
                bencher.iter(|| std::str::from_utf8(black_box(bytes)).is_ok());
            });
        }
        group.finish();
    }
}
