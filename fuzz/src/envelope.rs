//! Events as clients asked for them: `view, length of the name, name, payload`. Times in
//! microseconds are compared with what a parser of JSON finds.

use super::script::Script;
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use tickwire::market::envelope::{Event, Framing, Sequence, TimeUnit, View, render};

/// A payload passes through byte for byte, but for zeros that make times microseconds.
pub fn envelope(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let index = usize::from(script.byte()) % View::COUNT;
    let view = *View::ALL.get(index).expect("an index below their number");
    let len = script.byte().into();
    let Ok(stream) = std::str::from_utf8(script.bytes(len)) else { return };
    let payload = script.bytes(usize::MAX);
    let event = Event { stream, payload, seq: u64::MAX, ingest_ns: 1 };
    let mut out = b"before".to_vec();
    render(&event, view, &mut out);
    let written = out.strip_prefix(b"before").expect("what was there stays");

    let raw = View::new(Framing::Raw, view.unit, Sequence::Hidden);
    let mut bare = Vec::new();
    render(&event, raw, &mut bare);
    check_bare(payload, &bare, view.unit);
    match view.framing {
        Framing::Raw => assert_eq!(written, bare),
        Framing::Combined => check_combined(stream, &bare, written, view.sequence),
    }
}

fn check_bare(payload: &[u8], bare: &[u8], unit: TimeUnit) {
    if unit == TimeUnit::Millisecond {
        assert_eq!(bare, payload);
        return;
    }
    let more = bare.len().checked_sub(payload.len()).expect("nothing is left out");
    assert_eq!(more % 3, 0);
    let mut rest = bare.iter();
    assert!(payload.iter().all(|byte| rest.any(|other| other == byte)), "bytes were changed");
    // Escapes in names say the same in other bytes; the exchange writes none.
    let (Ok(from), Ok(to)) = (std::str::from_utf8(payload), std::str::from_utf8(bare)) else {
        return;
    };
    if let Ok(before) = serde_json::from_str::<&RawValue>(from)
        && !from.contains('\\')
    {
        let after = serde_json::from_str::<&RawValue>(to).expect("still JSON");
        check_times(before, after);
    }
}

fn check_times(before: &RawValue, after: &RawValue) {
    if before.get().starts_with('[') {
        let [before, after] = [before, after]
            .map(|list| serde_json::from_str::<Vec<&RawValue>>(list.get()).expect("a list"));
        assert_eq!(before.len(), after.len());
        for (before, after) in before.into_iter().zip(after) {
            check_event(before, after);
        }
    } else {
        check_event(before, after);
    }
}

fn check_event(before: &RawValue, after: &RawValue) {
    let Some(members) = members(before) else { return same(before, after) };
    let kind = members.iter().find(|(name, value)| name == "e" && value.get().starts_with('"'));
    let kind = kind.map(|(_, value)| value.get().trim_matches('"'));
    let (times, of_candle): (&[&str], &[&str]) = match kind {
        None => (&[], &[]),
        Some("kline") => (&["E"], &["t", "T"]),
        Some("24hrTicker" | "1hTicker" | "4hTicker" | "1dTicker") => (&["E", "O", "C"], &[]),
        Some(_) => (&["E", "T"], &[]),
    };
    let in_candle = |before: &RawValue, after: &RawValue| {
        check_members(before, after, of_candle, &same);
    };
    check_members(before, after, times, &in_candle);
}

type Check<'c> = &'c dyn Fn(&RawValue, &RawValue);

/// The members named in `times` are multiplied; `k` is checked by `in_candle`; others are the same.
fn check_members(before: &RawValue, after: &RawValue, times: &[&str], in_candle: Check<'_>) {
    let (Some(before), Some(after)) = (members(before), members(after)) else {
        return same(before, after);
    };
    assert_eq!(before.len(), after.len());
    for ((name, before), (name_after, after)) in before.iter().zip(&after) {
        assert_eq!(name, name_after);
        let digits = before.get();
        let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits != "0";
        if times.contains(&name.as_str()) && is_whole {
            assert_eq!(format!("{digits}000"), after.get(), "{name}");
        } else if name == "k" {
            in_candle(before, after);
        } else {
            same(before, after);
        }
    }
}

fn same(before: &RawValue, after: &RawValue) {
    assert_eq!(before.get(), after.get());
}

/// An object's members in their order, repeated ones too; `None` of what is no object.
fn members(json: &RawValue) -> Option<Vec<(String, Box<RawValue>)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(json.get()).deserialize_map(Members).ok()
}

fn check_combined(stream: &str, bare: &[u8], written: &[u8], sequence: Sequence) {
    let Ok(payload) = serde_json::from_slice::<Value>(bare) else { return };
    let event: Value = serde_json::from_slice(written).expect("JSON around JSON is JSON");
    let members = event.as_object().expect("an object");
    assert_eq!(members.get("stream"), Some(&Value::from(stream)));
    assert_eq!(members.get("data"), Some(&payload));
    match sequence {
        Sequence::Hidden => assert_eq!(members.len(), 2),
        Sequence::Shown => {
            assert_eq!(members.len(), 4);
            assert_eq!(members.get("seq"), Some(&Value::from(u64::MAX)));
            assert_eq!(members.get("ts"), Some(&Value::from(1)));
        }
    }
}
