//! `tickwire bench soak`: it passes what holds, counts what happened, and finds out what does not
//! hold.

#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::indexing_slicing, reason = "of JSON: it yields null for what is not there")]

mod support;

use serde_json::Value;
use std::fs::File;
use std::time::{Duration, SystemTime};
use support::program::{Program, Said, run};
use support::server::{TestServer, options};
use tickwire::proto::{CloseCode, Message};
use tickwire::server::{Context, Handler, Opening, Retain, Upgrade};

/// Nobody but honest clients.
const HONEST: [&str; 10] =
    ["--churn", "0", "--slow", "0", "--pausing", "0", "--stalled", "0", "--unfinished", "0"];

/// Runs a soak; yields its exit code, its JSON and its standard error.
fn soak(url: &str, arguments: &[&str]) -> (i32, Value, String) {
    let all = [&["bench", "soak", url, "--json"], arguments].concat();
    let Said { status, stdout, stderr } = run(&all);
    let json = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{all:?}: {error}: {stdout}{stderr}"));
    (status.code().expect("not ended by a signal"), json, stderr)
}

fn figure(json: &Value, name: &str) -> f64 {
    json["figures"][name].as_f64().unwrap_or_else(|| panic!("no {name} in {json}"))
}

/// Every kind of nuisance at once: the honest lose nothing, and nothing is left of the others.
#[test]
fn a_server_holds_among_nuisances_of_every_kind() {
    let server = Program::start(&["serve", "--rate", "20", "--handshake-timeout", "1s"]);
    let (url, pid) = (format!("ws://{}/", server.address), server.id().to_string());
    let nuisances = [
        "--connections",
        "60",
        "--churn",
        "40",
        "--slow",
        "5",
        "--slow-rate",
        "2KiB",
        "--pausing",
        "5",
        "--stalled",
        "10%",
        "--unfinished",
        "5",
    ];
    let run = ["--duration", "3s", "--pid", &pid, "--rss-max", "1GiB", "--alternate", "1s"];
    let (code, json, stderr) = soak(&url, &[&nuisances[..], &run].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{json}");
    assert_eq!(json["errors"]["total"], 0, "{json}");
    assert!(figure(&json, "connections") <= 60.0 && figure(&json, "events") > 100.0, "{json}");
    let ways = ["close", "half_close", "hang", "drop", "reset"].map(|way| format!("left_{way}"));
    for way in ways {
        assert!(figure(&json, &way) > 0.0, "{way}: {json}");
    }
    assert!(figure(&json, "honest_reconnects") > 10.0, "{json}");
    assert!(figure(&json, "resident_bytes_peak") > 1e6, "{json}");
    assert!(figure(&json, "descriptors_peak") > 60.0, "{json}");
    let [before, after] =
        ["before", "after"].map(|when| figure(&json, &format!("descriptors_{when}")));
    assert!(after <= before + 4.0, "{json}");
    for spell in ["quiet", "disturbed"] {
        assert!(json["latencies"][spell]["count"].as_u64() > Some(0), "{spell}: {json}");
    }
    assert!(figure(&json, "p99_ratio") > 0.0, "{json}");
}

/// A pausing client that falls too far behind is told so, and that is no fault of the server's.
#[test]
fn those_who_fall_behind_are_closed_and_counted() {
    let server = Program::start(&[
        "serve",
        "--rate",
        "300",
        "--symbols",
        "btcusdt,bnbusdt",
        "--send-queue",
        "16KiB",
        "--notsent-lowat",
        "4KiB",
    ]);
    let url = format!("ws://{}/", server.address);
    let streams = ["--stream", "bnbusdt@miniTicker", "--nuisance-stream", "btcusdt@trade"];
    let crowd = ["--connections", "12", "--pausing", "4", "--duration", "6s"];
    let none = ["--churn", "0", "--slow", "0", "--stalled", "0", "--unfinished", "0"];
    let (code, json, stderr) = soak(&url, &[&streams[..], &crowd, &none].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{json}");
    assert!(figure(&json, "closed_1008") > 0.0, "{json}");
    assert!(figure(&json, "opened") > 12.0 && figure(&json, "honest_reconnects") < 1.0, "{json}");
}

/// A handshake that never ends is ended by the server, and counted.
#[test]
fn unfinished_handshakes_are_seen_to_end() {
    let server = Program::start(&["serve", "--handshake-timeout", "500ms"]);
    let url = format!("ws://{}/", server.address);
    let arguments = ["--connections", "4", "--churn", "0", "--unfinished", "3", "--duration", "3s"];
    let (code, json, stderr) = soak(&url, &arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{json}");
    assert!(figure(&json, "unfinished_ended") >= 3.0, "{json}");
    let [fewest, last] = ["connections_min", "connections"].map(|key| figure(&json, key));
    assert_eq!((fewest, last), (4.0, 4.0), "{json}");
}

/// A market that does one thing wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    LeavesOut,
    Repeats,
    Tears,
    Leaves,
    Leaks,
    Forgets,
}

/// Answers requests as a market does; its events are what is published.
struct Market {
    flaw: Flaw,
    leaked: Vec<File>,
    subscribers: usize,
}

impl Handler for Market {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        if self.flaw == Flaw::Leaks {
            let null = || File::open("/dev/null").expect("it is always there");
            self.leaked.extend(std::iter::repeat_with(null).take(10));
        }
        Upgrade::accept(())
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        let request: Value = serde_json::from_slice(message.payload()).expect("a request is JSON");
        cx.send(&*format!(r#"{{"result":null,"id":{}}}"#, request["id"]));
        if request["method"] == "SUBSCRIBE" {
            self.subscribers += 1;
            if self.flaw != Flaw::Forgets || self.subscribers != 7 {
                cx.subscribe("events");
            }
            if self.flaw == Flaw::Leaves {
                cx.close(CloseCode::NORMAL, "");
            }
        }
    }
}

/// The event with this number; every hundredth goes wrong.
fn event(flaw: Flaw, number: u64) -> (&'static str, String) {
    let (hundreds, wrong) = (number / 100, number % 100 == 99);
    let (stream, seq, first) = match flaw {
        Flaw::LeavesOut => ("a@trade", number + hundreds, number),
        Flaw::Repeats => ("a@trade", number - u64::from(wrong), number),
        // A difference is left out that the next one does not hold.
        Flaw::Tears => {
            ("a@depth", number + hundreds, 10 * number + u64::from(number.is_multiple_of(100)))
        }
        Flaw::Leaves | Flaw::Leaks | Flaw::Forgets => ("a@trade", number, number),
    };
    let last = 10 * number + 9;
    (stream, format!(r#""seq":{seq},"ts":{},"data":{{"U":{first},"u":{last}}}"#, unix_ns()))
}

fn unix_ns() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos()
}

fn soak_of(flaw: Flaw, arguments: &[&str]) -> (i32, Value, String) {
    let server =
        TestServer::start(options(), move |_| Market { flaw, leaked: Vec::new(), subscribers: 0 });
    let topic = server.publisher.topic("events", Retain::Nothing);
    let url = format!("ws://{}/", server.address);
    let (stream, _) = event(flaw, 1);
    let own = ["--connections", "30", "--stream", stream];
    let all: Vec<String> =
        [&HONEST[..], &own, arguments].concat().into_iter().map(str::to_owned).collect();
    let load = std::thread::spawn(move || {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        soak(&url, &all)
    });
    for number in 1.. {
        if load.is_finished() {
            break;
        }
        let (stream, members) = event(flaw, number);
        let text = format!(r#"{{"stream":"{stream}",{members}}}"#);
        server.publisher.publish(&topic, text.as_str().into());
        std::thread::park_timeout(Duration::from_millis(1));
    }
    load.join().expect("a run with figures")
}

/// What an honest client loses, gets twice or is thrown out of is an error, each as what it is; so
/// is a descriptor that stays behind for a connection that has gone.
#[test]
fn a_server_that_errs_is_found_out() {
    let flaws = [
        (Flaw::LeavesOut, "missing"),
        (Flaw::Repeats, "repeated"),
        (Flaw::Tears, "missing"),
        (Flaw::Leaves, "lost_connections"),
    ];
    for (flaw, key) in flaws {
        let (code, json, stderr) = soak_of(flaw, &["--duration", "2s"]);
        assert_eq!(code, 1, "{flaw:?}: {json}");
        assert!(json["errors"][key].as_u64() >= Some(30), "{flaw:?}: {json}");
        assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "{stderr}");
    }
    let own = std::process::id().to_string();
    let (code, json, stderr) =
        soak_of(Flaw::Leaks, &["--duration", "2s", "--patience", "2s", "--pid", &own]);
    assert_eq!(code, 1, "{json}");
    // There are 300; other tests of this process close some of theirs meanwhile.
    assert!(json["errors"]["leaked_descriptors"].as_u64() >= Some(200), "{json}");
    assert!(stderr.contains("descriptors more than before"), "{stderr}");
}

/// Memory over what is allowed is found out while it is.
#[test]
fn too_much_memory_is_an_error() {
    let server = Program::start(&["serve"]);
    let (url, pid) = (format!("ws://{}/", server.address), server.id().to_string());
    let little = ["--connections", "2", "--pid", &pid, "--rss-max", "1MiB", "--duration", "1s"];
    let (code, json, stderr) = soak(&url, &[&HONEST[..], &little].concat());
    assert_eq!(code, 1, "{json}");
    assert!(json["errors"]["over_memory"].as_u64() > Some(0), "{json}");
    assert!(stderr.contains("over 1048576"), "{stderr}");
}

/// Who gets nothing has no gap, and is missed all the same.
#[test]
fn a_client_that_is_forgotten_is_found_out() {
    let (code, json, stderr) = soak_of(Flaw::Forgets, &["--duration", "7s", "--patience", "3s"]);
    assert_eq!(code, 1, "{json}");
    assert!(json["errors"]["missing"].as_u64() > Some(0), "{json}");
    assert!(stderr.contains("connection ") && stderr.contains(": 0 where all have"), "{stderr}");
}

/// Mistakes on the command line are answered in one line that says what to do.
#[test]
fn wrong_arguments_are_told() {
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--rss-max", "1GiB"], 2, "--pid"),
        (&["--alternate", "10ms"], 2, "at least 1s"),
        (&["--churn", "x"], 2, "such as 1000"),
        (&["--stalled", "50%", "--slow", "50%"], 1, "none of the 10000 connections honest"),
    ];
    for (arguments, code, says) in cases {
        let said = run(&[&["bench", "soak", "ws://127.0.0.1:9/"], arguments].concat());
        assert_eq!(said.status.code(), Some(code), "{said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
        assert!(said.stderr.contains(says), "{said:?}");
    }
}
