//! permessage-deflate (RFC 7692): its parameters, and payloads in and out of DEFLATE. The
//! compression itself (RFC 1951) is zlib-rs's.
//!
//! Invariant: inflating hands out at most `INFLATED_BYTES_AT_ONCE` bytes before it asks whether
//! to go on, so a payload that would inflate to gigabytes costs no more than its limit.

use super::error::Violation;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateError, InflateFlush, Status};

/// Bytes handed out at once while a payload is inflated.
const INFLATED_BYTES_AT_ONCE: usize = 8 << 10;

/// §7.2.1: what a sender removes from the end of a payload, and a receiver appends (§7.2.2): the
/// end of an empty block with no compression.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The same and a byte more, which is left over where a block ends with the tail, and nowhere else.
const TAIL_AND_MORE: [u8; 5] = [0x00, 0x00, 0xff, 0xff, 0x00];

/// How hard to compress, from 1 (fastest) to 9.
const LEVEL: i32 = 4;

/// Bits of an LZ77 window (§7.1.2): 8 to 15, for windows of 256 bytes to 32 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 15 bits, a window of 32 KiB: what holds where nothing else was agreed.
    pub const MAX: Self = Self(15);

    /// §7.1.2.1: "a decimal integer without leading zeroes between 8 to 15, inclusive".
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if matches!(bits, 8..=15) { Some(Self(bits)) } else { None }
    }

    /// The number of bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// zlib's compressor cannot do 8 bits. Its distances with 9 are at most 250 bytes, 262 less
    /// than the window, so they fit a window of 256 bytes.
    fn for_zlib(self) -> u8 {
        self.0.max(9)
    }
}

/// Whether a sender may refer to earlier messages (§7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Each message may refer to those before it: the receiver keeps a window.
    Takeover,
    /// Each message stands for itself.
    NoTakeover,
}

/// What the two ends agreed on (§7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateParameters {
    /// Whether the server may refer to earlier messages. Ours never does, so that one compressed
    /// event can go to many.
    pub server_context: Context,
    /// Whether the client may.
    pub client_context: Context,
    /// The server's window.
    pub server_window: WindowBits,
    /// The client's window.
    pub client_window: WindowBits,
}

impl Default for DeflateParameters {
    fn default() -> Self {
        Self {
            server_context: Context::Takeover,
            client_context: Context::Takeover,
            server_window: WindowBits::MAX,
            client_window: WindowBits::MAX,
        }
    }
}

/// The receiving half of one connection.
pub(super) struct Inflater {
    context: Context,
    window: WindowBits,
    /// About 50 KB, whatever the window (zlib-rs takes its largest); only while there is something to
    /// remember.
    inflate: Option<Inflate>,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { context, window, inflate } = self;
        let in_use = inflate.is_some();
        f.debug_struct("Inflater")
            .field("context", context)
            .field("window", window)
            .field("in_use", &in_use)
            .finish()
    }
}

impl Inflater {
    pub(super) fn new(context: Context, window: WindowBits) -> Self {
        Self { context, window, inflate: None }
    }

