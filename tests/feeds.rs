//! Where events come from, through the real program: recordings, standard input, the simulation.
//! Raw clients get a line's payload byte for byte, combined clients its JSON.

mod support;

use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use support::client::Client;
use support::program::Program;

const STREAMS: [&str; 3] = ["s@trade", "s@bookTicker", "s@depth@100ms"];
const EVENTS: usize = 3000;

/// A recording made for a test, removed with it.
struct Recording {
    path: PathBuf,
}

impl Recording {
    fn new(name: &str, content: &[u8]) -> Self {
        let file = format!("tickwire-feeds-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, content).expect("the directory takes a file");
        Self { path }
    }

    fn feed(&self) -> String {
        format!("replay:{}", self.path.display())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // It may be gone.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A stream and a payload, of every size and with what a rewriter would change: spaces, escapes,
/// the form of numbers, the order of members.
fn event(number: usize) -> (&'static str, String) {
    let stream = STREAMS.get(number * number / 5 % STREAMS.len()).expect("a remainder");
    let filler = "x".repeat(number * 37 % 700);
    let payload = format!(r#"{{ "u":{number}, "b":1.50e0,"a":"\u0041é","x":"{filler}"}}"#);
    (stream, payload)
}

fn combined(stream: &str, payload: &str) -> String {
    format!(r#"{{"stream":"{stream}","data":{payload}}}"#)
}

/// All events, one a line, every other one with a receive time; between them an order book and
/// lines that nobody understands.
fn lines() -> String {
    lines_of(0..EVENTS)
}

fn lines_of(numbers: Range<usize>) -> String {
    let mut lines = String::new();
    for number in numbers {
        let (stream, payload) = event(number);
        if number % 2 == 0 {
            lines.push_str(&format!("{} ", 1_700_000_000_000_000_000 + number));
        }
        lines.push_str(&(combined(stream, &payload) + "\n"));
        match number % 1000 {
            5 => lines.push_str("7 {\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}\n"),
            6 => lines.push_str("{\"stream\":\"s@trade\",\"data\":{\"cut\n"),
            7 => lines.push_str("\n# a remark\n"),
            _ => {}
        }
    }
    lines
}

/// Lines of [`lines`] that are reported.
const MALFORMED: usize = 2 * EVENTS / 1000;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("memory takes all");
    packer.finish().expect("memory takes all")
}

/// One client of each stream, and one of all, combined.
fn subscribers(address: SocketAddr) -> (Vec<Client>, Client) {
    let raw = STREAMS.map(|stream| Client::open_at(address, &format!("/ws/{stream}")));
    let target = format!("/stream?streams={}", STREAMS.join("/"));
    (raw.into(), Client::open_at(address, &target))
}

/// Checks that these events come, in order, byte for byte.
fn expect((raw, all): &mut (Vec<Client>, Client), numbers: Range<usize>) {
    for number in numbers.clone() {
        let (stream, payload) = event(number);
        assert_eq!(all.hear(), combined(stream, &payload));
    }
    for (client, stream) in raw.iter_mut().zip(STREAMS) {
        for (_, payload) in numbers.clone().map(event).filter(|event| event.0 == stream) {
            assert_eq!(client.hear(), payload, "of {stream}");
        }
    }
}

/// Recordings: plain or packed, every event reaches every subscriber that was there in time, and
/// what is no event costs only itself.
#[test]
fn a_replay_is_complete_in_order_and_byte_for_byte() {
    for (name, content) in [("plain", lines().into_bytes()), ("gz", gzip(lines().as_bytes()))] {
        let recording = Recording::new(name, &content);
        let feed = recording.feed();
        let program =
            Program::start(&["serve", "--feed", &feed, "--speed", "max", "--wait-for", "4"]);
        let mut subscribers = subscribers(program.address);
        expect(&mut subscribers, 0..EVENTS);
        let ended = program.logged("replay ended");
        assert!(ended.contains(&format!("events={EVENTS} malformed={MALFORMED} ")), "{ended}");
        for client in subscribers.0.iter_mut().chain([&mut subscribers.1]) {
            client.expect_alive();
        }
    }
}

/// Recordings: the first event waits for as many subscribers as asked for, not for connections.
#[test]
fn a_held_replay_waits_for_its_subscribers() {
    let recording = Recording::new("held", b"{\"stream\":\"s@trade\",\"data\":1}\n");
    let feed = recording.feed();
    let program = Program::start(&["serve", "--feed", &feed, "--wait-for", "2"]);
    let mut first = Client::open_at(program.address, "/ws/s@trade");
    let mut second = Client::open_at(program.address, "/ws");
    // Neither a second subscription of the same client nor a connection without one counts.
    let subscribe = r#"{"method":"SUBSCRIBE","params":["s@trade"],"id":1}"#;
    assert_eq!(first.ask(subscribe), r#"{"result":null,"id":1}"#);
    first.expect_alive();
    assert_eq!(second.ask(subscribe), r#"{"result":null,"id":1}"#);
    assert_eq!((first.hear(), second.hear()), ("1".to_owned(), "1".to_owned()));
}

/// Recordings: with `--loop` the first event follows the last.
#[test]
fn a_looped_replay_starts_again() {
    let content: String =
        (0..10).map(|number| combined("s@trade", &number.to_string()) + "\n").collect();
    let recording = Recording::new("loop", content.as_bytes());
    let feed = recording.feed();
    let program = Program::start(&["serve", "--feed", &feed, "--speed", "max", "--loop"]);
    let mut client = Client::open_at(program.address, "/ws/s@trade");
    for pass in 0..50 {
        for number in 0..10 {
            assert_eq!(client.hear(), number.to_string(), "in pass {pass}");
        }
    }
    drop(client);
    program.signal("TERM");
    program.logged("stopped ");
}

/// Standard input: lines are events at once, what is no event is reported with its line's number
/// and skipped, and the end of input is not the end of the server.
#[test]
fn standard_input_is_published_as_it_comes() {
    let mut program = Program::start(&["serve", "--feed", "stdin"]);
    let mut feed = program.stdin.take().unwrap();
    let mut subscribers = subscribers(program.address);
    // It is live: no more at once than sockets have room for.
    for first in (0..EVENTS).step_by(100) {
        feed.write_all(lines_of(first..first + 100).as_bytes()).unwrap();
        expect(&mut subscribers, first..first + 100);
    }
    for line in [9, 12] {
        let report = program.logged("line skipped");
        assert!(report.contains(&format!(" line={line} ")), "{report}");
    }
    drop(feed);
    let ended = program.logged("standard input has ended");
    let counts = format!("events={EVENTS} malformed_lines={MALFORMED}");
    assert!(ended.contains(&counts), "{ended}");
    // The last state is still told, and neither the last trade nor the last difference.
    let last = (0..EVENTS).map(event).rfind(|event| event.0 == STREAMS[1]).unwrap();
    let target = format!("/ws/{}", STREAMS.join("/"));
    let mut late = Client::open_at(program.address, &target);
    assert_eq!(late.hear(), last.1);
    late.expect_alive();
}

/// Simulation: the same seed and start time give the same bytes, another seed does not.
#[test]
fn a_simulation_can_be_repeated() {
    let run = |seed: &str| {
        let program = Program::start(&[
            "serve",
            "--seed",
            seed,
            "--start-time",
            "1700000000000",
            "--rate",
            "20",
            "--symbols",
            "BTCUSDT,ETHUSDT",
            "--wait-for",
            "1",
        ]);
        let streams = "btcusdt@trade/btcusdt@depth@100ms/ethusdt@bookTicker/ethusdt@depth5@100ms";
        let mut client = Client::open_at(program.address, &format!("/stream?streams={streams}"));
        client.hear_all(500)
    };
    let (first, again) = (run("7"), run("7"));
    assert_eq!(first, again);
    assert_ne!(first, run("8"));
    for stream in ["btcusdt@trade", "btcusdt@depth@100ms", "ethusdt@bookTicker"] {
        let start = combined(stream, "");
        let start = start.trim_end_matches('}');
        assert!(first.iter().any(|text| text.starts_with(start)), "no {stream}");
    }
}
