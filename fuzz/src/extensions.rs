//! `Sec-WebSocket-Extensions` of a request, one field a line (RFC 6455 §9.1, RFC 7692 §5, §7.1):
//! which offer of permessage-deflate is accepted, beside a reading of the offers that is as plain
//! as can be.

use std::fmt::Write;
use tickwire::http::{DeflateAgreement, HeadLimits, HeadParser, Intent, classify};
use tickwire::proto::{Context, DeflateParameters, WindowBits};

/// The first offer that obeys the RFC is accepted, and the answer says what was agreed on.
pub fn extensions(bytes: &[u8]) {
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        .to_vec();
    for line in bytes.split(|byte| *byte == b'\n') {
        head.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        head.extend_from_slice(line);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let mut parser = HeadParser::new();
    let Ok(Some(request)) = parser.try_parse(&head, &HeadLimits::default()) else { return };
    // What is against the grammar is refused as a whole, and never gets to the negotiation.
    let Ok(Intent::WebSocket(_)) = classify(&request) else { return };

    let values: Vec<&[u8]> = request.headers("Sec-WebSocket-Extensions").collect();
    let agreement = DeflateAgreement::negotiate(values.iter().copied());
    let text: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value)).collect();
    let offers: Vec<&str> = text.iter().flat_map(|value| value.split(',')).collect();
    let expected = offers.iter().find_map(|offer| acceptable(offer));
    assert_eq!(agreement.as_ref().map(|agreed| agreed.parameters), expected, "{offers:?}");
    if let Some(agreement) = agreement {
        // §5.1: the answer is itself what its offer would be accepted as.
        assert_eq!(acceptable(agreement.answer()), expected, "{}", agreement.answer());
        let offered = offers.iter().any(|offer| names_all_of(offer, agreement.answer()));
        assert!(offered, "{} was not offered in {offers:?}", agreement.answer());
    }
}

/// What an offer asks for, `None` where §7 has it declined.
fn acceptable(offer: &str) -> Option<DeflateParameters> {
    let offer: String = offer.chars().filter(|c| !matches!(c, ' ' | '\t' | '"' | '\\')).collect();
    let offer = offer.to_ascii_lowercase();
    let mut parts: Vec<&str> = offer.split(';').collect();
    if parts.remove(0) != "permessage-deflate" {
        return None;
    }
    let mut agreed = DeflateParameters::default();
    let mut names: Vec<&str> = Vec::new();
    for part in parts {
        names.push(part.split('=').next()?);
        match part {
            "server_no_context_takeover" => agreed.server_context = Context::NoTakeover,
            "client_no_context_takeover" => agreed.client_context = Context::NoTakeover,
            "client_max_window_bits" => {}
            _ => {
                // All sixteen that there are.
                let (side, bits) = (8..=15).find_map(|bits| {
                    let is = |side| part == format!("{side}_max_window_bits={bits}");
                    ["server", "client"].into_iter().find(|side| is(*side)).zip(Some(bits))
                })?;
                let window = WindowBits::new(bits)?;
                match side {
                    "server" => agreed.server_window = window,
                    _ => agreed.client_window = window,
                }
            }
        }
    }
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    (names.len() == all).then_some(agreed)
}

/// §5.1: an answer may name no parameter that was not offered.
fn names_all_of(offer: &str, answer: &str) -> bool {
    let mut offered = String::new();
    for part in offer.split([';', '=']) {
        // Nothing is written that cannot be: a String takes everything.
        let _ = write!(offered, ";{};", part.trim_ascii().to_ascii_lowercase());
    }
    let names = answer.split(';').map(|part| part.split('=').next().unwrap_or_default());
    names.map(str::trim_ascii).all(|name| offered.contains(&format!(";{name};")))
}
