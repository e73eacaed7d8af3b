//! What an application tells the server, and what it is told.
//! Invariant: each `on_open` is followed by exactly one `on_close`, and nothing comes between a
//! session's `on_close` and the end of its session.

use super::context::Context;
use super::folds::Fold;
use crate::http;
use crate::hub::{Publication, Stamp};
use crate::proto::{CloseCode, Message, Violation};
use std::net::SocketAddr;

/// An application. Each worker has a handler of its own, made and used on the worker's thread, so
/// no method needs a lock. None may block: a worker serves all its connections from one thread.
///
/// A handler that panics costs the connection it was called for (close code 1011), and nothing
/// else.
pub trait Handler {
    /// What the application keeps for each connection.
    type Session: 'static;

    /// A client asks to open a WebSocket connection. The request has been checked against
    /// RFC 6455 §4.2.1 and the server's [`Origins`](http::Origins).
    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<Self::Session>;

    /// A client sent a plain HTTP request, GET or HEAD. The default answer is 426, "Upgrade
    /// Required".
    fn on_http(&mut self, request: &http::Request<'_>) -> http::Response {
        let _ = request;
        http::Response::from(http::Rejection::UpgradeRequired)
    }

    /// The connection is open: messages may be sent.
    fn on_open(&mut self, cx: &mut Context<'_, Self::Session>) {
        let _ = cx;
    }

    /// A whole message came. It is not called any more once the application closed the connection.
    fn on_message(&mut self, cx: &mut Context<'_, Self::Session>, message: Message<'_>);

    /// The connection's send queue is empty again, after its socket had refused something. Not
    /// called any more once the connection is closing; nor is `on_shutdown`.
    fn on_drain(&mut self, cx: &mut Context<'_, Self::Session>) {
        let _ = cx;
    }

    /// The server is about to stop: the last chance to send something before close code 1001.
    fn on_shutdown(&mut self, cx: &mut Context<'_, Self::Session>) {
        let _ = cx;
    }

    /// The connection has ended.
    fn on_close(&mut self, session: Self::Session, closed: &Closed<'_>) {
        let _ = (session, closed);
    }

    /// Appends what subscribers with this `view` get of a published event. Called at most once for
    /// an event and view on each worker, however many subscribers there are. Must only append;
    /// what it appends to a text event must be UTF-8. Where it panics, nobody gets the event in
    /// that view. The default view is the payload itself.
    fn render(event: &Published<'_>, view: View, out: &mut Vec<u8>) {
        let _ = view;
        out.extend_from_slice(event.payload);
    }

    /// Which of a topic's events replace one another where it has
    /// [`Lag::Conflate`](crate::server::Lag::Conflate): those with the same key. By default all of them do.
    fn conflation_key(event: &Published<'_>) -> u64 {
        let _ = event;
        0
    }

    /// What folds the events of a topic that has [`Lag::Fold`](crate::server::Lag::Fold), made
    /// when a subscriber begins to lag and shared by all that do. Without one, the topic's
    /// events are queued like those of other topics.
    fn fold(topic: &str) -> Option<Box<dyn Fold>> {
        let _ = topic;
        None
    }
}

/// A client's opening handshake.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The request: path, query, fields.
    pub request: &'a http::Request<'a>,
    /// The WebSocket part of it: the subprotocols that the client offers.
    pub handshake: &'a http::Handshake<'a>,
    /// Where the client connects from.
    pub peer: SocketAddr,
}

/// The answer to an opening handshake.
#[derive(Debug)]
pub enum Upgrade<S> {
    /// Open the connection.
    Accept(Accept<S>),
    /// Answer in HTTP and close.
    Respond(http::Response),
}

impl<S> Upgrade<S> {
    /// Open the connection, with this session.
    pub fn accept(session: S) -> Self {
        Self::Accept(Accept { session, subprotocol: None })
    }
}

/// How a connection is to be opened.
#[derive(Clone, Debug)]
pub struct Accept<S> {
    /// What the application keeps for the connection.
    pub session: S,
    /// One of the subprotocols that the client offers, or none (§4.2.2). Get it from
    /// [`http::Handshake::select`]. One that was not offered is answered with a 500.
    pub subprotocol: Option<Box<str>>,
}

/// How a subscriber wants to see published events: a number from 0 to [`View::MAX`] whose meaning
/// is the handler's own (see [`Handler::render`]). A connection begins with view 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View(u8);

impl View {
    /// The highest view.
    pub const MAX: u8 = 7;

    /// The view with this number; `None` above [`View::MAX`].
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= Self::MAX { Some(Self(number)) } else { None }
    }

    /// The view's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// An event as it was published.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Which of the topic's publications it is, from 1: the same on all workers, and a gap is a
    /// loss. 0 on a topic that no [`Publisher::topic`](super::Publisher::topic) has made.
    pub seq: u64,
    /// When it came in.
    pub stamp: Stamp,
}

