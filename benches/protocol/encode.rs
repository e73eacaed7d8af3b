//! Messages in, a server's frames out, beside tungstenite. Both end with the frame in a buffer of
//! the caller's.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::io::Cursor;
use tickwire::proto::OpCode;
use tickwire::proto::frame::{self, Position};
use tungstenite::Bytes;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, len) in [("2 B", 2), ("64 B", 64), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)] {
        let payload = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("tickwire", name), |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                let payload = black_box(&payload);
                frame::encode(&mut out, Position::Last, OpCode::Binary, None, payload);
                black_box(out.as_slice());
            });
        });
        group.bench_function(BenchmarkId::new("tungstenite", name), |bencher| {
            // Straight to the buffer: by default it would gather 128 KiB first.
            let config = WebSocketConfig::default().write_buffer_size(0);
            let out = Cursor::new(Vec::new());
            let mut socket = WebSocket::from_raw_socket(out, Role::Server, Some(config));
            // Cheap to clone, so that the payload is not copied once more than it must be.
            let payload = Bytes::from(payload.clone());
            bencher.iter(|| {
                socket.get_mut().set_position(0);
                let message = tungstenite::Message::Binary(black_box(&payload).clone());
                socket.write(message).expect("room for the frame");
                black_box(socket.get_ref().get_ref().as_slice());
            });
        });
    }
    group.finish();
}
