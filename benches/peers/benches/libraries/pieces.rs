//! Masking and UTF-8 by themselves, of the libraries that have them in public.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use tickwire::proto;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

type Apply = fn(&mut [u8], [u8; 4]);
type Validate = fn(&[u8]) -> bool;

pub(crate) fn mask(criterion: &mut Criterion) {
    let ways: [(&str, Apply); 3] = [
        ("tickwire", proto::mask::apply),
        ("fastwebsockets", fastwebsockets::unmask),
        ("sockudo-ws", sockudo_ws::simd::apply_mask),
    ];
    let mut group = criterion.benchmark_group("mask");
    for (name, len) in [("16 B", 16), ("64 B", 64), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)] {
        let mut data = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        for (library, apply) in ways {
            group.bench_function(BenchmarkId::new(library, name), |bencher| {
                bencher.iter(|| apply(black_box(&mut data), black_box(KEY)));
            });
        }
    }
    group.finish();
}

pub(crate) fn utf8(criterion: &mut Criterion) {
    let ways: [(&str, Validate); 3] = [
        ("tickwire", |bytes| proto::utf8::validate(bytes).is_ok()),
        ("sockudo-ws", sockudo_ws::utf8::validate_utf8),
        ("std", |bytes| std::str::from_utf8(bytes).is_ok()),
    ];
    for (texts, pattern) in [("ASCII", "{\"p\":\"0.0024\"}, "), ("mixed", "price 價格 цена é 😀 ")]
    {
        let mut group = criterion.benchmark_group(format!("utf8 {texts}"));
        for (name, len) in [("16 B", 16), ("64 B", 64), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)] {
            let mut text = pattern.repeat(len / pattern.len() + 1);
            text.truncate(text.floor_char_boundary(len));
            let bytes = text.as_bytes();
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            for (library, validate) in ways {
                group.bench_function(BenchmarkId::new(library, name), |bencher| {
                    bencher.iter(|| validate(black_box(bytes)));
                });
            }
        }
        group.finish();
    }
}
