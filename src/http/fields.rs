//! Field lines to be sent (RFC 9110 §5, RFC 9112 §5): names and values, checked when added.
//!
//! Invariant: what is kept here is whole lines. No name or value can end its line early, so no
//! caller's text can add a field, end a head or forge a second answer.

use super::token::{is_field_byte, is_token};
use std::error::Error;
use std::fmt;

/// Why a field was not added to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// The name is not a token (RFC 9110 §5.1).
    Name,
    /// The value holds a control character, such as CR or LF (RFC 9110 §5.5).
    Value,
    /// The message writes this field itself, or must not have it.
    Reserved,
    /// The client did not offer this subprotocol (RFC 6455 §4.2.2).
    NotOffered,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a field name must be a token (RFC 9110 §5.1)",
            Self::Value => "a field value must not hold control characters (RFC 9110 §5.5)",
            Self::Reserved => "this field is written by the message itself: leave it out",
            Self::NotOffered => "the client did not offer this subprotocol (RFC 6455 §4.2.2)",
        })
    }
}

impl Error for FieldError {}

/// Encoded field lines, each with its CRLF.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldLines(Vec<u8>);

impl FieldLines {
    /// Adds a line, unless the name is among `reserved` (lower case; one that ends in `-` stands
    /// for all names that begin with it).
    pub(super) fn try_push(
        &mut self,
        name: &str,
        value: &str,
        reserved: &[&str],
    ) -> Result<(), FieldError> {
        if !is_token(name.as_bytes()) {
            return Err(FieldError::Name);
        }
        if reserved.iter().any(|reserved| is_reserved(name, reserved)) {
            return Err(FieldError::Reserved);
        }
        if !value.bytes().all(is_field_byte) {
            return Err(FieldError::Value);
        }
        push_line(&mut self.0, name, value);
        Ok(())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn is_reserved(name: &str, reserved: &str) -> bool {
    let compared = if reserved.ends_with('-') { reserved.len() } else { name.len() };
    name.get(..compared).is_some_and(|start| start.eq_ignore_ascii_case(reserved))
}

/// Writes one line whose parts are known to be valid.
pub(super) fn push_line(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVED: &[&str] = &["connection", "sec-websocket-"];

    /// RFC 9112 §5: `field-line = field-name ":" OWS field-value OWS`, ended by CRLF.
    #[test]
    fn a_valid_field_becomes_one_line() {
        let mut lines = FieldLines::default();
        lines.try_push("Server", "tickwire", RESERVED).unwrap();
        lines.try_push("X-Note", "prix élevé\t!", RESERVED).unwrap();
        lines.try_push("X-Empty", "", RESERVED).unwrap();
        let expected = "Server: tickwire\r\nX-Note: prix élevé\t!\r\nX-Empty: \r\n";
        assert_eq!(lines.as_bytes(), expected.as_bytes());
    }

    /// RFC 9110 §5.5: CR, LF and NUL in a value are dangerous; none may be sent.
    #[test]
    fn text_that_would_end_the_line_is_refused() {
        let table = [
            ("X", "a\r\nSet-Cookie: b", FieldError::Value),
            ("X", "a\n", FieldError::Value),
            ("X", "a\r", FieldError::Value),
            ("X", "\0", FieldError::Value),
            ("X", "\x7f", FieldError::Value),
            ("", "a", FieldError::Name),
            ("X Y", "a", FieldError::Name),
            ("X:", "a", FieldError::Name),
            ("X\r\n", "a", FieldError::Name),
            ("CONNECTION", "keep-alive", FieldError::Reserved),
            ("Sec-WebSocket-Accept", "x", FieldError::Reserved),
            ("sec-websocket-", "x", FieldError::Reserved),
        ];
        let mut lines = FieldLines::default();
        for (name, value, error) in table {
            assert_eq!(lines.try_push(name, value, RESERVED), Err(error), "{name:?}: {value:?}");
        }
        assert!(lines.as_bytes().is_empty());
        assert_eq!(lines.try_push("Connection-Id", "7", RESERVED), Ok(()));
    }
}
