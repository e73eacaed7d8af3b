//! What sockets refuse: sorted into the connections' queues, within limits, and written later.
//!
//! A refused frame is looked up by where it lies in the arena: a published event goes the way that
//! its topic has for subscribers that lag ([`Lag`]), a ping or a pong to the queue's lane,
//! everything else is an answer, and queued.
//! Invariant: `held` is what all queues hold, and no frame is queued that would take it or a queue
//! over its limit; each event that was offered is in a queue, or counted as what became of it.

use super::super::encoder::Wants;
use super::super::folds::Folds;
use super::super::stats::Counters;
use super::events::EventFrames;
use super::writing::write_pieces;
use super::{Flushed, Means};
use crate::hub::Lag;
use crate::net::{Transport, Written};
use crate::outbox::{
    Content, FoldFrom, Full, ITEM_BYTES, Kind, Outbox, SlotId, Slotted, Tally, Waits,
};
use crate::proto::{Millis, OpCode, frame};
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// What a flush can add to one queue, if all is small frames.
const FLUSH_BYTES_MAX: usize = 16 << 20;

/// How long a peer may take nothing before nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much may wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct QueueLimits {
    /// For one connection, slots not counted.
    pub(in crate::server) bytes_max: usize,
    /// For all of a worker's connections.
    pub(in crate::server) total_bytes_max: usize,
    pub(in crate::server) age_max: Option<Duration>,
    /// For how long a socket may take nothing.
    pub(in crate::server) stall_timeout: Option<Duration>,
}

/// Why a queue is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Overdue {
    /// A message has waited for too long.
    Age,
    /// The socket has taken nothing for too long.
    Stall,
}

/// What all queues have in common.
#[derive(Debug)]
pub(super) struct Backlogs {
    limits: QueueLimits,
    held: usize,
    waiting_events: u64,
    pub(super) events: EventFrames,
    pub(super) folds: Folds,
}

/// A unit of what goes out, a frame or an HTTP answer, of which `gone` bytes have left.
struct Unit<'a> {
    bytes: &'a [u8],
    /// Where in the arena it begins; `None`: it does not lie there.
    start: Option<usize>,
    gone: usize,
    /// `None`: it is the answer to the opening handshake.
    opcode: Option<OpCode>,
}

impl Backlogs {
    pub(super) const fn new(limits: QueueLimits, folds: Folds) -> Self {
        Self { limits, held: 0, waiting_events: 0, events: EventFrames::new(), folds }
    }

    /// From where on the connection that holds most has to go.
    pub(super) fn is_over_total(&self) -> bool {
        // Early enough that the next flush finds room: a frame that finds none would cost the
        // connection that it is for, however little that holds.
        let total = self.limits.total_bytes_max;
        let reserve = (total / 8).max(FLUSH_BYTES_MAX.min(total / 2));
        self.held > total - reserve
    }

    /// Queues ranges of the arena, of whose bytes `gone` have left already; their first `preamble`
    /// bytes are an HTTP answer.
    pub(super) fn queue(
        &mut self,
        outbox: &mut Outbox,
        (arena, ranges): (&[u8], &[Range<usize>]),
        mut gone: usize,
        mut preamble: usize,
        means: &Means<'_>,
    ) -> Flushed {
        let (mut refused, mut lost) = (0, 0);
        let counters = means.counters;
        for range in ranges {
            let mut rest = range.clone();
            while let Some(bytes) = arena.get(rest.clone()).filter(|bytes| !bytes.is_empty()) {
                let (len, opcode) =
                    if preamble == 0 { frame_at(bytes) } else { (preamble.min(bytes.len()), None) };
                preamble = preamble.saturating_sub(len);
                let start = rest.start;
                rest.start += len;
                let bytes = bytes.get(..len).unwrap_or_default();
                let of_unit = gone.min(len);
                gone -= of_unit;
                if of_unit == len {
                    counters.deliveries.add(u64::from(self.events.find(start).is_some()));
                    continue;
                }
                let unit = Unit { bytes, start: Some(start), gone: of_unit, opcode };
                // What follows a frame that was refused is refused too, but for a close frame.
                let refuses = refused > 0 && opcode != Some(OpCode::Close);
                if refuses || self.queue_unit(outbox, &unit, means).is_err() {
                    refused += len;
                    lost += u64::from(self.events.find(start).is_some());
                }
            }
        }
        counters.dropped_slow_events.add(lost);
        if refused > 0 { Flushed::Overflow(refused) } else { Flushed::Queued }
    }

    /// Queues a frame that does not lie in the arena.
    pub(super) fn queue_reply(
        &mut self,
        outbox: &mut Outbox,
        frame: &[u8],
        gone: usize,
        means: &Means<'_>,
    ) -> Result<(), Full> {
        let (_, opcode) = frame_at(frame);
        let unit = Unit { bytes: frame, start: None, gone, opcode };
        self.queue_unit(outbox, &unit, means)
    }

