//! The `id` by which a client tells the answers to its control messages apart.
//! Invariant: an [`Id`] is a complete JSON value of an accepted type, in the client's own bytes.

use serde_json::value::RawValue;

use super::reply::Fault;

/// The longest `id` that is a string, in characters.
pub const ID_CHARACTERS_MAX: usize = 36;

/// A request's `id`, as the client wrote it: a 64-bit integer, a string of at most
/// [`ID_CHARACTERS_MAX`] characters, `null`, or nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id<'a>(Option<&'a str>);

impl<'a> Id<'a> {
    /// No `id` was given. A result carries `null` for it, an error leaves it out.
    pub const ABSENT: Id<'static> = Id(None);

    /// The JSON text of the id, byte for byte as it came.
    #[must_use]
    pub fn as_json(&self) -> Option<&'a str> {
        self.0
    }

    /// Checks the value of `id`, `None` where there is none.
    pub(super) fn parse(raw: Option<&'a RawValue>) -> Result<Self, Fault<'static>> {
        let Some(json) = raw.map(RawValue::get) else {
            return Ok(Self(None));
        };
        let valid = match json.as_bytes().first() {
            Some(b'n') => true,
            Some(b'"') => serde_json::from_str::<String>(json)
                .is_ok_and(|text| text.chars().count() <= ID_CHARACTERS_MAX),
            // The documentation says signed, the error text says unsigned: both are accepted.
            _ => json.parse::<i64>().is_ok() || json.parse::<u64>().is_ok(),
        };
        if valid { Ok(Self(Some(json))) } else { Err(Fault::InvalidId) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::parse;
    use super::*;

    fn error_to(message: &str) -> String {
        let mut out = Vec::new();
        parse(message).expect_err(message).encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Control messages: `id` comes back with the same JSON type, in the same bytes.
    #[test]
    fn an_id_is_kept_byte_for_byte() {
        let longest = format!("\"{}\"", "x".repeat(ID_CHARACTERS_MAX));
        let escaped = format!("\"{}\"", "\\u00e9".repeat(ID_CHARACTERS_MAX));
        for id in [
            "0",
            "-0",
            "-9223372036854775808",
            "18446744073709551615",
            "null",
            r#""""#,
            r#""a\"b""#,
            r#""6d1a5f0e-4b6c-4f0e-9f3c-1c2d3e4f5a6b""#,
            longest.as_str(),
            escaped.as_str(),
        ] {
            let message = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id": {id} }}"#);
            assert_eq!(parse(&message).unwrap().id.as_json(), Some(id));
        }
        let absent = parse(r#"{"method":"LIST_SUBSCRIPTIONS"}"#).unwrap();
        assert_eq!(absent.id, Id::ABSENT);
    }

    /// Errors: code 2 for an id of another type or size; it cannot be echoed.
    #[test]
    fn an_unusable_id_is_refused() {
        let long = format!("\"{}\"", "x".repeat(ID_CHARACTERS_MAX + 1));
        for id in [
            "1.0",
            "1e3",
            "18446744073709551616",
            "-9223372036854775809",
            "true",
            "[1]",
            "{}",
            r#""\ud800""#,
            &long,
        ] {
            assert_eq!(
                error_to(&format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#)),
                concat!(
                    r#"{"error":{"code":2,"#,
                    r#""msg":"Invalid request: request ID must be an unsigned integer"}}"#,
                ),
                "{id}"
            );
        }
    }
}
