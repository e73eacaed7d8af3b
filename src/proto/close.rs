//! Close frames: the status code and reason (RFC 6455 §5.5.1, §7.4).
//! Invariant: a [`CloseFrame`] parsed from a peer has a code that may be on the wire, or none.

use super::error::Violation;
use std::fmt;

/// The longest reason that fits a close frame: 125 bytes of payload, two of them the code.
pub const REASON_BYTES_MAX: usize = 123;

/// A close status code (§7.4.1 and the IANA registry).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, the browser leaves the page, the peer was silent too long.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data (text or binary) that cannot be accepted.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the close frame had no code. Never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a close frame. Never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a policy of ours was violated.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded, try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code with this number, if it may stand in a close frame; `None` otherwise.
    ///
    /// §7.4.2: 0–999 are not used; 1000–2999 are for the protocol, of which 1004, 1005, 1006 and
    /// 1015 must not be sent and those the registry does not name are undefined; 3000–3999 are
    /// for libraries and applications that register them; 4000–4999 for private use.
    #[must_use]
    pub const fn on_wire(number: u16) -> Option<Self> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// The code; [`CloseCode::NO_STATUS`] where the frame had no payload (§7.1.5).
    pub code: CloseCode,
    /// The reason, often empty; at most [`REASON_BYTES_MAX`] bytes.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Reads the payload of a close frame.
    ///
    /// # Errors
    /// [`Violation::CloseTooShort`], [`Violation::CloseCodeInvalid`] or
    /// [`Violation::CloseReasonInvalidUtf8`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, Violation> {
        match payload {
            [] => Ok(Self { code: CloseCode::NO_STATUS, reason: "" }),
            // §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte
            // unsigned integer (in network byte order) representing a status code"
            [_] => Err(Violation::CloseTooShort),
            [high, low, reason @ ..] => {
                let code = CloseCode::on_wire(u16::from_be_bytes([*high, *low]))
                    .ok_or(Violation::CloseCodeInvalid)?;
                let reason =
                    std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonInvalidUtf8)?;
                Ok(Self { code, reason })
            }
        }
    }

    /// The payload of a close frame with this code and reason. A code that must not be on the wire
    /// ([`CloseCode::NO_STATUS`], [`CloseCode::ABNORMAL`]) gives an empty payload; a reason over
    /// [`REASON_BYTES_MAX`] is cut at the last character that fits.
    pub(super) fn payload(self, buffer: &mut [u8; 125]) -> &[u8] {
        if CloseCode::on_wire(self.code.number()).is_none() {
            return &[];
        }
        let reason = &self.reason.as_bytes();
        let reason = reason.get(..self.reason.floor_char_boundary(REASON_BYTES_MAX));
        let payload = self.code.number().to_be_bytes();
        let mut len = 0;
        for (to, from) in buffer.iter_mut().zip(payload.iter().chain(reason.unwrap_or_default())) {
            *to = *from;
            len += 1;
        }
        buffer.get(..len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_code(number: u16) -> Result<CloseCode, Violation> {
        CloseFrame::parse(&number.to_be_bytes()).map(|frame| frame.code)
    }

    /// §7.4: every number from 0 to 65,535 is either defined or refused.
    #[test]
    fn only_defined_codes_are_accepted() {
        for number in 0..=u16::MAX {
            let defined = matches!(number, 1000..=1003)
                || (1007..=1014).contains(&number)
                || (3000..5000).contains(&number);
            let expected =
                if defined { Ok(CloseCode(number)) } else { Err(Violation::CloseCodeInvalid) };
            assert_eq!(with_code(number), expected, "{number}");
        }
    }

    /// §5.5.1: no payload, one byte, a code, a code and a reason.
    #[test]
    fn payload_is_absent_or_a_code_and_utf8() {
        assert_eq!(CloseFrame::parse(b"").map(|f| f.code), Ok(CloseCode::NO_STATUS));
        assert_eq!(CloseFrame::parse(b"\x03"), Err(Violation::CloseTooShort));
        let bye = CloseFrame { code: CloseCode::NORMAL, reason: "bye" };
        assert_eq!(CloseFrame::parse(b"\x03\xe8bye"), Ok(bye));
        assert_eq!(CloseFrame::parse(b"\x03\xe8\xff"), Err(Violation::CloseReasonInvalidUtf8));
    }

    /// §5.5: a control frame's payload is at most 125 bytes, and what we cut stays UTF-8.
    #[test]
    fn long_reasons_are_cut_between_characters() {
        let reason = "é".repeat(100);
        let mut buffer = [0; 125];
        let payload = CloseFrame { code: CloseCode::NORMAL, reason: &reason }.payload(&mut buffer);
        assert_eq!(payload.len(), 2 + 122);
        assert_eq!(CloseFrame::parse(payload).map(|f| f.reason.chars().count()), Ok(61));
    }

    /// §7.4.1: 1005 and 1006 are never set in a close frame.
    #[test]
    fn codes_that_must_not_be_sent_become_an_empty_payload() {
        for code in [CloseCode::NO_STATUS, CloseCode::ABNORMAL] {
            assert_eq!(CloseFrame { code, reason: "x" }.payload(&mut [0; 125]), b"");
        }
    }
}
