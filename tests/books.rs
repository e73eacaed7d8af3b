//! Order books over real sockets: who joins by the exchange's published procedure has the server's
//! book, whenever that is; gaps are noticed and healed; GETs are answered as documented.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::client::{Answer, Client};
use support::eventually;
use support::server::{TestServer, options};
use tickwire::feed::{
    FeedCounters, Flow, Kept, Pace, Recording, Repeat, Replay, Simulator, Sink, Switch, SymbolSpec,
};
use tickwire::market::{
    Bookkeeper, Depth, Derive, MarketHandler, MarketOptions, Markets, Missing, StreamClass,
};
use tickwire::server::{Publisher, Topic, TopicOptions};

const DEPTH: &str = "@depth@100ms";
const JOINS: usize = 1000;
const JOINERS: usize = 16;

fn get(address: SocketAddr, target: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    client.read_answer()
}

/// A server that answers from these books.
fn serve(markets: &Arc<Markets>) -> TestServer {
    let market = MarketOptions { markets: Some(Arc::clone(markets)), ..MarketOptions::default() };
    TestServer::start(options(), move |_| MarketHandler::new(market.clone()))
}

/// Publishes what passes, and remembers the book at each fast diff of the first symbol that has
/// one.
struct Recorder {
    publisher: Publisher,
    markets: Arc<Markets>,
    topics: HashMap<String, Topic>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    /// The stream whose book is remembered.
    stream: Mutex<Option<String>>,
    /// The server's book by its last update.
    books: Mutex<HashMap<u64, Arc<[u8]>>>,
}

impl Told {
    fn stream(&self) -> Option<String> {
        self.stream.lock().unwrap().clone()
    }
}

impl Sink for Recorder {
    fn publish(&mut self, stream: &str, payload: &str, _: Pace) -> Flow {
        if stream.ends_with(DEPTH) {
            let mut first = self.told.stream.lock().unwrap();
            let symbol = stream.trim_end_matches(DEPTH).to_uppercase();
            if *first.get_or_insert_with(|| stream.to_owned()) == stream
                && let Depth::Book(book) = self.markets.depth(&symbol, 5000)
            {
                // The book has the diff before it is published.
                let (text, diff) = (str::from_utf8(&book).unwrap(), json(payload));
                let update = json(text)["lastUpdateId"].as_u64().unwrap();
                assert!(update >= diff["u"].as_u64().unwrap());
                self.told.books.lock().unwrap().insert(update, book);
            }
        }
        let publisher = &self.publisher;
        let topic = self.topics.entry(stream.to_owned()).or_insert_with(|| {
            publisher.topic(stream, TopicOptions::from(StreamClass::of(stream)))
        });
        publisher.publish_waiting(topic, payload.into());
        Flow::Continue
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A number of up to eight decimals as a whole one.
fn units(decimal: &str) -> u128 {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    assert!(fraction.len() <= 8, "{decimal}");
    format!("{whole}{fraction:0<8}").parse().unwrap()
}

/// A client's book, kept by the letter of the exchange's instructions.
#[derive(Default)]
struct Book {
    last: u64,
    bids: BTreeMap<u128, (String, String)>,
    asks: BTreeMap<u128, (String, String)>,
}

impl Book {
    fn set(&mut self, bids: &Value, asks: &Value) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels.as_array().unwrap() {
                let text = |index: usize| level[index].as_str().unwrap().to_owned();
                let (price, quantity) = (text(0), text(1));
                if units(&quantity) == 0 {
                    side.remove(&units(&price));
                } else {
                    side.insert(units(&price), (price, quantity));
                }
            }
        }
    }

