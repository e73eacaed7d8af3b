//! The request a connection begins with (RFC 9112 §3, RFC 9110 §7): read strictly, in any pieces.
//!
//! Knows the grammar of a request, its target, Host and Origin; not which methods and fields are
//! served, which is `upgrade`'s. The lines are checked by `head` as they arrive and cut up by
//! `httparse` once they are complete.
//!
//! Invariant: a [`Request`] borrows from the received bytes and copies none of them.

use super::authority::Authority;
use super::error::{HeadError, Rejection};
use super::head::{Extent, HeadLimits, HeadScanner};

/// Reads a request's head from bytes that may arrive in any pieces.
#[derive(Debug, Clone)]
pub struct HeadParser {
    scanner: HeadScanner,
}

impl HeadParser {
    /// A parser at the beginning of a request.
    pub fn new() -> Self {
        Self { scanner: HeadScanner::request() }
    }

    /// Reads on in `bytes`: all that was received so far, from the request's first byte.
    ///
    /// `Ok(None)` asks for more bytes. Each byte is looked at once over all calls, and a flaw is
    /// reported as soon as its last byte is there. An answer, once given, stays.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks; the connection can only be answered and closed.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter than in the call before: the caller's mistake, never the peer's.
    pub fn try_parse<'b>(
        &mut self,
        bytes: &'b [u8],
        limits: &HeadLimits,
    ) -> Result<Option<Request<'b>>, Rejection> {
        match self.scanner.scan(bytes, limits)? {
            Some(extent) => Request::parse(bytes, extent).map(Some),
            None => Ok(None),
        }
    }
}

impl Default for HeadParser {
    fn default() -> Self {
        Self::new()
    }
}

/// The HTTP version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: plain requests only.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'b> {
    method: &'b str,
    target: &'b str,
    path: &'b str,
    query: Option<&'b str>,
    version: Version,
    host: Option<&'b str>,
    origin: Option<&'b str>,
    fields: Vec<httparse::Header<'b>>,
    head_len: usize,
}

impl<'b> Request<'b> {
    fn parse(bytes: &'b [u8], extent: Extent) -> Result<Self, Rejection> {
        let head = bytes.get(extent.start..extent.end).ok_or(HeadError::Disputed)?;
        // As many as were seen to arrive: `HeadLimits::fields_max` at most.
        let mut fields = vec![httparse::EMPTY_HEADER; extent.fields];
        let mut parsed = httparse::Request::new(&mut fields);
        let status = parsed.parse(head).map_err(|_| HeadError::Disputed)?;
        let agreed = status == httparse::Status::Complete(head.len())
            && parsed.headers.len() == extent.fields;
        let (Some(method), Some(target), Some(minor), true) =
            (parsed.method, parsed.path, parsed.version, agreed)
        else {
            return Err(HeadError::Disputed.into());
        };
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let (authority, path_and_query) = split_target(target)?;
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let mut request = Self {
            method,
            target,
            // RFC 9110 §4.2.3: an empty path is the same as "/".
            path: if path.is_empty() { "/" } else { path },
            query,
            version,
            host: None,
            origin: None,
            fields,
            head_len: extent.end,
        };
        // RFC 9112 §3.2.2: with an absolute-form target "the origin server MUST ignore the
        // received Host header field (if any) and instead use the host information of the
        // request-target". It is still checked.
        let host = parse_host(&request)?;
        request.host = authority.or(host);
        request.origin = parse_origin(&request)?;
        Ok(request)
    }

