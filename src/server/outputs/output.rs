//! One connection's part in what a turn sends: its ranges of the arena, its queue, and whether more
//! may follow.

use super::backlog::Backlogs;
use super::{Flushed, Means};
use crate::net::Transport;
use crate::outbox::Outbox;
use crate::server::encoder::Wants;
use crate::server::key::Key;
use std::io;
use std::ops::Range;

/// No piece.
const NONE: u32 = u32::MAX;

/// One connection's part.
#[derive(Debug)]
pub(super) struct Output {
    /// What it is to send in this turn, or the end of that.
    pub(super) last: Range<usize>,
    pub(super) outbox: Option<Box<Outbox>>,
    /// The ranges before `last`, the latest first: a list in the outputs' pieces.
    pub(super) earlier: u32,
    /// Grows when the connection's place is taken anew.
    pub(super) generation: u32,
    /// Bytes at the front of this turn's ranges that are an HTTP answer.
    pub(super) preamble: u32,
    pub(super) wants: Wants,
    pub(super) gate: Gate,
    pub(super) dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// A close frame, or the answer to a failed handshake, was the last thing to send.
    Shut,
    /// More was sent at once than its queue takes.
    Overflowed,
    /// A write has failed: the connection is gone.
    Broken,
}

#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) earlier: u32,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            last: 0..0,
            outbox: None,
            earlier: NONE,
            generation: 0,
            preamble: 0,
            wants: Wants::default(),
            gate: Gate::Open,
            dirty: false,
        }
    }

    /// Notes it among those to be flushed, once.
    pub(super) fn mark_dirty(&mut self, index: u32, dirty: &mut Vec<Key>) {
        if !self.dirty {
            self.dirty = true;
            dirty.push(Key { index, generation: self.generation });
        }
    }

    /// Notes a range of the arena behind those that it has; `false` where there is nothing in it.
    pub(super) fn note(
        &mut self,
        index: u32,
        range: Range<usize>,
        pieces: &mut Vec<Piece>,
        dirty: &mut Vec<Key>,
    ) -> bool {
        if range.is_empty() {
            return false;
        }
        self.mark_dirty(index, dirty);
        if self.last.end == range.start {
            // Nothing to send is a range that ends at 0.
            self.last.end = range.end;
            return true;
        }
        if !self.last.is_empty() {
            let Ok(piece) = u32::try_from(pieces.len()) else {
                return false;
            };
            pieces.push(Piece { range: self.last.clone(), earlier: self.earlier });
            self.earlier = piece;
        }
        self.last = range;
        true
    }

    /// Writes from its queue. An empty one is dropped.
    pub(super) fn write_queued<T: Transport + ?Sized>(
        &mut self,
        backlogs: &mut Backlogs,
        tcp: &T,
        means: &mut Means<'_>,
    ) -> io::Result<(Flushed, usize)> {
        let Some(outbox) = &mut self.outbox else {
            return Ok((Flushed::Done, 0));
        };
        let written = backlogs.write(outbox, tcp, self.wants, means)?;
        if outbox.is_empty() {
            self.outbox = None;
        }
        Ok(written)
    }

    /// Moves its ranges of this turn to `ranges`, in order; yields how many bytes at their front
    /// are an HTTP answer.
    pub(super) fn take_ranges(
        &mut self,
        pieces: &[Piece],
        ranges: &mut Vec<Range<usize>>,
    ) -> usize {
        ranges.clear();
        ranges.push(std::mem::take(&mut self.last));
        let mut earlier = std::mem::replace(&mut self.earlier, NONE);
        while let Some(piece) = pieces.get(earlier as usize) {
            ranges.push(piece.range.clone());
            earlier = piece.earlier;
        }
        ranges.reverse();
        std::mem::take(&mut self.preamble) as usize
    }
}
