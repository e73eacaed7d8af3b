//! What a peer may ask of the server (RFC 6455 §10.4), over real sockets.

mod support;

use std::io::Write;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use support::client::Client;
use support::frame::{
    BINARY, CLOSE, CONTINUATION, FIN, TEXT, binary, close, frame, header, ping, text,
};
use support::server::{End, Ends, TestServer, options};
use support::{eventually, frame::mask};
use tickwire::proto::{Limits, Message, Violation};
use tickwire::server::{Cause, Closed, Context, Handler, Opening, Options, Rate, Retain, Upgrade};

fn with_limits(limits: Limits) -> Options {
    Options { limits, ..options() }
}

/// §7.4.1, 1009: a message is refused as soon as its length is announced.
#[test]
fn a_message_over_the_limit_is_refused_when_it_is_announced() {
    let (server, ends) = TestServer::echo(with_limits(Limits::message(1000)));
    let mut client = Client::open(server.address);
    client.send(&binary(&[1; 1000]));
    client.expect_binary(&[1; 1000]);
    client.send(&header(FIN | BINARY, 1001));
    assert_eq!(client.expect_failure(1009), "frame too large");
    ends.expect_abnormal(Cause::Violation(Violation::FrameTooLarge));
}

/// §10.4: limits "regarding the frame size or total message size after reassembly".
#[test]
fn a_message_over_the_limit_in_all_its_fragments_is_refused() {
    let (server, ends) = TestServer::echo(with_limits(Limits::message(1000)));
    let mut client = Client::open(server.address);
    client.send(&frame(TEXT, &[b'a'; 600]));
    client.send(&frame(FIN | CONTINUATION, &[b'a'; 400]));
    client.expect_text(&"a".repeat(1000));
    client.send(&frame(TEXT, &[b'a'; 600]));
    client.send(&header(CONTINUATION, 401));
    client.expect_failure(1009);
    ends.expect_abnormal(Cause::Violation(Violation::MessageTooLarge));
}

/// A frame may be limited to less than a message.
#[test]
fn a_frame_over_its_own_limit_is_refused() {
    let limits = Limits { frame_bytes_max: 10, ..Limits::message(100) };
    let (server, ends) = TestServer::echo(with_limits(limits));
    let mut client = Client::open(server.address);
    for n in 0..10 {
        let first = if n == 0 { TEXT } else { CONTINUATION } | if n == 9 { FIN } else { 0 };
        client.send(&frame(first, &[b'a'; 10]));
    }
    client.expect_text(&"a".repeat(100));
    client.send(&header(FIN | TEXT, 11));
    client.expect_failure(1009);
    ends.expect_abnormal(Cause::Violation(Violation::FrameTooLarge));
}

/// §10.4: a length is a claim: nothing is allocated by it, even where it is allowed.
#[test]
fn an_announced_length_takes_no_memory() {
    let (server, ends) = TestServer::echo(options());
    let mut client = Client::open(server.address);
    client.send(&header(FIN | BINARY, 1 << 62));
    client.expect_failure(1009);
    ends.expect_abnormal(Cause::Violation(Violation::FrameTooLarge));

    let (server, ends) = TestServer::echo(with_limits(Limits::message(u64::MAX)));
    let mut clients: Vec<Client> = (0..50).map(|_| Client::open(server.address)).collect();
    for client in &mut clients {
        client.send(&header(FIN | BINARY, (1 << 63) - 1));
        client.send(&mask(b"the first of many bytes"));
    }
    Client::open(server.address).close();
    assert_eq!(ends.next().cause, Cause::PeerClosed);
    for mut client in clients {
        client.finish();
        client.expect_eof();
        ends.expect_abnormal(Cause::PeerVanished);
    }
}

/// A message in too many fragments is against our policy, however small they are.
#[test]
fn a_message_of_too_many_fragments_is_refused() {
    let limits = Limits { fragments_max: 3, ..Limits::default() };
    let (server, ends) = TestServer::echo(with_limits(limits));
    let mut client = Client::open(server.address);
    client.send(&[frame(TEXT, b"1"), frame(CONTINUATION, b"2")].concat());
    client.send(&frame(FIN | CONTINUATION, b"3"));
    client.expect_text("123");
    client.send(&[frame(TEXT, b""), frame(CONTINUATION, b""), frame(CONTINUATION, b"")].concat());
    client.expect_alive();
    client.send(&frame(CONTINUATION, b""));
    client.expect_failure(1008);
    ends.expect_abnormal(Cause::Violation(Violation::TooManyFragments));
}

/// Messages, pings and pongs count towards the rate; what is over it closes with 1008.
#[test]
fn a_peer_over_the_message_rate_is_closed() {
    let [per_second, burst] = [1, 4].map(|n| NonZeroU32::new(n).unwrap());
    let rate = Some(Rate { per_second, burst });
    let (server, ends) = TestServer::echo(Options { message_rate: rate, ..options() });
    let mut client = Client::open(server.address);
    let burst = [text("1"), ping(b"2"), frame(FIN | 0xa, b""), text("4")].concat();
    client.send(&[burst, text("5").repeat(100)].concat());
    client.expect_text("1");
    client.expect_pong(b"2");
    client.expect_text("4");
    let mut last = client.read_frame();
    // The burst may have lasted long enough for one more, on a slow machine.
    while last.first == FIN | TEXT {
        last = client.read_frame();
    }
    let reason = "Too many requests".to_owned();
    assert_eq!(last.close_code_and_reason(), (Some(1008), reason));
    client.send(&close(1008, ""));
    client.expect_eof();
    assert_eq!(ends.next().cause, Cause::RateLimit);
    drop(client);
    server.expect_ended(Cause::RateLimit, 1);
    assert!(server.stats().messages_in <= 3);
}

