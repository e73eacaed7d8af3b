//! The client's side of the opening handshake (RFC 6455 §4.1): the request, and what an answer to
//! it must be.
//!
//! Knows no sockets, draws no random numbers (the nonce is passed in), offers no extensions.
//! Invariant: an [`Answer`] is given only when every check of §4.1 was passed.

use super::error::{ClientError, HandshakeFailure, HeadError};
use super::fields::{FieldLines, push_line};
use super::head::{Extent, HeadLimits, HeadScanner};
use super::key;
use super::token::{is_token, lists_token};
use super::upgrade::SUBPROTOCOLS_MAX;
use super::url::Url;

/// Fields that the request writes by itself, or that would give it content.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "sec-websocket-",
    "transfer-encoding",
    "upgrade",
];

/// A handshake from the client's side: built, sent, and then matched with its answer.
///
/// ```
/// use tickwire::http::{ClientHandshake, HeadLimits, Url};
///
/// let url: Url = "ws://localhost:9001/ws".parse()?;
/// let nonce = *b"the sample nonce"; // must be drawn at random for each connection
/// let mut handshake = ClientHandshake::new(&url, nonce).subprotocol("chat")?;
/// let mut request = Vec::new();
/// handshake.encode(&mut request);
///
/// let received = b"HTTP/1.1 101 Switching Protocols\r\n\
///     Upgrade: websocket\r\n\
///     Connection: Upgrade\r\n\
///     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
///     Sec-WebSocket-Protocol: chat\r\n\r\n";
/// let answer = handshake.try_parse(received, &HeadLimits::default())?.expect("a whole head");
/// assert_eq!(answer.subprotocol(), Some("chat"));
/// assert_eq!(answer.head_len(), received.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientHandshake {
    host: String,
    target: String,
    key: [u8; 24],
    subprotocols: Vec<String>,
    fields: FieldLines,
    scanner: HeadScanner,
}

impl ClientHandshake {
    /// A handshake with the server that `url` names.
    ///
    /// §4.1, 7: the nonce "MUST be selected randomly for each connection".
    pub fn new(url: &Url, nonce: [u8; 16]) -> Self {
        Self {
            host: url.authority(),
            target: url.target().to_owned(),
            key: key::encode(nonce),
            subprotocols: Vec::new(),
            fields: FieldLines::default(),
            scanner: HeadScanner::response(),
        }
    }

    /// Offers one more subprotocol, less welcome than those before it.
    ///
    /// # Errors
    ///
    /// When it is not a token, was offered before, or there are [`SUBPROTOCOLS_MAX`] already.
    pub fn subprotocol(mut self, name: &str) -> Result<Self, ClientError> {
        if !is_token(name.as_bytes()) {
            return Err(ClientError::SubprotocolInvalid);
        }
        if self.subprotocols.iter().any(|offered| offered == name) {
            return Err(ClientError::SubprotocolRepeated);
        }
        if self.subprotocols.len() == SUBPROTOCOLS_MAX {
            return Err(ClientError::TooManySubprotocols);
        }
        self.subprotocols.push(name.to_owned());
        Ok(self)
    }

