//! What a worker's sessions share: their sending sides, their subscriptions, the counters.
//! Everything that a handler can do through its [`Context`](super::Context) is done here.
//! Invariant: knows no sockets, so that it can be lent to a handler while a socket's bytes are
//! being handled.

use super::compress::Compressors;
use super::handler::{Published, View};
use super::options::DeflateOptions;
use super::outputs::Outputs;
use super::stats::Counters;
use super::transit::Transit;
use crate::hub::{Publication, Publisher, Retain, SlotKey, Stamp, Subscriptions, Topic};
use crate::proto::frame::{self, Position, encode_with};
use crate::proto::{CloseCode, Header, Message, OpCode, Role, WindowBits};
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
    /// When the events that the next flush carries came in.
    pub(super) transit: Transit,
    /// What the handler in charge asked for.
    pub(super) close_request: Option<CloseRequest>,
    render: Render,
    compressors: Option<Compressors>,
    /// How each session wants what it is sent, by its place.
    wants: Vec<Wants>,
    /// What was encoded of the event in hand. Empty between events.
    encoded: Vec<(Wants, Range<usize>)>,
    /// Where a compressed frame is put together.
    scratch: Vec<u8>,
}

/// How a session wants what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wants {
    view: View,
    /// Compressed, for this window.
    deflate: Option<WindowBits>,
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
            outputs: Outputs::default(),
            subscriptions: Subscriptions::default(),
            publisher,
            counters,
            transit: Transit::default(),
            close_request: None,
            render,
            compressors: deflate.map(Compressors::new),
            wants: Vec::new(),
            encoded: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Makes the place at `index` ready for a new session.
    pub(super) fn reset(&mut self, index: u32) {
        *self.wants_mut(index) = Wants::default();
    }

    pub(super) fn send(&mut self, index: u32, message: Message<'_>) -> bool {
        if !self.outputs.accepts(index) {
            return false;
        }
        let deflate = self.wants(index).deflate;
        let (opcode, payload) = (message.opcode(), message.payload());
        let Self { outputs, compressors, .. } = self;
        outputs.send_encoded(index, |arena| {
            let compressed = match (compressors, deflate) {
                (Some(compressors), Some(window)) => {
                    compressors.encode(window, opcode, payload, arena)
                }
                _ => false,
            };
            if !compressed {
                frame::encode(arena, Position::Last, opcode, None, payload);
            }
        });
        true
    }

    /// Subscribes a session and sends it the last message that the topic keeps.
    pub(super) fn subscribe(&mut self, index: u32, topic: &str) -> bool {
        let Some(slot) = self.subscriptions.subscribe(index, topic) else { return false };
        if let Some(last) = self.subscriptions.last(slot).cloned()
            && self.outputs.accepts(index)
        {
            let range = self.encode(&Published::from(&last), last.opcode, self.wants(index));
            self.encoded.clear();
            self.outputs.send(index, range);
            self.counters.deliveries.add(1);
        }
        true
    }

    pub(super) fn set_view(&mut self, index: u32, view: View) {
        self.wants_mut(index).view = view;
    }

    /// Has what the session is sent compressed from now on.
    pub(super) fn set_deflate(&mut self, index: u32, window: WindowBits) {
        self.wants_mut(index).deflate = Some(window);
    }

    fn wants(&self, index: u32) -> Wants {
        self.wants.get(index as usize).copied().unwrap_or_default()
    }

    fn wants_mut(&mut self, index: u32) -> &mut Wants {
        let index = index as usize;
        if self.wants.len() <= index {
            self.wants.resize(index + 1, Wants::default());
        }
        #[expect(clippy::indexing_slicing, reason = "the line above made the place")]
        &mut self.wants[index]
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
        let mut deliveries = 0;
        // Members only change in calls of handlers, and none is called here.
        for position in 0.. {
            let Some(index) = self.subscriptions.member(slot, position) else { break };
            let range = self.encode(event, opcode, self.wants(index));
            self.outputs.send(index, range);
            deliveries += 1;
        }
        self.encoded.clear();
        if deliveries > 0 {
            self.transit.note(event.stamp.at);
        }
        self.counters.deliveries.add(deliveries);
    }

    /// Where the frame for those who want the event in hand in this way is; encodes it if it is
    /// not there yet.
    fn encode(&mut self, event: &Published<'_>, opcode: OpCode, wants: Wants) -> Range<usize> {
        if let Some((_, range)) = self.encoded.iter().find(|(of, _)| *of == wants) {
            return range.clone();
        }
        let range = match wants.deflate {
            None => self.encode_plain(event, opcode, wants.view),
            Some(window) => self.encode_compressed(event, opcode, wants.view, window),
        };
        self.encoded.push((wants, range.clone()));
        range
    }

    /// Where the handler panics, there is no frame: nobody gets the event in that view, and no
    /// connection is to blame.
    fn encode_plain(&mut self, event: &Published<'_>, opcode: OpCode, view: View) -> Range<usize> {
        let (start, render) = (self.outputs.encoded(), self.render);
        let arena = self.outputs.arena();
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            encode_with(arena, opcode, |out| render(event, view, out));
        }));
        if encoded.is_err() {
            arena.truncate(start);
        }
        start..self.outputs.encoded()
    }

    /// The plain frame, if compressing does not make it smaller.
    fn encode_compressed(
        &mut self,
        event: &Published<'_>,
        opcode: OpCode,
        view: View,
        window: WindowBits,
    ) -> Range<usize> {
        let plain = self.encode(event, opcode, Wants { view, deflate: None });
        let arena = self.outputs.arena();
        let frame = arena.get(plain.clone()).unwrap_or_default();
        let header = Header::parse(frame, Role::Client(|| [0; 4])).ok().flatten();
        let payload = header.and_then(|(_, len)| frame.get(len..)).unwrap_or_default();
        self.scratch.clear();
        let Some(compressors) = &mut self.compressors else { return plain };
        if !compressors.encode(window, opcode, payload, &mut self.scratch) {
            return plain;
        }
        let start = arena.len();
        arena.extend_from_slice(&self.scratch);
        start..arena.len()
    }
}
