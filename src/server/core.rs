//! What a worker's sessions share: their sending sides, their subscriptions, the counters.
//! Everything that a handler can do through its [`Context`](super::Context) is done here.
//! Invariant: owns no sockets, so that it can be lent to a handler while a socket's bytes are
//! being handled.

use super::encoder::{Encoder, Wants};
use super::folds::Folds;
use super::handler::{Handler, Published, View};
use super::key::Key;
use super::options::Options;
use super::outputs::{Flushed, Means, Origin, Outputs, QueueLimits};
use super::stats::{Board, Counters};
use super::transit::Transit;
use crate::hub::{Care, Lag, Publication, Publisher, Retain, SlotKey, Stamp, Subscriptions, Topic};
use crate::net::Transport;
use crate::outbox::SlotId;
use crate::proto::{CloseCode, Message, Millis, OpCode, WindowBits};
use std::io;
use std::sync::Arc;

/// Messages of so many bytes are written straight from where they lie: to copy them first costs
/// more than the system call that is saved.
const DIRECT_BYTES_MIN: usize = 32 << 10;

/// Bytes of frames encoded in a turn after which connections are flushed before it goes on.
pub(super) const ARENA_BYTES_MAX: usize = 1 << 20;

/// A close that a handler asked for.
#[derive(Debug)]
pub(super) struct CloseRequest {
    pub(super) code: CloseCode,
    pub(super) reason: Box<str>,
}

/// What a worker's sessions share.
pub(super) struct Core {
    pub(super) worker: usize,
    pub(super) outputs: Outputs,
    pub(super) subscriptions: Subscriptions,
    pub(super) publisher: Publisher,
    pub(super) counters: Counters,
    pub(super) board: Arc<Board>,
    /// When the events that the next flush carries came in.
    pub(super) transit: Transit,
    /// What the handler in charge asked for.
    pub(super) close_request: Option<CloseRequest>,
    /// The time of the turn.
    pub(super) now: Millis,
    encoder: Encoder,
    key: ConflationKey,
}

