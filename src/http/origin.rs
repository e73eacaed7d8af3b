//! Which web pages may connect (RFC 6455 §4.2.2 and §10.2, RFC 6454).
//!
//! A browser says with every handshake which page makes it, and does not keep other sites' pages
//! from connecting: that is left to the server. Knows no request; compares two origins.
//!
//! Invariant: an origin that cannot be read is allowed by no list.

use super::authority::Authority;
use super::error::Rejection;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The origins that are let in.
///
/// A request without an Origin field is always let in: it does not come from a browser, and a
/// program could claim any origin it likes (RFC 6455 §10.2).
///
/// ```
/// use tickwire::http::Origins;
///
/// let origins: Origins = "https://app.example.com, https://*.example.org".parse()?;
/// assert!(origins.allow(Some("https://app.example.com:443")));
/// assert!(origins.allow(Some("https://a.b.example.org")));
/// assert!(!origins.allow(Some("http://app.example.com")));
/// assert!(origins.allow(None));
/// # Ok::<(), tickwire::http::OriginError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// All origins. Written `*`.
    #[default]
    Any,
    /// Those that match one of these patterns. Written as a comma-separated list.
    Listed(Vec<OriginPattern>),
}

impl Origins {
    /// Whether a request with this Origin, or with none, is let in.
    pub fn allow(&self, origin: Option<&str>) -> bool {
        match (self, origin) {
            (Self::Any, _) | (_, None) => true,
            (Self::Listed(patterns), Some(origin)) => {
                patterns.iter().any(|pattern| pattern.matches(origin))
            }
        }
    }

    /// As [`allow`](Self::allow), with the rejection to answer.
    ///
    /// # Errors
    ///
    /// [`Rejection::OriginForbidden`]: 403 (RFC 6455 §4.2.2, 4).
    pub fn check(&self, origin: Option<&str>) -> Result<(), Rejection> {
        if self.allow(origin) { Ok(()) } else { Err(Rejection::OriginForbidden) }
    }
}

impl FromStr for Origins {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        text.split(',').map(|item| item.trim().parse()).collect::<Result<_, _>>().map(Self::Listed)
    }
}

/// One allowed origin: `scheme://host[:port]`, where the host may begin with `*.` to stand for its
/// subdomains at any depth (not for itself), or `null`.
///
/// Compared without regard to ASCII case; a scheme's default port is the same as none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// What browsers send for pages without an origin: files, sandboxed frames.
    Null,
    Site {
        scheme: String,
        host: Host,
        port: Option<u16>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Exactly(String),
    /// With the dot it begins with.
    EndingIn(String),
}

impl OriginPattern {
    /// Whether an Origin field's value is meant.
    pub fn matches(&self, origin: &str) -> bool {
        match &self.0 {
            Pattern::Null => origin == "null",
            Pattern::Site { scheme, host, port } => split_origin(origin).is_ok_and(|site| {
                site.scheme.eq_ignore_ascii_case(scheme)
                    && host.matches(site.authority.host)
                    && site.port() == *port
            }),
        }
    }
}

impl Host {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exactly(name) => host.eq_ignore_ascii_case(name),
            Self::EndingIn(suffix) => {
                let Some(prefix_len) = host.len().checked_sub(suffix.len()) else {
                    return false;
                };
                // The subdomain's own name must not be empty.
                prefix_len > 0
                    && host.get(prefix_len..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
        }
    }
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "null" {
            return Ok(Self(Pattern::Null));
        }
        let site = split_origin(text)?;
        let host = match site.authority.host.strip_prefix('*') {
            Some(suffix) if suffix.len() > 1 && suffix.starts_with('.') => {
                Host::EndingIn(suffix.to_owned())
            }
            Some(_) => return Err(OriginError::Wildcard),
            None => Host::Exactly(site.authority.host.to_owned()),
        };
        if matches!(&host, Host::Exactly(name) | Host::EndingIn(name) if name.contains('*')) {
            return Err(OriginError::Wildcard);
        }
        Ok(Self(Pattern::Site { scheme: site.scheme.to_owned(), host, port: site.port() }))
    }
}

/// The three parts of an origin (RFC 6454 §4).
struct Site<'a> {
    scheme: &'a str,
    authority: Authority<'a>,
}

impl Site<'_> {
    fn port(&self) -> Option<u16> {
        let default = match self.scheme.len() {
            4 if self.scheme.eq_ignore_ascii_case("http") => Some(80),
            5 if self.scheme.eq_ignore_ascii_case("https") => Some(443),
            _ => None,
        };
        self.authority.port.or(default)
    }
}

