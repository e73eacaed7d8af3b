//! Bytes in: from sockets, through the opening handshake or the protocol, to the handler.

use super::{Worker, guarded};
use crate::http::{
    DeflateAgreement, Intent, Rejection, Request, Response, Status, Switching, classify,
};
use crate::net::{Network, Received, Transport as _};
use crate::proto::{CloseCode, Connection, DeflateParameters, Event, Millis, Step};
use crate::server::context::Context;
use crate::server::handler::{Cause, Handler, Opening, Upgrade};
use crate::server::key::Key;
use crate::server::lifetime::lifetime;
use crate::server::options::Options;
use crate::server::rate::{Meter, Rate};
use crate::server::session::{Open, Stage};
use std::net::SocketAddr;
use std::time::SystemTime;

/// Bytes read from one connection in a turn, or discarded of one that is ending.
const READ_BYTES_PER_TURN: usize = 512 << 10;

/// What became of an opening handshake.
enum Answered<S> {
    /// It is a WebSocket connection; so many bytes of the input were its request.
    Opened { session: S, request_len: usize, deflate: Option<DeflateParameters> },
    /// It got an HTTP answer.
    Refused(Cause),
}

/// What a connection's bytes led to.
enum Outcome {
    /// The connection goes on.
    Continue,
    /// It ends, and this is what the handler is told: cause, close code and reason received.
    End(Cause, CloseCode, Box<str>),
}

impl<H: Handler, N: Network> Worker<H, N> {
    /// Reads what the socket has, within the connection's budget.
    pub(super) fn read(&mut self, key: Key) {
        let mut buffer = std::mem::take(&mut self.receive_buffer);
        let mut budget = READ_BYTES_PER_TURN;
        while self.may_read(key) {
            if budget == 0 {
                self.make_ready(key);
                break;
            }
            let Some(session) = self.session(key) else {
                break;
            };
            match session.tcp.read(&mut buffer) {
                Ok(Received::Bytes(len)) => {
                    // A short read has emptied the socket: the next bytes make a new edge. Not so
                    // the end of the stream, if its edge has come already.
                    session.readable = len == buffer.len() || session.peer_ended;
                    budget = budget.saturating_sub(len);
                    self.core.counters.bytes_in.add(len as u64);
                    self.handle_bytes(key, buffer.get_mut(..len).unwrap_or_default());
                }
                Ok(Received::WouldBlock) => session.readable = false,
                Ok(Received::End) => {
                    session.readable = false;
                    self.handle_end(key);
                }
                Err(_) => self.drop_now(key, Cause::Reset),
            }
        }
        self.receive_buffer = buffer;
    }

    /// Whether to read on: not from a peer that does not read what it is owed.
    fn may_read(&mut self, key: Key) -> bool {
        let half_full = self.shared.options.send_queue_bytes_max / 2;
        let queued = self.core.outputs.queued(key.index);
        self.session(key).is_some_and(|session| match session.stage {
            Stage::Gone => false,
            Stage::Ending(_) => session.readable,
            Stage::Handshake(_) | Stage::Open(_) => session.readable && queued <= half_full,
        })
    }

    fn handle_bytes(&mut self, key: Key, bytes: &mut [u8]) {
        match self.session(key).map(|session| &mut session.stage) {
            Some(Stage::Handshake(_)) => self.handle_request(key, bytes),
            Some(Stage::Open(_)) => self.handle_frames(key, bytes),
            Some(Stage::Ending(ending)) => {
                ending.discarded += bytes.len() as u64;
                let (discarded, cause) = (ending.discarded, ending.cause);
                if discarded > self.shared.options.linger_bytes_max {
                    self.core.counters.linger_cut.add(1);
                    self.drop_now(key, cause);
                }
            }
            Some(Stage::Gone) | None => {}
        }
    }

