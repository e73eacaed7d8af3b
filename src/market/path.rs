//! Which path a client may upgrade on, and what it then listens to.
//!
//! `/ws[/<stream>…]` is raw and `/stream[?streams=<stream>/…]` is combined, behind any prefix;
//! any other path is not found. Escapes (RFC 3986 §2.1) in stream names are decoded first and the
//! result is split at `/` after: some clients escape the separator too (`%2F`), and no stream
//! name contains one. A `+` stays a `+`: these are URI components, not HTML forms.
//! Invariant: an [`Endpoint`] holds checked names only, at most as many as the caller allows.

use std::borrow::Cow;

use super::envelope::{Framing, Sequence, TimeUnit, View};
use super::stream::StreamName;

/// The most streams one connection may name in its path or subscribe to: the exchange's figure.
pub const STREAMS_PER_CONNECTION_DEFAULT: usize = 1024;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// How events are written for this client, until it sets the property `combined`.
    pub view: View,
    /// The streams named, in order, repetitions included.
    pub streams: Vec<StreamName<'static>>,
}

impl Endpoint {
    /// Reads a request target that was split at its first `?`. An upgrade on the result is
    /// accepted even where nothing feeds its streams.
    ///
    /// # Errors
    /// [`PathError::NotFound`] for a path that is no stream endpoint, and the other variants for
    /// one that is but says something unusable. [`PathError::status`] maps them to HTTP.
    pub fn parse(path: &str, query: Option<&str>, streams_max: usize) -> Result<Self, PathError> {
        let (framing, tail) = split_endpoint(path)?;
        let mut streams = Vec::new();
        let mut unit = TimeUnit::Millisecond;
        if framing == Framing::Raw {
            push_streams(tail, streams_max, &mut streams)?;
        }
        for (key, value) in query.into_iter().flat_map(pairs) {
            match key {
                "streams" if framing == Framing::Combined => {
                    push_streams(value, streams_max, &mut streams)?;
                }
                "timeUnit" => unit = time_unit(value)?,
                // As on the exchange, a parameter that means nothing here is no error.
                _ => {}
            }
        }
        Ok(Self { view: View::new(framing, unit, Sequence::Hidden), streams })
    }
}

/// Why a request target is no stream endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Neither `/ws…` nor `/stream`.
    #[error("not a stream endpoint; use /ws/<stream> or /stream?streams=<stream>")]
    NotFound,
    /// A `%` without two hexadecimal digits, or escapes that are not UTF-8.
    #[error("invalid percent-encoding in the stream names")]
    BadEscape,
    /// A name that is over-long or holds spaces or control characters.
    #[error("invalid stream name")]
    InvalidStream,
    /// More streams than a connection may have.
    #[error("too many streams for one connection")]
    TooManyStreams,
    /// `timeUnit` is neither `MILLISECOND` nor `MICROSECOND`.
    #[error("timeUnit must be MILLISECOND or MICROSECOND")]
    UnknownTimeUnit,
}

impl PathError {
    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::BadEscape
            | Self::InvalidStream
            | Self::TooManyStreams
            | Self::UnknownTimeUnit => 400,
        }
    }
}

/// Finds the segment `ws`, or `stream` at the end; what precedes it is a prefix nobody looks at.
/// `/stream` too may be a prefix of `/ws`: ccxt knows spot by it when it also trades futures.
fn split_endpoint(path: &str) -> Result<(Framing, &str), PathError> {
    let mut rest = path.strip_prefix('/').ok_or(PathError::NotFound)?;
    loop {
        let (segment, tail) = rest.split_once('/').unwrap_or((rest, ""));
        match segment {
            "ws" => return Ok((Framing::Raw, tail)),
            "stream" if tail.bytes().all(|byte| byte == b'/') => {
                return Ok((Framing::Combined, tail));
            }
            // `/stream/x` is a raw name on the combined endpoint: the exchange answers 404.
            "stream" if !tail.starts_with("ws/") && tail != "ws" => {
                return Err(PathError::NotFound);
            }
            _ if tail.is_empty() => return Err(PathError::NotFound),
            _ => rest = tail,
        }
    }
}

/// The parameters of a query, in order and not decoded.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn push_streams(
    encoded: &str,
    streams_max: usize,
    streams: &mut Vec<StreamName<'static>>,
) -> Result<(), PathError> {
    // Doubled and trailing slashes name nothing.
    for name in percent_decode(encoded)?.split('/').filter(|name| !name.is_empty()) {
        if streams.len() == streams_max {
            return Err(PathError::TooManyStreams);
        }
        let name = StreamName::new(name).map_err(|_| PathError::InvalidStream)?;
        streams.push(name.into_owned());
    }
    Ok(())
}

fn time_unit(value: &str) -> Result<TimeUnit, PathError> {
    if value.eq_ignore_ascii_case("microsecond") {
        Ok(TimeUnit::Microsecond)
    } else if value.eq_ignore_ascii_case("millisecond") {
        Ok(TimeUnit::Millisecond)
    } else {
        Err(PathError::UnknownTimeUnit)
    }
}

