//! What the library's server promises its user: callbacks, panics, counters, stopping, over real
//! sockets.

mod support;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use support::client::{Client, upgrade_request};
use support::frame::{CLOSE, FIN, TEXT, close, frame, ping, text};
use support::puppet::{FLOOD_FRAMES, Puppet, puppets};
use support::server::options;
use support::{DEADLINE, eventually};
use tickwire::proto::{Message, Violation};
use tickwire::server::{BuildError, Cause, Options, Retain, Server};

/// Each session ends once, whatever ends it, and is counted under what its handler was told.
#[test]
fn each_session_gets_on_close_once() {
    let stage = puppets(options());
    let ends_of: [(Cause, fn(Client)); 6] = [
        (Cause::PeerClosed, Client::close),
        (Cause::PeerVanished, |mut client| {
            client.finish();
            client.expect_eof();
        }),
        (Cause::Reset, Client::reset),
        (Cause::Violation(Violation::Unmasked), |mut client| {
            client.send(b"\x81\x00");
            client.expect_failure(1002);
            client.send(&close(1000, ""));
        }),
        (Cause::Application, |mut client| {
            client.send(&text("close").repeat(2));
            client.expect_close(1000);
            client.send(&close(1000, "").repeat(2));
            client.expect_eof();
        }),
        (Cause::HandlerPanic, |mut client| {
            client.send(&text("panic").repeat(2));
            client.expect_close(1011);
            client.send(&close(1000, ""));
            client.expect_eof();
        }),
    ];
    for (cause, end) in ends_of {
        end(stage.open());
        assert_eq!(stage.ends.next().cause, cause);
        stage.server.expect_ended(cause, 1);
    }
    assert_eq!(stage.server.stats().handshakes, ends_of.len() as u64);
    stage.server.stop();
    stage.ends.expect_no_more();
}

/// A panic costs the connection that the handler was called for, and no other.
#[test]
fn a_handlers_panic_costs_one_connection() {
    let stage = puppets(options());
    let mut other = stage.open();
    let mut client = stage.open();
    client.send(&[text("before"), text("panic"), text("after")].concat());
    client.expect_text("before");
    assert_eq!(client.expect_close(1011), "internal error");
    client.send(&close(1011, ""));
    client.expect_eof();
    assert_eq!(stage.ends.next().cause, Cause::HandlerPanic);

    let mut client = Client::open_at(stage.server.address, "/panic-on-open");
    client.expect_close(1011);
    drop(client);
    assert_eq!(stage.ends.next().cause, Cause::HandlerPanic);

    Client::open_at(stage.server.address, "/panic-on-close").close();
    assert_eq!(stage.ends.next().cause, Cause::PeerClosed);

    for request in [
        upgrade_request("/panic-on-request", ""),
        "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ] {
        let mut client = Client::connect(stage.server.address);
        client.send(request.as_bytes());
        assert_eq!(client.read_answer().status, 500);
    }
    other.expect_alive();
    other.close();
}

/// A handler that cannot even be made stops the whole server: a part of it would serve only a part
/// of the clients.
#[test]
fn a_worker_that_cannot_start_stops_the_others() {
    let local = ([127, 0, 0, 1], 0).into();
    let options = Options { workers: 2, ..options() };
    for broken in 0..2 {
        let server = Server::builder(local).options(options.clone()).build().unwrap();
        let (sender, receiver) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ended = sender;
            server.run(|worker| {
                assert_ne!(worker, broken, "on purpose");
                let (ends, calls) = (channel().0, channel().0);
                Puppet { worker, ends, calls }
            })
        });
        // The sender is dropped when `run` has returned or panicked.
        let waited = receiver.recv_timeout(DEADLINE);
        assert_eq!(waited, Err(std::sync::mpsc::RecvTimeoutError::Disconnected), "{broken}");
        assert!(thread.join().is_err(), "the panic is passed on");
    }
}

