//! Events from a recording, at the pace they were recorded or any other.
//!
//! A second thread reads, unpacks and checks the file ahead of time, so that neither the disk nor
//! a malformed line delays an event; this one publishes each when it is due. Due times are
//! reckoned from the first event and not from the one before, so a long replay does not drift.
//!
//! Invariant: every event of the file is published once per pass, in its order, with its own
//! bytes; at most `CHUNKS_AHEAD_MAX` chunks of about `CHUNK_BYTES` are held in memory.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::ndjson::{Event, EventReader, LINE_BYTES_MAX_DEFAULT};
use super::{FeedCounters, Flow, Pace, Sink, Speed, Switch};

mod recording;

pub use recording::{Recording, RecordingError};

/// A chunk is handed over when it holds this many bytes. One line may take it beyond.
const CHUNK_BYTES: usize = 64 * 1024;
/// A chunk is handed over when it holds this many events.
const CHUNK_EVENTS_MAX: usize = 512;
/// How many chunks the reading thread may be ahead.
const CHUNKS_AHEAD_MAX: usize = 8;

/// Whether a replay starts over at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// One pass.
    Once,
    /// Passes without a pause, until stopped.
    Forever,
}

/// A recording about to be replayed.
#[derive(Debug, Clone)]
pub struct Replay {
    recording: Recording,
    speed: Speed,
    repeat: Repeat,
    line_bytes_max: usize,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Events published.
    pub events: u64,
    /// Lines that were skipped because they could not be understood.
    pub malformed: u64,
    /// From the first pass's start to the end.
    pub elapsed: Duration,
    /// Why it ended.
    pub end: ReplayEnd,
}

/// Why a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayEnd {
    /// The recording was over.
    Finished,
    /// The switch or the sink said so.
    Stopped,
    /// The recording could not be read on: it is truncated or damaged. The log says how. What
    /// could be read of it was published.
    Damaged,
}

impl Replay {
    /// Replays `recording` at `speed`.
    #[must_use]
    pub fn new(recording: Recording, speed: Speed, repeat: Repeat) -> Self {
        Self { recording, speed, repeat, line_bytes_max: LINE_BYTES_MAX_DEFAULT }
    }

    /// Sets the longest line in bytes; [`LINE_BYTES_MAX_DEFAULT`] if not set.
    #[must_use]
    pub fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.line_bytes_max = bytes;
        self
    }

    /// Publishes to `sink` until the end. A replay waits for room ([`Pace::Patient`]): rather late
    /// than incomplete. As fast as it can go, it waits for subscribers too ([`Pace::Lossless`]).
    ///
    /// A held switch is waited for with the first events already read.
    pub fn run(self, sink: &mut impl Sink, switch: &Switch, counters: &FeedCounters) -> Replayed {
        let mut total =
            Replayed { events: 0, malformed: 0, elapsed: Duration::ZERO, end: ReplayEnd::Finished };
        let mut started = Instant::now();
        loop {
            let pass = self.pass(sink, switch, counters);
            if total.events == 0 {
                started = pass.started;
            }
            total.events += pass.events;
            total.malformed += pass.malformed;
            total.end = pass.end;
            let goes_on = self.repeat == Repeat::Forever && total.end == ReplayEnd::Finished;
            // A file that lost its events meanwhile must not be read in a tight loop.
            if !goes_on || pass.events == 0 {
                break;
            }
        }
        total.elapsed = started.elapsed();
        total
    }

    fn pass(&self, sink: &mut impl Sink, switch: &Switch, counters: &FeedCounters) -> Pass {
        thread::scope(|scope| {
            let (ahead, chunks) = sync_channel(CHUNKS_AHEAD_MAX);
            let reading = scope.spawn(|| self.read_ahead(ahead, switch, counters));
            let flow = switch.wait_until_started();
            let mut publisher = Publisher {
                timeline: Timeline::new(self.speed),
                started: Instant::now(),
                events: 0,
            };
            let flow = match flow {
                Flow::Continue => publisher.publish_all(&chunks, sink, switch, counters),
                Flow::Stop => Flow::Stop,
            };
            // Without a receiver the reading thread ends, however far it is.
            drop(chunks);
            let (malformed, damaged) = match reading.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            let end = match (flow, damaged) {
                (Flow::Stop, _) => ReplayEnd::Stopped,
                // The reading thread may have been the one to notice.
                (Flow::Continue, _) if switch.is_stopped() => ReplayEnd::Stopped,
                (Flow::Continue, Damaged::Yes) => ReplayEnd::Damaged,
                (Flow::Continue, Damaged::No) => ReplayEnd::Finished,
            };
            Pass { started: publisher.started, events: publisher.events, malformed, end }
        })
    }

    /// Reads one pass on a thread of its own. Returns how many lines were malformed.
    fn read_ahead(
        &self,
        ahead: SyncSender<Chunk>,
        switch: &Switch,
        counters: &FeedCounters,
    ) -> (u64, Damaged) {
        let source = self.recording.path().display().to_string();
        let reader = match self.recording.reader() {
            Ok(reader) => reader,
            Err(error) => {
                tracing::error!(recording = source, "cannot be opened again: {error}");
                return (0, Damaged::Yes);
            }
        };
        let mut lines = EventReader::new(reader, self.line_bytes_max, &source, counters);
        let mut chunk = Chunk::default();
        let read = lines.run(switch, |event| {
            chunk.push(&event);
            if !chunk.is_full() {
                return Flow::Continue;
            }
            match ahead.send(std::mem::take(&mut chunk)) {
                Ok(()) => Flow::Continue,
                Err(_) => Flow::Stop,
            }
        });
        // What was read before the end or the damage still counts. A receiver that has gone no
        // longer wants it.
        let _ = ahead.send(chunk);
        let damaged = match read {
            Ok(_) => Damaged::No,
            Err(error) => {
                tracing::error!(recording = source, "{}", recording::describe(&error));
                Damaged::Yes
            }
        };
        (lines.malformed(), damaged)
    }
}