/// Decodes the escapes of a URI component (RFC 3986 §2.1).
pub(super) fn percent_decode(encoded: &str) -> Result<Cow<'_, str>, PathError> {
    if !encoded.contains('%') {
        return Ok(Cow::Borrowed(encoded));
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        // RFC 3986 §2.1: an escape is "%" followed by two hexadecimal digits.
        let (Some(high), Some(low)) = (hex(bytes.next()), hex(bytes.next())) else {
            return Err(PathError::BadEscape);
        };
        decoded.push(high << 4 | low);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| PathError::BadEscape)
}

fn hex(digit: Option<u8>) -> Option<u8> {
    match digit? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(target: &str) -> Result<Endpoint, PathError> {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Endpoint::parse(path, query, 4)
    }

    fn describe(target: &str) -> String {
        match parse(target) {
            Ok(endpoint) => {
                let names: Vec<_> = endpoint.streams.iter().map(StreamName::as_str).collect();
                let View { framing, unit, .. } = endpoint.view;
                format!("{framing:?} {unit:?} [{}]", names.join(" "))
            }
            Err(error) => format!("{error:?} {}", error.status()),
        }
    }

    /// Paths: what the clients in use dial, and what each of them gets.
    #[test]
    fn every_known_dialling_habit_is_understood() {
        for (target, expected) in [
            ("/ws", "Raw Millisecond []"),
            ("/ws/", "Raw Millisecond []"),
            ("/ws/0", "Raw Millisecond [0]"),
            ("/ws/btcusdt@trade", "Raw Millisecond [btcusdt@trade]"),
            ("/ws/btcusdt%40trade", "Raw Millisecond [btcusdt@trade]"),
            ("/ws/a@trade/b@depth/", "Raw Millisecond [a@trade b@depth]"),
            ("/ws//a@trade//b@depth", "Raw Millisecond [a@trade b@depth]"),
            ("/ws/a@trade%2fb@depth", "Raw Millisecond [a@trade b@depth]"),
            ("/ws/!ticker@arr", "Raw Millisecond [!ticker@arr]"),
            ("/ws/stream", "Raw Millisecond [stream]"),
            ("/ws/a?timeUnit=MICROSECOND", "Raw Microsecond [a]"),
            ("/ws/a?x=1&timeUnit=microsecond", "Raw Microsecond [a]"),
            ("/ws/a?timeUnit=MILLISECOND", "Raw Millisecond [a]"),
            ("/ws/a?streams=b", "Raw Millisecond [a]"),
            ("/public/ws/a", "Raw Millisecond [a]"),
            ("/stream", "Combined Millisecond []"),
            ("/stream/", "Combined Millisecond []"),
            ("/stream/ws", "Raw Millisecond []"),
            ("/stream/ws/a@trade", "Raw Millisecond [a@trade]"),
            ("/stream?", "Combined Millisecond []"),
            ("/stream?streams=", "Combined Millisecond []"),
            ("/stream?streams=a@trade/b@depth", "Combined Millisecond [a@trade b@depth]"),
            ("/stream/?streams=a%40trade%2Fb", "Combined Millisecond [a@trade b]"),
            ("/stream?streams=a/&streams=b", "Combined Millisecond [a b]"),
            ("/stream?timeUnit=microsecond&streams=a", "Combined Microsecond [a]"),
            ("/market/v1/stream?streams=a", "Combined Millisecond [a]"),
        ] {
            assert_eq!(describe(target), expected, "{target}");
        }
    }

    /// Paths: "another path + upgrade, also `/stream/x`: HTTP 404".
    #[test]
    fn other_paths_are_not_found_and_unusable_ones_are_bad_requests() {
        for (target, expected) in [
            ("", "NotFound 404"),
            ("*", "NotFound 404"),
            ("ws", "NotFound 404"),
            ("/", "NotFound 404"),
            ("/wss/a", "NotFound 404"),
            ("/WS/a", "NotFound 404"),
            ("/stream/x", "NotFound 404"),
            ("/stream/wsx", "NotFound 404"),
            ("/streams?streams=a", "NotFound 404"),
            ("/api/v3/ping", "NotFound 404"),
            ("/ws/a%4", "BadEscape 400"),
            ("/ws/a%zz", "BadEscape 400"),
            ("/ws/%ff", "BadEscape 400"),
            ("/ws/a%20b", "InvalidStream 400"),
            ("/ws/%00", "InvalidStream 400"),
            ("/ws/a?timeUnit=hour", "UnknownTimeUnit 400"),
        ] {
            assert_eq!(describe(target), expected, "{target}");
        }
    }

    /// Limits: the caller's number of streams is accepted, one more is not.
    #[test]
    fn the_limit_of_streams_is_inclusive() {
        assert_eq!(parse("/ws/a/b/c/d").unwrap().streams.len(), 4);
        assert_eq!(parse("/ws/a/b/c/d/e"), Err(PathError::TooManyStreams));
        assert_eq!(parse("/stream?streams=a/b/c/d/e"), Err(PathError::TooManyStreams));
    }

    proptest! {
        /// A peer's request target never panics, whatever it is.
        #[test]
        fn any_target_is_answered(target in any::<String>(), tail in "[/%0-9a-f&=?]{0,40}") {
            let _ = parse(&target);
            let _ = parse(&format!("/ws/{target}{tail}"));
            let _ = parse(&format!("/stream?streams={tail}{target}"));
        }
    }
}
