//! Answers (RFC 9112 §4, RFC 9110 §15; RFC 6455 §4.2.2): a switch to WebSocket, or a plain one.
//!
//! Knows how an answer is written; not when it is due. Invariant: what is encoded is one whole,
//! well-formed message, and after a [`Response`] the connection closes.

use super::deflate::DeflateAgreement;
use super::error::Rejection;
use super::fields::{FieldError, FieldLines, push_line};
use super::status::Status;
use super::upgrade::Handshake;
use httpdate::HttpDate;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Fields that [`Response`] writes by itself, or that would contradict what it writes.
const RESPONSE_RESERVED: &[&str] =
    &["connection", "content-length", "content-type", "date", "transfer-encoding", "upgrade"];

/// Fields that [`Switching`] writes by itself, or that have no place in a 101.
const SWITCHING_RESERVED: &[&str] =
    &["connection", "content-length", "sec-websocket-", "transfer-encoding", "upgrade"];

/// 10000-01-01T00:00:00Z in seconds: the four digits of a date's year end before it.
const DATE_SECS_END: u64 = 253_402_300_800;

/// A final answer, after which the connection closes.
///
/// ```
/// use tickwire::http::{Response, Status};
///
/// let mut out = Vec::new();
/// let response = Response::json(Status::OK, "{}").field("Cache-Control", "no-store")?;
/// response.encode("GET", None, &mut out);
/// assert_eq!(
///     str::from_utf8(&out).unwrap(),
///     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\
///      Content-Length: 2\r\nCache-Control: no-store\r\n\r\n{}"
/// );
/// # Ok::<(), tickwire::http::FieldError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: Status,
    connection: Connection,
    content_type: Option<Cow<'static, str>>,
    content: Content,
    fields: FieldLines,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Own(Cow<'static, [u8]>),
    /// Many answers have the same.
    Shared(Arc<[u8]>),
}

impl Content {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// What the Connection field says besides `close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Close,
    /// That another protocol should be asked for: WebSocket.
    CloseOrUpgrade,
}

impl Response {
    /// An answer without content.
    pub fn new(status: Status) -> Self {
        Self {
            status,
            connection: Connection::Close,
            content_type: None,
            content: Content::Own(Cow::Borrowed(&[])),
            fields: FieldLines::default(),
        }
    }

    /// An answer in UTF-8 text.
    pub fn text(status: Status, content: impl Into<Cow<'static, str>>) -> Self {
        Self::with("text/plain; charset=utf-8", status, content.into())
    }

    /// An answer in JSON, already encoded.
    pub fn json(status: Status, content: impl Into<Cow<'static, str>>) -> Self {
        Self::with("application/json", status, content.into())
    }

    /// An answer in JSON, already encoded, that many get: it is not copied for each of them before
    /// it is sent.
    pub fn shared_json(status: Status, content: Arc<[u8]>) -> Self {
        let content_type = Some(Cow::Borrowed("application/json"));
        Self { content_type, content: Content::Shared(content), ..Self::new(status) }
    }

    fn with(content_type: &'static str, status: Status, content: Cow<'static, str>) -> Self {
        let content = Content::Own(match content {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        });
        Self { content_type: Some(Cow::Borrowed(content_type)), content, ..Self::new(status) }
    }

    /// Sets content of any media type (RFC 9110 §8.3), in place of what there was.
    ///
    /// # Errors
    ///
    /// [`FieldError::Value`] when the media type holds a control character.
    pub fn content(
        mut self,
        media_type: impl Into<Cow<'static, str>>,
        content: impl Into<Cow<'static, [u8]>>,
    ) -> Result<Self, FieldError> {
        let media_type = media_type.into();
        FieldLines::default().try_push("Content-Type", &media_type, &[])?;
        self.content_type = Some(media_type);
        self.content = Content::Own(content.into());
        Ok(self)
    }

