//! What the reading thread of a replay hands to the publishing one.
//! Invariant: what comes out is what went in, in its order.

use super::super::ndjson::Line;

/// A chunk is handed over when it holds this many bytes. One line may take it beyond.
const CHUNK_BYTES: usize = 64 * 1024;
/// A chunk is handed over when it holds this many entries.
const CHUNK_ENTRIES_MAX: usize = 512;

/// Lines in a row, copied out of the file into two buffers.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    names: String,
    payloads: String,
    spans: Vec<Span>,
    /// How far the file was read when the chunk was handed over.
    pub(super) file_bytes: u64,
}

#[derive(Debug)]
struct Span {
    kind: Kind,
    received_ns: Option<u64>,
    name_end: usize,
    payload_end: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Event,
    Snapshot,
    Stream,
}

/// What a line said, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Event { received_ns: Option<u64>, stream: &'a str, payload: &'a str },
    Snapshot { symbol: Option<&'a str>, payload: &'a str },
    Stream(&'a str),
}

impl Chunk {
    pub(super) fn push(&mut self, line: &Line<'_>) {
        match line {
            Line::Event(event) => {
                self.add(Kind::Event, event.received_ns, &event.stream, event.payload);
            }
            Line::Snapshot(book) => {
                let symbol = book.symbol.as_deref().unwrap_or_default();
                self.add(Kind::Snapshot, None, symbol, book.payload);
            }
            Line::Streams(streams) => {
                streams.iter().for_each(|stream| self.add(Kind::Stream, None, stream, ""));
            }
            Line::Blank => {}
        }
    }

    fn add(&mut self, kind: Kind, received_ns: Option<u64>, name: &str, payload: &str) {
        self.names.push_str(name);
        self.payloads.push_str(payload);
        let (name_end, payload_end) = (self.names.len(), self.payloads.len());
        self.spans.push(Span { kind, received_ns, name_end, payload_end });
    }

    pub(super) fn is_full(&self) -> bool {
        self.names.len() + self.payloads.len() >= CHUNK_BYTES
            || self.spans.len() >= CHUNK_ENTRIES_MAX
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let (mut name_start, mut payload_start) = (0, 0);
        self.spans.iter().map(move |span| {
            let name = self.names.get(name_start..span.name_end);
            let payload = self.payloads.get(payload_start..span.payload_end);
            (name_start, payload_start) = (span.name_end, span.payload_end);
            // Both ends were written by `add`, at the ends of whole texts.
            let (name, payload) = (name.unwrap_or_default(), payload.unwrap_or_default());
            match span.kind {
                Kind::Event => {
                    Entry::Event { received_ns: span.received_ns, stream: name, payload }
                }
                Kind::Snapshot => {
                    Entry::Snapshot { symbol: Some(name).filter(|name| !name.is_empty()), payload }
                }
                Kind::Stream => Entry::Stream(name),
            }
        })
    }
}
