//! What is begun and not finished: opening handshakes, messages, the end of a connection; and
//! what comes in floods. Over real sockets, with a canary beside them.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::DEADLINE;
use support::client::{Client, upgrade_request};
use support::eventually;
use support::frame::{
    BINARY, CONTINUATION, FIN, PING, PONG, TEXT, binary, frame, header, mask, ping,
};
use support::server::{TestServer, options};
use tickwire::proto::{Limits, Violation};
use tickwire::server::{Cause, Options, Rate};

/// A client whose round trips nothing may disturb.
struct Canary(Client);

impl Canary {
    fn sing(&mut self) {
        let start = Instant::now();
        self.0.expect_alive();
        // Generous: the machine may be busy. What would stall the server takes longer.
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    let [per_second, burst] = [per_second, burst].map(|n| NonZeroU32::new(n).expect("not zero"));
    Some(Rate { per_second, burst })
}

/// §5.4, §10.4: fragments without an end, full or empty, end at their number; until then they cost
/// what they carry.
#[test]
fn fragments_without_an_end_are_cut_off() {
    const FRAGMENTS: u32 = 10_000;
    let limits = Limits { fragments_max: FRAGMENTS, ..Limits::default() };
    for payload in [&b""[..], b"x"] {
        let (server, ends) = TestServer::echo(Options { limits, ..options() });
        let mut canary = Canary(Client::open(server.address));
        let mut client = Client::open(server.address);
        client.send(&frame(BINARY, payload));
        let rest = frame(CONTINUATION, payload).repeat(FRAGMENTS as usize - 1);
        client.send(&rest);
        client.expect_alive();
        canary.sing();
        let held = server.stats().unfinished_bytes;
        assert!(held < u64::from(2 * FRAGMENTS) + 1000, "{held}");
        client.send(&frame(CONTINUATION, payload));
        client.expect_failure(1008);
        ends.expect_abnormal(Cause::Violation(Violation::TooManyFragments));
        eventually("nothing is kept", || server.stats().unfinished_bytes == 0);
        canary.sing();
    }
}

/// §5.2, §7.4.1: 2^62 bytes are refused when they are announced, and nothing is kept for them.
#[test]
fn huge_announcements_are_refused_at_once() {
    let (server, _ends) = TestServer::echo(options());
    let mut canary = Canary(Client::open(server.address));
    for _ in 0..100 {
        let mut client = Client::open(server.address);
        client.send(&header(FIN | BINARY, 1 << 62));
        client.expect_failure(1009);
    }
    canary.sing();
    assert_eq!(server.stats().unfinished_bytes, 0);
    eventually("they are gone", || server.stats().open == 1);
    assert_eq!(server.stats().ended(Cause::Violation(Violation::FrameTooLarge)), 100);
}

/// A worker holds no more of unfinished messages than it may: the one of which more comes goes, and
/// the others stay and can finish.
#[test]
fn unfinished_messages_are_bounded_together() {
    const EACH: usize = 200 << 10;
    let (server, ends) =
        TestServer::echo(Options { unfinished_bytes_max: 3 * EACH as u64, ..options() });
    let mut first = Client::open(server.address);
    first.send(&header(FIN | BINARY, EACH as u64 + 1));
    first.send(&mask(&[0; EACH]));
    eventually("it is held", || server.stats().unfinished_bytes >= EACH as u64);
    let mut second = Client::open(server.address);
    second.send(&header(FIN | BINARY, 4 * EACH as u64));
    second.send(&mask(&vec![0; 3 * EACH]));
    assert_eq!(second.expect_close(1013), "too many unfinished messages");
    ends.expect_abnormal(Cause::Unfinished);
    let bounds = EACH as u64..=3 * EACH as u64;
    eventually("one is held", || bounds.contains(&server.stats().unfinished_bytes));
    // The key goes on where the first part has left it: at a multiple of four.
    first.send(&mask(&[0]));
    first.expect_binary(&[0; EACH + 1]);
    eventually("nothing is kept", || server.stats().unfinished_bytes == 0);
}

/// Requests that are not complete count among what is unfinished.
#[test]
fn unfinished_requests_are_bounded_together() {
    let options = Options { unfinished_bytes_max: 64 << 10, ..options() };
    let (server, _ends) = TestServer::echo(options);
    let part = format!("GET / HTTP/1.1\r\nCookie: {}", "c".repeat(8000));
    let mut clients = Vec::new();
    while server.stats().open == clients.len() as u64 && clients.len() < 20 {
        let mut client = Client::connect(server.address);
        client.send(part.as_bytes());
        eventually("it is read", || {
            let stats = server.stats();
            stats.bytes_in == (clients.len() as u64 + 1) * part.len() as u64
        });
        clients.push(client);
        if clients.last().is_some_and(Client::has_news) {
            break;
        }
    }
    let mut last = clients.pop().unwrap();
    assert!(clients.len() >= 4, "{} were held", clients.len());
    assert_eq!(last.read_answer().status, 503);
    assert!(server.stats().unfinished_bytes <= 64 << 10);
    drop((clients, last));
    eventually("they are gone", || server.stats().open == 0);
    assert_eq!(server.stats().ended(Cause::Unfinished), 1);
    assert_eq!(server.stats().unfinished_bytes, 0);
}

/// Pings and pongs have a rate of their own; a flood of them is answered up to it and no longer.
#[test]
fn a_flood_of_pings_that_nobody_reads_is_cut_off() {
    let options = Options { control_rate: rate(1, 50), ..options() };
    let (server, ends) = TestServer::echo(options);
    let mut canary = Canary(Client::open(server.address));
    let mut client = Client::open(server.address);
    client.send(&frame(FIN | PONG, b"").repeat(20));
    client.send(&ping(&[7; 125]).repeat(20_000));
    ends.expect_abnormal(Cause::ControlRateLimit);
    canary.sing();
    let mut pongs = 0;
    let last = loop {
        let frame = client.read_frame();
        if frame.first != FIN | PONG {
            break frame;
        }
        pongs += 1;
    };
    let reason = "Too many control frames".to_owned();
    assert_eq!(last.close_code_and_reason(), (Some(1008), reason));
    // Pongs count with them; the one over the rate was answered too, before it was counted.
    assert!((30..60).contains(&pongs), "{pongs}");
    client.expect_eof();
}

/// §5.5.3: without that rate a flood of pings that nobody reads is read on, and of its pongs only the
/// newest waits.
#[test]
fn a_flood_of_pings_without_a_limit_costs_a_pong() {
    const FLOOD_BYTES: u64 = 50 << 20;
    let (server, _ends) = TestServer::echo(Options { control_rate: None, ..options() });
    let mut canary = Canary(Client::open(server.address));
    let client = Client::open(server.address);
    let mut writer = client.writer();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let flood = ping(&[7; 125]).repeat(1000);
        while !stopped.load(Ordering::Relaxed) {
            writer.write_all(&flood).expect("the server reads on");
        }
    });
    // More pongs than all buffers together hold.
    eventually("the flood is read", || server.stats().bytes_in > FLOOD_BYTES);
    canary.sing();
    eventually("one pong waits", || (1..1000).contains(&server.stats().queued_bytes));
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    client.reset();
    eventually("it is gone", || server.stats().open == 1);
}

