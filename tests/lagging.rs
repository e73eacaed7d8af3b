//! Subscribers that read too slowly, over real sockets: what waits for them by the kind of their
//! topics, within which bounds, and that every event is accounted for at any time.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use support::client::Client;
use support::frame::{CLOSE, FIN, Frame, PING, PONG, TEXT, ping, text};
use support::server::{End, Ends, TestServer, options};
use support::{DEADLINE, eventually};
use tickwire::proto::Message;
use tickwire::server::{
    Cause, Closed, Context, Handler, Lag, Opening, Options, Retain, Stats, Topic, TopicOptions,
    Upgrade,
};

/// More than the kernel keeps for a connection, as events of this size.
const EVENT_BYTES: usize = 1000;
const ITEM_BYTES: u64 = 80;
const QUEUE_BYTES: usize = 256 << 10;

/// Subscribes its clients to what they name.
struct Subscribing(Sender<End>);

impl Handler for Subscribing {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        if let Message::Text(topic) = message {
            cx.send("subscribed");
            cx.subscribe(topic);
        }
    }

    fn on_close(&mut self, (): (), closed: &Closed<'_>) {
        let _ = self.0.send(closed.into());
    }
}

struct Stage {
    server: TestServer,
    ends: Ends,
}

impl Stage {
    fn new(options: Options) -> Self {
        let (sender, receiver) = channel();
        // Few on their way: what is published is soon with the subscribers, or waits for them.
        let options = Options { inbox_events_max: 16, ..options };
        let server = TestServer::start(options, move |_| Subscribing(sender.clone()));
        Self { server, ends: Ends(receiver) }
    }

    fn subscriber(&self, topics: &[&str]) -> Client {
        let mut client = Client::open(self.server.address);
        for topic in topics {
            client.send(&text(topic));
            client.expect_text("subscribed");
        }
        client
    }
}

fn with_queue(bytes: usize) -> Options {
    Options { send_queue_bytes_max: bytes, ..options() }
}

fn topic(stage: &Stage, name: &str, lag: Lag) -> Topic {
    stage
        .server
        .publisher
        .topic(name, TopicOptions { retain: Retain::Nothing, lag, resume_events: 0 })
}

fn event(number: usize) -> String {
    format!("{number:0>EVENT_BYTES$}")
}

fn number(frame: &Frame) -> usize {
    let text = String::from_utf8(frame.payload.clone()).expect("text");
    text.parse().expect("a number")
}

/// Offered events are delivered, or waiting, or counted as what became of them.
fn expect_accounted(stats: &Stats) {
    let dropped = stats.dropped_slow_events
        + stats.dropped_newest
        + stats.dropped_oldest
        + stats.dropped_gone_events
        + stats.dropped_unsubscribed_events;
    let known = stats.deliveries + stats.conflated + stats.folded + dropped + stats.queued_events;
    assert_eq!(stats.offered, known, "{stats:?}");
    assert_eq!(stats.accepted, stats.open + stats.ended_total(), "{stats:?}");
}

/// Publishes numbered events until `is_enough`; yields how many. Looks at the accounts all the time.
fn publish_until(stage: &Stage, topic: &Topic, is_enough: impl Fn(&Stats) -> bool) -> usize {
    for published in 0..1_000_000 {
        stage.server.publisher.publish_waiting(topic, Message::Text(&event(published)));
        let stats = stage.server.stats();
        expect_accounted(&stats);
        if is_enough(&stats) {
            let all = stage.server.publisher.stats().published;
            eventually("all are taken in", || stage.server.stats().events_in == all);
            return published + 1;
        }
    }
    panic!("a million events, and not enough: {:?}", stage.server.stats());
}

/// Reads to the last of `published` events; yields the numbers of those that came.
fn read_to_last(client: &mut Client, published: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&(published - 1)) {
        numbers.push(number(&client.read_frame()));
    }
    numbers
}

fn expect_rising(numbers: &[usize]) {
    assert!(numbers.is_sorted_by(|a, b| a < b), "out of order");
}

fn expect_settled(stage: &Stage) {
    eventually("nothing waits", || {
        let stats = stage.server.stats();
        expect_accounted(&stats);
        (stats.queued_events, stats.queued_bytes) == (0, 0)
    });
}