    /// The method as sent; methods are case-sensitive (RFC 9110 §9.1).
    pub fn method(&self) -> &'b str {
        self.method
    }

    /// The request target as sent: visible ASCII, without `#`.
    pub fn target(&self) -> &'b str {
        self.target
    }

    /// The target's path, percent-encoded as sent; begins with `/`.
    pub fn path(&self) -> &'b str {
        self.path
    }

    /// What follows the target's first `?`, percent-encoded as sent.
    pub fn query(&self) -> Option<&'b str> {
        self.query
    }

    /// The HTTP version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The `host[:port]` that the client asked for: from an absolute target, else from Host.
    /// `None` only in HTTP/1.0.
    pub fn host(&self) -> Option<&'b str> {
        self.host
    }

    /// The Origin field (RFC 6454 §7), which browsers send with every handshake: ASCII, not
    /// otherwise checked. See [`Origins`](super::Origins).
    pub fn origin(&self) -> Option<&'b str> {
        self.origin
    }

    /// The first value of the field `name`, in any case, without whitespace around it.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers(name).next()
    }

    /// All values of the field `name`, in any case, in the order received.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All fields, names as sent, in the order received.
    pub fn fields(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// How many of the received bytes the head took, with the empty lines before it. What follows
    /// them are frames, if the connection becomes a WebSocket.
    pub fn head_len(&self) -> usize {
        self.head_len
    }
}

/// RFC 9112 §3.2: the authority of an absolute-form target, and the path with its query.
fn split_target(target: &str) -> Result<(Option<&str>, &str), Rejection> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(Rejection::TargetForm)?;
    // RFC 9112 §3.2.2: "a server MUST accept the absolute-form in requests". RFC 6455 §4.1 has
    // clients write an http or https URI there; some write the ws one.
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Rejection::TargetForm);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at_checked(end).ok_or(Rejection::TargetForm)?;
    Authority::parse(authority).ok_or(Rejection::HostInvalid)?;
    Ok((Some(authority), path_and_query))
}

fn parse_host<'b>(request: &Request<'b>) -> Result<Option<&'b str>, Rejection> {
    let mut hosts = request.headers("host");
    // RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
    // request message that lacks a Host header field and to any request message that contains more
    // than one Host header field line or a Host header field with an invalid field value."
    let Some(host) = hosts.next() else {
        return match request.version {
            Version::Http10 => Ok(None),
            Version::Http11 => Err(Rejection::HostMissing),
        };
    };
    if hosts.next().is_some() {
        return Err(Rejection::HostRepeated);
    }
    let host = str::from_utf8(host).map_err(|_| Rejection::HostInvalid)?;
    // An empty Host is for targets without an authority, and those of http and ws have one.
    Authority::parse(host).ok_or(Rejection::HostInvalid)?;
    Ok(Some(host))
}

fn parse_origin<'b>(request: &Request<'b>) -> Result<Option<&'b str>, Rejection> {
    let mut origins = request.headers("origin");
    let Some(origin) = origins.next() else {
        return Ok(None);
    };
    // RFC 6454 §7.3: "the user agent MUST NOT include more than one Origin header field".
    if origins.next().is_some() {
        return Err(Rejection::OriginRepeated);
    }
    match str::from_utf8(origin) {
        Ok(origin) if origin.is_ascii() => Ok(Some(origin)),
        _ => Err(Rejection::OriginInvalid),
    }
}

#[cfg(test)]
mod tests {
    use super::Rejection::Head;
    use super::*;
    use crate::http::oracle;
    use proptest::prelude::*;

