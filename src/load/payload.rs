//! Payloads that can be checked: a number, as far as it fits, and a filler behind it.
//! Invariant: what [`Payload::compose`] wrote is what [`Payload::check`] accepts for the same
//! number, byte for byte; of another number it says how far off it is.

use crate::proto::{Message, OpCode};

/// Bytes that a whole number takes.
const NUMBER_BYTES: usize = 16;

/// Text or binary messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Content {
    /// ASCII letters.
    Text,
    /// All values of a byte behind the number.
    Binary,
}

impl Content {
    pub(super) const fn opcode(self) -> OpCode {
        match self {
            Self::Text => OpCode::Text,
            Self::Binary => OpCode::Binary,
        }
    }
}

/// What a payload that came turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The one that was expected.
    Expected,
    /// One that is due this much later: those before it are missing.
    Ahead(u64),
    /// One that had come this much before.
    Behind(u64),
    /// None of ours.
    Wrong,
}

impl Verdict {
    /// What it is where `had` payloads have come and `under_way` may come: a number outside of
    /// those is none of ours.
    pub(super) fn within(self, had: u64, under_way: usize) -> Self {
        match self {
            Self::Ahead(by) if by >= under_way as u64 => Self::Wrong,
            Self::Behind(by) if by > had => Self::Wrong,
            other => other,
        }
    }
}

/// The payloads of one run, all of one length.
#[derive(Debug)]
pub(super) struct Payload {
    content: Content,
    bytes: Vec<u8>,
}

impl Payload {
    pub(super) fn new(content: Content, len: usize) -> Self {
        let filler: &[u8] = match content {
            Content::Text => b"qrstuvwxyz",
            Content::Binary => &const { every_byte() },
        };
        Self { content, bytes: filler.iter().copied().cycle().take(len).collect() }
    }

    pub(super) const fn content(&self) -> Content {
        self.content
    }

    /// The payload with this number.
    pub(super) fn compose(&mut self, number: u64) -> &[u8] {
        for (byte, digit) in self.bytes.iter_mut().zip(digits(number)) {
            *byte = digit;
        }
        &self.bytes
    }

    /// Whether this is the payload with the number `expected`.
    pub(super) fn check(&self, message: Message<'_>, expected: u64) -> Verdict {
        let payload = message.payload();
        let same_kind = message.opcode() == self.content.opcode();
        // Whole numbers are compared as one.
        if let (Some((number, filler)), Some((_, own))) = (
            payload.split_first_chunk::<NUMBER_BYTES>(),
            self.bytes.split_first_chunk::<NUMBER_BYTES>(),
        ) && u128::from_le_bytes(*number) == u128::from_le_bytes(digits(expected))
            && filler == own
            && same_kind
        {
            return Verdict::Expected;
        }
        self.judge(payload, same_kind, expected)
    }

    /// As [`Self::check`], for payloads that are short or not the expected ones.
    #[cold]
    fn judge(&self, payload: &[u8], same_kind: bool, expected: u64) -> Verdict {
        let width = self.bytes.len().min(NUMBER_BYTES);
        let (Some((number, filler)), Some(own)) =
            (payload.split_at_checked(width), self.bytes.get(width..))
        else {
            return Verdict::Wrong;
        };
        if filler != own || !same_kind {
            return Verdict::Wrong;
        }
        if Some(number) == digits(expected).get(..width) {
            return Verdict::Expected;
        }
        distance(number, expected)
    }
}

/// How far the number in a payload is from the one expected, as far as its digits can tell.
fn distance(digits: &[u8], expected: u64) -> Verdict {
    let mut number = 0;
    for (place, digit) in digits.iter().enumerate() {
        match digit.checked_sub(b'a') {
            Some(value @ 0..16) => number |= u64::from(value) << (4 * place),
            _ => return Verdict::Wrong,
        }
    }
    let bits = 4 * digits.len();
    let mask = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
    let ahead = number.wrapping_sub(expected) & mask;
    if ahead <= mask / 2 {
        Verdict::Ahead(ahead)
    } else {
        Verdict::Behind(expected.wrapping_sub(number) & mask)
    }
}

