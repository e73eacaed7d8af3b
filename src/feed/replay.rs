//! Events from a recording, at the pace they were recorded or any other.
//!
//! A second thread reads, unpacks and checks the file ahead of time, so that neither the disk nor
//! a malformed line delays an event; this one publishes each when it is due. Due times are
//! reckoned from the first event and not from the one before, so a long replay does not drift.
//!
//! A replay can begin at a moment of the recording: what comes before it is read, and told to the
//! sink as how things stand, but not published. Order books and lists of streams are handed on where they
//! stand.
//!
//! Invariant: every event of the file from that moment on is published once per pass, in its order, with
//! its own bytes; at most `CHUNKS_AHEAD_MAX` chunks of about 64 KiB are held in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(doc)]
use super::Pace;
use super::ndjson::{EventReader, LINE_BYTES_MAX_DEFAULT};
use super::{FeedCounters, Flow, Sink, Speed, Switch};

mod chunk;
mod playback;
mod progress;
mod recording;
mod timeline;

use chunk::Chunk;
use playback::Playback;
pub use progress::ReplayProgress;
pub use recording::{Recording, RecordingError};
pub use timeline::Moment;

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
    at: Option<Moment>,
    line_bytes_max: usize,
    progress: Arc<ReplayProgress>,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Events published.
    pub events: u64,
    /// Events from before the moment at which it was to begin.
    pub skipped: u64,
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
        let progress = Arc::new(ReplayProgress::of(recording.bytes_total()));
        let line_bytes_max = LINE_BYTES_MAX_DEFAULT;
        Self { recording, speed, repeat, at: None, line_bytes_max, progress }
    }

    /// Has each pass begin at this moment of the recording: events from before it are told by
    /// [`Sink::skip`]. Where none comes after it, nothing is published.
    #[must_use]
    pub fn at(mut self, moment: Moment) -> Self {
        self.at = Some(moment);
        self
    }

    /// How far it is, to be read while it runs.
    #[must_use]
    pub fn progress(&self) -> Arc<ReplayProgress> {
        Arc::clone(&self.progress)
    }

    /// Sets the longest line in bytes; [`LINE_BYTES_MAX_DEFAULT`] if not set.
    #[must_use]
    pub fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.line_bytes_max = bytes;
        self
    }

    /// Publishes to `sink` until the end. A replay waits for room ([`Pace::Careful`]): rather late
    /// than incomplete. As fast as it can go, it waits for subscribers too ([`Pace::Lossless`]).
    ///
    /// A held switch is waited for with the first events already read, and the recording's streams told.
    pub fn run(self, sink: &mut impl Sink, switch: &Switch, counters: &FeedCounters) -> Replayed {
        let end = ReplayEnd::Finished;
        let mut total =
            Replayed { events: 0, skipped: 0, malformed: 0, elapsed: Duration::ZERO, end };
        let mut started = Instant::now();
        loop {
            let pass = self.pass(sink, switch, counters);
            if total.events == 0 {
                started = pass.started;
            }
            total.events += pass.events;
            total.skipped += pass.skipped;
            total.malformed += pass.malformed;
            total.end = pass.end;
            let goes_on = self.repeat == Repeat::Forever && total.end == ReplayEnd::Finished;
            // A file that lost its events meanwhile must not be read in a tight loop.
            if !goes_on || pass.events == 0 {
                break;
            }
            sink.start_over();
        }
        total.elapsed = started.elapsed();
        total
    }

    fn pass(&self, sink: &mut impl Sink, switch: &Switch, counters: &FeedCounters) -> Pass {
        thread::scope(|scope| {
            let (ahead, chunks) = sync_channel(CHUNKS_AHEAD_MAX);
            let reading = scope.spawn(|| self.read_ahead(ahead, switch, counters));
            let how = (self.speed, self.at);
            let mut playback = Playback::new(how, sink, switch, counters, &self.progress);
            self.recording.streams().for_each(|stream| playback.announce(stream));
            let flow = playback.run(&chunks);
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
            let Playback { started, events, skipped, .. } = playback;
            Pass { started, events, skipped, malformed, end }
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
        let file_bytes = Arc::<AtomicU64>::default();
        let reader = match self.recording.reader(Arc::clone(&file_bytes)) {
            Ok(reader) => reader,
            Err(error) => {
                tracing::error!(recording = source, "cannot be opened again: {error}");
                return (0, Damaged::Yes);
            }
        };
        let mut lines = EventReader::new(reader, self.line_bytes_max, &source, counters);
        let mut chunk = Chunk::default();
        let read = lines.run(switch, |line| {
            chunk.push(&line);
            if !chunk.is_full() {
                return Flow::Continue;
            }
            chunk.file_bytes = file_bytes.load(Ordering::Relaxed);
            match ahead.send(std::mem::take(&mut chunk)) {
                Ok(()) => Flow::Continue,
                Err(_) => Flow::Stop,
            }
        });
        // What was read before the end or the damage still counts. A receiver that has gone no
        // longer wants it.
        chunk.file_bytes = file_bytes.load(Ordering::Relaxed);
        let _ = ahead.send(chunk);
        let damaged = match read {
            Ok(_) => Damaged::No,
            Err(error) => {
                let (lines, what) = (lines.lines(), recording::describe_rest(&error));
                tracing::error!(recording = source, lines, "{what}");
                Damaged::Yes
            }
        };
        (lines.malformed(), damaged)
    }
}

struct Pass {
    started: Instant,
    events: u64,
    skipped: u64,
    malformed: u64,
    end: ReplayEnd,
}

#[derive(Clone, Copy)]
enum Damaged {
    Yes,
    No,
}

#[cfg(test)]
mod tests;
