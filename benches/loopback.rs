//! What a server costs with its sockets, over loopback: `cargo bench --bench loopback`.
//!
//! An echo's round trip, beside a tungstenite server with a blocking thread for the connection; and
//! a publication, until the last of many subscribers has it. The client is the same for all: plain
//! blocking sockets. The scheduler has its part in these figures: expect some percent of noise.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_main};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tickwire::http::{ClientHandshake, HeadLimits, Url};
use tickwire::proto::frame::{self, Position};
use tickwire::proto::{Message, OpCode};
use tickwire::server::{
    Context, Delivery, Handler, Opening, Publisher, Retain, Server, ShutdownHandle, Upgrade,
};

const TOPIC: &str = "ticks";
/// As many as fit 1,024 descriptors, the usual limit, with both ends in this process. Up to 1,000, and
/// beside other libraries: `benches/peers/benches/fan_out.rs`.
const SUBSCRIBERS: [usize; 3] = [1, 100, 400];
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Nothing here takes this long: a benchmark that hangs should end.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

criterion_main!(benches);

fn benches() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    echo(&mut criterion);
    publish(&mut criterion);
    criterion.final_summary();
}

fn echo(criterion: &mut Criterion) {
    let ours = Running::start();
    let theirs = tungstenite_echo();
    let mut group = criterion.benchmark_group("echo");
    for (name, len) in [("64 B", 64), ("1 KiB", 1 << 10)] {
        let payload = vec![b'x'; len];
        let (mut request, mut reply) = (Vec::new(), Vec::new());
        frame::encode(&mut request, Position::Last, OpCode::Binary, Some(KEY), &payload);
        frame::encode(&mut reply, Position::Last, OpCode::Binary, None, &payload);
        group.throughput(Throughput::Elements(1));
        for (server, address) in [("tickwire", ours.address), ("tungstenite", theirs)] {
            let mut client = connect(address);
            group.bench_function(BenchmarkId::new(server, name), |bencher| {
                let mut received = reply.clone();
                bencher.iter(|| {
                    client.write_all(&request).expect("a server that reads");
                    client.read_exact(&mut received).expect("a server that answers");
                });
                assert_eq!(received, reply);
            });
        }
    }
    group.finish();
}

/// Publishes on the thread that then reads all subscribers' sockets, one after the other.
fn publish(criterion: &mut Criterion) {
    let payload = "x".repeat(150);
    let mut expected = Vec::new();
    frame::encode(&mut expected, Position::Last, OpCode::Text, None, payload.as_bytes());
    let mut group = criterion.benchmark_group("publish 150 B to the last of");
    for subscribers in SUBSCRIBERS {
        let server = Running::start();
        let topic = server.publisher.topic(TOPIC, Retain::Nothing);
        let mut clients: Vec<_> = (0..subscribers).map(|_| connect(server.address)).collect();
        group.throughput(Throughput::Elements(subscribers as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            let mut received = expected.clone();
            bencher.iter(|| {
                let delivery = server.publisher.publish(&topic, Message::Text(&payload));
                assert_eq!(delivery, Delivery::Delivered);
                // From the back: sockets are written in turn, so that hardly any read has to wait,
                // which would be measured instead.
                for client in clients.iter_mut().rev() {
                    client.read_exact(&mut received).expect("a server that publishes");
                }
            });
            assert_eq!(received, expected);
        });
    }
    group.finish();
}

/// Echoes, and subscribes everybody.
struct Application;

impl Handler for Application {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        cx.subscribe(TOPIC);
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

/// A tickwire server on a thread of its own, until dropped.
struct Running {
    address: SocketAddr,
    publisher: Publisher,
    shutdown: ShutdownHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let server = Server::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let (address, publisher) = (server.local_addr(), server.publisher());
        let shutdown = server.shutdown_handle();
        let thread = thread::spawn(|| server.run(|_| Application).expect("an event loop"));
        Self { address, publisher, shutdown, thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.shutdown();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a server that stops in good order");
        }
    }
}

/// A server that echoes for as many connections as come, each with a thread.
fn tungstenite_echo() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).expect("a TCP socket");
            thread::spawn(move || {
                let mut socket = tungstenite::accept(stream).expect("a valid handshake");
                while let Ok(message) = socket.read() {
                    if socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A connection on which the opening handshake is done.
fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a server that listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a TCP socket");
    let url: Url = format!("ws://{address}/").parse().expect("a valid URL");
    let mut handshake = ClientHandshake::new(&url, [7; 16]);
    let mut request = Vec::new();
    handshake.encode(&mut request);
    stream.write_all(&request).expect("a server that reads");
    let mut answer = Vec::new();
    // Byte by byte, so that nothing after the answer is read.
    while handshake.try_parse(&answer, &HeadLimits::default()).expect("an open server").is_none() {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a server that answers");
        answer.extend(byte);
    }
    stream
}
