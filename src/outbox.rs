//! The send queue of one connection: what its socket would not take (RFC 6455 §5.4, §5.5).
//!
//! Holds whole, unmasked frames of ours in the order in which they are to leave. Messages are
//! bounded in bytes; those that may replace one another have one place each (a *slot*), which holds
//! the newest; pings and pongs have a lane of their own, which holds the newest of each and is
//! served between two frames. Knows no sockets: the owner writes what [`Outbox::pending`] yields and
//! says with [`Outbox::advance`] how much went.
//!
//! Invariants: frames leave in the order they came, but for the lane; a frame of which a byte has
//! gone is never dropped or replaced; what is held in the queue, as [`Outbox::queued`] counts it, is
//! never more than the limit that each [`Outbox::push`] is told, unless a single frame is.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::proto::{Millis, OpCode};

/// What a frame takes in the queue besides its own bytes: its place, with room to grow, and the
/// frame's own bookkeeping.
pub(crate) const ITEM_BYTES: usize = 80;

/// What may happen to a message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// It goes out, or its connection ends.
    Surely,
    /// It gives way where there is no room for a newer one of its kind.
    UntilPushedOut,
}

/// What a frame is, to those who count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The answer to the opening handshake, which is no frame and comes before all of them.
    Answer,
    /// What is for this peer alone.
    Reply,
    /// A published event.
    Event,
    /// The close frame, which is kept where all else is dropped (RFC 6455 §7.1.2).
    Close,
}

/// Which slot: the topic's, and the key under which its messages replace one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotId {
    pub(crate) topic: usize,
    pub(crate) key: u64,
}

/// From where on a slot's events are to be folded into one when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoldFrom {
    /// The number of the first event that the peer has not got.
    pub(crate) seq: u64,
    /// What whoever folds wants to know of that event.
    pub(crate) mark: u64,
}

/// What a slot holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The newest message.
    Frame(Rc<[u8]>),
    /// Where to fold from.
    Fold(FoldFrom),
}

/// A slot was taken, or one that waits was made newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slotted {
    /// It is a place in the queue of its own.
    New,
    /// What it held is superseded.
    Merged,
}

/// There is no room for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What is dropped or has left, in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Bytes of frames.
    pub(crate) bytes: usize,
    /// Published events.
    pub(crate) events: u64,
}

#[derive(Debug)]
enum Item {
    Frame { frame: Rc<[u8]>, kind: Kind, waits: Waits, counts: Counts, since: Millis },
    Slot(SlotId),
}

/// Which bound a frame counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// The queue's, in bytes.
    Queue,
    /// The slots', of which there is one for each topic and key.
    Slots,
}

/// The send queue of one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    items: VecDeque<Item>,
    slots: BTreeMap<SlotId, Content>,
    /// Bytes of the first item that have gone.
    gone: usize,
    lane: Lane,
    /// What the items count, but for slots.
    queued: usize,
    /// What the slots count.
    slotted: usize,
    /// Bytes to be written, as far as they are known.
    len: usize,
    events: u64,
    /// When the socket last took something, or the first was queued.
    progressed: Millis,
}

/// Pings and pongs, of each the newest. §5.5.3: an endpoint that has not answered earlier pings
/// "MAY elect to send a Pong frame for only the most recently processed Ping frame".
#[derive(Debug, Default)]
struct Lane {
    pong: Option<Rc<[u8]>>,
    ping: Option<Rc<[u8]>>,
}

