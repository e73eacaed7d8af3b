//! Message heads (RFC 9112 §2 to §5): where one ends, and whether its lines obey the grammar.
//!
//! RFC 9112 lets a recipient forgive much (a bare LF, folded lines, whitespace in odd places).
//! Nothing is forgiven here: what two parsers read differently is what request smuggling is made
//! of, and no WebSocket client needs it. Knows no method, field or host by name.
//!
//! Invariant: every byte is looked at once, in order, and judged at once. So a head that arrives
//! one byte at a time costs linear work, a flaw is answered without waiting for the rest, and the
//! outcome does not depend on how the bytes were cut.

use super::error::HeadError;
use super::token::{is_field_byte, is_tchar};

/// Empty lines forgiven before a request line: a robust server "SHOULD ignore at least one"
/// (RFC 9112 §2.2).
const EMPTY_LINES_MAX: u8 = 2;

/// Length of a method, in bytes. The longest that the IANA registry knows has 17.
const METHOD_BYTES_MAX: usize = 32;

/// How large a message head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head, from its first byte to the empty line's LF, in bytes. Default: 16 KiB.
    pub head_bytes_max: usize,
    /// The request target, in bytes. Default: 8 KiB.
    pub target_bytes_max: usize,
    /// The number of field lines. Default: 100.
    pub fields_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024, target_bytes_max: 8 * 1024, fields_max: 100 }
    }
}

/// Where a complete head lies in the bytes received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where the start line begins: past the empty lines before it.
    pub(super) start: usize,
    /// Just past the empty line that ends the head.
    pub(super) end: usize,
    /// How many field lines there are.
    pub(super) fields: usize,
}

/// Looks for the end of a head, and remembers how far it has looked.
#[derive(Debug, Clone)]
pub(super) struct HeadScanner {
    state: State,
    start_line: StartLine,
    /// How many bytes were looked at.
    scanned: usize,
    empty_lines: u8,
    /// Where the start line begins.
    start: usize,
    /// Where the request target begins.
    target: usize,
    fields: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartLine {
    /// `method SP request-target SP HTTP-version`
    Request,
    /// `HTTP-version SP status-code SP [ reason-phrase ]`
    Status,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeRequest,
    EmptyLineLf,
    Method,
    Target,
    /// With how many bytes of the version were seen.
    Version(u8),
    /// With how many digits were seen.
    StatusCode(u8),
    Reason,
    LineLf,
    LineStart,
    FieldName,
    FieldValue,
    HeadLf,
    Done,
    Failed(HeadError),
}

impl HeadScanner {
    pub(super) fn request() -> Self {
        Self::new(StartLine::Request, State::BeforeRequest)
    }

    pub(super) fn response() -> Self {
        Self::new(StartLine::Status, State::Version(0))
    }

    fn new(start_line: StartLine, state: State) -> Self {
        Self { state, start_line, scanned: 0, empty_lines: 0, start: 0, target: 0, fields: 0 }
    }

