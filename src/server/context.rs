//! What a handler can do for the connection it is called for.
//! Invariant: nothing here touches a socket; all that is sent leaves at the end of the turn, in
//! order, in one write a connection.

use super::core::{CloseRequest, Core};
use super::handler::View;
use crate::hub::Publisher;
use crate::net::Transport;
use crate::proto::{CloseCode, Message};
use std::net::SocketAddr;

/// One connection, as a handler sees it while it is called.
pub struct Context<'a, S> {
    pub(super) session: &'a mut S,
    pub(super) index: u32,
    pub(super) tcp: &'a dyn Transport,
    pub(super) core: &'a mut Core,
}

impl<S> std::fmt::Debug for Context<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

impl<S> Context<'_, S> {
    /// What the application keeps for this connection.
    pub fn session(&mut self) -> &mut S {
        self.session
    }

    /// The other end's address; `None` where the connection is gone already. Asks the system.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.tcp.peer_addr().ok()
    }

    /// Sends a message to this connection. `false`: the connection is closing and will not get it.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> bool {
        self.core.send(self.index, self.tcp, message.into())
    }

    /// Bytes that the peer has been too slow to take, so far.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.core.outputs.queued_bytes(self.index)
    }

    /// Subscribes this connection to a topic, and sends it the last message of a topic that
    /// retains one. `false`: it was subscribed already.
    pub fn subscribe(&mut self, topic: &str) -> bool {
        self.core.subscribe(self.index, topic)
    }

    /// Which of a topic's messages [`Self::resume`] would leave out for one who has seen all up to
    /// number `seen`: the numbers of the first and the last of them, between which there may be
    /// some that it gets. `None`: none, or this connection is subscribed already.
    ///
    /// * What the topic has not kept ([`TopicOptions::resume_events`](crate::server::TopicOptions))
    ///   is missing; of a topic that keeps the last message alone
    ///   ([`Retain`](crate::server::Retain)), which stands for those before it, only what was
    ///   before the server's first is.
    /// * A number that is yet to come is of another run of the server: the numbers from the next
    ///   one to it are told.
    #[must_use]
    pub fn missing(&self, topic: &str, seen: u64) -> Option<(u64, u64)> {
        self.core.missing(self.index, topic, seen)
    }

    /// Subscribes this connection, which has seen all messages up to number `seen`, to a topic, and
    /// sends it those after it that are kept, in order; none of them and none that follows twice,
    /// whichever worker the others came from. They wait for a slow peer as those of
    /// [`Lag::Close`](crate::server::Lag) do. `false`: it was subscribed already, and nothing is
    /// sent.
    pub fn resume(&mut self, topic: &str, seen: u64) -> bool {
        self.core.resume(self.index, self.tcp, topic, seen)
    }

    /// Ends a subscription. `false`: there was none. Of a connection that lags, messages that wait
    /// to be replaced or folded are dropped; what waits in its send queue still goes out.
    pub fn unsubscribe(&mut self, topic: &str) -> bool {
        self.core.unsubscribe(self.index, topic)
    }

    /// The topics that this connection is subscribed to.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.core.subscriptions.names(self.index)
    }

    /// How many topics this connection is subscribed to.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.core.subscriptions.count(self.index)
    }

    /// Publishes a message to all subscribers of a topic, on all workers, this connection too if it
    /// is one of them. Another worker whose inbox is full misses it, which is counted.
    pub fn publish<'m>(&mut self, topic: &str, message: impl Into<Message<'m>>) {
        self.core.publish(topic, message.into());
    }

    /// How this connection sees published events from now on.
    pub fn set_view(&mut self, view: View) {
        self.core.set_view(self.index, view);
    }

    /// A publisher, to hand to other threads.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.core.publisher.clone()
    }

    /// Closes the connection (RFC 6455 §7.1.2): what was sent before still goes out, then a close
    /// frame with this code and a reason of up to 123 bytes. The first call counts.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        if self.core.close_request.is_none() {
            self.core.close_request = Some(CloseRequest { code, reason: reason.into() });
        }
    }
}
