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

use super::encoder::Wants;
use super::key::Key;
use super::table::Pages;
use crate::net::{Transport, Written};
use crate::outbox::{Outbox, close_among};
use crate::proto::Message;
use crate::proto::frame::{Position, encode_header};
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
    /// What it is to send in this turn, or the end of that.
    last: Range<usize>,
    outbox: Option<Box<Outbox>>,
    /// The ranges before `last`, the latest first: a list in [`Outputs::pieces`].
    earlier: u32,
    /// Grows when the connection's place is taken anew.
    generation: u32,
    /// Bytes at the front of this turn's ranges that are an HTTP answer.
    preamble: u32,
    wants: Wants,
    gate: Gate,
    dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// A close frame, or the answer to a failed handshake, was the last thing to send.
    Shut,
    /// A write has failed: the connection is gone.
    Broken,
}

#[derive(Clone, Debug)]
struct Piece {
    range: Range<usize>,
    earlier: u32,
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
#[derive(Debug)]
pub(super) struct Outputs {
    by_index: Pages<Output>,
    arena: Vec<u8>,
    pieces: Vec<Piece>,
    dirty: Vec<Key>,
    /// The ranges of the connection in hand.
    ranges: Vec<Range<usize>>,
    cork: Cork,
}

/// Several ranges of the arena, copied together.
#[derive(Debug)]
struct Cork {
    ranges: Vec<Range<usize>>,
    bytes: Vec<u8>,
}

impl Outputs {
    pub(super) const fn new() -> Self {
        Self {
            by_index: Pages::new(),
            arena: Vec::new(),
            pieces: Vec::new(),
            dirty: Vec::new(),
            ranges: Vec::new(),
            cork: Cork { ranges: Vec::new(), bytes: Vec::new() },
        }
    }

    /// A place for the connection at `index`; yields its key.
    pub(super) fn open(&mut self, index: u32) -> Key {
        if let Some(output) = self.by_index.get_mut(index) {
            let generation = Key { index, generation: output.generation }.successor().generation;
            *output = Output { generation, ..Output::new() };
            return Key { index, generation };
        }
        debug_assert_eq!(self.by_index.len(), index as usize, "places are taken in order");
        self.by_index.push(Output::new());
        Key { index, generation: 0 }
    }

    /// Forgets all that the connection has to send.
    pub(super) fn close(&mut self, index: u32) {
        if let Some(output) = self.by_index.get_mut(index) {
            *output = Output { generation: output.generation, gate: Gate::Shut, ..Output::new() };
        }
    }

    /// Nothing is sent on the connection after what it has to send now.
    pub(super) fn shut(&mut self, index: u32) {
        if let Some(output) = self.by_index.get_mut(index)
            && output.gate == Gate::Open
        {
            output.gate = Gate::Shut;
        }
    }

    pub(super) fn accepts(&self, index: u32) -> bool {
        self.by_index.get(index).is_some_and(|output| output.gate == Gate::Open)
    }

    /// How the connection wants what it is sent.
    pub(super) fn wants(&self, index: u32) -> Wants {
        self.by_index.get(index).map(|output| output.wants).unwrap_or_default()
    }

    pub(super) fn set_wants(&mut self, index: u32, wants: Wants) {
        if let Some(output) = self.by_index.get_mut(index) {
            output.wants = wants;
        }
    }

    /// Bytes of frames that sockets have refused, for this connection.
    pub(super) fn queued_bytes(&self, index: u32) -> usize {
        let outbox = self.by_index.get(index).and_then(|output| output.outbox.as_ref());
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
        let Some(output) = self.by_index.get_mut(index) else {
            return;
        };
        if range.is_empty() || output.gate != Gate::Open {
            return;
        }
        output.mark_dirty(index, &mut self.dirty);
        if output.last.end == range.start {
            // Nothing to send is a range that ends at 0.
            output.last.end = range.end;
            return;
        }
        if !output.last.is_empty() {
            let Ok(piece) = u32::try_from(self.pieces.len()) else {
                return;
            };
            self.pieces.push(Piece { range: output.last.clone(), earlier: output.earlier });
            output.earlier = piece;
        }
        output.last = range;
    }