    /// Looks at what is new in `bytes`, which are all bytes received so far.
    ///
    /// Once it has answered with an extent or an error, it keeps that answer.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Extent>, HeadError> {
        assert!(bytes.len() >= self.scanned, "bytes already scanned must be passed again");
        while !matches!(self.state, State::Done | State::Failed(_)) {
            self.skip_run(bytes, limits);
            // Not one byte later: the caller's buffer may hold no more than this.
            if self.scanned >= limits.head_bytes_max {
                self.state = State::Failed(HeadError::HeadTooLarge);
                break;
            }
            let Some(&byte) = bytes.get(self.scanned) else { break };
            self.state = self.step(byte, limits).unwrap_or_else(State::Failed);
            self.scanned += 1;
        }
        match self.state {
            State::Done => {
                Ok(Some(Extent { start: self.start, end: self.scanned, fields: self.fields }))
            }
            State::Failed(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// Looks at the bytes that [`Self::step`] would take without leaving the state: most of a head
    /// is names and values.
    fn skip_run(&mut self, bytes: &[u8], limits: &HeadLimits) {
        let within = bytes.get(self.scanned..limits.head_bytes_max.min(bytes.len()));
        let rest = within.unwrap_or_default();
        self.scanned += match self.state {
            State::FieldName => run(rest, is_tchar),
            State::FieldValue => run(rest, is_field_byte),
            _ => 0,
        };
    }

    fn step(&mut self, byte: u8, limits: &HeadLimits) -> Result<State, HeadError> {
        match self.state {
            State::BeforeRequest => self.before_request(byte),
            State::EmptyLineLf => expect_lf(byte, State::BeforeRequest),
            State::Method => self.method(byte),
            State::Target => self.target(byte, limits),
            State::Version(seen) => self.version(byte, seen),
            State::StatusCode(digits) => status_code(byte, digits),
            State::Reason => text(byte, State::Reason, HeadError::StatusInvalid),
            State::LineLf => expect_lf(byte, State::LineStart),
            State::LineStart => self.line_start(byte, limits),
            State::FieldName => field_name(byte),
            State::FieldValue => text(byte, State::FieldValue, HeadError::FieldValueInvalid),
            State::HeadLf => expect_lf(byte, State::Done),
            State::Done | State::Failed(_) => Ok(self.state),
        }
    }

    fn before_request(&mut self, byte: u8) -> Result<State, HeadError> {
        match byte {
            b'\r' if self.empty_lines == EMPTY_LINES_MAX => Err(HeadError::EmptyLines),
            b'\r' => {
                self.empty_lines += 1;
                Ok(State::EmptyLineLf)
            }
            b'\n' => Err(HeadError::BareLf),
            b' ' | b'\t' => Err(HeadError::LeadingWhitespace),
            _ if is_tchar(byte) => {
                self.start = self.scanned;
                Ok(State::Method)
            }
            _ => Err(HeadError::MethodInvalid),
        }
    }

    fn method(&mut self, byte: u8) -> Result<State, HeadError> {
        match byte {
            b' ' => {
                self.target = self.scanned + 1;
                Ok(State::Target)
            }
            b'\n' => Err(HeadError::BareLf),
            _ if !is_tchar(byte) => Err(HeadError::MethodInvalid),
            // RFC 9112 §3: "A server that receives a method longer than any that it implements
            // SHOULD respond with a 501".
            _ if self.scanned - self.start >= METHOD_BYTES_MAX => Err(HeadError::MethodTooLong),
            _ => Ok(State::Method),
        }
    }

    fn target(&mut self, byte: u8, limits: &HeadLimits) -> Result<State, HeadError> {
        let len = self.scanned - self.target;
        match byte {
            b' ' if len > 0 => Ok(State::Version(0)),
            // A request line of HTTP/0.9.
            b'\r' if len > 0 => Err(HeadError::VersionInvalid),
            b'\n' => Err(HeadError::BareLf),
            // RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs
            // and MUST NOT be used on these URIs."
            b'#' => Err(HeadError::TargetFragment),
            // RFC 9112 §3: a server that receives a target longer than it wishes to parse
            // "MUST respond with a 414".
            b'!'..=b'~' if len >= limits.target_bytes_max => Err(HeadError::TargetTooLong),
            b'!'..=b'~' => Ok(State::Target),
            _ => Err(HeadError::TargetInvalid),
        }
    }

    /// `HTTP/1.1` or `HTTP/1.0`, and what follows it in this kind of start line.
    fn version(&mut self, byte: u8, seen: u8) -> Result<State, HeadError> {
        let expected = match seen {
            0 => b'H',
            1 | 2 => b'T',
            3 => b'P',
            4 => b'/',
            5 if byte.is_ascii_digit() && byte != b'1' => {
                return Err(HeadError::VersionUnsupported);
            }
            5 => b'1',
            6 => b'.',
            7 if matches!(byte, b'0' | b'1') => byte,
            7 if byte.is_ascii_digit() => return Err(HeadError::VersionUnsupported),
            _ => {
                return match (self.start_line, byte) {
                    (StartLine::Request, b'\r') => Ok(State::LineLf),
                    (StartLine::Status, b' ') => Ok(State::StatusCode(0)),
                    (_, b'\n') => Err(HeadError::BareLf),
                    _ => Err(HeadError::VersionInvalid),
                };
            }
        };
        if byte == expected { Ok(State::Version(seen + 1)) } else { Err(HeadError::VersionInvalid) }
    }

    fn line_start(&mut self, byte: u8, limits: &HeadLimits) -> Result<State, HeadError> {
        match byte {
            b'\r' => Ok(State::HeadLf),
            b'\n' => Err(HeadError::BareLf),
            b' ' | b'\t' if self.fields == 0 => Err(HeadError::LeadingWhitespace),
            // RFC 9112 §5.2: "A server that receives an obs-fold in a request message […] MUST
            // either reject the message by sending a 400 […] or replace each received obs-fold".
            b' ' | b'\t' => Err(HeadError::FoldedLine),
            b':' => Err(HeadError::FieldNameEmpty),
            _ if !is_tchar(byte) => Err(HeadError::FieldNameInvalid),
            _ if self.fields >= limits.fields_max => Err(HeadError::TooManyFields),
            _ => {
                self.fields += 1;
                Ok(State::FieldName)
            }
        }
    }
}

/// How many bytes at the front are of one kind.
fn run(bytes: &[u8], of: fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !of(byte)).unwrap_or(bytes.len())
}

fn field_name(byte: u8) -> Result<State, HeadError> {
    match byte {
        b':' => Ok(State::FieldValue),
        b'\n' => Err(HeadError::BareLf),
        // RFC 9112 §5.1: "A server MUST reject, with a response status code of 400 (Bad Request),
        // any received request message that contains whitespace between a header field name and
        // colon."
        b' ' | b'\t' => Err(HeadError::SpaceBeforeColon),
        _ if is_tchar(byte) => Ok(State::FieldName),
        _ => Err(HeadError::FieldNameInvalid),
    }
}

/// The free text up to a line's end: a field value or a reason phrase.
fn text(byte: u8, same: State, invalid: HeadError) -> Result<State, HeadError> {
    match byte {
        b'\r' => Ok(State::LineLf),
        b'\n' => Err(HeadError::BareLf),
        _ if is_field_byte(byte) => Ok(same),
        _ => Err(invalid),
    }
}

fn status_code(byte: u8, digits: u8) -> Result<State, HeadError> {
    match (digits, byte) {
        (0..=2, b'0'..=b'9') => Ok(State::StatusCode(digits + 1)),
        (3, b' ') => Ok(State::Reason),
        // The space is required even before an empty reason, but is often left out.
        (3, b'\r') => Ok(State::LineLf),
        (_, b'\n') => Err(HeadError::BareLf),
        _ => Err(HeadError::StatusInvalid),
    }
}

fn expect_lf(byte: u8, next: State) -> Result<State, HeadError> {
    if byte == b'\n' { Ok(next) } else { Err(HeadError::BareCr) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_request(bytes: &[u8]) -> Result<Option<Extent>, HeadError> {
        HeadScanner::request().scan(bytes, &HeadLimits::default())
    }

    fn scan_response(bytes: &[u8]) -> Result<Option<Extent>, HeadError> {
        HeadScanner::response().scan(bytes, &HeadLimits::default())
    }

    /// RFC 9112 §2.1: a head ends at its empty line; what follows is not looked at.
    #[test]
    fn the_extent_of_a_head_excludes_what_follows() {
        let bytes = b"\r\nGET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n\x81\x00\n\n";
        assert_eq!(scan_request(bytes), Ok(Some(Extent { start: 2, end: 33, fields: 2 })));
        assert_eq!(scan_request(&bytes[..32]), Ok(None));
        let bytes = b"HTTP/1.1 101 \r\nA: b\r\n\r\n\x81\x00";
        assert_eq!(scan_response(bytes), Ok(Some(Extent { start: 0, end: 23, fields: 1 })));
    }

    /// RFC 9112 §2.2 to §5.2: every flaw is reported at the very byte that makes it one.
    #[test]
    fn a_flaw_is_reported_at_its_last_byte_and_not_before() {
        let line = "GET / HTTP/1.1\r\n";
        let field = "GET / HTTP/1.1\r\nA: b\r\n";
        let table = [
            ("", "\n", HeadError::BareLf),
            ("\r", "G", HeadError::BareCr),
            ("\r\n\r\n", "\r", HeadError::EmptyLines),
            ("", " ", HeadError::LeadingWhitespace),
            ("", "\x16", HeadError::MethodInvalid),
            ("GE", "(", HeadError::MethodInvalid),
            ("GET", "\n", HeadError::BareLf),
            ("GET", "\r", HeadError::MethodInvalid),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZ-ABCDE", "F", HeadError::MethodTooLong),
            ("GET ", " ", HeadError::TargetInvalid),
            ("GET ", "\r", HeadError::TargetInvalid),
            ("GET /", "\r", HeadError::VersionInvalid),
            ("GET /", "\n", HeadError::BareLf),
            ("GET /", "\x7f", HeadError::TargetInvalid),
            ("GET /", "é", HeadError::TargetInvalid),
            ("GET /a", "#", HeadError::TargetFragment),
            ("GET / ", "h", HeadError::VersionInvalid),
            ("GET / HTTP/", "2", HeadError::VersionUnsupported),
            ("PRI * HTTP/", "2", HeadError::VersionUnsupported),
            ("GET / HTTP/1", "1", HeadError::VersionInvalid),
            ("GET / HTTP/1.", "2", HeadError::VersionUnsupported),
            ("GET / HTTP/1.", "x", HeadError::VersionInvalid),
            ("GET / HTTP/1.1", " ", HeadError::VersionInvalid),
            ("GET / HTTP/1.1", "\n", HeadError::BareLf),
            ("GET / HTTP/1.1\r", "A", HeadError::BareCr),
            (line, " ", HeadError::LeadingWhitespace),
            (line, ":", HeadError::FieldNameEmpty),
            (line, "\n", HeadError::BareLf),
            (line, "\0", HeadError::FieldNameInvalid),
            ("GET / HTTP/1.1\r\nA", " ", HeadError::SpaceBeforeColon),
            ("GET / HTTP/1.1\r\nA", "\t", HeadError::SpaceBeforeColon),
            ("GET / HTTP/1.1\r\nA", "\r", HeadError::FieldNameInvalid),
            ("GET / HTTP/1.1\r\nA", "\n", HeadError::BareLf),
            ("GET / HTTP/1.1\r\nA: ", "\0", HeadError::FieldValueInvalid),
            ("GET / HTTP/1.1\r\nA: ", "\x7f", HeadError::FieldValueInvalid),
            ("GET / HTTP/1.1\r\nA: b", "\n", HeadError::BareLf),
            ("GET / HTTP/1.1\r\nA: b\r", "c", HeadError::BareCr),
            (field, " ", HeadError::FoldedLine),
            (field, "\t", HeadError::FoldedLine),
            ("GET / HTTP/1.1\r\nA: b\r\n\r", "c", HeadError::BareCr),
        ];
        for (before, flaw, error) in table {
            assert_eq!(scan_request(before.as_bytes()), Ok(None), "{before:?}");
            let bytes = [before, flaw].concat();
            assert_eq!(scan_request(bytes.as_bytes()), Err(error), "{bytes:?}");
        }
    }

    /// RFC 9112 §4: a status line is a version, three digits, and perhaps a reason.
    #[test]
    fn a_status_line_is_checked_like_a_request_line() {
        let table = [
            ("HTTP/1.1 101\r\n\r", "\n", Ok(Some(Extent { start: 0, end: 16, fields: 0 }))),
            ("", "\r", Err(HeadError::VersionInvalid)),
            ("HTTP/", "3", Err(HeadError::VersionUnsupported)),
            ("HTTP/1.1", "\r", Err(HeadError::VersionInvalid)),
            ("HTTP/1.1 ", " ", Err(HeadError::StatusInvalid)),
            ("HTTP/1.1 10", " ", Err(HeadError::StatusInvalid)),
            ("HTTP/1.1 101", "0", Err(HeadError::StatusInvalid)),
            ("HTTP/1.1 101", "\n", Err(HeadError::BareLf)),
            ("HTTP/1.1 101 Swi", "\0", Err(HeadError::StatusInvalid)),
        ];
        for (before, last, outcome) in table {
            assert_eq!(scan_response(before.as_bytes()), Ok(None), "{before:?}");
            let bytes = [before, last].concat();
            assert_eq!(scan_response(bytes.as_bytes()), outcome, "{bytes:?}");
        }
    }

    /// RFC 9112 §3, RFC 6585 §5: a limit lets its own value through, and nothing above it.
    #[test]
    fn each_limit_is_exact() {
        let head = b"GET /abc HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
        let exact = HeadLimits { head_bytes_max: head.len(), target_bytes_max: 4, fields_max: 2 };
        let scan = |limits| HeadScanner::request().scan(head, &limits);
        assert!(matches!(scan(exact), Ok(Some(_))));
        let head_bytes_max = head.len() - 1;
        assert_eq!(scan(HeadLimits { head_bytes_max, ..exact }), Err(HeadError::HeadTooLarge));
        assert_eq!(
            scan(HeadLimits { target_bytes_max: 3, ..exact }),
            Err(HeadError::TargetTooLong)
        );
        assert_eq!(scan(HeadLimits { fields_max: 1, ..exact }), Err(HeadError::TooManyFields));
    }

    /// RFC 6585 §5: a full buffer without an end is answered, not waited on.
    #[test]
    fn an_unfinished_head_of_the_largest_size_is_refused_at_once() {
        let limits = HeadLimits { head_bytes_max: 10, ..HeadLimits::default() };
        let mut scanner = HeadScanner::request();
        assert_eq!(scanner.scan(b"GET / HTT", &limits), Ok(None));
        assert_eq!(scanner.scan(b"GET / HTTP", &limits), Err(HeadError::HeadTooLarge));
        assert_eq!(scanner.scan(b"GET / HTTP/1.1", &limits), Err(HeadError::HeadTooLarge));
    }
}
