//! What a turn of the loop has to send, and what sockets would not take (see [`Outbox`]).
//!
//! All frames of a turn are encoded one after the other into one arena. A connection notes which
//! ranges of it it is to send: a reply is its own, a published event is shared by all subscribers,
//! and neighbouring ranges are one. At the end of the turn each connection gets one write: straight
//! from the arena where it has one range, from the cork buffer where it has several, by a vectored
//! write where those are long. Connections with the same ranges share what is in the cork buffer.
//! What a socket refuses is sorted into the connection's queue ([`backlog`]).
//!
//! Invariant: a connection's ranges and then its [`Outbox`] are in the order in which the frames
//! were sent, and nothing is added once it is closed for sending.

mod backlog;
mod events;
mod output;
mod writing;

pub(super) use backlog::{Overdue, QueueLimits};
pub(super) use events::Origin;

use super::encoder::{Encoder, Wants};
use super::folds::Folds;
use super::key::Key;
use super::stats::Counters;
use super::table::Pages;
use crate::hub::Publication;
use crate::net::{Transport, Written};
use crate::outbox::Outbox;
use crate::proto::frame::{Position, encode_header};
use crate::proto::{Message, Millis};
use backlog::Backlogs;
use output::{Gate, Output, Piece};
use std::io;
use std::ops::Range;
use writing::{Cork, write, write_pieces};

/// Room that the arena keeps from turn to turn.
const ARENA_RETAINED_BYTES_MAX: usize = 4 << 20;

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// All is written.
    Done,
    /// The socket would not take all: the rest is queued until it is writable.
    Queued,
    /// The rest does not fit the send queue: so many bytes of frames were not queued.
    Overflow(usize),
}

/// What it takes to send: how events are rendered that were folded, who counts, and the time.
pub(super) struct Means<'a> {
    pub(super) encoder: &'a mut Encoder,
    pub(super) counters: &'a Counters,
    pub(super) now: Millis,
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
    /// The header of the message in hand.
    header: Vec<u8>,
    backlogs: Backlogs,
}

