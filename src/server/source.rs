//! Sources of events that are sockets: read in a worker's own loop, so that an event crosses no
//! thread on its way to that worker's subscribers.
//!
//! What the bytes mean is an [`Ingestor`]'s to say; what it can do is in [`Ingest`].
//! Invariant: a source never waits for a worker and no worker for a source; a worker whose inbox
//! is full misses the event, which is counted.

use super::core::Core;
use crate::hub::{Stamp, Topic, TopicOptions};
use crate::proto::Message;
use std::net::SocketAddr;

/// A socket that events come from. Anybody who reaches it can publish: keep it on a loopback
/// address, or on a network that only producers are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Datagrams to this address; if it is a multicast group's, to the group, on the interface that
    /// the system chooses.
    Udp(SocketAddr),
    /// Connections to this address, up to 64 producers at a time.
    Tcp(SocketAddr),
}

/// Makes events of what a source's producers send. Called by the worker that has the source, so it
/// must not block; where it panics, the producer it was called for is cut off, and nothing else.
pub trait Ingestor: Send + 'static {
    /// What is kept for each producer: for each TCP connection, or for all datagrams together.
    type Producer: Send + 'static;

    /// A producer has come: from this address, or by datagrams.
    fn on_producer(&mut self, peer: Option<SocketAddr>) -> Self::Producer;

    /// Something came from a producer.
    fn on_input(&mut self, cx: &mut Ingest<'_>, producer: &mut Self::Producer, input: Input<'_>);

    /// A producer has gone, or the server stops.
    fn on_end(&mut self, cx: &mut Ingest<'_>, producer: Self::Producer) {
        let _ = (cx, producer);
    }
}

/// What came from a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The next bytes of a connection, cut anywhere.
    Stream(&'a [u8]),
    /// A whole datagram.
    Datagram(&'a [u8]),
}

/// What an [`Ingestor`] can do while it is called.
pub struct Ingest<'a> {
    pub(super) core: &'a mut Core,
    pub(super) stamp: Stamp,
}

impl std::fmt::Debug for Ingest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

impl Ingest<'_> {
    /// The topic with this name; `options` count when the topic is new. Takes a lock: keep the
    /// topic rather than asking for it each time.
    #[must_use]
    pub fn topic(&self, name: &str, options: impl Into<TopicOptions>) -> Topic {
        self.core.publisher.topic(name, options)
    }

    /// Publishes a message that came in at [`Self::stamp`]: to this worker's subscribers in this
    /// turn of its loop, to the other workers through their inboxes.
    pub fn publish<'m>(&mut self, topic: &Topic, message: impl Into<Message<'m>>) {
        self.core.publish_to(topic, message.into(), self.stamp);
    }

    /// When the input in hand was read.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }
}
