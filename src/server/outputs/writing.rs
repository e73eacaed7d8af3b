//! Writing ranges of the arena to a socket, in one piece or from where they lie.

use crate::net::{Transport, Written};
use std::io::{self, IoSlice};
use std::ops::Range;

/// Ranges longer than this in all are not copied together but written with a vectored write.
const CORK_BYTES_MAX: usize = 64 << 10;
/// Pieces in one vectored write; what is beyond takes further ones.
const SLICES_MAX: usize = 64;

/// Several ranges of the arena, copied together.
#[derive(Debug)]
pub(super) struct Cork {
    ranges: Vec<Range<usize>>,
    bytes: Vec<u8>,
}

impl Cork {
    pub(super) const fn new() -> Self {
        Self { ranges: Vec::new(), bytes: Vec::new() }
    }

    /// Forgets the ranges, whose bytes are about to be others.
    pub(super) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// The bytes of these ranges in one piece: where they lie if it is one, else copied together.
    /// Connections one after the other with the same ranges share the copy.
    pub(super) fn contiguous<'a>(
        &'a mut self,
        arena: &'a [u8],
        ranges: &[Range<usize>],
    ) -> &'a [u8] {
        if let [range] = ranges {
            return arena.get(range.clone()).unwrap_or_default();
        }
        if self.ranges != ranges {
            self.bytes.clear();
            for range in ranges {
                self.bytes.extend_from_slice(arena.get(range.clone()).unwrap_or_default());
            }
            self.ranges.clear();
            self.ranges.extend_from_slice(ranges);
        }
        &self.bytes
    }
}

/// Writes ranges of the arena, `total` bytes in all.
pub(super) fn write<T: Transport + ?Sized>(
    tcp: &T,
    arena: &[u8],
    ranges: &[Range<usize>],
    total: usize,
    cork: &mut Cork,
) -> io::Result<Written> {
    if ranges.len() > 1 && total > CORK_BYTES_MAX {
        let slices = ranges.iter().map(|range| arena.get(range.clone()).unwrap_or_default());
        return write_pieces(tcp, slices);
    }
    tcp.write(cork.contiguous(arena, ranges))
}

/// Writes pieces from where they lie, until all are gone or the socket has refused something: one
/// that has not will never say that it has room again.
pub(super) fn write_pieces<'a, T: Transport + ?Sized>(
    tcp: &T,
    mut pieces: impl Iterator<Item = &'a [u8]>,
) -> io::Result<Written> {
    let mut total = 0;
    loop {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (mut count, mut offered) = (0, 0);
        for (slice, piece) in slices.iter_mut().zip(&mut pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
            offered += piece.len();
        }
        if offered == 0 {
            return Ok(Written::Bytes(total));
        }
        match tcp.write_vectored(slices.get(..count).unwrap_or_default())? {
            Written::WouldBlock if total == 0 => return Ok(Written::WouldBlock),
            Written::WouldBlock => return Ok(Written::Bytes(total)),
            Written::Bytes(written) => {
                total += written;
                if written < offered {
                    return Ok(Written::Bytes(total));
                }
            }
        }
    }
}