    /// Takes bytes of an opening handshake. Those that follow it are frames.
    fn handle_request(&mut self, key: Key, bytes: &mut [u8]) {
        let Some(session) = self.session(key) else { return };
        let Stage::Handshake(handshake) = &mut session.stage else { return };
        let mut kept = std::mem::take(&mut handshake.bytes);
        // While it is in hand it is nobody's; it is counted again when it is put back.
        self.core.counters.unfinished_bytes.subtract(kept.capacity() as u64);
        if kept.is_empty() {
            match self.answer_request(key, bytes) {
                Some(answered) => return self.after_answer(key, answered, bytes),
                None => kept.extend_from_slice(bytes),
            }
        } else {
            kept.extend_from_slice(bytes);
            if let Some(answered) = self.answer_request(key, &kept) {
                return self.after_answer(key, answered, &mut kept);
            }
        }
        if let Some(session) = self.session(key)
            && let Stage::Handshake(handshake) = &mut session.stage
        {
            let held = kept.capacity() as u64;
            handshake.bytes = kept;
            self.core.counters.unfinished_bytes.add(held);
            if self.holds_too_much() {
                let text = "503 Service Unavailable: too many unfinished requests\n";
                let response = Response::text(Status::SERVICE_UNAVAILABLE, text);
                self.send_response(key, "GET", &response);
                self.begin_ending(key, Cause::Unfinished);
            }
        }
    }

    /// Whether the worker holds more of unfinished requests and messages than it may.
    fn holds_too_much(&self) -> bool {
        let held = self.core.counters.unfinished_bytes.value();
        held > self.shared.options.unfinished_bytes_max
    }

    /// Answers the request that `bytes` begins with; `None`: it is not complete.
    fn answer_request(&mut self, key: Key, bytes: &[u8]) -> Option<Answered<H::Session>> {
        let session = self.sessions.get_mut(key.index)?;
        let Stage::Handshake(handshake) = &mut session.stage else {
            return None;
        };
        let limits = &self.shared.options.head_limits;
        match handshake.parser.try_parse(bytes, limits) {
            Ok(None) => None,
            Ok(Some(request)) => Some(match handshake.refusal {
                None => self.decide(key, &request),
                Some(refusal) => {
                    self.refuse(key, request.method(), &refusal.response(), refusal.cause())
                }
            }),
            Err(rejection) => Some(self.reject(key, "GET", rejection)),
        }
    }

    /// Has the handler decide on a request.
    fn decide(&mut self, key: Key, request: &Request<'_>) -> Answered<H::Session> {
        let method = request.method();
        let handshake = match classify(request) {
            Ok(Intent::WebSocket(handshake)) => handshake,
            Ok(Intent::Plain) => {
                let response = guarded(|| self.handler.on_http(request));
                let response = response.unwrap_or_else(server_error);
                return self.refuse(key, method, &response, Cause::Http);
            }
            Err(rejection) => return self.reject(key, method, rejection),
        };
        // RFC 6455 §10.2: "If the origin indicated is unacceptable to the server, then it SHOULD
        // respond to the WebSocket handshake with a reply containing HTTP 403 Forbidden status
        // code."
        if let Err(rejection) = self.shared.options.origins.check(request.origin()) {
            return self.reject(key, method, rejection);
        }
        let Some(peer) = self.peer(key) else {
            return Answered::Refused(Cause::HandshakeAbandoned);
        };
        let opening = Opening { request, handshake: &handshake, peer };
        let accept = match guarded(|| self.handler.on_request(&opening)) {
            Some(Upgrade::Accept(accept)) => accept,
            Some(Upgrade::Respond(response)) => {
                return self.refuse(key, method, &response, Cause::HandshakeRefused);
            }
            None => {
                return self.refuse(key, method, &server_error(), Cause::HandlerPanic);
            }
        };
        let mut switching = Switching::new(&handshake);
        if let Some(subprotocol) = &accept.subprotocol {
            switching = match switching.subprotocol(subprotocol) {
                Ok(switching) => switching,
                Err(error) => {
                    tracing::error!(%error, %subprotocol, "the handler chose a wrong subprotocol");
                    return self.refuse(key, method, &server_error(), Cause::HandshakeRefused);
                }
            };
        }
        let agreement =
            self.shared.options.deflate.and_then(|_| {
                DeflateAgreement::negotiate(request.headers("sec-websocket-extensions"))
            });
        if let Some(agreement) = &agreement {
            switching = switching.deflate(agreement);
        }
        self.send_http(key, |out| switching.encode(out));
        Answered::Opened {
            session: accept.session,
            request_len: request.head_len(),
            deflate: agreement.map(|agreement| agreement.parameters),
        }
    }

