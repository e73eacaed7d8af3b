//! Encoding what is sent: an event once for each way in which its subscribers want it.
//! Invariant: what is appended to an arena is whole frames, and the ranges that are handed out are
//! of frames that lie there.

use super::compress::Compressors;
use super::handler::{Published, View};
use super::options::DeflateOptions;
use crate::proto::frame::{self, Position, encode_with};
use crate::proto::{Message, OpCode, WindowBits};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The function that makes a view of an event: [`Handler::render`](super::Handler::render).
pub(super) type Render = fn(&Published<'_>, View, &mut Vec<u8>);

/// How a session wants what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    pub(super) view: View,
    /// Compressed, for this window.
    pub(super) deflate: Option<WindowBits>,
}

/// Encodes a worker's messages and events.
pub(super) struct Encoder {
    render: Render,
    compressors: Option<Compressors>,
    /// What was encoded of the event in hand. Empty between events.
    encoded: Vec<(Wants, Range<usize>)>,
    /// Where a compressed frame is put together.
    scratch: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(render: Render, deflate: Option<DeflateOptions>) -> Self {
        Self {
            render,
            compressors: deflate.map(Compressors::new),
            encoded: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Appends a message to one session.
    pub(super) fn message(&mut self, message: Message<'_>, wants: Wants, arena: &mut Vec<u8>) {
        let (opcode, payload) = (message.opcode(), message.payload());
        if let (Some(compressors), Some(window)) = (&mut self.compressors, wants.deflate)
            && compressors.encode(window, opcode, payload, arena)
        {
            return;
        }
        frame::encode(arena, Position::Last, opcode, None, payload);
    }

    /// Where the frame for those who want the event in hand in this way is; encodes it if it is
    /// not there yet.
    pub(super) fn event(
        &mut self,
        event: &Published<'_>,
        opcode: OpCode,
        wants: Wants,
        arena: &mut Vec<u8>,
    ) -> Range<usize> {
        if let Some((_, range)) = self.encoded.iter().find(|(of, _)| *of == wants) {
            return range.clone();
        }
        let range = match wants.deflate {
            None => self.plain(event, opcode, wants.view, arena),
            Some(window) => self.compressed(event, opcode, wants.view, window, arena),
        };
        self.encoded.push((wants, range.clone()));
        range
    }

    /// Forgets the event in hand.
    pub(super) fn end_event(&mut self) {
        self.encoded.clear();
    }

    /// Where the handler panics, there is no frame: nobody gets the event in that view, and no
    /// connection is to blame.
    fn plain(
        &mut self,
        event: &Published<'_>,
        opcode: OpCode,
        view: View,
        arena: &mut Vec<u8>,
    ) -> Range<usize> {
        let (start, render) = (arena.len(), self.render);
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            encode_with(arena, opcode, |out| render(event, view, out));
        }));
        if encoded.is_err() {
            arena.truncate(start);
        }
        start..arena.len()
    }

    /// The plain frame, if compressing does not make it smaller.
    fn compressed(
        &mut self,
        event: &Published<'_>,
        opcode: OpCode,
        view: View,
        window: WindowBits,
        arena: &mut Vec<u8>,
    ) -> Range<usize> {
        let plain = self.event(event, opcode, Wants { view, deflate: None }, arena);
        let frame = arena.get(plain.clone()).unwrap_or_default();
        let payload =
            frame::header_of(frame).and_then(|(_, len)| frame.get(len..)).unwrap_or_default();
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
