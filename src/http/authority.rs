//! `host[:port]` (RFC 3986 §3.2, RFC 9110 §7.2): what Host, Origin and a URL name a server by.
//!
//! Stricter than RFC 3986 where a name is looked up or compared: no user information, no
//! percent-encoding, no empty host. Invariant: a parsed host is non-empty ASCII.

use std::net::Ipv6Addr;

/// A host, and a port where one is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// A name, an IPv4 address, or an IPv6 address in its brackets.
    pub(super) host: &'a str,
    /// `None` where none is written; also for `host:`, which RFC 3986 §3.2.3 makes the same.
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads the whole of `text`, or nothing of it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        // The colons of an IPv6 address lie inside its brackets: the port's comes after them.
        let host_len = match text.strip_prefix('[') {
            Some(rest) => rest.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at_checked(host_len)?;
        let port = match rest.strip_prefix(':') {
            Some(digits) => parse_port(digits)?,
            None if rest.is_empty() => None,
            None => return None,
        };
        is_host(host).then_some(Self { host, port })
    }
}

/// `None` is no port at all: a wrong one; `Some(None)` an empty one.
fn parse_port(digits: &str) -> Option<Option<u16>> {
    if digits.is_empty() {
        return Some(None);
    }
    // `u16::from_str` would also take a plus sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Some)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name_byte),
    }
}

/// RFC 3986 §3.2.2: `reg-name`, less the percent-encoded bytes.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3986 §3.2: a name, an IPv4 address or a bracketed IPv6 address, and perhaps a port.
    #[test]
    fn hosts_are_read_with_and_without_a_port() {
        let table = [
            ("example.com", "example.com", None),
            ("example.com:", "example.com", None),
            ("example.com:9001", "example.com", Some(9001)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::7]:443", "[2001:db8::7]", Some(443)),
        ];
        for (text, host, port) in table {
            assert_eq!(Authority::parse(text), Some(Authority { host, port }), "{text}");
        }
    }

    /// RFC 9110 §7.2: an invalid Host value must be refused, so nothing is guessed.
    #[test]
    fn what_is_not_a_host_is_refused_whole() {
        let table = [
            "",
            ":80",
            "user@host",
            "user:pw@host",
            "a b",
            "host/path",
            "host?",
            "host:http",
            "host:65536",
            "host:+80",
            "host:-1",
            "host:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[]",
            "[::1]:x",
            "[localhost]",
            "h%41st",
            "hôst",
            "a\"b",
            "[",
            "]",
        ];
        for text in table {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }
}
