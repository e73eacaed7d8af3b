//! What a peer can do wrong after the opening handshake, one variant for each rule of RFC 6455.
//! Invariant: [`Violation::close_code`] is the one place that maps a violation to its close code.

use super::close::CloseCode;
use std::fmt;

/// A rule of RFC 6455 that the peer broke, or a limit of ours that it went over.
///
/// Whatever it is, the connection has failed (§7.1.7): the close frame is already in the output
/// and nothing that follows on the connection is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// §5.2: RSV1, RSV2 or RSV3 set without an extension that defines it.
    ReservedBits,
    /// §5.2: opcode 0x3–0x7 or 0xB–0xF.
    ReservedOpCode,
    /// §5.5: a control frame with FIN clear.
    ControlFragmented,
    /// §5.5: a control frame with a payload of more than 125 bytes.
    ControlTooLong,
    /// §5.1: a frame from a client that is not masked.
    Unmasked,
    /// §5.1: a frame from a server that is masked.
    Masked,
    /// §5.2: a payload length not in the minimal number of bytes.
    LengthNotMinimal,
    /// §5.2: a 64-bit payload length with its most significant bit set.
    LengthTopBit,
    /// §5.4: a continuation frame with no message to continue.
    ContinuationUnexpected,
    /// §5.4: a new text or binary frame before the last message ended.
    ContinuationExpected,
    /// §8.1: text that is not UTF-8.
    InvalidUtf8,
    /// §5.5.1: a close frame with a payload of one byte.
    CloseTooShort,
    /// §7.4: a close code that must not be sent or that is not defined.
    CloseCodeInvalid,
    /// §5.5.1: a close reason that is not UTF-8.
    CloseReasonInvalidUtf8,
    /// §10.4: a frame over [`Limits::frame_bytes_max`](super::Limits::frame_bytes_max).
    FrameTooLarge,
    /// §10.4: a message over [`Limits::message_bytes_max`](super::Limits::message_bytes_max).
    MessageTooLarge,
    /// RFC 7692 §7.2.2: a compressed payload that is not whole blocks of DEFLATE.
    DeflateInvalid,
    /// §10.4: a message in more frames than
    /// [`Limits::fragments_max`](super::Limits::fragments_max).
    TooManyFragments,
}

impl Violation {
    /// The close code (§7.4.1) that tells the peer.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBits
            | Self::ReservedOpCode
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::Unmasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::ContinuationUnexpected
            | Self::ContinuationExpected
            | Self::CloseTooShort
            | Self::CloseCodeInvalid => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::CloseReasonInvalidUtf8 | Self::DeflateInvalid => {
                CloseCode::INVALID_PAYLOAD
            }
            Self::FrameTooLarge | Self::MessageTooLarge => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments => CloseCode::POLICY_VIOLATION,
        }
    }

    /// What was wrong, in a few words: the reason text of the close frame.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bits set",
            Self::ReservedOpCode => "reserved opcode",
            Self::ControlFragmented => "fragmented control frame",
            Self::ControlTooLong => "control frame over 125 bytes",
            Self::Unmasked => "frame not masked",
            Self::Masked => "frame masked by a server",
            Self::LengthNotMinimal => "payload length not minimal",
            Self::LengthTopBit => "payload length over 63 bits",
            Self::ContinuationUnexpected => "continuation of nothing",
            Self::ContinuationExpected => "new message inside a message",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::CloseTooShort => "close payload of one byte",
            Self::CloseCodeInvalid => "invalid close code",
            Self::CloseReasonInvalidUtf8 => "close reason is not UTF-8",
            Self::FrameTooLarge => "frame too large",
            Self::MessageTooLarge => "message too large",
            Self::DeflateInvalid => "compressed payload is invalid",
            Self::TooManyFragments => "too many fragments",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Violation {}
