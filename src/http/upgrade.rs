//! The server's side of the opening handshake (RFC 6455 §4.2): what a request asks for, and
//! whether it may have it.
//!
//! Knows which methods and fields are served; not paths, origins or the bytes of an answer.
//! Invariant: a [`Handshake`] is a request that meets every requirement of §4.2.1.

use super::error::Rejection;
use super::extensions::is_extension_list;
use super::key::{accept_key, is_key};
use super::request::{Request, Version};
use super::token::{elements, is_token, lists_token};

/// Subprotocols that one handshake may offer. Each is compared with all before it.
pub const SUBPROTOCOLS_MAX: usize = 32;

/// The methods of RFC 9110 §9 and RFC 5789 that are not served.
const OTHER_METHODS: [&str; 7] = ["POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent<'b> {
    /// A resource, by GET or HEAD, without content.
    Plain,
    /// To become a WebSocket connection.
    WebSocket(Handshake<'b>),
}

/// Decides what `request` asks for: with `websocket` in its Upgrade field, a handshake.
///
/// # Errors
///
/// The rule of RFC 9110 or of RFC 6455 §4.2.1 that it breaks: "If the server […] finds that the
/// client did not send a handshake that matches the description below […], the server MUST stop
/// processing the client's handshake and return an HTTP response with an appropriate error code".
pub fn classify<'b>(request: &Request<'b>) -> Result<Intent<'b>, Rejection> {
    let handshake = lists_token(request.headers("upgrade"), "websocket");
    check_method(request.method(), handshake)?;
    check_content(request)?;
    if !handshake {
        return Ok(Intent::Plain);
    }
    // §4.2.1, 1: "An HTTP/1.1 or higher GET request". RFC 9110 §7.8 would have the Upgrade of
    // HTTP/1.0 ignored; to be told why helps more than a 404.
    if request.version() < Version::Http11 {
        return Err(Rejection::HandshakeHttp10);
    }
    // §4.2.1, 4: "A |Connection| header field that includes the token "Upgrade", treated as an
    // ASCII case-insensitive value."
    if !lists_token(request.headers("connection"), "upgrade") {
        return Err(Rejection::ConnectionNotUpgrade);
    }
    // Before the key, which handshakes of older versions have not.
    check_version(request)?;
    let key = parse_key(request)?;
    let subprotocols = parse_subprotocols(request)?;
    if !request.headers("sec-websocket-extensions").all(is_extension_list) {
        return Err(Rejection::ExtensionsInvalid);
    }
    Ok(Intent::WebSocket(Handshake { key, subprotocols }))
}

/// A request that may be answered by switching to WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake<'b> {
    key: &'b [u8],
    subprotocols: Vec<&'b str>,
}

impl<'b> Handshake<'b> {
    /// The `Sec-WebSocket-Key`: 16 bytes in base64.
    pub fn key(&self) -> &'b [u8] {
        self.key
    }

    /// The `Sec-WebSocket-Accept` that answers the key.
    pub fn accept(&self) -> [u8; 28] {
        accept_key(self.key)
    }

    /// The offered subprotocols, the client's favourite first; each a token, none twice.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'b str> {
        self.subprotocols.iter().copied()
    }

    /// The first of `supported` that the client offers (names are case-sensitive).
    ///
    /// §4.2.2 leaves the choice to the server, so it is the server's order that counts. `None`
    /// means an answer without a subprotocol.
    pub fn select<'s>(&self, supported: &[&'s str]) -> Option<&'s str> {
        supported.iter().copied().find(|name| self.subprotocols.contains(name))
    }
}

fn check_method(method: &str, handshake: bool) -> Result<(), Rejection> {
    match method {
        "GET" => Ok(()),
        "HEAD" if !handshake => Ok(()),
        "HEAD" => Err(Rejection::HandshakeMethod),
        _ if !OTHER_METHODS.contains(&method) => Err(Rejection::MethodUnknown),
        _ if handshake => Err(Rejection::HandshakeMethod),
        _ => Err(Rejection::MethodNotServed),
    }
}

/// Refuses content, which nothing served here has a use for. It cannot just be skipped: in a
/// handshake it would be read as frames.
fn check_content(request: &Request<'_>) -> Result<(), Rejection> {
    // RFC 9110 §10.1.1: an expectation in an HTTP/1.0 request is to be ignored.
    if request.version() >= Version::Http11 && request.header("expect").is_some() {
        return Err(Rejection::Expectation);
    }
    // 400 and not 413: a chunked body's length is unknown, and beside a Content-Length it "ought
    // to be handled as an error" (RFC 9112 §6.3), being an attempt at request smuggling.
    if request.header("transfer-encoding").is_some() {
        return Err(Rejection::TransferEncoding);
    }
    let mut lengths = request.headers("content-length");
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    if !is_number || lengths.next().is_some() {
        return Err(Rejection::ContentLengthInvalid);
    }
    if length.iter().any(|&digit| digit != b'0') {
        return Err(Rejection::Content);
    }
    Ok(())
}