    /// Adds a field line.
    ///
    /// # Errors
    ///
    /// When the name or the value is not well-formed, or the response writes that field itself.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, FieldError> {
        self.fields.try_push(name, value, RESPONSE_RESERVED)?;
        Ok(self)
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Appends the whole answer to `out`.
    ///
    /// `method` is the request's, or `GET` where none could be read. `date` is the time of the
    /// answer; without one, or with one outside the years 1970 to 9999, Date is left out, as
    /// RFC 9110 §6.6.1 has it for servers without a clock.
    pub fn encode(&self, method: &str, date: Option<SystemTime>, out: &mut Vec<u8>) {
        push_status_line(out, self.status.code(), self.status.reason());
        match self.connection {
            Connection::Close => push_line(out, "Connection", "close"),
            // RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option".
            Connection::CloseOrUpgrade => {
                push_line(out, "Connection", "Upgrade, close");
                push_line(out, "Upgrade", "websocket");
            }
        }
        if let Some(date) = date.and_then(http_date) {
            push_line(out, "Date", &date.to_string());
        }
        if let Some(media_type) = &self.content_type {
            push_line(out, "Content-Type", media_type);
        }
        // RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response
        // with a status code of […] 204".
        if self.status.has_content() {
            push_line(out, "Content-Length", &self.content.as_bytes().len().to_string());
        }
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(b"\r\n");
        // RFC 9110 §9.3.2: "The HEAD method is identical to GET except that the server MUST NOT
        // send content in the response."
        if self.status.has_content() && method != "HEAD" {
            out.extend_from_slice(self.content.as_bytes());
        }
    }
}

/// The answer that a refused client can learn from: one line of text, and the fields that its
/// status asks for.
impl From<Rejection> for Response {
    fn from(rejection: Rejection) -> Self {
        let status = rejection.status();
        let mut response = Self::text(status, format!("{status}: {rejection}\n"));
        let field = match rejection {
            Rejection::MethodNotServed => Some(("Allow", "GET, HEAD")),
            Rejection::HandshakeMethod => Some(("Allow", "GET")),
            // RFC 6455 §4.2.2, 4: "indicating the version(s) the server is capable of
            // understanding".
            Rejection::VersionUnsupported
            | Rejection::VersionInvalid
            | Rejection::UpgradeRequired => {
                // RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426".
                response.connection = Connection::CloseOrUpgrade;
                Some(("Sec-WebSocket-Version", "13"))
            }
            _ => None,
        };
        if let Some((name, value)) = field {
            response.fields.try_push(name, value, &[]).expect("a literal field is well-formed");
        }
        response
    }
}

/// The answer to an accepted handshake (RFC 6455 §4.2.2, 5); frames follow it.
#[derive(Debug, Clone)]
pub struct Switching<'h> {
    handshake: &'h Handshake<'h>,
    subprotocol: Option<&'h str>,
    deflate: Option<&'h DeflateAgreement>,
    fields: FieldLines,
}

impl<'h> Switching<'h> {
    /// Accepts `handshake`, without a subprotocol.
    pub fn new(handshake: &'h Handshake<'h>) -> Self {
        Self { handshake, subprotocol: None, deflate: None, fields: FieldLines::default() }
    }

    /// Names the subprotocol that will be spoken: see [`Handshake::select`].
    ///
    /// # Errors
    ///
    /// [`FieldError::NotOffered`]: the client would have to fail the connection (§4.1).
    pub fn subprotocol(mut self, name: &str) -> Result<Self, FieldError> {
        // §4.2.2, 4: "The value chosen MUST be derived from the client's handshake, specifically
        // by selecting one of the values".
        let offered = self.handshake.subprotocols().find(|offered| *offered == name);
        self.subprotocol = Some(offered.ok_or(FieldError::NotOffered)?);
        Ok(self)
    }

    /// Accepts an offer of permessage-deflate (RFC 7692 §5).
    #[must_use]
    pub fn deflate(mut self, agreement: &'h DeflateAgreement) -> Self {
        self.deflate = Some(agreement);
        self
    }

