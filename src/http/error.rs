//! What can be wrong with a handshake, on either side of it: one variant per rule.
//!
//! Each says in one line what was wrong and where the rule is written; a [`Rejection`] knows also
//! the status to answer. Invariant: small, `Copy`, and never with a word of what the peer sent.

use super::fields::FieldError;
use super::status::Status;
use super::upgrade::SUBPROTOCOLS_MAX;
use std::error::Error;
use std::fmt;

/// What is wrong with a message head, line by line: one variant per rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// Too many empty lines before the request line (RFC 9112 §2.2).
    EmptyLines,
    /// Whitespace before the request line or before the first field (RFC 9112 §2.2).
    LeadingWhitespace,
    /// A LF without a CR before it (RFC 9112 §2.2).
    BareLf,
    /// A CR without a LF after it (RFC 9112 §2.2).
    BareCr,
    /// The method is not a token (RFC 9110 §9.1).
    MethodInvalid,
    /// The method is longer than any that exists (RFC 9112 §3).
    MethodTooLong,
    /// The target is empty, or holds a space, a control or a non-ASCII byte (RFC 9112 §3.2).
    TargetInvalid,
    /// The request target has a fragment (RFC 9112 §3.2, RFC 6455 §3).
    TargetFragment,
    /// The target exceeds [`HeadLimits::target_bytes_max`](super::HeadLimits) (RFC 9112 §3).
    TargetTooLong,
    /// The version is missing, or is not `HTTP/<digit>.<digit>` (RFC 9112 §2.3).
    VersionInvalid,
    /// The version is neither HTTP/1.1 nor HTTP/1.0 (RFC 9112 §2.3).
    VersionUnsupported,
    /// The status line has no three-digit code, or a control in its reason (RFC 9112 §4).
    StatusInvalid,
    /// A field line is continued on the next one (RFC 9112 §5.2).
    FoldedLine,
    /// A field line begins with its colon (RFC 9112 §5).
    FieldNameEmpty,
    /// A field name is not a token, or its line has no colon (RFC 9112 §5).
    FieldNameInvalid,
    /// Whitespace between a field name and its colon (RFC 9112 §5.1).
    SpaceBeforeColon,
    /// A control character in a field value (RFC 9110 §5.5).
    FieldValueInvalid,
    /// The head exceeds [`HeadLimits::head_bytes_max`](super::HeadLimits) (RFC 6585 §5).
    HeadTooLarge,
    /// More field lines than [`HeadLimits::fields_max`](super::HeadLimits) (RFC 6585 §5).
    TooManyFields,
    /// Two independent parsers read this head differently; neither is believed.
    Disputed,
}