/// RFC 6454 §6.2: `scheme "://" host [ ":" port ]`.
fn split_origin(text: &str) -> Result<Site<'_>, OriginError> {
    let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
    let well_formed = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !well_formed {
        return Err(OriginError::Scheme);
    }
    if rest.contains(['/', '?', '#']) {
        return Err(OriginError::Path);
    }
    let authority = Authority::parse(rest).ok_or(OriginError::Host)?;
    Ok(Site { scheme, authority })
}

/// Why a text is not an [`OriginPattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginError {
    /// It does not begin with a scheme.
    Scheme,
    /// Something follows the host and port.
    Path,
    /// The host or the port cannot be read.
    Host,
    /// A `*` stands elsewhere than at the beginning, before a dot.
    Wildcard,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "an origin begins with its scheme, as in https://example.com",
            Self::Path => "an origin ends with its host or port: drop the slash and what follows",
            Self::Host => "an origin has a host and perhaps a port, as in https://a.example:8443",
            Self::Wildcard => "a * stands for subdomains only, as in https://*.example.com",
        })
    }
}

impl Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(text: &str) -> Origins {
        text.parse().unwrap()
    }

    /// RFC 6454 §5: origins are the same when scheme, host and port are.
    #[test]
    fn an_origin_is_compared_by_scheme_host_and_port() {
        let allowed = origins("https://Example.com,http://localhost:3000,http://[::1]:8080");
        let table = [
            ("https://example.com", true),
            ("HTTPS://EXAMPLE.COM", true),
            ("https://example.com:443", true),
            ("https://example.com:", true),
            ("https://example.com:8443", false),
            ("http://example.com", false),
            ("http://example.com:443", false),
            ("https://example.com.evil.org", false),
            ("https://evil-example.com", false),
            ("https://a.example.com", false),
            ("https://example.com/", false),
            ("https://user@example.com", false),
            ("https://example.com https://example.com", false),
            ("http://localhost:3000", true),
            ("http://localhost", false),
            ("http://[::1]:8080", true),
            ("example.com", false),
            ("null", false),
            ("", false),
        ];
        for (origin, allow) in table {
            assert_eq!(allowed.allow(Some(origin)), allow, "{origin}");
        }
    }

    /// RFC 6454 §4: a wildcard means subdomains, at any depth, under the same scheme and port.
    #[test]
    fn a_wildcard_stands_for_subdomains_only() {
        let allowed = origins("https://*.example.com");
        let table = [
            ("https://a.example.com", true),
            ("https://a.b.EXAMPLE.com:443", true),
            ("https://example.com", false),
            ("https://.example.com", false),
            ("https://evilexample.com", false),
            ("https://a.example.com:444", false),
            ("http://a.example.com", false),
            ("https://a.example.com.evil.org", false),
        ];
        for (origin, allow) in table {
            assert_eq!(allowed.allow(Some(origin)), allow, "{origin}");
        }
    }

    /// RFC 6455 §10.2: only browsers send an origin, so its absence proves nothing.
    #[test]
    fn a_request_without_an_origin_is_allowed() {
        assert_eq!(origins("https://example.com").check(None), Ok(()));
        assert_eq!(Origins::Listed(vec![]).check(None), Ok(()));
        assert_eq!(Origins::default().check(Some("anything")), Ok(()));
    }

    /// RFC 6455 §4.2.2, 4: a page that is not welcome gets 403; `null` is welcome only by name.
    #[test]
    fn a_forbidden_origin_is_answered_403() {
        let rejection = origins("https://example.com").check(Some("null")).unwrap_err();
        assert_eq!(rejection, Rejection::OriginForbidden);
        assert_eq!(rejection.status().code(), 403);
        assert!(origins("https://example.com, null").allow(Some("null")));
        assert!(!origins("null").allow(Some("https://null")));
        assert!(origins(" * ").allow(Some("null")));
    }

    /// RFC 6454 §6.2: a pattern that would never match what browsers send is refused early.
    #[test]
    fn a_pattern_that_cannot_match_is_an_error() {
        let table = [
            ("", OriginError::Scheme),
            ("example.com", OriginError::Scheme),
            ("://example.com", OriginError::Scheme),
            ("1http://example.com", OriginError::Scheme),
            ("https://example.com,", OriginError::Scheme),
            ("https://example.com/", OriginError::Path),
            ("https://example.com/app", OriginError::Path),
            ("https://", OriginError::Host),
            ("https://example.com:x", OriginError::Host),
            ("https://user@example.com", OriginError::Host),
            ("https://*", OriginError::Wildcard),
            ("https://*.", OriginError::Wildcard),
            ("https://*example.com", OriginError::Wildcard),
            ("https://a.*.example.com", OriginError::Wildcard),
            ("https://*.*.example.com", OriginError::Wildcard),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Origins>(), Err(error), "{text}");
        }
    }
}
