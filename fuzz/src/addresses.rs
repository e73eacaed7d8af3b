//! What names a place: a market-stream path, a WebSocket URL (RFC 6455 §3), and the origins that
//! may connect (RFC 6454); the last is a list, and behind a line feed the origin of a request.

use std::fmt::Write;
use tickwire::http::{OriginPattern, Origins, Url};
use tickwire::market::envelope::{Framing, TimeUnit};
use tickwire::market::{Endpoint, PathError};

const STREAMS_MAX: usize = 4;

/// What is accepted can be written again, and means the same.
pub fn addresses(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check_path(text);
    check_url(text);
    check_origins(text);
}

fn check_path(target: &str) {
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    match Endpoint::parse(path, query, STREAMS_MAX) {
        Ok(endpoint) => {
            assert!(endpoint.streams.len() <= STREAMS_MAX);
            let mut names = String::new();
            for stream in &endpoint.streams {
                // Every byte may be escaped, and so may the separator.
                for byte in stream.as_str().bytes().chain(*b"/") {
                    let _ = write!(names, "%{byte:02x}");
                }
            }
            let unit = match endpoint.view.unit {
                TimeUnit::Millisecond => "timeUnit=millisecond",
                TimeUnit::Microsecond => "timeUnit=MICROSECOND",
            };
            let again = match endpoint.view.framing {
                Framing::Raw => {
                    Endpoint::parse(&format!("/any/ws/{names}"), Some(unit), STREAMS_MAX)
                }
                Framing::Combined => {
                    let query = format!("x=y&streams={names}&{unit}");
                    Endpoint::parse("/stream", Some(&query), STREAMS_MAX)
                }
            };
            assert_eq!(again, Ok(endpoint));
        }
        Err(PathError::NotFound) => {
            let named = path.split('/').any(|segment| segment == "ws");
            assert!(!path.starts_with('/') || !named || path.contains("/stream/"), "{path:?}");
        }
        Err(error) => assert_eq!(error.status(), 400),
    }
}

fn check_url(text: &str) {
    let Ok(url) = text.parse::<Url>() else { return };
    assert!(!url.host().is_empty() && url.port() > 0 && url.target().starts_with('/'));
    let written = url.to_string();
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written:?}");
    assert_eq!(written.parse(), Ok(url), "{written:?}");
}

fn check_origins(text: &str) {
    let (list, origin) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(pattern) = list.parse::<OriginPattern>() {
        if list.contains('*') {
            assert!(!pattern.matches(&list.replace("*.", "")), "{list:?}: not for itself");
            assert!(pattern.matches(&list.replace('*', "a.b")), "{list:?}");
        } else {
            assert!(pattern.matches(list), "{list:?}");
        }
    }
    let Ok(origins) = list.parse::<Origins>() else { return };
    assert!(origins.allow(None));
    assert_eq!(origins.check(Some(origin)).is_ok(), origins.allow(Some(origin)));
    if origin != "null" {
        let upper = origin.to_ascii_uppercase();
        assert_eq!(origins.allow(Some(&upper)), origins.allow(Some(origin)), "{origin:?}");
    }
    if let Origins::Listed(_) = origins {
        let each = list.split(',').filter_map(|one| one.trim().parse::<OriginPattern>().ok());
        let any = each.into_iter().any(|pattern| pattern.matches(origin));
        assert_eq!(origins.allow(Some(origin)), any);
        assert!(!any || origin == "null" || origin.contains("://"), "{origin:?}");
    }
}
