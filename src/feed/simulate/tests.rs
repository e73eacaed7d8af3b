//! Tests of the simulator as its users see it: by the events it emits.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::super::tests::Kept;
use super::*;

const START_MS: u64 = 1_700_000_000_000;

fn simulator(seed: u64) -> Simulator {
    Simulator::new(seed, START_MS, &SymbolSpec::defaults(), Factor::ONE)
}

/// All events of `seconds` of virtual time.
fn events_of(simulator: &mut Simulator, seconds: u64) -> Vec<(String, Vec<u8>)> {
    let mut events = Vec::new();
    for _ in 0..seconds * STEPS_PER_SECOND {
        simulator.advance(&mut |stream, payload| {
            events.push((stream.to_owned(), payload.to_owned()));
        });
    }
    events
}

/// FNV-1a, so that a hash in this file means the same everywhere.
fn hash(events: &[(String, Vec<u8>)]) -> u64 {
    let bytes = events.iter().flat_map(|(stream, payload)| stream.bytes().chain(payload.clone()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Simulation: the seed and the start determine every byte, today and on any machine.
#[test]
fn the_same_seed_gives_the_same_bytes() {
    let events = events_of(&mut simulator(1), 3);
    assert_eq!(events, events_of(&mut simulator(1), 3));
    assert_ne!(events, events_of(&mut simulator(2), 3));
    assert_eq!(
        hash(&events),
        935_642_339_577_985_674,
        "a change to the simulated market is a change to its users"
    );
}

/// Simulation: every stream that is announced has events, and no other has any.
#[test]
fn exactly_the_announced_streams_are_fed() {
    let mut simulator = simulator(1);
    let announced: HashSet<_> = simulator.streams().map(str::to_owned).collect();
    let fed: HashSet<_> =
        events_of(&mut simulator, 10).into_iter().map(|(stream, _)| stream).collect();
    assert_eq!(announced, fed);
    assert_eq!(announced.len(), 4 * 27 + 2);
}

/// Simulation: a symbol named twice must not feed one stream from two books.
#[test]
fn a_symbol_named_twice_is_simulated_once() {
    let twice = [SymbolSpec::named("x").unwrap(), SymbolSpec::named("X").unwrap()];
    assert_eq!(Simulator::new(1, START_MS, &twice, Factor::ONE).streams().count(), 27 + 2);
    assert_eq!(Simulator::new(1, START_MS, &[], Factor::ONE).streams().count(), 0);
}

/// Simulation: a demonstration is busy but readable, and more load can be asked for.
#[test]
fn the_rate_is_some_hundred_events_a_second() {
    let usual = events_of(&mut simulator(3), 20).len() / 20;
    assert!((200..1000).contains(&usual), "{usual}");
    let rate = "20".parse().unwrap();
    let mut busy = Simulator::new(3, START_MS, &SymbolSpec::defaults(), rate);
    let busy = events_of(&mut busy, 5).len() / 5;
    assert!(busy > 4 * usual, "{busy}");
}

/// Payloads: members and their order are the documented ones.
#[test]
fn every_payload_has_the_documented_members_in_order() {
    let ticker = "e E s p P w x c Q b B a A o h l v q O C F L n";
    let mini_ticker = "e E s c o h l v q";
    let mut seen = HashSet::new();
    for (stream, payload) in events_of(&mut simulator(4), 70) {
        let value: Value = serde_json::from_slice(&payload).unwrap();
        let (_, kind) = stream.split_once('@').unwrap();
        seen.insert(kind.to_owned());
        let expected = match kind {
            "trade" => "e E s t p q T m M",
            "aggTrade" => "e E s a p q f l T m M",
            "bookTicker" => "u s b B a A",
            "depth" | "depth@100ms" => "e E s U u b a",
            "ticker" => ticker,
            "miniTicker" => mini_ticker,
            "avgPrice" => "e E s i w T",
            _ if kind.starts_with("kline_") => "e E s k",
            _ if kind.starts_with("depth") => "lastUpdateId bids asks",
            _ => {
                let members = if stream == "!ticker@arr" { ticker } else { mini_ticker };
                let array = value.as_array().unwrap();
                assert_eq!(array.len(), 4);
                let text = std::str::from_utf8(&payload).unwrap();
                let inner = text.trim_start_matches('[').split("},").next().unwrap();
                assert_eq!(keys(inner.as_bytes()).join(" "), members);
                continue;
            }
        };
        let keys = keys(&payload);
        let outer: Vec<_> = keys.iter().take(expected.split(' ').count()).cloned().collect();
        assert_eq!(outer.join(" "), expected, "{stream}");
        if kind.starts_with("kline_") {
            assert_eq!(keys[4..].join(" "), "t T s i f L o c h l v n x q V Q B");
        }
    }
    assert_eq!(seen.len(), 28);
}

/// Member names in the order in which they are written.
fn keys(json: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(json).unwrap();
    let pieces: Vec<_> = text.split('"').collect();
    let named = pieces.windows(2).skip(1).step_by(2).filter(|pair| pair[1].starts_with(':'));
    named.map(|pair| pair[0].to_owned()).collect()
}

/// A client's copy of one book, kept by the documented procedure.
#[derive(Default)]
struct Copy {
    last_id: Option<u64>,
    bids: BTreeMap<String, String>,
    asks: BTreeMap<String, String>,
}

impl Copy {
    fn apply(&mut self, payload: &[u8]) {
        let diff: Value = serde_json::from_slice(payload).unwrap();
        if let Some(last_id) = self.last_id {
            assert_eq!(diff["U"].as_u64().unwrap(), last_id + 1);
        }
        self.last_id = diff["u"].as_u64();
        assert!(diff["U"].as_u64() <= self.last_id);
        for (side, name) in [(&mut self.bids, "b"), (&mut self.asks, "a")] {
            for level in diff[name].as_array().unwrap() {
                let (price, quantity) = (level[0].as_str().unwrap(), level[1].as_str().unwrap());
                if quantity == "0.00000000" {
                    side.remove(price);
                } else {
                    side.insert(price.to_owned(), quantity.to_owned());
                }
            }
        }
    }

    fn levels(side: &BTreeMap<String, String>) -> BTreeMap<u64, u64> {
        let units = |text: &String| text.replace('.', "").parse::<u64>().unwrap();
        side.iter().map(|(price, quantity)| (units(price), units(quantity))).collect()
    }
}

/// Diffs: `U` of the next is `u` of this plus one for minutes on end, and a book rebuilt from
/// them is the simulator's own.
#[test]
fn books_rebuilt_from_either_diff_stream_are_right() {
    let specs = SymbolSpec::defaults();
    let mut simulator = simulator(5);
    let mut copies: HashMap<String, Copy> = HashMap::new();
    for _ in 0..180 {
        for (stream, payload) in events_of(&mut simulator, 1) {
            if stream.ends_with("@depth") || stream.ends_with("@depth@100ms") {
                copies.entry(stream).or_default().apply(&payload);
            }
        }
        for (market, spec) in simulator.markets.iter().zip(&specs) {
            let symbol = spec.symbol().to_ascii_lowercase();
            let scale = |(price, lots)| (price * spec.tick, lots * spec.lot);
            for stream in [format!("{symbol}@depth"), format!("{symbol}@depth@100ms")] {
                let copy = &copies[&stream];
                assert_eq!(copy.last_id, Some(market.book().update_id()));
                assert_eq!(Copy::levels(&copy.bids), market.book().bids().map(scale).collect());
                assert_eq!(Copy::levels(&copy.asks), market.book().asks().map(scale).collect());
            }
        }
    }
}

/// Books: never crossed, never thin, and prices stay near where they began.
#[test]
fn markets_stay_plausible() {
    let rate = "10".parse().unwrap();
    let mut simulator = Simulator::new(6, START_MS, &SymbolSpec::defaults(), rate);
    for _ in 0..120 * STEPS_PER_SECOND {
        simulator.advance(&mut |_, _| {});
        for (market, spec) in simulator.markets.iter().zip(SymbolSpec::defaults()) {
            let (bid, _) = market.book().best(book::Side::Bid).unwrap();
            let (ask, _) = market.book().best(book::Side::Ask).unwrap();
            assert!(bid < ask);
            assert!(ask - bid < spec.width, "{} {bid} {ask}", spec.symbol());
            assert!(bid.abs_diff(spec.anchor) < spec.anchor / 10);
            for side in [book::Side::Bid, book::Side::Ask] {
                assert!((book::LEVELS_MIN..=book::LEVELS_MAX).contains(&market.book().len(side)));
            }
        }
    }
}

/// Streams of one symbol agree: ids rise without gaps, partial books are the book of their id.
#[test]
fn ids_rise_and_partial_books_agree_with_diffs() {
    let mut last: HashMap<(String, &str), u64> = HashMap::new();
    let mut rise = |stream: &str, value: &Value, key: &'static str, by_one: bool| {
        let id = value[key].as_u64().unwrap();
        if let Some(last) = last.insert((stream.to_owned(), key), id) {
            assert!(if by_one { id == last + 1 } else { id > last }, "{stream} {key} {last} {id}");
        }
    };
    let mut diffs: HashMap<String, u64> = HashMap::new();
    for (stream, payload) in events_of(&mut simulator(7), 60) {
        let value: Value = serde_json::from_slice(&payload).unwrap();
        let (symbol, kind) = stream.split_once('@').unwrap();
        match kind {
            "trade" => rise(&stream, &value, "t", true),
            "aggTrade" => {
                rise(&stream, &value, "a", true);
                rise(&stream, &value, "f", false);
            }
            "bookTicker" => rise(&stream, &value, "u", false),
            "depth" | "depth@100ms" => {
                diffs.insert(symbol.to_owned(), value["u"].as_u64().unwrap());
            }
            _ if kind.starts_with("depth") => {
                assert_eq!(value["lastUpdateId"].as_u64().unwrap(), diffs[symbol]);
                let levels = kind.trim_start_matches("depth").split('@').next().unwrap();
                assert_eq!(value["bids"].as_array().unwrap().len().to_string(), levels);
            }
            _ => {}
        }
    }
}

/// Candles: one closes when its time is over, and the next begins at once.
#[test]
fn candles_close_on_time() {
    let mut closed: HashMap<String, Vec<u64>> = HashMap::new();
    for (stream, payload) in events_of(&mut simulator(8), 200) {
        if stream.starts_with("btcusdt@kline_") {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            let (now, candle) = (event["E"].as_u64().unwrap(), &event["k"]);
            let (from, to) = (candle["t"].as_u64().unwrap(), candle["T"].as_u64().unwrap());
            if candle["x"] == true {
                assert!(now > to && now <= to + STEP_MS);
                closed.entry(stream).or_default().push(from);
            } else {
                assert!((from..=to).contains(&now));
            }
        }
    }
    assert_eq!(closed["btcusdt@kline_1s"].len(), 200);
    let minutes: Vec<_> = closed["btcusdt@kline_1m"].windows(2).map(|w| w[1] - w[0]).collect();
    assert_eq!(minutes, [60_000, 60_000]);
    assert!(!closed.contains_key("btcusdt@kline_1h"));
}

/// Feeds: a simulation runs until its sink has had enough, counting what it published.
#[test]
fn a_running_simulation_stops_when_told() {
    let mut sink = Kept { stop_after: Some(20), ..Kept::default() };
    let counters = FeedCounters::default();
    Simulate::new(simulator(9)).run(&mut sink, &Switch::started(), &counters);
    assert_eq!((sink.events.len(), counters.events()), (20, 20));

    let switch = Switch::held();
    switch.stop();
    Simulate::new(simulator(9)).run(&mut sink, &switch, &counters);
    assert_eq!(counters.events(), 20);
}

/// Snapshots: the whole book at any moment, which the next diff of each speed follows.
#[test]
fn the_next_diffs_follow_a_snapshot() {
    let mut simulator = simulator(6);
    for moment in [0, 7, 100] {
        advance(&mut simulator, moment);
        let mut books = BTreeMap::new();
        simulator.snapshots(&mut |symbol, payload| {
            let book: Value = serde_json::from_slice(payload).unwrap();
            assert!(book["bids"].as_array().unwrap().len() >= book::LEVELS_MIN);
            books.insert(symbol.to_owned(), book["lastUpdateId"].as_u64().unwrap());
        });
        assert_eq!(books.len(), 4);
        let mut followed = HashSet::new();
        for (stream, payload) in events_of(&mut simulator, 2) {
            if stream.ends_with("@depth") || stream.ends_with("@depth@100ms") {
                let diff: Value = serde_json::from_slice(&payload).unwrap();
                let last = books[diff["s"].as_str().unwrap()];
                if diff["u"].as_u64().unwrap() > last && followed.insert(stream) {
                    assert!(diff["U"].as_u64().unwrap() <= last + 1);
                }
            }
        }
        assert_eq!(followed.len(), 8);
    }
}

fn advance(simulator: &mut Simulator, steps: u64) {
    for _ in 0..steps {
        simulator.advance(&mut |_, _| {});
    }
}
