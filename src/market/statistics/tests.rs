//! Statistics beside a model that keeps every trade and adds them up each time it is asked.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

const START_MS: u64 = 1_700_000_000_000;

fn payload(
    id: u64,
    event_ms: u64,
    at_ms: u64,
    price: &str,
    quantity: &str,
    maker: Maker,
) -> String {
    let maker = maker == Maker::Buyer;
    format!(
        r#"{{"e":"trade","E":{event_ms},"s":"BTCUSDT","t":{id},"p":"{price}","q":"{quantity}","T":{at_ms},"m":{maker},"M":true}}"#
    )
}

type Events = Vec<(String, Value)>;

fn advance(statistics: &mut Statistics, now_ms: u64) -> Events {
    let mut events = Events::new();
    statistics.advance(now_ms, &mut |stream, payload| {
        events.push((stream.to_owned(), serde_json::from_slice(payload).unwrap()));
    });
    events
}

fn of<'e>(events: &'e Events, stream: &str) -> Vec<&'e Value> {
    events.iter().filter(|(name, _)| name == stream).map(|(_, event)| event).collect()
}

fn decimal(units: u128) -> String {
    format!("{}.{:08}", units / 100_000_000, units % 100_000_000)
}

/// A trade, with the second that it counts in.
#[derive(Clone, Debug)]
struct Known {
    second_ms: u64,
    id: u64,
    price: u64,
    lots: u128,
    maker: Maker,
}

