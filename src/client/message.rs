//! What a text message from a server of market streams is: an event, or the answer to a request.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How combined events begin, with every server known: told without reading on.
const EVENT_START: &str = r#"{"stream":"#;

/// A message, as far as a client must understand it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something of a stream.
    Event,
    /// A request with this id was carried out.
    Done(Option<u64>),
    /// A request was not: the server's words.
    Refused(Option<u64>, String),
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

impl Kind {
    pub(super) fn of(text: &str) -> Self {
        if text.starts_with(EVENT_START) {
            return Self::Event;
        }
        let Ok(members) = serde_json::from_str::<Members<'_>>(text) else {
            return Self::Event;
        };
        let id = members.id.and_then(|id| id.get().parse().ok());
        match (members.stream, members.error) {
            (None, Some(error)) => Self::Refused(id, error.get().to_owned()),
            (None, None) if members.id.is_some() => Self::Done(id),
            _ => Self::Event,
        }
    }
}

/// A JSON text in one line: what breaks a line in it is white space between its values.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\r']) {
        Cow::Owned(text.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_answers_are_told_apart() {
        let refused = Kind::Refused(Some(3), r#"{"code":4,"msg":"no"}"#.to_owned());
        for (text, kind) in [
            (r#"{"stream":"a","data":{"id":1}}"#, Kind::Event),
            (r#"{"data":{}, "stream":"a","id":1}"#, Kind::Event),
            (r#"{"result":null,"id":7}"#, Kind::Done(Some(7))),
            (r#"{"id":"x","result":[]}"#, Kind::Done(None)),
            (r#"{"error":{"code":4,"msg":"no"},"id":3}"#, refused),
            (r#"{"e":"trade","E":1}"#, Kind::Event),
            ("hello", Kind::Event),
        ] {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
    }

    /// RFC 8259 §7: strings hold no bare line feed, so outside of them nothing is lost.
    #[test]
    fn a_text_in_several_lines_becomes_one() {
        assert_eq!(one_line("{\r\n \"a\":1\n}"), "{   \"a\":1 }");
        assert!(matches!(one_line("{}"), Cow::Borrowed("{}")));
    }
}