impl HeadError {
    /// One line that says what was wrong and where it is written.
    pub const fn message(self) -> &'static str {
        match self {
            Self::EmptyLines => "too many empty lines before the request line (RFC 9112 §2.2)",
            Self::LeadingWhitespace => "a line begins with whitespace (RFC 9112 §2.2)",
            Self::BareLf => "a line ends in LF without CR (RFC 9112 §2.2)",
            Self::BareCr => "a CR is not followed by LF (RFC 9112 §2.2)",
            Self::MethodInvalid => "the method is not a token (RFC 9110 §9.1)",
            Self::MethodTooLong => "the method is longer than any known one (RFC 9112 §3)",
            Self::TargetInvalid => "the request target is not visible ASCII (RFC 9112 §3.2)",
            Self::TargetFragment => "the request target has a fragment (RFC 6455 §3)",
            Self::TargetTooLong => "the request target is too long (RFC 9112 §3)",
            Self::VersionInvalid => "the HTTP version is missing or malformed (RFC 9112 §2.3)",
            Self::VersionUnsupported => "only HTTP/1.1 is spoken here (RFC 9112 §2.3)",
            Self::StatusInvalid => "the status line is malformed (RFC 9112 §4)",
            Self::FoldedLine => "a field is folded over two lines (RFC 9112 §5.2)",
            Self::FieldNameEmpty => "a field has no name (RFC 9112 §5)",
            Self::FieldNameInvalid => "a field name is not a token with a colon (RFC 9112 §5)",
            Self::SpaceBeforeColon => "whitespace before a field's colon (RFC 9112 §5.1)",
            Self::FieldValueInvalid => "a field value holds a control character (RFC 9110 §5.5)",
            Self::HeadTooLarge => "the message head is too large (RFC 6585 §5)",
            Self::TooManyFields => "the message head has too many fields (RFC 6585 §5)",
            Self::Disputed => "the message head can be read in two ways (RFC 9112 §11.2)",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for HeadError {}

/// Why a request is refused. [`Response`](super::Response) is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The head's lines are not HTTP/1.1, or exceed a limit: 400, 414, 431, 501 or 505.
    Head(HeadError),
    /// The target is `*` or an authority, or an absolute URI that is not http(s) or ws(s): 400.
    TargetForm,
    /// An HTTP/1.1 request without Host (RFC 9112 §3.2): 400.
    HostMissing,
    /// More than one Host (RFC 9112 §3.2): 400.
    HostRepeated,
    /// Host, or the authority of an absolute target, is not `host[:port]` (RFC 9112 §3.2): 400.
    HostInvalid,
    /// More than one Origin (RFC 6454 §7.3): 400.
    OriginRepeated,
    /// Origin holds something other than ASCII (RFC 6454 §7.1): 400.
    OriginInvalid,
    /// The method is none that RFC 9110 §9 or RFC 5789 defines: 501.
    MethodUnknown,
    /// A known method other than GET and HEAD: 405 with `Allow: GET, HEAD`.
    MethodNotServed,
    /// `Expect` asks for what is not done here (RFC 9110 §10.1.1): 417.
    Expectation,
    /// The request has content by its Content-Length: 413.
    Content,
    /// Content-Length is not a number, or there are several (RFC 9112 §6.3): 400.
    ContentLengthInvalid,
    /// The request has a Transfer-Encoding (RFC 9112 §6.1): 400.
    TransferEncoding,
    /// A handshake by another method than GET (RFC 6455 §4.2.1): 405 with `Allow: GET`.
    HandshakeMethod,
    /// A handshake over HTTP/1.0 (RFC 6455 §4.2.1): 400.
    HandshakeHttp10,
    /// Connection does not name `Upgrade` (RFC 6455 §4.2.1): 400.
    ConnectionNotUpgrade,
    /// Sec-WebSocket-Version is missing, or not 13 (RFC 6455 §4.4): 426 with the right one.
    VersionUnsupported,
    /// Sec-WebSocket-Version is not a number up to 255 (RFC 6455 §4.3): 426 with the right one.
    VersionInvalid,
    /// More than one Sec-WebSocket-Version (RFC 6455 §11.3.5): 400.
    VersionRepeated,
    /// No Sec-WebSocket-Key (RFC 6455 §4.2.1): 400.
    KeyMissing,
    /// More than one Sec-WebSocket-Key (RFC 6455 §11.3.1): 400.
    KeyRepeated,
    /// Sec-WebSocket-Key is not 16 bytes in base64 (RFC 6455 §4.2.1): 400.
    KeyInvalid,
    /// A subprotocol is empty or not a token (RFC 6455 §4.1): 400.
    SubprotocolInvalid,
    /// A subprotocol is offered twice (RFC 6455 §4.1): 400.
    SubprotocolRepeated,
    /// More subprotocols than [`SUBPROTOCOLS_MAX`] are offered: 431.
    TooManySubprotocols,
    /// Sec-WebSocket-Extensions breaks its grammar (RFC 6455 §9.1): 400.
    ExtensionsInvalid,
    /// The page's origin is not among the allowed ones (RFC 6455 §4.2.2): 403.
    OriginForbidden,
    /// A plain request where only WebSocket is served (RFC 9110 §15.5.22): 426.
    UpgradeRequired,
}

impl Rejection {
    /// The status that the client is answered with.
    pub const fn status(self) -> Status {
        match self {
            Self::Head(error) => head_status(error),
            Self::OriginForbidden => Status::FORBIDDEN,
            Self::MethodNotServed | Self::HandshakeMethod => Status::METHOD_NOT_ALLOWED,
            Self::Content => Status::CONTENT_TOO_LARGE,
            Self::Expectation => Status::EXPECTATION_FAILED,
            Self::VersionUnsupported | Self::VersionInvalid | Self::UpgradeRequired => {
                Status::UPGRADE_REQUIRED
            }
            Self::TooManySubprotocols => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MethodUnknown => Status::NOT_IMPLEMENTED,
            Self::TargetForm
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::OriginRepeated
            | Self::OriginInvalid
            | Self::ContentLengthInvalid
            | Self::TransferEncoding
            | Self::HandshakeHttp10
            | Self::ConnectionNotUpgrade
            | Self::VersionRepeated
            | Self::KeyMissing
            | Self::KeyRepeated
            | Self::KeyInvalid
            | Self::SubprotocolInvalid
            | Self::SubprotocolRepeated
            | Self::ExtensionsInvalid => Status::BAD_REQUEST,
        }
    }

