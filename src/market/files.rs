//! Files that a browser asks for: the page at `/` and what it is made of (RFC 9110 §8.8.3, §13.1.2).
//!
//! Knows nothing of markets. Invariant: a page that is answered from here can load nothing from
//! anywhere else, and runs no script but files of this list.

use crate::http::{FieldError, Request, Response, Status};
use sha1::{Digest, Sha1};
use std::fmt::Write as _;

/// What a browser may do with these files: scripts, styles, pictures and connections of this server
/// alone, which 'self' allows the WebSocket of, too. Nothing may be written into the page, sent by
/// a form, or framed by another page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// A file in memory, with the address that it is served at.
///
/// A browser keeps it and asks each time whether it is still the same: a server of another version
/// never meets files of the one before.
#[derive(Debug, Clone)]
pub struct StaticFile {
    path: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    entity_tag: String,
}

impl StaticFile {
    /// A file at `path`, which starts with a slash; of text, `media_type` should name the charset.
    ///
    /// ```
    /// use tickwire::market::StaticFile;
    ///
    /// StaticFile::new("/web/style.css", "text/css; charset=utf-8", b"body { margin: 0 }");
    /// ```
    #[must_use]
    pub fn new(path: &'static str, media_type: &'static str, content: &'static [u8]) -> Self {
        let mut entity_tag = String::from('"');
        for byte in Sha1::digest(content) {
            // Writing to a String does not fail.
            let _ = write!(entity_tag, "{byte:02x}");
        }
        entity_tag.push('"');
        Self { path, media_type, content, entity_tag }
    }

    /// Where it is served.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The answer to a request for it.
    pub(super) fn answer(&self, request: &Request<'_>) -> Response {
        self.try_answer(request).unwrap_or_else(|_| Response::new(Status::INTERNAL_SERVER_ERROR))
    }

    fn try_answer(&self, request: &Request<'_>) -> Result<Response, FieldError> {
        let response = if self.is_known_to(request) {
            Response::new(Status::NOT_MODIFIED)
        } else {
            Response::new(Status::OK).content(self.media_type, self.content)?
        };
        // RFC 9110 §15.4.5: a 304 has the fields "that would have been sent in a 200", of these
        // "Cache-Control, Content-Location, Date, ETag, Expires, and Vary".
        response
            .field("ETag", &self.entity_tag)?
            .field("Cache-Control", "no-cache")?
            .field("Content-Security-Policy", CONTENT_SECURITY_POLICY)?
            .field("X-Content-Type-Options", "nosniff")
    }

    /// RFC 9110 §13.1.2: whether the client has it already; "the weak comparison function" leaves
    /// out what marks a tag as weak, which a proxy may have done to it.
    fn is_known_to(&self, request: &Request<'_>) -> bool {
        request
            .headers("If-None-Match")
            .flat_map(|tags| tags.split(|&byte| byte == b','))
            .map(|tag| tag.trim_ascii())
            .map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag))
            .any(|tag| tag == b"*" || tag == self.entity_tag.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, HeadParser};

    fn answered(more_fields: &str) -> String {
        let file = StaticFile::new("/a.js", "text/javascript; charset=utf-8", b"let a;");
        let head = format!("GET /a.js HTTP/1.1\r\nHost: a\r\n{more_fields}\r\n");
        let request = HeadParser::new().try_parse(head.as_bytes(), &HeadLimits::default());
        let mut out = Vec::new();
        file.answer(&request.unwrap().unwrap()).encode("GET", None, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn tag_in(answer: &str) -> &str {
        answer.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap()
    }

    /// RFC 9110 §8.3, §8.8.3: whoever does not have the file gets it, with what it is.
    #[test]
    fn a_file_comes_with_its_type_its_tag_and_a_policy() {
        let answer = answered("");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("\r\nContent-Type: text/javascript; charset=utf-8\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{answer}");
        assert!(answer.contains("\r\nContent-Security-Policy: default-src 'none';"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nlet a;"), "{answer}");
        let other = StaticFile::new("/a.js", "text/javascript", b"let b;");
        assert_ne!(tag_in(&answer), other.entity_tag);
    }

    /// RFC 9110 §13.1.2, §15.4.5: whoever has it is told so, and gets no content.
    #[test]
    fn a_file_that_the_client_has_is_not_sent_again() {
        let whole = answered("");
        let tag = tag_in(&whole);
        for tags in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let answer = answered(&format!("If-None-Match: {tags}\r\n"));
            assert!(answer.starts_with("HTTP/1.1 304 "), "{tags}: {answer}");
            assert_eq!(tag_in(&answer), tag);
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        }
        let unquoted = tag.trim_matches('"');
        for tags in ["\"x\"", unquoted, "W/", ""] {
            let answer = answered(&format!("If-None-Match: {tags}\r\n"));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{tags}: {answer}");
        }
    }
}
