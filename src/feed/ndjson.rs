//! Events as lines of JSON, in the shape in which clients of combined streams receive them:
//!
//! ```text
//! {"stream":"btcusdt@trade","data":{…}}
//! 1723161254024619568 {"stream":"btcusdt@trade","data":{…}}
//! ```
//!
//! The second form starts with the receive time in nanoseconds, as recorders write it. A payload
//! is passed on in exactly the bytes of `data`. Blank lines are skipped, and so are the REST
//! order-book snapshots that recorders put between events.
//!
//! Invariant: memory is bounded by the longest line allowed, and a line that cannot be understood
//! costs itself alone: it is counted, logged and skipped.

use std::borrow::Cow;
use std::io::{self, BufRead};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{FeedCounters, Flow, Switch};

/// The longest line accepted unless a reader is told otherwise: 1 MiB.
pub const LINE_BYTES_MAX_DEFAULT: usize = 1 << 20;

/// How many malformed lines are logged one by one; after them, each power of ten is.
const MALFORMED_LOGGED_EACH: u64 = 10;

/// One event, borrowed from its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// When the recorder received it, in nanoseconds since the epoch.
    pub received_ns: Option<u64>,
    /// The stream's name.
    pub stream: Cow<'a, str>,
    /// The payload, byte for byte.
    pub payload: &'a str,
}

/// What a line can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// Nothing but white space.
    Blank,
    /// An event.
    Event(Event<'a>),
    /// A whole order book as the REST interface answers it, which belongs to no stream.
    Snapshot,
}

/// Why a line is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It goes on past the limit.
    #[error("longer than the longest line allowed")]
    TooLong,
    /// Its bytes are not text.
    #[error("not UTF-8")]
    NotUtf8,
    /// Digits in front that are no time.
    #[error("the receive time is not a 64-bit number of nanoseconds followed by a space")]
    BadTime,
    /// Not JSON, or JSON that is cut off.
    #[error("not valid JSON")]
    NotJson,
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// An object whose `stream` is not a string, or that has a member twice.
    #[error("`stream` is not a string, or a member is given twice")]
    BadMember,
    /// An object that names no stream.
    #[error("no `stream`")]
    NoStream,
    /// An object that has no payload.
    #[error("no `data`")]
    NoData,
}

/// Reads one line; its line feed and carriage return do not matter.
///
/// # Errors
/// Says which part of the line is not as it should be.
///
/// # Example
/// ```
/// use tickwire::feed::ndjson::{Line, parse_line};
///
/// let line = br#"17 {"stream":"btcusdt@trade","data":{"t": 1}}"#;
/// let Ok(Line::Event(event)) = parse_line(line) else { panic!("an event") };
/// assert_eq!(event.received_ns, Some(17));
/// assert_eq!(event.stream, "btcusdt@trade");
/// assert_eq!(event.payload, r#"{"t": 1}"#);
/// ```
pub fn parse_line(line: &[u8]) -> Result<Line<'_>, LineError> {
    let line = simdutf8::basic::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(Line::Blank);
    }
    let (received_ns, json) = split_time(line)?;
    let members = Members::parse(json)?;
    match (members.stream, members.data) {
        (Some(stream), Some(data)) if !stream.is_empty() => {
            Ok(Line::Event(Event { received_ns, stream, payload: data.get() }))
        }
        (Some(stream), None) if !stream.is_empty() => Err(LineError::NoData),
        _ if members.is_snapshot => Ok(Line::Snapshot),
        _ => Err(LineError::NoStream),
    }
}

fn split_time(line: &str) -> Result<(Option<u64>, &str), LineError> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok((None, line));
    }
    let (time, rest) = line.split_at_checked(digits).ok_or(LineError::BadTime)?;
    let json = rest.trim_ascii_start();
    if json.len() == rest.len() {
        return Err(LineError::BadTime);
    }
    let time = time.parse().map_err(|_| LineError::BadTime)?;
    Ok((Some(time), json))
}

#[derive(Deserialize)]
struct RawMembers<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<IgnoredAny>,
    bids: Option<IgnoredAny>,
    asks: Option<IgnoredAny>,
}

struct Members<'a> {
    stream: Option<Cow<'a, str>>,
    data: Option<&'a RawValue>,
    is_snapshot: bool,
}

impl<'a> Members<'a> {
    fn parse(json: &'a str) -> Result<Self, LineError> {
        // serde also reads a struct from an array; a line of ours is an object.
        if !json.starts_with('{') {
            let valid = serde_json::from_str::<&RawValue>(json).is_ok();
            return Err(if valid { LineError::NotAnObject } else { LineError::NotJson });
        }
        let raw: RawMembers<'_> =
            serde_json::from_str(json).map_err(|error| match error.classify() {
                serde_json::error::Category::Data => LineError::BadMember,
                _ => LineError::NotJson,
            })?;
        let is_snapshot = raw.last_update_id.is_some() && raw.bids.is_some() && raw.asks.is_some();
        Ok(Self { stream: raw.stream, data: raw.data, is_snapshot })
    }
}

/// Reads lines of bounded length. What is too long is skipped to its end without being kept.
pub struct LineReader<R> {
    reader: R,
    line: Vec<u8>,
    line_bytes_max: usize,
    line_number: u64,
}