/// What is published so that a burst is whole is queued for whoever lags, and only what finds no room
/// is conflated.
#[test]
fn what_is_to_be_queued_is_conflated_only_where_there_is_no_room() {
    let stage = Stage::new(with_queue(QUEUE_BYTES));
    let state = topic(&stage, "state", Lag::Conflate);
    let mut slow = stage.subscriber(&["state"]);
    slow.receive_little();
    let publisher = &stage.server.publisher;
    let mut published = 0;
    let mut most = 0;
    while stage.server.stats().conflated == 0 {
        publisher.publish_queued(&state, Message::Text(&event(published)));
        published += 1;
        let stats = stage.server.stats();
        expect_accounted(&stats);
        most = most.max(stats.queued_events);
    }
    // What is there when the first has no room is the queue, which is full, and one value.
    let room = (QUEUE_BYTES / (EVENT_BYTES + 100)) as u64;
    assert!(most >= room, "{most} of {room} waited");
    let numbers = read_to_last(&mut slow, published);
    expect_rising(&numbers);
    let gaps = numbers.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
    assert!(gaps <= 1, "{gaps} gaps, and not the one that has no room: {numbers:?}");
    expect_settled(&stage);
}

/// A state stream: whoever lags gets the newest value next, and costs one value.
#[test]
fn of_a_conflated_topic_only_the_newest_waits() {
    let stage = Stage::new(with_queue(QUEUE_BYTES));
    let state = topic(&stage, "state", Lag::Conflate);
    let mut slow = stage.subscriber(&["state"]);
    let mut quick = stage.subscriber(&["state"]);
    let read = AtomicUsize::new(0);
    let (published, numbers) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut numbers = Vec::new();
            while numbers.last() != Some(&usize::MAX) {
                let frame = quick.read_frame();
                let end = frame.payload == b"end";
                numbers.push(if end { usize::MAX } else { number(&frame) });
                read.store(numbers.len(), Ordering::Release);
            }
            numbers
        });
        let mut published = 0;
        while stage.server.stats().conflated < 5_000 {
            stage.server.publisher.publish_waiting(&state, Message::Text(&event(published)));
            published += 1;
            // The quick one keeps up, so that only the other lags.
            eventually("it is read", || read.load(Ordering::Acquire) == published);
            let stats = stage.server.stats();
            expect_accounted(&stats);
            // What waits is a turn's events at most, and one value.
            assert!(stats.queued_bytes <= (QUEUE_BYTES + EVENT_BYTES + 100) as u64, "{stats:?}");
        }
        stage.server.publisher.publish(&state, Message::Text("end"));
        (published, reader.join().expect("it reads"))
    });
    // Whoever keeps up gets every event, lagging neighbours or not.
    assert_eq!(numbers[..published], (0..published).collect::<Vec<_>>());
    let mut seen = Vec::new();
    loop {
        let frame = slow.read_frame();
        if frame.payload == b"end" {
            break;
        }
        seen.push(number(&frame));
    }
    expect_rising(&seen);
    assert!(seen.len() < published, "nothing was conflated");
    expect_settled(&stage);
}

/// A topic whose events all count: none is left out until the queue is full, and then it is said.
#[test]
fn of_a_plain_topic_all_come_until_the_queue_is_full() {
    let stage = Stage::new(with_queue(QUEUE_BYTES));
    let trades = topic(&stage, "trades", Lag::Close);
    let mut slow = stage.subscriber(&["trades"]);
    let published = publish_until(&stage, &trades, |stats| {
        assert!(stats.queued_bytes <= QUEUE_BYTES as u64, "over the bound: {stats:?}");
        stats.dropped_slow_events > 0
    });
    let mut count = 0;
    let last = loop {
        let frame = slow.read_frame();
        if frame.first == FIN | CLOSE {
            break frame;
        }
        assert_eq!(number(&frame), count);
        count += 1;
    };
    assert_eq!(last.close_code_and_reason(), (Some(1008), "slow consumer".to_owned()));
    assert!(count < published);
    drop(slow);
    stage.server.expect_ended(Cause::SlowConsumer, 1);
    expect_settled(&stage);
    assert_eq!(stage.server.stats().deliveries, count as u64);
}

