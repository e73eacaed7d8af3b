//! What an event loop asks of the world: connections to accept, readiness, sleep and the time.
//!
//! Each of the loop's system calls on its connections goes through here, so that a loop can be run
//! on the operating system ([`System`](super::System)) or on a network that a test makes up.
//! Invariant: readiness is edge-triggered. A transport that has refused a read or a write makes an
//! event when it would no longer do so, and none need come before that.

use super::tcp::{Received, Written};
use mio::Token;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Instant;

/// One connection's bytes, without blocking. "Would block" and the end of the stream are values;
/// an error means that the connection is gone.
pub(crate) trait Transport {
    /// Reads what has come, as much as `buffer` takes. Fewer bytes than that have emptied it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Received>;

    /// Sends bytes, or some of them.
    fn write(&self, bytes: &[u8]) -> io::Result<Written>;

    /// Sends several pieces as if they were one.
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<Written>;

    /// Tells the peer that nothing more will come.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Ends the connection without ceremony: the peer gets a reset, and nothing of it stays here.
    fn reset(self)
    where
        Self: Sized;

    /// The other end's address.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

/// What a loop runs on.
pub(crate) trait Network {
    /// A connection. To drop it is to close it.
    type Transport: Transport;
    /// What connections are accepted from. To drop it is to close it.
    type Listener;
    /// Where readiness is fetched to.
    type Events;

    /// Room for so many events.
    fn events(capacity: usize) -> Self::Events;

    /// What the last [`Self::poll`] has fetched.
    fn readiness(events: &Self::Events) -> impl Iterator<Item = Readiness>;

    /// Fetches events, and waits for one as long as `sleep` says. To have waited for less than that
    /// is no error.
    fn poll(&mut self, events: &mut Self::Events, sleep: Sleep) -> io::Result<()>;

    /// The time, by a clock that never goes back.
    fn now(&mut self) -> Instant;

    /// The next connection and where it comes from.
    fn accept(&self, listener: &Self::Listener) -> io::Result<(Self::Transport, SocketAddr)>;

    /// Has a connection's readiness reported under `token`, once and for all: to be read, to be
    /// written.
    fn watch(&self, transport: &mut Self::Transport, token: Token) -> io::Result<()>;
}

/// How long to wait for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Not at all.
    Never,
    /// Until this time at most.
    Until(Instant),
    /// Until one comes.
    Endless,
}

/// An event: what has become possible with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// What the socket was registered under.
    pub(crate) token: Token,
    /// To read it tells something: bytes, the end, or what went wrong.
    pub(crate) readable: bool,
    /// The peer will send no more.
    pub(crate) ended: bool,
}