    /// One line that says what was wrong and where it is written.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Head(error) => error.message(),
            Self::TargetForm => "the request target must be a path (RFC 9112 §3.2)",
            Self::HostMissing => "the Host field is missing (RFC 9112 §3.2)",
            Self::HostRepeated => "there must be one Host field (RFC 9112 §3.2)",
            Self::HostInvalid => "Host must be a host and perhaps a port (RFC 9112 §3.2)",
            Self::OriginRepeated => "there must be at most one Origin field (RFC 6454 §7.3)",
            Self::OriginInvalid => "Origin must be ASCII (RFC 6454 §7.1)",
            Self::MethodUnknown => "this method is not known here (RFC 9110 §15.6.2)",
            Self::MethodNotServed => "only GET and HEAD are served here (RFC 9110 §15.5.6)",
            Self::Expectation => "no expectation can be met here (RFC 9110 §10.1.1)",
            Self::Content => "a request must have no content here (RFC 9110 §15.5.14)",
            Self::ContentLengthInvalid => "Content-Length must be one number (RFC 9112 §6.3)",
            Self::TransferEncoding => "Transfer-Encoding is not taken here (RFC 9112 §6.1)",
            Self::HandshakeMethod => "the handshake's method must be GET (RFC 6455 §4.2.1)",
            Self::HandshakeHttp10 => "the handshake needs HTTP/1.1 (RFC 6455 §4.2.1)",
            Self::ConnectionNotUpgrade => "Connection must name Upgrade (RFC 6455 §4.2.1)",
            Self::VersionUnsupported => "Sec-WebSocket-Version must be 13 (RFC 6455 §4.4)",
            Self::VersionInvalid => "Sec-WebSocket-Version must be a number (RFC 6455 §4.3)",
            Self::VersionRepeated => {
                "there must be one Sec-WebSocket-Version field (RFC 6455 §11.3.5)"
            }
            Self::KeyMissing => "Sec-WebSocket-Key is missing (RFC 6455 §4.2.1)",
            Self::KeyRepeated => "there must be one Sec-WebSocket-Key field (RFC 6455 §11.3.1)",
            Self::KeyInvalid => "Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455 §4.2.1)",
            Self::SubprotocolInvalid => "each subprotocol must be a token (RFC 6455 §4.1)",
            Self::SubprotocolRepeated => "each subprotocol may be offered once (RFC 6455 §4.1)",
            Self::TooManySubprotocols => "too many subprotocols are offered (RFC 6585 §5)",
            Self::ExtensionsInvalid => "Sec-WebSocket-Extensions is malformed (RFC 6455 §9.1)",
            Self::OriginForbidden => "pages of this origin are not served (RFC 6455 §4.2.2)",
            Self::UpgradeRequired => {
                "only WebSocket is spoken here: send Upgrade: websocket, and if it was sent, \
                 let the proxy in between pass it on (RFC 6455 §4.2.1)"
            }
        }
    }
}

const fn head_status(error: HeadError) -> Status {
    match error {
        HeadError::MethodTooLong => Status::NOT_IMPLEMENTED,
        HeadError::TargetTooLong => Status::URI_TOO_LONG,
        HeadError::VersionUnsupported => Status::HTTP_VERSION_NOT_SUPPORTED,
        HeadError::HeadTooLarge | HeadError::TooManyFields => {
            Status::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        HeadError::EmptyLines
        | HeadError::LeadingWhitespace
        | HeadError::BareLf
        | HeadError::BareCr
        | HeadError::MethodInvalid
        | HeadError::TargetInvalid
        | HeadError::TargetFragment
        | HeadError::VersionInvalid
        | HeadError::StatusInvalid
        | HeadError::FoldedLine
        | HeadError::FieldNameEmpty
        | HeadError::FieldNameInvalid
        | HeadError::SpaceBeforeColon
        | HeadError::FieldValueInvalid
        | HeadError::Disputed => Status::BAD_REQUEST,
    }
}

impl From<HeadError> for Rejection {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for Rejection {}

/// Why something was not added to a client's handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientError {
    /// The subprotocol is not a token (RFC 6455 §4.1).
    SubprotocolInvalid,
    /// The subprotocol is offered already (RFC 6455 §4.1).
    SubprotocolRepeated,
    /// [`SUBPROTOCOLS_MAX`] are offered already.
    TooManySubprotocols,
    /// The field cannot be sent.
    Field(FieldError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubprotocolInvalid => {
                f.write_str("a subprotocol must be a token (RFC 6455 §4.1)")
            }
            Self::SubprotocolRepeated => {
                f.write_str("a subprotocol may be offered once (RFC 6455 §4.1)")
            }
            Self::TooManySubprotocols => {
                write!(f, "at most {SUBPROTOCOLS_MAX} subprotocols may be offered")
            }
            Self::Field(error) => error.fmt(f),
        }
    }
}

