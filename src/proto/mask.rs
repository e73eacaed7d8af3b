//! Masking (RFC 6455 §5.3). One function, its own inverse.
//! Invariant: byte `i` of the data is XORed with byte `i mod 4` of the key.

/// A masking key, as it stands in the frame header.
pub type Key = [u8; 4];

/// XORs `data` in place with `key`, starting at the key's first byte.
///
/// A payload that arrives in pieces is masked piece by piece: [`rotate`] gives the key for the
/// piece that follows.
pub fn apply(data: &mut [u8], key: Key) {
    // A flat loop over eight bytes at a time is what the compiler vectorises best.
    let half = u64::from(u32::from_ne_bytes(key));
    let wide = half | (half << 32);
    let (chunks, rest) = data.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// The key for what follows `len` bytes that were masked with `key`.
#[must_use]
pub fn rotate(mut key: Key, len: usize) -> Key {
    key.rotate_left(len % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(data: &mut [u8], key: Key) {
        for (index, byte) in data.iter_mut().enumerate() {
            *byte ^= key[index % 4];
        }
    }

    /// §5.7: the RFC's own masked "Hello".
    #[test]
    fn the_example_of_the_rfc_unmasks() {
        let mut data = *b"\x7f\x9f\x4d\x51\x58";
        apply(&mut data, [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(&data, b"Hello");
    }

    proptest! {
        /// §5.3: the fast path is the definition, at any alignment and length.
        #[test]
        fn fast_path_equals_naive(data: Vec<u8>, key: Key, skip in 0usize..16) {
            let skip = skip.min(data.len());
            let (mut fast, mut slow) = (data.clone(), data);
            apply(&mut fast[skip..], key);
            naive(&mut slow[skip..], key);
            prop_assert_eq!(fast, slow);
        }

        /// §5.3: masking in pieces is masking at once.
        #[test]
        fn pieces_equal_the_whole(data: Vec<u8>, key: Key, cut: prop::sample::Index) {
            let cut = cut.index(data.len() + 1);
            let mut whole = data.clone();
            apply(&mut whole, key);
            let mut pieces = data;
            let (first, second) = pieces.split_at_mut(cut);
            apply(first, key);
            apply(second, rotate(key, cut));
            prop_assert_eq!(whole, pieces);
        }
    }
}