struct Pass {
    started: Instant,
    events: u64,
    malformed: u64,
    end: ReplayEnd,
}

#[derive(Clone, Copy)]
enum Damaged {
    Yes,
    No,
}

/// The half of a pass that waits and publishes.
struct Publisher {
    timeline: Timeline,
    started: Instant,
    events: u64,
}

impl Publisher {
    fn publish_all(
        &mut self,
        chunks: &Receiver<Chunk>,
        sink: &mut impl Sink,
        switch: &Switch,
        counters: &FeedCounters,
    ) -> Flow {
        for chunk in chunks {
            for (received_ns, stream, payload) in chunk.events() {
                if let Some(due) = self.timeline.due(received_ns)
                    && switch.sleep_until(self.started + due) == Flow::Stop
                {
                    return Flow::Stop;
                }
                if switch.is_stopped() {
                    return Flow::Stop;
                }
                self.events += 1;
                if counters.publish(sink, stream, payload, self.timeline.pace()) == Flow::Stop {
                    return Flow::Stop;
                }
            }
        }
        Flow::Continue
    }
}

/// When each event is due, as the time since the first.
#[derive(Debug)]
struct Timeline {
    speed: Speed,
    first_ns: Option<u64>,
    latest: Duration,
}

impl Timeline {
    fn pace(&self) -> Pace {
        match self.speed {
            Speed::Times(_) => Pace::Patient,
            Speed::Max => Pace::Lossless,
        }
    }

    fn new(speed: Speed) -> Self {
        Self { speed, first_ns: None, latest: Duration::ZERO }
    }

    /// `None` when there is nothing to wait for: at full speed, for an event without a time
    /// (it goes with its predecessor) and for one that is earlier than its predecessor.
    fn due(&mut self, received_ns: Option<u64>) -> Option<Duration> {
        let Speed::Times(factor) = self.speed else {
            return None;
        };
        let received_ns = received_ns?;
        let first_ns = *self.first_ns.get_or_insert(received_ns);
        let due = factor.shorten(Duration::from_nanos(received_ns.saturating_sub(first_ns)));
        if due <= self.latest {
            return None;
        }
        self.latest = due;
        Some(due)
    }
}

/// Events in a row, copied out of their lines into two buffers.
#[derive(Debug, Default)]
struct Chunk {
    streams: String,
    payloads: String,
    events: Vec<Span>,
}

#[derive(Debug)]
struct Span {
    received_ns: Option<u64>,
    stream_end: usize,
    payload_end: usize,
}

impl Chunk {
    fn push(&mut self, event: &Event<'_>) {
        self.streams.push_str(&event.stream);
        self.payloads.push_str(event.payload);
        self.events.push(Span {
            received_ns: event.received_ns,
            stream_end: self.streams.len(),
            payload_end: self.payloads.len(),
        });
    }

    fn is_full(&self) -> bool {
        self.streams.len() + self.payloads.len() >= CHUNK_BYTES
            || self.events.len() >= CHUNK_EVENTS_MAX
    }

