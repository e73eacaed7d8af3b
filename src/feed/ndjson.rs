//! Events as lines of JSON, in the shape in which clients of combined streams receive them:
//!
//! ```text
//! {"stream":"btcusdt@trade","data":{…}}
//! 1723161254024619568 {"stream":"btcusdt@trade","data":{…}}
//! ```
//!
//! The second form starts with the receive time in nanoseconds, as recorders write it. A payload
//! is passed on in exactly the bytes of `data`. Blank lines are skipped. Recorders put two more kinds of
//! lines between events: whole order books as the REST interface answers them, and lists of streams
//! as `LIST_SUBSCRIPTIONS` is answered:
//!
//! ```text
//! 1723161254024619568 {"s":"BTCUSDT","lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[]}
//! 1723161254024619568 {"result":["btcusdt@trade"],"id":1}
//! ```
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
    Snapshot(Snapshot<'a>),
    /// The streams that events follow of.
    Streams(Vec<Cow<'a, str>>),
}

/// A whole order book, borrowed from its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// The symbol, where the line says one, in its member `s`.
    pub symbol: Option<Cow<'a, str>>,
    /// The whole answer, byte for byte.
    pub payload: &'a str,
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
        _ if members.is_snapshot => {
            let symbol = members.symbol.and_then(|symbol| serde_json::from_str(symbol.get()).ok());
            Ok(Line::Snapshot(Snapshot { symbol: symbol.map(|Text(text)| text), payload: json }))
        }
        _ => match members.result.map(|result| serde_json::from_str(result.get())) {
            Some(Ok(streams)) => {
                let streams: Vec<Text<'_>> = streams;
                Ok(Line::Streams(streams.into_iter().map(|Text(text)| text).collect()))
            }
            _ => Err(LineError::NoStream),
        },
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

/// A string, borrowed where it has no escapes, in a list too.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct RawMembers<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    // What these two are matters only in lines that are no events.
    #[serde(borrow)]
    s: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<IgnoredAny>,
    bids: Option<IgnoredAny>,
    asks: Option<IgnoredAny>,
}

struct Members<'a> {
    stream: Option<Cow<'a, str>>,
    data: Option<&'a RawValue>,
    symbol: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
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
        let RawMembers { stream, data, s: symbol, result, .. } = raw;
        Ok(Self { stream, data, symbol, result, is_snapshot })
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

/// Reads lines that say something, and does with all others what is to be done with them.
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

    /// How many lines were read so far.
    pub fn lines(&self) -> u64 {
        self.triage.lines
    }

    /// How many of them were malformed.
    pub fn malformed(&self) -> u64 {
        self.triage.malformed
    }

    /// Calls `on_line` for every line that says something, in order, until the end, a stop or an
    /// error.
    ///
    /// # Errors
    /// What the reader reports.
    pub fn run(
        &mut self,
        switch: &Switch,
        mut on_line: impl FnMut(Line<'_>) -> Flow,
    ) -> io::Result<Flow> {
        while !switch.is_stopped() {
            let Some(line) = self.lines.next_line()? else {
                return Ok(Flow::Continue);
            };
            if let Some(line) = self.triage.sort(line, self.source, self.counters)
                && on_line(line) == Flow::Stop
            {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Stop)
    }
}

/// Sorts a source's lines: those that say something are the caller's, and the malformed ones are
/// counted and reported.
#[derive(Debug, Default)]
pub(super) struct Triage {
    lines: u64,
    events: u64,
    malformed: u64,
}

impl Triage {
    /// What the next line says, if anything.
    pub(super) fn sort<'l>(
        &mut self,
        line: Result<&'l [u8], LineError>,
        source: &str,
        counters: &FeedCounters,
    ) -> Option<Line<'l>> {
        self.lines += 1;
        match line.and_then(parse_line) {
            Ok(Line::Blank) => None,
            Ok(line) => {
                match line {
                    Line::Event(_) => self.events += 1,
                    Line::Snapshot(_) => counters.count_snapshot_line(),
                    Line::Blank | Line::Streams(_) => {}
                }
                Some(line)
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
mod tests;