fn check_version(request: &Request<'_>) -> Result<(), Rejection> {
    let mut versions = request.headers("sec-websocket-version");
    // §4.2.2, 4: a server that does not speak the version sent "MUST abort the WebSocket handshake
    // […] and instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a
    // |Sec-WebSocket-Version| header field". What is no number does not match either; where none is
    // sent, that answer helps too.
    let Some(version) = versions.next() else {
        return Err(Rejection::VersionUnsupported);
    };
    // §11.3.5: the field "MUST NOT appear more than once in an HTTP request".
    if versions.next().is_some() {
        return Err(Rejection::VersionRepeated);
    }
    match version {
        b"13" => Ok(()),
        _ if is_version(version) => Err(Rejection::VersionUnsupported),
        _ => Err(Rejection::VersionInvalid),
    }
}

/// §4.3: a number from 0 to 255 without leading zeros.
fn is_version(text: &[u8]) -> bool {
    let digits = text.iter().all(u8::is_ascii_digit) && (text == b"0" || !text.starts_with(b"0"));
    digits && str::from_utf8(text).is_ok_and(|text| text.parse::<u8>().is_ok())
}

/// §4.2.1, 5: "A |Sec-WebSocket-Key| header field with a base64-encoded […] value that, when
/// decoded, is 16 bytes in length."
fn parse_key<'b>(request: &Request<'b>) -> Result<&'b [u8], Rejection> {
    let mut keys = request.headers("sec-websocket-key");
    let Some(key) = keys.next() else {
        return Err(Rejection::KeyMissing);
    };
    // §11.3.1: the field "MUST NOT appear more than once in an HTTP request".
    if keys.next().is_some() {
        return Err(Rejection::KeyRepeated);
    }
    if !is_key(key) {
        return Err(Rejection::KeyInvalid);
    }
    Ok(key)
}

/// §4.1, 10: "The elements that comprise this value MUST be non-empty strings with characters in
/// the range U+0021 to U+007E not including separator characters […] and MUST all be unique
/// strings." §11.3.4 allows several lines, "the same as a single" one.
fn parse_subprotocols<'b>(request: &Request<'b>) -> Result<Vec<&'b str>, Rejection> {
    let mut offered = Vec::new();
    for value in request.headers("sec-websocket-protocol") {
        offer_all(value, &mut offered)?;
    }
    Ok(offered)
}

