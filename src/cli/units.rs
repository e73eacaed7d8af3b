//! Values with units on the command line: durations and byte counts.

use std::time::Duration;

/// The text that turns a limit or a timeout off.
const OFF: &str = "off";

/// A duration such as `5s`, `500ms`, `1m 30s`; a bare number is in seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number with a unit, such as 5s or 500ms"))
}

/// A timeout that can be turned off.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionalDuration(pub(super) Option<Duration>);

/// A duration, or `off` (or 0).
pub(super) fn optional_duration(text: &str) -> Result<OptionalDuration, String> {
    if text == OFF || text == "0" {
        return Ok(OptionalDuration(None));
    }
    let duration = duration(text).map_err(|error| format!("{error}, or off"))?;
    Ok(OptionalDuration(Some(duration).filter(|duration| !duration.is_zero())))
}

/// A number of bytes such as `65536`, `64KiB`, `16 MiB`; at least one.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let parsed = text.parse::<bytesize::ByteSize>();
    match parsed.map(|size| size.as_u64()) {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(_) => Err("write a number of bytes, such as 65536 or 64KiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert!(duration("5 apples").is_err_and(|error| error.contains("5s or 500ms")));
        assert_eq!(optional_duration("off").map(|d| d.0), Ok(None));
        assert_eq!(optional_duration("0s").map(|d| d.0), Ok(None));
        assert_eq!(optional_duration("1m").map(|d| d.0), Ok(Some(Duration::from_secs(60))));
        assert!(optional_duration("never").is_err());
    }

    #[test]
    fn byte_counts_are_plain_or_have_units() {
        assert_eq!(bytes("1024"), Ok(1024));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("16 MiB"), Ok(16 << 20));
        for wrong in ["0", "-1", "much", ""] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
