//! Where events come from: a recording, lines on standard input, or a simulated market.
//!
//! A feed runs on a thread of its own (but for a [`PushedFeed`], which runs where its bytes are read)
//! and hands each event, a stream's name and a JSON payload, to a [`Sink`]. It knows nothing of sockets, subscribers or what becomes of an event. A
//! [`Switch`] holds, starts and stops feeds from outside; [`FeedCounters`] tell how they fare.
//!
//! Invariant: a feed publishes its events in order, and returns soon after its switch is turned
//! off or its sink says [`Flow::Stop`], unless it is blocked in a read that only its peer can end.

mod kept;
pub mod ndjson;
pub mod pushed;
pub mod reader;
pub mod replay;
pub mod simulate;
pub mod speed;
pub mod switch;

use std::sync::atomic::{AtomicU64, Ordering};

pub use kept::Kept;
use ndjson::Line;
pub use pushed::PushedFeed;
pub use reader::ReaderFeed;
pub use replay::{Moment, Recording, RecordingError, Repeat, Replay, ReplayProgress, Replayed};
pub use simulate::{Simulate, Simulator, SymbolError, SymbolSpec};
pub use speed::{Factor, Speed, SpeedError};
pub use switch::Switch;

/// What takes a feed's events.
pub trait Sink {
    /// Takes one event. `payload` is a complete JSON text; both are only lent.
    ///
    /// How long this may take is said by `pace`. A sink that drops an event counts it, and still
    /// answers [`Flow::Continue`]; a sink that waits answers [`Flow::Stop`] once there is nobody
    /// left to make room.
    fn publish(&mut self, stream: &str, payload: &str, pace: Pace) -> Flow;

    /// A stream that events will come for, told before the first of them.
    fn announce(&mut self, stream: &str) {
        let _ = stream;
    }

    /// A whole order book as the REST interface answers it, of which no event is made; the symbol
    /// is that of the line, where it says one.
    fn snapshot(&mut self, symbol: Option<&str>, payload: &str) {
        let _ = (symbol, payload);
    }

    /// An event from before the moment at which a replay begins: not published, but it says how
    /// things stand then.
    fn skip(&mut self, stream: &str, payload: &str) {
        let _ = (stream, payload);
    }

    /// All was told that comes before the moment at which a replay begins.
    fn caught_up(&mut self) {}

    /// The feed starts over: what comes next is from before what has come.
    fn start_over(&mut self) {}
}

/// What a sink does when it has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Drop the event and count it: its source goes on whether or not anyone keeps up.
    Live,
    /// Wait for room on the way to subscribers: its source can wait too.
    Patient,
    /// Wait for room, and have each event queued for subscribers that lag while there is room: what
    /// comes in a burst is whole all the same.
    Careful,
    /// Wait for subscribers too, as long as they read: every event counts.
    Lossless,
}

/// Whether a feed goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Return.
    Stop,
}

/// What feeds have done so far. Written by feed threads and read by any other: each number is
/// right by itself, and no order between them is promised.
#[derive(Debug, Default)]
pub struct FeedCounters {
    events: AtomicU64,
    bytes: AtomicU64,
    malformed_lines: AtomicU64,
    snapshot_lines: AtomicU64,
}

impl FeedCounters {
    /// Events handed to the sink.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Bytes of those events' payloads.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lines that could not be understood and were skipped.
    #[must_use]
    pub fn malformed_lines(&self) -> u64 {
        self.malformed_lines.load(Ordering::Relaxed)
    }

    /// Lines that hold a whole order book instead of an event.
    #[must_use]
    pub fn snapshot_lines(&self) -> u64 {
        self.snapshot_lines.load(Ordering::Relaxed)
    }

    /// Hands an event to the sink and counts it.
    fn publish(&self, sink: &mut impl Sink, stream: &str, payload: &str, pace: Pace) -> Flow {
        self.events.fetch_add(1, Ordering::Relaxed);
        // A payload's length is far below 2^64.
        self.bytes.fetch_add(payload.len() as u64, Ordering::Relaxed);
        sink.publish(stream, payload, pace)
    }

    /// Hands over what a line says, events at this pace.
    fn hand_over(&self, sink: &mut impl Sink, line: &Line<'_>, pace: Pace) -> Flow {
        match line {
            Line::Event(event) => return self.publish(sink, &event.stream, event.payload, pace),
            Line::Snapshot(book) => sink.snapshot(book.symbol.as_deref(), book.payload),
            Line::Streams(streams) => streams.iter().for_each(|stream| sink.announce(stream)),
            Line::Blank => {}
        }
        Flow::Continue
    }

    fn count_malformed_line(&self) {
        self.malformed_lines.fetch_add(1, Ordering::Relaxed);
    }

    fn count_snapshot_line(&self) {
        self.snapshot_lines.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that keeps everything, and can ask its feed to stop.
    #[derive(Default)]
    pub(super) struct Kept {
        pub(super) events: Vec<(String, Vec<u8>)>,
        /// What it was told besides, in order, with how many events there were before.
        pub(super) told: Vec<(usize, String)>,
        pub(super) stop_after: Option<usize>,
    }

    impl Sink for Kept {
        fn publish(&mut self, stream: &str, payload: &str, _: Pace) -> Flow {
            self.events.push((stream.to_owned(), payload.as_bytes().to_owned()));
            if Some(self.events.len()) == self.stop_after { Flow::Stop } else { Flow::Continue }
        }

        fn announce(&mut self, stream: &str) {
            self.tell(format!("announce {stream}"));
        }

        fn start_over(&mut self) {
            self.tell("start over".to_owned());
        }

        fn snapshot(&mut self, symbol: Option<&str>, payload: &str) {
            self.tell(format!("snapshot {} {payload}", symbol.unwrap_or("-")));
        }

        fn skip(&mut self, stream: &str, payload: &str) {
            self.tell(format!("skip {stream} {payload}"));
        }

        fn caught_up(&mut self) {
            self.tell("caught up".to_owned());
        }
    }

    impl Kept {
        fn tell(&mut self, what: String) {
            self.told.push((self.events.len(), what));
        }
    }

    /// Feeds: an event is counted where it is handed over.
    #[test]
    fn published_events_and_bytes_are_counted() {
        let counters = FeedCounters::default();
        let mut sink = Kept::default();
        for payload in ["{}", "[1]"] {
            counters.publish(&mut sink, "s", payload, Pace::Live);
        }
        assert_eq!((counters.events(), counters.bytes()), (2, 5));
        assert_eq!(sink.events.len(), 2);
    }
}
