//! Frames (RFC 6455 §5.2) as the tests write and read them, independently of the library.

use std::fmt;

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const RSV2: u8 = 0x20;
pub(crate) const RSV3: u8 = 0x10;

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

const MASK: u8 = 0x80;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame from the server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The frame that `bytes` begins with and how long it is; `None`: it is not whole.
    ///
    /// # Panics
    /// Where a server must not send such a frame.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        assert_eq!(second & MASK, 0, "§5.1: a server must not mask");
        assert_eq!(first & (RSV2 | RSV3), 0, "§5.2: no extension defines these bits");
        let (len, start) = match second {
            126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let minimal = if len < 126 { 2 } else { 4 + 6 * usize::from(len > 0xffff) };
        assert_eq!(start, minimal, "§5.2: a length takes the fewest bytes");
        if first & 0x8 != 0 {
            assert!(first & FIN != 0 && len <= 125, "§5.5: control frames are short and whole");
        }
        let end = start + usize::try_from(len).expect("a length that fits the memory");
        Some((Self { first, payload: bytes.get(start..end)?.to_vec() }, end))
    }

    /// The status code and reason of a close frame.
    pub(crate) fn close_code_and_reason(&self) -> (Option<u16>, String) {
        assert_eq!(self.first, FIN | CLOSE, "not a close frame: {self:?}");
        match self.payload.split_first_chunk() {
            Some((code, reason)) => {
                let reason = str::from_utf8(reason).expect("§5.5.1: a reason is UTF-8");
                (Some(u16::from_be_bytes(*code)), reason.to_owned())
            }
            None => {
                assert!(self.payload.is_empty(), "§5.5.1: a body begins with two bytes of code");
                (None, String::new())
            }
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.payload.get(..80).unwrap_or(&self.payload);
        write!(f, "{:#04x} {} bytes \"{}\"", self.first, self.payload.len(), shown.escape_ascii())
    }
}

/// The header of a client's frame, masked with [`KEY`], whose payload may be of any length.
pub(crate) fn header(first: u8, payload_len: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload_len {
        0..=125 => bytes.push(MASK | payload_len.to_le_bytes()[0]),
        126..=0xffff => {
            bytes.push(MASK | 126);
            bytes.extend_from_slice(&payload_len.to_be_bytes()[6..]);
        }
        _ => {
            bytes.push(MASK | 127);
            bytes.extend_from_slice(&payload_len.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&KEY);
    bytes
}

/// A payload, or its first part, masked with [`KEY`].
pub(crate) fn mask(payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// A client's frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(mask(payload));
    bytes
}

pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(FIN | TEXT, payload.as_bytes())
}

pub(crate) fn binary(payload: &[u8]) -> Vec<u8> {
    frame(FIN | BINARY, payload)
}

pub(crate) fn ping(payload: &[u8]) -> Vec<u8> {
    frame(FIN | PING, payload)
}

pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    frame(FIN | PONG, payload)
}

pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    frame(FIN | CLOSE, &payload)
}