fn offer_all<'b>(value: &'b [u8], offered: &mut Vec<&'b str>) -> Result<(), Rejection> {
    // RFC 9110 §5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list
    // elements". A list of nothing else is not one: `1#token`.
    let mut names = elements(value).filter(|name| !name.is_empty()).peekable();
    if names.peek().is_none() {
        return Err(Rejection::SubprotocolInvalid);
    }
    for name in names {
        let name = match str::from_utf8(name) {
            Ok(text) if is_token(name) => text,
            _ => return Err(Rejection::SubprotocolInvalid),
        };
        if offered.contains(&name) {
            return Err(Rejection::SubprotocolRepeated);
        }
        if offered.len() == SUBPROTOCOLS_MAX {
            return Err(Rejection::TooManySubprotocols);
        }
        offered.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::HeadLimits;
    use crate::http::oracle;
    use crate::http::request::HeadParser;

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

    fn with_request<T>(lines: &str, check: impl FnOnce(Result<Intent<'_>, Rejection>) -> T) -> T {
        let text = format!("{lines}Host: a\r\n\r\n");
        oracle::check_request(text.as_bytes(), std::iter::repeat(1));
        let request = HeadParser::new().try_parse(text.as_bytes(), &HeadLimits::default());
        check(classify(&request.unwrap().unwrap()))
    }

    /// Sends a valid handshake with `fields` added, and gives back the subprotocols.
    fn offered(fields: &str) -> Result<Vec<String>, Rejection> {
        let lines = format!("GET / HTTP/1.1\r\n{UPGRADE}{KEY}{VERSION}{fields}");
        with_request(&lines, |outcome| match outcome? {
            Intent::WebSocket(handshake) => {
                Ok(handshake.subprotocols().map(str::to_owned).collect())
            }
            Intent::Plain => panic!("a handshake is taken for a plain request"),
        })
    }

    /// §4.2.1: tokens stand in lists, over several lines, in any case.
    #[test]
    fn a_handshake_is_known_by_its_tokens() {
        let table = [
            UPGRADE,
            "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n",
            "Upgrade: h2c, websocket\r\nConnection: keep-alive\r\nConnection: ,UPGRADE,\r\n",
            "Upgrade: foo\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        ];
        for fields in table {
            let lines = format!("GET / HTTP/1.1\r\n{fields}{KEY}{VERSION}");
            with_request(&lines, |outcome| {
                let Ok(Intent::WebSocket(handshake)) = outcome else { panic!("{outcome:?}") };
                assert_eq!(handshake.key(), b"dGhlIHNhbXBsZSBub25jZQ==");
                assert_eq!(&handshake.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
            });
        }
    }

    /// RFC 9110 §7.8: without an upgrade to websocket a request is an ordinary one.
    #[test]
    fn other_requests_are_plain() {
        let table = [
            "GET / HTTP/1.1\r\n",
            "HEAD / HTTP/1.1\r\n",
            "GET / HTTP/1.0\r\nExpect: 100-continue\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0\r\n",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n",
            "GET / HTTP/1.1\r\nUpgrade: websocket2\r\n",
            "GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade\r\n",
        ];
        for lines in table {
            with_request(lines, |outcome| assert_eq!(outcome, Ok(Intent::Plain), "{lines}"));
        }
    }

    const HTTP10: &str = "GET / HTTP/1.0\r\n";
    const GET: &str = "GET / HTTP/1.1\r\n";
    const HEAD: &str = "HEAD / HTTP/1.1\r\n";
    const POST: &str = "POST / HTTP/1.1\r\n";
    const BREW: &str = "BREW / HTTP/1.1\r\n";

    #[rustfmt::skip] // a table reads by its columns
    const VIOLATIONS: &[(&[&str], Rejection, u16)] = &[
        (&[POST, "Content-Length: 7\r\n"], Rejection::MethodNotServed, 405),
        (&["get / HTTP/1.1\r\n"], Rejection::MethodUnknown, 501),
        (&[BREW], Rejection::MethodUnknown, 501),
        (&[GET, "Content-Length: 7\r\n"], Rejection::Content, 413),
        (&[GET, "Content-Length: 99999999999999999999\r\n"], Rejection::Content, 413),
        (&[GET, "Content-Length: +0\r\n"], Rejection::ContentLengthInvalid, 400),
        (&[GET, "Content-Length:\r\n"], Rejection::ContentLengthInvalid, 400),
        (&[GET, "Content-Length: 0, 0\r\n"], Rejection::ContentLengthInvalid, 400),
        (&[GET, "Content-Length: 0\r\nContent-Length: 7\r\n"],
            Rejection::ContentLengthInvalid, 400),
        (&[GET, "Transfer-Encoding: chunked\r\n"], Rejection::TransferEncoding, 400),
        (&[GET, "Expect: 100-continue\r\n"], Rejection::Expectation, 417),
        (&[HEAD, UPGRADE, KEY, VERSION], Rejection::HandshakeMethod, 405),
        (&[POST, UPGRADE, KEY, VERSION], Rejection::HandshakeMethod, 405),
        (&[BREW, UPGRADE, KEY, VERSION], Rejection::MethodUnknown, 501),
        (&[HTTP10, UPGRADE, KEY, VERSION], Rejection::HandshakeHttp10, 400),
        (&[GET, "Upgrade: websocket\r\n", KEY, VERSION], Rejection::ConnectionNotUpgrade, 400),
        (&[GET, "Upgrade: websocket\r\nConnection: close\r\n"],
            Rejection::ConnectionNotUpgrade, 400),
        (&[GET, UPGRADE, KEY, VERSION, "Content-Length: 2\r\n"], Rejection::Content, 413),
    ];

    /// §4.2.1, RFC 9110 §9, §10: each violation has its rejection and its status.
    #[test]
    fn each_violation_has_its_answer() {
        for &(lines, rejection, code) in VIOLATIONS {
            let lines = lines.concat();
            with_request(&lines, |outcome| assert_eq!(outcome, Err(rejection), "{lines}"));
            assert_eq!(rejection.status().code(), code, "{lines}");
        }
    }

    /// §4.2.2, 4, §4.4: whatever does not match 13 is told the right one.
    #[test]
    fn each_wrong_version_has_its_answer() {
        use Rejection as R;
        let table = [
            ("", R::VersionUnsupported, 426),
            ("Sec-WebSocket-Version: 8\r\n", R::VersionUnsupported, 426),
            ("Sec-WebSocket-Version: 0\r\n", R::VersionUnsupported, 426),
            ("Sec-WebSocket-Version: 255\r\n", R::VersionUnsupported, 426),
            ("Sec-WebSocket-Version: 256\r\n", R::VersionInvalid, 426),
            ("Sec-WebSocket-Version: 013\r\n", R::VersionInvalid, 426),
            ("Sec-WebSocket-Version: 13, 8\r\n", R::VersionInvalid, 426),
            ("Sec-WebSocket-Version: +13\r\n", R::VersionInvalid, 426),
            ("Sec-WebSocket-Version:\r\n", R::VersionInvalid, 426),
            ("Sec-WebSocket-Version: 13\r\nsec-websocket-version: 13\r\n", R::VersionRepeated, 400),
        ];
        for (field, rejection, code) in table {
            let lines = format!("GET / HTTP/1.1\r\n{UPGRADE}{KEY}{field}");
            with_request(&lines, |outcome| assert_eq!(outcome, Err(rejection), "{field}"));
            assert_eq!(rejection.status().code(), code, "{field}");
        }
    }

    /// §4.2.1, 5: there is one key, and it is well-formed.
    #[test]
    fn each_wrong_key_has_its_answer() {
        let table = [
            ("", Rejection::KeyMissing),
            ("Sec-WebSocket-Key:\r\n", Rejection::KeyInvalid),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n", Rejection::KeyInvalid),
            (
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: x\r\n",
                Rejection::KeyRepeated,
            ),
        ];
        for (field, rejection) in table {
            let lines = format!("GET / HTTP/1.1\r\n{UPGRADE}{VERSION}{field}");
            with_request(&lines, |outcome| assert_eq!(outcome, Err(rejection), "{field}"));
            assert_eq!(rejection.status().code(), 400, "{field}");
        }
    }

    /// §4.1, 10: offers are tokens, each once, in one line or several.
    #[test]
    fn subprotocols_are_offered_in_the_client_s_order() {
        assert_eq!(offered(""), Ok(vec![]));
        let fields = "Sec-WebSocket-Protocol: b, a\r\nSec-WebSocket-Protocol:c.v1\r\n";
        assert_eq!(offered(fields), Ok(["b", "a", "c.v1"].map(str::to_owned).to_vec()));
        assert_eq!(offered("Sec-WebSocket-Protocol: a, A\r\n").map(|names| names.len()), Ok(2));
        assert_eq!(offered("Sec-WebSocket-Protocol: ,a,, b,\r\n").map(|names| names.len()), Ok(2));
        let table = [
            ("", Rejection::SubprotocolInvalid),
            (",", Rejection::SubprotocolInvalid),
            (",a b,", Rejection::SubprotocolInvalid),
            ("a b", Rejection::SubprotocolInvalid),
            ("a/b", Rejection::SubprotocolInvalid),
            ("é", Rejection::SubprotocolInvalid),
            ("a, b, a", Rejection::SubprotocolRepeated),
            ("a\r\nSec-WebSocket-Protocol: a", Rejection::SubprotocolRepeated),
        ];
        for (value, rejection) in table {
            let fields = format!("Sec-WebSocket-Protocol: {value}\r\n");
            assert_eq!(offered(&fields), Err(rejection), "{value}");
            assert_eq!(rejection.status().code(), 400);
        }
    }

    /// RFC 6585 §5: what is compared pairwise is limited.
    #[test]
    fn only_so_many_subprotocols_may_be_offered() {
        let names: Vec<_> = (0..=SUBPROTOCOLS_MAX).map(|n| format!("p{n}")).collect();
        let fields = |names: &[String]| format!("Sec-WebSocket-Protocol: {}\r\n", names.join(","));
        assert_eq!(offered(&fields(&names[1..])).as_deref(), Ok(&names[1..]));
        assert_eq!(offered(&fields(&names)), Err(Rejection::TooManySubprotocols));
        assert_eq!(Rejection::TooManySubprotocols.status().code(), 431);
    }

    /// §4.2.2: the server selects one of the offered subprotocols, or none.
    #[test]
    fn the_server_s_preference_selects_the_subprotocol() {
        let handshake = Handshake { key: b"", subprotocols: vec!["a", "b", "c"] };
        assert_eq!(handshake.select(&["x", "c", "a"]), Some("c"));
        assert_eq!(handshake.select(&["A"]), None);
        assert_eq!(handshake.select(&[]), None);
    }

    /// §9.1: extensions may be offered, but must be well-formed, in every line.
    #[test]
    fn malformed_extensions_are_refused_and_others_ignored() {
        assert_eq!(
            offered("Sec-WebSocket-Extensions: permessage-deflate; x=\"1\"\r\n"),
            Ok(vec![])
        );
        let fields = "Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b;\r\n";
        assert_eq!(offered(fields), Err(Rejection::ExtensionsInvalid));
        assert_eq!(Rejection::ExtensionsInvalid.status().code(), 400);
    }
}
