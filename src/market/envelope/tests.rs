//! Events in every form that a client can ask for.

use proptest::prelude::*;

use super::*;

fn rendered(stream: &str, payload: &[u8], view: View) -> Vec<u8> {
    let mut out = Vec::new();
    render(&Event { stream, payload, seq: u64::MAX, ingest_ns: 0 }, view, &mut out);
    out
}

fn micros(payload: &str) -> String {
    let view = View::new(Framing::Raw, TimeUnit::Microsecond, Sequence::Hidden);
    String::from_utf8(rendered("s", payload.as_bytes(), view)).unwrap()
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
    let view = View::new(Framing::Combined, TimeUnit::Millisecond, Sequence::Hidden);
    assert_eq!(rendered("a\"\\@trade", b"{}", view), br#"{"stream":"a\"\\@trade","data":{}}"#);
}

/// Numbers go into the envelope and nowhere else: without one, there are none.
#[test]
fn only_combined_events_are_numbered() {
    for view in View::ALL {
        let text = String::from_utf8(rendered("s", b"{}", view)).unwrap();
        let shown = text.contains(r#""s","seq":18446744073709551615,"ts":0,"data":{}"#);
        let wanted = view.sequence == Sequence::Shown && view.framing == Framing::Combined;
        assert_eq!(shown, wanted, "{view:?}: {text}");
        assert_eq!(rendered("s", b"{}", view.canonical()), text.as_bytes());
    }
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
        texts.to_vec(),
        [
            r#"{"e":"serverShutdown","E":12}"#,
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":12}}"#,
            r#"{"e":"serverShutdown","E":12000}"#,
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":12000}}"#,
        ]
        .repeat(2)
    );
}

proptest! {
    /// A payload that is not even JSON is copied, not panicked on.
    #[test]
    fn any_bytes_are_rendered(payload in prop::collection::vec(any::<u8>(), 0..60)) {
        for view in View::ALL {
            prop_assert!(rendered("s", &payload, view).len() >= payload.len());
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
