//! A server that is killed, or stopped, under load, and started again on the same port.

#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::indexing_slicing, reason = "of JSON: it yields null for what is not there")]

mod support;

use rustix::process::{Resource, getrlimit};
use serde_json::Value;
use std::io::Write as _;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::client::Client;
use support::eventually;
use support::frame::close;
use support::program::{Program, Said, run};

/// How many clients there are, where so many descriptors are allowed.
const CLIENTS_MAX: u64 = 1500;
/// Descriptors that a process needs besides those of its connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// As many clients as either side has descriptors for.
fn clients() -> usize {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = CLIENTS_MAX.min(allowed.saturating_sub(OTHER_DESCRIPTORS));
    usize::try_from(most).expect("a number of sockets")
}

/// A crowd of honest clients that come back when they lose the server. One stranger, who never
/// finishes its handshake, comes when all of them have been answered.
fn crowd(server: &Program, clients: usize, arguments: &[&str]) -> JoinHandle<(i32, Value)> {
    let url = format!("ws://{}/", server.address);
    let clients = clients.to_string();
    let own = ["bench", "soak", &url, "--json", "--allow-restarts", "--connections", &clients];
    let honest = ["--churn", "0", "--slow", "0", "--pausing", "0", "--unfinished", "1"];
    let all: Vec<String> =
        [&own[..], &honest, arguments].concat().into_iter().map(str::to_owned).collect();
    std::thread::spawn(move || {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let Said { status, stdout, stderr } = run(&all);
        let json = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
        (status.code().expect("not ended by a signal"), json)
    })
}

/// Waits until a server has so many connections.
fn await_connections(server: &Program, before: usize, connections: usize) {
    let all = before + connections;
    eventually("all are connected", || descriptors(server) >= all);
}

/// How many descriptors a server has open.
fn descriptors(server: &Program) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("it runs").count()
}

/// A count; what did not happen is left out.
fn figure(json: &Value, name: &str) -> usize {
    let count = json["figures"][name].as_f64().unwrap_or_default();
    format!("{count:.0}").parse().expect("a count")
}

/// A server that is killed leaves its port free: the next one takes it at once, and every client is
/// back with data, in order, before long.
#[test]
fn a_killed_server_is_replaced_at_once() {
    let clients = clients();
    let mut server = Program::start(&["serve"]);
    let before = descriptors(&server);
    let load = crowd(&server, clients, &["--stalled", "0", "--duration", "8s"]);
    await_connections(&server, before, clients + 1);
    for round in 1..=2 {
        server.signal("KILL");
        assert!(!server.wait().success());
        let start = Instant::now();
        let address = server.address;
        server = Program::start_at(address, &["serve"]);
        assert_eq!(server.address, address);
        await_connections(&server, before, clients);
        assert!(start.elapsed() < Duration::from_secs(6), "{round}: {:?}", start.elapsed());
    }
    let (code, json) = load.join().expect("a run with figures");
    assert_eq!((code, json["errors"]["total"].as_u64()), (0, Some(0)), "{json}");
    assert_eq!(figure(&json, "connections"), clients, "{json}");
    // The second time some may have been shaking hands: they are not counted as back.
    assert!(figure(&json, "honest_reconnects") >= clients, "{json}");
    assert!(figure(&json, "events") > clients, "{json}");
    assert_eq!(figure(&json, "shutdown_events"), 0, "nobody was told: {json}");
}

/// SIGTERM: who reads gets serverShutdown, Close 1001 and the end of TCP, not a reset; the server
/// ends well as soon as they have answered, long before the drain timeout.
#[test]
fn every_client_of_a_server_that_stops_is_told() {
    let clients = clients();
    for workers in ["1", "2"] {
        let mut server = Program::start(&["serve", "--workers", workers, "--drain-timeout", "1h"]);
        let before = descriptors(&server);
        let load = crowd(&server, clients, &["--stalled", "0", "--duration", "5s"]);
        await_connections(&server, before, clients + 1);
        server.signal("TERM");
        assert!(server.wait().success());
        let (code, json) = load.join().expect("a run with figures");
        assert_eq!((code, json["errors"]["total"].as_u64()), (0, Some(0)), "{json}");
        assert_eq!(figure(&json, "shutdown_events"), clients, "{json}");
        assert_eq!(figure(&json, "closed_1001"), clients, "{json}");
        let wrong = ["reset_after_close", "vanished", "failed"].map(|end| figure(&json, end));
        assert_eq!(wrong, [0, 0, 0], "{json}");
    }
}

/// Who does not read holds the server no longer than the drain timeout, and those who do are told
/// all the same.
#[test]
fn those_who_do_not_read_do_not_hold_a_server_that_stops() {
    const DRAIN: Duration = Duration::from_secs(1);
    let mut server = Program::start(&["serve", "--rate", "20", "--drain-timeout", "1s"]);
    let before = descriptors(&server);
    let load = crowd(&server, 100, &["--stalled", "50", "--duration", "4s"]);
    await_connections(&server, before, 101);
    let start = Instant::now();
    server.signal("TERM");
    assert!(server.wait().success());
    let took = start.elapsed();
    assert!(took >= DRAIN && took < 5 * DRAIN, "{took:?}");
    let (code, json) = load.join().expect("a run with figures");
    assert_eq!((code, json["errors"]["total"].as_u64()), (0, Some(0)), "{json}");
    assert_eq!(figure(&json, "closed_1001"), 50, "{json}");
}

/// A client that reads slowly gets all that was queued for it before the stop, then what all get.
#[test]
fn what_is_queued_at_a_stop_still_goes_out() {
    const EVENTS: usize = 150;
    // The time for a close counts from when it is queued: a reader must get there within it.
    let patience = ["--drain-timeout", "1h", "--close-timeout", "1h"];
    let arguments = ["serve", "--feed", "stdin", "--notsent-lowat", "4KiB"];
    let mut server = Program::start(&[&arguments[..], &patience].concat());
    let mut feed = server.stdin.take().unwrap();
    let mut slow = Client::open_at(server.address, "/ws/a@trade");
    slow.receive_little();
    let mut witness = Client::open_at(server.address, "/ws/a@trade");
    for client in [&mut slow, &mut witness] {
        client.expect_alive();
    }
    let payload = |number| format!(r#"{{"n":{number},"x":"{}"}}"#, "x".repeat(4000));
    for number in 0..EVENTS {
        writeln!(feed, r#"{{"stream":"a@trade","data":{}}}"#, payload(number)).unwrap();
    }
    feed.flush().unwrap();
    // What one client has, the other has been sent, or has queued.
    for number in 0..EVENTS {
        witness.expect_text(&payload(number));
    }
    server.signal("TERM");
    for (client, from) in [(&mut witness, EVENTS), (&mut slow, 0)] {
        for number in from..EVENTS {
            client.expect_text(&payload(number));
        }
        let told = client.read_frame();
        assert!(told.payload.starts_with(br#"{"e":"serverShutdown""#), "{told:?}");
        client.expect_close(1001);
        client.send(&close(1001, ""));
        client.expect_eof();
    }
    drop((slow, witness));
    assert!(server.wait().success());
}
