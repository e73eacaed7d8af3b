//! What the library's server promises its user: callbacks, topics, counters, stopping. One session
//! of it for each test, over real sockets.

mod support;

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use support::client::{Client, upgrade_request};
use support::frame::{CLOSE, FIN, TEXT, close, frame, ping, text};
use support::server::{End, Ends, TestServer, options};
use support::{DEADLINE, eventually};
use tickwire::http::{Request, Response, Status};
use tickwire::proto::{CloseCode, Message, Violation};
use tickwire::server::{
    Cause, Closed, Context, Delivery, Handler, Opening, Options, Published, Retain, Server,
    Upgrade, View,
};

/// So many frames of 100 kB that no socket takes them all at once.
const FLOOD_FRAMES: usize = 300;

/// Does what its messages say, and tells the test what it was called for.
struct Puppet {
    worker: usize,
    ends: Sender<End>,
    calls: Sender<&'static str>,
}

impl Handler for Puppet {
    type Session = String;

    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<String> {
        assert_ne!(opening.request.path(), "/panic-on-request", "on purpose");
        Upgrade::accept(opening.request.path().to_owned())
    }

    fn on_http(&mut self, request: &Request<'_>) -> Response {
        assert_ne!(request.path(), "/panic", "on purpose");
        Response::new(Status::NO_CONTENT)
    }

