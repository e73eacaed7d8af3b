//! The market-stream protocol over real sockets: paths, control messages, the order of answers and
//! events, limits, the end.

mod support;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use support::client::{Answer, Client, upgrade_request};
use support::eventually;
use support::frame::{self, FIN, PING};
use support::program::Program;
use support::server::{TestServer, options};
use tickwire::market::{MarketHandler, MarketOptions, StaticFile};
use tickwire::proto::Timeouts;
use tickwire::server::{Cause, Options, PingPayload, Rate, Retain};

const TRADE: &str = r#"{"e":"trade","E":5,"s":"BTCUSDT","t":7,"T":6}"#;
const LIST: &str = r#"{"method":"LIST_SUBSCRIPTIONS","id":99}"#;

fn serve() -> TestServer {
    serve_with(options(), MarketOptions::default())
}

fn serve_with(options: Options, market: MarketOptions) -> TestServer {
    TestServer::start(options, move |_| MarketHandler::new(market.clone()))
}

fn publish(server: &TestServer, stream: &str, retain: Retain, payload: &str) {
    server.publisher.publish(&server.publisher.topic(stream, retain), payload.into());
}

fn refused(address: SocketAddr, target: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(upgrade_request(target, "").as_bytes());
    client.read_answer()
}

/// A client's message that subscribes to this stream.
fn subscribe(stream: &str, id: u32) -> String {
    format!(r#"{{"method":"SUBSCRIBE","params":["{stream}"],"id":{id}}}"#)
}

/// The reply to a request that was carried out.
fn done(id: u32) -> String {
    format!(r#"{{"result":null,"id":{id}}}"#)
}

fn wrapped(payload: &str) -> String {
    format!(r#"{{"stream":"btcusdt@trade","data":{payload}}}"#)
}

/// Checks that nothing was sent that has not been read: the reply to a request comes next.
fn expect_silence(client: &mut Client) {
    client.say(r#"{"method":"GET_PROPERTY","params":["combined"],"id":98}"#);
    let reply = client.hear();
    assert!(reply.ends_with(r#","id":98}"#), "not silent: {reply}");
}

/// Paths: each way to name streams in the address, and how their events then look.
#[test]
fn a_path_names_streams_and_says_how_events_look() {
    let server = serve();
    let micros = r#"{"e":"trade","E":5000,"s":"BTCUSDT","t":7,"T":6000}"#;
    let cases = [
        ("/ws/btcusdt@trade", TRADE.to_owned()),
        ("/ws/btcusdt%40trade", TRADE.to_owned()),
        ("/ws/other/btcusdt@trade/", TRADE.to_owned()),
        ("/ws/other%2Fbtcusdt@trade", TRADE.to_owned()),
        ("/public/ws/btcusdt@trade", TRADE.to_owned()),
        ("/stream/ws/btcusdt@trade", TRADE.to_owned()),
        ("/stream?streams=btcusdt@trade", wrapped(TRADE)),
        ("/stream?streams=other/btcusdt%40trade", wrapped(TRADE)),
        ("/stream/?streams=other%2fbtcusdt@trade", wrapped(TRADE)),
        ("/market/v1/stream?x=y&streams=btcusdt@trade", wrapped(TRADE)),
        ("/ws/btcusdt@trade?timeUnit=MICROSECOND", micros.to_owned()),
        ("/stream?timeUnit=microsecond&streams=btcusdt@trade", wrapped(micros)),
    ];
    let mut clients: Vec<Client> =
        cases.iter().map(|(target, _)| Client::open_at(server.address, target)).collect();
    publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
    for (client, (target, expected)) in clients.iter_mut().zip(cases) {
        assert_eq!(client.hear(), expected, "{target}");
        expect_silence(client);
    }
}

/// Paths: without a stream in them they are a connection to subscribe on.
#[test]
fn a_path_without_streams_is_raw_or_combined_all_the_same() {
    let server = serve();
    for (target, combined) in
        [("/ws", false), ("/ws/", false), ("/ws/0", false), ("/stream", true), ("/x/stream", true)]
    {
        let mut client = Client::open_at(server.address, target);
        assert_eq!(client.ask(&subscribe("btcusdt@trade", 1)), done(1));
        publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
        let expected = if combined { wrapped(TRADE) } else { TRADE.to_owned() };
        assert_eq!(client.hear(), expected, "{target}");
    }
}

/// Paths: "another path + upgrade, also `/stream/x`: HTTP 404"; unusable names are a 400.
#[test]
fn other_paths_are_refused() {
    let server = serve();
    for target in ["/", "/stream/x", "/WS", "/wss/a", "/streams?streams=a", "/api/v3/nothing"] {
        assert_eq!(refused(server.address, target).status, 404, "{target}");
    }
    for target in ["/ws/%zz", "/ws/%ff", "/ws/a%20b", "/ws/a?timeUnit=HOUR"] {
        assert_eq!(refused(server.address, target).status, 400, "{target}");
    }
}

/// Paths: without an upgrade there is a page at `/`, and an explanation elsewhere.
#[test]
fn a_browser_gets_a_page_and_not_a_stream() {
    let files = [
        StaticFile::new("/", "text/html; charset=utf-8", b"<!doctype html>"),
        StaticFile::new("/web/a.js", "text/javascript", b"let a;"),
    ];
    let market = MarketOptions { files: Arc::new(files), ..MarketOptions::default() };
    let server = serve_with(options(), market);
    let ask = |method: &str, target: &str, more_fields: &str| {
        let mut client = Client::connect(server.address);
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{more_fields}\r\n");
        client.send(head.as_bytes());
        client.read_answer()
    };
    let page = ask("GET", "/?x=y", "");
    assert_eq!((page.status, page.content.as_str()), (200, "<!doctype html>"));
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    let script = ask("GET", "/web/a.js", "");
    assert_eq!((script.status, script.content.as_str()), (200, "let a;"));
    let tag = script.field("ETag").unwrap();
    let again = ask("GET", "/web/a.js", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((again.status, again.content.as_str()), (304, ""));
    for (target, status) in [("/ws/btcusdt@trade", 426), ("/web", 404), ("/web/b.js", 404)] {
        assert_eq!(ask("GET", target, "").status, status, "{target}");
    }
}

/// REST: clients ask whether the server is there, and for its time, before anything else.
#[test]
fn a_ping_and_the_time_are_answered_in_json() {
    let server = serve();
    let ask = |target: &str| {
        let mut client = Client::connect(server.address);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        let answer = client.read_answer();
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.field("Content-Type"), Some("application/json"), "{target}");
        answer.content
    };
    assert_eq!(ask("/api/v3/ping"), "{}");
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let (before, told, after) = (now(), ask("/api/v3/time"), now());
    let time = told.strip_prefix(r#"{"serverTime":"#).and_then(|rest| rest.strip_suffix('}'));
    let time: u128 = time.and_then(|time| time.parse().ok()).unwrap_or_else(|| panic!("{told}"));
    assert!((before..=after).contains(&time), "{before} {time} {after}");
    for target in ["/api/v3/ping", "/api/v3/time"] {
        assert_eq!(refused(server.address, target).status, 404, "{target} is no stream");
    }
}

/// Control messages: the reply comes first, then the last value of a stream that has one.
#[test]
fn the_last_value_comes_right_after_the_reply_and_only_of_state_streams() {
    let server = serve();
    let mut witness = Client::open_at(server.address, "/ws/s@bookTicker/s@trade");
    publish(&server, "s@bookTicker", Retain::Last, "1");
    publish(&server, "s@trade", Retain::Nothing, "2");
    publish(&server, "s@bookTicker", Retain::Last, "3");
    assert_eq!(witness.hear_all(3), ["1", "2", "3"]);
    let mut client = Client::open_at(server.address, "/ws");
    client.say(r#"{"method":"SUBSCRIBE","params":["s@trade","s@bookTicker"],"id":1}"#);
    assert_eq!(client.hear_all(2), [done(1), "3".to_owned()]);
    expect_silence(&mut client);
    // A second time there is nothing new to tell.
    assert_eq!(client.ask(&subscribe("s@bookTicker", 2)), done(2));
    expect_silence(&mut client);
    let mut by_path = Client::open_at(server.address, "/stream?streams=s@trade/s@bookTicker");
    assert_eq!(by_path.hear(), r#"{"stream":"s@bookTicker","data":3}"#);
    expect_silence(&mut by_path);
}

/// Control messages: SET_PROPERTY counts from the next event on, GET_PROPERTY tells.
#[test]
fn the_property_combined_switches_how_events_look() {
    let server = serve();
    let mut client = Client::open_at(server.address, "/ws/btcusdt@trade");
    let get = r#"{"method":"GET_PROPERTY","params":["combined"],"id":1}"#;
    for (value, expected) in [("true", wrapped(TRADE)), ("false", TRADE.to_owned())] {
        let set = format!(r#"{{"method":"SET_PROPERTY","params":["combined",{value}],"id":2}}"#);
        assert_eq!(client.ask(&set), done(2));
        assert_eq!(client.ask(get), format!(r#"{{"result":{value},"id":1}}"#));
        publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
        assert_eq!(client.hear(), expected);
    }
}

/// The `seq` and `ts` of a numbered event of `btcusdt@trade` whose payload is [`TRADE`].
fn numbers(text: &str) -> (u64, u64) {
    let rest = text.strip_prefix(r#"{"stream":"btcusdt@trade","seq":"#).expect(text);
    let (seq, rest) = rest.split_once(r#","ts":"#).expect(text);
    let (ts, payload) = rest.split_once(r#","data":"#).expect(text);
    assert_eq!(payload.strip_suffix('}'), Some(TRADE), "{text}");
    (seq.parse().expect(text), ts.parse().expect(text))
}

/// Control messages: `sequence` adds each event's number in its stream and the time of its coming
/// in to combined events, is off until asked for, and nothing to raw ones.
#[test]
fn the_property_sequence_numbers_combined_events() {
    let server = serve();
    let mut client = Client::open_at(server.address, "/stream?streams=btcusdt@trade/other@trade");
    let mut raw = Client::open_at(server.address, "/ws/btcusdt@trade");
    let get = r#"{"method":"GET_PROPERTY","params":["sequence"],"id":1}"#;
    let set = r#"{"method":"SET_PROPERTY","params":["sequence",true],"id":2}"#;
    assert_eq!(client.ask(get), r#"{"result":false,"id":1}"#);
    publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
    assert_eq!((client.hear(), raw.hear()), (wrapped(TRADE), TRADE.to_owned()));
    for client in [&mut client, &mut raw] {
        assert_eq!(client.ask(set), done(2));
        assert_eq!(client.ask(get), r#"{"result":true,"id":1}"#);
    }
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let mut last = now();
    for expected in [2, 3] {
        publish(&server, "other@trade", Retain::Nothing, "0");
        assert!(client.hear().starts_with(r#"{"stream":"other@trade","seq":"#));
        publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
        let (seq, ts) = numbers(&client.hear());
        assert_eq!(seq, expected, "the first came before the property was set");
        assert!((last..=now()).contains(&u128::from(ts)), "{last} {ts} {}", now());
        last = u128::from(ts);
    }
    assert_eq!(raw.hear_all(2), [TRADE, TRADE]);
    let unset = r#"{"method":"SET_PROPERTY","params":["sequence",false],"id":3}"#;
    assert_eq!(client.ask(unset), done(3));
    publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
    assert_eq!(client.hear(), wrapped(TRADE));
}

/// Control messages: numbers are the same on all workers, and a last value that is told later has
/// its own.
#[test]
fn a_last_value_keeps_the_number_and_time_it_came_with() {
    let server = serve_with(Options { workers: 2, ..options() }, MarketOptions::default());
    let numbered = || {
        let mut client = Client::open_at(server.address, "/stream");
        client.ask(r#"{"method":"SET_PROPERTY","params":["sequence",true],"id":2}"#);
        client
    };
    let mut witness = numbered();
    assert_eq!(witness.ask(&subscribe("btcusdt@trade", 1)), done(1));
    for _ in 0..5 {
        publish(&server, "btcusdt@trade", Retain::Last, TRADE);
    }
    let seen = witness.hear_all(5);
    assert_eq!(seen.iter().map(|text| numbers(text).0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    // Some of these are on the other worker, which had the events from an inbox of its own.
    eventually("both workers have had all events", || server.stats().events_in == 10);
    for _ in 0..8 {
        let mut late = numbered();
        assert_eq!(late.ask(&subscribe("btcusdt@trade", 1)), done(1));
        assert_eq!(Some(&late.hear()), seen.last());
    }
}

/// Control messages: what is subscribed can be listed and ended, and each id keeps its type.
#[test]
fn subscriptions_can_be_listed_and_ended() {
    let server = serve();
    let mut client = Client::open_at(server.address, "/ws/a@trade");
    assert_eq!(client.ask(LIST), r#"{"result":["a@trade"],"id":99}"#);
    assert_eq!(client.ask(&subscribe("b@trade", 1)), done(1));
    assert_eq!(client.ask(LIST), r#"{"result":["a@trade","b@trade"],"id":99}"#);
    let end = r#"{"method":"UNSUBSCRIBE","params":["a@trade","never@trade"],"id":"x-1"}"#;
    assert_eq!(client.ask(end), r#"{"result":null,"id":"x-1"}"#);
    publish(&server, "a@trade", Retain::Nothing, "1");
    publish(&server, "b@trade", Retain::Nothing, "2");
    assert_eq!(client.hear(), "2");
    let list = r#"{"method":"LIST_SUBSCRIPTIONS","id":null}"#;
    assert_eq!(client.ask(list), r#"{"result":["b@trade"],"id":null}"#);
}

/// Control messages: names are case-sensitive, and one that nothing feeds is silent, not wrong.
#[test]
fn a_name_that_nothing_feeds_is_accepted_and_silent() {
    let server = serve();
    let mut client = Client::open_at(server.address, "/ws/BTCUSDT@trade/0");
    assert_eq!(client.ask(&subscribe("nothing@feeds", 1)), done(1));
    publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
    expect_silence(&mut client);
    assert_eq!(client.ask(&subscribe("btcusdt@trade", 2)), done(2));
    publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
    assert_eq!(client.hear(), TRADE);
}

#[rustfmt::skip] // a table reads by its columns
const ERRORS: &[(&str, &str)] = &[
    (r#"{"method":"GET_PROPERTY","params":["x"],"id":1}"#,
        r#"{"error":{"code":0,"msg":"Unknown property"},"id":1}"#),
    (r#"{"method":"SET_PROPERTY","params":["combined",1],"id":1}"#,
        r#"{"error":{"code":1,"msg":"Invalid value type: expected Boolean"},"id":1}"#),
    (r#"{"method":"FOO","id":"a"}"#,
        r#"{"error":{"code":2,"msg":"Invalid request: unknown variant `FOO`, expected one of "#),
    (r#"{"method":"SUBSCRIBE","params":["a"],"id":-1.5}"#,
        r#"{"error":{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}}"#),
    (r#"{"method":"SUBSCRIBE","params":[""],"id":1}"#,
        r#"{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}"#),
    (r#"{"method":"SUBSCRIBE","id":1}"#,
        r#"{"error":{"code":2,"msg":"Invalid request: missing field `params`"},"id":1}"#),
    (r#"{"id":1}"#,
        r#"{"error":{"code":2,"msg":"Invalid request: missing field `method`"},"id":1}"#),
    ("[]", r#"{"error":{"code":2,"msg":"Invalid request: expected an object"}}"#),
    ("{", r#"{"error":{"code":3,"msg":"Invalid JSON: "#),
    ("", r#"{"error":{"code":3,"msg":"Invalid JSON: "#),
];

/// Errors: each kind has its reply, and the connection goes on after it.
#[test]
fn a_mistake_is_answered_and_the_connection_goes_on() {
    let server = serve();
    let mut client = Client::open_at(server.address, "/ws/btcusdt@trade");
    for (message, expected) in ERRORS {
        let reply = client.ask(message);
        assert!(reply.starts_with(expected), "{message} is answered by {reply}");
    }
    client.send(&frame::binary(LIST.as_bytes()));
    let expected = r#"{"error":{"code":3,"msg":"Invalid JSON: expected a text message"}}"#;
    assert_eq!(client.hear(), expected);
    publish(&server, "btcusdt@trade", Retain::Nothing, TRADE);
    assert_eq!(client.hear(), TRADE);
}

/// Limits: one stream too many is error 4, then Close 1008; repetitions are not counted.
#[test]
fn too_many_subscriptions_are_answered_and_close_the_connection() {
    let server =
        serve_with(options(), MarketOptions { streams_max: 3, ..MarketOptions::default() });
    let mut client = Client::open_at(server.address, "/ws/a/b");
    let again = r#"{"method":"SUBSCRIBE","params":["a","b","c","c"],"id":1}"#;
    assert_eq!(client.ask(again), done(1));
    let error = r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":2}"#;
    assert_eq!(client.ask(&subscribe("d", 2)), error);
    assert_eq!(client.expect_close(1008), "Too many subscriptions");
    client.send(&frame::close(1008, ""));
    client.expect_eof();
    drop(client);
    server.expect_ended(Cause::Application, 1);
}

/// Limits: 1,024 streams in a path, and not one more.
#[test]
fn a_path_may_name_as_many_streams_as_a_connection_may_have() {
    let server = serve();
    let names: Vec<String> = (0..1025).map(|number| format!("s{number}")).collect();
    let (most, all) = (names[..1024].join("/"), names.join("/"));
    let mut client = Client::open_at(server.address, &format!("/ws/{most}"));
    publish(&server, "s1023", Retain::Nothing, "1");
    assert_eq!(client.hear(), "1");
    for target in [format!("/ws/{all}"), format!("/stream?streams={all}")] {
        assert_eq!(refused(server.address, &target).status, 400);
    }
}

/// Limits: messages over the rate are Close 1008, and pings and pongs count as messages.
#[test]
fn too_many_messages_close_the_connection() {
    let one_a_second = NonZeroU32::new(1).unwrap();
    let rate = Rate { per_second: one_a_second, burst: NonZeroU32::new(3).unwrap() };
    let server =
        serve_with(Options { message_rate: Some(rate), ..options() }, MarketOptions::default());
    // A ping is answered even if it is the one too many.
    let kinds = [(frame::text(LIST), 3), (frame::ping(b""), 4), (frame::pong(b""), 0)];
    for (message, answers) in &kinds {
        let mut client = Client::open_at(server.address, "/ws");
        // In one write, so that they arrive at once.
        client.send(&message.repeat(10));
        for _ in 0..*answers {
            client.read_frame();
        }
        assert_eq!(client.expect_close(1008), "Too many requests");
    }
    server.expect_ended(Cause::RateLimit, kinds.len() as u64);
}

/// Limits: the server's pings carry the time, and come at the interval asked for.
#[test]
fn pings_carry_the_time_in_milliseconds() {
    assert_eq!(Timeouts::default().ping_interval, Some(Duration::from_secs(20)));
    let timeouts =
        Timeouts { ping_interval: Some(Duration::from_millis(30)), ..Timeouts::default() };
    let options = Options { timeouts, ping_payload: PingPayload::UnixMillis, ..options() };
    let server = serve_with(options, MarketOptions::default());
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let start = now();
    let mut client = Client::open_at(server.address, "/ws");
    let times = [client.read_frame(), client.read_frame()].map(|frame| {
        assert_eq!(frame.first, FIN | PING);
        String::from_utf8(frame.payload).unwrap().parse::<u128>().unwrap()
    });
    assert!(start <= times[0] && times[0] < times[1] && times[1] <= now(), "{start} {times:?}");
}

/// Limits: a planned stop is announced, in the way in which the client wants events.
#[test]
fn a_stop_is_announced_before_the_close() {
    let mut program = Program::start(&["serve"]);
    let raw = Client::open_at(program.address, "/ws/nothing@feeds");
    let combined = Client::open_at(program.address, "/stream");
    program.signal("TERM");
    let wrapped = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":"#;
    for (mut client, start, end) in
        [(raw, r#"{"e":"serverShutdown","E":"#, "}"), (combined, wrapped, "}}")]
    {
        let text = client.hear();
        let time = text.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        assert!(time.is_some_and(|time| time.parse::<u64>().is_ok()), "{text}");
        assert_eq!(client.expect_close(1001), "server shutdown");
        client.send(&frame::close(1001, ""));
        client.expect_eof();
    }
    assert!(program.wait().success());
}
