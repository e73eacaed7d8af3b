//! Stream names: which are acceptable, and what may happen to their events when a client lags.
//! Knows no list of streams that exist: an unknown name is accepted and stays silent, because
//! clients connect to names such as `0` before they subscribe.
//! Invariant: a [`StreamName`] is 1..=[`STREAM_NAME_BYTES_MAX`] bytes without control characters
//! or white space.

use std::borrow::Cow;
use std::fmt;

/// The longest stream name accepted, in bytes. The longest that is documented has about 40.
pub const STREAM_NAME_BYTES_MAX: usize = 256;

/// A checked stream name, such as `btcusdt@trade`. Names are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName<'a>(Cow<'a, str>);

impl<'a> StreamName<'a> {
    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidStream`] when it is empty, longer than [`STREAM_NAME_BYTES_MAX`] bytes, or holds
    /// a control character or white space.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, InvalidStream> {
        let name = name.into();
        let long = name.len() > STREAM_NAME_BYTES_MAX;
        if name.is_empty() || long || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidStream);
        }
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What may happen to this stream's events when a client lags.
    #[must_use]
    pub fn class(&self) -> StreamClass {
        StreamClass::of(&self.0)
    }

    /// The name, detached from the message it was read from.
    #[must_use]
    pub fn into_owned(self) -> StreamName<'static> {
        StreamName(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Display for StreamName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that no stream can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stream name is 1 to {STREAM_NAME_BYTES_MAX} bytes without spaces and control characters"
)]
pub struct InvalidStream;

/// What may happen to an event whose client has not taken the earlier ones yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamClass {
    /// Each event is the whole state: the newest replaces one still queued, and a new subscriber
    /// gets the last one at once.
    State,
    /// Order-book differences: queued ones may be folded into one (`U` of the first, `u` of the
    /// last, newest quantity per level).
    Diff,
    /// Each event counts: none may be dropped, so a client that falls too far behind is closed.
    Event,
}

impl StreamClass {
    /// The class of a stream, told by its name alone.
    #[must_use]
    pub fn of(name: &str) -> Self {
        // Market-wide streams start with `!` and put their kind first: `!ticker@arr`.
        if let Some(kind) = name.strip_prefix('!').and_then(|rest| rest.strip_suffix("@arr")) {
            return if is_ticker(kind) { Self::State } else { Self::Event };
        }
        let Some((_, kind)) = name.split_once('@') else {
            return Self::Event;
        };
        match kind {
            "depth" | "depth@100ms" | "depth@1000ms" => Self::Diff,
            "bookTicker" | "avgPrice" => Self::State,
            _ if is_ticker(kind) || is_partial_depth(kind) => Self::State,
            // `kline_1d@+08:00` is a day in another time zone.
            _ if kind.strip_prefix("kline_").is_some_and(|interval| !interval.is_empty()) => {
                Self::State
            }
            _ => Self::Event,
        }
    }
}

fn is_ticker(kind: &str) -> bool {
    matches!(kind, "ticker" | "miniTicker")
        || kind.strip_prefix("ticker_").is_some_and(|window| !window.is_empty())
}

fn is_partial_depth(kind: &str) -> bool {
    let Some(rest) = kind.strip_prefix("depth") else {
        return false;
    };
    let (levels, speed) = rest.split_once('@').unwrap_or((rest, "1000ms"));
    matches!(levels, "5" | "10" | "20") && matches!(speed, "100ms" | "1000ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names the exchange does not know are still names: only unusable ones are refused.
    #[test]
    fn only_empty_overlong_and_unprintable_names_are_invalid() {
        let longest = "x".repeat(STREAM_NAME_BYTES_MAX);
        for name in ["btcusdt@trade", "0", "BTCUSDT@trade", "!ticker@arr", "\"\\", "é", &longest] {
            assert!(StreamName::new(name).is_ok(), "{name:?}");
        }
        let overlong = "x".repeat(STREAM_NAME_BYTES_MAX + 1);
        for name in ["", " ", "a b", "a\n", "\0", "\u{7f}", "\u{2028}", &overlong] {
            assert_eq!(StreamName::new(name), Err(InvalidStream), "{name:?}");
        }
    }

    /// Stream classes: state streams hold whole values.
    #[test]
    fn a_stream_whose_event_is_the_whole_state_is_state() {
        for name in [
            "btcusdt@bookTicker",
            "btcusdt@ticker",
            "btcusdt@ticker_1h",
            "btcusdt@miniTicker",
            "btcusdt@avgPrice",
            "btcusdt@kline_1m",
            "btcusdt@kline_1d@+08:00",
            "btcusdt@depth5",
            "btcusdt@depth10@100ms",
            "btcusdt@depth20@1000ms",
            "!miniTicker@arr",
            "!ticker@arr",
            "!ticker_4h@arr",
        ] {
            assert_eq!(StreamClass::of(name), StreamClass::State, "{name}");
        }
    }

    /// Stream classes: only the three spellings of the diff stream may be folded.
    #[test]
    fn the_depth_streams_are_diffs() {
        for name in ["btcusdt@depth", "btcusdt@depth@100ms", "btcusdt@depth@1000ms"] {
            assert_eq!(StreamClass::of(name), StreamClass::Diff, "{name}");
        }
    }

    /// Stream classes: "trade, aggTrade, anything else".
    #[test]
    fn anything_else_is_an_event() {
        for name in [
            "btcusdt@trade",
            "btcusdt@aggTrade",
            "btcusdt@depth7",
            "btcusdt@depth5@250ms",
            "btcusdt@depth@250ms",
            "btcusdt@kline_",
            "btcusdt@ticker_",
            "!forceOrder@arr",
            "!serverShutdown",
            "0",
            "",
            "@",
        ] {
            assert_eq!(StreamClass::of(name), StreamClass::Event, "{name}");
        }
    }
}
