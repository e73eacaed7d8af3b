//! `tickwire tail` on a server of the program's own: what it prints, and how it ends.

#![cfg(feature = "cli")]

mod support;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{ChildStdin, Command, Stdio};
use support::client::Client;
use support::program::{Program, Running, run};

const TRADE: &str = r#"{ "e":"trade","E":1,"s":"X","t":7,"p":"1.50","q":"2","T":1,"m":true}"#;

fn combined(stream: &str, payload: &str) -> String {
    format!(r#"{{"stream":"{stream}","data":{payload}}}"#)
}

/// A server that publishes what it is fed, its feed, and its address.
fn fed() -> (Program, ChildStdin, String) {
    let mut program = Program::start(&["serve", "--feed", "stdin"]);
    let feed = program.stdin.take().expect("standard input is a pipe");
    let url = format!("ws://{}", program.address);
    (program, feed, url)
}

/// A command that follows `streams`, and is subscribed: it has printed the last value of a stream that
/// had one before.
fn subscribed(feed: &mut ChildStdin, program: &Program, arguments: &[&str]) -> Running {
    writeln!(feed, "{}", combined("x@bookTicker", r#"{"ready":1}"#))
        .expect("the server reads what it is fed");
    // The value is there once another client has it.
    let mut probe = Client::open_at(program.address, "/ws/x@bookTicker");
    assert_eq!(probe.hear(), r#"{"ready":1}"#);
    let running = Running::start(arguments);
    assert!(running.line().contains(r#"{"ready":1}"#));
    running
}

/// With --json a line is the event byte for byte; the command ends after as many as it was to print.
#[test]
fn json_lines_are_the_events_own_bytes() {
    let (program, mut feed, url) = fed();
    let arguments = ["tail", &url, "x@bookTicker", "x@trade", "--json", "--count", "3"];
    let mut tail = subscribed(&mut feed, &program, &arguments);
    writeln!(feed, "{}", combined("x@trade", TRADE)).unwrap();
    writeln!(feed, "{}", combined("other@trade", TRADE)).unwrap();
    writeln!(feed, "{}", combined("x@trade", r#"{"t": 8}"#)).unwrap();
    assert_eq!(tail.line(), combined("x@trade", TRADE));
    assert_eq!(tail.line(), combined("x@trade", r#"{"t": 8}"#));
    assert!(tail.wait().success());
    assert!(tail.logged("3 events of 2 streams").contains("INFO"));
}

/// Without --json a line is for people; without streams it is all that the server lists.
#[test]
fn plain_lines_tell_the_essential_of_all_streams() {
    let (program, mut feed, url) = fed();
    feed.write_all(b"{\"result\":[\"x@trade\",\"x@bookTicker\"],\"id\":1}\n").unwrap();
    let tail = subscribed(&mut feed, &program, &["tail", &url]);
    writeln!(feed, "{}", combined("x@trade", TRADE)).unwrap();
    let line = tail.line();
    assert!(line.ends_with(" x@trade                  sell 2 at 1.50  #7"), "{line}");
}

/// Ctrl-C ends it in order, with a summary.
#[test]
fn a_signal_ends_it_with_a_summary() {
    let (program, mut feed, url) = fed();
    let mut tail = subscribed(&mut feed, &program, &["tail", &url, "x@bookTicker"]);
    tail.signal("INT");
    assert!(tail.wait().success());
    tail.logged("1 events of 1 streams");
}

/// Whoever reads a pipe and has had enough is no error.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    let (_program, mut feed, url) = fed();
    writeln!(feed, "{}", combined("x@bookTicker", "1")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tickwire"))
        .args(["tail", &url, "x@bookTicker", "--log", "warn"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut number = 0;
    support::eventually("it ends", || {
        number += 1;
        writeln!(feed, "{}", combined("x@bookTicker", &number.to_string())).unwrap();
        child.try_wait().unwrap().is_some()
    });
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// A server that goes and comes back is followed again, and that is said.
#[test]
fn it_follows_a_server_that_comes_back() {
    let (program, mut feed, url) = fed();
    let address = program.address;
    let arguments = ["tail", &url, "x@bookTicker", "--json"];
    let tail = subscribed(&mut feed, &program, &arguments);
    program.signal("KILL");
    drop((feed, program));
    tail.logged("trying again in");
    let mut program = Program::start_at(address, &["serve", "--feed", "stdin"]);
    let mut feed = program.stdin.take().unwrap();
    writeln!(feed, "{}", combined("x@bookTicker", "2")).unwrap();
    assert_eq!(tail.line(), combined("x@bookTicker", "2"));
    tail.logged("connected again after");
}

/// It answers pings: a server that drops who is silent keeps it.
#[test]
fn it_answers_pings() {
    let program = Program::start(&[
        "serve",
        "--feed",
        "stdin",
        "--ping-interval",
        "50ms",
        "--idle-timeout",
        "400ms",
        "--message-rate",
        "0",
    ]);
    let url = format!("ws://{}", program.address);
    let said = run(&["tail", &url, "x@trade", "--for", "1500ms"]);
    assert!(said.status.success(), "{said:?}");
    assert!(!said.stderr.contains("trying again"), "{said:?}");
}

/// What it cannot do is said in one line.
#[test]
fn what_cannot_be_followed_is_told_in_one_line() {
    let limited = Program::start(&["serve", "--feed", "stdin", "--max-streams", "1"]);
    let small = format!("ws://{}", limited.address);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (_program, _feed, url) = fed();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let stranger = mute.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = mute.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").unwrap();
        // Closed before the request was read, it would be a reset.
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
    });
    let cases: [(&[&str], i32, &str); 7] = [
        (&["tail", &nobody, "a@trade"], 1, "connection refused; is the server running"),
        (&["tail", &stranger, "a@trade"], 1, "is it a WebSocket server?"),
        (&["tail", &url, "a@trade", "--top"], 1, "--top draws on a terminal"),
        (&["tail", &url], 1, "has no streams yet; name what to follow"),
        (&["tail", &url, "a b"], 2, "stream name"),
        (&["tail", &url, "a@trade", "--count", "0"], 2, "--count"),
        (&["tail", &url, "--for", "soon"], 2, "5s or 500ms"),
    ];
    for (arguments, code, says) in cases {
        let said = run(arguments);
        assert_eq!(said.status.code(), Some(code), "{said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains(says), "{said:?}");
    }
    answering.join().unwrap();
    let said = run(&["tail", &small, "a@trade", "b@trade"]);
    assert!(said.status.code() == Some(1), "{said:?}");
    assert!(said.stderr.contains("Too many subscriptions"), "{said:?}");
}
