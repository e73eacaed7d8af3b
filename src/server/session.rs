//! One connection as its worker keeps it: the socket, and how far the connection has come.
//! Invariant: the stages follow one another in the order in which they stand here.

use super::connections::Refusal;
use super::handler::Cause;
use super::key::Key;
use super::rate::Meter;
use super::timer::Tick;
use crate::http::HeadParser;
use crate::proto::{Connection, Millis, State};
use std::net::SocketAddr;

/// One connection.
pub(super) struct Session<S, T> {
    pub(super) key: Key,
    pub(super) tcp: T,
    pub(super) stage: Stage<S>,
    /// The reminder that is set for it.
    pub(super) reminder: Tick,
    /// The socket may have something to read.
    pub(super) readable: bool,
    /// The system said that the peer will send no more: read until the end comes.
    pub(super) peer_ended: bool,
    /// It stands in the worker's ready list.
    pub(super) queued: bool,
}

/// How far a connection has come.
pub(super) enum Stage<S> {
    /// Its request is being read.
    Handshake(Box<Handshake>),
    /// It speaks WebSocket.
    Open(Open<S>),
    /// All is said: what is queued goes out, then our end is shut, then the peer's end is awaited.
    Ending(Ending),
    /// Nothing is left but to free its place.
    Gone,
}

pub(super) struct Handshake {
    pub(super) parser: HeadParser,
    /// What has come of the request, unless it came whole.
    pub(super) bytes: Vec<u8>,
    pub(super) deadline: Millis,
    /// Where it comes from.
    pub(super) peer: SocketAddr,
    /// Why it is not taken, if it is not: the answer to its request.
    pub(super) refusal: Option<Refusal>,
}

pub(super) struct Open<S> {
    pub(super) connection: Connection,
    pub(super) session: S,
    /// Why we started to close it, if we did.
    pub(super) closing: Option<Cause>,
    /// When it reaches its greatest age.
    pub(super) expires: Millis,
    pub(super) messages: Meter,
    pub(super) controls: Meter,
}

pub(super) struct Ending {
    pub(super) cause: Cause,
    pub(super) deadline: Millis,
    /// Bytes that came and were not looked at.
    pub(super) discarded: u64,
    /// Our end is shut.
    pub(super) shut: bool,
    /// The peer's end is.
    pub(super) ended: bool,
}

impl Handshake {
    /// Why a connection that ends now did: one that was refused, for that.
    pub(super) fn cause(&self, otherwise: Cause) -> Cause {
        self.refusal.map_or(otherwise, Refusal::cause)
    }
}

impl<S, T> Session<S, T> {
    pub(super) fn new(key: Key, tcp: T, handshake: Handshake) -> Self {
        Self {
            key,
            tcp,
            stage: Stage::Handshake(Box::new(handshake)),
            reminder: Tick::NONE,
            readable: false,
            peer_ended: false,
            queued: false,
        }
    }

    /// The deadline of what it has queued, as far as it counts: one that is ending has its own.
    pub(super) fn queue_deadline(&self, deadline: Millis) -> Millis {
        match &self.stage {
            Stage::Open(open) if open.connection.state() == State::Open => deadline,
            Stage::Open(_) | Stage::Handshake(_) | Stage::Ending(_) | Stage::Gone => Millis::NEVER,
        }
    }

    /// When something is to be done even if nothing happens.
    pub(super) fn deadline(&self) -> Millis {
        match &self.stage {
            Stage::Handshake(handshake) => handshake.deadline,
            Stage::Open(open) if open.connection.state() == State::Open => {
                open.connection.poll_timeout().min(open.expires)
            }
            Stage::Open(open) => open.connection.poll_timeout(),
            Stage::Ending(ending) => ending.deadline,
            Stage::Gone => Millis::NEVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection takes, but for its output (40 B), its reminder (8 B) and its seat
    /// (4 B).
    #[test]
    fn a_session_is_small() {
        // A socket is a descriptor, but for what mio adds in debug builds.
        let size = size_of::<Session<(), u32>>();
        assert!(size <= 128, "{size}");
    }
}