    /// Sends a message at once, behind what the connection has to send already, from where it
    /// lies; yields how many bytes went. What the socket refuses is copied and queued. The next
    /// flush says what came of it.
    pub(super) fn send_directly(
        &mut self,
        index: u32,
        tcp: &dyn Transport,
        message: Message<'_>,
    ) -> usize {
        let payload = message.payload();
        self.send_encoded(index, |arena| {
            encode_header(arena, Position::Last, message.opcode(), payload.len());
        });
        let Self { by_index, arena, pieces, ranges, cork, .. } = self;
        let Some(output) = by_index.get_mut(index) else {
            return 0;
        };
        let preamble = output.take_ranges(pieces, ranges);
        let before = cork.contiguous(arena, ranges);
        if let Some(outbox) = output.outbox.as_deref_mut().filter(|outbox| !outbox.is_empty()) {
            outbox.queue_parts(&[before, payload]);
            return 0;
        }
        let total = before.len() + payload.len();
        match tcp.write_vectored(&[IoSlice::new(before), IoSlice::new(payload)]) {
            Ok(Written::Bytes(written)) if written == total => return total,
            Ok(written) => {
                output.new_outbox(preamble).queue_parts(&[before, payload]);
                if let Ok(written) = output.write_rest(written.bytes(), tcp) {
                    return written;
                }
            }
            Err(_) => {}
        }
        output.gate = Gate::Broken;
        0
    }

    /// Says that what the connection has to send in this turn begins with an HTTP answer.
    pub(super) fn begin_with_preamble(&mut self, index: u32, len: usize) {
        if let Some(output) = self.by_index.get_mut(index) {
            output.preamble = u32::try_from(len).unwrap_or(u32::MAX);
        }
    }

    /// Has the connection looked at when the turn is flushed, even if it sends nothing.
    pub(super) fn mark_dirty(&mut self, index: u32) {
        if let Some(output) = self.by_index.get_mut(index) {
            output.mark_dirty(index, &mut self.dirty);
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
        tcp: &impl Transport,
        queue_bytes_max: usize,
    ) -> io::Result<(Flushed, usize)> {
        let Self { by_index, arena, pieces, ranges, cork, .. } = self;
        let Some(output) = by_index.get_mut(index) else {
            return Ok((Flushed::Done, 0));
        };
        output.dirty = false;
        if output.gate == Gate::Broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let preamble = output.take_ranges(pieces, ranges);
        let total: usize = ranges.iter().map(Range::len).sum();
        if let Some(outbox) = output.outbox.as_deref_mut().filter(|outbox| !outbox.is_empty()) {
            return Ok((queue(outbox, arena, ranges, total, queue_bytes_max), 0));
        }
        output.outbox = None;
        if total == 0 {
            return Ok((Flushed::Done, 0));
        }
        let written = match write(tcp, arena, ranges, total, cork)? {
            Written::Bytes(written) if written == total => return Ok((Flushed::Done, total)),
            written => written.bytes(),
        };
        let outbox = output.new_outbox(preamble);
        for range in ranges {
            outbox.queue(arena.get(range.clone()).unwrap_or_default());
        }
        let written = output.write_rest(written, tcp)?;
        let flushed = match &output.outbox {
            None => Flushed::Done,
            Some(outbox) if outbox.unstarted() > queue_bytes_max => Flushed::Overflow(0),
            Some(_) => Flushed::Queued,
        };
        Ok((flushed, written))
    }

    /// Writes what is queued, until it is all gone or the socket takes no more; yields how much
    /// that was.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn write_queued(&mut self, index: u32, tcp: &impl Transport) -> io::Result<usize> {
        self.by_index.get_mut(index).map_or(Ok(0), |output| output.write_rest(0, tcp))
    }