impl Error for ClientError {}

/// Why an answer does not open a WebSocket connection (RFC 6455 §4.1): one variant per check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The head's lines are not HTTP/1.1, or exceed a limit.
    Head(HeadError),
    /// The answer is an HTTP/1.0 one, which cannot switch protocols.
    Http10,
    /// The status is this, and not 101.
    Refused(u16),
    /// Upgrade is not exactly `websocket`.
    Upgrade,
    /// Connection does not name `Upgrade`.
    Connection,
    /// Sec-WebSocket-Accept is not the one that answers the key.
    Accept,
    /// An extension is in use, though none was offered.
    Extension,
    /// The subprotocol is none of those offered, or there are several.
    Subprotocol,
    /// The answer to a plain request is in a transfer coding, of which none is read.
    Coding,
}

impl From<HeadError> for HandshakeFailure {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => error.fmt(f),
            Self::Http10 => f.write_str("the server speaks HTTP/1.0 only"),
            Self::Refused(code) => write!(f, "the server answered {code} instead of 101"),
            Self::Upgrade => f.write_str("the server's Upgrade is not websocket (RFC 6455 §4.1)"),
            Self::Connection => {
                f.write_str("the server's Connection does not name Upgrade (RFC 6455 §4.1)")
            }
            Self::Accept => {
                f.write_str("the server's accept value does not match the key (RFC 6455 §4.1)")
            }
            Self::Extension => {
                f.write_str("the server uses an extension that was not offered (RFC 6455 §4.1)")
            }
            Self::Subprotocol => {
                f.write_str("the server uses a subprotocol that was not offered (RFC 6455 §4.1)")
            }
            Self::Coding => f.write_str("the answer is in a transfer coding (RFC 9112 §6.1)"),
        }
    }
}

impl Error for HandshakeFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9112 §3, RFC 6585 §5, RFC 9110 §15.6.6: limits and versions have answers of their own.
    #[test]
    fn a_flaw_of_the_head_is_answered_by_its_kind() {
        let table = [
            (HeadError::BareLf, 400),
            (HeadError::TargetTooLong, 414),
            (HeadError::HeadTooLarge, 431),
            (HeadError::TooManyFields, 431),
            (HeadError::MethodTooLong, 501),
            (HeadError::VersionUnsupported, 505),
        ];
        for (error, code) in table {
            assert_eq!(Rejection::from(error).status().code(), code, "{error:?}");
            assert_eq!(Rejection::from(error).to_string(), error.to_string());
        }
    }

    /// RFC 6455 §4.1: what a client is told of a handshake that failed is one line, and another one
    /// for each check.
    #[test]
    fn each_failure_of_a_handshake_has_a_text_of_its_own() {
        let mut texts = [
            HandshakeFailure::Head(HeadError::StatusInvalid),
            HandshakeFailure::Head(HeadError::Disputed),
            HandshakeFailure::Http10,
            HandshakeFailure::Refused(404),
            HandshakeFailure::Refused(503),
            HandshakeFailure::Upgrade,
            HandshakeFailure::Connection,
            HandshakeFailure::Accept,
            HandshakeFailure::Extension,
            HandshakeFailure::Subprotocol,
            HandshakeFailure::Coding,
        ]
        .map(|failure| failure.to_string())
        .to_vec();
        let fields =
            [FieldError::Name, FieldError::Value, FieldError::Reserved, FieldError::NotOffered];
        texts.extend(fields.map(|error| ClientError::Field(error).to_string()));
        texts.push(ClientError::SubprotocolInvalid.to_string());
        texts.push(ClientError::SubprotocolRepeated.to_string());
        texts.push(ClientError::TooManySubprotocols.to_string());
        assert!(texts.iter().all(|text| !text.is_empty() && !text.contains('\n')), "{texts:?}");
        let all = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), all, "two failures with one text");
    }
}