    fn answer(&self) -> String {
        fn written<'a>(levels: impl Iterator<Item = &'a (String, String)>) -> String {
            let levels = levels.map(|(price, quantity)| format!(r#"["{price}","{quantity}"]"#));
            levels.collect::<Vec<_>>().join(",")
        }
        let (bids, asks) = (written(self.bids.values().rev()), written(self.asks.values()));
        format!(r#"{{"lastUpdateId":{},"bids":[{bids}],"asks":[{asks}]}}"#, self.last)
    }
}

/// What came of one attempt to join.
enum Joined {
    InStep,
    /// The feed began anew meanwhile, or has not told its book yet: to be tried again.
    Again,
}

/// Joins as the exchange says: diffs are kept, a snapshot is got, what is older than it is dropped,
/// the first that is left must follow it, and each must follow the one before.
fn join(address: SocketAddr, stream: &str, told: &Told) -> Joined {
    let mut client = Client::open_at(address, &format!("/ws/{stream}"));
    let first = json(&client.hear());
    let symbol = first["s"].as_str().unwrap();
    let answer = get(address, &format!("/api/v3/depth?symbol={symbol}&limit=5000"));
    if answer.status == 503 {
        return Joined::Again;
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    let snapshot = json(&answer.content);
    let mut book = Book { last: snapshot["lastUpdateId"].as_u64().unwrap(), ..Book::default() };
    book.set(&snapshot["bids"], &snapshot["asks"]);
    let mut known = first["u"].as_u64().unwrap();
    let began_with = first["U"].as_u64().unwrap();
    if book.last < known {
        assert!(book.last < began_with, "older than a diff that the client has");
        return Joined::Again;
    }
    let (mut diff, mut applied) = (first, 0);
    loop {
        let (first, last) = (diff["U"].as_u64().unwrap(), diff["u"].as_u64().unwrap());
        if last < known {
            return Joined::Again;
        }
        known = last;
        if last > book.last {
            assert!(first <= book.last + 1, "{first} does not follow {}", book.last);
            book.set(&diff["b"], &diff["a"]);
            book.last = last;
            applied += 1;
            let books = told.books.lock().unwrap();
            if let Some(servers) = books.get(&last) {
                assert_eq!(book.answer().as_bytes(), &**servers, "at {last}");
                if applied >= 2 {
                    return Joined::InStep;
                }
            }
        }
        diff = json(&client.hear());
    }
}

/// Feeds a server until 1,000 joins have succeeded, at any moments.
fn join_a_thousand_times(
    feed: impl FnOnce(&Arc<Markets>, &mut Recorder, &Switch) + Send + 'static,
) {
    let (markets, told, switch) =
        (Arc::<Markets>::default(), Arc::<Told>::default(), Switch::started());
    let server = serve(&markets);
    let mut recorder = Recorder {
        publisher: server.publisher.clone(),
        markets: Arc::clone(&markets),
        topics: HashMap::new(),
        told: Arc::clone(&told),
    };
    let feeding = std::thread::spawn({
        let (markets, switch) = (Arc::clone(&markets), switch.clone());
        move || feed(&markets, &mut recorder, &switch)
    });
    eventually("the feed has a diff stream", || told.stream().is_some());
    let stream = told.stream().unwrap();
    let (joined, again) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..JOINERS {
            scope.spawn(|| {
                while joined.load(Ordering::Relaxed) < JOINS {
                    match join(server.address, &stream, &told) {
                        Joined::InStep => joined.fetch_add(1, Ordering::Relaxed),
                        Joined::Again => again.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    switch.stop();
    feeding.join().expect("the feed ends well");
    let books = told.books.lock().unwrap().len();
    println!("{joined:?} joins among {books} books, {again:?} tried again; {:?}", markets.counts());
    assert!(joined.into_inner() >= JOINS && books > 20);
}

/// "The book a client builds by the exchange's published procedure equals the server's at the same
/// `u`", a thousand times: of the recording that TICKWIRE_CAPTURE names, or of a simulated market
/// that goes fifty times as fast as real time.
#[test]
fn whoever_joins_at_any_moment_has_the_servers_book() {
    if let Ok(path) = std::env::var("TICKWIRE_CAPTURE") {
        return join_a_thousand_times(move |markets, recorder, switch| {
            let recording = Recording::open(path).expect("a recording");
            let replay = Replay::new(recording, "20".parse().unwrap(), Repeat::Forever);
            let mut keeper = Bookkeeper::new(Arc::clone(markets));
            replay.run(&mut Kept::new(&mut keeper, recorder), switch, &FeedCounters::default());
        });
    }
    join_a_thousand_times(|markets, recorder, switch| {
        let symbols = [SymbolSpec::named("BTCUSDT").unwrap()];
        let mut simulator = Simulator::new(3, 1_700_000_000_000, &symbols, "2".parse().unwrap());
        let mut keeper = Bookkeeper::new(Arc::clone(markets));
        let mut sink = Kept::new(&mut keeper, recorder);
        simulator.streams().for_each(|stream| sink.announce(stream));
        simulator.snapshots(&mut |symbol, payload| {
            sink.snapshot(Some(symbol), str::from_utf8(payload).unwrap());
        });
        while !switch.is_stopped() {
            // The feed's pace: half a second of the market in ten milliseconds.
            for _ in 0..50 {
                simulator.advance(&mut |stream, payload| {
                    sink.publish(stream, str::from_utf8(payload).unwrap(), Pace::Patient);
                });
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    });
}

/// Keeps events, of a feed that brings only some streams.
#[derive(Default)]
struct Collected(Vec<(String, String)>, Vec<String>);

impl Sink for Collected {
    fn publish(&mut self, stream: &str, payload: &str, _: Pace) -> Flow {
        self.0.push((stream.to_owned(), payload.to_owned()));
        Flow::Continue
    }

    fn announce(&mut self, stream: &str) {
        self.1.push(stream.to_owned());
    }
}

/// A simulated market's events, 5 seconds of them.
fn simulated() -> Vec<(String, String)> {
    let symbols = [SymbolSpec::named("BTCUSDT").unwrap()];
    let mut simulator = Simulator::new(5, 1_700_000_000_000, &symbols, "3".parse().unwrap());
    let mut events = Vec::new();
    for _ in 0..500 {
        simulator.advance(&mut |stream, payload| {
            events.push((stream.to_owned(), String::from_utf8(payload.to_owned()).unwrap()));
        });
    }
    events
}

/// What a keeper makes of these events, told the empty book that they begin from.
fn keep(events: &[(String, String)], is_fed: impl Fn(&str) -> bool) -> (Collected, Arc<Markets>) {
    let markets = Arc::<Markets>::default();
    let (mut keeper, mut kept) = (Bookkeeper::new(Arc::clone(&markets)), Collected::default());
    let mut sink = Kept::new(&mut keeper, &mut kept);
    let empty = r#"{"lastUpdateId":1699999999999,"bids":[],"asks":[]}"#;
    sink.snapshot(Some("BTCUSDT"), empty);
    for (stream, payload) in events.iter().filter(|(stream, _)| is_fed(stream)) {
        sink.publish(stream, payload, Pace::Live);
    }
    (kept, markets)
}

fn of<'e>(events: &'e [(String, String)], stream: &str) -> Vec<&'e str> {
    let events = events.iter().filter(|(of, _)| of == stream);
    events.map(|(_, payload)| payload.as_str()).collect()
}

/// Derived streams: what the simulation sends of its own book, byte for byte, from its diffs alone.
#[test]
fn partial_books_are_derived_as_an_exchange_would_send_them() {
    let events = simulated();
    let (kept, markets) = keep(&events, |stream| stream.ends_with(DEPTH));
    for levels in [5, 10, 20] {
        let stream = format!("btcusdt@depth{levels}@100ms");
        let (ours, theirs) = (of(&kept.0, &stream), of(&events, &stream));
        assert!(theirs.len() > 40, "{}", theirs.len());
        assert_eq!(ours, theirs, "{stream}");
        // The diffs at full seconds say what the book is then; the first says it at once.
        let stream = format!("btcusdt@depth{levels}");
        let (ours, theirs) = (of(&kept.0, &stream), of(&events, &stream));
        assert_eq!(ours[1..], theirs, "{stream}");
    }
    assert_eq!(
        markets.counts().derived,
        kept.0.len() as u64 - of(&kept.0, "btcusdt@depth@100ms").len() as u64
    );
    let announced: Vec<&str> = kept.1.iter().map(String::as_str).collect();
    assert_eq!(announced.len(), 7, "{announced:?}");
}

/// Derived streams: the best bid and ask are told after each diff that changes them, and are what
/// the market's own ticker said last before it.
#[test]
fn the_best_bid_and_ask_are_derived_where_they_change() {
    let events = simulated();
    let (kept, _) = keep(&events, |stream| stream.ends_with(DEPTH));
    let mut expected = Vec::new();
    let (mut ticker, mut last) = (Value::Null, Value::Null);
    for (stream, payload) in &events {
        if stream == "btcusdt@bookTicker" {
            ticker = json(payload);
        } else if stream.ends_with(DEPTH) {
            // As of the diff: the ticker does not tell changes that are not at the best prices.
            ticker["u"] = json(payload)["u"].clone();
            let best = |of: &Value| ["b", "B", "a", "A"].map(|key| of[key].clone());
            if last.is_null() || best(&ticker) != best(&last) {
                expected.push(ticker.clone());
            }
            last = ticker.clone();
        }
    }
    let derived = of(&kept.0, "btcusdt@bookTicker");
    assert_eq!(derived.iter().map(|payload| json(payload)).collect::<Vec<_>>(), expected);
    assert!(derived.len() > 10, "{}", derived.len());
    let order = [r#"{"u":"#, r#","s":"BTCUSDT","b":""#, r#"","B":""#, r#"","a":""#, r#"","A":""#];
    let places = order.map(|part| derived[0].find(part).expect(part));
    assert!(places.is_sorted(), "{}", derived[0]);
}

/// Derived streams: candles and tickers of trades alone, with the times of the feed; a feed that
/// starts over has the same again.
#[test]
fn what_follows_from_trades_follows_again_when_the_feed_starts_over() {
    let events = simulated();
    let (mut keeper, mut kept) = (Bookkeeper::new(Arc::default()), Collected::default());
    let mut sink = Kept::new(&mut keeper, &mut kept);
    let is_fed = |stream: &str| stream.ends_with("@trade") || stream.ends_with("@bookTicker");
    for _ in 0..2 {
        for (stream, payload) in events.iter().filter(|(stream, _)| is_fed(stream)) {
            assert_eq!(sink.publish(stream, payload, Pace::Live), Flow::Continue);
        }
        sink.start_over();
    }
    let (first, second) = kept.0.split_at(kept.0.len() / 2);
    assert!(first == second, "the second pass differs");
    let candles = of(first, "btcusdt@kline_1s");
    assert_eq!(candles.len(), 4, "one for each second that is over");
    let candle = json(candles[1]);
    assert_eq!(
        (&candle["k"]["t"], &candle["k"]["x"]),
        (&1_700_000_001_000_u64.into(), &true.into())
    );
    // The best prices are those that the feed told before that second was over.
    let (ticker, best) =
        (json(of(first, "btcusdt@ticker")[0]), json(of(first, "btcusdt@bookTicker")[0]));
    assert_eq!(ticker["s"], best["s"]);
    assert!(ticker["b"] != "0.00000000" && ticker["a"] != "0.00000000", "{ticker}");
    assert!(kept.1.iter().any(|stream| stream == "!miniTicker@arr"), "{:?}", kept.1);
}

/// Derived streams: none, where nobody wants them; the book is kept all the same.
#[test]
fn nothing_is_derived_where_nothing_is_to_be() {
    let events = simulated();
    let markets = Arc::<Markets>::default();
    let mut keeper = Bookkeeper::new(Arc::clone(&markets)).deriving(Derive::Nothing);
    let mut kept = Collected::default();
    let mut sink = Kept::new(&mut keeper, &mut kept);
    sink.snapshot(Some("BTCUSDT"), r#"{"lastUpdateId":0,"bids":[],"asks":[]}"#);
    let is_fed = |stream: &str| stream.ends_with("@trade") || stream.ends_with(DEPTH);
    let fed: Vec<_> = events.into_iter().filter(|(stream, _)| is_fed(stream)).collect();
    for (stream, payload) in &fed {
        assert_eq!(sink.publish(stream, payload, Pace::Live), Flow::Continue);
    }
    sink.caught_up();
    assert_eq!((kept.0, kept.1.len(), markets.counts().derived), (fed, 0, 0));
    assert!(markets.counts().diffs_applied + markets.counts().diffs_waited > 0);
}

/// Derived streams: none that the feed carries is derived, whether it is announced or only seen.
#[test]
fn what_the_feed_carries_is_not_derived() {
    let events = simulated();
    let (kept, markets) = keep(&events, |_| true);
    // Seen before the first diff: the ticker. Seen after the first: partial books of each diff; and
    // those of each second only after the second of its time that they are first derived in. So are
    // candles (but for that of a second, which the feed tells first), tickers and the average.
    const DERIVED: usize = 3 + 2 * 3 + (12 + 3 + 2);
    assert_eq!(of(&kept.0, "btcusdt@bookTicker"), of(&events, "btcusdt@bookTicker"));
    assert_eq!(markets.counts().derived, DERIVED as u64);
    assert_eq!(kept.0.len(), events.len() + DERIVED);

    let markets = Arc::<Markets>::default();
    let (mut keeper, mut kept) = (Bookkeeper::new(Arc::clone(&markets)), Collected::default());
    let mut sink = Kept::new(&mut keeper, &mut kept);
    for stream in ["btcusdt@depth20", "btcusdt@depth", "btcusdt@bookTicker"] {
        sink.announce(stream);
    }
    let diff = r#"{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":1,"u":2,"b":[["9","1"]],"a":[]}"#;
    sink.publish("btcusdt@depth", diff, Pace::Live);
    let expected = ["btcusdt@depth", "btcusdt@depth5", "btcusdt@depth10"];
    assert_eq!(kept.0.iter().map(|(stream, _)| stream.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(kept.1[3..], expected[1..], "announced after what they are derived from");
}

/// Replays that begin later: what is skipped is in the book, and nothing is derived of it.
#[test]
fn a_skipped_diff_is_in_the_book_and_derives_nothing() {
    let markets = Arc::<Markets>::default();
    let (mut keeper, mut kept) = (Bookkeeper::new(Arc::clone(&markets)), Collected::default());
    let diff = r#"{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":1,"u":2,"b":[["9","1"]],"a":[]}"#;
    Kept::new(&mut keeper, &mut kept).skip("btcusdt@depth", diff);
    assert!(matches!(markets.depth("BTCUSDT", 5), Depth::Book(_)));
    assert_eq!(kept.0, []);
}

/// Snapshots that say no symbol: of the one whose diffs wait for it, of the only one with diffs, or
/// of the first that will have any; else nobody's, which is counted.
#[test]
fn a_snapshot_without_a_symbol_finds_its_book() {
    let snapshot = |id: u64| format!(r#"{{"lastUpdateId":{id},"bids":[],"asks":[]}}"#);
    let diff = |symbol: &str, id: u64| {
        format!(r#"{{"e":"depthUpdate","E":5,"s":"{symbol}","U":{id},"u":{id},"b":[],"a":[]}}"#)
    };
    let is_book = |markets: &Markets, symbol| matches!(markets.depth(symbol, 5), Depth::Book(_));
    let markets = Arc::<Markets>::default();
    let (mut keeper, mut kept) = (Bookkeeper::new(Arc::clone(&markets)), Collected::default());
    let mut sink = Kept::new(&mut keeper, &mut kept);
    sink.snapshot(None, &snapshot(10));
    sink.publish("a@depth", &diff("A", 11), Pace::Live);
    assert!(is_book(&markets, "A"), "the first that has diffs");
    sink.publish("a@depth", &diff("A", 13), Pace::Live);
    assert_eq!(markets.depth("A", 5), Depth::Missing(Missing::UpdatesAfter(11)));
    sink.snapshot(None, &snapshot(12));
    assert!(is_book(&markets, "A"), "the only one");
    sink.publish("b@depth", &diff("B", 500), Pace::Live);
    assert_eq!(markets.depth("B", 5), Depth::Missing(Missing::Snapshot));
    sink.snapshot(None, &snapshot(499));
    assert!(is_book(&markets, "B"), "the one whose diffs wait");
    sink.snapshot(None, &snapshot(900));
    sink.snapshot(None, "{}");
    sink.snapshot(Some("B"), "{}");
    let counts = markets.counts();
    assert_eq!((counts.snapshots_taken, counts.snapshots_not_understood), (3, 3));
    assert_eq!((counts.symbols, counts.books, counts.gaps), (2, 2, 1));
}
