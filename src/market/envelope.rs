//! One event, written the way a client asked for it: bare or with its stream's name, and then
//! perhaps with its number, times in milliseconds or microseconds.
//!
//! Payloads pass through as bytes. For microseconds a scanner finds the numbers that the exchange
//! documents as times (which fields those are depends on the event's `e`: a trade's `t` is an
//! identifier, a candle's `t` is a time) and appends three zeros; nothing else changes.
//! Invariant: bytes that are not such a number are copied as they are, valid JSON or not.

use super::json::push_string;

/// The stream name that a [`server_shutdown`] event carries in combined form.
pub const SHUTDOWN_STREAM: &str = "!serverShutdown";

/// How a client's events are written. There are [`View::COUNT`] ways, so that a server can encode
/// each event at most that often, however many clients there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View {
    /// Bare or wrapped.
    pub framing: Framing,
    /// The unit of times.
    pub unit: TimeUnit,
    /// Whether combined events are numbered. Raw ones have no place for a number.
    pub sequence: Sequence,
}

impl View {
    /// How many views there are.
    pub const COUNT: usize = 8;

    /// Every view, each at the place that [`Self::index`] gives it.
    pub const ALL: [Self; Self::COUNT] = [
        Self::new(Framing::Raw, TimeUnit::Millisecond, Sequence::Hidden),
        Self::new(Framing::Combined, TimeUnit::Millisecond, Sequence::Hidden),
        Self::new(Framing::Raw, TimeUnit::Microsecond, Sequence::Hidden),
        Self::new(Framing::Combined, TimeUnit::Microsecond, Sequence::Hidden),
        Self::new(Framing::Raw, TimeUnit::Millisecond, Sequence::Shown),
        Self::new(Framing::Combined, TimeUnit::Millisecond, Sequence::Shown),
        Self::new(Framing::Raw, TimeUnit::Microsecond, Sequence::Shown),
        Self::new(Framing::Combined, TimeUnit::Microsecond, Sequence::Shown),
    ];

    /// A view.
    #[must_use]
    pub const fn new(framing: Framing, unit: TimeUnit, sequence: Sequence) -> Self {
        Self { framing, unit, sequence }
    }

    /// This view's place in [`Self::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        let framing = match self.framing {
            Framing::Raw => 0,
            Framing::Combined => 1,
        };
        let unit = match self.unit {
            TimeUnit::Millisecond => 0,
            TimeUnit::Microsecond => 2,
        };
        let sequence = match self.sequence {
            Sequence::Hidden => 0,
            Sequence::Shown => 4,
        };
        framing + unit + sequence
    }

    /// The view under which events look the same as under this one, and that all such share.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self.framing {
            Framing::Raw => Self { sequence: Sequence::Hidden, ..self },
            Framing::Combined => self,
        }
    }
}

/// Whether an event carries its stream's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// The payload alone.
    Raw,
    /// `{"stream":"<name>","data":<payload>}`.
    Combined,
}

/// The unit of the times in payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// As payloads come from a feed.
    Millisecond,
    /// Asked for with `timeUnit=MICROSECOND`.
    Microsecond,
}

/// Whether a combined event carries its number in its stream, and when it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sequence {
    /// As the exchange writes it.
    Hidden,
    /// `{"stream":"<name>","seq":<number>,"ts":<nanoseconds since the epoch>,"data":<payload>}`.
    Shown,
}

/// What there is to tell of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// A JSON text with times in milliseconds.
    pub payload: &'a [u8],
    /// Which of its stream's events it is, from 1.
    pub seq: u64,
    /// When it came in, in nanoseconds since the Unix epoch.
    pub ingest_ns: u64,
}

