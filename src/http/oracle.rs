//! The standing oracle of this module, for its tests and for fuzzing: bytes cut anywhere into
//! reads give the same outcome as the same bytes at once.
//!
//! Not part of the public API.

use super::client::ClientHandshake;
use super::error::Rejection;
use super::head::HeadLimits;
use super::request::{HeadParser, Request};
use super::response::{Response, Switching};
use super::upgrade::{Handshake, Intent, classify};
use super::url::Url;

/// Reads `bytes` as a request, at once and in pieces of the lengths `cuts`; then answers it.
///
/// # Panics
///
/// When the outcomes differ, or an answer is not one whole head.
pub fn check_request(bytes: &[u8], cuts: impl Iterator<Item = usize>) {
    let limits = HeadLimits::default();
    let at_once = HeadParser::new().try_parse(bytes, &limits);
    let mut parser = HeadParser::new();
    let in_pieces = first_outcome(bytes, cuts, |received| parser.try_parse(received, &limits));
    assert_eq!(in_pieces, at_once);

    let answer = answer(&at_once);
    if let Some(request) = at_once.as_ref().ok().and_then(Option::as_ref) {
        assert!(request.head_len() <= bytes.len());
        assert!(request.path().starts_with('/'));
    }
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    assert_eq!(answer.is_empty(), head.is_none());
}

/// Reads `bytes` as the answer to a client's handshake, at once and in pieces of lengths `cuts`.
///
/// # Panics
///
/// When the outcomes differ.
pub fn check_response(bytes: &[u8], cuts: impl Iterator<Item = usize>) {
    let limits = HeadLimits::default();
    let url: Url = "ws://localhost/".parse().expect("a valid URL");
    let mut at_once = ClientHandshake::new(&url, [0; 16]);
    let mut in_pieces = at_once.clone();
    let expected = at_once.try_parse(bytes, &limits);
    let outcome = first_outcome(bytes, cuts, |received| in_pieces.try_parse(received, &limits));
    assert_eq!(outcome, expected);
}

/// Lets `read` see ever more of `bytes`, until it has an answer or all was seen.
fn first_outcome<'b, T, E>(
    bytes: &'b [u8],
    cuts: impl Iterator<Item = usize>,
    mut read: impl FnMut(&'b [u8]) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let mut received = 0;
    for cut in cuts {
        if received >= bytes.len() {
            break;
        }
        received = bytes.len().min(received + cut);
        let outcome = read(bytes.get(..received).unwrap_or(bytes));
        if !matches!(outcome, Ok(None)) {
            return outcome;
        }
    }
    read(bytes)
}

/// What a server that serves no plain request would send; empty while it waits for more.
fn answer(outcome: &Result<Option<Request<'_>>, Rejection>) -> Vec<u8> {
    let mut out = Vec::new();
    match outcome {
        Ok(None) => {}
        Ok(Some(request)) => match classify(request) {
            Ok(Intent::WebSocket(handshake)) => switch(&handshake, &mut out),
            Ok(Intent::Plain) => {
                let rejection = Rejection::UpgradeRequired;
                Response::from(rejection).encode(request.method(), None, &mut out);
            }
            Err(rejection) => Response::from(rejection).encode(request.method(), None, &mut out),
        },
        Err(rejection) => Response::from(*rejection).encode("GET", None, &mut out),
    }
    out
}

fn switch(handshake: &Handshake<'_>, out: &mut Vec<u8>) {
    let mut switching = Switching::new(handshake);
    if let Some(first) = handshake.subprotocols().next() {
        switching = switching.subprotocol(first).expect("an offered subprotocol");
    }
    switching.encode(out);
}
