//! Feeds that are sockets: `--feed udp:…` and `--feed tcp:…`, lines of JSON in the form of those on
//! standard input. They are read in a worker's loop, on no thread of their own.

use super::topics::StreamTopics;
use crate::feed::{FeedCounters, Flow, Kept, Pace, PushedFeed, Sink};
use crate::market::Bookkeeper;
use crate::server::{Ingest, Ingestor, Input};
use std::net::SocketAddr;
use std::sync::Arc;

/// Publishes what the producers of a socket say.
#[derive(Debug)]
pub(super) struct SocketFeed {
    topics: StreamTopics,
    keeper: Bookkeeper,
    counters: Arc<FeedCounters>,
}

/// One connection, or all datagrams.
pub(super) struct Producer {
    peer: Option<SocketAddr>,
    lines: PushedFeed,
}

/// Publishes in the turn in which the bytes were read.
struct TurnSink<'a, 'c> {
    topics: &'a mut StreamTopics,
    cx: &'a mut Ingest<'c>,
}

impl SocketFeed {
    /// A feed whose order books are kept by `keeper`.
    pub(super) fn new(topics: StreamTopics, keeper: Bookkeeper) -> Self {
        Self { topics, keeper, counters: Arc::default() }
    }

    /// What the feed has done, to be read by others.
    pub(super) fn counters(&self) -> Arc<FeedCounters> {
        Arc::clone(&self.counters)
    }
}

impl Ingestor for SocketFeed {
    type Producer = Producer;

    fn on_producer(&mut self, peer: Option<SocketAddr>) -> Producer {
        let name = match peer {
            Some(peer) => {
                tracing::info!(%peer, "a producer has connected");
                format!("tcp {peer}")
            }
            None => "udp".to_owned(),
        };
        Producer { peer, lines: PushedFeed::new(name) }
    }

    fn on_input(&mut self, cx: &mut Ingest<'_>, producer: &mut Producer, input: Input<'_>) {
        let Self { topics, keeper, counters } = self;
        let mut sink = TurnSink { topics, cx };
        let mut sink = Kept::new(keeper, &mut sink);
        match input {
            Input::Stream(bytes) => {
                producer.lines.push(bytes, &mut sink, counters);
            }
            Input::Datagram(bytes) => {
                producer.lines.push(bytes, &mut sink, counters);
                producer.lines.finish(&mut sink, counters);
            }
        }
    }

    fn on_end(&mut self, cx: &mut Ingest<'_>, mut producer: Producer) {
        let Self { topics, keeper, counters } = self;
        producer.lines.finish(&mut Kept::new(keeper, &mut TurnSink { topics, cx }), counters);
        let (events, malformed_lines) = (producer.lines.events(), producer.lines.malformed());
        if let Some(peer) = producer.peer {
            tracing::info!(%peer, events, malformed_lines, "a producer has gone; the feed goes on");
        }
    }
}

impl Sink for TurnSink<'_, '_> {
    fn publish(&mut self, stream: &str, payload: &str, _: Pace) -> Flow {
        let Self { topics, cx } = self;
        if let Some(topic) = topics.of(stream, |name, options| cx.topic(name, options)) {
            cx.publish(topic, payload);
        }
        Flow::Continue
    }

    fn announce(&mut self, stream: &str) {
        let Self { topics, cx } = self;
        topics.of(stream, |name, options| cx.topic(name, options));
    }
}
