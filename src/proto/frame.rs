//! Whole frames out (RFC 6455 §5.2, §5.6). Appends to a buffer that the caller owns.
//! Invariant: what is appended is one complete frame, header and payload in one piece.

use super::config::Role;
use super::deflate::Compressor;
use super::header::{HEADER_BYTES_MAX, Header, OpCode};
use super::mask::{self, Key};

/// A message: text or binary (§5.6), whole, whatever frames it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes that mean what the application says.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload.
    #[must_use]
    pub const fn payload(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The opcode of the frame that carries it.
    #[must_use]
    pub const fn opcode(self) -> OpCode {
        match self {
            Self::Text(_) => OpCode::Text,
            Self::Binary(_) => OpCode::Binary,
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

/// Whether a frame is the last one of its message (the FIN bit, §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// FIN set: the only frame of a message, or its last.
    Last,
    /// FIN clear: more frames follow.
    More,
}

/// The header of the unmasked frame that `bytes` begin with, one of a server's, and its length.
pub(crate) fn header_of(bytes: &[u8]) -> Option<(Header, usize)> {
    // As a client reads it, which sends nothing here.
    Header::parse(bytes, Role::Client(|| [0; 4])).ok().flatten()
}

/// Appends a frame to `out`, masked where a key is given.
pub fn encode(
    out: &mut Vec<u8>,
    position: Position,
    opcode: OpCode,
    mask: Option<Key>,
    payload: &[u8],
) {
    out.reserve(HEADER_BYTES_MAX + payload.len());
    header(position, opcode, mask, payload.len()).encode(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(payload)) = (mask, out.get_mut(start..)) {
        mask::apply(payload, key);
    }
}

/// Appends the header of an unmasked frame, whose `payload_len` bytes of payload the caller sends
/// behind it.
pub fn encode_header(out: &mut Vec<u8>, position: Position, opcode: OpCode, payload_len: usize) {
    header(position, opcode, None, payload_len).encode(out);
}

fn header(position: Position, opcode: OpCode, mask: Option<Key>, payload_len: usize) -> Header {
    let fin = position == Position::Last;
    Header { fin, compressed: false, opcode, mask, payload_len: payload_len as u64 }
}

/// Appends an unmasked, unfragmented frame whose payload `render` appends: for payloads that are
/// composed in place. `render` must only append.
pub fn encode_with(out: &mut Vec<u8>, opcode: OpCode, render: impl FnOnce(&mut Vec<u8>)) {
    let append = |out: &mut Vec<u8>| {
        render(out);
        true
    };
    encode_in_place(out, opcode, Content::Plain, append);
}

/// Appends an unmasked, unfragmented frame with a compressed payload (RFC 7692 §6). `false`: it
/// would not be smaller, and nothing was appended.
pub fn encode_compressed(
    out: &mut Vec<u8>,
    opcode: OpCode,
    payload: &[u8],
    compressor: &mut Compressor,
) -> bool {
    encode_in_place(out, opcode, Content::Compressed, |out| compressor.compress(payload, out))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Plain,
    Compressed,
}

/// Appends a frame with the payload that `append` appends, if it does.
fn encode_in_place(
    out: &mut Vec<u8>,
    opcode: OpCode,
    content: Content,
    append: impl FnOnce(&mut Vec<u8>) -> bool,
) -> bool {
    // Most market events take 126 to 65,535 bytes: leave room for that header and move the
    // payload only where the guess was wrong.
    const GUESS: usize = 4;
    let start = out.len();
    out.extend_from_slice(&[0; GUESS]);
    if !append(out) {
        out.truncate(start);
        return false;
    }
    let payload_len = out.len().saturating_sub(start + GUESS) as u64;
    let compressed = content == Content::Compressed;
    let header = Header { fin: true, compressed, opcode, mask: None, payload_len };
    out.splice(start..start + GUESS, header.to_bytes().as_slice().iter().copied());
    true
}

#[cfg(test)]
mod tests {
    use super::super::header::tests::{CLIENT, opcode};
    use super::*;
    use crate::proto::Role;
    use proptest::prelude::*;

    /// §5.7: the RFC's examples, byte for byte.
    #[test]
    fn the_examples_of_the_rfc_are_what_we_send() {
        let mut out = Vec::new();
        encode(&mut out, Position::Last, OpCode::Text, None, b"Hello");
        assert_eq!(out, b"\x81\x05Hello");
        out.clear();
        let key = [0x37, 0xfa, 0x21, 0x3d];
        encode(&mut out, Position::Last, OpCode::Text, Some(key), b"Hello");
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        out.clear();
        encode(&mut out, Position::More, OpCode::Text, None, b"Hel");
        encode(&mut out, Position::Last, OpCode::Continuation, None, b"lo");
        assert_eq!(out, b"\x01\x03Hel\x80\x02lo");
    }

    proptest! {
        /// §5.2: the payload comes back, and the frame ends where the payload does.
        #[test]
        fn encode_then_decode_is_identity(
            opcode in opcode(), mask: Option<Key>, payload: Vec<u8>, before: Vec<u8>
        ) {
            prop_assume!(!opcode.is_control() || payload.len() <= 125);
            let mut out = before.clone();
            encode(&mut out, Position::Last, opcode, mask, &payload);
            let frame = &mut out[before.len()..];
            let receiver = if mask.is_some() { Role::Server } else { CLIENT };
            let (header, len) = Header::parse(frame, receiver).unwrap().unwrap();
            prop_assert_eq!((header.opcode, header.fin), (opcode, true));
            let body = &mut frame[len..];
            mask::apply(body, header.mask.unwrap_or_default());
            prop_assert_eq!(body, &payload);
        }

        /// A frame composed in place is the frame of its payload, at every length of header.
        #[test]
        fn composed_frames_are_encoded_frames(
            len in prop_oneof![0usize..300, 65_500usize..65_600], before: Vec<u8>
        ) {
            let payload = vec![7; len];
            let (mut composed, mut encoded) = (before.clone(), before);
            encode_with(&mut composed, OpCode::Binary, |out| out.extend_from_slice(&payload));
            encode(&mut encoded, Position::Last, OpCode::Binary, None, &payload);
            prop_assert_eq!(composed, encoded);
        }
    }
}
