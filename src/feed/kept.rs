//! A sink that has the order books of a feed kept on the way to another one.
//! Invariant: each event is passed on once, unchanged and in order, after its book has taken it in
//! and before what is derived from it; so a book is never older than a diff that a client has.

use super::{Flow, Pace, Sink};
use crate::market::Bookkeeper;

/// A sink for a feed, in front of the one that publishes.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use tickwire::feed::{Flow, Kept, Pace, Sink};
/// use tickwire::market::{Bookkeeper, Depth, Markets};
///
/// /// Where events go: most likely to a publisher.
/// #[derive(Default)]
/// struct Streams(Vec<String>);
/// impl Sink for Streams {
///     fn publish(&mut self, stream: &str, _payload: &str, _pace: Pace) -> Flow {
///         self.0.push(stream.to_owned());
///         Flow::Continue
///     }
/// }
///
/// let (markets, mut streams) = (Arc::new(Markets::default()), Streams::default());
/// let mut keeper = Bookkeeper::new(Arc::clone(&markets));
/// let mut sink = Kept::new(&mut keeper, &mut streams);
/// let diff = r#"{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":1,"u":2,"b":[["9","1"]],"a":[]}"#;
/// sink.publish("btcusdt@depth@100ms", diff, Pace::Live);
///
/// // The book is there, and what is derived from it follows the diff.
/// assert!(matches!(markets.depth("BTCUSDT", 5), Depth::Book(_)));
/// assert_eq!(streams.0[..2], ["btcusdt@depth@100ms", "btcusdt@depth5@100ms"]);
/// ```
#[derive(Debug)]
pub struct Kept<'a, S> {
    keeper: &'a mut Bookkeeper,
    sink: &'a mut S,
}

impl<'a, S: Sink> Kept<'a, S> {
    /// Has `keeper` keep the books of what passes on to `sink`.
    pub fn new(keeper: &'a mut Bookkeeper, sink: &'a mut S) -> Self {
        Self { keeper, sink }
    }
}

impl<S: Sink> Sink for Kept<'_, S> {
    fn publish(&mut self, stream: &str, payload: &str, pace: Pace) -> Flow {
        let Self { keeper, sink } = self;
        keeper.handle_event(stream, payload);
        keeper.announce(&mut |stream| sink.announce(stream));
        let mut flow = sink.publish(stream, payload, pace);
        for (stream, payload) in keeper.derived() {
            if flow == Flow::Stop {
                break;
            }
            flow = sink.publish(stream, payload, pace);
        }
        flow
    }

    fn announce(&mut self, stream: &str) {
        self.keeper.note(stream);
        self.sink.announce(stream);
    }

    fn snapshot(&mut self, symbol: Option<&str>, payload: &str) {
        self.keeper.handle_snapshot(symbol, payload);
        self.sink.snapshot(symbol, payload);
    }

    fn skip(&mut self, stream: &str, payload: &str) {
        self.keeper.handle_past(stream, payload);
        self.sink.skip(stream, payload);
    }

    fn caught_up(&mut self) {
        let Self { keeper, sink } = self;
        keeper.announce(&mut |stream| sink.announce(stream));
        self.sink.caught_up();
    }

    fn start_over(&mut self) {
        self.keeper.start_over();
        self.sink.start_over();
    }
}
