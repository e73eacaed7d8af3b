//! From a stream of bytes to frames (RFC 6455 §5.2): finds headers however they are cut, and counts
//! payloads down. Knows no messages.
//! Invariant: between two calls it keeps at most the bytes of one unfinished header, and no payload.

use super::error::Violation;
use super::header::{HEADER_BYTES_MAX, Header, OpCode, Rules};
use super::mask::{self, Key};

/// The frame whose payload is being received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    pub(super) fin: bool,
    pub(super) opcode: OpCode,
    /// Rotated so that its first byte is for the next byte of payload.
    key: Key,
    /// Bytes of payload still to come.
    remaining: u64,
}

impl Current {
    pub(super) fn new(header: &Header) -> Self {
        Self {
            fin: header.fin,
            opcode: header.opcode,
            // A key of zeros is the identity.
            key: header.mask.unwrap_or_default(),
            remaining: header.payload_len,
        }
    }

    /// Unmasks in place as much of the payload as stands at the front of `input`; yields how much
    /// that is.
    pub(super) fn unmask(&mut self, input: &mut [u8]) -> usize {
        let len = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len());
        let payload = input.get_mut(..len).unwrap_or_default();
        if self.key != [0; 4] {
            mask::apply(payload, self.key);
            self.key = mask::rotate(self.key, len);
        }
        self.remaining -= len as u64;
        len
    }

    pub(super) fn is_complete(&self) -> bool {
        self.remaining == 0
    }
}

/// Finds headers in a stream of bytes.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The front of a header whose rest has not come yet.
    partial: [u8; HEADER_BYTES_MAX],
    partial_len: u8,
}

impl Decoder {
    /// Reads a header from the front of `input`; yields how many bytes of it that took. Without a
    /// header all of the input was taken.
    pub(super) fn header(
        &mut self,
        input: &[u8],
        rules: Rules,
    ) -> Result<(usize, Option<Header>), Violation> {
        if input.is_empty() {
            return Ok((0, None));
        }
        if self.partial_len == 0
            && let Some((header, len)) = Header::parse(input, rules)?
        {
            return Ok((len, Some(header)));
        }
        self.header_in_pieces(input, rules)
    }

    #[cold]
    fn header_in_pieces(
        &mut self,
        input: &[u8],
        rules: Rules,
    ) -> Result<(usize, Option<Header>), Violation> {
        let before = usize::from(self.partial_len);
        let free = self.partial.get_mut(before..).unwrap_or_default();
        let mut taken = 0;
        for (slot, byte) in free.iter_mut().zip(input) {
            *slot = *byte;
            taken += 1;
        }
        let bytes = self.partial.get(..before + taken).unwrap_or_default();
        if let Some((header, len)) = Header::parse(bytes, rules)? {
            self.partial_len = 0;
            return Ok((len - before, Some(header)));
        }
        // Not a whole header, so fewer than `HEADER_BYTES_MAX` bytes, and all of the input.
        debug_assert_eq!(taken, input.len());
        self.partial_len += u8::try_from(taken).unwrap_or_default();
        Ok((taken, None))
    }
}
