//! Masked frames in, messages out, beside tungstenite. Both copy the input once, as a read from a
//! socket would.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::io::{self, Read, Write};
use tickwire::proto::frame::{self, Position};
use tickwire::proto::{Config, Connection, Millis, OpCode};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let cases = [
        ("2 B", 2, 1),
        ("64 B", 64, 1),
        ("1 KiB", 1 << 10, 1),
        ("64 KiB", 64 << 10, 1),
        ("16 of 64 B", 64, 16),
    ];
    for (name, payload_len, frames) in cases {
        let mut wire = Vec::new();
        for _ in 0..frames {
            let payload = vec![b'x'; payload_len];
            frame::encode(&mut wire, Position::Last, OpCode::Binary, Some(KEY), &payload);
        }
        group.throughput(Throughput::Bytes((payload_len * frames) as u64));
        group.bench_function(BenchmarkId::new("tickwire", name), |bencher| {
            let mut connection = Connection::new(Config::server(), Millis(0));
            let mut buffer = wire.clone();
            let mut output = Vec::new();
            bencher.iter(|| {
                buffer.copy_from_slice(black_box(&wire));
                let mut rest = buffer.as_mut_slice();
                for _ in 0..frames {
                    let step = connection.handle_input(rest, Millis(0), &mut output);
                    let step = step.expect("valid frames");
                    black_box(step.event);
                    let consumed = step.consumed;
                    rest = rest.get_mut(consumed..).expect("no more than there was");
                }
            });
        });
        group.bench_function(BenchmarkId::new("tungstenite", name), |bencher| {
            // By default it would clear 128 KiB before each read.
            let config = WebSocketConfig::default().read_buffer_size(wire.len());
            let repeated = Repeated { wire: &wire, at: 0 };
            let mut socket = WebSocket::from_raw_socket(repeated, Role::Server, Some(config));
            bencher.iter(|| {
                socket.get_mut().at = 0;
                for _ in 0..frames {
                    black_box(socket.read().expect("valid frames"));
                }
            });
        });
    }
    group.finish();
}

/// A socket in memory from which the same bytes can be read time and again.
struct Repeated<'a> {
    wire: &'a [u8],
    at: usize,
}

impl Read for Repeated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.wire.get(self.at..).unwrap_or_default();
        rest.read(buffer).inspect(|len| self.at += len)
    }
}

impl Write for Repeated<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
