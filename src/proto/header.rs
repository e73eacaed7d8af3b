//! Frame headers (RFC 6455 §5.2). Bytes in, values out; knows no messages, sockets or time.
//! Invariant: a header is 2..=14 bytes and nothing past it is read. Rules are checked in the order
//! of the bytes they are about, so a header that comes in pieces breaks the same rule as one that
//! comes whole, and as early as its bytes allow.

use super::config::Role;
use super::error::Violation;
use super::mask::Key;

/// The longest header: 2 bytes, a 64-bit length, a masking key.
pub const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame (§5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_IS_16_BITS: u8 = 126;
const LENGTH_IS_64_BITS: u8 = 127;

/// What a frame is (§5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// More of the message before.
    Continuation = 0x0,
    /// A text message, or the first frame of one.
    Text = 0x1,
    /// A binary message, or the first frame of one.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A request for a pong.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life.
    Pong = 0xa,
}

impl OpCode {
    /// The opcode with this number; `None` for the reserved ones.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    /// §5.5: "Control frames are identified by opcodes where the most significant bit of the
    /// opcode is 1."
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// What a received header is held to. A [`Role`] alone stands for a connection without extensions.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Who receives.
    pub receiver: Role,
    /// What RSV1 means.
    pub rsv1: Rsv1,
}

/// What the first reserved bit means on a connection (§5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rsv1 {
    /// Nothing: it must be clear.
    Reserved,
    /// That the message is compressed (RFC 7692 §6).
    Compressed,
}

impl From<Role> for Rules {
    fn from(receiver: Role) -> Self {
        Self { receiver, rsv1: Rsv1::Reserved }
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// RSV1: whether the message that this frame begins is compressed (RFC 7692 §6).
    pub compressed: bool,
    /// What the frame is.
    pub opcode: OpCode,
    /// The masking key, on frames from clients.
    pub mask: Option<Key>,
    /// Bytes of payload that follow the header.
    pub payload_len: u64,
}

impl Header {
    /// Reads the header that `bytes` begins with, by the `rules` (§5.1, §5.2, §5.5), and the number
    /// of bytes it takes. `None`: no rule is broken so far, more bytes are needed.
    ///
    /// # Errors
    /// The first rule that the bytes so far break.
    #[inline]
    pub fn parse(
        bytes: &[u8],
        rules: impl Into<Rules>,
    ) -> Result<Option<(Self, usize)>, Violation> {
        let Rules { receiver, rsv1 } = rules.into();
        let Some((&[first], rest)) = take::<1>(bytes) else {
            return Ok(None);
        };
        let (fin, compressed, opcode) = parse_first(first, rsv1)?;
        let Some((&[second], rest)) = take::<1>(rest) else {
            return Ok(None);
        };
        check_second(second, opcode, receiver)?;
        let Some((payload_len, rest)) = parse_length(second & LENGTH, rest)? else {
            return Ok(None);
        };
        let (mask, rest) = if second & MASK == 0 {
            (None, rest)
        } else {
            let Some((&key, rest)) = take::<4>(rest) else {
                return Ok(None);
            };
            (Some(key), rest)
        };
        let header = Self { fin, compressed, opcode, mask, payload_len };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Appends the header to `out`, its length in the minimal number of bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_bytes().as_slice());
    }

