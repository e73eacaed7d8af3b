//! Masking, beside the ways in which it could be written otherwise without `unsafe`.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use tickwire::proto::mask::{self, Key};

const KEY: Key = [0x37, 0xfa, 0x21, 0x3d];

type Apply = fn(&mut [u8], Key);

pub(crate) fn bench(criterion: &mut Criterion) {
    let ways: [(&str, Apply); 4] =
        [("tickwire", mask::apply), ("indexed", indexed), ("cycled", cycled), ("by u32", by_u32)];
    let mut group = criterion.benchmark_group("mask");
    for (name, len) in
        [("16 B", 16), ("64 B", 64), ("256 B", 256), ("4 KiB", 4096), ("64 KiB", 65536)]
    {
        let mut data = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        for (way, apply) in ways {
            group.bench_function(BenchmarkId::new(way, name), |bencher| {
                bencher.iter(|| apply(black_box(&mut data), black_box(KEY)));
            });
        }
    }
    group.finish();
}

/// The definition (RFC 6455 §5.3).
fn indexed(data: &mut [u8], [a, b, c, d]: Key) {
    for (index, byte) in data.iter_mut().enumerate() {
        *byte ^= match index % 4 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
    }
}

fn cycled(data: &mut [u8], key: Key) {
    for (byte, key) in data.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

fn by_u32(data: &mut [u8], key: Key) {
    let wide = u32::from_ne_bytes(key);
    let (chunks, rest) = data.as_chunks_mut::<4>();
    for chunk in chunks {
        *chunk = (u32::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}
