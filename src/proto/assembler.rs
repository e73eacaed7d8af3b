//! What arrives in pieces and is wanted whole: fragmented messages (RFC 6455 §5.4), and payloads
//! that end beyond the bytes at hand. Text is validated as it comes (§8.1).
//! Invariant: grows by bytes received, never by a length that was announced.

use super::config::Limits;
use super::error::Violation;
use super::frame::Message;
use super::header::{CONTROL_PAYLOAD_BYTES_MAX, Header, OpCode};
use super::utf8::Utf8Buffer;

/// A message of which not all has arrived.
#[derive(Debug)]
pub(super) struct Assembler {
    payload: Payload,
    /// Bytes of payload in the frames begun so far, whether they have arrived or not.
    announced: u64,
    frames: u32,
}

#[derive(Debug)]
enum Payload {
    Text(Utf8Buffer),
    Binary(Vec<u8>),
}

impl Assembler {
    /// A message that begins with this frame, whose payload is about to come.
    pub(super) fn new(first: &Header) -> Self {
        let payload = match first.opcode {
            OpCode::Text => Payload::Text(Utf8Buffer::default()),
            _ => Payload::Binary(Vec::new()),
        };
        Self { payload, announced: first.payload_len, frames: 1 }
    }

    /// Takes note of a further frame, whose payload is about to come.
    pub(super) fn begin_frame(
        &mut self,
        header: &Header,
        limits: &Limits,
    ) -> Result<(), Violation> {
        self.announced = self.announced.saturating_add(header.payload_len);
        self.frames = self.frames.saturating_add(1);
        if self.announced > limits.message_bytes_max {
            return Err(Violation::MessageTooLarge);
        }
        if self.frames > limits.fragments_max {
            return Err(Violation::TooManyFragments);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Violation> {
        match &mut self.payload {
            Payload::Text(text) => text.push(piece).map_err(|_| Violation::InvalidUtf8),
            Payload::Binary(bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// Checks that the message may end here.
    pub(super) fn finish(&self) -> Result<(), Violation> {
        match &self.payload {
            Payload::Text(text) => text.finish().map(|_| ()).map_err(|_| Violation::InvalidUtf8),
            Payload::Binary(_) => Ok(()),
        }
    }

    pub(super) fn message(&self) -> Message<'_> {
        match &self.payload {
            Payload::Text(text) => Message::Text(text.as_str()),
            Payload::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

/// The payload of a control frame that came in pieces.
#[derive(Debug)]
pub(super) struct ControlBuffer {
    bytes: [u8; CONTROL_PAYLOAD_BYTES_MAX],
    len: usize,
}

impl ControlBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: [0; CONTROL_PAYLOAD_BYTES_MAX], len: 0 }
    }

    /// The header has shown that the payload fits.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let free = self.bytes.get_mut(self.len..).unwrap_or_default();
        debug_assert!(piece.len() <= free.len());
        for (slot, byte) in free.iter_mut().zip(piece) {
            *slot = *byte;
        }
        self.len += piece.len();
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
