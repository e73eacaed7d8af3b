//! What a turn of the loop has to send, and what sockets would not take (see [`Outbox`]).
//!
//! All frames of a turn are encoded one after the other into one arena. A connection notes which
//! ranges of it it is to send: a reply is its own, a published event is shared by all subscribers,
//! and neighbouring ranges are one. At the end of the turn each connection gets one write: straight
//! from the arena where it has one range, from the cork buffer where it has several, by a vectored
//! write where those are long. Connections with the same ranges share what is in the cork buffer.
//!
//! Invariant: a connection's ranges and then its [`Outbox`] are in the order in which the frames
//! were sent, and nothing is added once it is closed for sending.

use super::key::Key;
use crate::net::{Tcp, Written};
use crate::outbox::Outbox;
use std::io::{self, IoSlice};
use std::ops::Range;

/// Ranges longer than this in all are not copied together but written with a vectored write.
const CORK_BYTES_MAX: usize = 64 << 10;
/// Ranges in one vectored write; those of a turn beyond it take further ones.
const SLICES_MAX: usize = 64;
/// Room that the arena keeps from turn to turn.
const ARENA_RETAINED_BYTES_MAX: usize = 4 << 20;

const NONE: u32 = u32::MAX;

/// One connection's part.
#[derive(Debug)]
struct Output {
    /// Its ranges of this turn, a list in [`Outputs::pieces`].
    first: u32,
    last: u32,
    /// Grows when the connection's place is taken anew.
    generation: u32,
    outbox: Option<Box<Outbox>>,
    /// Bytes at the front of this turn's ranges that are an HTTP answer.
    preamble: u32,
    gate: Gate,
    dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// A close frame, or the answer to a failed handshake, was the last thing to send.
    Shut,
}

#[derive(Clone, Debug)]
struct Piece {
    range: Range<usize>,
    next: u32,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// All is written.
    Done,
    /// The socket would not take all: the rest is queued until it is writable.
    Queued,
    /// The rest does not fit the send queue: so many bytes of this turn's frames were not queued.
    Overflow(usize),
}

/// The sending side of all of a worker's connections.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    by_index: Vec<Output>,
    arena: Vec<u8>,
    pieces: Vec<Piece>,
    dirty: Vec<Key>,
    cork: Cork,
}

/// Several ranges of the arena, copied together.
#[derive(Debug, Default)]
struct Cork {
    ranges: Vec<Range<usize>>,
    bytes: Vec<u8>,
}

impl Outputs {
    /// A place for the connection at `index`; yields its key.
    pub(super) fn open(&mut self, index: u32) -> Key {
        if let Some(output) = self.by_index.get_mut(index as usize) {
            let generation = Key { index, generation: output.generation }.successor().generation;
            *output = Output { generation, ..Output::new() };
            return Key { index, generation };
        }
        self.by_index.resize_with(index as usize + 1, Output::new);
        Key { index, generation: 0 }
    }

    /// Forgets all that the connection has to send.
    pub(super) fn close(&mut self, index: u32) {
        if let Some(output) = self.by_index.get_mut(index as usize) {
            *output = Output { generation: output.generation, gate: Gate::Shut, ..Output::new() };
        }
    }

    /// Nothing is sent on the connection after what it has to send now.
    pub(super) fn shut(&mut self, index: u32) {
        if let Some(output) = self.by_index.get_mut(index as usize) {
            output.gate = Gate::Shut;
        }
    }

    pub(super) fn accepts(&self, index: u32) -> bool {
        self.by_index.get(index as usize).is_some_and(|output| output.gate == Gate::Open)
    }

    /// Bytes of frames that sockets have refused, for this connection.
    pub(super) fn queued_bytes(&self, index: u32) -> usize {
        let outbox = self.by_index.get(index as usize).and_then(|output| output.outbox.as_ref());
        outbox.map_or(0, |outbox| outbox.len())
    }

    /// Where frames are encoded. What is appended must be given to connections by [`Self::send`].
    pub(super) fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Bytes in the arena: the start of what is encoded next.
    pub(super) fn encoded(&self) -> usize {
        self.arena.len()
    }

