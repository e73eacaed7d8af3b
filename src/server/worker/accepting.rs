//! Connections in: accepted, refused in so many words, or cut off.
//!
//! Out of descriptors or memory, accepting pauses and tries again by itself: who waits stays in the
//! kernel's queue, and the limit on connections is what keeps that from happening.
//! Invariant: every connection that is accepted is counted, and has one end that is.

use super::{ACCEPT_PAUSE, Accepting, Worker};
use crate::http::HeadParser;
use crate::net::{Network, Transport as _};
use crate::server::connections::{REFUSAL_TIMEOUT, Refusal, Seat};
use crate::server::handler::{Cause, Handler};
use crate::server::session::{Handshake, Session};
use std::io;
use std::net::SocketAddr;

/// Connections accepted in a turn.
const ACCEPTS_PER_TURN: usize = 64;

impl<H: Handler, N: Network> Worker<H, N> {
    pub(super) fn accept(&mut self) {
        let was_paused = match self.accepting {
            Accepting::Idle => return,
            Accepting::PausedUntil(at) if at > self.now => return,
            before => before != Accepting::Ready,
        };
        self.accepting = Accepting::Ready;
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = &self.listener else {
                self.accepting = Accepting::Idle;
                return;
            };
            match self.network.accept(listener) {
                Ok((tcp, peer)) => self.admit(tcp, peer),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.accepting = Accepting::Idle;
                        return;
                    }
                    // The one who connected has gone again, or a signal came.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        self.core.counters.accept_pauses.add(1);
                        if !was_paused {
                            tracing::warn!(
                                %error, "cannot accept; trying again every {ACCEPT_PAUSE:?}"
                            );
                        }
                        self.accepting = Accepting::PausedUntil(self.now.after(ACCEPT_PAUSE));
                        return;
                    }
                },
            }
        }
    }

    /// Takes a connection in, has it told why not, or cuts it off.
    fn admit(&mut self, tcp: N::Transport, peer: SocketAddr) {
        self.core.counters.accepted.add(1);
        let shared = &self.shared;
        let attempts = shared.attempts.as_ref();
        let admitted = if attempts.is_none_or(|attempts| attempts.admit(peer.ip(), self.now)) {
            shared.connections.admit(peer.ip())
        } else {
            Err(Refusal::Attempts)
        };
        match admitted {
            Ok(seat) => self.open(tcp, peer, seat, None),
            Err(refusal) => match shared.connections.hold_refused() {
                Some(seat) => self.open(tcp, peer, seat, Some(refusal)),
                None => {
                    tcp.abort();
                    self.core.counters.refused_unanswered.add(1);
                    self.core.counters.ended(refusal.cause());
                }
            },
        }
    }

    /// Takes a new connection into the table.
    fn open(&mut self, tcp: N::Transport, peer: SocketAddr, seat: Seat, refusal: Option<Refusal>) {
        let Some(index) = self.sessions.vacant() else {
            self.shared.connections.leave(&seat);
            self.core.counters.ended(Cause::TooManyConnections);
            return;
        };
        let key = self.core.outputs.open(index);
        let mut timeout = self.shared.options.handshake_timeout;
        if refusal.is_some() {
            timeout = timeout.min(REFUSAL_TIMEOUT);
        }
        let deadline = self.now.after(timeout);
        let handshake =
            Handshake { parser: HeadParser::new(), bytes: Vec::new(), deadline, peer, refusal };
        self.sessions.insert(Session::new(key, tcp, handshake));
        match self.seats.get_mut(index) {
            Some(place) => *place = seat,
            None => self.seats.push(seat),
        }
        self.core.counters.open.add(1);
        let Some(session) = self.sessions.get_mut(index) else {
            return;
        };
        if let Err(error) = self.network.watch(&mut session.tcp, key.token()) {
            tracing::warn!(%error, "cannot watch a connection");
            self.drop_now(key, Cause::Reset);
            return;
        }
        self.remind(key);
    }
}