impl Outputs {
    pub(super) const fn new(limits: QueueLimits, folds: Folds) -> Self {
        Self {
            by_index: Pages::new(),
            arena: Vec::new(),
            pieces: Vec::new(),
            dirty: Vec::new(),
            ranges: Vec::new(),
            cork: Cork::new(),
            header: Vec::new(),
            backlogs: Backlogs::new(limits, folds),
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

    /// Forgets all that the connection has to send, and counts the events that it will not get.
    pub(super) fn close(&mut self, index: u32, counters: &Counters) {
        let Self { by_index, pieces, ranges, backlogs, .. } = self;
        let Some(output) = by_index.get_mut(index) else { return };
        output.take_ranges(pieces, ranges);
        let outbox = output.outbox.take();
        *output = Output { generation: output.generation, gate: Gate::Shut, ..Output::new() };
        let queued = outbox.map_or(0, |outbox| backlogs.forget(outbox, counters));
        counters.dropped_gone_events.add(queued + backlogs.events.count(ranges));
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
        self.outbox(index).map_or(0, Outbox::len)
    }

    /// What the connection's queue counts against its limit.
    pub(super) fn queued(&self, index: u32) -> usize {
        self.outbox(index).map_or(0, Outbox::queued)
    }

    /// All that the connection's queue holds.
    #[cfg(feature = "simulator")]
    pub(super) fn held(&self, index: u32) -> usize {
        self.outbox(index).map_or(0, Outbox::held)
    }

    /// How many are waited for to be folded, by those who fold and by those who wait.
    #[cfg(feature = "simulator")]
    pub(super) fn folds(&self) -> (usize, usize) {
        let outboxes = self.by_index.iter().filter_map(|output| output.outbox.as_deref());
        let waiting = outboxes.map(Outbox::folds).sum();
        (self.backlogs.folds.waiting(), waiting)
    }

    /// Whether the socket has refused something that still waits.
    pub(super) fn is_lagging(&self, index: u32) -> bool {
        self.outbox(index).is_some()
    }

    fn outbox(&self, index: u32) -> Option<&Outbox> {
        self.by_index.get(index)?.outbox.as_deref()
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
        let range = start..self.encoded();
        let Self { by_index, pieces, dirty, .. } = self;
        if let Some(output) = by_index.get_mut(index)
            // Where there was no room any more a close frame still goes.
            && matches!(output.gate, Gate::Open | Gate::Overflowed)
        {
            output.note(index, range, pieces, dirty);
        }
        result
    }

    /// Has the connection send a range of the arena at the end of the turn. Those that come last
    /// before [`Self::shut`] still go.
    /// `false`: it does not send it.
    pub(super) fn send(&mut self, index: u32, range: Range<usize>) -> bool {
        let Self { by_index, pieces, dirty, .. } = self;
        let open = by_index.get_mut(index).filter(|output| output.gate == Gate::Open);
        open.is_some_and(|output| output.note(index, range, pieces, dirty))
    }

    /// Says that the frame which begins at `start` is a published event.
    pub(super) fn note_event(&mut self, start: usize, origin: impl FnOnce() -> Origin) {
        self.backlogs.events.note(start, origin);
    }

    /// Has those who wait for a topic's events to be folded get this one too.
    pub(super) fn fold(&mut self, topic: usize, publication: &Publication) {
        self.backlogs.folds.note(topic, publication);
    }

    /// Sends a message at once, behind what the connection has to send already, from where it
    /// lies; yields how many bytes went. What the socket refuses is copied and queued. The next
    /// flush says what came of it.
    pub(super) fn send_directly(
        &mut self,
        index: u32,
        tcp: &dyn Transport,
        message: Message<'_>,
        means: &mut Means<'_>,
    ) -> usize {
        let payload = message.payload();
        self.header.clear();
        encode_header(&mut self.header, Position::Last, message.opcode(), payload.len());
        let Self { by_index, arena, pieces, ranges, cork, header, dirty, backlogs, .. } = self;
        let Some(output) = by_index.get_mut(index) else {
            return 0;
        };
        output.mark_dirty(index, dirty);
        let preamble = output.take_ranges(pieces, ranges);
        let before = cork.contiguous(arena, ranges);
        let total = before.len() + header.len() + payload.len();
        let mut gone = 0;
        if output.outbox.is_none() {
            match write_pieces(tcp, [before, header, payload].into_iter()) {
                Ok(Written::Bytes(written)) if written == total => {
                    means.counters.deliveries.add(backlogs.events.count(ranges));
                    return total;
                }
                Ok(written) => gone = written.bytes(),
                Err(_) => {
                    output.gate = Gate::Broken;
                    means.counters.dropped_gone_events.add(backlogs.events.count(ranges));
                    return 0;
                }
            }
        }
        let lagged = output.outbox.is_some();
        let outbox = output.outbox.get_or_insert_with(|| Box::new(Outbox::new(means.now)));
        let of_before = gone.min(before.len());
        let queued = backlogs.queue(outbox, (arena, ranges), of_before, preamble, means);
        if let Flushed::Overflow(refused) = queued {
            means.counters.dropped_slow_bytes.add(refused as u64);
        }
        let frame = [header.as_slice(), payload].concat();
        let fits = backlogs.queue_reply(outbox, &frame, gone - of_before, means);
        if queued != Flushed::Queued || fits.is_err() {
            output.gate = Gate::Overflowed;
        } else if !lagged {
            match output.write_queued(backlogs, tcp, means) {
                Ok((Flushed::Overflow(_), _)) => output.gate = Gate::Overflowed,
                Ok((_, written)) => return gone + written,
                Err(_) => output.gate = Gate::Broken,
            }
        }
        gone
    }

    /// Writes what the connection has to send before the turn's end, all frames from `start` on
    /// being its own; yields how many bytes went. What its socket refuses is queued, and these
    /// frames are forgotten. The next flush says what came of it.
    pub(super) fn flush_from(
        &mut self,
        index: u32,
        start: usize,
        tcp: &dyn Transport,
        means: &mut Means<'_>,
    ) -> usize {
        let flushed = self.flush(index, tcp, means);
        self.arena.truncate(start);
        self.backlogs.events.truncate(start);
        self.cork.clear();
        let Some(output) = self.by_index.get_mut(index) else { return 0 };
        output.mark_dirty(index, &mut self.dirty);
        match flushed {
            Ok((Flushed::Done | Flushed::Queued, written)) => written,
            Ok((Flushed::Overflow(refused), written)) => {
                means.counters.dropped_slow_bytes.add(refused as u64);
                output.gate = Gate::Overflowed;
                written
            }
            Err(_) => {
                output.gate = Gate::Broken;
                0
            }
        }
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
        self.cork.clear();
        self.backlogs.events.clear();
    }

    /// Writes what the connection has to send of this turn, in one write; yields how many bytes
    /// went.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn flush<T: Transport + ?Sized>(
        &mut self,
        index: u32,
        tcp: &T,
        means: &mut Means<'_>,
    ) -> io::Result<(Flushed, usize)> {
        let Self { by_index, arena, pieces, ranges, cork, backlogs, .. } = self;
        let Some(output) = by_index.get_mut(index) else {
            return Ok((Flushed::Done, 0));
        };
        output.dirty = false;
        if output.gate == Gate::Broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let preamble = output.take_ranges(pieces, ranges);
        let total: usize = ranges.iter().map(Range::len).sum();
        if let Some(outbox) = output.outbox.as_deref_mut() {
            let queued = backlogs.queue(outbox, (arena, ranges), 0, preamble, means);
            let overflowed = output.gate == Gate::Overflowed && queued == Flushed::Queued;
            return Ok((if overflowed { Flushed::Overflow(0) } else { queued }, 0));
        }
        if total == 0 {
            return Ok((Flushed::Done, 0));
        }
        let gone = match write(tcp, arena, ranges, total, cork) {
            Ok(Written::Bytes(written)) if written == total => {
                means.counters.deliveries.add(backlogs.events.count(ranges));
                return Ok((Flushed::Done, total));
            }
            Ok(written) => written.bytes(),
            Err(error) => {
                means.counters.dropped_gone_events.add(backlogs.events.count(ranges));
                return Err(error);
            }
        };
        let outbox = output.outbox.insert(Box::new(Outbox::new(means.now)));
        let queued = backlogs.queue(outbox, (arena, ranges), gone, preamble, means);
        if queued != Flushed::Queued {
            return Ok((queued, gone));
        }
        // A short write need not mean that the socket is full, and only a socket that has said so
        // makes an edge when it has room again.
        let (flushed, written) = output.write_queued(backlogs, tcp, means)?;
        Ok((flushed, gone + written))
    }

    /// Writes what is queued, until it is all gone or the socket takes no more; yields how much
    /// that was.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn write_queued(
        &mut self,
        index: u32,
        tcp: &impl Transport,
        means: &mut Means<'_>,
    ) -> io::Result<(Flushed, usize)> {
        let Self { by_index, arena, pieces, ranges, backlogs, .. } = self;
        let Some(output) = by_index.get_mut(index).filter(|output| output.outbox.is_some()) else {
            return Ok((Flushed::Done, 0));
        };
        // What came in this turn belongs behind what waits, and what is folded may have it already.
        let preamble = output.take_ranges(pieces, ranges);
        if let Some(outbox) = &mut output.outbox {
            let queued = backlogs.queue(outbox, (arena, ranges), 0, preamble, means);
            if queued != Flushed::Queued {
                return Ok((queued, 0));
            }
        }
        output.write_queued(backlogs, tcp, means)
    }

