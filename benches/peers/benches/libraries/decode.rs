//! Masked frames in, messages out, read from a socket in memory that yields the same bytes at each
//! read. Each library is left to its own buffer, but for tungstenite, which by default would clear
//! 128 KiB before each read.

use crate::memory::{Memory, ready};
use criterion::{BenchmarkId, Criterion, Throughput};
use fastwebsockets::{FragmentCollector, Role, WebSocket};
use futures_util::StreamExt;
use sockudo_ws::WebSocketStream;
use std::hint::black_box;
use tickwire::proto::frame::{self, Position};
use tickwire::proto::{Config, Connection, Millis, OpCode};
use tokio_tungstenite::tungstenite::protocol::{self as tungstenite, WebSocketConfig};
use tokio_websockets::{Limits, ServerBuilder};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) fn bench(criterion: &mut Criterion) {
    let cases = [
        ("2 B", 2, 1),
        ("64 B", 64, 1),
        ("1 KiB", 1 << 10, 1),
        ("64 KiB", 64 << 10, 1),
        ("16 of 64 B", 64, 16),
    ];
    for (opcode, kind) in [(OpCode::Binary, "binary"), (OpCode::Text, "text")] {
        for (name, payload_len, frames) in cases {
            let mut wire = Vec::new();
            for _ in 0..frames {
                let payload = vec![b'x'; payload_len];
                frame::encode(&mut wire, Position::Last, opcode, Some(KEY), &payload);
            }
            let case = Case { name, wire, frames, bytes: payload_len * frames };
            case.bench(criterion, &format!("decode {kind}"));
        }
    }
}

struct Case {
    name: &'static str,
    wire: Vec<u8>,
    frames: usize,
    bytes: usize,
}

impl Case {
    fn bench(&self, criterion: &mut Criterion, group: &str) {
        let Self { name, wire, frames, bytes } = self;
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Bytes(*bytes as u64));
        group.bench_function(BenchmarkId::new("tickwire", name), |bencher| {
            let mut connection = Connection::new(Config::server(), Millis(0));
            let mut buffer = wire.clone();
            let mut output = Vec::new();
            bencher.iter(|| {
                // As a read would.
                buffer.copy_from_slice(black_box(wire));
                let mut rest = buffer.as_mut_slice();
                for _ in 0..*frames {
                    let step = connection.handle_input(rest, Millis(0), &mut output);
                    let step = step.expect("valid frames");
                    black_box(step.event);
                    let consumed = step.consumed;
                    rest = &mut rest[consumed..];
                }
            });
        });
        group.bench_function(BenchmarkId::new("tungstenite", name), |bencher| {
            let config = WebSocketConfig::default().read_buffer_size(wire.len());
            let memory = Memory::endless(wire);
            let role = tungstenite::Role::Server;
            let mut socket = tungstenite::WebSocket::from_raw_socket(memory, role, Some(config));
            bencher.iter(|| {
                for _ in 0..*frames {
                    black_box(socket.read().expect("valid frames"));
                }
            });
        });
        group.bench_function(BenchmarkId::new("fastwebsockets", name), |bencher| {
            let memory = Memory::endless(wire);
            let socket = WebSocket::after_handshake(memory, Role::Server);
            let mut socket = FragmentCollector::new(socket);
            bencher.iter(|| {
                for _ in 0..*frames {
                    black_box(ready(socket.read_frame()).expect("valid frames").payload.len());
                }
            });
        });
        group.bench_function(BenchmarkId::new("tokio-websockets", name), |bencher| {
            let builder = ServerBuilder::new().limits(Limits::unlimited());
            let mut socket = builder.serve(Memory::endless(wire));
            bencher.iter(|| {
                for _ in 0..*frames {
                    black_box(ready(socket.next()).expect("no end").expect("valid frames"));
                }
            });
        });
        group.bench_function(BenchmarkId::new("sockudo-ws", name), |bencher| {
            let endless = Memory::endless(wire);
            let mut socket = WebSocketStream::server(endless, sockudo_ws::Config::default());
            bencher.iter(|| {
                for _ in 0..*frames {
                    black_box(ready(socket.next()).expect("no end").expect("valid frames"));
                }
            });
        });
        group.finish();
    }
}