    /// Adds a field line, such as a cookie.
    ///
    /// # Errors
    ///
    /// When the name or the value is not well-formed, or the handshake writes that field itself.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, FieldError> {
        self.fields.try_push(name, value, SWITCHING_RESERVED)?;
        Ok(self)
    }

    /// Appends the whole answer to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        push_status_line(out, 101, "Switching Protocols");
        push_line(out, "Upgrade", "websocket");
        push_line(out, "Connection", "Upgrade");
        out.extend_from_slice(b"Sec-WebSocket-Accept: ");
        out.extend_from_slice(&self.handshake.accept());
        out.extend_from_slice(b"\r\n");
        if let Some(name) = self.subprotocol {
            push_line(out, "Sec-WebSocket-Protocol", name);
        }
        if let Some(agreement) = self.deflate {
            push_line(out, "Sec-WebSocket-Extensions", agreement.answer());
        }
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn push_status_line(out: &mut Vec<u8>, code: u16, reason: &str) {
    // RFC 9112 §4: the space after the code is sent even before an empty reason.
    out.extend_from_slice(format!("HTTP/1.1 {code} {reason}\r\n").as_bytes());
}

/// `None` for a time that an HTTP date cannot tell, where `httpdate` would panic.
fn http_date(time: SystemTime) -> Option<HttpDate> {
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    (since_epoch < Duration::from_secs(DATE_SECS_END)).then(|| HttpDate::from(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::HeadLimits;
    use crate::http::request::HeadParser;
    use crate::http::upgrade::{Intent, classify};

    fn encoded(response: &Response, method: &str, date: Option<SystemTime>) -> String {
        let mut out = Vec::new();
        response.encode(method, date, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn switched(protocols: &str, choose: impl FnOnce(Switching<'_>) -> Switching<'_>) -> String {
        let text = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {protocols}\r\n"
        );
        let request = HeadParser::new().try_parse(text.as_bytes(), &HeadLimits::default());
        let Ok(Intent::WebSocket(handshake)) = classify(&request.unwrap().unwrap()) else {
            panic!("not a handshake: {text}")
        };
        let mut out = Vec::new();
        choose(Switching::new(&handshake)).encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// RFC 6455 §1.3, §4.2.2: the answer to the example handshake.
    #[test]
    fn the_rfc_s_example_is_answered_as_in_the_rfc() {
        let answer = switched("Sec-WebSocket-Protocol: chat, superchat\r\n", |switching| {
            switching.subprotocol("chat").unwrap()
        });
        assert_eq!(
            answer,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Protocol: chat\r\n\r\n"
        );
    }

    /// RFC 6455 §4.2.2, 4: a subprotocol that was not offered is never answered.
    #[test]
    fn a_switch_takes_only_offered_subprotocols_and_foreign_fields() {
        let answer = switched("Sec-WebSocket-Protocol: chat\r\n", |switching| {
            let other = switching.clone().subprotocol("Chat").unwrap_err();
            assert_eq!(other, FieldError::NotOffered);
            let accept = switching.clone().field("sec-websocket-accept", "x").unwrap_err();
            assert_eq!(accept, FieldError::Reserved);
            switching.field("Set-Cookie", "a=b").unwrap()
        });
        assert!(answer.ends_with("xOo=\r\nSet-Cookie: a=b\r\n\r\n"), "{answer}");
    }

    /// RFC 9110 §6.6.1, §8.6: a final answer has a date, a length, and says it is the last.
    #[test]
    fn a_plain_answer_is_complete() {
        let date = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(
            encoded(&Response::text(Status::NOT_FOUND, "no\n"), "GET", Some(date)),
            "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\nno\n"
        );
    }

    /// RFC 9110 §9.3.2: HEAD is told the length of what GET would get.
    #[test]
    fn the_answer_to_head_has_a_length_and_no_content() {
        let answer = encoded(&Response::json(Status::OK, "{}"), "HEAD", None);
        assert!(answer.ends_with("Content-Length: 2\r\n\r\n"), "{answer}");
    }

    /// An answer that is shared is the same on the wire.
    #[test]
    fn shared_content_is_sent_like_any_other() {
        let shared = Response::shared_json(Status::OK, Arc::from(&b"{}"[..]));
        let own = Response::json(Status::OK, "{}");
        for method in ["GET", "HEAD"] {
            assert_eq!(encoded(&shared, method, None), encoded(&own, method, None));
        }
    }

    /// RFC 9110 §8.6, §15.3.5, §15.4.5: answers without content by their status.
    #[test]
    fn no_content_is_sent_where_the_status_forbids_it() {
        for status in [Status::NO_CONTENT, Status::NOT_MODIFIED] {
            let answer = encoded(&Response::text(status, "x"), "GET", None);
            assert!(!answer.contains("Content-Length"), "{answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        }
        let answer = encoded(&Response::new(Status::OK), "GET", None);
        assert!(answer.ends_with("Content-Length: 0\r\n\r\n"), "{answer}");
    }

    /// RFC 9110 §5.6.7: a date has a year of four digits; a wrong clock costs the Date field only.
    #[test]
    fn a_time_outside_of_what_a_date_can_tell_is_left_out() {
        let times =
            [UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(DATE_SECS_END)];
        for time in times {
            let answer = encoded(&Response::new(Status::OK), "GET", Some(time));
            assert!(!answer.contains("Date"), "{answer}");
        }
        let last = UNIX_EPOCH + Duration::from_secs(DATE_SECS_END - 1);
        let answer = encoded(&Response::new(Status::OK), "GET", Some(last));
        assert!(answer.contains("Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n"), "{answer}");
    }

    /// RFC 9112 §11.1: what a caller passes on cannot split the answer.
    #[test]
    fn callers_cannot_inject_lines() {
        let response = Response::new(Status::OK);
        let injected = response.clone().field("Location", "/\r\n\r\n<html>");
        assert_eq!(injected, Err(FieldError::Value));
        let injected = response.clone().content("text/html\r\nX: y", &b"x"[..]);
        assert_eq!(injected, Err(FieldError::Value));
        for name in RESPONSE_RESERVED {
            assert_eq!(response.clone().field(name, "x"), Err(FieldError::Reserved), "{name}");
        }
        let page = response.content("text/html", &b"<p>"[..]).unwrap();
        assert!(encoded(&page, "GET", None).contains("Content-Type: text/html\r\n"));
    }

    /// RFC 9110 §15.5.6, §15.5.22, RFC 6455 §4.4: statuses that ask for a field have it.
    #[test]
    fn a_rejection_says_what_was_wrong_and_what_would_do() {
        let table = [
            (Rejection::KeyMissing, "Connection: close\r\n", "HTTP/1.1 400 Bad Request\r\n"),
            (Rejection::MethodNotServed, "Allow: GET, HEAD\r\n", "HTTP/1.1 405 "),
            (Rejection::HandshakeMethod, "Allow: GET\r\n", "HTTP/1.1 405 "),
            (Rejection::VersionUnsupported, "Sec-WebSocket-Version: 13\r\n", "HTTP/1.1 426 "),
            (Rejection::UpgradeRequired, "Sec-WebSocket-Version: 13\r\n", "HTTP/1.1 426 "),
            (
                Rejection::UpgradeRequired,
                "Connection: Upgrade, close\r\nUpgrade: websocket\r\n",
                "HTTP/1.1 426 Upgrade Required\r\n",
            ),
        ];
        for (rejection, line, start) in table {
            let answer = encoded(&Response::from(rejection), "GET", None);
            assert!(answer.starts_with(start), "{answer}");
            assert!(answer.contains(line), "{answer}");
            assert!(answer.ends_with(&format!("{rejection}\n")), "{answer}");
        }
    }
}
