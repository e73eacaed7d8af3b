//! The GETs that order books and markets are loaded with, and a feed whose diffs are lost on the
//! way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use support::client::{Answer, Client};
use support::server::{TestServer, options};
use tickwire::feed::{Flow, Kept, Pace, Sink};
use tickwire::market::{Bookkeeper, MarketHandler, MarketOptions, Markets};

const EMPTY: &str = r#"{"lastUpdateId":7,"bids":[],"asks":[]}"#;

struct Nowhere;

impl Sink for Nowhere {
    fn publish(&mut self, _: &str, _: &str, _: Pace) -> Flow {
        Flow::Continue
    }
}

fn request(address: SocketAddr, method: &str, target: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    client.read_answer()
}

fn get(server: &TestServer, target: &str) -> (u16, Value) {
    let answer = request(server.address, "GET", target);
    assert_eq!(answer.field("Content-Type"), Some("application/json"), "{target}");
    assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"), "{target}");
    let content = serde_json::from_str(&answer.content).unwrap_or_else(|_| panic!("{answer:?}"));
    (answer.status, content)
}

/// A server with the book of one symbol, 200 levels of each side.
fn serve() -> (TestServer, Arc<Markets>) {
    let markets = Arc::<Markets>::default();
    let (mut keeper, mut nowhere) = (Bookkeeper::new(Arc::clone(&markets)), Nowhere);
    let mut sink = Kept::new(&mut keeper, &mut nowhere);
    let levels = |price: fn(usize) -> usize| {
        let levels = (0..200).map(|rank| format!(r#"["{}.50","1.250"]"#, price(rank)));
        levels.collect::<Vec<_>>().join(",")
    };
    let (bids, asks) = (levels(|rank| 1000 - rank), levels(|rank| 1001 + rank));
    let book = format!(r#"{{"lastUpdateId":160,"bids":[{bids}],"asks":[{asks}]}}"#);
    sink.snapshot(Some("BTCUSDT"), &book);
    sink.announce("ethusdt@depth");
    let trade = r#"{"e":"trade","E":1,"s":"SOLBTC","t":1,"p":"0.0120000","q":"3.00"}"#;
    sink.publish("solbtc@trade", trade, Pace::Live);
    let market = MarketOptions { markets: Some(Arc::clone(&markets)), ..MarketOptions::default() };
    (TestServer::start(options(), move |_| MarketHandler::new(market.clone())), markets)
}

/// GETs: the depth, in the feed's own digits, up to a limit of levels.
#[test]
fn the_depth_is_answered_as_documented() {
    let (server, markets) = serve();
    let (status, depth) = get(&server, "/api/v3/depth?symbol=BTCUSDT&limit=2");
    let expected = json!({
        "lastUpdateId": 160,
        "bids": [["1000.50", "1.250"], ["999.50", "1.250"]],
        "asks": [["1001.50", "1.250"], ["1002.50", "1.250"]],
    });
    assert_eq!((status, depth), (200, expected));
    for (query, levels) in [
        ("symbol=BTCUSDT", 100),
        ("limit=150&symbol=BTC%55SDT&unknown=x", 150),
        ("symbol=BTCUSDT&limit=5000", 200),
        ("symbol=BTCUSDT&limit=5001", 200),
        ("symbol=BTCUSDT&limit=99999999999999999999", 200),
    ] {
        let (status, depth) = get(&server, &format!("/api/v3/depth?{query}"));
        assert_eq!((status, depth["bids"].as_array().unwrap().len()), (200, levels), "{query}");
        assert_eq!(depth["asks"].as_array().unwrap().len(), levels, "{query}");
    }
    // RFC 9110 §9.3.2: HEAD is told what GET would get; RFC 9110 §15.5.6: others are not served.
    let head = request(server.address, "HEAD", "/api/v3/depth?symbol=BTCUSDT&limit=2");
    assert_eq!((head.status, head.content.len()), (200, 0));
    assert!(head.field("Content-Length").is_some_and(|length| length != "0"));
    assert_eq!(request(server.address, "POST", "/api/v3/depth?symbol=BTCUSDT").status, 405);

    // What was asked for once is not written again.
    let answers = [100, 5000, 250].map(|limit| markets.depth("BTCUSDT", limit));
    let again = [100, 400, 200].map(|limit| markets.depth("BTCUSDT", limit));
    for (first, second) in answers.iter().zip(&again) {
        let (tickwire::market::Depth::Book(first), tickwire::market::Depth::Book(second)) =
            (first, second)
        else {
            panic!("books: {first:?} {second:?}")
        };
        assert!(Arc::ptr_eq(first, second));
    }
}

/// GETs: what is wrong with a request is answered with the exchange's codes.
#[test]
fn wrong_requests_have_the_exchanges_codes() {
    let (server, _) = serve();
    for (target, status, code) in [
        ("depth", 400, -1102),
        ("depth?limit=5", 400, -1102),
        ("depth?symbol=", 400, -1105),
        ("depth?symbol=btcusdt", 400, -1100),
        ("depth?symbol=BTC%22USDT", 400, -1100),
        ("depth?symbol=BTC%zz", 400, -1100),
        ("depth?symbol=NOSUCH", 400, -1121),
        ("depth?symbol=BTCUSDT&symbol=BTCUSDT", 400, -1101),
        ("depth?symbol=BTCUSDT&limit=", 400, -1105),
        ("depth?symbol=BTCUSDT&limit=ten", 400, -1100),
        ("depth?symbol=BTCUSDT&limit=-1", 400, -1100),
        ("depth?symbol=BTCUSDT&limit=0", 400, -1130),
        ("depth?symbol=ETHUSDT", 503, -1001),
        ("depth?symbol=SOLBTC", 503, -1001),
        ("exchangeInfo?symbol=NOSUCH", 400, -1121),
        ("exchangeInfo?symbol=BTCUSDT&symbols=[]", 400, -1128),
        ("exchangeInfo?symbols=BTCUSDT", 400, -1100),
        ("exchangeInfo?symbols=[%22NOSUCH%22]", 400, -1121),
    ] {
        let (got, error) = get(&server, &format!("/api/v3/{target}"));
        assert_eq!((got, error["code"].as_i64()), (status, Some(code)), "{target}: {error}");
        assert!(error["msg"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    let (_, error) = get(&server, "/api/v3/depth?symbol=NOSUCH");
    assert_eq!(error, json!({"code": -1121, "msg": "Invalid symbol."}));
    let (_, error) = get(&server, "/api/v3/depth?symbol=ETHUSDT");
    assert!(error["msg"].as_str().unwrap().contains("no snapshot"), "{error}");
    let (_, error) = get(&server, "/api/v3/depth?symbol=SOLBTC");
    assert!(error["msg"].as_str().unwrap().contains("no depth stream"), "{error}");
}

/// GETs: what clients read of the symbols that a feed has.
#[test]
fn the_symbols_are_told_with_assets_and_steps() {
    let (server, markets) = serve();
    markets.set_steps("ETHUSDT", "0.05000000".to_owned(), "0.00100000".to_owned());
    let (status, info) = get(&server, "/api/v3/exchangeInfo");
    assert_eq!((status, &info["timezone"]), (200, &json!("UTC")));
    assert!(info["serverTime"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000));
    let symbols = info["symbols"].as_array().unwrap();
    let told: Vec<_> = symbols
        .iter()
        .map(|symbol| {
            assert_eq!(symbol["status"], "TRADING");
            let filter = |name: &str, member: &str| {
                let filters = symbol["filters"].as_array().unwrap();
                let filter = filters.iter().find(|filter| filter["filterType"] == name).unwrap();
                filter[member].as_str().unwrap().to_owned()
            };
            let text = |member: &str| symbol[member].as_str().unwrap().to_owned();
            let steps = (filter("PRICE_FILTER", "tickSize"), filter("LOT_SIZE", "stepSize"));
            assert_eq!(filter("NOTIONAL", "minNotional"), "0.00000000");
            (text("symbol"), text("baseAsset"), text("quoteAsset"), steps.0, steps.1)
        })
        .collect();
    let row = |row: [&str; 5]| {
        let [symbol, base, quote, price, quantity] = row.map(str::to_owned);
        (symbol, base, quote, price, quantity)
    };
    assert_eq!(
        told,
        [
            row(["BTCUSDT", "BTC", "USDT", "0.10000000", "0.01000000"]),
            row(["ETHUSDT", "ETH", "USDT", "0.05000000", "0.00100000"]),
            row(["SOLBTC", "SOL", "BTC", "0.00100000", "1.00000000"]),
        ]
    );
    for query in ["symbol=SOLBTC", "symbols=%5B%22SOLBTC%22%5D"] {
        let target = format!("/api/v3/exchangeInfo?{query}");
        let (_, info) = get(&server, &target);
        let names: Vec<_> =
            info["symbols"].as_array().unwrap().iter().map(|symbol| &symbol["symbol"]).collect();
        assert_eq!(names, ["SOLBTC"], "{query}");
    }
}

/// Without books there are no such requests.
#[test]
fn a_server_without_books_has_no_such_paths() {
    let market = MarketOptions::default();
    let server = TestServer::start(options(), move |_| MarketHandler::new(market.clone()));
    for path in ["depth?symbol=BTCUSDT", "exchangeInfo"] {
        let answer = request(server.address, "GET", &format!("/api/v3/{path}"));
        assert_eq!(answer.status, 404, "{path}");
    }
}

/// Gaps: a diff that is lost between the exchange and us withdraws the book, which is counted and
/// said; the next snapshot brings it back.
#[cfg(feature = "cli")]
#[test]
fn a_lost_diff_withdraws_the_book_until_a_snapshot_comes() {
    use std::io::Write as _;
    use support::eventually;
    use support::program::Program;

    let mut program = Program::start(&["serve", "--feed", "stdin", "--metrics", ":0"]);
    let metrics = loop {
        let line = program.stdout.recv_timeout(support::DEADLINE).expect("the metrics' address");
        if let Some((_, rest)) = line.split_once("watch  http://") {
            break rest.split('/').next().unwrap().parse::<SocketAddr>().unwrap();
        }
    };
    let counted = |name: &str| {
        let text = request(metrics, "GET", "/metrics").content;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("tickwire_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    };
    let diff = |id: u64| {
        let ids = format!(r#""U":{id},"u":{id},"b":[["{id}","1"]],"a":[]"#);
        let data = format!(r#"{{"e":"depthUpdate","E":5,"s":"BTCUSDT",{ids}}}"#);
        format!("{{\"stream\":\"btcusdt@depth\",\"data\":{data}}}\n")
    };
    let status = |address| request(address, "GET", "/api/v3/depth?symbol=BTCUSDT&limit=1").status;
    let address = program.address;
    let mut say = |line: &str| {
        let stdin = program.stdin.as_mut().expect("the feed");
        stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).expect("it reads");
    };
    say(&format!("{EMPTY}\n{}", diff(8)));
    eventually("there is a book", || status(address) == 200);
    say(&diff(10));
    eventually("the book is withdrawn", || status(address) == 503);
    let error = request(address, "GET", "/api/v3/depth?symbol=BTCUSDT").content;
    assert!(error.contains("left out updates after 8"), "{error}");
    assert_eq!((counted("book_gaps_total"), counted("books")), ("1".to_owned(), "0".to_owned()));
    say(&diff(11));
    say(&format!("{}\n", EMPTY.replace('7', "9")));
    eventually("the book is back", || status(address) == 200);
    let depth = request(address, "GET", "/api/v3/depth?symbol=BTCUSDT&limit=1").content;
    assert_eq!(depth, r#"{"lastUpdateId":11,"bids":[["11","1"]],"asks":[]}"#);
    assert_eq!((counted("book_gaps_total"), counted("books")), ("1".to_owned(), "1".to_owned()));
    assert_eq!(counted("book_snapshots_taken_total"), "2");
    let logged = program.logged("updates are missing");
    assert!(logged.contains("last_update=8") && logged.contains("next_update=10"), "{logged}");
}
