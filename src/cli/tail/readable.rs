//! Events in words: the essential of each kind, in one line.
//! Invariant: what comes from a server is printed as text; a control character in it is shown escaped.

use super::super::units::utc;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Longest piece of a payload of an unknown kind that is shown, in characters.
const UNKNOWN_CHARACTERS_MAX: usize = 160;
/// Tickers of an array that are shown.
const ARRAY_SHOWN_MAX: usize = 3;

/// A combined event.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) stream: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
    /// When the server had it, in nanoseconds since 1970.
    pub(super) ts: Option<u64>,
}

impl<'a> Envelope<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// An event in a line: when it came, of what stream, and what it says.
pub(super) fn line(received_ns: u64, envelope: &Envelope<'_>) -> String {
    let time = utc(received_ns);
    let time = time.split_once(' ').map_or(time.as_str(), |(_, time)| time);
    format!("{time} {:<24} {}", printable(&envelope.stream), describe(envelope.data.get()))
}

/// What a payload says.
pub(super) fn describe(payload: &str) -> String {
    let known = serde_json::from_str::<Value>(payload).ok().and_then(|value| known(&value));
    let text = known.unwrap_or_else(|| {
        let mut shown: String = payload.chars().take(UNKNOWN_CHARACTERS_MAX).collect();
        if shown.len() < payload.len() {
            shown.push('…');
        }
        shown
    });
    printable(&text)
}

/// Text that does nothing to a terminal.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// The essential of an event of a kind that is known.
fn known(value: &Value) -> Option<String> {
    if let Value::Array(tickers) = value {
        let shown = tickers.iter().take(ARRAY_SHOWN_MAX);
        let shown: Vec<String> = shown
            .filter_map(|ticker| Some(format!("{} {}", text(ticker, "s")?, text(ticker, "c")?)))
            .collect();
        let more = if tickers.len() > ARRAY_SHOWN_MAX { " …" } else { "" };
        return Some(format!("{} symbols: {}{more}", tickers.len(), shown.join(", ")));
    }
    match value.get("e").and_then(Value::as_str) {
        Some("trade" | "aggTrade") => trade(value),
        Some("depthUpdate") => diff(value),
        Some("kline") => candle(value.get("k")?),
        Some("24hrMiniTicker") => {
            let [last, open, high, low] = ["c", "o", "h", "l"].map(|key| text(value, key));
            Some(format!("{}  open {} high {} low {}", last?, open?, high?, low?))
        }
        Some(kind) if kind.ends_with("Ticker") => {
            let [last, change, high, low] = ["c", "P", "h", "l"].map(|key| text(value, key));
            Some(format!("{}  {} %  high {} low {}", last?, change?, high?, low?))
        }
        Some("avgPrice") => Some(format!("{} over {}", text(value, "w")?, text(value, "i")?)),
        Some(_) => None,
        None if value.get("lastUpdateId").is_some() => partial_book(value),
        None => quote(value),
    }
}

fn trade(value: &Value) -> Option<String> {
    // The buyer was there first: somebody sold to him.
    let side = if value.get("m")?.as_bool()? { "sell" } else { "buy" };
    let number = value.get("t").or_else(|| value.get("a"))?;
    Some(format!("{side:4} {} at {}  #{number}", text(value, "q")?, text(value, "p")?))
}

fn quote(value: &Value) -> Option<String> {
    let [bid, bid_quantity, ask, ask_quantity] = ["b", "B", "a", "A"].map(|key| text(value, key));
    Some(format!("{} × {}  |  {} × {}", bid_quantity?, bid?, ask?, ask_quantity?))
}

fn diff(value: &Value) -> Option<String> {
    let [bids, asks] = ["b", "a"].map(|side| value.get(side).and_then(Value::as_array));
    let (first, last) = (value.get("U")?, value.get("u")?);
    Some(format!("{first}..{last}: {} bids, {} asks", bids?.len(), asks?.len()))
}

fn partial_book(value: &Value) -> Option<String> {
    let [bids, asks] = ["bids", "asks"].map(|side| value.get(side).and_then(Value::as_array));
    let (bids, asks) = (bids?, asks?);
    let best = |side: &[Value]| {
        let level = side.first()?.as_array()?;
        Some((level.first()?.as_str()?.to_owned(), level.get(1)?.as_str()?.to_owned()))
    };
    let (bid, ask) = (best(bids), best(asks));
    let [bid, ask] = [bid, ask].map(|best| best.unwrap_or_else(|| ("-".into(), "-".into())));
    let id = value.get("lastUpdateId")?;
    let levels = format!("{}+{} levels at {id}", bids.len(), asks.len());
    Some(format!("{} × {}  |  {} × {}  ({levels})", bid.1, bid.0, ask.0, ask.1))
}

fn candle(candle: &Value) -> Option<String> {
    let [interval, open, high, low, close, volume] =
        ["i", "o", "h", "l", "c", "v"].map(|key| text(candle, key));
    let state = if candle.get("x")?.as_bool()? { "closed" } else { "open" };
    Some(format!(
        "{} {state}: o {} h {} l {} c {}  volume {}",
        interval?, open?, high?, low?, close?, volume?
    ))
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind of event, in the words for it.
    #[test]
    fn the_essential_of_each_kind_is_told() {
        for (payload, expected) in [
            (r#"{"e":"trade","t":7,"p":"1.5","q":"2","m":true}"#, "sell 2 at 1.5  #7"),
            (r#"{"e":"aggTrade","a":8,"p":"1.5","q":"2","m":false}"#, "buy  2 at 1.5  #8"),
            (r#"{"u":1,"s":"X","b":"1","B":"2","a":"3","A":"4"}"#, "2 × 1  |  3 × 4"),
            (r#"{"e":"depthUpdate","U":1,"u":3,"b":[["1","2"]],"a":[]}"#, "1..3: 1 bids, 0 asks"),
            (
                r#"{"lastUpdateId":9,"bids":[["1","2"]],"asks":[]}"#,
                "2 × 1  |  - × -  (1+0 levels at 9)",
            ),
            (
                r#"{"e":"kline","k":{"i":"1m","o":"1","h":"2","l":"0","c":"1","v":"5","x":false}}"#,
                "1m open: o 1 h 2 l 0 c 1  volume 5",
            ),
            (r#"{"e":"24hrMiniTicker","c":"1","o":"2","h":"3","l":"0"}"#, "1  open 2 high 3 low 0"),
            (r#"{"e":"24hrTicker","c":"1","P":"-0.5","h":"3","l":"0"}"#, "1  -0.5 %  high 3 low 0"),
            (r#"[{"s":"A","c":"1"},{"s":"B","c":"2"}]"#, "2 symbols: A 1, B 2"),
            (r#"{"e":"news","x":1}"#, r#"{"e":"news","x":1}"#),
            (r#"{"e":"trade"}"#, r#"{"e":"trade"}"#),
            ("17", "17"),
        ] {
            assert_eq!(describe(payload), expected, "{payload}");
        }
        assert_eq!(describe(&"x".repeat(1000)).chars().count(), UNKNOWN_CHARACTERS_MAX + 1);
    }

    /// Nothing that a server sends moves the cursor or sets a title.
    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        let event =
            r#"{"stream":"a\u001b[2J","data":{"e":"trade","t":1,"p":"\u0007","q":"1","m":true}}"#;
        let envelope = Envelope::parse(event).unwrap();
        let shown = line(1_723_161_254_024_619_568, &envelope);
        assert!(shown.starts_with("23:54:14.024 a\\u{1b}[2J "), "{shown}");
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
}
