//! Status codes (RFC 9110 §15) of final answers, with their reason phrases.
//!
//! Invariant: a code is 200..=599. The interim answer 101 is [`Switching`](super::Switching).

use std::fmt;

/// The status code of a final answer: 200..=599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

/// Declares a constant and a reason phrase per code, so that neither can be forgotten.
macro_rules! statuses {
    ($($name:ident = $code:literal, $reason:literal;)+) => {
        impl Status {
            $(
                #[doc = concat!("`", stringify!($code), " ", $reason, "`")]
                pub const $name: Self = Self($code);
            )+

            /// The reason phrase; empty for a code without a constant (RFC 9112 §4 allows it).
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)+
                    _ => "",
                }
            }
        }
    };
}

statuses! {
    OK = 200, "OK";
    NO_CONTENT = 204, "No Content";
    MOVED_PERMANENTLY = 301, "Moved Permanently";
    FOUND = 302, "Found";
    NOT_MODIFIED = 304, "Not Modified";
    TEMPORARY_REDIRECT = 307, "Temporary Redirect";
    PERMANENT_REDIRECT = 308, "Permanent Redirect";
    BAD_REQUEST = 400, "Bad Request";
    UNAUTHORIZED = 401, "Unauthorized";
    FORBIDDEN = 403, "Forbidden";
    NOT_FOUND = 404, "Not Found";
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed";
    REQUEST_TIMEOUT = 408, "Request Timeout";
    GONE = 410, "Gone";
    CONTENT_TOO_LARGE = 413, "Content Too Large";
    URI_TOO_LONG = 414, "URI Too Long";
    EXPECTATION_FAILED = 417, "Expectation Failed";
    UPGRADE_REQUIRED = 426, "Upgrade Required";
    TOO_MANY_REQUESTS = 429, "Too Many Requests";
    REQUEST_HEADER_FIELDS_TOO_LARGE = 431, "Request Header Fields Too Large";
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error";
    NOT_IMPLEMENTED = 501, "Not Implemented";
    BAD_GATEWAY = 502, "Bad Gateway";
    SERVICE_UNAVAILABLE = 503, "Service Unavailable";
    HTTP_VERSION_NOT_SUPPORTED = 505, "HTTP Version Not Supported";
}

impl Status {
    /// A status of any final code; `None` outside 200..=599.
    pub const fn new(code: u16) -> Option<Self> {
        if matches!(code, 200..=599) { Some(Self(code)) } else { None }
    }

    /// The three digits as a number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// RFC 9110 §15.3.5, §15.4.5: answers that end with their head, whatever the method was.
    pub(super) const fn has_content(self) -> bool {
        !matches!(self, Self::NO_CONTENT | Self::NOT_MODIFIED)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 §15: a final answer has a code of the classes 2xx to 5xx.
    #[test]
    fn only_final_codes_make_a_status() {
        assert_eq!(Status::new(101), None);
        assert_eq!(Status::new(199), None);
        assert_eq!(Status::new(600), None);
        assert_eq!(Status::new(404), Some(Status::NOT_FOUND));
        assert_eq!(Status::new(599).map(Status::reason), Some(""));
        assert_eq!(Status::UPGRADE_REQUIRED.to_string(), "426 Upgrade Required");
    }
}
