//! Values on the command line that are more than a number: durations, byte counts, cores.

use crate::feed::Moment;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

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

/// A moment of a recording: a time in UTC, a number of seconds or parts of it since 1970, or a span
/// from its beginning.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    const HOW: &str = "write a time such as 2024-08-08T23:54:30Z, a number of seconds, ms, us or ns \
                       since 1970, or +90s from the beginning";
    if let Some(span) = text.strip_prefix('+') {
        return duration(span).map(Moment::After);
    }
    if let Ok(number) = text.parse::<u64>() {
        // Told apart by their size: each is of this century up to the year 2286.
        let ns = match text.len() {
            ..=10 => number.checked_mul(1_000_000_000),
            11..=13 => number.checked_mul(1_000_000),
            14..=16 => number.checked_mul(1_000),
            _ => Some(number),
        };
        return ns.map(Moment::At).ok_or_else(|| HOW.to_owned());
    }
    let time = humantime::parse_rfc3339_weak(text).map_err(|_| HOW.to_owned())?;
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| HOW.to_owned())?;
    let ns = u64::try_from(since_epoch.as_nanos()).map_err(|_| HOW.to_owned())?;
    Ok(Moment::At(ns))
}

/// A time in nanoseconds since 1970, as people read it: in UTC, to the millisecond.
pub(super) fn utc(ns: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(ns);
    let text = humantime::format_rfc3339_millis(time).to_string();
    text.trim_end_matches('Z').replace('T', " ")
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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

/// A number of bytes that can be turned off.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionalBytes(pub(super) Option<u32>);

/// A number of bytes below 2 GiB, or `off`.
pub(super) fn optional_bytes(text: &str) -> Result<OptionalBytes, String> {
    if text == OFF {
        return Ok(OptionalBytes(None));
    }
    let bytes = bytes(text).map_err(|error| format!("{error}, or off"))?;
    // The kernel takes a signed number of 32 bits.
    let bytes = i32::try_from(bytes).ok().and_then(|bytes| u32::try_from(bytes).ok());
    bytes.map(|bytes| OptionalBytes(Some(bytes))).ok_or_else(|| "must be less than 2GiB".to_owned())
}

/// An address and a port, or a port such as `9100` or `:9100`, which is on 127.0.0.1.
pub(super) fn loopback_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.strip_prefix(':').unwrap_or(text).parse();
    let address = port.map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    address.map_err(|_| "write a port, or an address and a port such as 0.0.0.0:9100".to_owned())
}

/// A part of something: a number of percent, with or without the sign.
pub(super) fn percent(text: &str) -> Result<u8, String> {
    match text.strip_suffix('%').unwrap_or(text).parse() {
        Ok(percent @ 0..=100) => Ok(percent),
        _ => Err("write a number of percent from 0 to 100".to_owned()),
    }
}

/// A number of microseconds, or `off`.
pub(super) fn optional_micros(text: &str) -> Result<OptionalDuration, String> {
    const MICROS_MAX: u64 = 1_000_000;
    if text == OFF {
        return Ok(OptionalDuration(None));
    }
    match text.parse() {
        Ok(micros @ 1..=MICROS_MAX) => Ok(OptionalDuration(Some(Duration::from_micros(micros)))),
        _ => Err(format!("write a number of microseconds from 1 to {MICROS_MAX}, or off")),
    }
}

/// Cores by their numbers, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Cores(pub(super) Vec<usize>);

/// Cores such as `2`, `2,3`, `2-5`, `0,4-6`.
pub(super) fn cores(text: &str) -> Result<Cores, String> {
    const CORES_MAX: usize = 4096;
    let wrong = || "write the numbers of cores, such as 2 or 2,3 or 2-5".to_owned();
    let core =
        |text: &str| text.trim().parse().ok().filter(|core| *core < CORES_MAX).ok_or_else(wrong);
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for core in core(first)?..=core(last)? {
            if cores.contains(&core) {
                return Err(format!("core {core} is given twice"));
            }
            cores.push(core);
        }
    }
    if cores.is_empty() { Err(wrong()) } else { Ok(Cores(cores)) }
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
        assert_eq!(optional_bytes("128KiB").map(|bytes| bytes.0), Ok(Some(131_072)));
        assert_eq!(optional_bytes("off").map(|bytes| bytes.0), Ok(None));
        assert!(optional_bytes("2GiB").is_err() && optional_bytes("0").is_err());
    }

    #[test]
    fn a_bare_port_is_on_loopback() {
        for text in ["9100", ":9100", "127.0.0.1:9100"] {
            assert_eq!(loopback_address(text), Ok("127.0.0.1:9100".parse().unwrap()), "{text}");
        }
        assert_eq!(loopback_address("[::]:9100"), Ok("[::]:9100".parse().unwrap()));
        for wrong in ["", ":", "here:9100", "65536", "127.0.0.1", "::9100"] {
            assert!(loopback_address(wrong).is_err_and(|said| said.contains("0.0.0.0:9100")));
        }
    }

    #[test]
    fn percents_are_bare_or_have_the_sign() {
        assert_eq!(["0", "10", "10%", "100%"].map(percent), [0, 10, 10, 100].map(Ok));
        assert!(["101", "-1", "", "ten", "%"].iter().all(|wrong| percent(wrong).is_err()));
    }

    #[test]
    fn a_moment_is_told_in_any_of_the_ways_people_have() {
        let at = Moment::At(1_723_161_254_000_000_000);
        for text in [
            "2024-08-08T23:54:14Z",
            "2024-08-08 23:54:14",
            "1723161254",
            "1723161254000",
            "1723161254000000",
            "1723161254000000000",
        ] {
            assert_eq!(moment(text), Ok(at), "{text}");
        }
        assert_eq!(moment("+90s"), Ok(Moment::After(Duration::from_secs(90))));
        assert_eq!(moment("+5"), Ok(Moment::After(Duration::from_secs(5))));
        for wrong in ["", "yesterday", "-5", "1969-01-01T00:00:00Z", "99999999999999999999"] {
            assert!(moment(wrong).is_err_and(|said| said.contains("+90s")), "{wrong}");
        }
        assert_eq!(utc(1_723_161_254_024_619_568), "2024-08-08 23:54:14.024");
    }

    #[test]
    fn thousands_are_apart() {
        let expected = ["0", "12", "999", "1,000", "1,234,567"];
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(grouped), expected);
    }

    #[test]
    fn microseconds_are_bare_numbers() {
        let micros = |text| optional_micros(text).map(|time| time.0);
        assert_eq!(micros("50"), Ok(Some(Duration::from_micros(50))));
        assert_eq!(micros("off"), Ok(None));
        assert!(micros("0").is_err() && micros("50us").is_err() && micros("1000001").is_err());
    }

    #[test]
    fn cores_are_numbers_and_ranges_in_their_order() {
        for (text, expected) in [
            ("2", vec![2]),
            ("3,2", vec![3, 2]),
            ("2-5", vec![2, 3, 4, 5]),
            ("7, 0-1", vec![7, 0, 1]),
        ] {
            assert_eq!(cores(text).map(|cores| cores.0), Ok(expected), "{text}");
        }
        for wrong in ["", "a", "1,", "3-2", "1-", "-1", "1,1", "0-9999999999", "9999"] {
            assert!(cores(wrong).is_err(), "{wrong}");
        }
    }
}