    /// Drops all queued frames of which no byte has gone, queues `farewell` in their place and
    /// shuts the connection; yields how many bytes were dropped.
    pub(super) fn replace_queue(
        &mut self,
        index: u32,
        farewell: &[u8],
        means: &mut Means<'_>,
    ) -> usize {
        let Self { by_index, arena, pieces, ranges, backlogs, .. } = self;
        let Some(output) = by_index.get_mut(index) else {
            return 0;
        };
        // What came in this turn goes the same way: there may be a close frame in it.
        let preamble = output.take_ranges(pieces, ranges);
        let outbox = output.outbox.get_or_insert_with(|| Box::new(Outbox::new(means.now)));
        let refused = match backlogs.queue(outbox, (arena, ranges), 0, preamble, means) {
            Flushed::Overflow(refused) => refused,
            Flushed::Done | Flushed::Queued => 0,
        };
        let dropped = backlogs.drop_unstarted(outbox, means.counters);
        means.counters.dropped_slow_events.add(dropped.events);
        if !farewell.is_empty() {
            // A close frame always fits.
            let _ = backlogs.queue_reply(outbox, farewell, 0, means);
        }
        output.gate = Gate::Shut;
        dropped.bytes + refused
    }

    /// Drops what waits for the connection of a topic that it has unsubscribed from, where that is a
    /// slot: what comes of the topic when it subscribes again is not to stand in its place, which
    /// is before the replies.
    pub(super) fn withdraw(&mut self, index: u32, topic: usize, means: &Means<'_>) {
        let Self { by_index, arena, pieces, ranges, backlogs, .. } = self;
        let Some(output) = by_index.get_mut(index).filter(|output| output.outbox.is_some()) else {
            return;
        };
        // What came in this turn may be of the topic as well.
        let preamble = output.take_ranges(pieces, ranges);
        let Some(outbox) = &mut output.outbox else { return };
        let queued = backlogs.queue(outbox, (arena, ranges), 0, preamble, means);
        if let Flushed::Overflow(refused) = queued {
            means.counters.dropped_slow_bytes.add(refused as u64);
            output.gate = Gate::Overflowed;
        }
        let withdrawn = backlogs.withdraw(outbox, topic, means.counters);
        means.counters.dropped_unsubscribed_events.add(withdrawn);
    }

    /// When something is due for what the connection has queued.
    pub(super) fn deadline(&self, index: u32) -> Millis {
        self.outbox(index).map_or(Millis::NEVER, |outbox| self.backlogs.deadline(outbox))
    }

    /// What is due for what the connection has queued, if anything is.
    pub(super) fn overdue(&self, index: u32, now: Millis) -> Option<Overdue> {
        self.backlogs.overdue(self.outbox(index)?, now)
    }

    /// Whether what can wait is to wait, for a connection that lags and reads on.
    pub(super) fn is_awaiting(&self, now: Millis) -> bool {
        let outboxes = || self.by_index.iter().filter_map(|output| output.outbox.as_deref());
        self.backlogs.is_anything_awaited()
            && outboxes().any(|outbox| self.backlogs.is_awaited(outbox, now))
    }

    /// The connection that holds most, where all of them together hold too much.
    pub(super) fn evicted(&self) -> Option<Key> {
        if !self.backlogs.is_over_total() {
            return None;
        }
        let outputs = self.by_index.iter().zip(0..);
        let open = outputs.filter(|(output, _)| output.gate == Gate::Open);
        let held = |output: &Output| output.outbox.as_ref().map_or(0, |outbox| outbox.held());
        let (largest, index) = open.max_by_key(|(output, _)| held(output))?;
        (held(largest) > 0).then_some(Key { index, generation: largest.generation })
    }
}
