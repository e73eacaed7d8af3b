//! `tickwire bench`: its figures against servers that do well, and its verdict on those that don't.

#![cfg(feature = "cli")]
#![allow(clippy::indexing_slicing, reason = "of JSON: it yields null for what is not there")]

mod support;

use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime};
use support::program::{Program, Said, run};
use support::server::{TestServer, options};
use tickwire::proto::{CloseCode, Message};
use tickwire::server::{Context, Handler, Opening, Retain, Upgrade};

/// Long enough for some thousand messages, short enough for a test.
const BRIEFLY: [&str; 5] = ["--duration", "300ms", "--warm-up", "50ms", "--json"];

/// Runs a load; yields its exit code, its JSON and its standard error.
fn bench(command: &str, url: &str, arguments: &[&str]) -> (i32, Value, String) {
    let all = [&["bench", command, url], &BRIEFLY[..], arguments].concat();
    let Said { status, stdout, stderr } = run(&all);
    let json = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{all:?}: {error}: {stdout}{stderr}"));
    (status.code().expect("not ended by a signal"), json, stderr)
}

/// Runs a load that finds nothing wrong; yields its JSON.
fn good(command: &str, url: &str, arguments: &[&str]) -> Value {
    let (code, json, stderr) = bench(command, url, arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{json}");
    assert_eq!(json["errors"]["total"], 0, "{json}");
    assert_eq!(json["command"], command);
    assert!(json["seconds"].as_f64() >= Some(0.3), "{json}");
    json
}

fn figure(json: &Value, name: &str) -> f64 {
    json["figures"][name].as_f64().unwrap_or_else(|| panic!("no {name} in {json}"))
}

/// Checks that latencies are there, in order, and yields how many were measured.
fn latencies(json: &Value, name: &str) -> f64 {
    let series = &json["latencies"][name];
    let keys = ["min_us", "p50_us", "p90_us", "p99_us", "p99_9_us", "p99_99_us", "max_us"];
    let values = keys.map(|key| series[key].as_f64().unwrap_or_else(|| panic!("no {key}: {json}")));
    assert!(values.is_sorted() && values[0] > 0.0, "{name}: {values:?}");
    assert!(!series["curve"].as_array().expect("a curve").is_empty());
    series["count"].as_f64().expect("a count")
}

fn url(address: impl std::fmt::Display) -> String {
    format!("ws://{address}/")
}

/// What was sent came back, on every connection, whatever the messages are.
#[test]
fn echo_counts_what_it_sent_and_what_came_back() {
    let program = Program::start(&["echo"]);
    let (url, pid) = (url(program.address), program.id().to_string());
    for more in [
        &["--connections", "8", "--depth", "4", "--text"][..],
        &["--connections", "1", "--size", "1", "--spin"],
        &["--connections", "3", "--size", "300000"],
    ] {
        let json = good("echo", &url, &[more, &["--pid", &pid]].concat());
        let messages = figure(&json, "messages");
        assert!(messages > 0.0 && figure(&json, "sent") >= messages, "{json}");
        assert_eq!(figure(&json, "sent"), figure(&json, "received"), "{json}");
        let per_second = messages / json["seconds"].as_f64().unwrap();
        assert!((figure(&json, "messages_per_s") - per_second).abs() < 1.0, "{json}");
        // Those sent in the measured part: all but the first of each connection, and the last.
        assert!((latencies(&json, "round_trip") - messages).abs() <= 32.0, "{json}");
        assert!(figure(&json, "server_cpu_us_each") > 0.0, "{json}");
        assert!(figure(&json, "server_resident_bytes") > 1e6, "{json}");
        assert!((0.0..=100.0).contains(&figure(&json, "client_busy_percent")), "{json}");
    }
    let json = good("echo", &url, &["--label", "a name", "--depth", "3"]);
    assert_eq!((&json["label"], &json["arguments"]["depth"]), (&"a name".into(), &3.into()));
    assert_eq!(json["arguments"]["connections"], 64);
}

/// A rate is kept whatever comes back, and what was due is sent.
#[test]
fn a_fixed_rate_is_kept() {
    let program = Program::start(&["chat"]);
    let echo = Program::start(&["echo"]);
    let json = good("echo", &url(echo.address), &["--rate", "2000", "--connections", "7"]);
    let due = 2000.0 * json["seconds"].as_f64().unwrap();
    assert!((latencies(&json, "round_trip") / due - 1.0).abs() < 0.2, "{json}");
    let json = good("broadcast", &url(program.address), &["--rate", "500", "--subscribers", "5"]);
    let due = 500.0 * json["seconds"].as_f64().unwrap();
    assert!((figure(&json, "publishes") / due - 1.0).abs() < 0.2, "{json}");
    assert_eq!(figure(&json, "received"), 5.0 * figure(&json, "sent"), "{json}");
}

/// Each publication reaches each subscriber that reads; those that don't read are let alone.
#[test]
fn broadcast_counts_the_subscribers_that_read() {
    for workers in ["1", "2"] {
        let program = Program::start(&["chat", "--workers", workers, "--greeting", "hello"]);
        let stalled = ["--subscribers", "10", "--stalled", "20%", "--window", "3"];
        let json = good("broadcast", &url(program.address), &stalled);
        assert_eq!(figure(&json, "stalled"), 2.0);
        assert!(figure(&json, "deliveries") > 0.0, "{json}");
        assert_eq!(figure(&json, "received"), 8.0 * figure(&json, "sent"), "{json}");
        let publications = latencies(&json, "last");
        assert_eq!(latencies(&json, "first"), publications, "{json}");
        assert_eq!(latencies(&json, "delivery"), 8.0 * publications, "{json}");
    }
}

/// Events of the program's own market are taken for what they are.
#[test]
fn streams_of_a_market_are_measured() {
    let program = Program::start(&["serve", "--rate", "50"]);
    let more = ["--subscribers", "4", "--stream", "btcusdt@trade,ethusdt@trade"];
    let json = good("streams", &url(program.address), &more);
    assert!(figure(&json, "events") > 0.0, "{json}");
    let main = json["main_latency"].as_str().unwrap();
    let count = json["latencies"][main]["count"].as_f64().unwrap();
    assert_eq!(count, figure(&json, "events"), "{json}");
}

/// All connections are open at once, and each says something.
#[test]
fn idle_connections_are_weighed() {
    let program = Program::start(&["echo"]);
    let pid = program.id().to_string();
    let json = good("idle", &url(program.address), &["--connections", "300", "--pid", &pid]);
    assert_eq!((figure(&json, "connections"), figure(&json, "received")), (300.0, 300.0));
    assert!(figure(&json, "resident_bytes_before") > 1e6, "{json}");
    assert!(figure(&json, "resident_bytes_each_after_message") < 1e5, "{json}");
    assert_eq!(latencies(&json, "round_trip"), 300.0);
}

/// Each connection that was opened is closed in order.
#[test]
fn connections_are_opened_and_closed() {
    let program = Program::start(&["echo"]);
    for more in [&["--concurrency", "4"][..], &["--echo", "--text", "--size", "20"]] {
        let json = good("connect", &url(program.address), more);
        assert!(figure(&json, "handshakes") > 0.0, "{json}");
        assert_eq!(figure(&json, "opened"), figure(&json, "ended"), "{json}");
        assert_eq!(latencies(&json, "handshake"), figure(&json, "handshakes"), "{json}");
        latencies(&json, "cycle");
    }
}

/// An echo that does one thing wrong, at the tenth message of each connection.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    Wrong,
    Missing,
    Repeated,
    Leaving,
}