impl<R: BufRead> LineReader<R> {
    /// Reads from `reader`; `line_bytes_max` is the longest line, its line feed not counted.
    pub fn new(reader: R, line_bytes_max: usize) -> Self {
        Self { reader, line: Vec::new(), line_bytes_max, line_number: 0 }
    }

    /// The number of the line that was read last, from 1.
    pub fn line_number(&self) -> u64 {
        self.line_number
    }

    /// The next line without its line feed, `None` at the end. A last line may lack the feed.
    ///
    /// # Errors
    /// What the reader reports, interruptions excepted: they are retried.
    pub fn next_line(&mut self) -> io::Result<Option<Result<&[u8], LineError>>> {
        self.line.clear();
        let mut length = 0_usize;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            let room = self.line_bytes_max.saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            length = length.saturating_add(part.len());
            let at_end_of_input = chunk.is_empty();
            let consumed = part.len() + usize::from(end.is_some());
            self.reader.consume(consumed);
            if at_end_of_input && length == 0 {
                return Ok(None);
            }
            if at_end_of_input || end.is_some() {
                self.line_number += 1;
                let too_long = length > self.line_bytes_max;
                return Ok(Some(if too_long { Err(LineError::TooLong) } else { Ok(&self.line) }));
            }
        }
    }
}

/// Reads events, and does with all other lines what is to be done with them.
pub struct EventReader<'a, R> {
    lines: LineReader<R>,
    source: &'a str,
    counters: &'a FeedCounters,
    triage: Triage,
}

impl<'a, R: BufRead> EventReader<'a, R> {
    /// Reads from `reader`, which the log calls `source`.
    pub fn new(
        reader: R,
        line_bytes_max: usize,
        source: &'a str,
        counters: &'a FeedCounters,
    ) -> Self {
        let (lines, triage) = (LineReader::new(reader, line_bytes_max), Triage::default());
        Self { lines, source, counters, triage }
    }

    /// How many lines were malformed so far.
    pub fn malformed(&self) -> u64 {
        self.triage.malformed
    }

    /// Calls `on_event` for every event, in order, until the end, a stop or an error.
    ///
    /// # Errors
    /// What the reader reports.
    pub fn run(
        &mut self,
        switch: &Switch,
        mut on_event: impl FnMut(Event<'_>) -> Flow,
    ) -> io::Result<Flow> {
        while !switch.is_stopped() {
            let Some(line) = self.lines.next_line()? else {
                return Ok(Flow::Continue);
            };
            if let Some(event) = self.triage.event(line, self.source, self.counters)
                && on_event(event) == Flow::Stop
            {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Stop)
    }
}

/// Sorts a source's lines: events are the caller's, all others are counted, and the malformed ones
/// are reported.
#[derive(Debug, Default)]
pub(super) struct Triage {
    lines: u64,
    events: u64,
    malformed: u64,
}

impl Triage {
    /// The event in the next line, if it holds one.
    pub(super) fn event<'l>(
        &mut self,
        line: Result<&'l [u8], LineError>,
        source: &str,
        counters: &FeedCounters,
    ) -> Option<Event<'l>> {
        self.lines += 1;
        match line.and_then(parse_line) {
            Ok(Line::Blank) => None,
            Ok(Line::Snapshot) => {
                counters.count_snapshot_line();
                None
            }
            Ok(Line::Event(event)) => {
                self.events += 1;
                Some(event)
            }
            Err(error) => {
                counters.count_malformed_line();
                self.malformed += 1;
                if is_logged(self.malformed) {
                    let (line, malformed) = (self.lines, self.malformed);
                    tracing::warn!(source, line, malformed, "line skipped: {error}");
                }
                None
            }
        }
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn malformed(&self) -> u64 {
        self.malformed
    }
}

/// A source of nothing but garbage must not fill the log.
fn is_logged(malformed: u64) -> bool {
    malformed <= MALFORMED_LOGGED_EACH || 10_u64.pow(malformed.ilog10()) == malformed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(
        received_ns: Option<u64>,
        stream: &'static str,
        payload: &'static str,
    ) -> Line<'static> {
        Line::Event(Event { received_ns, stream: Cow::Borrowed(stream), payload })
    }

    fn run(input: &[u8], line_bytes_max: usize) -> (Vec<String>, FeedCounters) {
        let counters = FeedCounters::default();
        let mut events = Vec::new();
        // A small buffer, so that lines are split at many places.
        let reader = io::BufReader::with_capacity(7, input);
        EventReader::new(reader, line_bytes_max, "test", &counters)
            .run(&Switch::started(), |event| {
                events.push(format!("{} {}", event.stream, event.payload));
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
            (
                r#"  {"data": { "x" : 1.0 } ,"stream":"a","x":0}"#,
                event(None, "a", r#"{ "x" : 1.0 }"#),
            ),
            (r#"{"stream":"\u0061\u00e9","data":7}"#, event(None, "aé", "7")),
            ("", Line::Blank),
            (" \r\n", Line::Blank),
            (r#"17 {"lastUpdateId":1,"bids":[],"asks":[["1","2"]]}"#, Line::Snapshot),
        ] {
            assert_eq!(parse_line(line.as_bytes()), Ok(expected), "{line}");
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
}