/// Sends as many messages of 64 KiB, each of one repeated byte, as the message's length says; or
/// subscribes to a flood of others.
struct Flood {
    ends: std::sync::mpsc::Sender<End>,
    /// Messages that the server took for its peer.
    sent: Arc<AtomicU64>,
}

impl Flood {
    fn start(options: Options) -> (TestServer, Ends, Arc<AtomicU64>) {
        let (ends, receiver) = channel();
        let sent = Arc::<AtomicU64>::default();
        let count = Arc::clone(&sent);
        let make = move |_| Flood { ends: ends.clone(), sent: Arc::clone(&count) };
        (TestServer::start(options, make), Ends(receiver), sent)
    }
}

const FLOOD_BYTES: usize = 64 << 10;
const QUEUE_BYTES: usize = 1 << 20;

impl Handler for Flood {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        if message == Message::Text("subscribe") {
            cx.subscribe("flood");
            cx.send("subscribed");
            return;
        }
        for n in 0..message.payload().len() {
            let sent = cx.send(&[n.to_le_bytes()[0]; FLOOD_BYTES][..]);
            self.sent.fetch_add(u64::from(sent), Ordering::Relaxed);
            assert!(cx.queued_bytes() <= QUEUE_BYTES, "checked before it is queued");
        }
    }

    fn on_close(&mut self, (): (), closed: &Closed<'_>) {
        let _ = self.ends.send(closed.into());
    }
}

/// §7.4.1, 1008: a peer that does not read is closed once its send queue is full; what it gets
/// until then is whole frames, in order, and it is told why.
#[test]
fn a_peer_that_does_not_read_is_closed_as_a_slow_consumer() {
    let options = Options { send_queue_bytes_max: QUEUE_BYTES, ..options() };
    let (server, ends, sent) = Flood::start(options);
    let mut client = Client::open(server.address);
    client.send(&binary(&[0; 2000]));
    ends.expect_abnormal(Cause::SlowConsumer);
    let mut count = 0u64;
    let last = loop {
        let frame = client.read_frame();
        if frame.first == FIN | CLOSE {
            break frame;
        }
        assert_eq!(frame.payload, [count.to_le_bytes()[0]; FLOOD_BYTES]);
        count += 1;
    };
    assert_eq!(last.close_code_and_reason(), (Some(1008), "slow consumer".to_owned()));
    client.expect_eof();
    let frame_bytes = FLOOD_BYTES as u64 + 10;
    drop(client);
    server.expect_ended(Cause::SlowConsumer, 1);
    let (sent, dropped) = (sent.load(Ordering::Relaxed), server.stats().dropped_slow_bytes);
    assert!(sent < 2000, "the handler is told that there is no room");
    assert_eq!(dropped, (sent - count) * frame_bytes, "each frame was sent or counted");
}

/// The same over many turns, with events that others publish: each delivery was sent, or dropped
/// and counted.
#[test]
fn every_event_that_a_slow_subscriber_misses_is_counted() {
    let options = Options { send_queue_bytes_max: QUEUE_BYTES, ..options() };
    let (server, ends, _) = Flood::start(options);
    let mut client = Client::open(server.address);
    client.send(&text("subscribe"));
    client.expect_text("subscribed");
    let topic = server.publisher.topic("flood", Retain::Nothing);
    let event = [7; FLOOD_BYTES];
    while ends.0.try_recv().is_err() {
        server.publisher.publish_waiting(&topic, Message::Binary(&event));
    }
    let mut count = 0;
    while client.read_frame().first != FIN | CLOSE {
        count += 1;
    }
    client.expect_eof();
    drop(client);
    server.expect_ended(Cause::SlowConsumer, 1);
    let stats = server.stats();
    let frame_bytes = FLOOD_BYTES as u64 + 10;
    assert_eq!(stats.dropped_slow_bytes, stats.dropped_slow_events * frame_bytes);
    assert_eq!((stats.deliveries, stats.offered), (count, count + stats.dropped_slow_events));
    assert!(stats.dropped_slow_events > 0);
}

/// A peer that sends much and reads late is not read from meanwhile, so that what it is owed never
/// outgrows the queue. Once it reads, all comes.
#[test]
fn a_peer_that_reads_late_gets_everything() {
    const MESSAGES: usize = 1000;
    let options = Options { send_queue_bytes_max: QUEUE_BYTES, ..options() };
    let (server, ends) = TestServer::echo(options);
    let mut client = Client::open(server.address);
    let mut writer = client.writer();
    let thread = std::thread::spawn(move || {
        for n in 0..MESSAGES {
            writer.write_all(&binary(&[n.to_le_bytes()[0]; FLOOD_BYTES]))?;
        }
        std::io::Result::Ok(())
    });
    // All that fits between the two has been sent: the server reads no more.
    let mut before = server.stats();
    eventually("the server stops reading", || {
        let (last, now) = (before.bytes_in, server.stats());
        before = now;
        last == before.bytes_in && before.messages_in > 10
    });
    for n in 0..MESSAGES {
        client.expect_binary(&[n.to_le_bytes()[0]; FLOOD_BYTES]);
    }
    thread.join().unwrap().unwrap();
    client.close();
    assert_eq!(ends.next().cause, Cause::PeerClosed);
    server.expect_ended(Cause::PeerClosed, 1);
    assert_eq!(server.stats().dropped_slow_bytes, 0);
}