    /// Has the connection send what `encode` appends to the arena.
    pub(super) fn send_encoded<R>(
        &mut self,
        index: u32,
        encode: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> R {
        let start = self.encoded();
        let result = encode(&mut self.arena);
        self.send(index, start..self.encoded());
        result
    }

    /// Has the connection send a range of the arena at the end of the turn. Those that come last
    /// before [`Self::shut`] still go.
    pub(super) fn send(&mut self, index: u32, range: Range<usize>) {
        let Some(output) = self.by_index.get_mut(index as usize) else {
            return;
        };
        if range.is_empty() || output.gate == Gate::Shut {
            return;
        }
        if let Some(last) = self.pieces.get_mut(output.last as usize)
            && last.range.end == range.start
        {
            last.range.end = range.end;
            return;
        }
        let Ok(piece) = u32::try_from(self.pieces.len()) else {
            return;
        };
        self.pieces.push(Piece { range, next: NONE });
        match self.pieces.get_mut(output.last as usize) {
            Some(last) => last.next = piece,
            None => output.first = piece,
        }
        output.last = piece;
        self.mark_dirty(index);
    }

    /// Says that what the connection has to send in this turn begins with an HTTP answer.
    pub(super) fn begin_with_preamble(&mut self, index: u32, len: usize) {
        if let Some(output) = self.by_index.get_mut(index as usize) {
            output.preamble = u32::try_from(len).unwrap_or(u32::MAX);
        }
    }

    /// Has the connection looked at when the turn is flushed, even if it sends nothing.
    pub(super) fn mark_dirty(&mut self, index: u32) {
        if let Some(output) = self.by_index.get_mut(index as usize)
            && !output.dirty
        {
            output.dirty = true;
            self.dirty.push(Key { index, generation: output.generation });
        }
    }

    /// Moves the connections to be flushed into `taken`.
    pub(super) fn take_dirty(&mut self, taken: &mut Vec<Key>) {
        taken.clear();
        std::mem::swap(&mut self.dirty, taken);
    }

    /// Forgets the turn's frames, all connections having been flushed.
    pub(super) fn end_turn(&mut self) {
        debug_assert!(self.dirty.is_empty());
        self.arena.clear();
        self.arena.shrink_to(ARENA_RETAINED_BYTES_MAX);
        self.pieces.clear();
        self.cork.ranges.clear();
    }

    /// Writes what the connection has to send of this turn, in one write.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn flush(
        &mut self,
        index: u32,
        tcp: &mut Tcp,
        queue_bytes_max: usize,
    ) -> io::Result<(Flushed, usize)> {
        let Self { by_index, arena, pieces, cork, .. } = self;
        let Some(output) = by_index.get_mut(index as usize) else {
            return Ok((Flushed::Done, 0));
        };
        output.dirty = false;
        let preamble = std::mem::take(&mut output.preamble) as usize;
        let first = std::mem::replace(&mut output.first, NONE);
        output.last = NONE;
        let ranges = || Ranges { pieces, next: first };
        let total: usize = ranges().map(|range| range.len()).sum();
        if output.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty()) {
            let outbox = output.outbox.get_or_insert_default();
            return Ok((queue(outbox, arena, ranges(), total, queue_bytes_max), 0));
        }
        if total == 0 {
            return Ok((Flushed::Done, 0));
        }
        let written = match write(tcp, arena, ranges(), total, cork)? {
            Written::Bytes(written) if written == total => return Ok((Flushed::Done, total)),
            Written::Bytes(written) => written,
            Written::WouldBlock => 0,
        };
        let outbox = output.outbox.get_or_insert_default();
        **outbox = Outbox::with_preamble(preamble);
        for range in ranges() {
            outbox.queue(arena.get(range).unwrap_or_default());
        }
        outbox.advance(written);
        // A short write need not mean that the socket is full, and only a socket that has said so
        // makes an edge when it has room again.
        let written = written + write_all(outbox, tcp)?;
        if outbox.is_empty() {
            output.outbox = None;
            return Ok((Flushed::Done, written));
        }
        let overflows = outbox.unstarted() > queue_bytes_max;
        Ok((if overflows { Flushed::Overflow(0) } else { Flushed::Queued }, written))
    }

    /// Writes what is queued, until it is all gone or the socket takes no more; yields how much
    /// that was.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn write_queued(&mut self, index: u32, tcp: &mut Tcp) -> io::Result<usize> {
        let Some(output) = self.by_index.get_mut(index as usize) else {
            return Ok(0);
        };
        let Some(outbox) = &mut output.outbox else {
            return Ok(0);
        };
        let written = write_all(outbox, tcp)?;
        if outbox.is_empty() {
            output.outbox = None;
        }
        Ok(written)
    }

    /// Drops all queued frames of which no byte has gone, queues `farewell` in their place and
    /// shuts the connection; yields how many bytes were dropped.
    pub(super) fn replace_queue(&mut self, index: u32, farewell: &[u8]) -> usize {
        let Some(output) = self.by_index.get_mut(index as usize) else {
            return 0;
        };
        let outbox = output.outbox.get_or_insert_default();
        let dropped = outbox.drop_unstarted();
        outbox.queue(farewell);
        output.gate = Gate::Shut;
        dropped
    }
}