    fn queue_unit(
        &mut self,
        outbox: &mut Outbox,
        unit: &Unit<'_>,
        means: &Means<'_>,
    ) -> Result<(), Full> {
        self.accounted(outbox, means.counters, |this, outbox| this.place(outbox, unit, means))
    }

    fn place(
        &mut self,
        outbox: &mut Outbox,
        unit: &Unit<'_>,
        means: &Means<'_>,
    ) -> Result<(), Full> {
        let Self { limits, held, events, folds, .. } = self;
        let Means { counters, now, .. } = *means;
        let len = unit.bytes.len();
        let fits = held.saturating_add(len + ITEM_BYTES) <= limits.total_bytes_max;
        let bytes_max = if fits { limits.bytes_max } else { 0 };
        let event = unit.start.and_then(|start| events.find(start));
        if unit.gone > 0 {
            let kind = match event {
                Some(_) => Kind::Event,
                None if unit.opcode.is_some() => Kind::Reply,
                None => Kind::Answer,
            };
            outbox.push_started(Rc::from(unit.bytes), unit.gone, kind, now);
            return Ok(());
        }
        let Some(event) = event else { return place_own(outbox, unit, bytes_max, now) };
        let id = event.origin.slot;
        let room =
            event.origin.queued_first && outbox.has_room(len, bytes_max) && !outbox.holds(id);
        let lag = if room { Lag::Close } else { event.origin.lag };
        match lag {
            Lag::Close => {
                let frame = event.copy(unit.bytes);
                outbox.push(&frame, Kind::Event, Waits::Surely, bytes_max, now)
            }
            Lag::DropNewest | Lag::DropOldest => {
                if lag == Lag::DropOldest && !outbox.has_room(len, bytes_max) {
                    counters.dropped_oldest.add(outbox.push_out(len, bytes_max).events);
                }
                let frame = event.copy(unit.bytes);
                let pushed =
                    outbox.push(&frame, Kind::Event, Waits::UntilPushedOut, bytes_max, now);
                counters.dropped_newest.add(u64::from(pushed.is_err()));
                Ok(())
            }
            Lag::Conflate if !fits && !outbox.holds(id) => Err(Full),
            Lag::Conflate => {
                let slotted = outbox.put(id, Content::Frame(event.copy(unit.bytes)));
                counters.conflated.add(u64::from(slotted == Slotted::Merged));
                Ok(())
            }
            Lag::Fold if outbox.holds(id) => {
                counters.folded.add(1);
                Ok(())
            }
            Lag::Fold => {
                let first = event.origin.publication.clone();
                let from =
                    first.and_then(|first| folds.join(id.topic, &first, events.of_topic(id.topic)));
                match from {
                    Some(from) => {
                        outbox.put(id, Content::Fold(from));
                        Ok(())
                    }
                    None => {
                        let frame = Rc::from(unit.bytes);
                        outbox.push(&frame, Kind::Event, Waits::Surely, bytes_max, now)
                    }
                }
            }
        }
    }

    /// Writes what is queued, until all is gone or the socket takes no more; yields how much that
    /// was.
    pub(super) fn write<T: Transport + ?Sized>(
        &mut self,
        outbox: &mut Outbox,
        tcp: &T,
        wants: Wants,
        means: &mut Means<'_>,
    ) -> io::Result<(Flushed, usize)> {
        let counters = means.counters;
        self.accounted(outbox, counters, |this, outbox| {
            this.write_until_refused(outbox, tcp, wants, means)
        })
    }

    fn write_until_refused<T: Transport + ?Sized>(
        &mut self,
        outbox: &mut Outbox,
        tcp: &T,
        wants: Wants,
        means: &mut Means<'_>,
    ) -> io::Result<(Flushed, usize)> {
        let mut total = 0;
        loop {
            if let Some((id, from)) = outbox.fold_due() {
                let Some(frame) = self.folds.frame(id, from, wants, means.encoder) else {
                    return Ok((Flushed::Overflow(0), total));
                };
                self.folds.leave(id.topic, from.seq);
                outbox.fold(frame);
            }
            if outbox.is_empty() {
                return Ok((Flushed::Done, total));
            }
            match write_pieces(tcp, outbox.pending())? {
                Written::WouldBlock => return Ok((Flushed::Queued, total)),
                Written::Bytes(written) => {
                    total += written;
                    means.counters.deliveries.add(outbox.advance(written, means.now).events);
                }
            }
        }
    }