    /// Inflates a piece of a message's payload into `sink`.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let mut rest = piece;
        loop {
            let step = self.step(rest, InflateFlush::NoFlush, sink)?;
            rest = rest.get(step.taken..).unwrap_or_default();
            // Where room was left in the buffer, nothing is held back.
            if rest.is_empty() && step.given < INFLATED_BYTES_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Ends a message: what was sent of it must have been whole blocks.
    pub(super) fn finish(
        &mut self,
        sink: &mut impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        // §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the
        // message." zlib stops behind each block; four bytes never fill the buffer.
        let mut rest: &[u8] = &TAIL_AND_MORE;
        while rest.len() > 1 {
            let step = self.step(rest, InflateFlush::Block, sink)?;
            rest = rest.get(step.taken..).unwrap_or_default();
        }
        if rest.is_empty() {
            return Err(Violation::DeflateInvalid);
        }
        if self.context == Context::NoTakeover {
            self.inflate = None;
        }
        Ok(())
    }

    /// Inflates what fits in one buffer.
    fn step(
        &mut self,
        input: &[u8],
        flush: InflateFlush,
        sink: &mut impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<Inflated, Violation> {
        let mut buffer = [0; INFLATED_BYTES_AT_ONCE];
        let inflate = self.inflate.get_or_insert_with(|| new_inflate(self.window));
        let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(input, &mut buffer, flush);
        let taken = usize::try_from(inflate.total_in() - before_in).unwrap_or_default();
        let given = usize::try_from(inflate.total_out() - before_out).unwrap_or_default();
        // What came before an error counts first: so it is when it comes in smaller pieces.
        sink(buffer.get(..given).unwrap_or_default())?;
        let status = status.map_err(|_: InflateError| Violation::DeflateInvalid)?;
        if status == Status::StreamEnd {
            // §7.2.3.4: a block with BFINAL set ends a stream, not a message: what follows is
            // another stream.
            self.inflate = None;
        } else if taken == 0 && given == 0 && !input.is_empty() {
            return Err(Violation::DeflateInvalid);
        }
        Ok(Inflated { taken, given })
    }
}

/// What one step of inflating did.
struct Inflated {
    /// Bytes of the input.
    taken: usize,
    /// Bytes handed to the sink.
    given: usize,
}

fn new_inflate(window: WindowBits) -> Inflate {
    // A sender that was asked for 8 bits may have taken zlib's 9.
    Inflate::new(false, window.for_zlib())
}

/// Compresses messages, each by itself. One serves any number of connections.
pub struct Compressor {
    deflate: Deflate,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Compressor {
    /// A compressor for receivers with this window. Takes some 200 to 400 KB.
    #[must_use]
    pub fn new(window: WindowBits) -> Self {
        let config = DeflateConfig {
            // Negative: raw, without zlib's header.
            window_bits: -i32::from(window.for_zlib()),
            level: LEVEL,
            ..DeflateConfig::default()
        };
        Self { deflate: Deflate::new_with_config(config) }
    }

    /// Appends the compressed `payload` to `out` (§7.2.1). `false`: it would not be smaller, and
    /// nothing was appended.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        self.deflate.reset();
        let start = out.len();
        // What does not fit in as many bytes as it had is not worth sending.
        out.resize(start + payload.len() + TAIL.len(), 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let status = self.deflate.compress(payload, room, DeflateFlush::SyncFlush);
        let len = usize::try_from(self.deflate.total_out()).unwrap_or_default();
        let all_taken = self.deflate.total_in() == payload.len() as u64;
        out.truncate(start + len);
        let whole = status == Ok(Status::Ok)
            && all_taken
            && len < payload.len() + TAIL.len()
            && out.get(start..).is_some_and(|compressed| compressed.ends_with(&TAIL));
        // §7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
        out.truncate(if whole { start + len - TAIL.len() } else { start });
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inflate(inflater: &mut Inflater, pieces: &[&[u8]]) -> Result<Vec<u8>, Violation> {
        let mut out = Vec::new();
        let mut sink = |more: &[u8]| {
            out.extend_from_slice(more);
            Ok(())
        };
        for piece in pieces {
            inflater.push(piece, &mut sink)?;
        }
        inflater.finish(&mut sink)?;
        Ok(out)
    }

    fn fresh() -> Inflater {
        Inflater::new(Context::Takeover, WindowBits::MAX)
    }

    /// §7.2.3: the RFC's own payloads.
    #[test]
    fn the_examples_of_the_rfc_inflate() {
        let hello: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let shared: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];
        let stored: &[u8] = &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        let bfinal: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        let two_blocks: &[u8] =
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        for payload in [hello, stored, bfinal, two_blocks] {
            assert_eq!(inflate(&mut fresh(), &[payload]), Ok(b"Hello".to_vec()), "{payload:x?}");
            let bytes: Vec<&[u8]> = payload.chunks(1).collect();
            assert_eq!(inflate(&mut fresh(), &bytes), Ok(b"Hello".to_vec()), "{payload:x?}");
        }
        let mut sharing = fresh();
        assert_eq!(inflate(&mut sharing, &[hello]), Ok(b"Hello".to_vec()));
        assert_eq!(inflate(&mut sharing, &[shared]), Ok(b"Hello".to_vec()));
        let mut alone = Inflater::new(Context::NoTakeover, WindowBits::MAX);
        assert_eq!(inflate(&mut alone, &[hello]), Ok(b"Hello".to_vec()));
        assert_eq!(inflate(&mut alone, &[shared]), Err(Violation::DeflateInvalid));
        assert_eq!(inflate(&mut fresh(), &[&[0x00]]), Ok(Vec::new()), "§7.2.3.6, empty");
    }

    /// §7.2.2: data that is not DEFLATE, or that ends within a block, is no message.
    #[test]
    fn broken_and_cut_payloads_are_refused() {
        let mut whole = Vec::new();
        assert!(Compressor::new(WindowBits::MAX).compress(&[b'x'; 400], &mut whole));
        for cut in 0..whole.len() {
            let result = inflate(&mut fresh(), &[&whole[..cut]]);
            assert_eq!(result, Err(Violation::DeflateInvalid), "cut at {cut}");
        }
        // Of 16 letters in all their pairs: a block with codes of its own, described before it.
        let letters: Vec<u8> = (0..2048_u32).map(|at| b'a' + (at * at / 7 % 16) as u8).collect();
        let mut whole = Vec::new();
        assert!(Compressor::new(WindowBits::MAX).compress(&letters, &mut whole));
        assert_eq!(whole[0] & 7, 0b100, "a block with dynamic codes, not the last one");
        for cut in 0..whole.len() {
            let result = inflate(&mut fresh(), &[&whole[..cut]]);
            assert_eq!(result, Err(Violation::DeflateInvalid), "cut at {cut}");
        }
        assert_eq!(inflate(&mut fresh(), &[&[0xff; 20]]), Err(Violation::DeflateInvalid));
        assert_eq!(inflate(&mut fresh(), &[&[0x06; 2]]), Err(Violation::DeflateInvalid));
    }

    /// §7.2.2: the lengths of a block's codes inflate to nothing, however many of them there are: a
    /// message that ends among them was once taken for an empty one.
    #[test]
    fn a_payload_that_ends_in_a_blocks_description_is_refused() {
        for payload in [&[0x04][..], &[0x04, 0x00, 0x00], &[0x04, 0, 0, 0, 0, 0, 0, 0, 0]] {
            let result = inflate(&mut fresh(), &[payload]);
            assert_eq!(result, Err(Violation::DeflateInvalid), "{payload:x?}");
        }
    }

    /// The sink decides when there is enough: nothing more is inflated.
    #[test]
    fn a_bomb_stops_at_the_limit() {
        let mut bomb = Vec::new();
        assert!(Compressor::new(WindowBits::MAX).compress(&vec![0; 16 << 20], &mut bomb));
        assert!(bomb.len() < 100_000);
        let mut seen = 0;
        let result = fresh().push(&bomb, &mut |more: &[u8]| {
            seen += more.len();
            if seen > 10_000 { Err(Violation::MessageTooLarge) } else { Ok(()) }
        });
        assert_eq!(result, Err(Violation::MessageTooLarge));
        assert!(seen <= 10_000 + INFLATED_BYTES_AT_ONCE);
    }

    /// §7.2.1: what would not get smaller is left alone.
    #[test]
    fn incompressible_payloads_are_left_alone() {
        let mut out = b"before".to_vec();
        assert!(!Compressor::new(WindowBits::MAX).compress(b"abc", &mut out));
        assert!(!Compressor::new(WindowBits::MAX).compress(b"", &mut out));
        assert_eq!(out, b"before");
    }

    fn compressible() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"abcdefgh{}:,".to_vec()), 100..3000)
    }

