//! The handshake's key and what answers it (RFC 6455 §1.3, §4.1, §4.2).
//!
//! They prove that a server has read this very handshake, and no more: there is no secret in them.
//! Draws no random numbers. Invariant: a key is 24 characters, an accept value 28.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest, Sha1};

/// §1.3: what is appended to the key before it is hashed.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Reads keys. RFC 4648 §3.5 leaves it to a decoder whether the bits that the last character has
/// to spare must be zero; RFC 6455 asks for 16 bytes only, and some clients make up the characters.
const KEYS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// §4.2.2, 5.4: SHA-1 of the key, as sent, and a fixed GUID; in base64.
///
/// ```
/// let accept = tickwire::http::accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(&accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_GUID).finalize();
    let mut accept = [0; 28];
    STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 in base64");
    accept
}

/// §4.1, 7: the nonce "base64-encoded", as Sec-WebSocket-Key carries it.
pub(super) fn encode(nonce: [u8; 16]) -> [u8; 24] {
    let mut key = [0; 24];
    STANDARD.encode_slice(nonce, &mut key).expect("16 bytes are 24 in base64");
    key
}

/// §4.2.1, 5: whether a value, "when decoded, is 16 bytes in length".
pub(super) fn is_key(value: &[u8]) -> bool {
    // The decoder insists on padding. More than 24 characters do not fit and are no key.
    let mut nonce = [0; 18];
    KEYS.decode_slice(value, &mut nonce) == Ok(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// §1.3: the example nonce, its key and its accept value.
    #[test]
    fn the_rfc_s_example_is_computed() {
        let key = encode(*b"the sample nonce");
        assert_eq!(&key, b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&accept_key(&key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// §4.2.1, 5, RFC 4648 §3.5: 16 bytes in base64 are a key, whatever the spare bits are.
    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        for value in ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZR=="] {
            assert!(is_key(value.as_bytes()), "{value}");
        }
        let long = "A".repeat(4096);
        let table = [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZWU=",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZWVl",
            "dGhl IHNhbXBsZSBub25jZQ==",
            "-_hlIHNhbXBsZSBub25jZQ==",
            &long,
        ];
        for value in table {
            assert!(!is_key(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        /// §4.1, 7: what a client encodes, a server takes for a key.
        #[test]
        fn every_nonce_makes_a_key(nonce in any::<[u8; 16]>()) {
            prop_assert!(is_key(&encode(nonce)));
        }
    }
}