    /// Adds a field line, such as Origin or Authorization.
    ///
    /// # Errors
    ///
    /// When the name or the value is not well-formed, or the handshake writes that field itself.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, ClientError> {
        self.fields.try_push(name, value, RESERVED).map_err(ClientError::Field)?;
        Ok(self)
    }

    /// Appends the request to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for part in ["GET ", &self.target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        push_line(out, "Host", &self.host);
        push_line(out, "Upgrade", "websocket");
        push_line(out, "Connection", "Upgrade");
        push_line(out, "Sec-WebSocket-Version", "13");
        out.extend_from_slice(b"Sec-WebSocket-Key: ");
        out.extend_from_slice(&self.key);
        out.extend_from_slice(b"\r\n");
        if !self.subprotocols.is_empty() {
            push_line(out, "Sec-WebSocket-Protocol", &self.subprotocols.join(", "));
        }
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Reads on in `bytes`: all that the server has sent so far, from its first byte.
    ///
    /// `Ok(None)` asks for more bytes. Each byte is looked at once over all calls.
    ///
    /// # Errors
    ///
    /// The check of §4.1 that the answer does not pass: the client must fail the connection.
    ///
    /// # Panics
    ///
    /// When `bytes` is shorter than in the call before: the caller's mistake, never the peer's.
    pub fn try_parse<'b>(
        &mut self,
        bytes: &'b [u8],
        limits: &HeadLimits,
    ) -> Result<Option<Answer<'b>>, HandshakeFailure> {
        match self.scanner.scan(bytes, limits)? {
            Some(extent) => self.check(Answer::parse(bytes, extent)?).map(Some),
            None => Ok(None),
        }
    }

    /// §4.1, the numbered list at its end, in its order.
    fn check<'b>(&self, mut answer: Answer<'b>) -> Result<Answer<'b>, HandshakeFailure> {
        // 1: "If the status code received from the server is not 101, the client handles the
        // response per HTTP […] procedures". To a WebSocket client it is a refusal.
        if answer.code != 101 {
            return Err(HandshakeFailure::Refused(answer.code));
        }
        // 2: "If the response lacks an |Upgrade| header field or the |Upgrade| header field
        // contains a value that is not an ASCII case-insensitive match for the value "websocket",
        // the client MUST _Fail the WebSocket Connection_."
        match answer.only("upgrade") {
            Some(value) if value.eq_ignore_ascii_case(b"websocket") => {}
            _ => return Err(HandshakeFailure::Upgrade),
        }
        // 3: Connection must contain a token that matches "Upgrade".
        if !lists_token(answer.headers("connection"), "upgrade") {
            return Err(HandshakeFailure::Connection);
        }
        // 4: the accept value proves that the server has read this very handshake.
        if answer.only("sec-websocket-accept") != Some(&key::accept_key(&self.key)) {
            return Err(HandshakeFailure::Accept);
        }
        // 5: "[if] this header field indicates the use of an extension that was not present in
        // the client's handshake […], the client MUST _Fail the WebSocket Connection_." None was.
        if answer.headers("sec-websocket-extensions").next().is_some() {
            return Err(HandshakeFailure::Extension);
        }
        answer.subprotocol = self.check_subprotocol(&answer)?;
        Ok(answer)
    }

    /// 6: "[if] this header field indicates the use of a subprotocol that was not present in the
    /// client's handshake […], the client MUST _Fail the WebSocket Connection_."
    fn check_subprotocol<'b>(
        &self,
        answer: &Answer<'b>,
    ) -> Result<Option<&'b str>, HandshakeFailure> {
        if answer.headers("sec-websocket-protocol").next().is_none() {
            return Ok(None);
        }
        let name = answer.only("sec-websocket-protocol").and_then(|name| str::from_utf8(name).ok());
        match name {
            Some(name) if self.subprotocols.iter().any(|own| own == name) => Ok(Some(name)),
            _ => Err(HandshakeFailure::Subprotocol),
        }
    }
}

/// The server's answer to an accepted handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'b> {
    code: u16,
    subprotocol: Option<&'b str>,
    fields: Vec<httparse::Header<'b>>,
    head_len: usize,
}

impl<'b> Answer<'b> {
    pub(super) fn parse(bytes: &'b [u8], extent: Extent) -> Result<Self, HandshakeFailure> {
        let head = bytes.get(extent.start..extent.end).ok_or(HeadError::Disputed)?;
        // As many as were seen to arrive: `HeadLimits::fields_max` at most.
        let mut fields = vec![httparse::EMPTY_HEADER; extent.fields];
        let mut parsed = httparse::Response::new(&mut fields);
        let status = parsed.parse(head).map_err(|_| HeadError::Disputed)?;
        let agreed = status == httparse::Status::Complete(head.len())
            && parsed.headers.len() == extent.fields;
        let (Some(code), Some(minor), true) = (parsed.code, parsed.version, agreed) else {
            return Err(HeadError::Disputed.into());
        };
        if minor == 0 {
            return Err(HandshakeFailure::Http10);
        }
        Ok(Self { code, subprotocol: None, fields, head_len: extent.end })
    }

