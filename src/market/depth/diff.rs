//! One `depthUpdate`, read strictly: a payload is such a diff in every part, or it is none.
//! Members that the exchange does not document are left out; the documented ones come once each,
//! without escapes in their text.
//! Invariant: nothing is kept but ranges of the payload, and numbers of a bounded length.

use serde::{Deserialize, Deserializer, de};

use super::price::{Digits, Price};

/// An order-book difference.
#[derive(Deserialize)]
pub(in crate::market) struct Diff<'a> {
    #[serde(rename = "e")]
    kind: &'a str,
    #[serde(rename = "E")]
    pub(in crate::market) event_time: u64,
    #[serde(rename = "s")]
    pub(in crate::market) symbol: &'a str,
    #[serde(rename = "U")]
    pub(in crate::market) first_update_id: u64,
    #[serde(rename = "u")]
    pub(in crate::market) last_update_id: u64,
    #[serde(rename = "b")]
    pub(in crate::market) bids: Vec<Level>,
    #[serde(rename = "a")]
    pub(in crate::market) asks: Vec<Level>,
}

impl<'a> Diff<'a> {
    /// Reads a payload; `None` of what is no diff.
    pub(in crate::market) fn parse(payload: &'a [u8]) -> Option<Self> {
        // serde also reads a struct from an array; the protocol does not.
        if !payload.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let diff: Self = serde_json::from_slice(payload).ok()?;
        let in_order = diff.first_update_id <= diff.last_update_id;
        (diff.kind == "depthUpdate" && in_order).then_some(diff)
    }
}

/// What a diff says of one level: `["<price>","<quantity>"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::market) struct Level {
    pub(in crate::market) price: Price,
    /// The price as it came.
    pub(in crate::market) digits: Digits,
    pub(in crate::market) quantity: Digits,
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [price, quantity] = <[&str; 2]>::deserialize(deserializer)?;
        Self::parse(price, quantity).ok_or_else(|| de::Error::custom("no decimal number"))
    }
}

impl Level {
    pub(in crate::market) fn parse(price: &str, quantity: &str) -> Option<Self> {
        let digits = Digits::parse(price)?;
        Some(Self { price: Price::parse(price)?, digits, quantity: Digits::parse(quantity)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &str =
        r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":157,"u":160,"b":[["0.0024","10"]],"a":[]}"#;

    /// Payloads: `<s>@depth`.
    #[test]
    fn the_documented_payload_is_a_diff() {
        let diff = Diff::parse(PAYLOAD.as_bytes()).unwrap();
        assert_eq!((diff.event_time, diff.symbol), (1, "BTCUSDT"));
        assert_eq!((diff.first_update_id, diff.last_update_id), (157, 160));
        assert_eq!((diff.bids.len(), diff.asks.len()), (1, 0));
        let [level] = diff.bids.as_slice() else { panic!("one bid") };
        assert_eq!(level.digits.as_bytes(), b"0.0024");
        assert_eq!(level.quantity.as_bytes(), b"10");
    }

    /// The order of members and white space say nothing, and unknown members are left out.
    #[test]
    fn a_diff_may_be_written_otherwise() {
        let other = r#" { "a":[], "b":[ ["1", "2"] ], "u":2, "U":2, "x":{"y":[1e9,null]},
            "s":"é", "E":18446744073709551615, "e":"depthUpdate" } "#;
        assert!(Diff::parse(other.as_bytes()).is_some());
    }

    /// What differs from a diff in any part is none, and never half of one.
    #[test]
    fn anything_else_is_no_diff() {
        let replaced = [
            (r#""depthUpdate""#, r#""trade""#),
            (r#""depthUpdate""#, "1"),
            (r#""E":1,"#, ""),
            (r#""E":1"#, r#""E":"1""#),
            (r#""E":1"#, r#""E":-1"#),
            (r#""E":1"#, r#""E":1.5"#),
            (r#""E":1"#, r#""E":1,"E":1"#),
            (r#""BTCUSDT""#, "null"),
            (r#""BTCUSDT""#, r#""BTC\u0055SDT""#),
            ("157", "161"),
            ("157", "18446744073709551616"),
            (r#"["0.0024","10"]"#, r#"["0.0024"]"#),
            (r#"["0.0024","10"]"#, r#"["0.0024","10","1"]"#),
            (r#"["0.0024","10"]"#, r#"{"0.0024":"10"}"#),
            (r#""0.0024""#, "0.0024"),
            (r#""0.0024""#, r#""-0.0024""#),
            (r#""0.0024""#, r#""2.4e-3""#),
            (r#""10""#, r#""""#),
            (r#""10""#, r#""1\u0030""#),
            (r#""10""#, r#""12345678901234567890123456789012""#),
            (r#"],"a":[]"#, "]"),
            (r#""a":[]"#, r#""a":null"#),
            ("[]}", "[]"),
            ("[]}", "[]}}"),
        ];
        for (from, to) in replaced {
            let payload = PAYLOAD.replacen(from, to, 1);
            assert_ne!(payload, PAYLOAD, "{from} is in it");
            assert!(Diff::parse(payload.as_bytes()).is_none(), "{payload}");
        }
        let array = br#"["depthUpdate",1,"BTCUSDT",157,160,[["0.0024","10"]],[]]"#;
        for payload in [&array[..], b"", b"{}", b"null", b"\xff", &PAYLOAD.as_bytes()[..40]] {
            assert!(Diff::parse(payload).is_none(), "{payload:?}");
        }
    }
}