impl<'a> From<&'a Publication> for Published<'a> {
    fn from(publication: &'a Publication) -> Self {
        let Publication { topic, payload, seq, stamp, .. } = publication;
        Self { topic: topic.name(), payload, seq: *seq, stamp: *stamp }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed<'a> {
    /// Why.
    pub cause: Cause,
    /// The code of the close frame received (RFC 6455 §7.1.5): [`CloseCode::NO_STATUS`] where it
    /// had none, [`CloseCode::ABNORMAL`] where no close frame came.
    pub code: CloseCode,
    /// The reason of the close frame received (§7.1.6), often empty.
    pub reason: &'a str,
}

/// Why a connection ended. Each connection that was accepted ends for exactly one of these, and is
/// counted under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The peer sent a close frame first.
    PeerClosed,
    /// The peer ended TCP without a close frame.
    PeerVanished,
    /// The peer reset the connection, or the network lost it.
    Reset,
    /// The peer broke the protocol or went over a limit.
    Violation(Violation),
    /// The application closed the connection.
    Application,
    /// A handler panicked.
    HandlerPanic,
    /// The peer was silent for the idle timeout.
    IdleTimeout,
    /// The peer sent more messages than the rate allows.
    RateLimit,
    /// The peer sent more control frames than the rate allows.
    ControlRateLimit,
    /// The peer read too slowly: its send queue was full, or what waited in it too old.
    SlowConsumer,
    /// The peer read nothing at all for too long, while something waited for it.
    WriteStall,
    /// More came of an unfinished request or message while the worker held as much of such as it
    /// may.
    Unfinished,
    /// The connection reached its greatest age.
    Lifetime,
    /// The server stopped.
    Shutdown,
    /// The opening handshake did not come in time.
    HandshakeTimeout,
    /// The opening handshake was refused.
    HandshakeRefused,
    /// The peer left before its opening handshake was complete.
    HandshakeAbandoned,
    /// A plain HTTP request was answered.
    Http,
    /// There were as many connections as there may be.
    TooManyConnections,
    /// There were as many connections from the address as there may be.
    TooManyOfAddress,
    /// The address had made as many connection attempts as it may.
    TooManyAttempts,
}

impl Cause {
    /// The names of all causes, each at its [`Self::index`].
    pub(super) const NAMES: [&str; 21] = [
        "peer_closed",
        "peer_vanished",
        "reset",
        "violation",
        "application",
        "handler_panic",
        "idle_timeout",
        "rate_limit",
        "slow_consumer",
        "lifetime",
        "shutdown",
        "handshake_timeout",
        "handshake_refused",
        "handshake_abandoned",
        "http",
        "control_rate_limit",
        "unfinished",
        "too_many_connections",
        "too_many_of_address",
        "too_many_attempts",
        "write_stall",
    ];

    /// The cause's place in a table of all causes, all violations being one.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::PeerClosed => 0,
            Self::PeerVanished => 1,
            Self::Reset => 2,
            Self::Violation(_) => 3,
            Self::Application => 4,
            Self::HandlerPanic => 5,
            Self::IdleTimeout => 6,
            Self::RateLimit => 7,
            Self::SlowConsumer => 8,
            Self::Lifetime => 9,
            Self::Shutdown => 10,
            Self::HandshakeTimeout => 11,
            Self::HandshakeRefused => 12,
            Self::HandshakeAbandoned => 13,
            Self::Http => 14,
            Self::ControlRateLimit => 15,
            Self::Unfinished => 16,
            Self::TooManyConnections => 17,
            Self::TooManyOfAddress => 18,
            Self::TooManyAttempts => 19,
            Self::WriteStall => 20,
        }
    }

    /// A name in lower case, for logs and counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(self.index()).copied().unwrap_or("unknown")
    }

    /// The code and reason of the close frame that tells the peer, where we send one first.
    pub(super) const fn farewell(self) -> (CloseCode, &'static str) {
        match self {
            Self::HandlerPanic => (CloseCode::INTERNAL_ERROR, "internal error"),
            Self::IdleTimeout => (CloseCode::GOING_AWAY, "idle timeout"),
            Self::RateLimit => (CloseCode::POLICY_VIOLATION, "Too many requests"),
            Self::ControlRateLimit => (CloseCode::POLICY_VIOLATION, "Too many control frames"),
            Self::Unfinished => (CloseCode::TRY_AGAIN_LATER, "too many unfinished messages"),
            Self::SlowConsumer => (CloseCode::POLICY_VIOLATION, "slow consumer"),
            Self::Lifetime => (CloseCode::GOING_AWAY, "connection lifetime reached"),
            Self::Shutdown => (CloseCode::GOING_AWAY, "server shutdown"),
            Self::Violation(violation) => (violation.close_code(), violation.reason()),
            _ => (CloseCode::NORMAL, ""),
        }
    }
}