    /// The header's bytes, its length in the minimal number of them.
    pub(super) fn to_bytes(self) -> HeaderBytes {
        let mut header = HeaderBytes { bytes: [0; HEADER_BYTES_MAX], len: 0 };
        let mask = if self.mask.is_some() { MASK } else { 0 };
        let fin = if self.fin { FIN } else { 0 };
        let rsv1 = if self.compressed { RSV1 } else { 0 };
        header.push([fin | rsv1 | self.opcode as u8]);
        match (u8::try_from(self.payload_len), u16::try_from(self.payload_len)) {
            (Ok(len), _) if len < LENGTH_IS_16_BITS => header.push([mask | len]),
            (_, Ok(len)) => {
                header.push([mask | LENGTH_IS_16_BITS]);
                header.push(len.to_be_bytes());
            }
            _ => {
                header.push([mask | LENGTH_IS_64_BITS]);
                header.push(self.payload_len.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            header.push(key);
        }
        header
    }
}

/// A header as it goes on the wire.
pub(super) struct HeaderBytes {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl HeaderBytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push<const N: usize>(&mut self, field: [u8; N]) {
        if let Some(slot) = self.bytes.get_mut(self.len..self.len + N) {
            slot.copy_from_slice(&field);
            self.len += N;
        }
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8])> {
    bytes.split_first_chunk::<N>()
}

fn parse_first(first: u8, rsv1: Rsv1) -> Result<(bool, bool, OpCode), Violation> {
    // §5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero
    // values. If a nonzero value is received and none of the negotiated extensions defines the
    // meaning of such a nonzero value, the receiving endpoint MUST _Fail the WebSocket
    // Connection_."
    let defined = if rsv1 == Rsv1::Compressed { RSV1 } else { 0 };
    if first & RESERVED & !defined != 0 {
        return Err(Violation::ReservedBits);
    }
    // §5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket
    // Connection_."
    let opcode = OpCode::from_number(first & OPCODE).ok_or(Violation::ReservedOpCode)?;
    // RFC 7692 §6.1: the bit is set on the first frame of a message and clear on the others, and
    // means nothing on control frames.
    let compressed = first & RSV1 != 0;
    if compressed && !matches!(opcode, OpCode::Text | OpCode::Binary) {
        return Err(Violation::ReservedBits);
    }
    let fin = first & FIN != 0;
    // §5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be
    // fragmented."
    if opcode.is_control() && !fin {
        return Err(Violation::ControlFragmented);
    }
    Ok((fin, compressed, opcode))
}

fn check_second(second: u8, opcode: OpCode, receiver: Role) -> Result<(), Violation> {
    match (receiver, second & MASK != 0) {
        // §5.1: "The server MUST close the connection upon receiving a frame that is not masked."
        (Role::Server, false) => return Err(Violation::Unmasked),
        // §5.1: "A client MUST close a connection if it detects a masked frame."
        (Role::Client(_), true) => return Err(Violation::Masked),
        _ => {}
    }
    if opcode.is_control() && usize::from(second & LENGTH) > CONTROL_PAYLOAD_BYTES_MAX {
        return Err(Violation::ControlTooLong);
    }
    Ok(())
}

/// The payload length and what is left after its bytes.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    // §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length"
    match short {
        LENGTH_IS_16_BITS => {
            let Some((&bytes, rest)) = take::<2>(rest) else {
                return Ok(None);
            };
            let len = u16::from_be_bytes(bytes);
            if len < u16::from(LENGTH_IS_16_BITS) {
                return Err(Violation::LengthNotMinimal);
            }
            Ok(Some((u64::from(len), rest)))
        }
        LENGTH_IS_64_BITS => {
            let Some((&bytes, rest)) = take::<8>(rest) else {
                return Ok(None);
            };
            let len = u64::from_be_bytes(bytes);
            // §5.2: "the most significant bit MUST be 0"
            if len >> 63 != 0 {
                return Err(Violation::LengthTopBit);
            }
            if len <= u64::from(u16::MAX) {
                return Err(Violation::LengthNotMinimal);
            }
            Ok(Some((len, rest)))
        }
        len => Ok(Some((u64::from(len), rest))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const CLIENT: Role = Role::Client(|| [0; 4]);

    pub(crate) fn opcode() -> impl Strategy<Value = OpCode> {
        prop::sample::select(vec![
            OpCode::Continuation,
            OpCode::Text,
            OpCode::Binary,
            OpCode::Close,
            OpCode::Ping,
            OpCode::Pong,
        ])
    }

    fn header() -> impl Strategy<Value = Header> {
        let len = prop_oneof![
            0u64..=125,
            126u64..=65_535,
            65_536u64..=(1 << 63) - 1,
            prop::sample::select(vec![0, 125, 126, 65_535, 65_536, (1 << 63) - 1]),
        ];
        (any::<bool>(), opcode(), any::<Option<Key>>(), len).prop_map(
            |(fin, opcode, mask, payload_len)| {
                let control = opcode.is_control();
                let payload_len = if control { payload_len % 126 } else { payload_len };
                Header { fin: fin || control, compressed: false, opcode, mask, payload_len }
            },
        )
    }

    fn receiver_of(header: &Header) -> Role {
        if header.mask.is_some() { Role::Server } else { CLIENT }
    }

    /// §5.7: the headers of the RFC's examples.
    #[test]
    fn the_examples_of_the_rfc_parse() {
        let cases: [(&[u8], Header, usize); 4] = [
            (b"\x81\x05Hello", plain(true, OpCode::Text, 5), 2),
            (b"\x01\x03Hel", plain(false, OpCode::Text, 3), 2),
            (b"\x82\x7e\x01\x00", plain(true, OpCode::Binary, 256), 4),
            (b"\x82\x7f\0\0\0\0\0\x01\0\0", plain(true, OpCode::Binary, 65_536), 10),
        ];
        for (bytes, header, len) in cases {
            assert_eq!(Header::parse(bytes, CLIENT), Ok(Some((header, len))));
        }
    }

    fn plain(fin: bool, opcode: OpCode, payload_len: u64) -> Header {
        Header { fin, compressed: false, opcode, mask: None, payload_len }
    }

    /// §5.1, §5.2, §5.5: each broken rule is named, with the fewest bytes that show it.
    #[test]
    fn broken_rules_are_named_at_once() {
        use Violation::*;
        let cases: [(&[u8], Role, Violation); 20] = [
            (b"\xc1", Role::Server, ReservedBits),
            (b"\xa1", Role::Server, ReservedBits),
            (b"\x91", Role::Server, ReservedBits),
            (b"\x83", Role::Server, ReservedOpCode),
            (b"\x87", Role::Server, ReservedOpCode),
            (b"\x8b", Role::Server, ReservedOpCode),
            (b"\x8f", Role::Server, ReservedOpCode),
            (b"\x08", Role::Server, ControlFragmented),
            (b"\x09", Role::Server, ControlFragmented),
            (b"\x0a", Role::Server, ControlFragmented),
            (b"\x81\x05", Role::Server, Unmasked),
            (b"\x81\x85", CLIENT, Masked),
            (b"\x89\xfe", Role::Server, ControlTooLong),
            (b"\x88\xff", Role::Server, ControlTooLong),
            (b"\x8a\x7e", CLIENT, ControlTooLong),
            (b"\x82\xfe\x00\x7d", Role::Server, LengthNotMinimal),
            (b"\x82\xff\0\0\0\0\0\0\xff\xff", Role::Server, LengthNotMinimal),
            (b"\x82\xff\0\0\0\0\0\0\0\x01", Role::Server, LengthNotMinimal),
            (b"\x82\xff\x80\0\0\0\0\0\0\0", Role::Server, LengthTopBit),
            (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", Role::Server, LengthTopBit),
        ];
        for (bytes, receiver, violation) in cases {
            assert_eq!(Header::parse(bytes, receiver), Err(violation), "{bytes:x?}");
            let shorter = &bytes[..bytes.len() - 1];
            assert_eq!(Header::parse(shorter, receiver), Ok(None), "{shorter:x?}");
        }
    }

    /// RFC 7692 §6: RSV1 marks the first frame of a message, where it was agreed on.
    #[test]
    fn rsv1_is_for_the_first_frame_of_a_message() {
        let rules = Rules { receiver: Role::Server, rsv1: Rsv1::Compressed };
        for first in [0xc1, 0xc2, 0x41, 0x42] {
            let bytes = [first, 0x80, 0, 0, 0, 0];
            let (header, _) = Header::parse(&bytes, rules).unwrap().unwrap();
            assert!(header.compressed);
            let mut encoded = Vec::new();
            header.encode(&mut encoded);
            assert_eq!(encoded, bytes);
            assert_eq!(Header::parse(&bytes, Role::Server), Err(Violation::ReservedBits));
        }
        for first in [0xc0, 0x40, 0xc8, 0xc9, 0xca, 0xe1, 0xd1] {
            assert_eq!(Header::parse(&[first], rules), Err(Violation::ReservedBits), "{first:x}");
        }
    }

    proptest! {
        /// §5.2: what is encoded is decoded, in no more bytes than it took.
        #[test]
        fn encode_then_decode_is_identity(header in header(), after: Vec<u8>) {
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            let len = bytes.len();
            prop_assert!((2..=HEADER_BYTES_MAX).contains(&len));
            bytes.extend_from_slice(&after);
            let parsed = Header::parse(&bytes, receiver_of(&header));
            prop_assert_eq!(parsed, Ok(Some((header, len))));
            for cut in 0..len {
                prop_assert_eq!(Header::parse(&bytes[..cut], receiver_of(&header)), Ok(None));
            }
        }

        /// Any bytes: a prefix never says anything else than the whole.
        #[test]
        fn a_prefix_agrees_with_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let whole = Header::parse(&bytes, Role::Server);
            for cut in 0..bytes.len() {
                let part = Header::parse(&bytes[..cut], Role::Server);
                prop_assert!(part == Ok(None) || part == whole);
            }
        }
    }
}
