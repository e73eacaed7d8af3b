//! What arrives in pieces and is wanted whole: fragmented messages (RFC 6455 §5.4), and payloads
//! that end beyond the bytes at hand. Text is validated as it comes (§8.1).
//! Invariant: grows by bytes received, never by a length that was announced, and never beyond the
//! message limit but for `SPARE_BYTES`.

use super::config::Limits;
use super::deflate::Inflater;
use super::error::Violation;
use super::frame::Message;
use super::header::{CONTROL_PAYLOAD_BYTES_MAX, Header, OpCode};
use super::utf8::Utf8Buffer;

/// What a buffer may hold beyond the message limit: a character that is not whole counts as nothing
/// until it is.
const SPARE_BYTES: usize = 4;
/// The least that a buffer grows to, where the limit allows it.
const CAPACITY_MIN: usize = 64;

/// A message of which not all has arrived.
#[derive(Debug)]
pub(super) struct Assembler {
    payload: Payload,
    /// Whether its frames carry DEFLATE (RFC 7692).
    compressed: bool,
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
        let compressed = first.compressed;
        Self { payload, compressed, announced: first.payload_len, frames: 1 }
    }

    /// Takes note of a further frame, whose payload is about to come.
    pub(super) fn begin_frame(
        &mut self,
        header: &Header,
        limits: &Limits,
    ) -> Result<(), Violation> {
        self.announced = self.announced.saturating_add(header.payload_len);
        self.frames = self.frames.saturating_add(1);
        if self.announced > on_wire_max(limits.message_bytes_max, self.compressed) {
            return Err(Violation::MessageTooLarge);
        }
        if self.frames > limits.fragments_max {
            return Err(Violation::TooManyFragments);
        }
        Ok(())
    }

    /// Appends a piece of a frame's payload, which `inflater` inflates where it is compressed. What
    /// it inflates to is held to the message limit as it comes.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        inflater: Option<&mut Inflater>,
        limits: &Limits,
    ) -> Result<(), Violation> {
        match inflater.filter(|_| self.compressed) {
            Some(inflater) => inflater.push(piece, &mut |more| self.append(more, limits)),
            None => self.append(piece, limits),
        }
    }

    /// Checks that the message may end here.
    pub(super) fn finish(
        &mut self,
        inflater: Option<&mut Inflater>,
        limits: &Limits,
    ) -> Result<(), Violation> {
        if let Some(inflater) = inflater.filter(|_| self.compressed) {
            inflater.finish(&mut |more| self.append(more, limits))?;
        }
        match &self.payload {
            Payload::Text(text) => text.finish().map(|_| ()).map_err(|_| Violation::InvalidUtf8),
            Payload::Binary(_) => Ok(()),
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Bytes allocated for what has arrived.
    pub(super) fn capacity(&self) -> usize {
        match &self.payload {
            Payload::Text(text) => text.capacity(),
            Payload::Binary(bytes) => bytes.capacity(),
        }
    }

    pub(super) fn message(&self) -> Message<'_> {
        match &self.payload {
            Payload::Text(text) => Message::Text(text.as_str()),
            Payload::Binary(bytes) => Message::Binary(bytes),
        }
    }

    /// Appends what fits the message limit, so that of two rules the one is broken that the
    /// earlier byte breaks, however the bytes are cut.
    fn append(&mut self, piece: &[u8], limits: &Limits) -> Result<(), Violation> {
        let len = self.message().payload().len() as u64;
        let room = limits.message_bytes_max.saturating_sub(len);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (fits, over) = piece.split_at_checked(room).unwrap_or((piece, &[]));
        self.make_room(fits.len(), limits);
        match &mut self.payload {
            Payload::Text(text) => text.push(fits).map_err(|_| Violation::InvalidUtf8)?,
            Payload::Binary(bytes) => bytes.extend_from_slice(fits),
        }
        if over.is_empty() { Ok(()) } else { Err(Violation::MessageTooLarge) }
    }

    /// Grows by doubling, as a vector does, but not beyond what the message may come to.
    fn make_room(&mut self, additional: usize, limits: &Limits) {
        let len = self.message().payload().len();
        let needed = len.saturating_add(additional).saturating_add(SPARE_BYTES);
        let capacity = self.capacity();
        if needed <= capacity {
            return;
        }
        let limit = usize::try_from(limits.message_bytes_max).unwrap_or(usize::MAX);
        let doubled = capacity.saturating_mul(2).max(CAPACITY_MIN);
        let wanted = doubled.min(limit.saturating_add(SPARE_BYTES)).max(needed);
        match &mut self.payload {
            Payload::Text(text) => text.reserve_exact(wanted - len),
            Payload::Binary(bytes) => bytes.reserve_exact(wanted - len),
        }
    }
}

/// The most that frames may carry under a limit for what is received in the end: DEFLATE can make
/// payloads longer, by 5 bytes for each of its stored blocks (RFC 1951 §3.2.4).
pub(super) fn on_wire_max(limit: u64, compressed: bool) -> u64 {
    if compressed { limit.saturating_add(limit / 256).saturating_add(64) } else { limit }
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
