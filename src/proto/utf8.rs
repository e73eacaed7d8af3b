//! UTF-8 validation (RFC 6455 §8.1, RFC 3629), whole or as a stream.
//! Invariant: what is pending between two pieces is a proper prefix of a valid character, so the
//! first byte that cannot be part of UTF-8 is refused when it arrives, not when the text ends.

use std::str;

/// From this many bytes on the vectorised check is faster than the standard library's.
const SIMD_BYTES_MIN: usize = 64;

/// The bytes are not UTF-8, and nothing that could follow would make them so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// The text in `bytes`.
///
/// # Errors
/// [`InvalidUtf8`] where it is not valid, or ends inside a character.
pub fn validate(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    if bytes.len() < SIMD_BYTES_MIN {
        str::from_utf8(bytes).map_err(|_| InvalidUtf8)
    } else {
        simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
    }
}

/// A text that arrives in pieces, which may be cut anywhere, inside characters too.
#[derive(Debug, Default)]
pub struct Utf8Buffer {
    text: String,
    /// The bytes of a character that is not yet complete: at most three.
    pending: [u8; 4],
    pending_len: u8,
}

impl Utf8Buffer {
    /// Appends a piece.
    ///
    /// # Errors
    /// [`InvalidUtf8`] at the first byte that cannot be part of UTF-8, with all bytes so far.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let rest = self.complete_pending(piece)?;
        let (text, tail) = split_incomplete(rest)?;
        self.text.push_str(text);
        for byte in tail {
            self.push_pending(*byte);
        }
        Ok(())
    }

    /// The text, which must not end inside a character.
    ///
    /// # Errors
    /// [`InvalidUtf8`] where it does.
    pub fn finish(&self) -> Result<&str, InvalidUtf8> {
        if self.pending_len == 0 { Ok(self.as_str()) } else { Err(InvalidUtf8) }
    }

    /// The characters that are complete so far.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Bytes allocated for the text.
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Makes room for so many more bytes, and no more than these.
    pub(super) fn reserve_exact(&mut self, additional: usize) {
        self.text.reserve_exact(additional);
    }

    /// Feeds bytes to the pending character until it is whole; yields what is left of the piece.
    fn complete_pending<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        while self.pending_len > 0 {
            let Some((byte, rest)) = piece.split_first() else {
                break;
            };
            piece = rest;
            self.push_pending(*byte);
            let pending = self.pending.get(..usize::from(self.pending_len)).unwrap_or_default();
            match str::from_utf8(pending) {
                Ok(character) => {
                    self.text.push_str(character);
                    self.pending_len = 0;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(InvalidUtf8),
            }
        }
        Ok(piece)
    }

    fn push_pending(&mut self, byte: u8) {
        if let Some(slot) = self.pending.get_mut(usize::from(self.pending_len)) {
            *slot = byte;
            self.pending_len += 1;
        }
    }
}

/// The valid text that `bytes` begins with, and the prefix of a character that it ends with.
fn split_incomplete(bytes: &[u8]) -> Result<(&str, &[u8]), InvalidUtf8> {
    let error = if bytes.len() < SIMD_BYTES_MIN {
        match str::from_utf8(bytes) {
            Ok(text) => return Ok((text, &[])),
            Err(error) => (error.valid_up_to(), error.error_len()),
        }
    } else {
        match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => return Ok((text, &[])),
            Err(error) => (error.valid_up_to(), error.error_len()),
        }
    };
    // A length says that the bytes after the valid part are wrong, none that they are too few.
    let (valid_len, None) = error else {
        return Err(InvalidUtf8);
    };
    let (valid, tail) = bytes.split_at_checked(valid_len).ok_or(InvalidUtf8)?;
    Ok((validate(valid)?, tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces_of<'a>(data: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
        at.extend([0, data.len()]);
        at.sort_unstable();
        at.windows(2).map(|pair| &data[pair[0]..pair[1]]).collect()
    }

    fn stream(pieces: &[&[u8]]) -> Result<String, InvalidUtf8> {
        let mut buffer = Utf8Buffer::default();
        for piece in pieces {
            buffer.push(piece)?;
        }
        buffer.finish().map(str::to_owned)
    }

    /// Almost UTF-8: valid text with a few bytes replaced.
    fn nearly_utf8() -> impl Strategy<Value = Vec<u8>> {
        (".{0,80}", prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3))
            .prop_map(|(text, changes)| {
                let mut bytes = text.into_bytes();
                for (at, byte) in changes {
                    if !bytes.is_empty() {
                        let at = at.index(bytes.len());
                        bytes[at] = byte;
                    }
                }
                bytes
            })
    }

    /// §8.1: a surrogate, an overlong form and a number past U+10FFFF fail at the first byte that
    /// shows it, before their last byte has come.
    #[test]
    fn the_first_impossible_byte_is_refused() {
        for (good, bad) in [
            (&b"\xed"[..], 0xa0), // U+D800, a surrogate
            (b"\xf4", 0x90),      // past U+10FFFF
            (b"\xe0", 0x80),      // overlong, three bytes
            (b"\xf0", 0x80),      // overlong, four bytes
            (b"\xf0\x90", 0x41),  // not a continuation
            (b"", 0xc0),          // never in UTF-8
            (b"", 0xf5),
            (b"", 0x80),
        ] {
            let mut buffer = Utf8Buffer::default();
            assert_eq!(buffer.push(good), Ok(()), "{good:x?}");
            assert_eq!(buffer.push(&[bad]), Err(InvalidUtf8), "{good:x?} {bad:x}");
        }
    }

    /// §8.1: a text may not end inside a character, however it was cut before.
    #[test]
    fn an_unfinished_character_at_the_end_is_invalid() {
        assert_eq!(stream(&[b"\xe2\x82"]), Err(InvalidUtf8));
        assert_eq!(stream(&[b"\xe2", b"\x82", b"\xac"]).as_deref(), Ok("€"));
    }

    proptest! {
        /// The vectorised check is the standard library's.
        #[test]
        fn fast_path_equals_naive(data in nearly_utf8(), pad in 0usize..100) {
            let mut data = data;
            data.splice(0..0, std::iter::repeat_n(b'x', pad));
            prop_assert_eq!(validate(&data).ok(), str::from_utf8(&data).ok());
        }

        /// However the bytes are cut, the verdict and the text are those of the whole.
        #[test]
        fn split_anywhere_gives_the_same_text(
            data in nearly_utf8(), cuts: Vec<prop::sample::Index>
        ) {
            let expected = str::from_utf8(&data).map(str::to_owned).map_err(|_| InvalidUtf8);
            prop_assert_eq!(stream(&pieces_of(&data, &cuts)), expected);
        }

        /// Byte by byte, an error comes with the byte at which no continuation can help.
        #[test]
        fn errors_come_as_early_as_they_can(data in nearly_utf8()) {
            let mut buffer = Utf8Buffer::default();
            for (index, byte) in data.iter().enumerate() {
                let hopeless = str::from_utf8(&data[..=index])
                    .is_err_and(|error| error.error_len().is_some());
                let pushed = buffer.push(&[*byte]);
                prop_assert_eq!(pushed.is_err(), hopeless);
                if hopeless { break }
            }
        }
    }
}