    const LIKELY_STARTS: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "HEAD /ws?a={\"b\"}|~<> HTTP/1.1\r\nhost:[::1]\r\n",
        "\r\nGET ws://a?b HTTP/1.0\r\n",
        "~!| /%zz HTTP/1.1\r\nHost:\t a:\r\n",
    ];

    #[rustfmt::skip] // one piece a line would fill the screen
    const LIKELY_LINES: &[&str] = &[
        "Upgrade: websocket\r\n", "Connection: Upgrade\r\n", "Sec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Protocol: a, b\r\n",
        "Origin: null\r\n", "X: \u{80}ÿ \t\r\n", "Y:\r\n", "!#$%&'*+-.^_`|~: \t :\"\\ \r\n",
        " folded\r\n", "Z : z\r\n", "GET ", "\r\n", "\n", "\r", "\0", "é",
    ];

    fn parse(bytes: &[u8]) -> Result<Option<Request<'_>>, Rejection> {
        oracle::check_request(bytes, std::iter::repeat(1));
        HeadParser::new().try_parse(bytes, &HeadLimits::default())
    }

    fn parsed(text: &str) -> Request<'_> {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    /// RFC 9112 §3: method, target, version and fields are what was sent.
    #[test]
    fn a_request_gives_back_what_was_sent() {
        let text = "GET /ws/btcusdt@trade?a=1?b HTTP/1.1\r\nHost: [::1]:9001\r\n\
                    X-A:  one \r\nx-a:two\r\nOrigin: https://example.com\r\nX-Empty:\r\n\r\n\
                    \x01\x02";
        let request = parsed(text);
        assert_eq!(request.method(), "GET");
        assert_eq!(request.target(), "/ws/btcusdt@trade?a=1?b");
        assert_eq!(request.path(), "/ws/btcusdt@trade");
        assert_eq!(request.query(), Some("a=1?b"));
        assert_eq!(request.version(), Version::Http11);
        assert_eq!(request.host(), Some("[::1]:9001"));
        assert_eq!(request.origin(), Some("https://example.com"));
        assert_eq!(request.header("X-a"), Some(&b"one"[..]));
        assert_eq!(request.headers("X-A").collect::<Vec<_>>(), [b"one", b"two"]);
        assert_eq!(request.header("x-empty"), Some(&b""[..]));
        assert_eq!(request.header("x-none"), None);
        assert_eq!(request.fields().count(), 5);
        assert_eq!(request.head_len(), text.len() - 2);
    }

    /// RFC 9112 §3.2.2: an absolute target's authority counts, and its path is taken from it.
    #[test]
    fn an_absolute_target_gives_host_and_path() {
        let table = [
            ("http://a.example:81/ws?x", "a.example:81", "/ws", Some("x")),
            ("ws://a.example", "a.example", "/", None),
            ("WSS://[::1]?x=/", "[::1]", "/", Some("x=/")),
            ("https://a.example/b://c", "a.example", "/b://c", None),
        ];
        for (target, host, path, query) in table {
            let text = format!("GET {target} HTTP/1.1\r\nHost: other.example\r\n\r\n");
            let request = parsed(&text);
            assert_eq!((request.host(), request.path()), (Some(host), path), "{target}");
            assert_eq!((request.query(), request.target()), (query, target));
        }
    }

    /// RFC 9112 §3.2: Host became a requirement with HTTP/1.1.
    #[test]
    fn http_1_0_may_leave_out_the_host() {
        let request = parsed("GET / HTTP/1.0\r\n\r\n");
        assert_eq!((request.version(), request.host()), (Version::Http10, None));
    }

    /// RFC 9112 §2.2: an empty line left over before the request line is ignored, and counted.
    #[test]
    fn empty_lines_before_the_request_belong_to_its_head() {
        let text = "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(parsed(text).head_len(), text.len());
    }

    #[rustfmt::skip] // a table reads by its columns
    const VIOLATIONS: &[(&[u8], Rejection, u16)] = &[
        (b"GET / HTTP/1.1\nHost: a\n\n", Head(HeadError::BareLf), 400),
        (b"GET / HTTP/1.1\rHost: a\r\r", Head(HeadError::BareCr), 400),
        (b"\n\nGET / HTTP/1.1\r\n", Head(HeadError::BareLf), 400),
        (b"\r\n\r\n\r\nGET / HTTP/1.1\r\n", Head(HeadError::EmptyLines), 400),
        (b" GET / HTTP/1.1\r\n", Head(HeadError::LeadingWhitespace), 400),
        (b"GET / HTTP/1.1\r\n Host: a\r\n", Head(HeadError::LeadingWhitespace), 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Head(HeadError::FoldedLine), 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Head(HeadError::SpaceBeforeColon), 400),
        (b"GET / HTTP/1.1\r\n: a\r\n\r\n", Head(HeadError::FieldNameEmpty), 400),
        (b"GET / HTTP/1.1\r\nHost\r\n\r\n", Head(HeadError::FieldNameInvalid), 400),
        (b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", Head(HeadError::FieldValueInvalid), 400),
        (b"GET  / HTTP/1.1\r\n\r\n", Head(HeadError::TargetInvalid), 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", Head(HeadError::TargetInvalid), 400),
        (b"GET /#top HTTP/1.1\r\n\r\n", Head(HeadError::TargetFragment), 400),
        (b"GET /\r\n\r\n", Head(HeadError::VersionInvalid), 400),
        (b"\x16\x03\x01\x02\x00\x01", Head(HeadError::MethodInvalid), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Head(HeadError::VersionUnsupported), 505),
        (b"GET / HTTP/3.0\r\n\r\n", Head(HeadError::VersionUnsupported), 505),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Rejection::TargetForm, 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Rejection::TargetForm, 400),
        (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Rejection::TargetForm, 400),
        (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Rejection::HostInvalid, 400),
        (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", Rejection::HostInvalid, 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", Rejection::HostInvalid, 400),
        (b"GET / HTTP/1.1\r\n\r\n", Rejection::HostMissing, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Rejection::HostRepeated, 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Rejection::HostRepeated, 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Rejection::HostInvalid, 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Rejection::HostInvalid, 400),
        (b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", Rejection::HostInvalid, 400),
        (b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", Rejection::HostInvalid, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nOrigin: b\r\n\r\n",
            Rejection::OriginRepeated, 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: \xe9\r\n\r\n", Rejection::OriginInvalid, 400),
    ];

    /// RFC 9112 §2 to §5, RFC 9110 §7.2: each violation has its rejection and its status,
    /// however the bytes are cut.
    #[test]
    fn each_violation_has_its_answer() {
        for &(bytes, rejection, code) in VIOLATIONS {
            let shown = bytes.escape_ascii();
            assert_eq!(parse(bytes), Err(rejection), "{shown}");
            assert_eq!(rejection.status().code(), code, "{shown}");
        }
    }

    /// RFC 9112 §3, RFC 6585 §5: the default limits answer 414, 431 and 501.
    #[test]
    fn what_exceeds_a_default_limit_has_its_status() {
        let long = "a".repeat(17 * 1024);
        let fields = "A: b\r\n".repeat(101);
        let table = [
            (format!("GET /{long} HTTP/1.1\r\n"), 414),
            (format!("GET / HTTP/1.1\r\nHost: {long}\r\n"), 431),
            (format!("GET / HTTP/1.1\r\n{fields}\r\n"), 431),
            (long, 501),
        ];
        for (text, code) in table {
            assert_eq!(parse(text.as_bytes()).unwrap_err().status().code(), code);
        }
    }

    proptest! {
        /// Standing oracle: any bytes, cut anywhere, give the same outcome, and none panic.
        #[test]
        fn arbitrary_bytes_cut_anywhere_give_the_same_outcome(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            cuts in proptest::collection::vec(0_usize..8, 1..8),
        ) {
            oracle::check_request(&bytes, cuts.into_iter());
        }

        /// Standing oracle: so do heads that are right, or nearly; and `httparse` takes every head
        /// that the scanner takes.
        #[test]
        fn likely_heads_cut_anywhere_give_the_same_outcome(
            start in proptest::sample::select(LIKELY_STARTS),
            lines in proptest::collection::vec(proptest::sample::select(LIKELY_LINES), 0..8),
            cuts in proptest::collection::vec(0_usize..24, 1..8),
        ) {
            let text = [start, &lines.concat(), "\r\n\u{81}\0"].concat();
            oracle::check_request(text.as_bytes(), cuts.into_iter());
            let outcome = HeadParser::new().try_parse(text.as_bytes(), &HeadLimits::default());
            prop_assert_ne!(outcome, Err(Rejection::Head(HeadError::Disputed)));
        }
    }
}