/// Appends one event as `view` shows it.
///
/// # Example
/// ```
/// use tickwire::market::envelope::{Event, Framing, Sequence, TimeUnit, View, render};
///
/// let payload = br#"{"e":"trade","E":5,"t":7}"#;
/// let event = Event { stream: "btcusdt@trade", payload, seq: 12, ingest_ns: 5_000_001 };
/// let mut out = Vec::new();
/// render(&event, View::new(Framing::Combined, TimeUnit::Microsecond, Sequence::Shown), &mut out);
/// assert_eq!(
///     String::from_utf8(out).unwrap(),
///     r#"{"stream":"btcusdt@trade","seq":12,"ts":5000001,"data":{"e":"trade","E":5000,"t":7}}"#,
/// );
/// ```
pub fn render(event: &Event<'_>, view: View, out: &mut Vec<u8>) {
    if view.framing == Framing::Combined {
        out.extend_from_slice(br#"{"stream":"#);
        push_string(event.stream, out);
        if view.sequence == Sequence::Shown {
            push_number(br#","seq":"#, event.seq, out);
            push_number(br#","ts":"#, event.ingest_ns, out);
        }
        out.extend_from_slice(br#","data":"#);
    }
    match view.unit {
        TimeUnit::Millisecond => out.extend_from_slice(event.payload),
        TimeUnit::Microsecond => push_in_microseconds(event.payload, out),
    }
    if view.framing == Framing::Combined {
        out.push(b'}');
    }
}

fn push_number(member: &[u8], number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(member);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends the event that announces a planned stop, `now_ms` milliseconds after the epoch. It is
/// no event of a stream that is fed, so it has no number.
pub fn server_shutdown(now_ms: u64, view: View, out: &mut Vec<u8>) {
    let payload = format!(r#"{{"e":"serverShutdown","E":{now_ms}}}"#);
    let payload = payload.as_bytes();
    let event = Event { stream: SHUTDOWN_STREAM, payload, seq: 0, ingest_ns: 0 };
    render(&event, View { sequence: Sequence::Hidden, ..view }, out);
}

/// Which members of an event are times.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// No `e`: book tickers and partial books have none.
    None,
    /// `E` and, where there is one, `T`.
    Event,
    /// `E`, and `t` and `T` of the candle in `k`.
    Candle,
    /// `E`, and `O` and `C`: the ends of the window.
    Window,
}

impl Times {
    fn of_event(name: &[u8]) -> Self {
        match name {
            b"kline" => Self::Candle,
            b"24hrTicker" | b"1hTicker" | b"4hTicker" | b"1dTicker" => Self::Window,
            _ => Self::Event,
        }
    }

    fn include(self, place: Place, key: &[u8]) -> bool {
        match (self, place) {
            (Self::Event, Place::Event) => matches!(key, b"E" | b"T"),
            (Self::Candle, Place::Event) => key == b"E",
            (Self::Candle, Place::Candle) => matches!(key, b"t" | b"T"),
            (Self::Window, Place::Event) => matches!(key, b"E" | b"O" | b"C"),
            _ => false,
        }
    }
}

/// Where in a payload the scanner is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Directly in an event's object.
    Event,
    /// Directly in the object `k` of an event.
    Candle,
    /// Anywhere else.
    Elsewhere,
}

fn push_in_microseconds(payload: &[u8], out: &mut Vec<u8>) {
    let event_depth = event_depth(payload);
    let mut scanner = Scanner::new(payload);
    let mut times = Times::None;
    let mut key: &[u8] = b"";
    let mut in_candle = false;
    let mut copied = 0;
    while let Some(token) = scanner.next() {
        match token {
            Token::Key(name) => {
                key = name;
                continue;
            }
            Token::Open if scanner.depth == event_depth => {
                times = Scanner::new(scanner.rest()).find_event();
                in_candle = false;
            }
            Token::Open if scanner.depth == event_depth + 1 => in_candle = key == b"k",
            Token::Close if scanner.depth == event_depth => in_candle = false,
            Token::Open | Token::Close | Token::String(_) => {}
            Token::Number(digits) => {
                let place = match scanner.depth.checked_sub(event_depth) {
                    Some(0) => Place::Event,
                    Some(1) if in_candle => Place::Candle,
                    _ => Place::Elsewhere,
                };
                if times.include(place, key) && is_scalable(digits) {
                    out.extend_from_slice(payload.get(copied..scanner.at).unwrap_or_default());
                    out.extend_from_slice(b"000");
                    copied = scanner.at;
                }
            }
        }
        key = b"";
    }
    out.extend_from_slice(payload.get(copied..).unwrap_or_default());
}

/// An event is the payload itself, or each element of an array (`!ticker@arr`).
fn event_depth(payload: &[u8]) -> usize {
    if payload.trim_ascii_start().first() == Some(&b'[') { 2 } else { 1 }
}

/// Three more zeros multiply a whole number by 1000, except zero itself.
fn is_scalable(number: &[u8]) -> bool {
    number != b"0" && number.iter().all(u8::is_ascii_digit)
}

/// A piece of JSON that matters here. Strings come without their quotes, escapes as written.
enum Token<'a> {
    Open,
    Close,
    Key(&'a [u8]),
    String(&'a [u8]),
    Number(&'a [u8]),
}

/// Walks over JSON without checking it.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            match byte {
                b'{' | b'[' => {
                    self.at += 1;
                    self.depth += 1;
                    return Some(Token::Open);
                }
                b'}' | b']' => {
                    self.at += 1;
                    self.depth = self.depth.saturating_sub(1);
                    return Some(Token::Close);
                }
                b'"' => return Some(self.string()),
                b'-' | b'0'..=b'9' => return Some(self.number()),
                _ => self.at += 1,
            }
        }
    }

    fn string(&mut self) -> Token<'a> {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let mut escaped = false;
        let length = rest
            .iter()
            .position(|&byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            })
            .unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or_default();
        // An unfinished string has no closing quote to step over.
        self.at = (self.at + length + 2).min(self.bytes.len());
        // In JSON only a member's name is followed by a colon.
        if self.rest().trim_ascii_start().first() == Some(&b':') {
            Token::Key(text)
        } else {
            Token::String(text)
        }
    }

    fn number(&mut self) -> Token<'a> {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
            .unwrap_or(rest.len());
        self.at += length;
        Token::Number(rest.get(..length).unwrap_or_default())
    }

    /// Reads on from just inside an event's object, up to its `e` or its end.
    fn find_event(mut self) -> Times {
        let mut is_name = false;
        self.depth = 1;
        while let Some(token) = self.next() {
            match token {
                Token::Key(key) => {
                    is_name = self.depth == 1 && key == b"e";
                    continue;
                }
                Token::String(name) if is_name => return Times::of_event(name),
                Token::Close if self.depth == 0 => return Times::None,
                _ => {}
            }
            is_name = false;
        }
        Times::None
    }
}

#[cfg(test)]
mod tests;
