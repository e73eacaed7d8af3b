//! How connections end: closed by either side, failed, given up, or lost (RFC 6455 §7).
//!
//! After the last frame our end of TCP is shut, and what the peer still sends is discarded until
//! it shuts its own: closing at once would reset the connection and could take the close frame with
//! it (§7.1.1).
//! Invariant: each accepted connection is counted under one cause, and each session's handler gets
//! `on_close` once.

use super::{Worker, guarded};
use crate::http::{Response, Status};
use crate::net::{Network, Transport as _};
use crate::proto::{CloseCode, CloseFrame, State, Timeout};
use crate::server::context::Context;
use crate::server::handler::{Cause, Closed, Handler};
use crate::server::key::Key;
use crate::server::options::PingPayload;
use crate::server::session::{Ending, Stage};
use std::time::SystemTime;

impl<H: Handler, N: Network> Worker<H, N> {
    /// Calls the handler for an open session, unless its close frame has been sent: §5.5.1 allows
    /// no message after that, so there is nothing left for the handler to do.
    pub(super) fn call(
        &mut self,
        key: Key,
        call: impl FnOnce(&mut H, &mut Context<'_, H::Session>),
    ) {
        let Self { sessions, core, handler, .. } = self;
        let Some(session) = sessions.get_mut(key.index) else {
            return;
        };
        let Stage::Open(open) = &mut session.stage else {
            return;
        };
        if open.connection.state() != State::Open {
            return;
        }
        let mut cx =
            Context { session: &mut open.session, index: key.index, tcp: &session.tcp, core };
        let called = guarded(|| call(handler, &mut cx));
        self.after_call(key, called.is_some());
    }

    /// Does what a handler asked for, and what its panic asks for.
    pub(super) fn after_call(&mut self, key: Key, returned: bool) {
        if let Some(request) = self.core.close_request.take() {
            let frame = CloseFrame { code: request.code, reason: &request.reason };
            self.close_with(key, Cause::Application, frame);
        }
        if !returned {
            self.close(key, Cause::HandlerPanic);
        }
    }

    /// Starts the closing handshake (§7.1.2), for a reason of ours.
    pub(super) fn close(&mut self, key: Key, cause: Cause) {
        let (code, reason) = cause.farewell();
        self.close_with(key, cause, CloseFrame { code, reason });
    }

    fn close_with(&mut self, key: Key, cause: Cause, frame: CloseFrame<'_>) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key.index) else {
            return;
        };
        let Stage::Open(open) = &mut session.stage else {
            return;
        };
        if open.connection.state() != State::Open {
            return;
        }
        open.closing = Some(cause);
        let close = |arena: &mut Vec<u8>| open.connection.close(frame, now, arena);
        self.core.outputs.send_encoded(key.index, close);
        self.core.subscriptions.unsubscribe_all(key.index);
        self.remind(key);
    }

    /// Does what has become due for a connection.
    pub(super) fn handle_timeout(&mut self, key: Key) {
        let now = self.now;
        let Some(session) = self.session(key) else {
            return;
        };
        match &mut session.stage {
            Stage::Handshake(handshake) => {
                // RFC 9110 §15.5.9. Nothing is said to a peer that has said nothing.
                if !handshake.bytes.is_empty() {
                    let text = "408 Request Timeout: the request did not come in time\n";
                    let response = Response::text(Status::REQUEST_TIMEOUT, text);
                    self.send_response(key, "GET", &response);
                }
                self.begin_ending(key, Cause::HandshakeTimeout);
            }
            Stage::Open(open) => {
                if open.expires <= now && open.connection.state() == State::Open {
                    self.close(key, Cause::Lifetime);
                    return;
                }
                match open.connection.handle_timeout(now) {
                    Some(Timeout::PingDue) => self.ping(key),
                    Some(Timeout::Idle) => self.close(key, Cause::IdleTimeout),
                    Some(Timeout::Close) => {
                        self.drop_now(key, Cause::PeerVanished);
                    }
                    None => {}
                }
            }
            Stage::Ending(ending) => {
                let cause = ending.cause;
                self.drop_now(key, cause);
            }
            Stage::Gone => {}
        }
    }

    fn ping(&mut self, key: Key) {
        let mut text = String::new();
        if self.shared.options.ping_payload == PingPayload::UnixMillis {
            let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            text = since_epoch.as_millis().to_string();
        }
        let Some(session) = self.sessions.get_mut(key.index) else {
            return;
        };
        let Stage::Open(open) = &mut session.stage else {
            return;
        };
        let ping = |arena: &mut Vec<u8>| open.connection.ping(text.as_bytes(), arena);
        if let Err(error) = self.core.outputs.send_encoded(key.index, ping) {
            debug_assert!(false, "an open connection takes a ping: {error}");
        }
    }

    /// The peer will send no more.
    pub(super) fn handle_end(&mut self, key: Key) {
        let Some(session) = self.session(key) else {
            return;
        };
        match &mut session.stage {
            Stage::Handshake(_) => self.drop_now(key, Cause::HandshakeAbandoned),
            Stage::Open(_) => {
                self.finish(key, Cause::PeerVanished, CloseCode::ABNORMAL, "");
                self.note_end(key);
            }
            Stage::Ending(_) => self.note_end(key),
            Stage::Gone => {}
        }
    }

    /// Once both ends are shut, the connection is over.
    fn note_end(&mut self, key: Key) {
        let Some(session) = self.session(key) else {
            return;
        };
        let Stage::Ending(ending) = &mut session.stage else {
            return;
        };
        ending.ended = true;
        let (shut, cause) = (ending.shut, ending.cause);
        if shut {
            self.drop_now(key, cause);
        }
    }

