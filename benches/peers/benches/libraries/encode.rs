//! Messages in, a server's frames out: into a buffer of the caller's, or to a socket in memory.

use crate::memory::{Memory, ready};
use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput};
use fastwebsockets::{Frame, Payload};
use futures_util::SinkExt;
use std::hint::black_box;
use tickwire::proto::OpCode;
use tickwire::proto::frame::{self, Position};
use tokio_tungstenite::tungstenite::protocol::{self as tungstenite, WebSocketConfig};
use tokio_websockets::{Message, ServerBuilder};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, len) in [("2 B", 2), ("64 B", 64), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)] {
        // Cheap to clone, so that no library has to copy it once more.
        let payload = Bytes::from(vec![b'x'; len]);
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
            // Straight to the socket: by default it would gather 128 KiB first.
            let config = WebSocketConfig::default().write_buffer_size(0);
            let (memory, role) = (Memory::default(), tungstenite::Role::Server);
            let mut socket = tungstenite::WebSocket::from_raw_socket(memory, role, Some(config));
            bencher.iter(|| {
                socket.get_mut().written.clear();
                let message = tungstenite::Message::Binary(black_box(&payload).clone());
                socket.write(message).expect("room for the frame");
                black_box(socket.get_ref().written.as_slice());
            });
        });
        group.bench_function(BenchmarkId::new("fastwebsockets", name), |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                let payload = Payload::Borrowed(black_box(&payload));
                black_box(Frame::binary(payload).write(&mut out));
            });
        });
        group.bench_function(BenchmarkId::new("tokio-websockets", name), |bencher| {
            let mut socket = ServerBuilder::new().serve(Memory::default());
            bencher.iter(|| {
                socket.get_mut().written.clear();
                let message = Message::binary(black_box(&payload).clone());
                ready(socket.send(message)).expect("room for the frame");
                black_box(socket.get_ref().written.as_slice());
            });
        });
        group.bench_function(BenchmarkId::new("sockudo-ws", name), |bencher| {
            let mut out = BytesMut::new();
            bencher.iter(|| {
                out.clear();
                let (payload, opcode) = (black_box(&payload), sockudo_ws::OpCode::Binary);
                sockudo_ws::frame::encode_frame(&mut out, opcode, payload, true, None);
                black_box(&out);
            });
        });
    }
    group.finish();
}
