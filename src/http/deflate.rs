//! Negotiating permessage-deflate (RFC 7692 §5, §7.1) in `Sec-WebSocket-Extensions`.
//!
//! The client's offers are looked at in its order; the first that is valid and that we can keep is
//! accepted. §5.1: one that is not is declined, which is no error, and the next one is tried.
//! Invariant: the answer names only parameters that the offer named.

use crate::proto::{Context, DeflateParameters, WindowBits};

const NAME: &str = "permessage-deflate";

/// An offer that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeflateAgreement {
    /// What was agreed on.
    pub parameters: DeflateParameters,
    /// The value of our `Sec-WebSocket-Extensions`.
    answer: String,
}

impl DeflateAgreement {
    /// Accepts the first offer that can be accepted in these `Sec-WebSocket-Extensions` values,
    /// which have the grammar of RFC 6455 §9.1 (see [`classify`](super::classify)).
    #[must_use]
    pub fn negotiate<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        values.flat_map(|value| value.split(|byte| *byte == b',')).find_map(accept)
    }

    /// The value of the `Sec-WebSocket-Extensions` that accepts the offer.
    #[must_use]
    pub fn answer(&self) -> &str {
        &self.answer
    }
}

/// Accepts one offer, `None` to decline it: another extension, or (§7) an unknown parameter, a
/// parameter with an invalid value, or one that stands twice.
fn accept(offer: &[u8]) -> Option<DeflateAgreement> {
    let offer = std::str::from_utf8(offer).ok()?;
    let mut parts = offer.split(';').map(str::trim_ascii);
    if !parts.next()?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut offered = Offer::default();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_ascii(), Some(unquote(value.trim_ascii()))),
            None => (part, None),
        };
        offered.take(&name.to_ascii_lowercase(), value.as_deref())?;
    }
    Some(offered.agree())
}

/// RFC 6455 §9.1: a value may be quoted, and means the same without the quotes.
fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace('\\', ""))
}

/// The parameters of an offer. The outer `Option` is whether it stands there.
#[derive(Default)]
struct Offer {
    server_no_context_takeover: Option<()>,
    client_no_context_takeover: Option<()>,
    server_max_window_bits: Option<WindowBits>,
    client_max_window_bits: Option<Option<WindowBits>>,
}

impl Offer {
    /// Takes note of a parameter; `None` where the offer is to be declined for it.
    fn take(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        // §7: "The negotiation offer contains multiple extension parameters with the same name":
        // decline.
        match (name, value) {
            ("server_no_context_takeover", None) => once(&mut self.server_no_context_takeover, ()),
            ("client_no_context_takeover", None) => once(&mut self.client_no_context_takeover, ()),
            ("server_max_window_bits", Some(value)) => {
                once(&mut self.server_max_window_bits, window_bits(value)?)
            }
            ("client_max_window_bits", None) => once(&mut self.client_max_window_bits, None),
            ("client_max_window_bits", Some(value)) => {
                once(&mut self.client_max_window_bits, Some(window_bits(value)?))
            }
            _ => None,
        }
    }

    fn agree(&self) -> DeflateAgreement {
        let mut answer = NAME.to_owned();
        let mut parameters = DeflateParameters::default();
        if self.server_no_context_takeover.is_some() {
            parameters.server_context = Context::NoTakeover;
            answer.push_str("; server_no_context_takeover");
        }
        // §7.1.1.2: the client says that it can do without; so its messages cost us nothing once
        // they are over.
        if self.client_no_context_takeover.is_some() {
            parameters.client_context = Context::NoTakeover;
            answer.push_str("; client_no_context_takeover");
        }
        if let Some(window) = self.server_max_window_bits {
            parameters.server_window = window;
            answer.push_str(&format!("; server_max_window_bits={}", window.bits()));
        }
        // §7.1.2.2: without a value the client leaves the choice to us, and we leave it at 15.
        if let Some(Some(window)) = self.client_max_window_bits {
            parameters.client_window = window;
            answer.push_str(&format!("; client_max_window_bits={}", window.bits()));
        }
        DeflateAgreement { parameters, answer }
    }
}

/// Fills an empty place; `None` where it is taken.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

/// §7.1.2.1: "a decimal integer without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &str) -> Option<WindowBits> {
    let canonical = !value.starts_with(['0', '+']);
    value.parse().ok().filter(|_| canonical).and_then(WindowBits::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(values: &[&str]) -> Option<String> {
        let values = values.iter().map(|value| value.as_bytes());
        DeflateAgreement::negotiate(values).map(|agreement| agreement.answer)
    }

    /// RFC 7692 §5.1, §7.1: what each offer is answered with; `None` is declined.
    #[test]
    fn offers_are_accepted_or_declined() {
        let accepted = [
            ("permessage-deflate", ""),
            ("Permessage-Deflate", ""),
            ("permessage-deflate; client_max_window_bits", ""),
            ("permessage-deflate; server_no_context_takeover", "; server_no_context_takeover"),
            ("permessage-deflate;client_no_context_takeover", "; client_no_context_takeover"),
            ("permessage-deflate; server_max_window_bits=10", "; server_max_window_bits=10"),
            ("permessage-deflate; server_max_window_bits=\"10\"", "; server_max_window_bits=10"),
            ("permessage-deflate; server_max_window_bits=\"1\\0\"", "; server_max_window_bits=10"),
            ("permessage-deflate; server_max_window_bits = 15", "; server_max_window_bits=15"),
            ("permessage-deflate; server_max_window_bits=8", "; server_max_window_bits=8"),
            ("permessage-deflate; client_max_window_bits=9", "; client_max_window_bits=9"),
            (
                "permessage-deflate; client_max_window_bits=8; server_max_window_bits=9; \
                 client_no_context_takeover; server_no_context_takeover",
                "; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=9; client_max_window_bits=8",
            ),
        ];
        for (offer, parameters) in accepted {
            assert_eq!(
                answer(&[offer]),
                Some(format!("permessage-deflate{parameters}")),
                "{offer}"
            );
        }
        for offer in [
            "x-webkit-deflate-frame",
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+10",
            "permessage-deflate; server_max_window_bits=ten",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; client_max_window_bits=255",
            "permessage-deflate; client_max_window_bits=256",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
    }

    /// RFC 7692 §5.1: the first offer that can be accepted, in one field or several.
    #[test]
    fn the_first_acceptable_offer_is_taken() {
        let offers = "permessage-deflate; server_max_window_bits=7, other, \
                      permessage-deflate; server_max_window_bits=12, permessage-deflate";
        let expected = Some("permessage-deflate; server_max_window_bits=12".to_owned());
        assert_eq!(answer(&[offers]), expected);
        let fields = ["other; a=b", "permessage-deflate; bad", "permessage-deflate"];
        assert_eq!(answer(&fields), Some("permessage-deflate".to_owned()));
        assert_eq!(answer(&[]), None);
    }
}
