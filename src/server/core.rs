//! What a worker's sessions share: their sending sides, their subscriptions, the counters.
//! Everything that a handler can do through its [`Context`](super::Context) is done here.
//! Invariant: owns no sockets, so that it can be lent to a handler while a socket's bytes are
//! being handled.

use super::encoder::{Encoder, Render, Wants};
use super::handler::{Published, View};
use super::options::DeflateOptions;
use super::outputs::Outputs;
use super::stats::Counters;
use super::transit::Transit;
use crate::hub::{Publication, Publisher, Retain, SlotKey, Stamp, Subscriptions, Topic};
use crate::net::Transport;
use crate::proto::{CloseCode, Message, OpCode, WindowBits};
use std::sync::Arc;

/// Messages of so many bytes are written straight from where they lie: to copy them first costs
/// more than the system call that is saved.
const DIRECT_BYTES_MIN: usize = 32 << 10;

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
    pub(super) counters: Arc<Counters>,
    /// When the events that the next flush carries came in.
    pub(super) transit: Transit,
    /// What the handler in charge asked for.
    pub(super) close_request: Option<CloseRequest>,
    encoder: Encoder,
}

impl Core {
    pub(super) fn new(
        worker: usize,
        publisher: Publisher,
        counters: Arc<Counters>,
        render: Render,
        deflate: Option<DeflateOptions>,
    ) -> Self {
        Self {
            worker,
            outputs: Outputs::new(),
            subscriptions: Subscriptions::default(),
            publisher,
            counters,
            transit: Transit::default(),
            close_request: None,
            encoder: Encoder::new(render, deflate),
        }
    }

    pub(super) fn send(&mut self, index: u32, tcp: &dyn Transport, message: Message<'_>) -> bool {
        if !self.outputs.accepts(index) {
            return false;
        }
        let wants = self.outputs.wants(index);
        if message.payload().len() >= DIRECT_BYTES_MIN && wants.deflate.is_none() {
            let written = self.outputs.send_directly(index, tcp, message);
            self.counters.bytes_out.add(written as u64);
            return true;
        }
        let Self { outputs, encoder, .. } = self;
        outputs.send_encoded(index, |arena| encoder.message(message, wants, arena));
        true
    }

    /// Subscribes a session and sends it the last message that the topic keeps.
    pub(super) fn subscribe(&mut self, index: u32, topic: &str) -> bool {
        let Some(slot) = self.subscriptions.subscribe(index, topic) else { return false };
        if let Some(last) = self.subscriptions.last(slot)
            && self.outputs.accepts(index)
        {
            let wants = self.outputs.wants(index);
            let event = Published::from(last);
            let range = self.encoder.event(&event, last.opcode, wants, self.outputs.arena());
            self.encoder.end_event();
            self.outputs.send(index, range);
            self.counters.deliveries.add(1);
        }
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
        self.fan_out(slot, &Published::from(publication), publication.opcode);
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
                self.publish_here(self.subscriptions.find(topic), &event, message.opcode());
            }
        }
    }

    /// Publishes a message that came in on this worker, at `stamp`, to the subscribers of all.
    pub(super) fn publish_to(&mut self, topic: &Topic, message: Message<'_>, stamp: Stamp) {
        if topic.retain() == Retain::Last || self.publisher.has_others() {
            let publication = Publication::new(topic, message, stamp);
            self.deliver(&publication);
            self.publisher.publish_to_others(self.worker, &publication);
            return;
        }
        let (payload, seq) = (message.payload(), topic.next_seq());
        let event = Published { topic: topic.name(), payload, seq, stamp };
        let slot = self.subscriptions.slot_of_topic(topic);
        self.publish_here(slot, &event, message.opcode());
    }

    /// Nobody keeps the event and nobody else gets it: no copy is needed.
    fn publish_here(&mut self, slot: Option<SlotKey>, event: &Published<'_>, opcode: OpCode) {
        self.counters.events_in.add(1);
        if let Some(slot) = slot {
            self.fan_out(slot, event, opcode);
        }
    }

    /// Encodes an event once for each way in which subscribers want it, and has each send its own.
    fn fan_out(&mut self, slot: SlotKey, event: &Published<'_>, opcode: OpCode) {
        let Self { subscriptions, outputs, encoder, .. } = self;
        let mut current = None;
        let mut deliveries = 0;
        for index in subscriptions.members(slot) {
            let wants = outputs.wants(index);
            let range = match &current {
                Some((of, range)) if *of == wants => range,
                _ => {
                    let range = encoder.event(event, opcode, wants, outputs.arena());
                    &current.insert((wants, range)).1
                }
            };
            outputs.send(index, range.clone());
            deliveries += 1;
        }
        encoder.end_event();
        if deliveries > 0 {
            self.transit.note(event.stamp.at);
        }
        self.counters.deliveries.add(deliveries);
    }
}