/// Two ways to lose events instead of the connection: the newest, or the oldest.
#[test]
fn events_that_may_be_dropped_are_the_newest_or_the_oldest() {
    for lag in [Lag::DropNewest, Lag::DropOldest] {
        let stage = Stage::new(with_queue(QUEUE_BYTES));
        let ticks = topic(&stage, "ticks", lag);
        let mut slow = stage.subscriber(&["ticks"]);
        let published = publish_until(&stage, &ticks, |stats| {
            assert!(stats.queued_bytes <= QUEUE_BYTES as u64, "over the bound: {stats:?}");
            stats.dropped_newest + stats.dropped_oldest > 5000
        });
        let stats = stage.server.stats();
        let room = QUEUE_BYTES as u64 / (EVENT_BYTES as u64 + 4 + ITEM_BYTES);
        assert!(stats.queued_events <= room, "{stats:?}");
        let (expected, other) = match lag {
            Lag::DropNewest => (stats.dropped_newest, stats.dropped_oldest),
            _ => (stats.dropped_oldest, stats.dropped_newest),
        };
        assert!(expected > 5000 && other == 0, "{lag:?}: {stats:?}");
        // One more, which tells the end. There is room once it reads.
        let numbers = match lag {
            Lag::DropOldest => read_to_last(&mut slow, published),
            _ => (0..published - usize::try_from(expected).unwrap())
                .map(|_| number(&slow.read_frame()))
                .collect(),
        };
        expect_rising(&numbers);
        assert_eq!(numbers.len() as u64, published as u64 - expected);
        expect_settled(&stage);
        slow.expect_alive();
    }
}

/// Many topics at once: what waits is at most one value for each, and the queue.
#[test]
fn what_a_lagging_subscriber_costs_is_its_slots_and_its_queue() {
    const TOPICS: usize = 200;
    let stage = Stage::new(with_queue(QUEUE_BYTES));
    let names: Vec<String> = (0..TOPICS).map(|n| format!("state{n}")).collect();
    let mut slow = stage.subscriber(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let topics: Vec<Topic> = names.iter().map(|name| topic(&stage, name, Lag::Conflate)).collect();
    let value = EVENT_BYTES as u64 + 4 + ITEM_BYTES;
    let bound = QUEUE_BYTES as u64 + TOPICS as u64 * value;
    let mut rounds = 0;
    while stage.server.stats().conflated < 100_000 {
        for topic in &topics {
            stage.server.publisher.publish_waiting(topic, Message::Text(&event(rounds)));
        }
        let stats = stage.server.stats();
        assert!(stats.queued_bytes <= bound, "{} over {bound}", stats.queued_bytes);
        expect_accounted(&stats);
        rounds += 1;
    }
    // Every topic's newest value comes in the end.
    let mut newest = 0;
    while newest < TOPICS {
        newest += usize::from(number(&slow.read_frame()) == rounds - 1);
    }
    expect_settled(&stage);
}

/// The cap over all connections: whoever has most waiting goes first, the others lose nothing.
#[test]
fn over_the_cap_of_all_queues_the_largest_is_evicted() {
    let options =
        Options { send_queue_bytes_max: 8 << 20, send_queues_bytes_max: 4 << 20, ..options() };
    let stage = Stage::new(options);
    let large = topic(&stage, "large", Lag::Close);
    let small = topic(&stage, "small", Lag::Close);
    let _largest = stage.subscriber(&["large"]);
    let mut smaller = stage.subscriber(&["small"]);
    // Both lag, one of them a little.
    let few = publish_until(&stage, &small, |stats| stats.queued_events > 100);
    publish_until(&stage, &large, |stats| {
        assert!(stats.queued_bytes <= 4 << 20, "over the cap: {stats:?}");
        stats.evicted > 0
    });
    assert_eq!(stage.ends.next().cause, Cause::SlowConsumer);
    let numbers = read_to_last(&mut smaller, few);
    assert_eq!(numbers, (0..few).collect::<Vec<_>>());
    smaller.expect_alive();
    assert_eq!(stage.server.stats().evicted, 1);
}

/// An event that must not be dropped waits for so long and no longer, whether others come or not.
#[test]
fn what_waits_too_long_closes_its_connection() {
    let age = Some(Duration::from_millis(300));
    let stage = Stage::new(Options { send_queue_age_max: age, ..options() });
    let trades = topic(&stage, "trades", Lag::Close);
    let slow = stage.subscriber(&["trades"]);
    publish_until(&stage, &trades, |stats| stats.queued_events > 1000);
    stage.ends.expect_abnormal(Cause::SlowConsumer);
    drop(slow);
    expect_settled(&stage);
}

/// State does not age, it is renewed; but a peer that takes nothing at all is given up.
#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let options = Options {
        send_queue_age_max: Some(Duration::from_millis(100)),
        write_stall_timeout: Some(Duration::from_millis(600)),
        ..options()
    };
    let stage = Stage::new(options);
    let state = topic(&stage, "state", Lag::Conflate);
    let slow = stage.subscriber(&["state"]);
    let start = std::time::Instant::now();
    let is_over = |stats: &Stats| stats.ended(Cause::WriteStall) > 0;
    while !is_over(&stage.server.stats()) {
        publish_until(&stage, &state, |stats| stats.conflated > 0 || is_over(stats));
        assert!(start.elapsed() < DEADLINE, "it is not given up");
    }
    stage.ends.expect_abnormal(Cause::WriteStall);
    drop(slow);
    expect_settled(&stage);
}

