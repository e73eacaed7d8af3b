//! Coming back: `resume` in `SUBSCRIBE`, over real sockets.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::client::Client;
use support::eventually;
use support::program::Program;
use support::server::{TestServer, options};
use tickwire::market::{MarketHandler, MarketOptions};
use tickwire::server::{Cause, Lag, Options, Publisher, Retain, Topic, TopicOptions};

const STREAM: &str = "btcusdt@trade";

fn serve(options: Options) -> TestServer {
    TestServer::start(options, move |_| MarketHandler::new(MarketOptions::default()))
}

fn topic(publisher: &Publisher, resume_events: usize) -> Topic {
    let options = TopicOptions { retain: Retain::Nothing, lag: Lag::Close, resume_events };
    publisher.topic(STREAM, options)
}

/// A client that sees numbers.
fn connect(server: &TestServer) -> Client {
    let mut client = Client::open_at(server.address, "/stream");
    client.say(r#"{"method":"SET_PROPERTY","params":["sequence",true],"id":0}"#);
    assert_eq!(client.hear(), r#"{"result":null,"id":0}"#);
    client
}

fn resume(client: &mut Client, stream: &str, seen: u64) -> String {
    client.say(&format!(
        r#"{{"method":"SUBSCRIBE","params":["{stream}"],"resume":{{"{stream}":{seen}}},"id":1}}"#
    ));
    client.hear()
}

fn seq(event: &str) -> u64 {
    let read: Value = serde_json::from_str(event).expect(event);
    read.get("seq").and_then(Value::as_u64).expect(event)
}

fn gaps(first: u64, last: u64) -> String {
    format!(r#"{{"result":null,"id":1,"gaps":{{"{STREAM}":[{first},{last}]}}}}"#)
}

const NO_GAPS: &str = r#"{"result":null,"id":1}"#;

/// Whatever happens between two connections, on either of two workers: each event once, in order.
#[test]
fn a_client_that_comes_back_gets_every_event_once() {
    let server = serve(Options { workers: 2, ..options() });
    let topic = topic(&server.publisher, 1 << 20);
    let stopped = Arc::new(AtomicBool::new(false));
    let feed = std::thread::spawn({
        let (publisher, stopped) = (server.publisher.clone(), Arc::clone(&stopped));
        move || {
            while !stopped.load(Ordering::Relaxed) {
                publisher.publish_waiting(&topic, r#"{"e":"trade"}"#.into());
                // Not so fast that the client never comes to the end.
                std::thread::yield_now();
                for _ in 0..2000 {
                    std::hint::spin_loop();
                }
            }
        }
    });
    let mut seen = 0;
    for round in 0..300 {
        let mut client = connect(&server);
        assert_eq!(resume(&mut client, STREAM, seen), NO_GAPS, "round {round} from {seen}");
        for _ in 0..1 + round % 7 {
            let next = seq(&client.hear());
            assert_eq!(next, seen + 1, "round {round}");
            seen = next;
        }
    }
    stopped.store(true, Ordering::Relaxed);
    feed.join().unwrap();
    assert!(seen > 1000);
}

/// What is kept no longer is told, exactly, and then comes what there is.
#[test]
fn what_the_ring_has_lost_is_told() {
    let server = serve(options());
    let topic = topic(&server.publisher, 10);
    for _ in 0..25 {
        server.publisher.publish(&topic, "{}".into());
    }
    let mut witness = connect(&server);
    assert_eq!(resume(&mut witness, STREAM, 24), NO_GAPS);
    assert_eq!(seq(&witness.hear()), 25);
    for (seen, reply, first) in [
        (25, NO_GAPS.to_owned(), 26),
        (15, NO_GAPS.to_owned(), 16),
        (14, gaps(15, 15), 16),
        (0, gaps(1, 15), 16),
    ] {
        let mut client = connect(&server);
        assert_eq!(resume(&mut client, STREAM, seen), reply);
        for expected in first..=25 {
            assert_eq!(seq(&client.hear()), expected, "after {seen}");
        }
        // A second time changes nothing.
        assert_eq!(resume(&mut client, STREAM, 0), NO_GAPS);
        client.say(r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#);
        assert_eq!(client.hear(), format!(r#"{{"result":["{STREAM}"],"id":2}}"#));
    }
    // A number that is yet to come is of another run.
    let mut client = connect(&server);
    assert_eq!(resume(&mut client, STREAM, 30), gaps(26, 30));
    server.publisher.publish(&topic, "{}".into());
    assert_eq!(seq(&client.hear()), 26);
}

/// Numbers of before a restart are no numbers of this run, whether or not there was an event.
#[test]
fn after_a_restart_there_is_a_gap() {
    let server = serve(Options { first_seq: 1000, ..options() });
    let mut early = connect(&server);
    assert_eq!(resume(&mut early, STREAM, 400), gaps(401, 999));
    let topic = topic(&server.publisher, 10);
    server.publisher.publish(&topic, "{}".into());
    assert_eq!(seq(&early.hear()), 1000);
    let mut late = connect(&server);
    assert_eq!(resume(&mut late, STREAM, 400), gaps(401, 999));
    assert_eq!(seq(&late.hear()), 1000);
    let mut of_now = connect(&server);
    assert_eq!(resume(&mut of_now, STREAM, 999), NO_GAPS);
    assert_eq!(seq(&of_now.hear()), 1000);
}

/// A stream whose last event says it all has that to tell, and nothing to one who has seen it; one
/// that keeps nothing says so.
#[test]
fn other_streams_tell_what_they_have() {
    let server = serve(options());
    let state = server.publisher.topic("a@ticker", Retain::Last);
    let plain = server.publisher.topic(STREAM, Retain::Nothing);
    for _ in 0..3 {
        server.publisher.publish(&state, "{}".into());
        server.publisher.publish(&plain, "{}".into());
    }
    let mut client = connect(&server);
    assert_eq!(resume(&mut client, STREAM, 1), gaps(2, 3));
    assert_eq!(resume(&mut client, "a@ticker", 1), NO_GAPS);
    assert_eq!(seq(&client.hear()), 3);
    let mut client = connect(&server);
    assert_eq!(resume(&mut client, STREAM, 3), NO_GAPS);
    assert_eq!(resume(&mut client, "a@ticker", 3), NO_GAPS);
    server.publisher.publish(&state, "{}".into());
    server.publisher.publish(&plain, "{}".into());
    let numbers = BTreeSet::from([client.hear(), client.hear()].map(|event| seq(&event)));
    assert_eq!(numbers, BTreeSet::from([4]));
}

/// A resume is bounded by the send queue, and what becomes of each event is counted.
#[test]
fn a_resume_that_nobody_reads_is_a_slow_consumer() {
    let server = serve(Options { send_queue_bytes_max: 1 << 20, ..options() });
    let topic = topic(&server.publisher, 100_000);
    let payload = format!(r#"{{"e":"{}"}}"#, "x".repeat(2000));
    for _ in 0..10_000 {
        server.publisher.publish_waiting(&topic, payload.as_str().into());
    }
    let mut quick = connect(&server);
    assert_eq!(resume(&mut quick, STREAM, 9_999), NO_GAPS);
    assert_eq!(seq(&quick.hear()), 10_000);
    let mut stalled = connect(&server);
    stalled.say(&format!(
        r#"{{"method":"SUBSCRIBE","params":["{STREAM}"],"resume":{{"{STREAM}":0}},"id":1}}"#
    ));
    eventually("the one that does not read is closed", || {
        let stats = server.stats();
        let dropped = stats.dropped_slow_events + stats.dropped_gone_events;
        let accounted = stats.deliveries + stats.queued_events + dropped;
        (stats.ended(Cause::SlowConsumer) == 1)
            .then(|| {
                assert_eq!(stats.offered, accounted);
                assert!(stats.offered < 10_000 && stats.dropped_slow_events > 0, "{stats:?}");
            })
            .is_some()
    });
    // It got the first ones, in order, up to where it was closed.
    assert_eq!(stalled.hear(), NO_GAPS);
    assert_eq!(seq(&stalled.hear()), 1);
    assert_eq!(seq(&stalled.hear()), 2);
}

/// The program numbers from its start on, keeps events, and says what of them is gone.
#[test]
fn the_program_keeps_events_of_its_own_run() {
    let program = Program::start(&["serve", "--seed", "1", "--rate", "20"]);
    let mut client = Client::open_at(program.address, "/stream");
    client.say(r#"{"method":"SET_PROPERTY","params":["sequence",true],"id":0}"#);
    assert_eq!(client.hear(), NO_GAPS.replace("1}", "0}"));
    client.say(&format!(r#"{{"method":"SUBSCRIBE","params":["{STREAM}"],"id":1}}"#));
    assert_eq!(client.hear(), NO_GAPS);
    let mut seen = seq(&client.hear());
    assert!(seen > 1_600_000_000_000_000 && seen < 1 << 53, "{seen}");
    drop(client);
    for _ in 0..20 {
        let mut client = Client::open_at(program.address, "/stream");
        client.say(r#"{"method":"SET_PROPERTY","params":["sequence",true],"id":0}"#);
        client.hear();
        assert_eq!(resume(&mut client, STREAM, seen), NO_GAPS);
        for _ in 0..5 {
            let next = seq(&client.hear());
            assert_eq!(next, seen + 1);
            seen = next;
        }
    }
    let mut client = Client::open_at(program.address, "/stream");
    assert!(
        resume(&mut client, STREAM, 12_345)
            .starts_with(&format!(r#"{{"result":null,"id":1,"gaps":{{"{STREAM}":[12346,"#))
    );
}