    proptest! {
        /// §7.1.2, §7.2: with every window, what is compressed inflates to what it was, however
        /// it is cut, message after message.
        #[test]
        fn compress_then_inflate_is_identity(
            payloads in prop::collection::vec(compressible(), 1..4),
            bits in 8u8..=15,
            cut in 1usize..200,
        ) {
            let window = WindowBits::new(bits).unwrap();
            let mut compressor = Compressor::new(window);
            for context in [Context::Takeover, Context::NoTakeover] {
                let mut inflater = Inflater::new(context, window);
                for payload in &payloads {
                    let mut compressed = Vec::new();
                    prop_assert!(compressor.compress(payload, &mut compressed));
                    prop_assert!(compressed.len() < payload.len());
                    let pieces: Vec<&[u8]> = compressed.chunks(cut).collect();
                    prop_assert_eq!(inflate(&mut inflater, &pieces), Ok(payload.clone()));
                }
            }
        }

        /// §7.1.2.1: with 8 bits asked for, no distance reaches beyond 256 bytes, though zlib
        /// takes 9.
        #[test]
        fn a_window_of_256_bytes_is_kept(payload in compressible()) {
            let mut compressed = Vec::new();
            let window = WindowBits::new(8).unwrap();
            prop_assert!(Compressor::new(window).compress(&payload, &mut compressed));
            compressed.extend_from_slice(&TAIL);
            let mut narrow = Inflate::new(false, 8);
            let mut out = vec![0; payload.len() + 1];
            // In small steps, so that only the window remembers what is past.
            let mut at = 0;
            while at < payload.len() {
                let taken = usize::try_from(narrow.total_in()).unwrap();
                let end = (at + 16).min(payload.len());
                let status = narrow.decompress(
                    &compressed[taken..], &mut out[at..end], InflateFlush::NoFlush
                );
                prop_assert!(status.is_ok(), "a distance over 256");
                at = usize::try_from(narrow.total_out()).unwrap();
            }
            prop_assert_eq!(&out[..at], &payload[..]);
        }

        /// Arbitrary bytes inflate to something or break a rule; nothing panics.
        #[test]
        fn arbitrary_bytes_never_panic(data: Vec<u8>, cut in 1usize..50) {
            let pieces: Vec<&[u8]> = data.chunks(cut).collect();
            let _ = inflate(&mut fresh(), &pieces);
        }
    }
}
