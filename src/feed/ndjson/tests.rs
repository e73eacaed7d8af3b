//! Lines of every kind, right and wrong.

use proptest::prelude::*;

use super::*;

fn event(received_ns: Option<u64>, stream: &'static str, payload: &'static str) -> Line<'static> {
    Line::Event(Event { received_ns, stream: Cow::Borrowed(stream), payload })
}

fn run(input: &[u8], line_bytes_max: usize) -> (Vec<String>, FeedCounters) {
    let counters = FeedCounters::default();
    let mut events = Vec::new();
    // A small buffer, so that lines are split at many places.
    let reader = io::BufReader::with_capacity(7, input);
    EventReader::new(reader, line_bytes_max, "test", &counters)
        .run(&Switch::started(), |line| {
            if let Line::Event(event) = line {
                events.push(format!("{} {}", event.stream, event.payload));
            }
            Flow::Continue
        })
        .unwrap();
    (events, counters)
}

/// NDJSON: both forms, in the layouts people write, with the payload's own bytes kept.
#[test]
fn both_forms_of_an_event_are_read() {
    for (line, expected) in [
        (r#"{"stream":"a@trade","data":{"x":1}}"#, event(None, "a@trade", r#"{"x":1}"#)),
        (r#"17 {"stream":"a","data":{}}"#, event(Some(17), "a", "{}")),
        ("17\t {\"stream\":\"a\",\"data\":[1, 2]}\r\n", event(Some(17), "a", "[1, 2]")),
        (r#"  {"data": { "x" : 1.0 } ,"stream":"a","x":0}"#, event(None, "a", r#"{ "x" : 1.0 }"#)),
        (r#"{"stream":"\u0061\u00e9","data":7}"#, event(None, "aé", "7")),
        ("", Line::Blank),
        (" \r\n", Line::Blank),
        (r#"{"stream":"a","data":1,"s":2,"result":3}"#, event(None, "a", "1")),
    ] {
        assert_eq!(parse_line(line.as_bytes()), Ok(expected), "{line}");
    }
}

/// NDJSON: whole books and lists of streams, as recorders put them between events.
#[test]
fn lines_that_are_no_events_say_what_they_are() {
    let snapshot = |symbol: Option<&'static str>, payload| {
        Line::Snapshot(Snapshot { symbol: symbol.map(Cow::Borrowed), payload })
    };
    let bare = r#"{"lastUpdateId":1,"bids":[],"asks":[["1","2"]]}"#;
    let named = r#"{"s":"AB","lastUpdateId":1,"bids":[],"asks":[]}"#;
    let numbered = r#"{"s":7,"lastUpdateId":1,"bids":[],"asks":[]}"#;
    for (line, expected) in [
        (format!("17 {bare}"), snapshot(None, bare)),
        (named.to_owned(), snapshot(Some("AB"), named)),
        (numbered.to_owned(), snapshot(None, numbered)),
        (
            r#"5 {"result":["a@trade","\u0062"],"id":1}"#.to_owned(),
            Line::Streams(vec!["a@trade".into(), "b".into()]),
        ),
        (r#"{"id":"x","result":[]}"#.to_owned(), Line::Streams(vec![])),
    ] {
        assert_eq!(parse_line(line.as_bytes()), Ok(expected), "{line}");
    }
    for line in [r#"{"result":null,"id":1}"#, r#"{"result":[1],"id":1}"#, r#"{"result":"a"}"#] {
        assert_eq!(parse_line(line.as_bytes()), Err(LineError::NoStream), "{line}");
    }
}

/// NDJSON: what is wrong is named.
#[test]
fn a_malformed_line_says_what_is_wrong() {
    for (line, expected) in [
        ("{", LineError::NotJson),
        ("hello", LineError::NotJson),
        (r#"{"stream":"a","data":{}"#, LineError::NotJson),
        (r#"{"stream":"a","data":{}} x"#, LineError::NotJson),
        (r#"17 ["a",{}]"#, LineError::NotAnObject),
        ("null", LineError::NotAnObject),
        ("17", LineError::BadTime),
        (r#"17{"stream":"a","data":{}}"#, LineError::BadTime),
        (r#"99999999999999999999 {"stream":"a","data":{}}"#, LineError::BadTime),
        (r#"{"stream":1,"data":{}}"#, LineError::BadMember),
        (r#"{"stream":"a","stream":"a","data":{}}"#, LineError::BadMember),
        (r#"{"data":{}}"#, LineError::NoStream),
        (r#"{"stream":"","data":{}}"#, LineError::NoStream),
        (r#"{"lastUpdateId":1,"bids":[]}"#, LineError::NoStream),
        (r#"{"stream":"a"}"#, LineError::NoData),
        (r#"{"stream":"a","data":null}"#, LineError::NoData),
    ] {
        assert_eq!(parse_line(line.as_bytes()), Err(expected), "{line}");
    }
    assert_eq!(parse_line(b"\xff{}"), Err(LineError::NotUtf8));
}

/// NDJSON: every other line is counted under its reason and the reading goes on.
#[test]
fn other_lines_are_counted_and_skipped() {
    let input = b"{\"stream\":\"a\",\"data\":1}\r\n\n\xff\n{\n\
        {\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}\n{\"stream\":\"b\",\"data\":2}";
    let (events, counters) = run(input, 100);
    assert_eq!(events, ["a 1", "b 2"]);
    assert_eq!(counters.malformed_lines(), 2);
    assert_eq!(counters.snapshot_lines(), 1);
}

/// Bounds: an over-long line is skipped to its end, and the longest allowed is not.
#[test]
fn an_overlong_line_costs_only_itself() {
    let line = r#"{"stream":"a","data":1}"#;
    let input = format!("{line}\n{}\n{line}\n{line} ", "x".repeat(1000));
    let (events, counters) = run(input.as_bytes(), line.len());
    assert_eq!(events, ["a 1", "a 1"]);
    assert_eq!(counters.malformed_lines(), 2);

    let mut lines = LineReader::new(input.as_bytes(), line.len());
    while lines.next_line().unwrap().is_some() {
        assert!(lines.line.capacity() <= 2 * line.len());
    }
    assert_eq!(lines.line_number(), 4);
}

/// Bounds: the log of a source full of garbage grows with its logarithm.
#[test]
fn malformed_lines_are_logged_ever_more_rarely() {
    let logged: Vec<_> = (1..=20_000).filter(|&count| is_logged(count)).collect();
    assert_eq!(logged, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 1000, 10_000]);
}

/// Feeds: a stop is noticed between two lines.
#[test]
fn a_stopped_reader_reads_no_further() {
    let counters = FeedCounters::default();
    let switch = Switch::started();
    let input = b"{\"stream\":\"a\",\"data\":1}\n".repeat(3);
    let mut events = 0;
    let flow = EventReader::new(&*input, 100, "test", &counters)
        .run(&switch, |_| {
            events += 1;
            switch.stop();
            Flow::Continue
        })
        .unwrap();
    assert_eq!((flow, events), (Flow::Stop, 1));
}

proptest! {
    /// Whatever a source sends, reading it neither panics nor loses a later line.
    #[test]
    fn any_bytes_are_survived(
        garbage in prop::collection::vec(any::<u8>(), 0..200),
        text in "[{}\\[\\]\",:a-z0-9 ]{0,60}",
    ) {
        let _ = parse_line(&garbage);
        let _ = parse_line(text.as_bytes());
        let mut input = garbage;
        input.push(b'\n');
        input.extend_from_slice(text.as_bytes());
        input.extend_from_slice(b"\n{\"stream\":\"last\",\"data\":1}");
        let (events, _) = run(&input, 50);
        prop_assert_eq!(events.last().map(String::as_str), Some("last 1"));
    }
}
