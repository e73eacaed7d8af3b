//! A plain GET from the client's side (RFC 9110 §9.3.1, RFC 9112): the request, and where its answer
//! ends. One request a connection; the answer ends by its length, or with the connection.
//!
//! Knows no sockets. Invariant: an answer's head is judged as strictly as that of a handshake.

use super::client::Answer;
use super::error::HandshakeFailure;
use super::fields::push_line;
use super::head::{HeadLimits, HeadScanner};
use super::url::Url;

/// A GET: built, sent, and then matched with its answer.
///
/// ```
/// use tickwire::http::{Get, HeadLimits, Url};
///
/// let url: Url = "ws://localhost:9001/ws".parse()?;
/// let mut get = Get::new(&url, "/api/v3/ping");
/// let mut request = Vec::new();
/// get.encode(&mut request);
/// let received = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
/// let head = get.try_parse(received, &HeadLimits::default())?.expect("a whole head");
/// assert_eq!((head.status, head.content_len), (200, Some(2)));
/// assert_eq!(&received[head.head_len..], b"{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Get {
    host: String,
    target: String,
    scanner: HeadScanner,
}

/// What the head of an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetHead {
    /// The status code.
    pub status: u16,
    /// Bytes of content, where it is said; else the connection's end ends it.
    pub content_len: Option<u64>,
    /// Where in the received bytes the content begins.
    pub head_len: usize,
}

impl Get {
    /// A request to the server that `url` names, for another target there, such as `/a?b=c`. What is
    /// not visible ASCII in it is left out, so that nothing ends the line early.
    pub fn new(url: &Url, target: &str) -> Self {
        let target = target.chars().filter(char::is_ascii_graphic).collect();
        Self { host: url.authority(), target, scanner: HeadScanner::response() }
    }

    /// Appends the request to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for part in ["GET ", &self.target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        push_line(out, "Host", &self.host);
        push_line(out, "Accept", "application/json");
        // RFC 9112 §9.6: the server closes after the answer, which may end in that way.
        push_line(out, "Connection", "close");
        out.extend_from_slice(b"\r\n");
    }

    /// Reads on in `bytes`: all that the server has sent so far, from its first byte. `Ok(None)` asks
    /// for more.
    ///
    /// # Errors
    /// The head is not one of HTTP/1.1, or its content is in a transfer coding.
    ///
    /// # Panics
    /// When `bytes` is shorter than in the call before: the caller's mistake, never the peer's.
    pub fn try_parse(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<GetHead>, HandshakeFailure> {
        let Some(extent) = self.scanner.scan(bytes, limits)? else {
            return Ok(None);
        };
        let answer = Answer::parse(bytes, extent)?;
        if answer.headers("transfer-encoding").next().is_some() {
            return Err(HandshakeFailure::Coding);
        }
        let len = answer.only("content-length").and_then(|value| str::from_utf8(value).ok());
        let content_len = len.and_then(|len| len.parse().ok());
        Ok(Some(GetHead { status: answer.code(), content_len, head_len: answer.head_len() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get() -> Get {
        Get::new(&"ws://a.example:9/ws".parse().unwrap(), "/x?y=\r\nz")
    }

    /// RFC 9112 §3.2: the request has a Host, and nobody's text can add a line to it.
    #[test]
    fn a_request_is_whole_lines() {
        let mut out = Vec::new();
        get().encode(&mut out);
        assert_eq!(
            str::from_utf8(&out).unwrap(),
            "GET /x?y=z HTTP/1.1\r\nHost: a.example:9\r\nAccept: application/json\r\n\
             Connection: close\r\n\r\n"
        );
    }

    /// RFC 9112 §6: where the content begins and, if it is said, how long it is.
    #[test]
    fn an_answer_is_read_once_its_head_is_whole() {
        let limits = HeadLimits::default();
        let bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n";
        let mut asked = get();
        assert_eq!(asked.try_parse(&bytes[..30], &limits), Ok(None));
        let head = asked.try_parse(bytes, &limits).unwrap().unwrap();
        assert_eq!(head, GetHead { status: 404, content_len: Some(3), head_len: 45 });
        let unsaid = get().try_parse(b"HTTP/1.1 200 OK\r\n\r\n", &limits).unwrap().unwrap();
        assert_eq!(unsaid.content_len, None);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(get().try_parse(chunked, &limits), Err(HandshakeFailure::Coding));
        assert!(get().try_parse(b"SSH-2.0-OpenSSH\r\n", &limits).is_err());
    }
}
