//! One event, written the way a client asked for it: bare or with its stream's name, times in
//! milliseconds or microseconds.
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
}

impl View {
    /// How many views there are.
    pub const COUNT: usize = 4;

    /// Every view, each at the place that [`Self::index`] gives it.
    pub const ALL: [Self; Self::COUNT] = [
        Self { framing: Framing::Raw, unit: TimeUnit::Millisecond },
        Self { framing: Framing::Combined, unit: TimeUnit::Millisecond },
        Self { framing: Framing::Raw, unit: TimeUnit::Microsecond },
        Self { framing: Framing::Combined, unit: TimeUnit::Microsecond },
    ];

    /// This view's place in [`Self::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        let unit = match self.unit {
            TimeUnit::Millisecond => 0,
            TimeUnit::Microsecond => 2,
        };
        match self.framing {
            Framing::Raw => unit,
            Framing::Combined => unit + 1,
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

/// Appends one event as `view` shows it. `payload` is a JSON text with times in milliseconds.
///
/// # Example
/// ```
/// use tickwire::market::{Framing, TimeUnit, View, envelope};
///
/// let view = View { framing: Framing::Combined, unit: TimeUnit::Microsecond };
/// let mut out = Vec::new();
/// envelope::render("btcusdt@trade", br#"{"e":"trade","E":5,"t":7}"#, view, &mut out);
/// assert_eq!(
///     String::from_utf8(out).unwrap(),
///     r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":5000,"t":7}}"#,
/// );
/// ```
pub fn render(stream: &str, payload: &[u8], view: View, out: &mut Vec<u8>) {
    if view.framing == Framing::Combined {
        out.extend_from_slice(br#"{"stream":"#);
        push_string(stream, out);
        out.extend_from_slice(br#","data":"#);
    }
    match view.unit {
        TimeUnit::Millisecond => out.extend_from_slice(payload),
        TimeUnit::Microsecond => push_in_microseconds(payload, out),
    }
    if view.framing == Framing::Combined {
        out.push(b'}');
    }
}

/// Appends the event that announces a planned stop, `now_ms` milliseconds after the epoch.
pub fn server_shutdown(now_ms: u64, view: View, out: &mut Vec<u8>) {
    let payload = format!(r#"{{"e":"serverShutdown","E":{now_ms}}}"#);
    render(SHUTDOWN_STREAM, payload.as_bytes(), view, out);
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(payload: &str, framing: Framing, unit: TimeUnit) -> String {
        let mut out = Vec::new();
        render("s", payload.as_bytes(), View { framing, unit }, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn micros(payload: &str) -> String {
        rendered(payload, Framing::Raw, TimeUnit::Microsecond)
    }

    /// Views: each has its own place, so an array of frames can be indexed by it.
    #[test]
    fn a_view_is_found_at_its_index() {
        for (index, view) in View::ALL.iter().enumerate() {
            assert_eq!(view.index(), index);
        }
    }

    /// Payloads: which numbers are times depends on the kind of event.
    #[test]
    fn only_documented_times_become_microseconds() {
        for (payload, expected) in [
            (
                r#"{"e":"trade","E":1,"s":"X","t":12345,"p":"0.001","q":"100","T":1,"m":true}"#,
                concat!(
                    r#"{"e":"trade","E":1000,"s":"X","t":12345,"p":"0.001","q":"100","T":1000,"#,
                    r#""m":true}"#,
                ),
            ),
            (
                r#"{"e":"aggTrade","E":1,"a":1,"f":100,"l":105,"T":1}"#,
                r#"{"e":"aggTrade","E":1000,"a":1,"f":100,"l":105,"T":1000}"#,
            ),
            (
                r#"{"e":"kline","E":1,"k":{"t":60000,"T":119999,"f":1,"L":2,"n":1,"T2":3},"T":4}"#,
                concat!(
                    r#"{"e":"kline","E":1000,"k":{"t":60000000,"T":119999000,"f":1,"L":2,"n":1,"#,
                    r#""T2":3},"T":4}"#,
                ),
            ),
            (
                r#"{"e":"24hrTicker","E":1,"Q":"1","O":0,"C":86400000,"F":1,"L":2,"n":1}"#,
                r#"{"e":"24hrTicker","E":1000,"Q":"1","O":0,"C":86400000000,"F":1,"L":2,"n":1}"#,
            ),
            (
                r#"{"e":"1hTicker","E":1,"O":2,"C":3,"F":4}"#,
                r#"{"e":"1hTicker","E":1000,"O":2000,"C":3000,"F":4}"#,
            ),
            (
                r#"[{"e":"24hrMiniTicker","E":1,"c":"1"},{"e":"24hrMiniTicker","E":2}]"#,
                r#"[{"e":"24hrMiniTicker","E":1000,"c":"1"},{"e":"24hrMiniTicker","E":2000}]"#,
            ),
            (
                r#"{"e":"depthUpdate","E":1,"s":"X","U":157,"u":160,"b":[["0.1","10"]],"a":[]}"#,
                r#"{"e":"depthUpdate","E":1000,"s":"X","U":157,"u":160,"b":[["0.1","10"]],"a":[]}"#,
            ),
            (
                r#"{"e":"avgPrice","E":1,"i":"5m","w":"2","T":3}"#,
                r#"{"e":"avgPrice","E":1000,"i":"5m","w":"2","T":3000}"#,
            ),
        ] {
            assert_eq!(micros(payload), expected);
        }
    }

    /// Payloads without `e` have no times, whatever their members are called.
    #[test]
    fn book_tickers_and_partial_books_stay_as_they_are() {
        for payload in [
            r#"{"u":400900217,"s":"X","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}"#,
            r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[]}"#,
            r#"{"E":1,"T":2,"x":{"e":"trade"}}"#,
            "7",
            "",
        ] {
            assert_eq!(micros(payload), payload);
        }
    }

    /// The members' order, their layout and the text in strings do not mislead the scanner.
    #[test]
    fn odd_but_valid_json_is_scanned_correctly() {
        for (payload, expected) in [
            (r#"{ "E" : 5 , "e" : "trade" }"#, r#"{ "E" : 5000 , "e" : "trade" }"#),
            (r#"{"e":"x","s":"\"E\":1,{","E":5}"#, r#"{"e":"x","s":"\"E\":1,{","E":5000}"#),
            (r#"{"e":"x","s":"\\","E":5}"#, r#"{"e":"x","s":"\\","E":5000}"#),
            (r#"{"e":"x","o":{"E":5,"T":6},"E":7}"#, r#"{"e":"x","o":{"E":5,"T":6},"E":7000}"#),
            (r#"{"e":"x","E":0,"T":-1}"#, r#"{"e":"x","E":0,"T":-1}"#),
            (r#"{"e":"x","E":1.5,"T":1e3}"#, r#"{"e":"x","E":1.5,"T":1e3}"#),
            (r#"{"e":"x","E":[1],"T":"2"}"#, r#"{"e":"x","E":[1],"T":"2"}"#),
            (r#"{"x":"E","e":"x","y":"T","E":1}"#, r#"{"x":"E","e":"x","y":"T","E":1000}"#),
        ] {
            assert_eq!(micros(payload), expected);
        }
    }

    /// Paths: combined events are wrapped, and a name cannot break out of its string.
    #[test]
    fn a_combined_event_names_its_stream() {
        let mut out = Vec::new();
        let view = View { framing: Framing::Combined, unit: TimeUnit::Millisecond };
        render("a\"\\@trade", b"{}", view, &mut out);
        assert_eq!(out, br#"{"stream":"a\"\\@trade","data":{}}"#);
    }

    /// Limits: the announcement before a planned stop, in each view.
    #[test]
    fn a_planned_stop_is_announced_in_every_view() {
        let texts = View::ALL.map(|view| {
            let mut out = Vec::new();
            server_shutdown(12, view, &mut out);
            String::from_utf8(out).unwrap()
        });
        assert_eq!(
            texts,
            [
                r#"{"e":"serverShutdown","E":12}"#,
                r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":12}}"#,
                r#"{"e":"serverShutdown","E":12000}"#,
                r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":12000}}"#,
            ]
        );
    }

    proptest! {
        /// A payload that is not even JSON is copied, not panicked on.
        #[test]
        fn any_bytes_are_rendered(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            for view in View::ALL {
                let mut out = Vec::new();
                render("s", &payload, view, &mut out);
                prop_assert!(out.len() >= payload.len());
            }
        }

        /// The same with bytes that mean something to the scanner: only zeros are added.
        #[test]
        fn nothing_but_zeros_is_added(payload in "[{}\\[\\]\":,eETkt1\\\\ -]{0,60}") {
            let shown = micros(&payload);
            let mut left = payload.bytes().peekable();
            for byte in shown.bytes() {
                if left.peek() == Some(&byte) {
                    left.next();
                } else {
                    prop_assert_eq!(byte, b'0');
                }
            }
            prop_assert_eq!(left.next(), None);
        }
    }
}
