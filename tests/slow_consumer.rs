//! A subscriber that never reads, among a thousand that do. The server is the program in a process
//! of its own: its memory can then be measured, and no process needs more than 1,024 descriptors.
#![cfg(target_os = "linux")]

mod support;

use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use support::DEADLINE;
use support::client::upgrade_request;
use support::frame::{FIN, Frame, TEXT};
use support::program::Program;

const READERS: usize = 1000;
/// Descriptors that each of the two processes needs for the connections and for itself.
const DESCRIPTORS: u64 = 1020;

const PAYLOAD_BYTES: usize = 8000;
const ROUNDS: usize = 16;
const EVENTS_PER_ROUND: usize = 3;
/// Events of a stream that the stuck one has for itself, for each event that all get: 30 MB in all,
/// more than a system's socket buffers swallow.
const BULK_EVENTS: usize = 80;

/// By how much the server's memory may grow after the first round: by the stuck one's send queue of
/// 128 KiB, and by what a turn needs. All that the stuck one does not read is twice as much.
const GROWTH_BYTES_MAX: u64 = 15 << 20;

/// Back-pressure: a stuck client is dropped for its own slowness, told why, and disturbs nobody.
#[test]
fn one_that_never_reads_is_dropped_and_the_others_get_everything() {
    expect_descriptors();
    let mut program = Program::start(&[
        "serve",
        "--feed",
        "stdin",
        "--send-queue",
        "128KiB",
        "--ping-interval",
        "off",
        "--idle-timeout",
        "off",
    ]);
    let mut feed = program.stdin.take().unwrap();
    let mut stuck = connect(program.address, "/ws/all@trade/bulk@trade", SmallBuffer::Yes);
    let mut readers: Vec<TcpStream> =
        (0..READERS).map(|_| connect(program.address, "/ws/all@trade", SmallBuffer::No)).collect();
    let mut before = None;
    let mut received = vec![0; EVENTS_PER_ROUND * (PAYLOAD_BYTES + 8)];
    let mut published = 0;
    let mut publish = |stream: &str| {
        let payload = payload(published);
        published += 1;
        writeln!(feed, r#"{{"stream":"{stream}","data":{payload}}}"#).unwrap();
        payload
    };
    for _ in 0..ROUNDS {
        let mut expected = Vec::new();
        for _ in 0..EVENTS_PER_ROUND {
            for _ in 0..BULK_EVENTS {
                publish("bulk@trade");
            }
            let payload = publish("all@trade");
            expected.extend([FIN | TEXT, 126]);
            expected.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            expected.extend_from_slice(payload.as_bytes());
        }
        // Byte for byte, so in order and complete too. The next round waits for all of them.
        for (number, reader) in readers.iter_mut().enumerate() {
            let bytes = &mut received[..expected.len()];
            reader.read_exact(bytes).unwrap_or_else(|error| panic!("reader {number}: {error}"));
            assert!(*bytes == expected[..], "reader {number} got something else");
        }
        before = before.or_else(|| Some(memory(program.id(), "VmRSS:")));
    }
    let grown = memory(program.id(), "VmHWM:").saturating_sub(before.unwrap());
    assert!(grown < GROWTH_BYTES_MAX, "memory grew by {grown} bytes");
    program.logged("slow consumer");
    expect_farewell(&mut stuck);
    drop((stuck, readers));
    program.signal("TERM");
    let last = program.logged("stopped ");
    assert!(last.contains("slow_consumer=1"), "{last}");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SmallBuffer {
    Yes,
    No,
}

/// A subscriber, whose system keeps little for it if that is wanted.
fn connect(address: SocketAddr, target: &str, small: SmallBuffer) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
    if small == SmallBuffer::Yes {
        socket.set_recv_buffer_size(4096).expect("a new socket takes options");
    }
    socket.connect_timeout(&address.into(), DEADLINE).expect("the server listens");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
    stream.write_all(upgrade_request(target, "").as_bytes()).expect("the server takes it");
    // The feed has said nothing yet: all that comes is the answer.
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    stream
}

fn payload(number: usize) -> String {
    format!(r#"{{"e":"trade","t":{number},"x":"{}"}}"#, "x".repeat(PAYLOAD_BYTES - 30))
}

/// What the stuck one can still read: the first events, in order, then why there are no more.
fn expect_farewell(stuck: &mut TcpStream) {
    let mut bytes = Vec::new();
    if let Err(error) = stuck.read_to_end(&mut bytes) {
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "the server does not end the connection");
        panic!("no orderly end: {error}");
    }
    let mut rest = &bytes[..];
    let mut events = 0;
    loop {
        let (frame, len) = Frame::parse(rest).expect("a whole frame");
        rest = rest.split_at(len).1;
        if frame.first != FIN | TEXT {
            assert_eq!(frame.close_code_and_reason(), (Some(1008), "slow consumer".to_owned()));
            break;
        }
        assert_eq!(frame.payload, payload(events).as_bytes());
        events += 1;
    }
    assert!(rest.is_empty(), "{} bytes after the close frame", rest.len());
    assert!(events > 0, "nothing was read");
}

/// A line of `/proc/<id>/status`, in bytes.
fn memory(id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a known line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn expect_descriptors() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("procfs");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).expect("a limit");
    let enough = soft == "unlimited" || soft.parse::<u64>().is_ok_and(|soft| soft >= DESCRIPTORS);
    assert!(enough, "at most {soft} open files; this test needs {DESCRIPTORS}: ulimit -n");
}