/// §7.1.1: what comes after the end is thrown away, but not without end.
#[test]
fn a_peer_that_sends_for_ever_after_its_end_is_cut_off() {
    let options = Options { linger_bytes_max: 1 << 20, ..options() };
    let (server, _ends) = TestServer::echo(options);
    let mut canary = Canary(Client::open(server.address));
    let mut client = Client::open(server.address);
    client.send(&frame(FIN | 0x3, b""));
    client.expect_failure(1002);
    client.send(&[0; 512 << 10]);
    assert_eq!(server.stats().linger_cut, 0);
    let start = Instant::now();
    let error = loop {
        match client.try_send(&[0; 64 << 10]) {
            Ok(()) => assert!(start.elapsed() < DEADLINE, "it is never cut off"),
            Err(error) => break error.kind(),
        }
    };
    assert!(matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    canary.sing();
    let stats = server.stats();
    assert_eq!((stats.linger_cut, stats.open), (1, 1));
    assert_eq!(stats.ended(Cause::Violation(Violation::ReservedOpCode)), 1);
}

/// Silence does not count while a peer is owed something: our ping may be behind it, and from half
/// of the send queue on the peer is not even read from. It counts from when all was taken.
#[test]
fn a_peer_that_is_owed_something_is_not_idle() {
    let idle = Duration::from_millis(300);
    let timeouts = tickwire::proto::Timeouts {
        ping_interval: Some(idle / 3),
        idle_timeout: Some(idle),
        ..tickwire::proto::Timeouts::default()
    };
    let stage =
        support::puppet::puppets(Options { timeouts, send_queue_bytes_max: 64 << 20, ..options() });
    let mut owed = stage.open();
    owed.say("flood");
    // Others are closed meanwhile for being silent, so that long has passed.
    for _ in 0..3 {
        let mut idle = stage.open();
        let mut frame = idle.read_frame();
        while frame.first == FIN | PING {
            frame = idle.read_frame();
        }
        assert_eq!(frame.close_code_and_reason(), (Some(1001), "idle timeout".to_owned()));
    }
    let mut frames = 0;
    while frames < support::puppet::FLOOD_FRAMES {
        let frame = owed.read_frame();
        assert!([FIN | BINARY, FIN | PING].contains(&frame.first), "{frame:?}");
        frames += usize::from(frame.first == FIN | BINARY);
    }
    // All is taken: it is asked whether it lives, and closed because it does not say so.
    let drained = Instant::now();
    let mut frame = owed.read_frame();
    while frame.first == FIN | PING || frame.first == FIN | TEXT {
        frame = owed.read_frame();
    }
    assert_eq!(frame.close_code_and_reason(), (Some(1001), "idle timeout".to_owned()));
    assert!(drained.elapsed() >= idle / 2, "{:?}", drained.elapsed());
}

/// 5,000 clients that never finish their opening handshake are all gone at its deadline, and honest
/// handshakes meanwhile are done as ever.
#[cfg(all(target_os = "linux", feature = "cli"))]
#[test]
fn five_thousand_unfinished_handshakes_end_at_their_deadline() {
    use support::program::Program;
    const CLIENTS: usize = 5000;
    expect_descriptors(CLIENTS as u64 + 200);
    let program = Program::start(&["echo", "--handshake-timeout", "5s"]);
    let start = Instant::now();
    let mut unfinished = Vec::new();
    for number in 0..CLIENTS {
        let mut stream = TcpStream::connect_timeout(&program.address, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let part = upgrade_request("/", "");
        // Nothing, or all but the last byte, or something in between.
        let part = &part.as_bytes()[..(part.len() - 1) * (number % 4) / 3];
        stream.write_all(part).unwrap();
        unfinished.push((stream, !part.is_empty()));
    }
    for _ in 0..50 {
        let begun = Instant::now();
        let mut honest = Client::open(program.address);
        honest.send(&binary(b"here"));
        honest.expect_binary(b"here");
        honest.close();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    for (stream, has_spoken) in &mut unfinished {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an orderly end");
        assert_eq!(answer.starts_with("HTTP/1.1 408 "), *has_spoken, "{answer}");
    }
    assert!(start.elapsed() >= Duration::from_secs(5));
    Client::open(program.address).close();
    drop(unfinished);
    program.signal("TERM");
    let last = program.logged("stopped ");
    assert!(last.contains(&format!("handshake_timeout={CLIENTS}")), "{last}");
}

/// Has this process, and those that it starts, open so many files.
#[cfg(all(target_os = "linux", feature = "cli"))]
fn expect_descriptors(needed: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let raised = Rlimit { current: Some(needed), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).expect("this test needs more open files: ulimit -Hn");
    }
}
