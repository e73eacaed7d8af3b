//! Replays of recordings made here, into a sink that keeps all.

use std::io::Write as _;
use std::path::PathBuf;

use super::super::tests::Kept;
use super::*;

/// A file in the system's directory for temporary ones, removed at the end of its test.
pub(super) struct TempFile(pub(super) PathBuf);

impl TempFile {
    pub(super) fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("tickwire-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A recording of `count` events in order, with other lines between them.
fn recorded(count: usize) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let (mut text, mut events) = (String::new(), Vec::new());
    for index in 0..count {
        let stream = format!("s{}@trade", index % 7);
        let payload = format!(r#"{{"t": {index},"x":"{}"}}"#, "y".repeat(index % 300));
        if index % 50 == 0 {
            text.push_str("garbage\n\n1 {\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}\n");
        }
        let line = format!(r#"{} {{"stream":"{stream}","data":{payload}}}"#, 1000 + index);
        text.push_str(&line);
        text.push('\n');
        events.push((stream, payload.into_bytes()));
    }
    (text.into_bytes(), events)
}

fn replay(file: &TempFile, speed: &str) -> Replay {
    let recording = Recording::open(&file.0).unwrap();
    Replay::new(recording, speed.parse().unwrap(), Repeat::Once)
}

/// Replay: every event, in order and byte for byte, whichever way it is stored.
#[test]
fn a_recording_is_replayed_whole() {
    let (text, events) = recorded(2000);
    let (first, second) = text.split_at(text.len() / 3);
    let members = [gzip(first), gzip(second)].concat();
    for (name, content, speed) in [
        ("plain", text.clone(), "max"),
        ("timed", text.clone(), "1000000"),
        ("gz", gzip(&text), "max"),
        ("gz-members", members, "max"),
    ] {
        let file = TempFile::new(name, &content);
        let (mut sink, counters) = (Kept::default(), FeedCounters::default());
        let replayed = replay(&file, speed).run(&mut sink, &Switch::started(), &counters);
        assert_eq!(sink.events, events, "{name}");
        assert_eq!(replayed.end, ReplayEnd::Finished);
        assert_eq!((replayed.events, replayed.malformed), (2000, 40));
        assert_eq!((counters.events(), counters.malformed_lines()), (2000, 40));
        assert_eq!(counters.snapshot_lines(), 40);
    }
}

/// Replay: a truncated file gives what it holds, and is not taken for a whole one.
#[test]
fn a_truncated_recording_is_replayed_as_far_as_it_goes() {
    let (text, events) = recorded(2000);
    let packed = gzip(&text);
    let file = TempFile::new("truncated", &packed[..packed.len() / 2]);
    let (mut sink, counters) = (Kept::default(), FeedCounters::default());
    let replayed = replay(&file, "max").run(&mut sink, &Switch::started(), &counters);
    assert_eq!(replayed.end, ReplayEnd::Damaged);
    assert!(sink.events.len() > 100 && sink.events.len() < 2000);
    assert_eq!(sink.events, events[..sink.events.len()]);
}

/// Replay: a looping one starts over until its sink has had enough.
#[test]
fn a_looping_replay_starts_over() {
    let (text, events) = recorded(3);
    let file = TempFile::new("loop", &text);
    let mut looping = replay(&file, "max");
    looping.repeat = Repeat::Forever;
    let mut sink = Kept { stop_after: Some(8), ..Kept::default() };
    let replayed = looping.run(&mut sink, &Switch::started(), &FeedCounters::default());
    assert_eq!(replayed.end, ReplayEnd::Stopped);
    assert_eq!(sink.events.len(), 8);
    assert_eq!(sink.events[6..], events[..2]);
    let told = sink.told.iter().filter(|(_, what)| what == "start over");
    assert_eq!(told.map(|(events, _)| *events).collect::<Vec<_>>(), [3, 6]);
}

/// Feeds: a stop wakes a replay from the longest gap, and from its wait for the start.
#[test]
fn a_stop_is_noticed_in_a_gap_and_before_the_start() {
    let text = b"1 {\"stream\":\"a\",\"data\":1}\n9000000000000000 {\"stream\":\"a\",\"data\":2}\n";
    let file = TempFile::new("gap", text);
    for switch in [Switch::started(), Switch::held()] {
        let waiting = thread::spawn({
            let (replay, switch) = (replay(&file, "1"), switch.clone());
            move || replay.run(&mut Kept::default(), &switch, &FeedCounters::default())
        });
        switch.stop();
        assert_eq!(waiting.join().unwrap().end, ReplayEnd::Stopped);
    }
}

/// A recording with all kinds of lines, from 1000 ns to 1005.
const MIXED: &[u8] = br#"1000 {"result":["a","b"],"id":1}
1000 {"stream":"a","data":1}
1001 {"stream":"b","data":2}
1002 {"s":"AB","lastUpdateId":1,"bids":[],"asks":[]}
{"stream":"a","data":3}
1003 {"stream":"b","data":4}
1004 {"lastUpdateId":2,"bids":[],"asks":[]}
1005 {"stream":"c","data":5}
"#;

/// Replay: what comes before the moment is told and not published, books from before it too.
#[test]
fn a_replay_begins_at_a_moment_with_how_things_stand() {
    let file = TempFile::new("moment", MIXED);
    for moment in [Moment::At(1003), Moment::After(Duration::from_nanos(3))] {
        let (mut sink, counters) = (Kept::default(), FeedCounters::default());
        let replay = replay(&file, "max").at(moment);
        let progress = replay.progress();
        let replayed = replay.run(&mut sink, &Switch::started(), &counters);
        assert_eq!((replayed.events, replayed.skipped, counters.events()), (2, 3, 2));
        let told: Vec<(usize, &str)> = sink.told.iter().map(|(at, it)| (*at, &**it)).collect();
        assert_eq!(
            told,
            [
                (0, "announce a"),
                (0, "announce b"),
                (0, "skip a 1"),
                (0, "skip b 2"),
                (0, r#"snapshot AB {"s":"AB","lastUpdateId":1,"bids":[],"asks":[]}"#),
                (0, "skip a 3"),
                (0, "caught up"),
                (1, r#"snapshot - {"lastUpdateId":2,"bids":[],"asks":[]}"#),
            ]
        );
        assert_eq!(sink.events, [("b".into(), b"4".to_vec()), ("c".into(), b"5".to_vec())]);
        assert_eq!(progress.time_ns(), 1005);
        assert_eq!(
            (progress.bytes(), progress.bytes_total()),
            (MIXED.len() as u64, MIXED.len() as u64)
        );
    }
}

/// Replay: a moment after the recording's end leaves nothing to publish, and nothing to wait for.
#[test]
fn a_moment_after_the_end_publishes_nothing() {
    let file = TempFile::new("late-moment", MIXED);
    let mut sink = Kept::default();
    let replay = replay(&file, "1").at(Moment::At(2000));
    let replayed = replay.run(&mut sink, &Switch::held(), &FeedCounters::default());
    assert_eq!((replayed.events, replayed.skipped, replayed.end), (0, 5, ReplayEnd::Finished));
}

/// Replay: streams are told while the first event is held back, as the recording lists them, or those
/// that are found in it; each once.
#[test]
fn streams_are_announced_before_the_start() {
    let unlisted = b"{\"stream\":\"x\",\"data\":1}\n{\"stream\":\"y\",\"data\":1}\n\
        {\"stream\":\"x\",\"data\":2}\n";
    let cases: [(&[u8], &[&str]); 2] =
        [(MIXED, &["announce a", "announce b"]), (unlisted, &["announce x", "announce y"])];
    for (content, expected) in cases {
        let file = TempFile::new("announced", content);
        let mut sink = Kept { stop_after: Some(1), ..Kept::default() };
        let _ = replay(&file, "max").run(&mut sink, &Switch::started(), &FeedCounters::default());
        let before = sink.told.iter().take_while(|(at, _)| *at == 0).map(|(_, told)| told);
        let announced: Vec<_> = before.filter(|told| told.starts_with("announce")).collect();
        assert_eq!(announced, expected);
    }
}

/// Replay: of a file whose packing was cut off, all lines are there that were flushed.
#[test]
fn every_flushed_line_of_a_truncated_archive_is_replayed() {
    let (text, events) = recorded(100);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&text).unwrap();
    encoder.flush().unwrap();
    let file = TempFile::new("flushed", encoder.get_ref());
    let mut sink = Kept::default();
    let replayed =
        replay(&file, "max").run(&mut sink, &Switch::started(), &FeedCounters::default());
    assert_eq!(replayed.end, ReplayEnd::Damaged);
    assert_eq!(sink.events, events);
}