    /// Drops what waits in a topic's slots; yields how many events that was.
    pub(super) fn withdraw(
        &mut self,
        outbox: &mut Outbox,
        topic: usize,
        counters: &Counters,
    ) -> u64 {
        self.accounted(outbox, counters, |this, outbox| {
            let (dropped, folds) = outbox.withdraw(topic);
            this.leave(folds);
            dropped.events
        })
    }

    fn leave(&mut self, folds: Vec<(SlotId, FoldFrom)>) {
        for (id, from) in folds {
            self.folds.leave(id.topic, from.seq);
        }
    }

    /// Drops all that waits and of which no byte has gone; yields what that was.
    pub(super) fn drop_unstarted(&mut self, outbox: &mut Outbox, counters: &Counters) -> Tally {
        self.accounted(outbox, counters, |this, outbox| {
            let (dropped, folds) = outbox.drop_unstarted();
            this.leave(folds);
            dropped
        })
    }

    /// Takes a queue out of all counts, its connection being gone; yields how many events it held.
    pub(super) fn forget(&mut self, mut outbox: Box<Outbox>, counters: &Counters) -> u64 {
        let events = outbox.events();
        self.drop_unstarted(&mut outbox, counters);
        self.held = self.held.saturating_sub(outbox.held());
        self.waiting_events = self.waiting_events.saturating_sub(outbox.events());
        self.tell(counters);
        events
    }

    /// Whether it is worth waiting for a queue: it is half full, and its peer reads.
    pub(super) fn is_awaited(&self, outbox: &Outbox, now: Millis) -> bool {
        outbox.queued() > self.limits.bytes_max / 2 && outbox.progressed().after(PATIENCE) > now
    }

    /// Whether any queue may be half full.
    pub(super) fn is_anything_awaited(&self) -> bool {
        self.held > self.limits.bytes_max / 2
    }

    /// What is due for a queue by `now`, if anything is.
    pub(super) fn overdue(&self, outbox: &Outbox, now: Millis) -> Option<Overdue> {
        let [stall, age] = self.deadlines(outbox);
        match (stall <= now, age <= now) {
            (true, _) => Some(Overdue::Stall),
            (false, true) => Some(Overdue::Age),
            (false, false) => None,
        }
    }

    /// When something will be due for a queue.
    pub(super) fn deadline(&self, outbox: &Outbox) -> Millis {
        let [stall, age] = self.deadlines(outbox);
        stall.min(age)
    }

    fn deadlines(&self, outbox: &Outbox) -> [Millis; 2] {
        let QueueLimits { age_max, stall_timeout, .. } = self.limits;
        let after = |since: Option<Millis>, limit: Option<Duration>| match (since, limit) {
            (Some(since), Some(limit)) => since.after(limit),
            _ => Millis::NEVER,
        };
        [after(Some(outbox.progressed()), stall_timeout), after(outbox.oldest(), age_max)]
    }

    /// Does something to a queue, and takes note of what it has come to by that.
    fn accounted<R>(
        &mut self,
        outbox: &mut Outbox,
        counters: &Counters,
        change: impl FnOnce(&mut Self, &mut Outbox) -> R,
    ) -> R {
        let (held, events) = (outbox.held(), outbox.events());
        let result = change(self, outbox);
        self.held = (self.held + outbox.held()).saturating_sub(held);
        self.waiting_events = (self.waiting_events + outbox.events()).saturating_sub(events);
        self.tell(counters);
        result
    }

    fn tell(&self, counters: &Counters) {
        counters.queued_bytes.set(self.held as u64);
        counters.queued_events.set(self.waiting_events);
    }
}

/// Queues what is for this peer alone.
fn place_own(
    outbox: &mut Outbox,
    unit: &Unit<'_>,
    bytes_max: usize,
    now: Millis,
) -> Result<(), Full> {
    let frame = Rc::from(unit.bytes);
    match unit.opcode {
        Some(control @ (OpCode::Ping | OpCode::Pong)) => {
            outbox.put_control(control, frame);
            Ok(())
        }
        // The one close frame that a connection has always finds room.
        Some(OpCode::Close) => outbox.push(&frame, Kind::Close, Waits::Surely, usize::MAX, now),
        Some(_) => outbox.push(&frame, Kind::Reply, Waits::Surely, bytes_max, now),
        None => outbox.push(&frame, Kind::Answer, Waits::Surely, bytes_max, now),
    }
}

/// How long the frame is that `bytes` begin with, and what kind of frame.
fn frame_at(bytes: &[u8]) -> (usize, Option<OpCode>) {
    let header = frame::header_of(bytes);
    debug_assert!(header.is_some(), "the arena holds whole frames");
    header.map_or((bytes.len(), None), |(header, header_len)| {
        let payload_len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        (header_len.saturating_add(payload_len).min(bytes.len()), Some(header.opcode))
    })
}