    fn reject(&mut self, key: Key, method: &str, rejection: Rejection) -> Answered<H::Session> {
        tracing::debug!(peer = ?self.peer(key), "handshake rejected: {rejection}");
        self.refuse(key, method, &Response::from(rejection), Cause::HandshakeRefused)
    }

    fn refuse(
        &mut self,
        key: Key,
        method: &str,
        response: &Response,
        cause: Cause,
    ) -> Answered<H::Session> {
        let status = response.status();
        tracing::debug!(peer = ?self.peer(key), cause = cause.name(), %status, "answered in HTTP");
        self.send_response(key, method, response);
        Answered::Refused(cause)
    }

    /// Sends an HTTP answer that is not a switch to WebSocket.
    pub(super) fn send_response(&mut self, key: Key, method: &str, response: &Response) {
        self.send_http(key, |out| response.encode(method, Some(SystemTime::now()), out));
    }

    /// Where a connection comes from, while it is in its opening handshake.
    fn peer(&self, key: Key) -> Option<SocketAddr> {
        match &self.sessions.get(key.index)?.stage {
            Stage::Handshake(handshake) => Some(handshake.peer),
            Stage::Open(_) | Stage::Ending(_) | Stage::Gone => None,
        }
    }

    /// Sends an HTTP answer: the first thing that goes out on a connection.
    fn send_http(&mut self, key: Key, encode: impl FnOnce(&mut Vec<u8>)) {
        let outputs = &mut self.core.outputs;
        let start = outputs.encoded();
        encode(outputs.arena());
        let range = start..outputs.encoded();
        outputs.begin_with_preamble(key.index, range.len());
        outputs.send(key.index, range);
    }

    fn after_answer(&mut self, key: Key, answered: Answered<H::Session>, bytes: &mut [u8]) {
        match answered {
            Answered::Refused(cause) => self.begin_ending(key, cause),
            Answered::Opened { session, request_len, deflate } => {
                let mut connection = Connection::new(self.shared.config.clone(), self.now);
                if let Some(agreed) = &deflate {
                    connection = connection.with_deflate(agreed);
                    self.core.set_deflate(key.index, agreed.server_window);
                }
                let (messages, controls) = (Meter::default(), Meter::default());
                let (closing, expires) = (None, self.expires());
                let open = Open { connection, session, closing, expires, messages, controls };
                if let Some(session) = self.session(key) {
                    session.stage = Stage::Open(open);
                }
                self.core.counters.handshakes.add(1);
                self.call(key, |handler, cx| handler.on_open(cx));
                self.remind(key);
                // RFC 6455 §4.1 lets a client send frames only after our answer, but what comes
                // with the request is on the connection all the same.
                let frames = bytes.get_mut(request_len..).unwrap_or_default();
                self.handle_frames(key, frames);
            }
        }
    }

    /// When a connection that opens now reaches its greatest age.
    fn expires(&self) -> Millis {
        let Options { lifetime: Some(longest), lifetime_jitter_percent, .. } = self.shared.options
        else {
            return Millis::NEVER;
        };
        let number = self.core.counters.handshakes.value();
        self.now.after(lifetime(longest, lifetime_jitter_percent, self.core.worker, number))
    }

