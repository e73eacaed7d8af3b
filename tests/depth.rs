//! Depth streams and clients that lag: whoever resumes has exactly the book of one that never
//! lagged, by the rule that the `U` of a diff is the `u` of the one before it and 1.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use support::client::Client;
use support::eventually;
use support::frame::{CLOSE, FIN};
use support::server::{TestServer, options};
use tickwire::market::{MarketHandler, MarketOptions, StreamClass};
use tickwire::server::{Cause, Delivery, Options, Topic};

const STREAM: &str = "btcusdt@depth@100ms";
/// More than the kernel keeps for a connection, in diffs of some kilobytes.
const DIFFS_MAX: usize = 100_000;

fn serve(options: Options) -> TestServer {
    TestServer::start(options, |_| MarketHandler::new(MarketOptions::default()))
}

fn topic(server: &TestServer) -> Topic {
    server.publisher.topic(STREAM, StreamClass::of(STREAM))
}

/// A book that changes at random, the same in every run.
struct Market {
    random: u64,
    last_update_id: u64,
    book: Book,
}

impl Market {
    fn new() -> Self {
        Self { random: 88_172_645_463_325_252, last_update_id: 1000, book: Book::default() }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    /// The next diff, which is in the book already.
    fn diff(&mut self) -> String {
        let first = self.last_update_id + 1;
        self.last_update_id += 1 + self.below(5);
        let sides = [self.levels(), self.levels()].map(|levels| levels.join(","));
        let [bids, asks] = sides;
        let last = self.last_update_id;
        let diff = format!(
            r#"{{"e":"depthUpdate","E":{last},"s":"BTCUSDT","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}"#
        );
        self.book.apply(&serde_json::from_str(&diff).expect("JSON"));
        diff
    }

    fn levels(&mut self) -> Vec<String> {
        let count = self.below(60);
        let level = |market: &mut Self| {
            let (price, quantity) = (market.below(500), market.below(4));
            format!(r#"["{price}.00","{quantity}.000"]"#)
        };
        (0..count).map(|_| level(self)).collect()
    }
}

/// What a client keeps: quantities by side and price, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Book {
    levels: BTreeMap<(String, String), String>,
    last_update_id: u64,
}

impl Book {
    fn apply(&mut self, diff: &Value) {
        self.last_update_id = diff["u"].as_u64().expect("an id");
        for side in ["b", "a"] {
            for level in diff[side].as_array().expect("levels") {
                let [price, quantity] = [0, 1].map(|n| level[n].as_str().expect("text").to_owned());
                if quantity.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
                    self.levels.remove(&(side.to_owned(), price));
                } else {
                    self.levels.insert((side.to_owned(), price), quantity);
                }
            }
        }
    }
}

/// Reads diffs from `next` to `last` into a book; yields how many it took.
fn follow(client: &mut Client, book: &mut Book, (mut next, last): (u64, u64), unit: u64) -> usize {
    let mut count = 0;
    while next <= last {
        let message: Value = serde_json::from_str(&client.hear()).expect("JSON");
        let diff = message.get("data").unwrap_or(&message);
        assert_eq!(diff["U"].as_u64(), Some(next), "a gap in what a client sees");
        let u = diff["u"].as_u64().expect("an id");
        assert_eq!(diff["E"].as_u64(), Some(u * unit));
        next = u + 1;
        book.apply(diff);
        count += 1;
    }
    count
}

/// Publishes until some have been folded for each of `clients`; yields how many that were.
fn publish(server: &TestServer, market: &mut Market, clients: u64) -> usize {
    let topic = topic(server);
    for published in 0..DIFFS_MAX {
        let diff = market.diff();
        let delivery = server.publisher.publish_waiting(&topic, diff.as_str().into());
        assert_eq!(delivery, Delivery::Delivered);
        if server.stats().folded > clients * 3000 {
            return published + 1;
        }
    }
    panic!("{DIFFS_MAX} diffs, and nothing is folded: {:?}", server.stats());
}

/// Stream classes: queued diffs are folded into one, lossless by the rule of `U` and `u`, for
/// everyone from where on he has seen nothing, in the way in which he wants them.
#[test]
fn whoever_lags_on_a_depth_stream_misses_nothing() {
    let server = serve(Options { send_queue_bytes_max: 64 << 10, ..options() });
    let mut market = Market::new();
    let (first, mut clients) = (market.last_update_id + 1, Vec::new());
    for (target, unit) in [
        (format!("/ws/{STREAM}"), 1),
        (format!("/stream?streams={STREAM}"), 1),
        (format!("/stream?streams={STREAM}&timeUnit=MICROSECOND"), 1000),
    ] {
        clients.push((Client::open_at(server.address, &target), unit));
    }
    let published = publish(&server, &mut market, clients.len() as u64);
    let stats = server.stats();
    assert_eq!((stats.open, stats.dropped_slow_events), (3, 0), "{stats:?}");
    // What is to be folded takes no room in a queue: only a turn's diffs are there.
    assert!(stats.queued_bytes <= 3 * (64 << 10), "{stats:?}");
    for (client, unit) in &mut clients {
        let mut book = Book::default();
        let count = follow(client, &mut book, (first, market.last_update_id), *unit);
        assert!(count < published, "nothing was folded");
        assert_eq!(book, market.book);
    }
    // Once all have caught up, diffs come one by one again.
    let next = market.last_update_id + 1;
    let topic = topic(&server);
    for _ in 0..10 {
        server.publisher.publish_waiting(&topic, market.diff().as_str().into());
    }
    for (client, unit) in &mut clients {
        let ids = (next, market.last_update_id);
        assert_eq!(follow(client, &mut Book::default(), ids, *unit), 10);
    }
    eventually("nothing waits", || server.stats().queued_events == 0);
}

