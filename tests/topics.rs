//! Topics, from publishers on other threads and from sessions, on one worker and several, over real
//! sockets.

mod support;

use std::collections::BTreeSet;
use support::client::Client;
use support::eventually;
use support::frame::text;
use support::puppet::puppets;
use support::server::options;
use tickwire::proto::Message;
use tickwire::server::{Cause, Delivery, Options, Retain};

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
    eventually("all are counted", || {
        let stats = stage.server.stats();
        (stats.events_in, stats.deliveries) == (EVENTS as u64, 2 * EVENTS as u64)
    });
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

/// What a session publishes is kept like any other message, on its own worker too.
#[test]
fn a_topic_keeps_what_a_session_published_last() {
    let stage = puppets(options());
    let topic = stage.server.publisher.topic("state", Retain::Last);
    let mut first = stage.subscriber("state");
    stage.server.publisher.publish(&topic, Message::Text("from a thread"));
    first.expect_text("from a thread");
    first.send(&text("publish state from a session"));
    first.expect_text("from a session");
    let mut second = stage.open();
    second.send(&text("subscribe state"));
    second.expect_text("from a session");
}
