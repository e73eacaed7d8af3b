//! What a market event says of itself: its stream, its place in it, and when it came in.
//!
//! With the property `sequence` an event is
//! `{"stream":"btcusdt@trade","seq":12,"ts":1723161254024619568,"data":{…}}`; without it `seq` and
//! `ts` are left out, and the payload's `E` in milliseconds is the best there is.
//! Invariant: an event is taken in this form or not at all; of its payload only the times and
//! identifiers at its front are looked for.

use std::fmt;

const NANOS_A_MILLISECOND: u64 = 1_000_000;

/// From which update of an order book to which a difference takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UpdateIds {
    /// `U`.
    pub(super) first: u64,
    /// `u`.
    pub(super) last: u64,
}

/// An event's envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) stream: &'a [u8],
    /// Counts up by one in each stream.
    pub(super) sequence: Option<u64>,
    /// Nanoseconds since 1970 at which it came in.
    pub(super) ingest: Option<u64>,
    pub(super) data: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads an envelope; `None` where the text is something else, such as a reply.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let rest = text.strip_prefix(br#"{"stream":""#)?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        let (stream, rest) = rest.split_at_checked(end)?;
        let rest = rest.strip_prefix(b"\",")?;
        let (sequence, rest) = number_after(br#""seq":"#, rest)?;
        let (ingest, rest) = number_after(br#""ts":"#, rest)?;
        let data = rest.strip_prefix(br#""data":"#)?.strip_suffix(b"}")?;
        Some(Self { stream, sequence, ingest, data })
    }

    /// When it came in, or else its event time, in nanoseconds since 1970.
    pub(super) fn stamp_ns(&self) -> Option<u64> {
        self.ingest.or_else(|| Some(self.event_ms()?.saturating_mul(NANOS_A_MILLISECOND)))
    }

    /// The event time in milliseconds since 1970 that the payload names, if it does.
    fn event_ms(&self) -> Option<u64> {
        self.number_at(br#""E":"#)
    }

    /// The update identifiers that the payload names, if it does.
    pub(super) fn update_ids(&self) -> Option<UpdateIds> {
        Some(UpdateIds { first: self.number_at(br#""U":"#)?, last: self.number_at(br#""u":"#)? })
    }

    /// The number behind the first occurrence of a member's name.
    fn number_at(&self, name: &[u8]) -> Option<u64> {
        let at = self.data.windows(name.len()).position(|window| window == name)?;
        let (number, _) = digits(self.data.get(at + name.len()..)?)?;
        Some(number)
    }
}

/// Which event it is, for a message.
impl fmt::Display for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stream.escape_ascii())?;
        self.sequence.map_or(Ok(()), |sequence| write!(f, " seq {sequence}"))?;
        let ids = self.update_ids();
        ids.map_or(Ok(()), |UpdateIds { first, last }| write!(f, " U {first} u {last}"))
    }
}

/// A number and the comma behind it, where the field stands here; `None` where it is broken.
fn number_after<'a>(name: &[u8], text: &'a [u8]) -> Option<(Option<u64>, &'a [u8])> {
    let Some(rest) = text.strip_prefix(name) else {
        return Some((None, text));
    };
    let (number, rest) = digits(rest)?;
    Some((Some(number), rest.strip_prefix(b",")?))
}

/// A whole number at the front, and what follows it.
fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number: u64 = 0;
    let mut rest = text;
    while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        rest = after;
    }
    (rest.len() < text.len()).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form that the property `sequence` asks for.
    #[test]
    fn a_stamped_event_is_read_whole() {
        let text =
            br#"{"stream":"btcusdt@trade","seq":12,"ts":1723161254024619568,"data":{"E":7}}"#;
        let envelope = Envelope::parse(text).unwrap();
        assert_eq!(envelope.stream, b"btcusdt@trade");
        assert_eq!(envelope.sequence, Some(12));
        assert_eq!(envelope.ingest, Some(1_723_161_254_024_619_568));
        assert_eq!(envelope.data, br#"{"E":7}"#);
        assert_eq!(envelope.stamp_ns(), envelope.ingest);
    }

    /// A server that knows no such property: the payload's event time is what there is.
    #[test]
    fn a_plain_event_has_the_time_of_its_payload() {
        let plain = |text| Envelope::parse(text).unwrap();
        let trade = plain(br#"{"stream":"a@trade","data":{"e":"trade","E":1723161254024,"t":1}}"#);
        assert_eq!((trade.sequence, trade.ingest), (None, None));
        assert_eq!(trade.event_ms(), Some(1_723_161_254_024));
        assert_eq!(trade.stamp_ns(), Some(1_723_161_254_024_000_000));
        let tickers = plain(br#"{"stream":"!miniTicker@arr","data":[{"e":"x","E":5},{"E":6}]}"#);
        assert_eq!(tickers.event_ms(), Some(5));
        assert_eq!(plain(br#"{"stream":"a@bookTicker","data":{"u":1}}"#).event_ms(), None);
        assert_eq!(plain(br#"{"stream":"a@trade","data":{"E":}}"#).event_ms(), None);
    }

    /// Differences name the updates that they are of; a state's `u` alone is none.
    #[test]
    fn a_difference_has_two_identifiers() {
        let ids = |data: &str| {
            let text = format!(r#"{{"stream":"a","data":{data}}}"#);
            Envelope::parse(text.as_bytes()).unwrap().update_ids()
        };
        let depth = r#"{"e":"depthUpdate","E":5,"s":"A","U":7,"u":9,"b":[],"a":[]}"#;
        assert_eq!(ids(depth), Some(UpdateIds { first: 7, last: 9 }));
        assert_eq!(ids(r#"{"u":9,"s":"A"}"#), None);
    }

    /// Replies, and what only looks like an event, are none.
    #[test]
    fn what_is_no_event_is_not_taken_for_one() {
        let others: &[&[u8]] = &[
            b"",
            b"{}",
            br#"{"result":null,"id":1}"#,
            br#"{"stream":"a","seq":x,"data":{}}"#,
            br#"{"stream":"a","seq":1"ts":2,"data":{}}"#,
            br#"{"stream":"a","seq":99999999999999999999,"ts":2,"data":{}}"#,
            br#"{"stream":"a"#,
        ];
        for text in others {
            assert_eq!(Envelope::parse(text), None);
        }
    }
}