    /// Ends the session: tells the handler, and lets what is queued go out.
    pub(super) fn finish(&mut self, key: Key, cause: Cause, code: CloseCode, reason: &str) {
        let Some(session) = self.session(key).filter(|s| matches!(s.stage, Stage::Open(_))) else {
            return;
        };
        let Stage::Open(open) = std::mem::replace(&mut session.stage, Stage::Gone) else {
            return;
        };
        // What we began to close stays closed for that reason, however it ends.
        let cause = open.closing.unwrap_or(cause);
        let peer = || session.tcp.peer_addr().ok();
        let violation = match cause {
            Cause::Violation(violation) => Some(tracing::field::debug(violation)),
            _ => None,
        };
        tracing::debug!(peer = ?peer(), cause = cause.name(), violation, %code, "closed");
        self.core.subscriptions.unsubscribe_all(key.index);
        let closed = Closed { cause, code, reason };
        guarded(|| self.handler.on_close(open.session, &closed));
        self.begin_ending(key, cause);
    }

    /// Lets what is queued go out and nothing else.
    pub(super) fn begin_ending(&mut self, key: Key, cause: Cause) {
        let deadline = self.now.after(self.shared.options.timeouts.close_timeout);
        let Some(session) = self.session(key) else {
            return;
        };
        session.stage = Stage::Ending(Ending { cause, deadline, shut: false, ended: false });
        self.core.outputs.shut(key.index);
        self.core.outputs.mark_dirty(key.index);
        self.remind(key);
    }

    /// Shuts our end of a connection that has nothing more to send.
    pub(super) fn shut_if_ending(&mut self, key: Key) {
        let Some(session) = self.session(key) else {
            return;
        };
        let Stage::Ending(ending) = &mut session.stage else {
            return;
        };
        if ending.shut {
            return;
        }
        ending.shut = true;
        let (cause, ended) = (ending.cause, ending.ended);
        if session.tcp.shutdown_write().is_err() || ended {
            self.drop_now(key, cause);
        }
    }

    /// The send queue is empty again.
    pub(super) fn on_drain(&mut self, key: Key) {
        self.shut_if_ending(key);
        self.call(key, |handler, cx| handler.on_drain(cx));
    }

    /// The peer reads too slowly: what it was owed is dropped, but for the frame under way, and
    /// it is told why, unless it was being told another reason already. `refused_bytes` did not even come into its queue.
    pub(super) fn close_slow_consumer(&mut self, key: Key, refused_bytes: usize) {
        let now = self.now;
        let mut farewell = Vec::new();
        let Some(session) = self.session(key) else {
            return;
        };
        let cause = match &mut session.stage {
            Stage::Open(open) => {
                let (code, reason) = Cause::SlowConsumer.farewell();
                open.connection.close(CloseFrame { code, reason }, now, &mut farewell);
                open.closing.unwrap_or(Cause::SlowConsumer)
            }
            Stage::Ending(ending) => ending.cause,
            Stage::Handshake(_) | Stage::Gone => Cause::SlowConsumer,
        };
        let peer = session.tcp.peer_addr().ok();
        let dropped = self.core.outputs.replace_queue(key.index, refused_bytes, &farewell);
        self.core.counters.dropped_slow_bytes.add(dropped as u64);
        tracing::warn!(?peer, dropped_bytes = dropped, "slow consumer: its send queue is full");
        self.finish(key, cause, CloseCode::ABNORMAL, "");
        // That may have been all, where the peer has vanished and is told nothing.
        if self.core.outputs.queued_bytes(key.index) == 0 {
            self.shut_if_ending(key);
        }
    }

    /// Closes TCP and forgets the connection.
    pub(super) fn drop_now(&mut self, key: Key, cause: Cause) {
        // A session that is still open has its `on_close` to come; this replaces the stage.
        self.finish(key, cause, CloseCode::ABNORMAL, "");
        let Some(session) = self.session(key) else {
            return;
        };
        let cause = match std::mem::replace(&mut session.stage, Stage::Gone) {
            Stage::Gone => return,
            Stage::Ending(ending) => ending.cause,
            Stage::Handshake(_) | Stage::Open(_) => cause,
        };
        self.core.outputs.close(key.index);
        self.core.counters.open.subtract(1);
        self.core.counters.ended(cause);
        self.gone.push(key);
    }

    /// The server was asked to stop: closes the listener and all connections.
    pub(super) fn begin_drain(&mut self) {
        self.listener = None;
        self.end_sources();
        self.drain_deadline = Some(self.now.after(self.shared.options.drain_timeout));
        let keys: Vec<Key> = self.sessions.iter().map(|session| session.key).collect();
        for key in keys {
            match self.session(key).map(|session| &session.stage) {
                Some(Stage::Handshake(_)) => {
                    let text = "503 Service Unavailable: the server is stopping\n";
                    let response = Response::text(Status::SERVICE_UNAVAILABLE, text);
                    self.send_response(key, "GET", &response);
                    self.begin_ending(key, Cause::Shutdown);
                }
                Some(Stage::Open(_)) => {
                    self.call(key, |handler, cx| handler.on_shutdown(cx));
                    self.close(key, Cause::Shutdown);
                }
                Some(Stage::Ending(_) | Stage::Gone) | None => {}
            }
        }
    }

    /// The drain timeout is over, or nobody is left.
    pub(super) fn drop_all(&mut self) {
        let keys: Vec<Key> = self.sessions.iter().map(|session| session.key).collect();
        for key in keys {
            self.drop_now(key, Cause::Shutdown);
        }
        self.free_gone();
    }
}