impl Handler for Flaw {
    type Session = u32;

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<u32> {
        Upgrade::accept(0)
    }

    fn on_message(&mut self, cx: &mut Context<'_, u32>, message: Message<'_>) {
        *cx.session() += 1;
        if *cx.session() != 10 {
            cx.send(message);
            return;
        }
        match self {
            Self::Wrong => _ = cx.send("something else"),
            Self::Missing => {}
            Self::Repeated => {
                cx.send(message);
                cx.send(message);
            }
            Self::Leaving => cx.close(CloseCode::NORMAL, ""),
        }
    }
}

/// Each kind of mistake is counted as what it is, said in one line, and the exit code tells.
#[test]
fn a_server_that_errs_is_found_out() {
    let flaws = [
        (Flaw::Wrong, "wrong", 2),
        (Flaw::Missing, "missing", 2),
        (Flaw::Repeated, "repeated", 2),
        (Flaw::Leaving, "lost_connections", 2),
    ];
    for (flaw, key, count) in flaws {
        let server = TestServer::start(options(), move |_| flaw);
        let more = ["--connections", "2", "--depth", "2"];
        let (code, json, stderr) = bench("echo", &url(server.address), &more);
        assert_eq!((code, json["errors"][key].as_u64()), (1, Some(count)), "{flaw:?}: {json}");
        assert!(json["errors"]["total"].as_u64().unwrap() >= count, "{json}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let first = json["errors"]["first"].as_str().unwrap();
        assert!(stderr.starts_with("error: ") && stderr.contains(first), "{flaw:?}: {stderr}");
    }
}

/// Answers requests as a market does, and sends what is published.
#[derive(Clone, Copy)]
struct Market {
    knows_sequence: bool,
}

impl Handler for Market {
    type Session = ();

    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<()> {
        assert_eq!(opening.request.path(), "/stream");
        Upgrade::accept(())
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        let request: Value = serde_json::from_slice(message.payload()).expect("a request is JSON");
        let id = &request["id"];
        if request["params"][0] == "sequence" && !self.knows_sequence {
            let error = r#""error":{"code":0,"msg":"Unknown property"}"#;
            cx.send(&*format!(r#"{{{error},"id":{id}}}"#));
            return;
        }
        cx.send(&*format!(r#"{{"result":null,"id":{id}}}"#));
        if request["method"] == "SUBSCRIBE" {
            cx.subscribe("events");
        }
    }
}

/// Runs `bench streams` against a market whose events this renders, from their number and time.
fn streams(
    knows_sequence: bool,
    stream: &'static str,
    render: impl Fn(u64, u128) -> String,
) -> (i32, Value, String) {
    let server = TestServer::start(options(), move |_| Market { knows_sequence });
    let topic = server.publisher.topic("events", Retain::Nothing);
    let address = server.address;
    let load = std::thread::spawn(move || {
        bench("streams", &url(address), &["--subscribers", "3", "--stream", stream])
    });
    for number in 0.. {
        if load.is_finished() {
            break;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let event = render(number, now.as_nanos());
        server.publisher.publish(&topic, event.as_str().into());
        std::thread::park_timeout(Duration::from_millis(1));
    }
    load.join().expect("a run with figures")
}

/// `seq` shows what was left out: a state may be, a trade is missing.
#[test]
fn gaps_are_counted_and_in_trades_are_errors() {
    let with_gaps = |stream: &'static str| {
        move |number: u64, now: u128| {
            let sequence = number + number / 20;
            format!(r#"{{"stream":"{stream}","seq":{sequence},"ts":{now},"data":{{"E":1}}}}"#)
        }
    };
    let (code, json, _) = streams(true, "a@bookTicker", with_gaps("a@bookTicker"));
    assert_eq!((code, json["errors"]["total"].as_u64()), (0, Some(0)), "{json}");
    assert!(figure(&json, "gaps") > 0.0, "{json}");
    assert_eq!(latencies(&json, "ingest_to_receipt"), figure(&json, "events"), "{json}");
    // Stamped and received on the same machine: it took no twenty seconds.
    assert!(json["latencies"]["ingest_to_receipt"]["max_us"].as_f64().unwrap() < 20e6, "{json}");
    assert_eq!(json["notes"].as_array().unwrap().len(), 0, "{json}");
    let (code, json, stderr) = streams(true, "a@trade", with_gaps("a@trade"));
    assert_eq!(code, 1, "{json}");
    assert_eq!(json["errors"]["missing"].as_f64(), Some(figure(&json, "gaps")), "{json}");
    assert!(stderr.contains("seq "), "{stderr}");
}

/// Where the property is unknown, the payload's event time is what there is, and it is said.
#[test]
fn without_the_property_the_event_time_is_taken() {
    let plain = |_, now: u128| {
        format!(r#"{{"stream":"a@trade","data":{{"e":"trade","E":{}}}}}"#, now / 1_000_000)
    };
    let (code, json, _) = streams(false, "a@trade", plain);
    assert_eq!((code, json["main_latency"].as_str()), (0, Some("event_time_to_receipt")), "{json}");
    assert_eq!(latencies(&json, "event_time_to_receipt"), figure(&json, "events"), "{json}");
    assert!(json["notes"][0].as_str().unwrap().contains("sequence"), "{json}");
}

/// Ctrl-C ends a run early, and what was measured is printed.
#[test]
fn a_signal_ends_a_run_with_its_figures() {
    let server = Program::start(&["echo"]);
    let address = url(server.address);
    let long = ["bench", "echo", &address, "--duration", "1h", "--warm-up", "0s", "--json"];
    let said = support::program::run_with_signal(&long, "INT", || {
        // Once messages come in, it is measuring.
        server_is_busy(server.id())
    });
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(json["interrupted"], true);
    assert!(figure(&json, "messages") > 0.0, "{json}");
}

/// Whether a process has used CPU time: a tick of the kernel's.
fn server_is_busy(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().expect("a number")).sum::<u64>() > 10
}

/// The table has the figures, and a picture has a line for each run, with its label.
#[test]
fn tables_and_pictures_show_the_runs() {
    let program = Program::start(&["echo"]);
    let url = url(program.address);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (picture, both) = (path("bench.svg"), path("bench-both.svg"));
    let table =
        run(&["bench", "echo", &url, "--duration", "200ms", "--warm-up", "0s", "--plot", &picture]);
    assert_eq!((table.status.code(), table.stderr.as_str()), (Some(0), ""), "{table:?}");
    for part in [&url[..], "64 connections", "messages/s", "p99.9", "round trip", "errors"] {
        assert!(table.stdout.contains(part), "no {part} in {}", table.stdout);
    }
    let drawn = std::fs::read_to_string(&picture).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("echo: round trip"), "{drawn}");
    let saved = ["first run", "second run"].map(|label| {
        let json = good("echo", &url, &["--label", label]);
        let file = path(&format!("bench {label}.json"));
        std::fs::write(&file, json.to_string()).unwrap();
        file
    });
    let said = run(&["bench", "plot", &both, &saved[0], &saved[1]]);
    assert_eq!((said.status.code(), said.stderr.as_str()), (Some(0), ""), "{said:?}");
    let drawn = std::fs::read_to_string(&both).unwrap();
    assert!(drawn.contains("first run") && drawn.contains("second run"), "{drawn}");
    let unknown = ["bench", "plot", &both, &saved[0], "--series", "last"];
    expect_one_line(&unknown, 1, &["no latencies 'last'", "round_trip"]);
    expect_one_line(&["bench", "plot", &both, &picture], 1, &["bench.svg", "--json"]);
}

fn expect_one_line(arguments: &[&str], code: i32, says: &[&str]) {
    let Said { status, stdout, stderr } = run(arguments);
    assert_eq!((status.code(), stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    for part in says {
        assert!(stderr.contains(part), "{arguments:?}: no '{part}' in {stderr}");
    }
}

/// Mistakes on the command line are answered in one line, with exit code 2.
#[test]
fn wrong_arguments_are_told() {
    let cases: [(&[&str], &[&str]); 8] = [
        (&["echo"], &["not provided: <URL>; see 'tickwire bench echo --help'"]),
        (&["echo", "wss://localhost/"], &["ws://"]),
        (&["echo", "http://localhost/"], &["ws://"]),
        (&["echo", "ws://a/", "--connections", "0"], &["from 1 to"]),
        (&["echo", "ws://a/", "--depth", "2", "--rate", "5"], &["--rate"]),
        (&["echo", "ws://a/", "--text", "--binary"], &["--binary"]),
        (&["broadcast", "ws://a/", "--stalled", "x%"], &["10%"]),
        (&["streams", "ws://a/", "--stream", "a b"], &["stream name"]),
    ];
    for (arguments, says) in cases {
        expect_one_line(&[&["bench"], arguments].concat(), 2, says);
    }
}

/// What only shows when it is tried is answered in one line, with exit code 1.
#[test]
fn a_server_that_is_not_there_is_told() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for command in ["echo", "broadcast", "streams", "idle", "connect"] {
        let refused = ["bench", command, &url(nobody), "--json"];
        expect_one_line(&refused, 1, &["refused", &nobody.to_string()]);
    }
    let market = Program::start(&["serve"]);
    let wrong_path = format!("ws://{}/nothing/here", market.address);
    expect_one_line(&["bench", "echo", &wrong_path], 1, &["404", "path"]);
    let all = ["bench", "broadcast", &url(nobody), "--stalled", "100%"];
    expect_one_line(&all, 1, &["--stalled"]);
    let nobodys = ["bench", "echo", &url(nobody), "--pid", "99999999999"];
    expect_one_line(&nobodys, 2, &["--pid"]);
    let gone = ["bench", "echo", &url(nobody), "--pid", "4194305"];
    expect_one_line(&gone, 1, &["process 4194305: there is no such process; ", "--pid"]);
}
