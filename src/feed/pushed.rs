//! Live events from bytes that somebody else reads: the connection of a producer, datagrams.
//! Knows no sockets. Invariant: however the bytes of a stream are cut, the events are the same, and
//! no more is kept than the longest line allowed.

use super::ndjson::{LINE_BYTES_MAX_DEFAULT, LineError, Triage};
use super::{FeedCounters, Flow, Pace, Sink};

/// Room for the part of a line that is kept when the line is over.
const RETAINED_BYTES_MAX: usize = 64 << 10;

/// Takes [NDJSON](super::ndjson) as it comes and publishes its events at once. Its producer goes on
/// whether or not anyone keeps up ([`Pace::Live`]).
///
/// # Example
/// ```
/// use tickwire::feed::{FeedCounters, Flow, Pace, PushedFeed, Sink};
///
/// struct Print;
/// impl Sink for Print {
///     fn publish(&mut self, stream: &str, _payload: &str, _pace: Pace) -> Flow {
///         println!("{stream}");
///         Flow::Continue
///     }
/// }
///
/// let (mut feed, counters) = (PushedFeed::new("a producer"), FeedCounters::default());
/// feed.push(b"{\"stream\":\"btcusdt@trade\",\"da", &mut Print, &counters);
/// assert_eq!(counters.events(), 0);
/// feed.push(b"ta\":{\"t\":1}}\n", &mut Print, &counters);
/// assert_eq!(counters.events(), 1);
/// ```
#[derive(Debug)]
pub struct PushedFeed {
    name: String,
    line_bytes_max: usize,
    /// The line under way, up to the longest allowed.
    kept: Vec<u8>,
    /// How long it is so far.
    length: usize,
    triage: Triage,
}

impl PushedFeed {
    /// A feed that the log calls `name`.
    pub fn new(name: impl Into<String>) -> Self {
        let (kept, length, triage) = (Vec::new(), 0, Triage::default());
        let line_bytes_max = LINE_BYTES_MAX_DEFAULT;
        Self { name: name.into(), line_bytes_max, kept, length, triage }
    }

    /// Sets the longest line in bytes; [`LINE_BYTES_MAX_DEFAULT`] if not set.
    #[must_use]
    pub fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.line_bytes_max = bytes;
        self
    }

    /// Events published so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.triage.events()
    }

    /// Lines that were malformed so far.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.triage.malformed()
    }

    /// Takes what comes next. Yields [`Flow::Stop`] once the sink says so; what follows is lost.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl Sink, counters: &FeedCounters) -> Flow {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let flow = if self.length == 0 {
                self.take(line, sink, counters)
            } else {
                self.keep(line);
                self.finish(sink, counters)
            };
            if flow == Flow::Stop {
                return Flow::Stop;
            }
        }
        self.keep(rest);
        Flow::Continue
    }

    /// Takes the last line, which need not have ended in a line feed.
    pub fn finish(&mut self, sink: &mut impl Sink, counters: &FeedCounters) -> Flow {
        if self.length == 0 {
            return Flow::Continue;
        }
        let kept = std::mem::take(&mut self.kept);
        let flow = self.take(&kept, sink, counters);
        self.kept = kept;
        self.kept.clear();
        self.kept.shrink_to(RETAINED_BYTES_MAX);
        self.length = 0;
        flow
    }

    fn keep(&mut self, part: &[u8]) {
        // One byte more than is allowed shows that a line is too long.
        let room = self.line_bytes_max.saturating_add(1).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(part.get(..room).unwrap_or(part));
        self.length = self.length.saturating_add(part.len());
    }

    fn take(&mut self, line: &[u8], sink: &mut impl Sink, counters: &FeedCounters) -> Flow {
        let too_long = line.len() > self.line_bytes_max;
        let line = if too_long { Err(LineError::TooLong) } else { Ok(line) };
        match self.triage.sort(line, &self.name, counters) {
            Some(line) => counters.hand_over(sink, &line, Pace::Live),
            None => Flow::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Kept;
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = r#"{"stream":"s","data":1}"#;

    fn events(parts: &[&[u8]]) -> (Vec<(String, Vec<u8>)>, u64) {
        let (mut sink, counters) = (Kept::default(), FeedCounters::default());
        let mut feed = PushedFeed::new("test").line_bytes_max(LINE.len());
        for part in parts {
            assert_eq!(feed.push(part, &mut sink, &counters), Flow::Continue);
            assert!(feed.kept.capacity() <= 2 * LINE.len() + 8, "{}", feed.kept.capacity());
        }
        assert_eq!(feed.finish(&mut sink, &counters), Flow::Continue);
        assert_eq!(
            (feed.events(), feed.malformed()),
            (counters.events(), counters.malformed_lines())
        );
        (sink.events, counters.malformed_lines())
    }

    /// A datagram may hold several lines, and its last need not end in a line feed.
    #[test]
    fn a_line_ends_with_its_line_feed_or_with_the_input() {
        let both = format!("{LINE}\r\n{LINE}");
        // A carriage return counts like any other byte of a line.
        assert_eq!(events(&[both.as_bytes()]).0.len(), 1);
        let both = format!("{LINE}\n\n{LINE}");
        assert_eq!(events(&[both.as_bytes()]).0.len(), 2);
        assert_eq!(events(&[LINE.as_bytes(), b"\n", b"\n"]).0, events(&[LINE.as_bytes()]).0);
    }

    /// Bounds: what is too long is skipped to its end, and costs only itself.
    #[test]
    fn an_overlong_line_is_counted_once_and_skipped() {
        let long = "x".repeat(1000);
        let (events, malformed) =
            events(&[long.as_bytes(), long.as_bytes(), b"\n", LINE.as_bytes(), b"\n{\n"]);
        assert_eq!((events.len(), malformed), (1, 2));
    }

    /// Recorders' lines that are no events reach the sink as what they are.
    #[test]
    fn books_and_lists_of_streams_are_handed_on() {
        let mut sink = Kept::default();
        let input = "{\"result\":[\"s\"],\"id\":1}\n\
            7 {\"s\":\"AB\",\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}\n";
        let mut feed = PushedFeed::new("test");
        feed.push(input.as_bytes(), &mut sink, &FeedCounters::default());
        let book = r#"snapshot AB {"s":"AB","lastUpdateId":1,"bids":[],"asks":[]}"#;
        assert_eq!(sink.told, [(0, "announce s".to_owned()), (0, book.to_owned())]);
    }

    #[test]
    fn a_sink_that_stops_gets_nothing_more() {
        let mut sink = Kept { stop_after: Some(1), ..Kept::default() };
        let both = format!("{LINE}\n{LINE}\n");
        let mut feed = PushedFeed::new("test");
        let flow = feed.push(both.as_bytes(), &mut sink, &FeedCounters::default());
        assert_eq!((flow, sink.events.len()), (Flow::Stop, 1));
    }

    proptest! {
        /// Cut anywhere, the events are the same.
        #[test]
        fn cuts_do_not_matter(
            lines in prop::collection::vec("(\\{\"stream\":\"[ab]\",\"data\":[12]\\}|[x{ ]{0,40})", 0..20),
            cuts in prop::collection::vec(0_usize..40, 0..200),
        ) {
            let input = lines.join("\n");
            let mut rest = input.as_bytes();
            let mut parts = Vec::new();
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = after;
            }
            parts.push(rest);
            prop_assert_eq!(events(&parts), events(&[input.as_bytes()]));
        }
    }
}