/// A session may be closed as it opens.
#[test]
fn a_session_may_be_closed_as_it_opens() {
    let stage = puppets(options());
    let mut client = Client::connect(stage.server.address);
    client.send(&[upgrade_request("/close-on-open", "").into_bytes(), text("early")].concat());
    client.expect_switch();
    assert_eq!(client.expect_close(1013), "full");
    client.send(&close(1013, ""));
    client.expect_eof();
    drop(client);
    stage.server.expect_ended(Cause::Application, 1);
    assert_eq!(stage.server.stats().messages_in, 0);
}

/// `on_drain` comes when the socket has taken what it had refused, and not before.
#[test]
fn on_drain_comes_when_a_slow_peer_has_caught_up() {
    let stage = puppets(Options { send_queue_bytes_max: 64 << 20, ..options() });
    let mut client = stage.open();
    client.send(&[text("flood"), ping(b"flooded")].concat());
    eventually("the socket takes what it can", || stage.server.stats().bytes_out > 100_000);
    assert_eq!(stage.calls.try_iter().count(), 0);
    let mut frames = 0;
    loop {
        let frame = client.read_frame();
        if frame.first == FIN | TEXT {
            assert_eq!(frame.payload, b"drained");
            break;
        }
        frames += 1;
    }
    assert_eq!(frames, FLOOD_FRAMES + 1, "the flood and the pong behind it");
    assert_eq!(stage.calls.recv_timeout(DEADLINE), Ok("on_drain"));
    client.close();
}

/// Messages long enough to be written from where they lie keep their place among the short ones,
/// whether the socket takes them at once or not.
#[test]
fn messages_of_all_lengths_arrive_in_order() {
    let stage = puppets(Options { send_queue_bytes_max: 64 << 20, ..options() });
    let mut client = stage.open();
    let messages: Vec<String> =
        (0..120).map(|n| format!("{n} ").repeat([1, 40_000, 1, 1, 8_000, 20][n % 6])).collect();
    for message in &messages {
        client.send(&text(message));
    }
    eventually("all are handled", || stage.server.stats().messages_in == 120);
    for message in &messages {
        client.expect_text(message);
    }
    // The socket had refused some of them.
    client.expect_text("drained");
    client.close();
}

/// §7.4.1, 1001: at the end each session may say a last thing, and is closed.
#[test]
fn a_stopping_server_says_goodbye() {
    let stage = puppets(Options { drain_timeout: DEADLINE, ..options() });
    let mut clients: Vec<Client> = (0..5).map(|_| stage.open()).collect();
    let mut handshaking = Client::connect(stage.server.address);
    handshaking.send(b"GET / HTTP/1.1\r\n");
    eventually("all are accepted", || stage.server.stats().accepted == 6);
    stage.server.shutdown.shutdown();
    for client in &mut clients {
        client.expect_text("last words");
        assert_eq!(client.expect_close(1001), "server shutdown");
        client.send(&close(1001, ""));
        client.expect_eof();
    }
    assert_eq!(handshaking.read_answer().status, 503);
    drop((clients, handshaking));
    eventually("all are counted", || stage.server.stats().handshakes == 5);
    stage.server.stop();
    assert_eq!(stage.calls.try_iter().collect::<Vec<_>>(), ["on_shutdown"; 5]);
    for _ in 0..5 {
        let end = stage.ends.next();
        assert_eq!((end.cause, end.code), (Cause::Shutdown, 1001));
    }
    stage.ends.expect_no_more();
}

/// Peers that do not answer delay the end by the drain timeout and no more.
#[test]
fn a_stopping_server_does_not_wait_for_ever() {
    let drain_timeout = Duration::from_millis(200);
    let stage = puppets(Options { drain_timeout, ..options() });
    let clients: Vec<Client> = (0..3).map(|_| stage.open()).collect();
    let start = Instant::now();
    stage.server.stop();
    assert!(start.elapsed() >= drain_timeout);
    assert!(start.elapsed() < DEADLINE / 2);
    for _ in &clients {
        stage.ends.expect_abnormal(Cause::Shutdown);
    }
    stage.ends.expect_no_more();
}