/// §5.5.2, §5.5.3: pings to a peer that lags are answered between the messages that wait, and of
/// many answers only the newest waits.
#[test]
fn a_flood_of_pings_with_nobody_reading_costs_one_pong() {
    let stage = Stage::new(Options { control_rate: None, ..with_queue(128 << 20) });
    let trades = topic(&stage, "trades", Lag::Close);
    let mut slow = stage.subscriber(&["trades"]);
    // More than the kernel makes room for while nobody reads.
    let published = publish_until(&stage, &trades, |stats| stats.queued_events > 20_000);
    let before = stage.server.stats();
    const PINGS: u32 = 50_000;
    let mut writer = slow.writer();
    for n in 0..PINGS {
        std::io::Write::write_all(&mut writer, &ping(&n.to_be_bytes())).expect("it is read");
    }
    let bytes = u64::from(PINGS) * ping(&[0; 4]).len() as u64;
    eventually("all are read", || stage.server.stats().bytes_in >= before.bytes_in + bytes);
    let (before, after) = (before.queued_bytes, stage.server.stats().queued_bytes);
    assert!(after < before + 1000, "{before}, and {after} with the pongs");
    let (mut pongs, mut last) = (Vec::new(), 0);
    while pongs.last() != Some(&(PINGS - 1)) || last != published - 1 {
        let frame = slow.read_frame();
        if frame.first == FIN | PONG {
            pongs.push(u32::from_be_bytes(frame.payload[..].try_into().expect("as it was sent")));
        } else {
            last = number(&frame);
        }
    }
    assert!(pongs.is_sorted_by(|a, b| a < b), "out of order");
    assert!(pongs.len() < 10, "{} pongs", pongs.len());
    slow.expect_alive();
}

/// The server's pings too go past what waits, so that a reader that is slow but alive shows it.
#[test]
fn a_ping_goes_before_the_messages_that_wait() {
    let mut options = with_queue(64 << 20);
    options.timeouts.ping_interval = Some(Duration::from_millis(50));
    options.sockets.notsent_lowat_bytes = None;
    let stage = Stage::new(options);
    let trades = topic(&stage, "trades", Lag::Close);
    let mut slow = stage.subscriber(&["trades"]);
    let published = publish_until(&stage, &trades, |stats| stats.queued_events > 20_000);
    let before = stage.server.stats();
    // Whoever reads a little makes room, for what the kernel had and the ping behind it.
    let mut events_before_ping = 0;
    loop {
        let frame = slow.read_frame();
        match frame.first {
            first if first == FIN | PING => break,
            first if first == FIN | TEXT => events_before_ping += 1,
            other => panic!("{other:x}"),
        }
    }
    let waited = usize::try_from(before.queued_events).expect("few");
    assert!(events_before_ping < published - waited / 2, "the ping came behind all that waited");
}