/// The function that says which events replace one another: [`Handler::conflation_key`].
type ConflationKey = fn(&Published<'_>) -> u64;

impl Core {
    pub(super) fn new<H: Handler>(
        worker: usize,
        publisher: Publisher,
        board: Arc<Board>,
        options: &Options,
    ) -> Self {
        let limits = QueueLimits {
            bytes_max: options.send_queue_bytes_max,
            total_bytes_max: options.send_queues_bytes_max / options.workers.max(1),
            age_max: options.send_queue_age_max,
            stall_timeout: options.write_stall_timeout,
        };
        Self {
            worker,
            outputs: Outputs::new(limits, Folds::new(H::fold)),
            subscriptions: Subscriptions::new(options.resume_bytes_max),
            publisher,
            counters: Counters::default(),
            board,
            transit: Transit::default(),
            close_request: None,
            now: Millis(0),
            encoder: Encoder::new(H::render, options.deflate),
            key: H::conflation_key,
        }
    }

    /// The outputs, and what it takes to send with them.
    fn sending(&mut self) -> (&mut Outputs, Means<'_>) {
        let Self { outputs, encoder, counters, now, .. } = self;
        (outputs, Means { encoder, counters, now: *now })
    }

    pub(super) fn send(&mut self, index: u32, tcp: &dyn Transport, message: Message<'_>) -> bool {
        if !self.outputs.accepts(index) {
            return false;
        }
        let wants = self.outputs.wants(index);
        let plain = wants.deflate.is_none();
        // So that what one call of a handler sends is not all held until the end of the turn.
        let much = self.outputs.encoded() > ARENA_BYTES_MAX;
        if plain && (much || message.payload().len() >= DIRECT_BYTES_MIN) {
            let (outputs, mut means) = self.sending();
            let written = outputs.send_directly(index, tcp, message, &mut means);
            self.counters.bytes_out.add(written as u64);
            return self.outputs.accepts(index);
        }
        let Self { outputs, encoder, .. } = self;
        outputs.send_encoded(index, |arena| encoder.message(message, wants, arena));
        true
    }

    /// Gives a connection its one write of the turn; yields how many bytes went.
    pub(super) fn flush(&mut self, key: Key, tcp: &impl Transport) -> io::Result<(Flushed, usize)> {
        let (outputs, mut means) = self.sending();
        outputs.flush(key.index, tcp, &mut means)
    }

    /// Writes what a connection has queued; yields how many bytes went.
    pub(super) fn write_queued(
        &mut self,
        key: Key,
        tcp: &impl Transport,
    ) -> io::Result<(Flushed, usize)> {
        let (outputs, mut means) = self.sending();
        outputs.write_queued(key.index, tcp, &mut means)
    }

    /// Drops what a connection has queued, but for the frame under way, and queues `farewell` in
    /// its place; yields how many bytes were dropped.
    pub(super) fn replace_queue(&mut self, key: Key, farewell: &[u8]) -> usize {
        let (outputs, mut means) = self.sending();
        outputs.replace_queue(key.index, farewell, &mut means)
    }

    /// Forgets all that a connection has to send.
    pub(super) fn close(&mut self, key: Key) {
        self.outputs.close(key.index, &self.counters);
    }

    /// Subscribes a session and sends it the last message that the topic keeps.
    pub(super) fn subscribe(&mut self, index: u32, topic: &str) -> bool {
        let Some(slot) = self.subscriptions.subscribe(index, topic) else { return false };
        let Self { subscriptions, outputs, encoder, key, counters, .. } = self;
        if let Some(last) = subscriptions.last(slot) {
            // By itself it is not one of those that follow one another.
            let lag = Some(last.topic.lag()).filter(|lag| *lag != Lag::Fold).unwrap_or_default();
            let sent = send_kept((outputs, encoder, *key), index, slot, (last, lag));
            counters.offered.add(u64::from(sent));
        }
        true
    }

    /// Which of a topic's events a session would miss that has seen all up to number `seen`.
    pub(super) fn missing(&self, index: u32, topic: &str, seen: u64) -> Option<(u64, u64)> {
        if self.subscriptions.is_subscribed(index, topic) {
            return None;
        }
        self.subscriptions.missing(topic, seen, self.publisher.numbering(topic))
    }

    /// Subscribes a session that has seen all up to number `seen`, and sends it what it has missed.
    pub(super) fn resume(
        &mut self,
        index: u32,
        tcp: &dyn Transport,
        topic: &str,
        seen: u64,
    ) -> bool {
        let numbering = self.publisher.numbering(topic);
        let Some(slot) = self.subscriptions.subscribe(index, topic) else { return false };
        let Self { subscriptions, outputs, encoder, key, counters, now, .. } = self;
        let start = outputs.encoded();
        for event in subscriptions.resume(index, slot, seen, numbering) {
            // Each of them counts: they were asked for by number.
            let lag = if event.topic.resume_events() > 0 { Lag::Close } else { event.topic.lag() };
            if !send_kept((outputs, encoder, *key), index, slot, (event, lag)) {
                break;
            }
            counters.offered.add(1);
            if outputs.encoded() - start > ARENA_BYTES_MAX {
                let mut means = Means { encoder, counters, now: *now };
                let written = outputs.flush_from(index, start, tcp, &mut means);
                counters.bytes_out.add(written as u64);
            }
        }
        true
    }

    /// Ends a subscription, and drops what waits in its place of one that lags.
    pub(super) fn unsubscribe(&mut self, index: u32, topic: &str) -> bool {
        let Some(slot) = self.subscriptions.find(topic) else { return false };
        if !self.subscriptions.unsubscribe(index, topic) {
            return false;
        }
        let (outputs, means) = self.sending();
        outputs.withdraw(index, slot.number(), &means);
        true
    }

    pub(super) fn set_view(&mut self, index: u32, view: View) {
        let wants = Wants { view, ..self.outputs.wants(index) };
        self.outputs.set_wants(index, wants);
    }

    /// Has what the session is sent compressed from now on.
    pub(super) fn set_deflate(&mut self, index: u32, window: WindowBits) {
        let wants = Wants { deflate: Some(window), ..self.outputs.wants(index) };
        self.outputs.set_wants(index, wants);
    }

    /// Hands an event to this worker's subscribers.
    pub(super) fn deliver(&mut self, publication: &Publication) {
        self.counters.events_in.add(1);
        let Some(slot) = self.subscriptions.note(publication) else { return };
        let lag = publication.topic.lag();
        if lag == Lag::Fold {
            self.outputs.fold(slot.number(), publication);
        }
        let event = Published::from(publication);
        self.fan_out(slot, &event, publication.opcode, (lag, Some(publication)));
    }

    /// Publishes a session's own message to the subscribers of all workers.
    pub(super) fn publish(&mut self, topic: &str, message: Message<'_>) {
        let stamp = Stamp::now();
        match self.publisher.find(topic) {
            Some(topic) => self.publish_to(&topic, message, stamp),
            None if self.publisher.has_others() => {
                self.publish_to(&Topic::passing(topic), message, stamp);
            }
            None => {
                let event = Published { topic, payload: message.payload(), seq: 0, stamp };
                let slot = self.subscriptions.find(topic);
                self.publish_here(slot, &event, message.opcode(), Lag::default());
            }
        }
    }

    /// Publishes a message that came in on this worker, at `stamp`, to the subscribers of all.
    pub(super) fn publish_to(&mut self, topic: &Topic, message: Message<'_>, stamp: Stamp) {
        let kept =
            topic.retain() == Retain::Last || topic.lag() == Lag::Fold || topic.resume_events() > 0;
        if kept || self.publisher.has_others() {
            let publication = Publication::new(topic, message, stamp);
            self.deliver(&publication);
            self.publisher.publish_to_others(self.worker, &publication);
            return;
        }
        let (payload, seq) = (message.payload(), topic.next_seq());
        let event = Published { topic: topic.name(), payload, seq, stamp };
        let slot = self.subscriptions.slot_of_topic(topic);
        self.publish_here(slot, &event, message.opcode(), topic.lag());
    }

    /// Nobody keeps the event and nobody else gets it: no copy is needed.
    fn publish_here(
        &mut self,
        slot: Option<SlotKey>,
        event: &Published<'_>,
        opcode: OpCode,
        lag: Lag,
    ) {
        self.counters.events_in.add(1);
        if let Some(slot) = slot {
            self.fan_out(slot, event, opcode, (lag, None));
        }
    }

    /// Encodes an event once for each way in which subscribers want it, and has each send its own.
    fn fan_out(
        &mut self,
        slot: SlotKey,
        event: &Published<'_>,
        opcode: OpCode,
        (lag, publication): (Lag, Option<&Publication>),
    ) {
        let Self { subscriptions, outputs, encoder, key, .. } = self;
        let (event, sending) = ((event, opcode, lag, publication), (outputs, encoder, *key));
        // Who has seen the event already is looked for only while anybody may have.
        let offered = if subscriptions.is_anybody_ahead() {
            let seq = event.0.seq;
            let members = subscriptions.members(slot);
            let members = members.filter(|index| !subscriptions.has_seen(*index, slot, seq));
            let offered = offer(members, slot, event, sending);
            subscriptions.catch_up(slot, seq);
            offered
        } else {
            offer(subscriptions.members(slot), slot, event, sending)
        };
        if offered > 0 {
            self.transit.note(event.0.stamp.at);
        }
        self.counters.offered.add(offered);
    }
}

/// Has each of `members` send an event in its own way; yields how many do.
fn offer(
    members: impl Iterator<Item = u32>,
    slot: SlotKey,
    (event, opcode, lag, publication): (&Published<'_>, OpCode, Lag, Option<&Publication>),
    (outputs, encoder, key): (&mut Outputs, &mut Encoder, ConflationKey),
) -> u64 {
    let mut current = None;
    let mut offered = 0;
    for index in members {
        let wants = outputs.wants(index);
        let range = match &current {
            Some((of, range)) if *of == wants => range,
            _ => {
                let range = encoder.event(event, opcode, wants, outputs.arena());
                outputs.note_event(range.start, || {
                    let key = if lag == Lag::Conflate { key(event) } else { 0 };
                    let slot = SlotId { topic: slot.number(), key };
                    let queued_first =
                        publication.is_some_and(|publication| publication.care != Care::Usual);
                    let foldable = publication.filter(|_| lag == Lag::Fold);
                    Origin { slot, lag, queued_first, publication: foldable.cloned() }
                });
                &current.insert((wants, range)).1
            }
        };
        offered += u64::from(outputs.send(index, range.clone()));
    }
    encoder.end_event();
    offered
}

/// Sends one session an event that was published before; `false`: it does not send it.
fn send_kept(
    (outputs, encoder, key): (&mut Outputs, &mut Encoder, ConflationKey),
    index: u32,
    slot: SlotKey,
    (kept, lag): (&Publication, Lag),
) -> bool {
    if !outputs.accepts(index) {
        return false;
    }
    let wants = outputs.wants(index);
    let event = Published::from(kept);
    let range = encoder.event(&event, kept.opcode, wants, outputs.arena());
    encoder.end_event();
    let slot = SlotId { topic: slot.number(), key: key(&event) };
    let origin = || Origin { slot, lag, queued_first: false, publication: None };
    outputs.note_event(range.start, origin);
    outputs.send(index, range)
}