impl Output {
    fn new() -> Self {
        Self {
            first: NONE,
            last: NONE,
            generation: 0,
            outbox: None,
            preamble: 0,
            gate: Gate::Open,
            dirty: false,
        }
    }
}

/// The ranges of one connection, in order.
struct Ranges<'a> {
    pieces: &'a [Piece],
    next: u32,
}

impl Iterator for Ranges<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let piece = self.pieces.get(self.next as usize)?;
        self.next = piece.next;
        Some(piece.range.clone())
    }
}

/// Puts a turn's ranges behind what is queued already, or none of them.
fn queue(
    outbox: &mut Outbox,
    arena: &[u8],
    ranges: Ranges<'_>,
    total: usize,
    queue_bytes_max: usize,
) -> Flushed {
    if outbox.unstarted() + total > queue_bytes_max {
        return Flushed::Overflow(total);
    }
    for range in ranges {
        outbox.queue(arena.get(range).unwrap_or_default());
    }
    Flushed::Queued
}

/// Writes from the queue until it is empty or the socket takes no more; yields how much that was.
fn write_all(outbox: &mut Outbox, tcp: &mut Tcp) -> io::Result<usize> {
    let mut total = 0;
    while !outbox.is_empty() {
        match tcp.write(outbox.pending())? {
            Written::Bytes(written) => {
                outbox.advance(written);
                total += written;
            }
            Written::WouldBlock => break,
        }
    }
    Ok(total)
}

fn write(
    tcp: &mut Tcp,
    arena: &[u8],
    ranges: Ranges<'_>,
    total: usize,
    cork: &mut Cork,
) -> io::Result<Written> {
    let mut rest = Ranges { ..ranges };
    let first = rest.next().unwrap_or_default();
    if first.len() == total {
        return tcp.write(arena.get(first).unwrap_or_default());
    }
    if total > CORK_BYTES_MAX {
        return write_vectored(tcp, arena, ranges);
    }
    let same = Ranges { ..ranges }.eq(cork.ranges.iter().cloned());
    if !same {
        cork.ranges.clear();
        cork.bytes.clear();
        for range in ranges {
            cork.bytes.extend_from_slice(arena.get(range.clone()).unwrap_or_default());
            cork.ranges.push(range);
        }
    }
    tcp.write(&cork.bytes)
}

/// Writes ranges from where they lie, until all are gone or the socket has refused something: one
/// that has not will never say that it has room again.
fn write_vectored(tcp: &mut Tcp, arena: &[u8], mut ranges: Ranges<'_>) -> io::Result<Written> {
    let (mut offered, mut total) = (0, 0);
    loop {
        let bytes_of = |range| IoSlice::new(arena.get(range).unwrap_or_default());
        let slices: Vec<IoSlice<'_>> = ranges.by_ref().take(SLICES_MAX).map(bytes_of).collect();
        offered += slices.iter().map(|slice| slice.len()).sum::<usize>();
        match tcp.write_vectored(&slices)? {
            Written::WouldBlock if total == 0 => return Ok(Written::WouldBlock),
            Written::WouldBlock => return Ok(Written::Bytes(total)),
            Written::Bytes(written) => total += written,
        }
        if ranges.next == NONE || total < offered {
            return Ok(Written::Bytes(total));
        }
    }
}