/// Who begins to lag later gets no more than he has missed, and who leaves is not waited for.
#[test]
fn those_who_lag_from_different_moments_on_each_get_their_own() {
    let server = serve(options());
    let mut market = Market::new();
    let first = market.last_update_id + 1;
    let mut early = Client::open_at(server.address, &format!("/ws/{STREAM}"));
    publish(&server, &mut market, 1);
    let (late_first, mut snapshot) = (market.last_update_id + 1, market.book.clone());
    let mut late = Client::open_at(server.address, &format!("/ws/{STREAM}"));
    let leaving = Client::open_at(server.address, &format!("/ws/{STREAM}"));
    publish(&server, &mut market, 5);
    drop(leaving);
    let mut book = Book::default();
    follow(&mut early, &mut book, (first, market.last_update_id), 1);
    assert_eq!(book, market.book);
    // The late one began with a snapshot.
    follow(&mut late, &mut snapshot, (late_first, market.last_update_id), 1);
    assert_eq!(snapshot, market.book);
}

/// While diffs go on coming: what was folded into one does not come once more.
#[test]
fn whoever_resumes_while_the_market_moves_sees_no_diff_twice() {
    let server = serve(Options { send_queue_bytes_max: 64 << 10, ..options() });
    let mut market = Market::new();
    let first = market.last_update_id + 1;
    let mut slow = Client::open_at(server.address, &format!("/ws/{STREAM}"));
    let (mut book, mut next, mut resumed) = (Book::default(), first, 0);
    while resumed < 20 {
        let before = server.stats().folded;
        let topic = topic(&server);
        while server.stats().folded < before + 100 {
            server.publisher.publish_waiting(&topic, market.diff().as_str().into());
        }
        // It reads on while more is published, and catches up.
        let last = market.last_update_id;
        for _ in 0..50 {
            server.publisher.publish(&topic, market.diff().as_str().into());
            follow(&mut slow, &mut book, (next, next), 1);
            next = book.last_update_id + 1;
        }
        follow(&mut slow, &mut book, (next, last), 1);
        next = book.last_update_id + 1;
        resumed += 1;
    }
    follow(&mut slow, &mut book, (next, market.last_update_id), 1);
    assert_eq!(book, market.book);
}

