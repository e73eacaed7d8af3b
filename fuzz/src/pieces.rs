//! Bytes cut into reads: the standing oracle is that cuts change nothing.

use std::fmt::Debug;

/// Runs over `bytes` at once, byte by byte, and in pieces of all sizes.
///
/// # Panics
/// When the outcomes differ.
pub fn same_however_cut<T: Debug + PartialEq>(bytes: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let at_once = run(&[bytes]);
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(run(&single), at_once, "byte by byte");
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for cut in cuts(bytes) {
        let Some((piece, after)) = rest.split_at_checked(cut) else { break };
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(run(&pieces), at_once, "in pieces {pieces:x?}");
    at_once
}

/// Lengths of pieces without end, from 1 to 128, the short ones more often. They follow from a hash
/// of the bytes.
pub(super) fn cuts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0100_0000_01b3;
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    let mut hash = bytes.iter().fold(FNV_OFFSET, |hash, byte| mix(hash, *byte));
    std::iter::repeat_with(move || {
        hash = mix(hash, 0);
        let [.., width, value] = (hash >> 16).to_le_bytes();
        1 + usize::from(value & (0x7f >> (width % 8)))
    })
}