/// What the trades of a time say, member by member as texts.
fn sums(trades: &[&Known], last_price: u64) -> Vec<(&'static str, String)> {
    let price_of = |pick: fn(&[u64]) -> Option<u64>| {
        let prices: Vec<u64> = trades.iter().map(|trade| trade.price).collect();
        decimal(pick(&prices).unwrap_or(last_price).into())
    };
    let volume = |only: &dyn Fn(&Known) -> bool| {
        decimal(trades.iter().filter(|trade| only(trade)).map(|trade| trade.lots).sum())
    };
    let money = |only: &dyn Fn(&Known) -> bool| {
        let amounts = trades.iter().filter(|trade| only(trade));
        let sum: u128 = amounts.map(|trade| u128::from(trade.price) * trade.lots).sum();
        decimal(sum / 100_000_000)
    };
    let id = |trade: Option<&&Known>| trade.map_or("-1".to_owned(), |trade| trade.id.to_string());
    let bought = |trade: &Known| trade.maker == Maker::Seller;
    vec![
        ("o", price_of(|prices| prices.first().copied())),
        ("c", price_of(|prices| prices.last().copied())),
        ("h", price_of(|prices| prices.iter().max().copied())),
        ("l", price_of(|prices| prices.iter().min().copied())),
        ("v", volume(&|_| true)),
        ("q", money(&|_| true)),
        ("V", volume(&bought)),
        ("Q", money(&bought)),
        ("n", trades.len().to_string()),
        ("f", id(trades.first())),
        ("L", id(trades.last())),
    ]
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The trades from `from_ms` on and before `to_ms`, and the last price before them.
fn between(trades: &[Known], from_ms: u64, to_ms: u64) -> (Vec<&Known>, u64) {
    let inside = trades.iter().filter(|trade| (from_ms..to_ms).contains(&trade.second_ms));
    let before = trades.iter().rev().find(|trade| trade.second_ms < from_ms);
    (inside.collect(), before.or(trades.first()).map_or(0, |trade| trade.price))
}

/// Checks everything that was emitted at `now_ms` against all trades so far.
fn check(events: &Events, trades: &[Known], now_ms: u64) -> Result<(), TestCaseError> {
    let second_ms = second_of(now_ms);
    for (stream, event) in events {
        prop_assert_eq!(&event["E"], now_ms, "{}", stream);
        let (from_ms, to_ms, members) = if stream.contains("@kline_") {
            let candle = &event["k"];
            let (open, close) = (candle["t"].as_u64().unwrap(), candle["T"].as_u64().unwrap());
            prop_assert_eq!(candle["x"] == true, close < now_ms, "{} {}", stream, event);
            (open, close.saturating_add(1).min(second_ms), candle)
        } else if stream.ends_with("@avgPrice") {
            let from_ms = now_ms - AVERAGE_MS - (now_ms - AVERAGE_MS) % AVERAGE_BUCKET_MS;
            let (inside, last) = between(trades, from_ms, second_ms);
            let lots: u128 = inside.iter().map(|trade| trade.lots).sum();
            let money: u128 = inside.iter().map(|trade| u128::from(trade.price) * trade.lots).sum();
            let average = money.checked_div(lots).unwrap_or(last.into());
            prop_assert_eq!(&event["w"], &decimal(average));
            continue;
        } else {
            (now_ms - DAY_MS - (now_ms - DAY_MS) % DAY_BUCKET_MS, second_ms, event)
        };
        let (inside, last) = between(trades, from_ms, to_ms);
        let ticker = stream.ends_with("@ticker");
        if ticker {
            prop_assert_eq!(members["O"].as_u64(), Some(from_ms));
            let any_before = trades.iter().any(|trade| trade.second_ms < from_ms);
            let before = if any_before { last } else { inside[0].price };
            prop_assert_eq!(&members["x"], &decimal(before.into()));
        }
        for (member, expected) in sums(&inside, last) {
            // What tickers name otherwise or leave out.
            let named = match member {
                "f" if ticker => "F",
                "V" | "Q" if ticker => continue,
                "V" | "Q" | "n" | "f" | "L" if stream.ends_with("@miniTicker") => continue,
                _ => member,
            };
            prop_assert_eq!(text(&members[named]), expected, "{} {} {}", stream, named, event);
        }
    }
    Ok(())
}

/// How far event time moves, and perhaps a trade: price, quantity, who rested, how old it is.
type Step = (u64, Option<(u64, u128, bool, u64)>);

fn step() -> impl Strategy<Value = Step> {
    let moved = prop_oneof![
        6 => 0u64..400,
        3 => 0u64..5000,
        1 => 0u64..200_000,
        1 => 0u64..20_000_000,
        1 => prop_oneof![Just(SECOND_MS), Just(60_000), Just(DAY_MS), Just(DAY_MS + 61_000)],
    ];
    let quantity = prop_oneof![1u128..1000, Just(1u128 << 66)];
    let trade = (1u64..1_000_000_000_000, quantity, any::<bool>(), 0u64..1500);
    (moved, prop::option::of(trade))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever comes when, all that is emitted is what all trades so far say, and each candle
    /// ends once, in order, with none left out but in a long silence.
    #[test]
    fn what_is_emitted_is_what_the_trades_say(steps in prop::collection::vec(step(), 1..120)) {
        let (mut statistics, mut again) = (Statistics::new("btcusdt"), Statistics::new("btcusdt"));
        let (mut now_ms, mut trades) = (START_MS, Vec::<Known>::new());
        let mut ended: Vec<Option<u64>> = vec![None; INTERVALS.len()];
        for (id, (moved_ms, trade)) in (0..).zip(steps) {
            let before_ms = now_ms;
            now_ms += moved_ms;
            if let Some((price, lots, bought, age_ms)) = trade {
                let maker = if bought { Maker::Seller } else { Maker::Buyer };
                let (at_ms, written) = (now_ms - age_ms, [decimal(price.into()), decimal(lots)]);
                let payload = payload(id, now_ms, at_ms, &written[0], &written[1], maker);
                statistics.trade(&payload);
                again.trade(&payload);
                // Nobody has said yet what time it is.
                let earliest = if id == 0 { 0 } else { second_of(before_ms) };
                let second_ms = second_of(at_ms).max(earliest);
                trades.push(Known { second_ms, id, price, lots, maker });
            }
            let events = advance(&mut statistics, now_ms);
            prop_assert_eq!(&events, &advance(&mut again, now_ms));
            check(&events, &trades, now_ms)?;
            for (at, (name, length_ms)) in INTERVALS.iter().enumerate() {
                let mut empty = 0;
                for event in of(&events, &format!("btcusdt@kline_{name}")) {
                    let opened = event["k"]["t"].as_u64().unwrap();
                    prop_assert_eq!(opened % length_ms, 0);
                    if event["k"]["x"] == false {
                        prop_assert!(ended[at].is_none_or(|last| opened == last + length_ms));
                        continue;
                    }
                    empty += u64::from(event["k"]["n"] == 0);
                    let next = ended[at].replace(opened).map(|last| last + length_ms);
                    let seamless = next.is_none_or(|next| opened == next);
                    prop_assert!(seamless || empty > 0 && opened > next.unwrap_or_default());
                }
                // A silence before the trade that is told of last, and one behind it.
                prop_assert!(empty <= 2 * (EMPTY_CANDLES_MAX + 1), "{}", empty);
            }
        }
        prop_assert_eq!(statistics.ignored(), 0);
    }
}

fn started() -> Statistics {
    let mut statistics = Statistics::new("btcusdt");
    statistics.trade(&payload(1, START_MS, START_MS, "2", "3", Maker::Buyer));
    assert!(advance(&mut statistics, START_MS).is_empty());
    statistics
}

/// Candles: a trade of before the end that is told after it still counts where it belongs, because
/// it comes before event time does.
#[test]
fn a_trade_belongs_to_the_candle_of_its_own_time() {
    let mut statistics = started();
    let end = START_MS - START_MS % 60_000 + 60_000;
    statistics.trade(&payload(2, end + 3, end - 1, "5", "1", Maker::Buyer));
    let events = advance(&mut statistics, end + 3);
    let minute = of(&events, "btcusdt@kline_1m")[0];
    assert_eq!((&minute["k"]["c"], &minute["k"]["x"]), (&"5.00000000".into(), &true.into()));
    // And one of after the end does not, though it is what ends it.
    statistics.trade(&payload(3, end + 60_003, end + 60_000, "7", "1", Maker::Buyer));
    let events = advance(&mut statistics, end + 60_003);
    let minute = of(&events, "btcusdt@kline_1m")[0];
    assert_eq!((&minute["k"]["c"], &minute["k"]["n"]), (&"5.00000000".into(), &0.into()));
    let ticker = of(&events, "btcusdt@miniTicker")[0];
    assert_eq!(ticker["c"], "5.00000000");
}

/// A jump of a year ends each candle, tells the last empty ones, and is little work.
#[test]
fn a_year_of_silence_is_told_in_few_candles() {
    let mut statistics = started();
    let events = advance(&mut statistics, START_MS + 365 * DAY_MS);
    let seconds = of(&events, "btcusdt@kline_1s");
    assert_eq!(seconds.len(), 61);
    assert_eq!((&seconds[0]["k"]["n"], &seconds[60]["k"]["n"]), (&1.into(), &0.into()));
    let last = seconds[60]["k"]["T"].as_u64().unwrap();
    assert_eq!(last, START_MS + 365 * DAY_MS - 1);
    assert!(events.len() <= 13 * 61 + 3, "{}", events.len());
    // Nothing has happened in 24 hours: the last price stands.
    let ticker = of(&events, "btcusdt@ticker")[0];
    assert_eq!(
        (&ticker["n"], &ticker["c"], &ticker["x"]),
        (&0.into(), &"2.00000000".into(), &"2.00000000".into())
    );
    // Event time never goes back.
    assert!(advance(&mut statistics, START_MS).is_empty());
}

/// What the feed has is not derived, and what it begins to have is derived no more.
#[test]
fn silenced_streams_are_not_emitted() {
    let mut statistics = started();
    statistics.silence("btcusdt@kline_1s");
    statistics.silence("ethusdt@kline_1m");
    assert_eq!(statistics.streams().count(), 15);
    let fed: Vec<String> = statistics.streams().map(str::to_owned).collect();
    let events = advance(&mut statistics, START_MS + 2 * DAY_MS);
    let told = |name: &String| events.iter().any(|(stream, _)| stream == name);
    assert!(fed.iter().all(told));
    assert!(!told(&"btcusdt@kline_1s".to_owned()));
    for stream in fed {
        statistics.silence(&stream);
    }
    assert!(advance(&mut statistics, START_MS + 4 * DAY_MS).is_empty());
}

/// Aggregates stand in for trades until there are trades, and then nothing counts twice.
#[test]
fn a_trade_counts_once_however_it_comes() {
    let aggregate = |first: u64, last: u64| {
        format!(
            r#"{{"e":"aggTrade","E":{START_MS},"s":"BTCUSDT","a":1,"p":"2","q":"3","f":{first},"l":{last},"T":{START_MS},"m":true,"M":true}}"#
        )
    };
    let mut statistics = Statistics::new("btcusdt");
    statistics.trade(&aggregate(7, 9));
    // Two of these three are in the aggregate, and the second aggregate is of the third.
    for id in [8, 9, 10] {
        statistics.trade(&payload(id, START_MS, START_MS, "2", "1", Maker::Buyer));
    }
    statistics.trade(&aggregate(10, 10));
    let events = advance(&mut statistics, START_MS + 1000);
    let second = &of(&events, "btcusdt@kline_1s")[0]["k"];
    assert_eq!((&second["n"], &second["v"]), (&4.into(), &"4.00000000".into()));
    assert_eq!((&second["f"], &second["L"]), (&7.into(), &10.into()));
    assert_eq!(statistics.ignored(), 0);
    statistics.trade("{}");
    assert_eq!(statistics.ignored(), 1);
}

/// Tickers: best bid and ask as the book has them, of any size.
#[test]
fn tickers_tell_the_quotes() {
    let mut statistics = started();
    statistics.quotes(("1.99", "999999999999.5"), ("2.01", "0.1"));
    statistics.quotes(("x", "1"), ("2.02", "0.1"));
    assert_eq!(statistics.ignored(), 1);
    let events = advance(&mut statistics, START_MS + 1000);
    let ticker = of(&events, "btcusdt@ticker")[0];
    let [bid, bid_quantity, ask] = ["b", "B", "a"].map(|member| text(&ticker[member]));
    assert_eq!(bid, "1.99000000");
    assert_eq!(bid_quantity, "999999999999.50000000");
    assert_eq!(ask, "2.02000000");
}

/// A feed may call its symbols what it likes: what comes of it is JSON.
#[test]
fn any_symbol_makes_valid_payloads() {
    let symbol = "a\"\\é";
    let mut statistics = Statistics::new(symbol);
    let trade = payload(1, START_MS, START_MS, "2", "3", Maker::Buyer);
    statistics.trade(&trade.replace("BTCUSDT", r"A\u0022\u005cé"));
    assert_eq!(statistics.ignored(), 1, "escapes are not read");
    let mut statistics = Statistics::new("a-é");
    statistics.trade(&trade.replace("BTCUSDT", "A-é"));
    let events = advance(&mut statistics, START_MS + 1000);
    assert_eq!(of(&events, "a-é@kline_1s")[0]["s"], "A-é");
    assert_eq!(Style::new(symbol, 1, 1).symbol(), r#""a\"\\é""#);
}

/// Arrays hold the symbols in which something changed, and there is none where nothing did.
#[test]
fn arrays_hold_what_changed_in_the_second() {
    let mut statistics = MarketStatistics::default();
    let arrays = |statistics: &mut MarketStatistics, now_ms| {
        let mut arrays = Vec::new();
        statistics.advance(now_ms, &mut |stream, payload| {
            if stream.starts_with('!') {
                let array: Vec<Value> = serde_json::from_slice(payload).unwrap();
                let symbols: Vec<String> = array.iter().map(|event| text(&event["s"])).collect();
                arrays.push((stream.to_owned(), symbols.join(" ")));
            }
        });
        arrays
    };
    let both = |symbols: &str| {
        ["!miniTicker@arr", "!ticker@arr"].map(|stream| (stream.to_owned(), symbols.to_owned()))
    };
    let trade = |symbol: &str, at_ms| {
        let payload = payload(1, at_ms, at_ms, "2", "3", Maker::Buyer);
        payload.replace("BTCUSDT", &symbol.to_ascii_uppercase())
    };
    for symbol in ["bbb", "aaa"] {
        statistics.trade(&format!("{symbol}@trade"), &trade(symbol, START_MS));
    }
    assert!(arrays(&mut statistics, START_MS).is_empty());
    assert_eq!(arrays(&mut statistics, START_MS + 1000), both("AAA BBB"));
    assert!(arrays(&mut statistics, START_MS + 2000).is_empty());
    statistics.trade("bbb@trade", &trade("bbb", START_MS + 2000));
    assert_eq!(arrays(&mut statistics, START_MS + 3999), both("BBB"));
    // Other quotes change one of the two.
    statistics.quotes("aaa", ("1", "1"), ("3", "1"));
    assert_eq!(arrays(&mut statistics, START_MS + 4000), both("AAA")[1..]);
    // What was traded leaves the 24 hours.
    statistics.silence("!ticker@arr");
    assert_eq!(arrays(&mut statistics, START_MS + 2 * DAY_MS), both("AAA BBB")[..1]);
}

/// Symbols have an end, and what is over it is counted.
#[test]
fn trades_of_one_symbol_too_many_are_counted() {
    let mut statistics = MarketStatistics::default();
    for index in 0..=SYMBOLS_MAX {
        statistics.silence(&format!("s{index}@ticker"));
    }
    statistics.trade("one-more@trade", "{}");
    statistics.trade("one-more@depth", "{}");
    assert_eq!((statistics.by_symbol.len(), statistics.ignored()), (SYMBOLS_MAX, 1));
}