impl Outbox {
    /// An empty queue, for a socket that has just refused something.
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            items: VecDeque::new(),
            slots: BTreeMap::new(),
            gone: 0,
            lane: Lane::default(),
            queued: 0,
            slotted: 0,
            len: 0,
            events: 0,
            progressed: now,
        }
    }

    /// Queues the rest of what is under way, of which `gone` bytes have left. The queue is empty.
    pub(crate) fn push_started(&mut self, unit: Rc<[u8]>, gone: usize, kind: Kind, now: Millis) {
        debug_assert!(self.items.is_empty() && gone < unit.len());
        self.len += unit.len() - gone;
        self.queued += unit.len() + ITEM_BYTES;
        self.events += u64::from(kind == Kind::Event);
        self.gone = gone;
        self.items.push_back(Item::frame(unit, kind, Waits::Surely, now));
    }

    /// Queues a frame, if the queue then holds at most `bytes_max`.
    pub(crate) fn push(
        &mut self,
        frame: &Rc<[u8]>,
        kind: Kind,
        waits: Waits,
        bytes_max: usize,
        now: Millis,
    ) -> Result<(), Full> {
        if !self.has_room(frame.len(), bytes_max) {
            return Err(Full);
        }
        self.queued += frame.len() + ITEM_BYTES;
        self.len += frame.len();
        self.events += u64::from(kind == Kind::Event);
        self.items.push_back(Item::frame(Rc::clone(frame), kind, waits, now));
        Ok(())
    }

    /// Whether a frame of `len` bytes finds room.
    pub(crate) fn has_room(&self, len: usize, bytes_max: usize) -> bool {
        // What is alone may be longer than the limit: the socket takes some of it at a time.
        self.is_empty() || self.queued.saturating_add(len + ITEM_BYTES) <= bytes_max
    }

    /// Drops messages that give way, the oldest first, until a frame of `len` bytes finds room or
    /// there are no more; yields what was dropped.
    pub(crate) fn push_out(&mut self, len: usize, bytes_max: usize) -> Tally {
        let mut dropped = Tally::default();
        let mut at = self.fixed();
        while !self.has_room(len, bytes_max) {
            let gives_way =
                |item: &Item| matches!(item, Item::Frame { waits: Waits::UntilPushedOut, .. });
            let Some(next) = self.items.iter().skip(at).position(gives_way) else { break };
            at += next;
            if let Some(item) = self.items.remove(at) {
                dropped.add(self.forget(&item, 0));
            }
        }
        dropped
    }

    /// Puts a message in its slot, at the place in the queue that the slot has already, or at the
    /// end. For what is folded, the first content stays: it says where to fold from.
    pub(crate) fn put(&mut self, id: SlotId, content: Content) -> Slotted {
        let size = content.len();
        let Some(held) = self.slots.get_mut(&id) else {
            self.items.push_back(Item::Slot(id));
            self.slots.insert(id, content);
            self.slotted += size + ITEM_BYTES;
            self.len += size;
            self.events += 1;
            return Slotted::New;
        };
        if matches!(content, Content::Frame(_)) {
            let before = std::mem::replace(held, content).len();
            self.slotted = self.slotted + size - before;
            self.len = self.len + size - before;
        }
        Slotted::Merged
    }

    /// How many slots are to be folded.
    #[cfg(feature = "simulator")]
    pub(crate) fn folds(&self) -> usize {
        self.slots.values().filter(|content| matches!(content, Content::Fold(_))).count()
    }

    /// Whether something waits in a slot.
    pub(crate) fn holds(&self, id: SlotId) -> bool {
        self.slots.contains_key(&id)
    }

    /// Puts a ping or a pong in the lane, in place of an earlier one.
    pub(crate) fn put_control(&mut self, opcode: OpCode, frame: Rc<[u8]>) {
        let place = if opcode == OpCode::Ping { &mut self.lane.ping } else { &mut self.lane.pong };
        self.len += frame.len();
        self.len -= place.replace(frame).map_or(0, |earlier| earlier.len());
    }

    /// Bytes still to be written, as far as they are known: what is to be folded counts nothing.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What the queue counts against its limit: frames that have not left whole, each with
    /// [`ITEM_BYTES`]. Slots and the lane do not count.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// All that is held, slots and lane included.
    pub(crate) fn held(&self) -> usize {
        self.queued + self.slotted + self.lane.len()
    }

    /// Published events that wait.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.lane.pong.is_none() && self.lane.ping.is_none()
    }

    /// When the socket last took something.
    pub(crate) fn progressed(&self) -> Millis {
        self.progressed
    }

    /// Since when the oldest message waits that must not be dropped. What is under way does not
    /// wait.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        self.items.iter().skip(self.fixed()).find_map(|item| match item {
            Item::Frame { waits: Waits::Surely, counts: Counts::Queue, since, .. } => Some(*since),
            Item::Frame { .. } | Item::Slot(_) => None,
        })
    }

    /// The slot that has to be folded before more can be written, and from where.
    pub(crate) fn fold_due(&self) -> Option<(SlotId, FoldFrom)> {
        let Some(Item::Slot(id)) = self.items.front() else { return None };
        match self.slots.get(id) {
            Some(Content::Fold(from)) => Some((*id, *from)),
            Some(Content::Frame(_)) | None => None,
        }
    }

    /// Replaces the first slot by what it was folded into.
    pub(crate) fn fold(&mut self, frame: Rc<[u8]>) {
        debug_assert!(self.fold_due().is_some());
        if let Some(Item::Slot(id)) = self.items.pop_front() {
            self.slots.remove(&id);
            self.slotted += frame.len();
            self.len += frame.len();
            self.items.push_front(Item::from_slot(frame));
        }
    }

    /// What is to be written next, piece by piece, up to a slot that has to be folded.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &[u8]> {
        let started = self.items.front().filter(|_| self.fixed() > 0);
        let started = started.and_then(|item| self.frame_of(item)?.get(self.gone..));
        let waiting = self.items.iter().skip(self.fixed());
        started
            .into_iter()
            .chain(self.lane.frames())
            // Whoever asks once more at a slot that has to be folded must not get what is behind it.
            .chain(waiting.map_while(|item| self.frame_of(item)).fuse())
    }

    /// Takes note of `written` bytes from the front of [`Self::pending`]; yields what has left
    /// whole.
    pub(crate) fn advance(&mut self, mut written: usize, now: Millis) -> Tally {
        let mut left = Tally::default();
        if written > 0 {
            self.progressed = now;
        }
        self.len = self.len.saturating_sub(written);
        while written > 0 {
            if self.fixed() == 0
                && let Some(control) = self.lane.take()
            {
                // What of it has not gone is under way: before all else, as a frame like others.
                self.queued += control.len() + ITEM_BYTES;
                let since = self.progressed;
                self.items.push_front(Item::frame(control, Kind::Reply, Waits::Surely, since));
            }
            let Some(rest) = self.rest_of_first() else { break };
            if written < rest {
                self.start_first(written);
                break;
            }
            written -= rest;
            let gone = std::mem::take(&mut self.gone) + rest;
            if let Some(item) = self.items.pop_front() {
                left.add(self.forget(&item, gone));
            }
        }
        left
    }

    /// Drops all frames of which no byte has gone, but for a close frame; yields what that was, and
    /// the slots that were to be folded.
    pub(crate) fn drop_unstarted(&mut self) -> (Tally, Vec<(SlotId, FoldFrom)>) {
        let mut dropped = Tally::default();
        let mut folds = Vec::new();
        for item in self.items.split_off(self.fixed()) {
            if matches!(item, Item::Frame { kind: Kind::Close, .. }) {
                self.items.push_back(item);
                continue;
            }
            if let Item::Slot(id) = item
                && let Some(Content::Fold(from)) = self.slots.get(&id)
            {
                folds.push((id, *from));
            }
            dropped.add(self.forget(&item, 0));
        }
        let lane = std::mem::take(&mut self.lane).len();
        self.len = self.len.saturating_sub(lane);
        dropped.bytes += lane;
        (dropped, folds)
    }

    /// Drops what waits in a topic's slots; yields how many events that was, and the slots that
    /// were to be folded.
    pub(crate) fn withdraw(&mut self, topic: usize) -> (Tally, Vec<(SlotId, FoldFrom)>) {
        let (mut dropped, mut folds) = (Tally::default(), Vec::new());
        let slots = SlotId { topic, key: 0 }..=SlotId { topic, key: u64::MAX };
        let ids: Vec<SlotId> = self.slots.range(slots).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return (dropped, folds);
        }
        self.items.retain(|item| !matches!(item, Item::Slot(id) if id.topic == topic));
        for id in ids {
            if let Some(Content::Fold(from)) = self.slots.get(&id) {
                folds.push((id, *from));
            }
            dropped.add(self.forget(&Item::Slot(id), 0));
        }
        (dropped, folds)
    }

    /// How many items at the front nothing comes before, and nothing drops: what is under way, and
    /// the answer to the handshake.
    fn fixed(&self) -> usize {
        let answer = matches!(self.items.front(), Some(Item::Frame { kind: Kind::Answer, .. }));
        usize::from(answer || self.gone > 0 && !self.items.is_empty())
    }

    /// Takes an item that is not in the queue any more out of all counts; `gone` bytes of it had
    /// left.
    fn forget(&mut self, item: &Item, gone: usize) -> Tally {
        let (bytes, counts, kind) = match item {
            Item::Frame { frame, counts, kind, .. } => (frame.len(), *counts, *kind),
            Item::Slot(id) => {
                let content = self.slots.remove(id);
                (content.map_or(0, |content| content.len()), Counts::Slots, Kind::Event)
            }
        };
        match counts {
            Counts::Queue => self.queued = self.queued.saturating_sub(bytes + ITEM_BYTES),
            Counts::Slots => self.slotted = self.slotted.saturating_sub(bytes + ITEM_BYTES),
        }
        // What has gone left the length when it went.
        self.len = self.len.saturating_sub(bytes.saturating_sub(gone));
        let events = u64::from(kind == Kind::Event);
        self.events = self.events.saturating_sub(events);
        Tally { bytes, events }
    }

    /// Bytes of the first item that have not gone.
    fn rest_of_first(&self) -> Option<usize> {
        let frame = self.frame_of(self.items.front()?)?;
        Some(frame.len().saturating_sub(self.gone))
    }

    /// `written` more bytes of the first item have gone: nothing replaces it any more.
    fn start_first(&mut self, written: usize) {
        self.gone += written;
        if let Some(Item::Slot(id)) = self.items.front()
            && let Some(Content::Frame(frame)) = self.slots.remove(id)
        {
            self.items.pop_front();
            self.items.push_front(Item::from_slot(frame));
        }
    }

    fn frame_of<'a>(&'a self, item: &'a Item) -> Option<&'a [u8]> {
        match item {
            Item::Frame { frame, .. } => Some(frame),
            Item::Slot(id) => match self.slots.get(id)? {
                Content::Frame(frame) => Some(frame),
                Content::Fold(_) => None,
            },
        }
    }
}

impl Item {
    fn frame(frame: Rc<[u8]>, kind: Kind, waits: Waits, since: Millis) -> Self {
        Self::Frame { frame, kind, waits, counts: Counts::Queue, since }
    }

    /// What a slot held, once it cannot be replaced any more.
    fn from_slot(frame: Rc<[u8]>) -> Self {
        let (kind, waits, since) = (Kind::Event, Waits::Surely, Millis(0));
        Self::Frame { frame, kind, waits, counts: Counts::Slots, since }
    }
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.len(),
            Self::Fold(_) => 0,
        }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.events += other.events;
    }
}

impl Lane {
    fn frames(&self) -> impl Iterator<Item = &[u8]> {
        [&self.pong, &self.ping].into_iter().flatten().map(|frame| &**frame)
    }

    fn take(&mut self) -> Option<Rc<[u8]>> {
        self.pong.take().or_else(|| self.ping.take())
    }

    fn len(&self) -> usize {
        self.frames().map(<[u8]>::len).sum()
    }
}

#[cfg(test)]
#[path = "outbox/tests.rs"]
mod tests;
