//! A feed's lines of JSON: read from a file, and pushed in pieces of any size.

use super::pieces::same_however_cut;
use serde_json::Value;
use std::io::BufReader;
use tickwire::feed::ndjson::{EventReader, Line, parse_line};
use tickwire::feed::{FeedCounters, Flow, Pace, PushedFeed, Sink, Switch};

/// Small enough for a short input to go over it.
const LINE_BYTES_MAX: usize = 100;

/// The events, and how many lines were malformed, and how many snapshots.
type Outcome = (Vec<(String, String)>, u64, u64);

/// However the bytes come, the same events are in them, and each is what its line says.
pub fn lines(bytes: &[u8]) {
    let pushed = same_however_cut(bytes, push);
    assert_eq!(read(bytes), pushed, "read, and pushed");

    let mut events = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.len() <= LINE_BYTES_MAX) {
        if let Ok(Line::Event(event)) = parse_line(line) {
            let digits = line.trim_ascii_start().iter().take_while(|byte| byte.is_ascii_digit());
            assert_eq!(digits.count() > 0, event.received_ns.is_some());
            let start = line.iter().position(|byte| *byte == b'{').expect("an object");
            // A number that is too large for a tree of values is JSON all the same.
            let json = serde_json::from_slice::<Value>(line.get(start..).unwrap_or_default());
            if let Ok(json) = json {
                assert_eq!(json.get("stream"), Some(&Value::from(&*event.stream)));
                let payload: Value = serde_json::from_str(event.payload).expect("valid JSON");
                assert_eq!(json.get("data"), Some(&payload));
            }
            events.push((event.stream.into_owned(), event.payload.to_owned()));
        }
    }
    assert_eq!(events, pushed.0, "by line, and pushed");
}

fn read(bytes: &[u8]) -> Outcome {
    let counters = FeedCounters::default();
    let mut events = Vec::new();
    // A buffer that lines do not fit in.
    let reader = BufReader::with_capacity(7, bytes);
    let mut reader = EventReader::new(reader, LINE_BYTES_MAX, "fuzz", &counters);
    let flow = reader.run(&Switch::started(), |line| {
        if let Line::Event(event) = line {
            events.push((event.stream.into_owned(), event.payload.to_owned()));
        }
        Flow::Continue
    });
    assert!(flow.is_ok(), "memory can be read");
    assert_eq!(reader.malformed(), counters.malformed_lines());
    (events, counters.malformed_lines(), counters.snapshot_lines())
}

fn push(pieces: &[&[u8]]) -> Outcome {
    let (counters, mut kept) = (FeedCounters::default(), Kept::default());
    let mut feed = PushedFeed::new("fuzz").line_bytes_max(LINE_BYTES_MAX);
    for piece in pieces {
        assert_eq!(feed.push(piece, &mut kept, &counters), Flow::Continue);
    }
    assert_eq!(feed.finish(&mut kept, &counters), Flow::Continue);
    assert_eq!((feed.events(), feed.malformed()), (counters.events(), counters.malformed_lines()));
    (kept.0, counters.malformed_lines(), counters.snapshot_lines())
}

#[derive(Default)]
struct Kept(Vec<(String, String)>);

impl Sink for Kept {
    fn publish(&mut self, stream: &str, payload: &str, _pace: Pace) -> Flow {
        self.0.push((stream.to_owned(), payload.to_owned()));
        Flow::Continue
    }
}
