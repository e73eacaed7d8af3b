//! WebSocket URLs (RFC 6455 §3): where a client connects, and what it asks for there.
//!
//! Knows no sockets and resolves no names. Invariant: every part is ready to be sent: visible
//! ASCII, with a host and a path.

use super::authority::Authority;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A `ws:` or `wss:` URL.
///
/// ```
/// use tickwire::http::Url;
///
/// let url: Url = "wss://[::1]:9443/stream?streams=btcusdt@trade".parse()?;
/// assert!(url.is_secure());
/// assert_eq!((url.host(), url.port()), ("::1", 9443));
/// assert_eq!(url.target(), "/stream?streams=btcusdt@trade");
/// # Ok::<(), tickwire::http::UrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    /// With the brackets of an IPv6 address.
    host: String,
    port: u16,
    target: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Ws,
    Wss,
}

impl Scheme {
    /// §3: "The port component is OPTIONAL; the default for "ws" is port 80, while the default
    /// for "wss" is port 443."
    const fn default_port(self) -> u16 {
        match self {
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl Url {
    /// Whether TLS comes first: `wss`.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Wss
    }

    /// A name or an address, without the brackets of an IPv6 address: as resolvers take it.
    pub fn host(&self) -> &str {
        let inner = self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inner.unwrap_or(&self.host)
    }

    /// The port, 1..=65535: the scheme's default where none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The resource name: path and query, as sent in the request line; begins with `/`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The Host field's value: without a port that is the scheme's default (§4.1).
    pub(super) fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("ws") => Scheme::Ws,
            _ if scheme.eq_ignore_ascii_case("wss") => Scheme::Wss,
            _ => return Err(UrlError::Scheme),
        };
        // §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT
        // be used on these URIs."
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, resource) = rest.split_at_checked(end).ok_or(UrlError::Host)?;
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let Authority { host, port } = Authority::parse(authority).ok_or(UrlError::Host)?;
        let port = port.unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(UrlError::Host);
        }
        if !resource.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Target);
        }
        // §3: the resource name has ""/" if the path component is empty".
        let slash = if resource.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, host: host.to_owned(), port, target: format!("{slash}{resource}") })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.target)
    }
}

/// Why a text is not a [`Url`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// It does not begin with `ws://` or `wss://`.
    Scheme,
    /// A user name stands before the host, for which §3 has no place.
    UserInfo,
    /// The host or the port cannot be read.
    Host,
    /// It has a fragment (§3).
    Fragment,
    /// The path or the query holds a space, a control or a non-ASCII character.
    Target,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "a WebSocket URL begins with ws:// or wss://",
            Self::UserInfo => "a WebSocket URL has no user name: drop what stands before the @",
            Self::Host => "a URL has a host and perhaps a port, as in ws://localhost:9001",
            Self::Fragment => "a WebSocket URL has no fragment: write %23 for a # (RFC 6455 §3)",
            Self::Target => "a URL's path and query are visible ASCII: percent-encode the rest",
        })
    }
}

impl Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// §3: scheme, host, port and resource name, with their defaults.
    #[test]
    fn a_url_s_parts_have_their_defaults() {
        let table = [
            ("ws://localhost", false, "localhost", 80, "/", "localhost"),
            ("WS://localhost:80/a", false, "localhost", 80, "/a", "localhost"),
            ("wss://a.example?x=/y", true, "a.example", 443, "/?x=/y", "a.example"),
            ("wss://a.example:80/", true, "a.example", 80, "/", "a.example:80"),
            ("ws://[::1]:9001/b?c@d", false, "::1", 9001, "/b?c@d", "[::1]:9001"),
            ("wss://[::1]", true, "::1", 443, "/", "[::1]"),
        ];
        for (text, secure, host, port, target, authority) in table {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.is_secure(), url.host(), url.port()), (secure, host, port), "{text}");
            assert_eq!((url.target(), url.authority().as_str()), (target, authority), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text}");
        }
    }

    /// §3: what is no WebSocket URL is refused, each flaw by its name.
    #[test]
    fn what_is_no_websocket_url_is_refused() {
        let table = [
            ("", UrlError::Scheme),
            ("localhost:9001", UrlError::Scheme),
            ("http://localhost", UrlError::Scheme),
            ("ws:/localhost", UrlError::Scheme),
            ("ws://user:pw@localhost", UrlError::UserInfo),
            ("ws://", UrlError::Host),
            ("ws:///path", UrlError::Host),
            ("ws://localhost:0", UrlError::Host),
            ("ws://localhost:65536", UrlError::Host),
            ("ws://::1/", UrlError::Host),
            ("ws://a b/", UrlError::Host),
            ("ws://localhost/#top", UrlError::Fragment),
            ("ws://localhost/a b", UrlError::Target),
            ("ws://localhost/\r\nX: y", UrlError::Target),
            ("ws://localhost/é", UrlError::Target),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Url>(), Err(error), "{text}");
        }
    }
}
