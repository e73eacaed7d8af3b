//! One `trade` or `aggTrade`, read strictly: a payload is such a trade in every part, or it is
//! none. Members that are not asked for are left out; those that are come once each, without
//! escapes in their text. Invariant: prices and quantities are exact, in units of 10⁻⁸, and not
//! zero.

use super::super::depth::price::Price;
use super::tally::{Maker, Trade};
use serde::Deserialize;

/// Times are taken up to here: exact in every reader's numbers, and far from overflowing in ours.
pub(super) const TIME_MS_MAX: u64 = 1 << 53;

/// Which stream a trade came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Trade,
    Aggregate,
}

/// A trade and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) kind: Kind,
    pub(super) trade: Trade,
    /// Not after the event that told of it.
    pub(super) at_ms: u64,
    pub(super) event_time: u64,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "e")]
    kind: &'a str,
    #[serde(rename = "E")]
    event_time: u64,
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "t")]
    id: Option<u64>,
    #[serde(rename = "f")]
    first_id: Option<u64>,
    #[serde(rename = "l")]
    last_id: Option<u64>,
    #[serde(rename = "p")]
    price: &'a str,
    #[serde(rename = "q")]
    quantity: &'a str,
    #[serde(rename = "T")]
    trade_time: u64,
    #[serde(rename = "m")]
    buyer_is_maker: bool,
}

impl Timed {
    /// Reads a payload; `None` of what is no trade of this symbol, whose case does not count.
    pub(super) fn parse(payload: &str, symbol: &str) -> Option<Self> {
        // serde also reads a struct from an array; the protocol does not.
        if !payload.trim_start().starts_with('{') {
            return None;
        }
        let fields: Fields<'_> = serde_json::from_str(payload).ok()?;
        let (kind, ids) = match fields.kind {
            "trade" => (Kind::Trade, (fields.id?, fields.id?)),
            "aggTrade" => (Kind::Aggregate, (fields.first_id?, fields.last_id?)),
            _ => return None,
        };
        let at_ms = fields.trade_time.min(fields.event_time);
        let fits = ids.0 <= ids.1 && at_ms <= TIME_MS_MAX;
        if !fits || !fields.symbol.eq_ignore_ascii_case(symbol) {
            return None;
        }
        let price = u64::try_from(units(fields.price)?).ok().filter(|price| *price > 0)?;
        let lots = units(fields.quantity).filter(|lots| *lots > 0)?;
        let maker = if fields.buyer_is_maker { Maker::Buyer } else { Maker::Seller };
        let trade = Trade { ids, price, lots, maker };
        Some(Self { kind, trade, at_ms, event_time: fields.event_time })
    }
}

/// A decimal number in units of 10⁻⁸, exactly.
pub(super) fn units(text: &str) -> Option<u128> {
    Price::parse(text)?.hundred_millionths()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADE: &str = r#"{"e":"trade","E":7,"s":"BTCUSDT","t":12345,"p":"0.001","q":"100","T":6,"m":true,"M":true}"#;
    const AGGREGATE: &str = r#"{"e":"aggTrade","E":7,"s":"BTCUSDT","a":1,"p":"0.001","q":"100","f":100,"l":105,"T":6,"m":false,"M":true}"#;

    /// Payloads: `<s>@trade` and `<s>@aggTrade`.
    #[test]
    fn the_documented_payloads_are_trades() {
        let trade = Trade {
            ids: (12345, 12345),
            price: 100_000,
            lots: 10_000_000_000,
            maker: Maker::Buyer,
        };
        let expected = Timed { kind: Kind::Trade, trade, at_ms: 6, event_time: 7 };
        assert_eq!(Timed::parse(TRADE, "btcusdt"), Some(expected));
        let trade = Trade { ids: (100, 105), maker: Maker::Seller, ..trade };
        let expected = Timed { kind: Kind::Aggregate, trade, at_ms: 6, event_time: 7 };
        assert_eq!(Timed::parse(AGGREGATE, "BTCUSDT"), Some(expected));
    }

    /// A trade is not later than its event, and quantities may be larger than 64 bits of units.
    #[test]
    fn late_times_and_large_quantities_are_taken() {
        let payload = TRADE.replace(r#""T":6"#, r#""T":9"#).replace("100\"", "999999999999.5\"");
        let read = Timed::parse(&payload, "btcusdt").unwrap();
        assert_eq!((read.at_ms, read.trade.lots), (7, 99_999_999_999_950_000_000));
    }

    /// What differs from a trade in any part is none, and never half of one.
    #[test]
    fn anything_else_is_no_trade() {
        let replaced = [
            (r#""trade""#, r#""kline""#),
            (r#""trade""#, r#""aggTrade""#),
            (r#""E":7,"#, ""),
            (r#""E":7"#, r#""E":"7""#),
            ("BTCUSDT", "ETHUSDT"),
            (r#""t":12345"#, r#""t":-1"#),
            (r#""t":12345"#, r#""t":null"#),
            ("0.001", "0.0000000001"),
            ("0.001", "0"),
            ("0.001", "184467440738"),
            ("0.001", "1e3"),
            ("0.001", "-1"),
            ("100", "0.0"),
            (r#""100""#, "100"),
            (r#""T":6"#, r#""T":6.5"#),
            (r#""E":7,"s":"BTCUSDT","t":12345,"p":"0.001","q":"100","T":6"#, r#""E":1"#),
            ("true,", "1,"),
            (r#""m":true"#, r#""m":true,"m":true"#),
            ("}", ""),
        ];
        for (from, to) in replaced {
            let payload = TRADE.replacen(from, to, 1);
            assert_ne!(payload, TRADE, "{from} is in it");
            assert!(Timed::parse(&payload, "btcusdt").is_none(), "{payload}");
        }
        let late = TRADE.replace(":7", ":9007199254740993").replace(":6", ":9007199254740993");
        let backwards = AGGREGATE.replace("105", "99");
        for payload in [late.as_str(), &backwards, "", "[]", "null", "{}"] {
            assert!(Timed::parse(payload, "btcusdt").is_none(), "{payload}");
        }
    }
}