    /// Drops all queued frames of which no byte has gone, and the `refused` bytes that the last
    /// flush did not queue, but for a close frame among them. Queues `farewell`, shuts the
    /// connection, and yields how many bytes were dropped.
    pub(super) fn replace_queue(&mut self, index: u32, refused: usize, farewell: &[u8]) -> usize {
        let Self { by_index, arena, ranges, .. } = self;
        let Some(output) = by_index.get_mut(index) else {
            return 0;
        };
        let outbox = output.outbox.get_or_insert_default();
        let refused_ranges = if refused > 0 { ranges.as_slice() } else { &[] };
        let mut refused_frames = refused_ranges.iter().filter_map(|range| arena.get(range.clone()));
        let close = outbox.unstarted_close().or_else(|| refused_frames.find_map(close_among));
        let close = close.unwrap_or_default().to_vec();
        let dropped = outbox.drop_unstarted() + refused - close.len();
        outbox.queue(&close);
        outbox.queue(farewell);
        output.gate = Gate::Shut;
        dropped
    }
}

impl Output {
    fn new() -> Self {
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
    fn mark_dirty(&mut self, index: u32, dirty: &mut Vec<Key>) {
        if !self.dirty {
            self.dirty = true;
            dirty.push(Key { index, generation: self.generation });
        }
    }

    /// An empty queue for what its socket does not take.
    fn new_outbox(&mut self, preamble: usize) -> &mut Outbox {
        self.outbox.insert(Box::new(Outbox::with_preamble(preamble)))
    }

    /// Writes on from what is queued, `written` bytes of which have gone already, until the socket
    /// takes no more; yields how much has gone in all. An empty queue is dropped.
    fn write_rest<T: Transport + ?Sized>(&mut self, written: usize, tcp: &T) -> io::Result<usize> {
        let Some(outbox) = &mut self.outbox else {
            return Ok(written);
        };
        outbox.advance(written);
        // A short write need not mean that the socket is full, and only a socket that has said so
        // makes an edge when it has room again.
        let written = written + write_all(outbox, tcp)?;
        if outbox.is_empty() {
            self.outbox = None;
        }
        Ok(written)
    }

    /// Moves its ranges of this turn to `ranges`, in order; yields how many bytes at their front
    /// are an HTTP answer.
    fn take_ranges(&mut self, pieces: &[Piece], ranges: &mut Vec<Range<usize>>) -> usize {
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

impl Cork {
    /// The bytes of these ranges in one piece: where they lie if it is one, else copied together.
    /// Connections one after the other with the same ranges share the copy.
    fn contiguous<'a>(&'a mut self, arena: &'a [u8], ranges: &[Range<usize>]) -> &'a [u8] {
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

/// Puts a turn's ranges behind what is queued already, or none of them.
fn queue(
    outbox: &mut Outbox,
    arena: &[u8],
    ranges: &[Range<usize>],
    total: usize,
    queue_bytes_max: usize,
) -> Flushed {
    if outbox.unstarted() + total > queue_bytes_max {
        return Flushed::Overflow(total);
    }
    for range in ranges {
        outbox.queue(arena.get(range.clone()).unwrap_or_default());
    }
    Flushed::Queued
}

/// Writes from the queue until it is empty or the socket takes no more; yields how much that was.
fn write_all<T: Transport + ?Sized>(outbox: &mut Outbox, tcp: &T) -> io::Result<usize> {
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
    tcp: &impl Transport,
    arena: &[u8],
    ranges: &[Range<usize>],
    total: usize,
    cork: &mut Cork,
) -> io::Result<Written> {
    if ranges.len() > 1 && total > CORK_BYTES_MAX {
        return write_vectored(tcp, arena, ranges);
    }
    tcp.write(cork.contiguous(arena, ranges))
}

/// Writes ranges from where they lie, until all are gone or the socket has refused something: one
/// that has not will never say that it has room again.
fn write_vectored(
    tcp: &impl Transport,
    arena: &[u8],
    ranges: &[Range<usize>],
) -> io::Result<Written> {
    let mut total = 0;
    for some in ranges.chunks(SLICES_MAX) {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut offered = 0;
        for (slice, range) in slices.iter_mut().zip(some) {
            *slice = IoSlice::new(arena.get(range.clone()).unwrap_or_default());
            offered += slice.len();
        }
        match tcp.write_vectored(slices.get(..some.len()).unwrap_or_default())? {
            Written::WouldBlock if total == 0 => return Ok(Written::WouldBlock),
            Written::WouldBlock => break,
            Written::Bytes(written) => {
                total += written;
                if written < offered {
                    break;
                }
            }
        }
    }
    Ok(Written::Bytes(total))
}