    /// Takes bytes of an open connection.
    fn handle_frames(&mut self, key: Key, bytes: &mut [u8]) {
        let before = self.retained_bytes(key);
        let end = self.handle_events(key, bytes);
        let after = self.retained_bytes(key);
        if before != after {
            self.core.counters.unfinished_bytes.add(after);
            self.core.counters.unfinished_bytes.subtract(before);
        }
        if let Some((cause, code, reason)) = end {
            self.finish(key, cause, code, &reason);
        } else if after > before && self.holds_too_much() {
            self.close(key, Cause::Unfinished);
            self.finish(key, Cause::Unfinished, CloseCode::ABNORMAL, "");
        }
    }

    /// Bytes held of a message that has not come whole.
    fn retained_bytes(&self, key: Key) -> u64 {
        match self.sessions.get(key.index).map(|session| &session.stage) {
            Some(Stage::Open(open)) => open.connection.retained_bytes() as u64,
            _ => 0,
        }
    }

    /// Takes bytes event by event; yields what ends the connection, if anything does.
    fn handle_events(
        &mut self,
        key: Key,
        bytes: &mut [u8],
    ) -> Option<(Cause, CloseCode, Box<str>)> {
        let mut at = 0;
        loop {
            let (consumed, outcome) = self.step(key, bytes.get_mut(at..).unwrap_or_default());
            at += consumed;
            match outcome? {
                Outcome::Continue => {}
                Outcome::End(cause, code, reason) => return Some((cause, code, reason)),
            }
        }
    }

    /// Takes one event's bytes. Yields how many these are, and `None` when there was no event.
    fn step(&mut self, key: Key, input: &mut [u8]) -> (usize, Option<Outcome>) {
        let Self { sessions, core, handler, shared, now, .. } = self;
        let Some(session) = sessions.get_mut(key.index) else {
            return (0, None);
        };
        let Stage::Open(open) = &mut session.stage else {
            return (0, None);
        };
        let step = core
            .outputs
            .send_encoded(key.index, |arena| open.connection.handle_input(input, *now, arena));
        let (consumed, event) = match step {
            Ok(Step { consumed, event: Some(event) }) => (consumed, event),
            Ok(Step { consumed, event: None }) => return (consumed, None),
            Err(violation) => {
                let cause = Cause::Violation(violation);
                return (0, Some(Outcome::End(cause, CloseCode::ABNORMAL, "".into())));
            }
        };
        let goes_on = (consumed, Some(Outcome::Continue));
        if let Event::Close(frame) = event {
            let cause = Cause::PeerClosed;
            return (consumed, Some(Outcome::End(cause, frame.code, frame.reason.into())));
        }
        // We have said goodbye: what still comes is not for the handler.
        if open.closing.is_some() {
            return goes_on;
        }
        let Options { message_rate, control_rate, .. } = &shared.options;
        let is_control = matches!(event, Event::Ping(_) | Event::Pong(_));
        let over = |rate: &Option<Rate>, meter: &mut Meter| {
            rate.as_ref().is_some_and(|rate| !meter.admit(rate, *now))
        };
        let cause = if over(message_rate, &mut open.messages) {
            Some(Cause::RateLimit)
        } else {
            (is_control && over(control_rate, &mut open.controls))
                .then_some(Cause::ControlRateLimit)
        };
        if let Some(cause) = cause {
            // A peer that floods is not listened to until it has closed.
            self.close(key, cause);
            return (consumed, Some(Outcome::End(cause, CloseCode::ABNORMAL, "".into())));
        }
        let Event::Message(message) = event else {
            return goes_on;
        };
        core.counters.messages_in.add(1);
        let mut cx =
            Context { session: &mut open.session, index: key.index, tcp: &session.tcp, core };
        let called = guarded(|| handler.on_message(&mut cx, message));
        self.after_call(key, called.is_some());
        goes_on
    }
}

fn server_error() -> Response {
    Response::text(Status::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n")
}