/// Who lags on streams of all classes at once gets each of them in its own order: every trade, every
/// diff in one way or the other, and values that never go back.
#[test]
fn whoever_lags_on_several_streams_gets_each_of_them_in_order() {
    let server = serve(Options { send_queue_bytes_max: 1 << 20, ..options() });
    let mut market = Market::new();
    let names = [STREAM, "btcusdt@depth20@100ms", "btcusdt@trade", "btcusdt@bookTicker"];
    let topics = names.map(|name| server.publisher.topic(name, StreamClass::of(name)));
    let mut slow = Client::open_at(server.address, &format!("/stream?streams={}", names.join("/")));
    let (mut book, mut trades, mut heard) = (Book::default(), 0, Mixture::default());
    heard.next_diff = market.last_update_id + 1;
    for _ in 0..10 {
        let before = server.stats();
        // Each kind of lag several times, the order of the streams changing.
        while server.stats().folded < before.folded + 500
            || server.stats().conflated < before.conflated + 500
        {
            for turn in 0..20 {
                let [diffs, partial, trade, ticker] = &topics;
                let (topic, payload) = match market.below(4) {
                    0 => (partial, format!(r#"{{"lastUpdateId":{}}}"#, market.last_update_id)),
                    1 => (ticker, format!(r#"{{"u":{}}}"#, market.last_update_id)),
                    2 if turn == 0 => {
                        trades += 1;
                        (trade, format!(r#"{{"t":{trades}}}"#))
                    }
                    _ => (diffs, market.diff()),
                };
                server.publisher.publish_waiting(topic, payload.as_str().into());
            }
        }
        // It catches up, in the end with what comes meanwhile.
        let [.., trade, _] = &topics;
        trades += 1;
        server.publisher.publish_waiting(trade, format!(r#"{{"t":{trades}}}"#).as_str().into());
        while heard.last_trade < trades || book.last_update_id < market.last_update_id {
            heard.take(&slow.hear(), &mut book);
        }
        assert_eq!(book, market.book);
    }
    let stats = server.stats();
    assert_eq!((stats.open, stats.dropped_slow_events), (1, 0), "{stats:?}");
}

/// How far a client has come that is subscribed to streams of all classes.
#[derive(Default)]
struct Mixture {
    next_diff: u64,
    last_trade: u64,
    last_partial: u64,
    last_ticker: u64,
}

impl Mixture {
    fn take(&mut self, message: &str, book: &mut Book) {
        let message: Value = serde_json::from_str(message).expect("JSON");
        let stream = message.get("stream").and_then(Value::as_str).expect("a stream");
        let data = message.get("data").expect("a payload");
        let id = |name: &str| data[name].as_u64().expect("an id");
        match stream {
            STREAM => {
                assert_eq!(id("U"), self.next_diff, "a gap, or a diff twice");
                self.next_diff = id("u") + 1;
                book.apply(data);
            }
            "btcusdt@trade" => {
                assert_eq!(id("t"), self.last_trade + 1, "a trade is missing, late or repeated");
                self.last_trade = id("t");
            }
            "btcusdt@bookTicker" => {
                assert!(id("u") >= self.last_ticker, "an older best price");
                self.last_ticker = id("u");
            }
            _ => {
                assert!(id("lastUpdateId") >= self.last_partial, "an older book");
                self.last_partial = id("lastUpdateId");
            }
        }
    }
}

/// "A new subscriber to a state stream gets the last value right after its ack", one that lags and
/// subscribes again too: what waited for its first subscription is dropped.
#[test]
fn whoever_lags_and_subscribes_again_gets_the_last_value_behind_its_ack() {
    const STATE: &str = "btcusdt@bookTicker";
    let server = serve(options());
    let names = [STATE, STREAM].map(|name| (name, StreamClass::of(name)));
    let [state, diffs] = names.map(|(name, class)| server.publisher.topic(name, class));
    let mut market = Market::new();
    let mut slow = Client::open_at(server.address, &format!("/stream?streams={STATE}/{STREAM}"));
    // Or its buffer grows, and takes what waits at some time.
    slow.receive_little();
    let mut published = 0;
    while server.stats().conflated < 300 || server.stats().folded < 300 {
        published += 1;
        let ticker = format!(r#"{{"u":{published}}}"#);
        server.publisher.publish_waiting(&state, ticker.as_str().into());
        server.publisher.publish_waiting(&diffs, market.diff().as_str().into());
    }
    for (id, method) in [(1, "UNSUBSCRIBE"), (2, "SUBSCRIBE")] {
        slow.say(&format!(r#"{{"method":"{method}","params":["{STATE}","{STREAM}"],"id":{id}}}"#));
    }
    eventually("both are read", || server.stats().messages_in == 2);
    // One value of each waited, and neither counts as delivered.
    assert_eq!(server.stats().dropped_unsubscribed_events, 2);
    let next = market.last_update_id + 1;
    server.publisher.publish_waiting(&diffs, market.diff().as_str().into());
    let mut hear = || serde_json::from_str::<Value>(&slow.hear()).expect("JSON");
    let mut last = 0;
    let reply = loop {
        let message = hear();
        match message["data"]["u"].as_u64().filter(|_| message["stream"] == STATE) {
            Some(u) => last = u,
            None if message.get("id").is_some() => break message,
            None => {}
        }
    };
    assert!(last < published, "what waited came all the same");
    assert_eq!(reply["id"], 1);
    assert_eq!(hear()["id"], 2);
    assert_eq!(hear()["data"]["u"], published);
    assert_eq!(hear()["data"]["U"], next);
}

/// What is no diff cannot be folded: those who lag are told so rather than left with a wrong book.
#[test]
fn what_cannot_be_folded_closes_those_who_wait_for_it() {
    let server = serve(options());
    let mut market = Market::new();
    let first = market.last_update_id + 1;
    let mut slow = Client::open_at(server.address, &format!("/ws/{STREAM}"));
    publish(&server, &mut market, 1);
    server.publisher.publish_waiting(&topic(&server), r#"{"e":"else"}"#.into());
    let mut next = first;
    let told = loop {
        let frame = slow.read_frame();
        if frame.first == FIN | CLOSE {
            break frame.close_code_and_reason();
        }
        let diff: Value = serde_json::from_slice(&frame.payload).expect("JSON");
        assert_eq!(diff["U"].as_u64(), Some(next), "a gap in what a client sees");
        next = diff["u"].as_u64().expect("an id") + 1;
    };
    assert_eq!(told, (Some(1008), "slow consumer".to_owned()));
    assert!(next <= market.last_update_id, "nothing is missing");
    drop(slow);
    server.expect_ended(Cause::SlowConsumer, 1);
}