/// A number in sixteen digits, `a` to `p`, the lowest first: where a payload is short, the digits
/// that tell neighbours apart are in it.
fn digits(number: u64) -> [u8; NUMBER_BYTES] {
    let (low, high) = (spread(number & 0xffff_ffff), spread(number >> 32));
    let wide = u128::from(low) | u128::from(high) << 64;
    wide.to_le_bytes()
}

/// Each half byte of a 32-bit number in a byte of its own, as a letter.
const fn spread(half: u64) -> u64 {
    let x = (half | half << 16) & 0x0000_ffff_0000_ffff;
    let x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x + 0x6161_6161_6161_6161
}

const fn every_byte() -> [u8; 256] {
    let mut all = [0; 256];
    let (mut byte, mut rest): (u8, &mut [u8]) = (0, &mut all);
    while let Some((first, others)) = rest.split_first_mut() {
        *first = byte;
        byte = byte.wrapping_add(1);
        rest = others;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(content: Content, bytes: &[u8]) -> Message<'_> {
        match content {
            Content::Text => Message::Text(str::from_utf8(bytes).unwrap()),
            Content::Binary => Message::Binary(bytes),
        }
    }

    /// Text is letters, the lowest digit first.
    #[test]
    fn a_payload_is_a_number_and_a_filler() {
        let mut payload = Payload::new(Content::Text, 20);
        assert_eq!(payload.compose(0x102f), b"pcabaaaaaaaaaaaawxyz");
    }

    proptest! {
        /// Each payload is told from those near it, whatever fits of its number.
        #[test]
        fn a_payload_tells_its_number(
            text: bool, len in 2usize..40, number: u64, off in 1u64..100
        ) {
            let content = if text { Content::Text } else { Content::Binary };
            let mut payload = Payload::new(content, len);
            let bytes = payload.compose(number).to_vec();
            let got = message(content, &bytes);
            prop_assert_eq!(payload.check(got, number), Verdict::Expected);
            prop_assert_eq!(payload.check(got, number.wrapping_sub(off)), Verdict::Ahead(off));
            prop_assert_eq!(payload.check(got, number.wrapping_add(off)), Verdict::Behind(off));
        }

        /// One changed byte is enough to be wrong, or another number.
        #[test]
        fn a_changed_payload_is_never_the_expected_one(
            len in 1usize..300, at: prop::sample::Index, change in 1u8.., number: u64
        ) {
            let mut payload = Payload::new(Content::Binary, len);
            let mut bytes = payload.compose(number).to_vec();
            let at = at.index(len);
            bytes[at] ^= change;
            let verdict = payload.check(Message::Binary(&bytes), number);
            prop_assert_ne!(verdict, Verdict::Expected);
            prop_assert!(at < 16 || verdict == Verdict::Wrong);
        }
    }

    /// A number that cannot be is a wrong payload, not a thousand missing ones.
    #[test]
    fn a_number_out_of_reach_is_wrong() {
        assert_eq!(Verdict::Ahead(3).within(9, 4), Verdict::Ahead(3));
        assert_eq!(Verdict::Ahead(4).within(9, 4), Verdict::Wrong);
        assert_eq!(Verdict::Behind(9).within(9, 0), Verdict::Behind(9));
        assert_eq!(Verdict::Behind(10).within(9, 0), Verdict::Wrong);
        assert_eq!(Verdict::Expected.within(0, 0), Verdict::Expected);
    }

    /// Another kind or length is wrong, however alike the bytes are.
    #[test]
    fn kind_and_length_are_checked() {
        let mut payload = Payload::new(Content::Text, 20);
        let bytes = payload.compose(7).to_vec();
        assert_eq!(payload.check(Message::Binary(&bytes), 7), Verdict::Wrong);
        assert_eq!(payload.check(message(Content::Text, &bytes[..19]), 7), Verdict::Wrong);
        assert_eq!(payload.check(message(Content::Text, &bytes[..3]), 7), Verdict::Wrong);
        let longer = [&bytes[..], b"q"].concat();
        assert_eq!(payload.check(message(Content::Text, &longer), 7), Verdict::Wrong);
        assert_eq!(Payload::new(Content::Text, 0).check(Message::Text(""), 7), Verdict::Expected);
    }
}