    fn on_open(&mut self, cx: &mut Context<'_, String>) {
        match cx.session().as_str() {
            "/panic-on-open" => panic!("on purpose"),
            "/close-on-open" => cx.close(CloseCode::TRY_AGAIN_LATER, "full"),
            _ => {}
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, String>, message: Message<'_>) {
        let Message::Text(said) = message else {
            return;
        };
        let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
        match word {
            "panic" => panic!("on purpose"),
            "close" => cx.close(CloseCode::NORMAL, ""),
            "worker" => _ = cx.send(&*self.worker.to_string()),
            "subscribe" => {
                let new = cx.subscribe(rest);
                cx.send(if new { "subscribed" } else { "again" });
            }
            "unsubscribe" => {
                let was = cx.unsubscribe(rest);
                cx.send(if was { "unsubscribed" } else { "never was" });
            }
            "publish" => {
                let (topic, payload) = rest.split_once(' ').unwrap_or((rest, ""));
                cx.publish(topic, payload);
            }
            // Frames for `a` that do not follow one another, in one turn.
            "interleave" => {
                let payload = "x".repeat(rest.len());
                for n in 0..200 {
                    cx.publish("a", &*format!("{n} {payload}"));
                    cx.publish("b", "");
                }
            }
            "flood" => {
                for _ in 0..FLOOD_FRAMES {
                    cx.send(&[0; 100_000][..]);
                }
            }
            _ => _ = cx.send(message),
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_, String>) {
        let _ = self.calls.send("on_drain");
        cx.send("drained");
    }

    fn on_shutdown(&mut self, cx: &mut Context<'_, String>) {
        let _ = self.calls.send("on_shutdown");
        cx.send("last words");
    }

    fn render(event: &Published<'_>, _: View, out: &mut Vec<u8>) {
        out.extend_from_slice(event.payload);
        assert_ne!(event.payload, b"panic-on-render", "on purpose");
    }

    fn on_close(&mut self, session: String, closed: &Closed<'_>) {
        let _ = self.ends.send(closed.into());
        assert_ne!(session, "/panic-on-close", "on purpose");
    }
}

struct Stage {
    server: TestServer,
    ends: Ends,
    calls: Receiver<&'static str>,
}

fn puppets(options: Options) -> Stage {
    let (ends, ends_receiver) = channel();
    let (calls, calls_receiver) = channel();
    let make = move |worker| Puppet { worker, ends: ends.clone(), calls: calls.clone() };
    let server = TestServer::start(options, make);
    Stage { server, ends: Ends(ends_receiver), calls: calls_receiver }
}

impl Stage {
    fn open(&self) -> Client {
        Client::open(self.server.address)
    }

    /// A client that is subscribed to a topic.
    fn subscriber(&self, topic: &str) -> Client {
        let mut client = self.open();
        client.send(&text(&format!("subscribe {topic}")));
        client.expect_text("subscribed");
        client
    }
}

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

/// An event that cannot be rendered is nobody's fault: it is left out, and all go on.
#[test]
fn an_event_that_cannot_be_rendered_is_left_out() {
    let stage = puppets(options());
    let publisher = &stage.server.publisher;
    let topic = publisher.topic("ticks", Retain::Last);
    let mut subscriber = stage.subscriber("ticks");
    for payload in ["before", "panic-on-render"] {
        publisher.publish(&topic, Message::Text(payload));
    }
    subscriber.expect_text("before");
    // The event is the topic's last one all the same, and fails for the next subscriber too.
    let mut next = stage.subscriber("ticks");
    publisher.publish(&topic, Message::Text("after"));
    for client in [&mut subscriber, &mut next] {
        client.expect_text("after");
    }
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
    let stats = stage.server.stats();
    stage.server.stop();
    assert_eq!(stats.handshakes, 5);
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

/// A publisher on another thread reaches all subscribers, in order and without loss where it waits.
#[test]
fn what_another_thread_publishes_comes_in_order() {
    const EVENTS: usize = 20_000;
    let stage = puppets(Options { inbox_events_max: 16, ..options() });
    let mut subscribers = [stage.subscriber("ticks"), stage.subscriber("ticks")];
    let publisher = stage.server.publisher.clone();
    let thread = std::thread::spawn(move || {
        let topic = publisher.topic("ticks", Retain::Nothing);
        for n in 0..EVENTS {
            let delivery = publisher.publish_waiting(&topic, Message::Text(&n.to_string()));
            assert_eq!(delivery, Delivery::Delivered);
        }
    });
    for n in 0..EVENTS {
        for client in &mut subscribers {
            client.expect_text(&n.to_string());
        }
    }
    thread.join().unwrap();
    let stats = stage.server.stats();
    assert_eq!((stats.events_in, stats.deliveries), (EVENTS as u64, 2 * EVENTS as u64));
}

/// A sleeping worker is woken by each event: none waits for the next one.
#[test]
fn a_single_event_wakes_a_sleeping_worker() {
    let stage = puppets(options());
    let mut client = stage.subscriber("ticks");
    let publisher = stage.server.publisher.clone();
    let topic = publisher.topic("ticks", Retain::Nothing);
    for n in 0..2000 {
        assert_eq!(publisher.publish(&topic, Message::Text(&n.to_string())), Delivery::Delivered);
        client.expect_text(&n.to_string());
    }
}

/// However many pieces a turn's frames are in, all are sent though the peer says nothing more.
#[test]
fn many_scattered_frames_in_a_turn_are_all_sent() {
    let stage = puppets(options());
    let mut a = stage.subscriber("a");
    let mut b = stage.subscriber("b");
    for payload_len in [1, 50, 2000] {
        let payload = "x".repeat(payload_len);
        stage.open().send(&text(&format!("interleave {payload}")));
        for n in 0..200 {
            a.expect_text(&format!("{n} {payload}"));
            b.expect_text("");
        }
    }
}

/// Workers share topics: an event reaches the subscribers of all of them, whoever published it.
#[test]
fn three_workers_deliver_to_all_subscribers() {
    let stage = puppets(Options { workers: 3, ..options() });
    let mut clients: Vec<Client> = (0..60).map(|_| stage.subscriber("ticks")).collect();
    let mut workers = BTreeSet::new();
    for client in &mut clients {
        client.send(&text("worker"));
        workers.insert(client.read_frame().payload);
    }
    assert!(workers.len() > 1, "the kernel spreads connections");
    let publisher = &stage.server.publisher;
    let topic = publisher.topic("ticks", Retain::Nothing);
    assert_eq!(publisher.publish(&topic, Message::Text("from outside")), Delivery::Delivered);
    for client in &mut clients {
        client.expect_text("from outside");
    }
    for publishing in [0, 59] {
        clients[publishing].send(&text("publish ticks from a session"));
        for client in &mut clients {
            client.expect_text("from a session");
        }
    }
    for client in clients {
        client.close();
    }
    stage.server.expect_ended(Cause::PeerClosed, 60);
}

/// Subscriptions begin and end when they are asked to.
#[test]
fn subscriptions_begin_and_end() {
    let stage = puppets(options());
    let publisher = &stage.server.publisher;
    let topic = publisher.topic("ticks", Retain::Nothing);
    let mut client = stage.open();
    let mut say = |said: &str, answer: &str| {
        client.send(&text(said));
        client.expect_text(answer);
    };
    publisher.publish(&topic, Message::Text("too early"));
    say("subscribe ticks", "subscribed");
    say("subscribe ticks", "again");
    say("publish ticks once", "once");
    say("unsubscribe ticks", "unsubscribed");
    say("unsubscribe ticks", "never was");
    publisher.publish(&topic, Message::Text("too late"));
    client.expect_alive();
    client.close();
}

/// A topic that keeps its last message sends it to new subscribers, text as text, binary as binary.
#[test]
fn a_new_subscriber_gets_the_last_message_of_a_topic_that_keeps_it() {
    let stage = puppets(options());
    let publisher = &stage.server.publisher;
    let topic = publisher.topic("state", Retain::Last);
    let mut first = stage.subscriber("state");
    for message in [Message::Text("old"), Message::Binary(b"new")] {
        publisher.publish(&topic, message);
    }
    first.expect_text("old");
    first.expect_binary(b"new");
    let mut second = stage.open();
    second.send(&text("subscribe state"));
    second.expect_binary(b"new");
    second.expect_text("subscribed");
}

/// A publisher may outlive its server.
#[test]
fn a_publisher_is_told_that_the_server_has_stopped() {
    let stage = puppets(Options { workers: 2, ..options() });
    let publisher = stage.server.publisher.clone();
    let topic = publisher.topic("ticks", Retain::Nothing);
    stage.server.stop();
    assert_eq!(publisher.publish(&topic, Message::Text("x")), Delivery::Stopped);
    assert_eq!(publisher.publish_waiting(&topic, Message::Text("x")), Delivery::Stopped);
}

/// A publisher that waits for room is let go when the server stops.
#[test]
fn a_waiting_publisher_does_not_hang_when_the_server_stops() {
    let stage = puppets(Options { inbox_events_max: 1, ..options() });
    let publisher = stage.server.publisher.clone();
    let thread = std::thread::spawn(move || {
        let topic = publisher.topic("ticks", Retain::Nothing);
        while publisher.publish_waiting(&topic, Message::Text("x")) != Delivery::Stopped {}
    });
    eventually("events come", || stage.server.stats().events_in > 100);
    stage.server.stop();
    eventually("the publisher is let go", || thread.is_finished());
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
        assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
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
    let stats = stage.server.stats();
    assert_eq!((stats.accepted, stats.handshakes), (600, 600));
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
