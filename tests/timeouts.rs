//! What happens when nothing happens (RFC 6455 §5.5.2, §7.1.1, §10.3): every timeout, over real
//! sockets. Each test waits for the server to act and never for time to pass.

mod support;

use std::time::{Duration, Instant};
use support::client::Client;
use support::eventually;
use support::frame::{FIN, PING, close, pong, text};
use support::server::{TestServer, options};
use tickwire::proto::Timeouts;
use tickwire::server::{Cause, Options, PingPayload};

const SHORT: Duration = Duration::from_millis(100);

fn timeouts(ping_interval: Option<Duration>, idle_timeout: Option<Duration>) -> Options {
    let timeouts = Timeouts { ping_interval, idle_timeout, ..Timeouts::default() };
    Options { timeouts, ..options() }
}

/// A peer that says nothing gets no answer: its connection just ends.
#[test]
fn a_silent_connection_is_closed_after_the_handshake_timeout() {
    let (server, ends) = TestServer::echo(Options { handshake_timeout: SHORT, ..options() });
    let start = Instant::now();
    let mut client = Client::connect(server.address);
    client.expect_eof();
    assert!(start.elapsed() >= SHORT);
    drop(client);
    server.expect_ended(Cause::HandshakeTimeout, 1);
    server.stop();
    ends.expect_no_more();
}

/// RFC 9110 §15.5.9: one whose request is not complete is told so.
#[test]
fn an_unfinished_request_is_answered_408() {
    let (server, _ends) = TestServer::echo(Options { handshake_timeout: SHORT, ..options() });
    let mut client = Client::connect(server.address);
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n");
    let answer = client.read_answer();
    assert_eq!((answer.status, answer.field("Connection")), (408, Some("close")));
    assert!(answer.field("Date").is_some());
    assert_eq!(answer.field("Content-Length"), Some(&*answer.content.len().to_string()));
    drop(client);
    server.expect_ended(Cause::HandshakeTimeout, 1);
}

/// A byte now and then does not keep an opening handshake alive.
#[test]
fn a_trickling_request_is_given_up_all_the_same() {
    let (server, _ends) = TestServer::echo(Options { handshake_timeout: SHORT, ..options() });
    let mut client = Client::connect(server.address);
    client.send(b"GET /");
    eventually("the server gives up", || client.try_send(b"x").is_err() || client.has_news());
    assert_eq!(client.read_answer().status, 408);
    drop(client);
    server.expect_ended(Cause::HandshakeTimeout, 1);
}

/// §7.4.1: a peer that is silent for the idle timeout is closed with 1001.
#[test]
fn a_silent_peer_is_closed_after_the_idle_timeout() {
    let (server, ends) = TestServer::echo(timeouts(None, Some(SHORT)));
    let start = Instant::now();
    let mut client = Client::open(server.address);
    assert_eq!(client.expect_close(1001), "idle timeout");
    assert!(start.elapsed() >= SHORT);
    client.send(&close(1001, ""));
    client.expect_eof();
    let end = ends.next();
    assert_eq!((end.cause, end.code), (Cause::IdleTimeout, 1001));
}

/// §5.5.2: pings come at their interval, and pongs count as signs of life.
#[test]
fn a_peer_that_only_answers_pings_stays() {
    const INTERVAL: Duration = Duration::from_millis(20);
    const IDLE: Duration = Duration::from_millis(1000);
    let (server, ends) = TestServer::echo(timeouts(Some(INTERVAL), Some(IDLE)));
    let mut client = Client::open(server.address);
    let start = Instant::now();
    let mut pings = 0;
    while start.elapsed() < IDLE + IDLE / 4 {
        client.expect_frame(FIN | PING, b"");
        client.send(&pong(b""));
        pings += 1;
    }
    // No more than their interval allows; how many fewer depends on the machine.
    assert!(pings <= start.elapsed().as_millis() / INTERVAL.as_millis(), "{pings}");
    client.finish();
    ends.expect_abnormal(Cause::PeerVanished);
}

/// A peer that goes on reading but never answers a ping is gone for us.
#[test]
fn pings_without_pongs_do_not_keep_a_connection() {
    let (server, ends) = TestServer::echo(timeouts(Some(SHORT / 4), Some(SHORT * 3)));
    let mut client = Client::open(server.address);
    let mut frame = client.read_frame();
    assert_eq!(frame.first, FIN | PING);
    while frame.first == FIN | PING {
        frame = client.read_frame();
    }
    assert_eq!(frame.close_code_and_reason(), (Some(1001), "idle timeout".to_owned()));
    drop(client);
    assert_eq!(ends.next().cause, Cause::IdleTimeout);
}

/// A ping may carry the time, for those who measure.
#[test]
fn a_ping_may_carry_the_time() {
    let options = timeouts(Some(SHORT / 4), None);
    let (server, _ends) =
        TestServer::echo(Options { ping_payload: PingPayload::UnixMillis, ..options });
    let mut client = Client::open(server.address);
    let mut last = 1_700_000_000_000;
    for _ in 0..3 {
        let frame = client.read_frame();
        assert_eq!(frame.first, FIN | PING);
        let millis: u64 = String::from_utf8(frame.payload).unwrap().parse().unwrap();
        assert!(millis > last, "{millis}");
        last = millis;
    }
}

/// The greatest age of a connection counts from its opening, however lively it is.
#[test]
fn a_connection_ends_when_its_lifetime_is_over() {
    let options = Options { lifetime: Some(SHORT), lifetime_jitter_percent: 0, ..options() };
    let (server, ends) = TestServer::echo(options);
    let start = Instant::now();
    let mut client = Client::open(server.address);
    let last = loop {
        client.send(&text("still here"));
        let frame = client.read_frame();
        if frame.first != FIN | 1 {
            break frame;
        }
    };
    assert!(start.elapsed() >= SHORT);
    let reason = "connection lifetime reached".to_owned();
    assert_eq!(last.close_code_and_reason(), (Some(1001), reason));
    drop(client);
    assert_eq!(ends.next().cause, Cause::Lifetime);
}

/// Connections that were made together do not end together: with a jitter of the whole lifetime
/// they end all over it, none later.
#[test]
fn connections_that_were_made_together_end_apart() {
    const COUNT: usize = 40;
    const LONGEST: Duration = Duration::from_millis(1000);
    let options = Options { lifetime: Some(LONGEST), lifetime_jitter_percent: 100, ..options() };
    let (server, ends) = TestServer::echo(options);
    let clients: Vec<Client> = (0..COUNT).map(|_| Client::open(server.address)).collect();
    let opened = Instant::now();
    // Each leaves as it is told to, and the handler tells when it has.
    let waiting: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                assert_eq!(client.expect_close(1001), "connection lifetime reached");
                let ended = opened.elapsed();
                client.send(&close(1001, ""));
                client.expect_eof();
                ended
            })
        })
        .collect();
    let mut ages: Vec<Duration> = waiting.into_iter().map(|one| one.join().unwrap()).collect();
    for _ in 0..COUNT {
        assert_eq!(ends.next().cause, Cause::Lifetime);
    }
    ages.sort();
    // Half of them in the first half, give or take; a slow machine makes all of them later.
    let spread = ages[COUNT - 1].saturating_sub(ages[0]);
    assert!(spread > LONGEST / 2, "{ages:?}");
}
