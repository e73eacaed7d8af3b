//! What a worker's sessions share: their sending sides, their subscriptions, the counters.
//! Everything that a handler can do through its [`Context`](super::Context) is done here.
//! Invariant: knows no sockets, so that it can be lent to a handler while a socket's bytes are
//! being handled.

use super::handler::{Published, View};
use super::outputs::Outputs;
use super::stats::Counters;
use crate::hub::{Publication, Publisher, SlotKey, Subscriptions};
use crate::proto::frame::{self, Position, encode_with};
use crate::proto::{CloseCode, Message, OpCode};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The function that makes a view of an event: [`Handler::render`](super::Handler::render).
pub(super) type Render = fn(&Published<'_>, View, &mut Vec<u8>);

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
    /// What the handler in charge asked for.
    pub(super) close_request: Option<CloseRequest>,
    render: Render,
    /// The view of each session, by its place.
    views: Vec<View>,
}

impl Core {
    pub(super) fn new(
        worker: usize,
        publisher: Publisher,
        counters: Arc<Counters>,
        render: Render,
    ) -> Self {
        Self {
            worker,
            outputs: Outputs::default(),
            subscriptions: Subscriptions::default(),
            publisher,
            counters,
            close_request: None,
            render,
            views: Vec::new(),
        }
    }

    /// Makes the place at `index` ready for a new session.
    pub(super) fn reset(&mut self, index: u32) {
        self.set_view(index, View::default());
    }

    pub(super) fn send(&mut self, index: u32, message: Message<'_>) -> bool {
        if !self.outputs.accepts(index) {
            return false;
        }
        let start = self.outputs.encoded();
        let arena = self.outputs.arena();
        frame::encode(arena, Position::Last, message.opcode(), None, message.payload());
        let end = self.outputs.encoded();
        self.outputs.send(index, start..end);
        true
    }

    /// Subscribes a session and sends it the last message that the topic keeps.
    pub(super) fn subscribe(&mut self, index: u32, topic: &str) -> bool {
        let Some(slot) = self.subscriptions.subscribe(index, topic) else {
            return false;
        };
        let view = self.view(index);
        if let Some(last) = self.subscriptions.last(slot)
            && self.outputs.accepts(index)
        {
            let event = Published { topic, payload: &last.payload };
            let range = encode(self.outputs.arena(), self.render, &event, last.opcode, view);
            self.outputs.send(index, range);
            self.counters.deliveries.add(1);
        }
        true
    }

    pub(super) fn view(&self, index: u32) -> View {
        self.views.get(index as usize).copied().unwrap_or_default()
    }

    pub(super) fn set_view(&mut self, index: u32, view: View) {
        let index = index as usize;
        if self.views.len() <= index {
            self.views.resize(index + 1, View::default());
        }
        if let Some(place) = self.views.get_mut(index) {
            *place = view;
        }
    }

    /// Hands an event that came from a publisher to this worker's subscribers.
    pub(super) fn deliver(&mut self, publication: &Publication) {
        self.counters.events_in.add(1);
        let slot = self.subscriptions.note(publication);
        let event = Published { topic: publication.topic.name(), payload: &publication.payload };
        self.fan_out(slot, &event, publication.opcode);
    }

    /// Publishes a session's own message to the subscribers of all workers.
    pub(super) fn publish(&mut self, topic: &str, message: Message<'_>) {
        self.counters.events_in.add(1);
        if let Some(slot) = self.subscriptions.find(topic) {
            let event = Published { topic, payload: message.payload() };
            self.fan_out(slot, &event, message.opcode());
        }
        self.publisher.publish_to_others(self.worker, topic, message);
    }

    /// Encodes an event once for each view that a subscriber has, and has each send its own.
    fn fan_out(&mut self, slot: SlotKey, event: &Published<'_>, opcode: OpCode) {
        let Self { outputs, subscriptions, views, render, counters, .. } = self;
        let mut encoded: [Option<Range<usize>>; View::MAX as usize + 1] = Default::default();
        let mut deliveries = 0;
        for index in subscriptions.members(slot) {
            let view = views.get(index as usize).copied().unwrap_or_default();
            let Some(range) = encoded.get_mut(usize::from(view.number())) else {
                continue;
            };
            let range =
                range.get_or_insert_with(|| encode(outputs.arena(), *render, event, opcode, view));
            outputs.send(index, range.clone());
            deliveries += 1;
        }
        counters.deliveries.add(deliveries);
    }
}

/// Appends the frame of one view of an event; yields where it is. Where the handler panics, there
/// is no frame: nobody gets the event in that view, and no connection is to blame.
fn encode(
    arena: &mut Vec<u8>,
    render: Render,
    event: &Published<'_>,
    opcode: OpCode,
    view: View,
) -> Range<usize> {
    let start = arena.len();
    let encoded = catch_unwind(AssertUnwindSafe(|| {
        encode_with(arena, opcode, |out| render(event, view, out));
    }));
    if encoded.is_err() {
        arena.truncate(start);
    }
    start..arena.len()
}