/// §5.5.1: "The application MUST NOT send any more data frames after sending a Close frame", not
/// even from `on_drain` or `on_shutdown`.
#[test]
fn nothing_is_sent_after_a_close_frame() {
    let drain_timeout = DEADLINE;
    let stage = puppets(Options { drain_timeout, send_queue_bytes_max: 64 << 20, ..options() });
    let mut slow = stage.open();
    slow.send(&[text("flood"), text("close")].concat());
    eventually("the socket takes what it can", || stage.server.stats().bytes_out > 100_000);
    let mut closing = stage.open();
    closing.send(&text("close"));
    closing.expect_close(1000);
    let mut frame = slow.read_frame();
    while frame.first != FIN | CLOSE {
        frame = slow.read_frame();
    }
    slow.expect_alive();
    stage.server.shutdown.shutdown();
    for mut client in [slow, closing] {
        client.send(&close(1000, ""));
        client.expect_eof();
    }
    assert_eq!(stage.ends.next().cause, Cause::Application);
    assert_eq!(stage.ends.next().cause, Cause::Application);
}

/// A shutdown that is asked for before the server runs is not lost.
#[test]
fn a_shutdown_before_the_start_counts() {
    for workers in [1, 3] {
        let local = ([127, 0, 0, 1], 0).into();
        let server = Server::builder(local).options(Options { workers, ..options() });
        let server = server.build().unwrap();
        server.shutdown_handle().shutdown();
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let result = server.run(|worker| {
                let (ends, calls) = (channel().0, channel().0);
                Puppet { worker, ends, calls }
            });
            sender.send(result.is_ok())
        });
        assert_eq!(receiver.recv_timeout(DEADLINE), Ok(true));
    }
}

/// A taken port is an error with its address, also where workers would share it.
#[test]
fn a_taken_port_is_an_error() {
    let stage = puppets(options());
    for workers in [1, 2] {
        let builder = Server::builder(stage.server.address);
        let error = builder.options(Options { workers, ..options() }).build().unwrap_err();
        let BuildError::Bind(bind) = &error else { panic!("{error}") };
        assert_eq!(bind.source.kind(), std::io::ErrorKind::AddrInUse);
        let text = format!("cannot listen on {}: the address is in use", stage.server.address);
        assert_eq!(error.to_string(), text);
    }
}

/// A place in the table is taken again and again; nothing of who had it reaches who has it.
#[test]
fn a_new_connection_inherits_nothing() {
    let stage = puppets(options());
    let publisher = &stage.server.publisher;
    let topic = publisher.topic("ticks", Retain::Nothing);
    for n in 0..300 {
        let mut gone = stage.subscriber("ticks");
        gone.send(&frame(TEXT, b"unfinished"));
        match n % 3 {
            0 => gone.reset(),
            1 => gone.finish(),
            _ => drop(gone),
        }
        publisher.publish(&topic, Message::Text("not for who comes next"));
        let mut next = stage.open();
        publisher.publish(&topic, Message::Text("nor this"));
        next.expect_alive();
        next.close();
    }
    eventually("all are counted", || {
        let stats = stage.server.stats();
        (stats.accepted, stats.handshakes) == (600, 600)
    });
}

/// Many connections at once, coming and going on several workers: none is lost or counted twice.
#[test]
fn connections_that_come_and_go_are_all_served_and_counted() {
    const THREADS: usize = 4;
    const CYCLES: usize = 100;
    let stage = puppets(Options { workers: 2, ..options() });
    let address = stage.server.address;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            std::thread::spawn(move || {
                for cycle in 0..CYCLES {
                    let said = format!("echo {thread} {cycle}");
                    let mut client = Client::open(address);
                    client.send(&text(&said));
                    client.expect_text(&said);
                    if cycle % 2 == 0 {
                        client.close();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let all = (THREADS * CYCLES) as u64;
    eventually("all have ended", || stage.server.stats().ended_total() == all);
    let stats = stage.server.stats();
    assert_eq!((stats.accepted, stats.handshakes, stats.open), (all, all, 0));
    assert_eq!(stats.messages_in, all);
    stage.server.stop();
    assert_eq!(stage.ends.0.try_iter().count() as u64, all);
}