    fn events(&self) -> impl Iterator<Item = (Option<u64>, &str, &str)> {
        let (mut stream_start, mut payload_start) = (0, 0);
        self.events.iter().map(move |span| {
            let stream = self.streams.get(stream_start..span.stream_end);
            let payload = self.payloads.get(payload_start..span.payload_end);
            (stream_start, payload_start) = (span.stream_end, span.payload_end);
            // Both ends were written by `push`, at the ends of whole texts.
            (span.received_ns, stream.unwrap_or_default(), payload.unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;

    use super::super::tests::Kept;
    use super::*;

    /// A file in the system's directory for temporary ones, removed at the end of its test.
    pub(super) struct TempFile(pub(super) PathBuf);

    impl TempFile {
        pub(super) fn new(name: &str, content: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("tickwire-{}-{name}", std::process::id()));
            std::fs::write(&path, content).unwrap();
            Self(path)
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// A recording of `count` events in order, with other lines between them.
    fn recorded(count: usize) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
        let (mut text, mut events) = (String::new(), Vec::new());
        for index in 0..count {
            let stream = format!("s{}@trade", index % 7);
            let payload = format!(r#"{{"t": {index},"x":"{}"}}"#, "y".repeat(index % 300));
            if index % 50 == 0 {
                text.push_str("garbage\n\n1 {\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}\n");
            }
            let line = format!(r#"{} {{"stream":"{stream}","data":{payload}}}"#, 1000 + index);
            text.push_str(&line);
            text.push('\n');
            events.push((stream, payload.into_bytes()));
        }
        (text.into_bytes(), events)
    }

    fn replay(file: &TempFile, speed: &str) -> Replay {
        let recording = Recording::open(&file.0).unwrap();
        Replay::new(recording, speed.parse().unwrap(), Repeat::Once)
    }

    /// Replay: every event, in order and byte for byte, whichever way it is stored.
    #[test]
    fn a_recording_is_replayed_whole() {
        let (text, events) = recorded(2000);
        let (first, second) = text.split_at(text.len() / 3);
        let members = [gzip(first), gzip(second)].concat();
        for (name, content, speed) in [
            ("plain", text.clone(), "max"),
            ("timed", text.clone(), "1000000"),
            ("gz", gzip(&text), "max"),
            ("gz-members", members, "max"),
        ] {
            let file = TempFile::new(name, &content);
            let (mut sink, counters) = (Kept::default(), FeedCounters::default());
            let replayed = replay(&file, speed).run(&mut sink, &Switch::started(), &counters);
            assert_eq!(sink.events, events, "{name}");
            assert_eq!(replayed.end, ReplayEnd::Finished);
            assert_eq!((replayed.events, replayed.malformed), (2000, 40));
            assert_eq!((counters.events(), counters.malformed_lines()), (2000, 40));
            assert_eq!(counters.snapshot_lines(), 40);
        }
    }

    /// Replay: a truncated file gives what it holds, and is not taken for a whole one.
    #[test]
    fn a_truncated_recording_is_replayed_as_far_as_it_goes() {
        let (text, events) = recorded(2000);
        let packed = gzip(&text);
        let file = TempFile::new("truncated", &packed[..packed.len() / 2]);
        let (mut sink, counters) = (Kept::default(), FeedCounters::default());
        let replayed = replay(&file, "max").run(&mut sink, &Switch::started(), &counters);
        assert_eq!(replayed.end, ReplayEnd::Damaged);
        assert!(sink.events.len() > 100 && sink.events.len() < 2000);
        assert_eq!(sink.events, events[..sink.events.len()]);
    }

    /// Replay: a looping one starts over until its sink has had enough.
    #[test]
    fn a_looping_replay_starts_over() {
        let (text, events) = recorded(3);
        let file = TempFile::new("loop", &text);
        let mut looping = replay(&file, "max");
        looping.repeat = Repeat::Forever;
        let mut sink = Kept { stop_after: Some(8), ..Kept::default() };
        let replayed = looping.run(&mut sink, &Switch::started(), &FeedCounters::default());
        assert_eq!(replayed.end, ReplayEnd::Stopped);
        assert_eq!(sink.events.len(), 8);
        assert_eq!(sink.events[6..], events[..2]);
    }

    /// Feeds: a stop wakes a replay from the longest gap, and from its wait for the start.
    #[test]
    fn a_stop_is_noticed_in_a_gap_and_before_the_start() {
        let text =
            b"1 {\"stream\":\"a\",\"data\":1}\n9000000000000000 {\"stream\":\"a\",\"data\":2}\n";
        let file = TempFile::new("gap", text);
        for switch in [Switch::started(), Switch::held()] {
            let waiting = thread::spawn({
                let (replay, switch) = (replay(&file, "1"), switch.clone());
                move || replay.run(&mut Kept::default(), &switch, &FeedCounters::default())
            });
            switch.stop();
            assert_eq!(waiting.join().unwrap().end, ReplayEnd::Stopped);
        }
    }

    /// Replay: due times are absolute, so neither rounding nor lateness adds up.
    #[test]
    fn events_are_due_by_their_distance_from_the_first() {
        let mut timeline = Timeline::new("10".parse().unwrap());
        let mut due = |ns| timeline.due(ns).map(|due| due.as_nanos());
        assert_eq!(due(None), None);
        assert_eq!(due(Some(1000)), None);
        assert_eq!(due(Some(1500)), Some(50));
        assert_eq!(due(None), None);
        assert_eq!(due(Some(1200)), None);
        assert_eq!(due(Some(1505)), None);
        assert_eq!(due(Some(1510)), Some(51));
        assert_eq!(due(Some(500)), None);
        assert_eq!(due(Some(61_000)), Some(6000));
    }

    /// Replay: at full speed nothing is ever waited for.
    #[test]
    fn at_full_speed_nothing_is_due_later() {
        let mut timeline = Timeline::new(Speed::Max);
        assert_eq!(timeline.due(Some(1)), None);
        assert_eq!(timeline.due(Some(u64::MAX)), None);
    }
}
