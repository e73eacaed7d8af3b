//! The half of a replay's pass that waits and publishes.
//! Invariant: nothing is published before the switch is started, nor before the moment asked for.

use std::collections::HashSet;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::super::{FeedCounters, Flow, Sink, Switch};
use super::Speed;
use super::chunk::{Chunk, Entry};
use super::progress::ReplayProgress;
use super::timeline::{Beginning, Moment, Timeline};

/// One pass through a recording.
pub(super) struct Playback<'a, S> {
    sink: &'a mut S,
    switch: &'a Switch,
    counters: &'a FeedCounters,
    progress: &'a ReplayProgress,
    timeline: Timeline,
    beginning: Beginning,
    phase: Phase,
    /// When the first event was published, or could have been.
    pub(super) started: Instant,
    pub(super) events: u64,
    pub(super) skipped: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before the first event that is published.
    Before {
        lists_streams: bool,
    },
    Under,
}

impl<'a, S: Sink> Playback<'a, S> {
    pub(super) fn new(
        (speed, at): (Speed, Option<Moment>),
        sink: &'a mut S,
        switch: &'a Switch,
        counters: &'a FeedCounters,
        progress: &'a ReplayProgress,
    ) -> Self {
        Self {
            sink,
            switch,
            counters,
            progress,
            timeline: Timeline::new(speed),
            beginning: Beginning::new(at),
            phase: Phase::Before { lists_streams: false },
            started: Instant::now(),
            events: 0,
            skipped: 0,
        }
    }

    /// Tells the sink all that the chunks hold, each event when it is due.
    pub(super) fn run(&mut self, chunks: &Receiver<Chunk>) -> Flow {
        for chunk in chunks {
            for entry in chunk.entries() {
                if self.switch.is_stopped() {
                    return Flow::Stop;
                }
                let flow = match entry {
                    Entry::Event { received_ns, stream, payload } => {
                        self.tell_event(&chunk, received_ns, stream, payload)
                    }
                    Entry::Snapshot { symbol, payload } => {
                        self.sink.snapshot(symbol, payload);
                        Flow::Continue
                    }
                    Entry::Stream(stream) => {
                        if let Phase::Before { lists_streams } = &mut self.phase {
                            *lists_streams = true;
                        }
                        self.sink.announce(stream);
                        Flow::Continue
                    }
                };
                if flow == Flow::Stop {
                    return Flow::Stop;
                }
            }
            self.progress.reach_byte(chunk.file_bytes);
        }
        Flow::Continue
    }

    fn tell_event(
        &mut self,
        chunk: &Chunk,
        received_ns: Option<u64>,
        stream: &str,
        payload: &str,
    ) -> Flow {
        if self.beginning.is_after(received_ns) {
            self.skipped += 1;
            self.sink.skip(stream, payload);
            return Flow::Continue;
        }
        if let Phase::Before { lists_streams } = self.phase
            && self.begin(chunk, lists_streams) == Flow::Stop
        {
            return Flow::Stop;
        }
        if let Some(due) = self.timeline.due(received_ns)
            && self.switch.sleep_until(self.started + due) == Flow::Stop
        {
            return Flow::Stop;
        }
        if self.switch.is_stopped() {
            return Flow::Stop;
        }
        if let Some(ns) = received_ns {
            self.progress.reach_time(ns);
        }
        self.events += 1;
        self.counters.publish(self.sink, stream, payload, self.timeline.pace())
    }

    /// Waits for the start, with all told that can be told before it.
    fn begin(&mut self, chunk: &Chunk, lists_streams: bool) -> Flow {
        if !lists_streams {
            let mut known = HashSet::new();
            for entry in chunk.entries() {
                if let Entry::Event { stream, .. } = entry
                    && known.insert(stream)
                {
                    self.sink.announce(stream);
                }
            }
        }
        self.sink.caught_up();
        self.phase = Phase::Under;
        let flow = self.switch.wait_until_started();
        self.started = Instant::now();
        flow
    }
}
