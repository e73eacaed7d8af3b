//! A server of market streams, as people name it: by its address, or by one of its paths.
//! Invariant: an endpoint is one that this client can speak to.

use crate::http::{Url, UrlError};
use std::fmt;
use std::str::FromStr;

/// A server: where streams are, and where its REST interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Where events come with their streams' names.
    combined: Url,
    /// As it was named.
    told: String,
}

/// Why a text names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    /// It is no URL.
    #[error("{0}")]
    Url(UrlError),
    /// TLS comes first.
    #[error(
        "TLS is not spoken here: give a plain address, ws://…, such as that of a proxy beside you \
         that speaks TLS to the server"
    )]
    Secure,
    /// It names streams.
    #[error("name the server alone, such as ws://127.0.0.1:9001, and its streams as arguments")]
    NamesStreams,
}

impl Endpoint {
    /// Where to connect for events in combined form.
    pub(crate) fn combined(&self) -> &Url {
        &self.combined
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        // A bare address, as in `127.0.0.1:9001`.
        let whole = if text.contains("://") { text.to_owned() } else { format!("ws://{text}") };
        let url: Url = whole.parse().map_err(EndpointError::Url)?;
        if url.is_secure() {
            return Err(EndpointError::Secure);
        }
        let path = url.target().trim_end_matches('/');
        let prefix = ["/ws", "/stream"].iter().find_map(|end| path.strip_suffix(end));
        let prefix = prefix.unwrap_or(path);
        // `/ws/btcusdt@trade` and `?streams=…`: the rest of this client would not look at them.
        let names_streams = prefix.contains(['?', '@'])
            || ["/ws/", "/stream/"].iter().any(|path| prefix.contains(path));
        if names_streams {
            return Err(EndpointError::NamesStreams);
        }
        let root = whole.split('/').take(3).collect::<Vec<_>>().join("/");
        let combined = format!("{root}{prefix}/stream").parse().map_err(EndpointError::Url)?;
        Ok(Self { combined, told: whole })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_address_or_by_a_path_of_its() {
        for (text, target) in [
            ("ws://127.0.0.1:9001", "/stream"),
            ("127.0.0.1:9001", "/stream"),
            ("ws://127.0.0.1:9001/", "/stream"),
            ("ws://127.0.0.1:9001/ws", "/stream"),
            ("ws://127.0.0.1:9001/stream/", "/stream"),
            ("ws://127.0.0.1:9001/market/ws", "/market/stream"),
            ("ws://127.0.0.1:9001/market", "/market/stream"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.combined().to_string(), format!("ws://127.0.0.1:9001{target}"));
        }
        let v6: Endpoint = "ws://[::1]:9/ws".parse().unwrap();
        assert_eq!(v6.combined().to_string(), "ws://[::1]:9/stream");
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for (text, error) in [
            ("wss://a/", EndpointError::Secure),
            ("http://a/", EndpointError::Url(UrlError::Scheme)),
            ("", EndpointError::Url(UrlError::Host)),
            ("ws://a/ws/btcusdt@trade", EndpointError::NamesStreams),
            ("ws://a/ws/0", EndpointError::NamesStreams),
            ("ws://a/stream?streams=x", EndpointError::NamesStreams),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
