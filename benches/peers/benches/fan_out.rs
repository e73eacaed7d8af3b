//! One message to 1, 100 and 1,000 subscribers, until the last has it: `cargo bench --bench fan_out`
//! in this folder.
//!
//! Each library's server of this folder runs as a process of its own and broadcasts what a client
//! sends. The client is the same for all, plain blocking sockets: the publication goes in through the
//! last of them, and is then read from all. The kernel has most of it: some 3 µs a subscriber.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_main};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const SERVERS: [(&str, &str); 5] = [
    ("tickwire", env!("CARGO_BIN_EXE_tickwire")),
    ("tokio-tungstenite", env!("CARGO_BIN_EXE_tokio-tungstenite")),
    ("fastwebsockets", env!("CARGO_BIN_EXE_fastwebsockets")),
    ("tokio-websockets", env!("CARGO_BIN_EXE_tokio-websockets")),
    ("sockudo-ws", env!("CARGO_BIN_EXE_sockudo-ws")),
];
/// With them a process stays below 1,024 descriptors, the usual limit.
const SUBSCRIBERS: [usize; 3] = [1, 100, 1000];
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// A masked frame of 128 bytes, and what the server makes of it.
const PAYLOAD: [u8; 128] = [b'x'; 128];
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Nothing here takes this long: a benchmark that hangs should end.
const DEADLINE: Duration = Duration::from_secs(10);

criterion_main!(benches);

fn benches() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("fan-out");
    for subscribers in SUBSCRIBERS {
        group.throughput(Throughput::Elements(subscribers as u64));
        for (library, program) in SERVERS {
            group.bench_function(BenchmarkId::new(library, subscribers), |bencher| {
                let server = Running::start(program);
                let mut clients: Vec<_> = (0..subscribers).map(|_| server.connect()).collect();
                let mut request = vec![0x82, 0x80 | 126, 0, 128];
                request.extend(KEY);
                request
                    .extend(PAYLOAD.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
                let expected = [&[0x82, 126, 0, 128][..], &PAYLOAD].concat();
                let mut received = expected.clone();
                bencher.iter(|| {
                    let publisher = clients.last_mut().expect("there is one subscriber");
                    publisher.write_all(&request).expect("a server that reads");
                    // From the back: sockets are written in turn, so that hardly any read has to
                    // wait, which would be measured instead.
                    for client in clients.iter_mut().rev() {
                        client.read_exact(&mut received).expect("a server that broadcasts");
                    }
                });
                assert_eq!(received, expected);
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

/// A server of this folder, until dropped.
struct Running {
    process: Child,
    port: u16,
}

impl Running {
    fn start(program: &str) -> Self {
        let probe = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = probe.local_addr().expect("a bound socket").port();
        drop(probe);
        let process = Command::new(program).arg(port.to_string()).arg("broadcast").spawn();
        Self { process: process.expect("a program that was built"), port }
    }

    /// A connection on which the opening handshake is done.
    fn connect(&self) -> TcpStream {
        let start = Instant::now();
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(start.elapsed() < DEADLINE, "nobody listens: {error}"),
            }
        };
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("a TCP socket");
        stream.write_all(REQUEST).expect("a server that reads");
        let mut answer = Vec::new();
        // Byte by byte, so that nothing after the answer is read.
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a server that answers");
            answer.extend(byte);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
