//! `tickwire record`: recordings of servers and feeds, whole and byte for byte, however they end.

#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use support::eventually;
use support::program::{Program, Running, run};

/// A folder for a test's files, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("tickwire-record-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the system has room for a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// All files in it, by name.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder is there");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry.expect("a readable entry").file_name().into_string().expect("a name in UTF-8")
            })
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What can be read of a file now, unpacked where it is packed.
fn content(path: &str) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    if !path.ends_with(".gz") {
        return String::from_utf8(bytes).expect("lines are UTF-8");
    }
    let mut text = Vec::new();
    // One that is being written, or was cut off, ends too early.
    let _ = flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut text);
    String::from_utf8(text).expect("lines are UTF-8")
}

/// The lines of a recording without their times, each of which is a time.
fn lines(path: &str) -> Vec<String> {
    let text = content(path);
    assert!(text.is_empty() || text.ends_with('\n'), "{path} ends within a line");
    let untimed = text.lines().map(|line| {
        let (time, rest) = line.split_once(' ').expect("a time and a text");
        assert!(
            time.parse::<u64>().expect("a number of nanoseconds") > 1_500_000_000_000_000_000,
            "{line}"
        );
        rest.to_owned()
    });
    untimed.collect()
}

fn combined(stream: &str, payload: &str) -> String {
    format!(r#"{{"stream":"{stream}","data":{payload}}}"#)
}

const EVENTS: usize = 3000;
const STREAMS: [&str; 4] = ["x@trade", "x@depth@100ms", "x@bookTicker", "y@trade"];

/// Events of every size, with what a rewriter would change.
fn events() -> Vec<String> {
    let event = |number: usize| {
        let filler = "x".repeat(number * 37 % 700);
        let payload =
            format!(r#"{{ "u":{number}, "U":{number},"b":1.50e0,"a":"\u0041é{filler}"}}"#);
        let stream = STREAMS.get(number * number / 5 % STREAMS.len()).expect("a remainder");
        combined(stream, &payload)
    };
    (0..EVENTS).map(event).collect()
}

/// The line that a recording of these streams begins with.
fn list(streams: &[&str]) -> String {
    let names: Vec<String> = streams.iter().map(|name| format!("\"{name}\"")).collect();
    format!(r#"{{"result":[{}],"id":1}}"#, names.join(","))
}

/// The events, 0.1 ms apart, with their list of streams.
fn recording(folder: &Folder) -> String {
    let path = folder.path("r0.ndjson");
    let mut text = format!("1700000000000000000 {}\n", list(&STREAMS));
    for (number, event) in events().into_iter().enumerate() {
        text.push_str(&format!("{} {event}\n", 1_700_000_000_000_000_000 + number * 100_000));
    }
    fs::write(&path, text).expect("the folder takes a file");
    path
}

/// Records a replay of `from`, whole.
fn record_replay(from: &str, to: &str, speed: &str) {
    let feed = format!("replay:{from}");
    let program = Program::start(&[
        "serve",
        "--feed",
        &feed,
        "--speed",
        speed,
        "--start-delay",
        "300ms",
        "--send-queue",
        "64MiB",
    ]);
    let (url, count) = (format!("ws://{}", program.address), EVENTS.to_string());
    // What is fed is known before it begins.
    eventually("the streams are announced", || run(&["streams", &url]).stdout.contains("y@trade"));
    let streams = STREAMS.join(",");
    let said = run(&["record", &url, to, "--streams", &streams, "--count", &count]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.stderr.contains(&format!("recorded events={EVENTS} ")), "{said:?}");
}

/// A recording of a replay has the replayed events, and a recording of its replay has them again: in the
/// same order, with the same bytes, as fast as can be and at the recorded pace.
#[test]
fn a_recording_of_a_replay_is_the_same_again() {
    let folder = Folder::new("again");
    let first = recording(&folder);
    let expected: Vec<String> = std::iter::once(list(&STREAMS)).chain(events()).collect();
    let (r1, r2) = (folder.path("r1.ndjson.gz"), folder.path("r2.ndjson"));
    record_replay(&first, &r1, "max");
    assert!(lines(&r1) == expected, "the first recording differs");
    record_replay(&r1, &r2, "max");
    assert!(lines(&r2) == expected, "the second recording differs");
    let r3 = folder.path("r3.ndjson");
    record_replay(&first, &r3, "1");
    assert!(lines(&r3) == expected, "the timed recording differs");
}

/// The events among lines of a recording, in order.
fn events_of(path: &str) -> Vec<String> {
    lines(path).into_iter().filter(|line| line.starts_with(r#"{"stream":"#)).collect()
}

/// Records all that a replay of `from` has, derived streams too; yields its events.
fn record_all(from: &str, to: &str) -> Vec<String> {
    let feed = format!("replay:{from}");
    let arguments = ["serve", "--feed", &feed, "--speed", "max", "--start-delay", "300ms"];
    let program = Program::start(&[&arguments[..], &["--send-queue", "64MiB"]].concat());
    let url = format!("ws://{}", program.address);
    // What is derived from the last symbol is announced last.
    eventually("all is announced", || run(&["streams", &url]).stdout.contains("ethusdt@avgPrice"));
    let mut recorder = Running::start(&["record", &url, to]);
    program.logged("replay ended");
    let published = || {
        let listed = run(&["streams", &url]).stdout;
        let counts =
            listed.lines().filter_map(|line| line.split('\t').nth(1)?.parse::<usize>().ok());
        counts.sum::<usize>()
    };
    eventually("all is recorded", || events_of(to).len() == published());
    recorder.signal("INT");
    assert!(recorder.wait().success());
    events_of(to)
}

/// What is derived in a replay is recorded with the rest, and comes again once when that is replayed.
#[test]
fn a_recording_of_what_is_derived_is_the_same_again() {
    let folder = Folder::new("derived");
    let [simulated, first, second] =
        ["simulated.ndjson", "first.ndjson", "second.ndjson.gz"].map(|name| folder.path(name));
    let fed = folder.path("fed.ndjson");
    let market = ["--symbols", "BTCUSDT,ETHUSDT", "--seed", "7", "--start-time", "1700000000000"];
    let simulation = ["record", "--feed", "simulate", "--rate", "20", "--count", "4000"];
    assert!(run(&[&simulation[..], &market, &[&simulated]].concat()).status.success());
    // Trades and diffs with their snapshots: all else has to be derived, and no list of streams.
    let is_fed = |line: &&str| {
        let parts = ["@trade\"", "@depth@100ms\"", "\"lastUpdateId\""];
        let derived = ["@depth5", "@depth10", "@depth20", r#""result""#];
        parts.iter().any(|part| line.contains(part)) && !derived.iter().any(|d| line.contains(d))
    };
    let text = content(&simulated);
    let kept: String = text.lines().filter(is_fed).map(|line| format!("{line}\n")).collect();
    fs::write(&fed, &kept).expect("the folder takes a file");
    let before = events_of(&fed);
    let recorded = record_all(&fed, &first);
    for kind in
        ["@bookTicker", "@depth20@100ms", "@depth5\"", "@kline_1s", "@ticker", "!miniTicker"]
    {
        assert!(recorded.iter().any(|event| event.contains(kind)), "no {kind}");
    }
    let is_of_feed = |event: &&String| before.contains(event);
    assert!(recorded.iter().filter(is_of_feed).eq(&before), "what was fed has changed");
    assert!(record_all(&first, &second) == recorded, "the second recording differs");
}

/// What was written before the recorder is killed can be replayed, packed or not.
#[test]
fn a_killed_recorder_leaves_what_it_wrote() {
    let folder = Folder::new("killed");
    for name in ["killed.ndjson", "killed.ndjson.gz"] {
        let mut program = Program::start(&["serve", "--feed", "stdin"]);
        let mut feed = program.stdin.take().unwrap();
        let (url, path) = (format!("ws://{}", program.address), folder.path(name));
        let mut recorder = Running::start(&["record", &url, &path, "--streams", "x@trade"]);
        recorder.logged("recording");
        let sent: Vec<String> =
            (0..500).map(|number| combined("x@trade", &format!(r#"{{"t":{number}}}"#))).collect();
        for event in &sent {
            writeln!(feed, "{event}").unwrap();
        }
        let expected: Vec<String> = std::iter::once(list(&["x@trade"])).chain(sent).collect();
        // They are in the file soon, though nothing follows them.
        eventually("all lines are written", || content(&path).lines().count() == expected.len());
        recorder.signal("KILL");
        assert!(!recorder.wait().success());
        assert!(lines(&path) == expected, "{name}");
        let feed = format!("replay:{path}");
        let replay =
            Program::start(&["serve", "--feed", &feed, "--wait-for", "0", "--speed", "max"]);
        assert!(replay.logged("replay ended").contains("events=500 malformed=0"));
    }
}

/// Ctrl-C and SIGTERM end a recording as it should end.
#[test]
fn a_signal_ends_a_recording_whole() {
    let folder = Folder::new("signals");
    for (signal, name) in [("INT", "int.ndjson.gz"), ("TERM", "term.ndjson.gz")] {
        let path = folder.path(name);
        let mut recorder = Running::start(&["record", "--feed", "simulate", &path]);
        eventually("there are events", || content(&path).lines().count() > 100);
        recorder.signal(signal);
        assert!(recorder.wait().success());
        recorder.logged("recorded events=");
        // A whole archive, and whole lines.
        let (bytes, mut text) = (fs::read(&path).unwrap(), String::new());
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        assert!(text.ends_with('\n') && text.lines().count() > 100);
    }
}

/// A feed is recorded as it is served: what the simulation says, for the same seed and start.
#[test]
fn a_feed_is_recorded_without_a_server() {
    let folder = Folder::new("feed");
    let paths = ["a.ndjson", "b.ndjson"].map(|name| folder.path(name));
    for path in &paths {
        let said = run(&[
            "record",
            "--feed",
            "simulate",
            "--symbols",
            "BTCUSDT",
            "--seed",
            "7",
            "--start-time",
            "1700000000000",
            "--rate",
            "50",
            "--count",
            "400",
            path,
        ]);
        assert!(said.status.success(), "{said:?}");
    }
    let [a, b] = paths.map(|path| lines(&path));
    // The streams, the order book that the diffs follow, and the events.
    assert_eq!(a.len(), 402);
    assert!(a[1].starts_with(r#"{"s":"BTCUSDT","lastUpdateId":"#), "{}", a[1]);
    assert!(a[0].starts_with(r#"{"result":["btcusdt@"#) && a[0].contains("!miniTicker@arr"));
    assert!(a == b, "the same seed, another recording");
    let replayed = folder.path("c.ndjson");
    let feed = format!("replay:{}", folder.path("a.ndjson"));
    let said = run(&["record", "--feed", &feed, "--speed", "max", &replayed]);
    assert!(said.status.success() && said.stderr.contains("replay ended"), "{said:?}");
    assert!(lines(&replayed) == a, "a replayed feed differs");
}

/// Files follow one another by size: each is a recording by itself, all events are in one of them, and a
/// recorder that is started again touches none.
#[test]
fn rotation_makes_files_that_stand_by_themselves() {
    let folder = Folder::new("rotation");
    let from = recording(&folder);
    let (feed, to) = (format!("replay:{from}"), folder.path("day.ndjson"));
    let arguments = ["record", "--feed", &feed, "--speed", "max", &to, "--rotate-size", "300KiB"];
    let said = run(&arguments);
    assert!(said.status.success(), "{said:?}");
    let names: Vec<String> =
        folder.names().into_iter().filter(|name| name.starts_with("day")).collect();
    assert!(names.len() >= 3 && names[0] == "day-0001.ndjson", "{names:?}");
    let mut found = Vec::new();
    for name in &names {
        let mut lines = lines(&folder.path(name)).into_iter();
        assert_eq!(lines.next().as_deref(), Some(&*list(&STREAMS)), "{name}");
        found.extend(lines);
    }
    assert!(found == events(), "events are lost or repeated between files");
    let before: Vec<String> = names.iter().map(|name| content(&folder.path(name))).collect();
    assert!(run(&arguments).status.success());
    let after: Vec<String> = names.iter().map(|name| content(&folder.path(name))).collect();
    assert!(before == after, "an earlier file was touched");
    assert!(folder.names().len() > names.len() + 1);
}

/// A lost connection is made again in the same file, and the gap is told.
#[test]
fn a_lost_server_is_recorded_on_when_it_is_back() {
    let folder = Folder::new("lost");
    let (mut program, path) =
        (Program::start(&["serve", "--feed", "stdin"]), folder.path("x.ndjson"));
    let (address, mut feed) = (program.address, program.stdin.take().unwrap());
    let url = format!("ws://{address}");
    let arguments = ["record", &url, &path, "--streams", "x@bookTicker", "--count", "2"];
    let mut recorder = Running::start(&arguments);
    recorder.logged("recording");
    writeln!(feed, "{}", combined("x@bookTicker", "1")).unwrap();
    eventually("the first event is written", || content(&path).lines().count() == 2);
    program.signal("KILL");
    drop((feed, program));
    recorder.logged("trying again in");
    let mut program = Program::start_at(address, &["serve", "--feed", "stdin"]);
    let mut feed = program.stdin.take().unwrap();
    writeln!(feed, "{}", combined("x@bookTicker", "2")).unwrap();
    recorder.logged("are missing in the recording");
    assert!(recorder.wait().success());
    let expected = ["1", "2"].map(|payload| combined("x@bookTicker", payload));
    assert_eq!(lines(&path)[1..], expected);
}

/// What cannot be recorded is told in one line, and nothing is left behind or replaced.
#[test]
fn what_cannot_be_recorded_is_told_in_one_line() {
    let folder = Folder::new("refused");
    let (new, taken) = (folder.path("new.ndjson"), folder.path("taken.ndjson"));
    fs::write(&taken, "mine").unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let missing = folder.path("no/such/x.ndjson");
    let directory = folder.0.display().to_string();
    let cases: [(&[&str], i32, &str); 11] = [
        (&["record", &nobody, &new], 1, "connection refused"),
        (&["record", &nobody, &new, "--streams", "a@trade"], 1, "connection refused"),
        (&["record", "--feed", "simulate", &taken], 1, "is there already; give another name"),
        (&["record", "--feed", "simulate", &missing], 1, "its folder is not there"),
        (&["record", "--feed", "simulate", &directory], 1, "is a folder; name a file in it"),
        (&["record", "--feed", "udp:127.0.0.1:0", &new], 1, "start `tickwire serve`"),
        (&["record", "--feed", "replay:/nonexistent", &new], 1, "there is no such file"),
        (&["record", &new], 2, "URL"),
        (&["record", "wss://a", &new], 2, "TLS is not spoken here"),
        (&["record", "--feed", "simulate", &new, "--rotate-time", "1ms"], 2, "at least 1s"),
        (&["record", "ws://a", &new, "--feed", "simulate"], 2, "--feed"),
    ];
    for (arguments, code, says) in cases {
        let said = run(arguments);
        assert_eq!(said.status.code(), Some(code), "{arguments:?}: {said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains(says), "{said:?}");
    }
    assert_eq!(folder.names(), ["taken.ndjson"]);
    assert_eq!(content(&taken), "mine");
    let mut arguments = vec!["record", "--feed", "simulate", &taken, "--symbols", "BTCUSDT"];
    arguments.extend(["--force", "--count", "1"]);
    let said = run(&arguments);
    assert!(said.status.success() && content(&taken).lines().count() == 3, "{said:?}");
}

/// A disk without room is told, and the exit code is that of a failure.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_a_recording_with_an_error() {
    let said = run(&["record", "--feed", "simulate", "/dev/full", "--force"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let last = said.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: cannot write /dev/full on: No space left"), "{said:?}");
    assert!(last.ends_with("make room, and go on in another file"), "{said:?}");
}