    /// The status code.
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// The subprotocol that the server has selected: one of those offered.
    pub fn subprotocol(&self) -> Option<&'b str> {
        self.subprotocol
    }

    /// All values of the field `name`, in any case, in the order received.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// How many of the received bytes the head took. What follows them are frames.
    pub fn head_len(&self) -> usize {
        self.head_len
    }

    /// The value of a field that must appear once; `None` also when it is repeated.
    pub(super) fn only(&self, name: &str) -> Option<&'b [u8]> {
        let mut values = self.headers(name);
        values.next().filter(|_| values.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::FieldError;
    use crate::http::oracle;
    use crate::http::request::HeadParser;
    use crate::http::response::Switching;
    use crate::http::upgrade::{Intent, classify};
    use proptest::prelude::*;

    const STATUS: &str = "HTTP/1.1 101 Switching Protocols\r\n";
    const UPGRADE: &str = "Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n";
    const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    const PROTOCOL: &str = "Sec-WebSocket-Protocol: chat\r\n";

    fn handshake() -> ClientHandshake {
        let url = "ws://server.example.com/chat".parse().unwrap();
        let handshake = ClientHandshake::new(&url, *b"the sample nonce");
        handshake.subprotocol("chat").unwrap().subprotocol("superchat").unwrap()
    }

    /// §1.3: the example request, field by field.
    #[test]
    fn the_request_is_the_rfc_s_example() {
        let mut out = Vec::new();
        handshake().field("Origin", "http://example.com").unwrap().encode(&mut out);
        assert_eq!(
            str::from_utf8(&out).unwrap(),
            "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\nOrigin: http://example.com\r\n\r\n"
        );
    }

    /// §4.1: what a caller passes in must not break the request.
    #[test]
    fn a_request_takes_only_what_it_can_send() {
        let error = |built: Result<ClientHandshake, ClientError>| built.unwrap_err();
        let invalid = ClientError::SubprotocolInvalid;
        assert_eq!(error(handshake().subprotocol("a,b")), invalid);
        assert_eq!(error(handshake().subprotocol("")), invalid);
        assert_eq!(error(handshake().subprotocol("chat")), ClientError::SubprotocolRepeated);
        let reserved = ClientError::Field(FieldError::Reserved);
        assert_eq!(error(handshake().field("Sec-WebSocket-Key", "x")), reserved);
        assert_eq!(error(handshake().field("host", "x")), reserved);
        let split = ClientError::Field(FieldError::Value);
        assert_eq!(error(handshake().field("Origin", "a\r\nb: c")), split);
        let full = (2..SUBPROTOCOLS_MAX)
            .fold(handshake(), |handshake, n| handshake.subprotocol(&format!("p{n}")).unwrap());
        assert_eq!(error(full.subprotocol("more")), ClientError::TooManySubprotocols);
    }

    /// §4.1: the accepted answer, byte by byte; frames may follow it at once.
    #[test]
    fn an_answer_opens_the_connection_once_it_is_whole() {
        let head = format!("{STATUS}{UPGRADE}{ACCEPT}Sec-WebSocket-Protocol: superchat\r\n\r\n");
        let bytes = [head.as_bytes(), b"\x81\x00"].concat();
        let mut handshake = handshake();
        for len in 0..head.len() {
            assert_eq!(handshake.try_parse(&bytes[..len], &HeadLimits::default()), Ok(None));
        }
        let answer = handshake.try_parse(&bytes, &HeadLimits::default()).unwrap().unwrap();
        assert_eq!(answer.head_len(), head.len());
        assert_eq!(answer.subprotocol(), Some("superchat"));
        assert_eq!(answer.headers("upgrade").next(), Some(&b"WebSocket"[..]));
    }

    #[rustfmt::skip] // a table reads by its columns
    const FAILURES: &[(&[&str], HandshakeFailure)] = &[
        (&["HTTP/1.1 404 Not Found\r\n", UPGRADE, ACCEPT], HandshakeFailure::Refused(404)),
        (&["HTTP/1.1 200\r\n", UPGRADE, ACCEPT], HandshakeFailure::Refused(200)),
        (&["HTTP/1.0 101 OK\r\n", UPGRADE, ACCEPT], HandshakeFailure::Http10),
        (&["HTTP/2 101\r\n"], HandshakeFailure::Head(HeadError::VersionUnsupported)),
        (&[STATUS, "Connection: Upgrade\r\n", ACCEPT], HandshakeFailure::Upgrade),
        (&[STATUS, "Upgrade: websocket, x\r\n", ACCEPT], HandshakeFailure::Upgrade),
        (&[STATUS, UPGRADE, "Upgrade: websocket\r\n", ACCEPT], HandshakeFailure::Upgrade),
        (&[STATUS, "Upgrade: websocket\r\n", ACCEPT], HandshakeFailure::Connection),
        (&[STATUS, "Upgrade: websocket\r\nConnection: close\r\n"], HandshakeFailure::Connection),
        (&[STATUS, UPGRADE], HandshakeFailure::Accept),
        (&[STATUS, UPGRADE, "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"],
            HandshakeFailure::Accept),
        (&[STATUS, UPGRADE, ACCEPT, ACCEPT], HandshakeFailure::Accept),
        (&[STATUS, UPGRADE, ACCEPT, "Sec-WebSocket-Extensions: permessage-deflate\r\n"],
            HandshakeFailure::Extension),
        (&[STATUS, UPGRADE, ACCEPT, "Sec-WebSocket-Protocol: Chat\r\n"],
            HandshakeFailure::Subprotocol),
        (&[STATUS, UPGRADE, ACCEPT, "Sec-WebSocket-Protocol: chat, superchat\r\n"],
            HandshakeFailure::Subprotocol),
        (&[STATUS, UPGRADE, ACCEPT, PROTOCOL, PROTOCOL], HandshakeFailure::Subprotocol),
        (&[STATUS, "Upgrade : x\r\n"], HandshakeFailure::Head(HeadError::SpaceBeforeColon)),
        (&[STATUS, "A: b\r\n c\r\n"], HandshakeFailure::Head(HeadError::FoldedLine)),
    ];

    /// §4.1: each check of the answer fails the connection by its own name.
    #[test]
    fn each_wrong_answer_has_its_failure() {
        for &(lines, failure) in FAILURES {
            let bytes = [&lines.concat(), "\r\n"].concat();
            let outcome = handshake().try_parse(bytes.as_bytes(), &HeadLimits::default());
            assert_eq!(outcome, Err(failure), "{bytes}");
            oracle::check_response(bytes.as_bytes(), std::iter::repeat(1));
        }
    }

    /// §4.1 and §4.2: what our client sends, our server accepts, and the other way round.
    #[test]
    fn client_and_server_understand_each_other() {
        let (mut request, mut response) = (Vec::new(), Vec::new());
        let mut client = handshake();
        client.encode(&mut request);
        let parsed = HeadParser::new().try_parse(&request, &HeadLimits::default());
        let Ok(Intent::WebSocket(server)) = classify(&parsed.unwrap().unwrap()) else {
            panic!("not a handshake")
        };
        let name = server.select(&["superchat"]).unwrap();
        Switching::new(&server).subprotocol(name).unwrap().encode(&mut response);
        let answer = client.try_parse(&response, &HeadLimits::default()).unwrap().unwrap();
        assert_eq!(answer.subprotocol(), Some("superchat"));
    }

    proptest! {
        /// Standing oracle: any bytes, cut anywhere, give the same outcome, and none panic.
        #[test]
        fn arbitrary_answers_cut_anywhere_give_the_same_outcome(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "HTTP/1.1 101 \r\n", "HTTP/1.0", " ", "101", "404", "x", "\r\n", "\r\n\r\n",
                    "Upgrade: websocket\r\n", "Connection: Upgrade\r\n", ":", "\n", "\0", "é",
                    "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n",
                ]),
                0..12,
            ),
            skipped in proptest::sample::select(vec![0, 14]),
            cuts in proptest::collection::vec(0_usize..24, 1..8),
        ) {
            let text = ["HTTP/1.1 101\r\n", &pieces.concat(), "\r\n\r\n"].concat();
            let text = text.get(skipped..).unwrap_or_default();
            oracle::check_response(text.as_bytes(), cuts.into_iter());
            let outcome = handshake().try_parse(text.as_bytes(), &HeadLimits::default());
            prop_assert_ne!(outcome, Err(HandshakeFailure::Head(HeadError::Disputed)));
        }
    }
}
