//! How fast: exact decimal factors, so that a long replay does not drift.
//! Invariant: a [`Factor`] is a positive number of millionths; no floating point is involved.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The largest factor that can be written.
const WHOLE_MAX: u64 = 1_000_000;
const MILLIONTHS: u64 = 1_000_000;
const DECIMALS_MAX: usize = 6;

/// A positive decimal number with at most six digits after the point, such as `10` or `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor {
    millionths: u64,
}

impl Factor {
    /// One: the speed, or the amount, that things have by themselves.
    pub const ONE: Self = Self { millionths: MILLIONTHS };

    /// The factor in millionths, never zero.
    #[must_use]
    pub fn millionths(self) -> u64 {
        self.millionths
    }

    /// How long `recorded` takes when it passes this many times as fast.
    #[must_use]
    pub fn shorten(self, recorded: Duration) -> Duration {
        let ns = recorded.as_nanos().saturating_mul(u128::from(MILLIONTHS));
        let ns = ns / u128::from(self.millionths);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

impl FromStr for Factor {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return Err(SpeedError::NotANumber);
        }
        let parse = |part: &str| part.parse::<u64>().map_err(|_| SpeedError::OutOfRange);
        if decimals.len() > DECIMALS_MAX {
            return Err(SpeedError::OutOfRange);
        }
        let whole = parse(whole)?;
        let decimals = parse(&format!("{decimals:0<DECIMALS_MAX$}"))?;
        let millionths = whole.saturating_mul(MILLIONTHS).saturating_add(decimals);
        if millionths == 0 || millionths > WHOLE_MAX * MILLIONTHS {
            return Err(SpeedError::OutOfRange);
        }
        Ok(Self { millionths })
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.millionths % MILLIONTHS);
        write!(f, "{}", self.millionths / MILLIONTHS)?;
        match decimals.trim_end_matches('0') {
            "" => Ok(()),
            decimals => write!(f, ".{decimals}"),
        }
    }
}

/// How fast a recording is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// This many times as fast as it was recorded.
    Times(Factor),
    /// As fast as its events are taken.
    Max,
}

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        match text {
            "max" => Ok(Self::Max),
            _ => text.parse().map(Self::Times),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(factor) => factor.fmt(f),
            Self::Max => f.write_str("max"),
        }
    }
}

/// Why a text is no speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpeedError {
    /// Neither a decimal number nor `max`.
    #[error("expected a number such as 1, 10 or 0.5, or `max` for a replay's speed")]
    NotANumber,
    /// Zero, beyond the largest, or finer than can be kept.
    #[error("expected a number from 0.000001 to {WHOLE_MAX} with at most {DECIMALS_MAX} decimals")]
    OutOfRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replay: the speeds people write, as they are read and shown.
    #[test]
    fn speeds_are_read_exactly_and_shown_shortest() {
        for (text, shown) in [
            ("1", "1"),
            ("10", "10"),
            ("0.5", "0.5"),
            ("1.250", "1.25"),
            ("0.000001", "0.000001"),
            ("1000000", "1000000"),
            ("max", "max"),
        ] {
            assert_eq!(text.parse::<Speed>().unwrap().to_string(), shown);
        }
    }

    /// Replay: what cannot be a speed is refused with a reason.
    #[test]
    fn other_texts_are_refused() {
        for (text, error) in [
            ("", SpeedError::NotANumber),
            ("fast", SpeedError::NotANumber),
            ("-1", SpeedError::NotANumber),
            ("1e3", SpeedError::NotANumber),
            ("1.", SpeedError::NotANumber),
            (".5", SpeedError::NotANumber),
            ("+1", SpeedError::NotANumber),
            ("0", SpeedError::OutOfRange),
            ("0.0", SpeedError::OutOfRange),
            ("0.0000001", SpeedError::OutOfRange),
            ("1000001", SpeedError::OutOfRange),
            ("99999999999999999999", SpeedError::OutOfRange),
        ] {
            assert_eq!(text.parse::<Speed>(), Err(error), "{text:?}");
        }
    }

    /// Replay: due times are computed from the start, in whole nanoseconds.
    #[test]
    fn a_factor_shortens_or_stretches_time() {
        let shorten = |factor: &str, ns| {
            factor.parse::<Factor>().unwrap().shorten(Duration::from_nanos(ns)).as_nanos()
        };
        assert_eq!(shorten("1", 1_723_161_254_024_619_568), 1_723_161_254_024_619_568);
        assert_eq!(shorten("10", 1005), 100);
        assert_eq!(shorten("0.5", 3), 6);
        assert_eq!(shorten("0.000001", u64::MAX), u128::from(u64::MAX));
    }
}
