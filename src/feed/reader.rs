//! Live events from any byte stream: standard input, a pipe, a file that grows.
//! Knows nothing of pacing: each event goes out as it comes. Where there is no room for it the
//! stream is read no further ([`Pace::Patient`]): a pipe can wait, and nothing of it is lost.
//! Invariant: nothing is published after the switch was turned off.

use std::io::{self, BufReader, Read};

use super::ndjson::{EventReader, LINE_BYTES_MAX_DEFAULT};
use super::{FeedCounters, Flow, Pace, Sink, Switch};

/// Reads [NDJSON](super::ndjson) lines and publishes their events at once.
///
/// A thread that is blocked in a read notices a stop only when the read returns. Standard input
/// may never do so: leave its thread behind instead of joining it.
pub struct ReaderFeed<R> {
    reader: R,
    name: String,
    line_bytes_max: usize,
}

impl<R: Read> ReaderFeed<R> {
    /// Reads from `reader`, which the log calls `name`.
    pub fn new(reader: R, name: impl Into<String>) -> Self {
        Self { reader, name: name.into(), line_bytes_max: LINE_BYTES_MAX_DEFAULT }
    }

    /// Sets the longest line in bytes; [`LINE_BYTES_MAX_DEFAULT`] if not set.
    #[must_use]
    pub fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.line_bytes_max = bytes;
        self
    }

    /// Publishes until the input ends, [`Flow::Continue`], or until told to stop.
    /// Waits for the switch to be started before it reads anything.
    ///
    /// # Errors
    /// What the reader reports.
    pub fn run(
        self,
        sink: &mut impl Sink,
        switch: &Switch,
        counters: &FeedCounters,
    ) -> io::Result<Flow> {
        if switch.wait_until_started() == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let reader = BufReader::new(self.reader);
        let mut events = EventReader::new(reader, self.line_bytes_max, &self.name, counters);
        let flow = events.run(switch, |line| {
            if switch.is_stopped() {
                return Flow::Stop;
            }
            counters.hand_over(sink, &line, Pace::Patient)
        })?;
        tracing::info!(source = self.name, malformed = events.malformed(), "input ended");
        Ok(flow)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Kept;
    use super::*;

    const INPUT: &[u8] =
        b"{\"stream\":\"a\",\"data\":{\"x\": 1}}\noops\n5 {\"stream\":\"b\",\"data\":2}\n";

    /// Live lines: events pass in order, byte for byte, and the rest is counted.
    #[test]
    fn lines_are_published_as_they_come() {
        let (mut sink, counters) = (Kept::default(), FeedCounters::default());
        let flow = ReaderFeed::new(INPUT, "test").run(&mut sink, &Switch::started(), &counters);
        assert_eq!(flow.unwrap(), Flow::Continue);
        assert_eq!(
            sink.events,
            [("a".to_owned(), b"{\"x\": 1}".to_vec()), ("b".to_owned(), b"2".to_vec())]
        );
        assert_eq!((counters.events(), counters.malformed_lines()), (2, 1));
    }

    /// Live lines: a sink that has closed ends the feed.
    #[test]
    fn a_closed_sink_ends_the_feed() {
        let mut sink = Kept { stop_after: Some(1), ..Kept::default() };
        let counters = FeedCounters::default();
        let flow = ReaderFeed::new(INPUT, "test").run(&mut sink, &Switch::started(), &counters);
        assert_eq!(flow.unwrap(), Flow::Stop);
        assert_eq!(counters.events(), 1);
    }

    /// Live lines: a feed stopped before it started reads nothing.
    #[test]
    fn a_stopped_feed_does_not_start() {
        let (mut sink, switch) = (Kept::default(), Switch::held());
        switch.stop();
        let counters = FeedCounters::default();
        let flow = ReaderFeed::new(INPUT, "test").run(&mut sink, &switch, &counters);
        assert_eq!(flow.unwrap(), Flow::Stop);
        assert!(sink.events.is_empty());
    }
}
