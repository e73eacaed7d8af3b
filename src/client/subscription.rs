//! A connection that is subscribed to streams and stays so: made again when it is lost.
//! Invariant: a follower is asked whether to go on at least every [`TURN`], connected or not, but for the
//! time that a connection takes to be made.

use super::backoff::Backoff;
use super::endpoint::Endpoint;
use super::error::{ClientError, Fault};
use super::message::Kind;
use super::session::Session;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// The longest wait for bytes.
pub(super) const TURN: Duration = Duration::from_millis(50);
/// For a server to answer requests.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Names in one request: a message of some kilobytes, which servers take.
const NAMES_A_REQUEST: usize = 100;
/// The id of the request that servers other than this one may refuse.
const SEQUENCE_ID: u64 = 0;
/// A connection that has lasted so long was a good one: the next wait is short again.
const STABLE: Duration = Duration::from_secs(10);

/// What becomes of what a subscription brings. `Break` ends it.
pub(crate) trait Follower {
    /// The server has taken the subscriptions, at first or again: events come.
    fn on_subscribed(&mut self) -> ControlFlow<()>;
    /// An event, as it came: combined.
    fn on_event(&mut self, received_ns: u64, text: &str) -> ControlFlow<()>;
    /// All that has come so far was told; called often.
    fn on_turn(&mut self) -> ControlFlow<()>;
    /// The connection is lost, and is made again after this time.
    fn on_lost(&mut self, fault: &Fault, wait: Duration);
}

/// Whether events are to say their number and when they came in, where the server can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    Hidden,
    Shown,
}

/// Streams of a server.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) endpoint: Endpoint,
    pub(crate) streams: Vec<String>,
    pub(crate) sequence: Sequence,
}

/// Why a connection is over.
enum End {
    /// The follower wants no more.
    Done,
    Lost(Fault),
    /// The server refuses what was asked for, and would again.
    Refused(String),
}

impl Subscription {
    /// Follows the streams until the follower has had enough. Only where the first connection cannot
    /// be made, or the server refuses to subscribe, is that an error.
    pub(crate) fn follow(&self, follower: &mut impl Follower) -> Result<(), ClientError> {
        let (mut backoff, mut was_open) = (Backoff::new(), false);
        loop {
            let start = Instant::now();
            let fault = match self.connect(follower, &mut was_open) {
                End::Done => return Ok(()),
                End::Refused(answer) => {
                    return Err(ClientError::Refused { at: self.endpoint.to_string(), answer });
                }
                End::Lost(fault) if !was_open => {
                    return Err(ClientError::Connect { at: self.endpoint.to_string(), fault });
                }
                End::Lost(fault) => fault,
            };
            if start.elapsed() >= STABLE {
                backoff = Backoff::new();
            }
            let wait = backoff.wait();
            follower.on_lost(&fault, wait);
            let again = Instant::now() + wait;
            while Instant::now() < again {
                if follower.on_turn().is_break() {
                    return Ok(());
                }
                std::thread::sleep(again.saturating_duration_since(Instant::now()).min(TURN));
            }
        }
    }

    /// One connection, from its making to its end.
    fn connect(&self, follower: &mut impl Follower, was_open: &mut bool) -> End {
        let mut session = match Session::open(self.endpoint.combined()) {
            Ok(session) => session,
            Err(fault) => return End::Lost(fault),
        };
        match self.converse(&mut session, follower, was_open) {
            End::Lost(fault) => End::Lost(fault),
            end => {
                session.close();
                end
            }
        }
    }

    fn converse(
        &self,
        session: &mut Session,
        follower: &mut impl Follower,
        was_open: &mut bool,
    ) -> End {
        let mut requests = 0_u64;
        if self.sequence == Sequence::Shown {
            let request = r#"{"method":"SET_PROPERTY","params":["sequence",true],"id":0}"#;
            if let Err(fault) = session.say(request) {
                return End::Lost(fault);
            }
        }
        for names in self.streams.chunks(NAMES_A_REQUEST) {
            requests += 1;
            let names = serde_json::Value::from(names);
            let request = format!(r#"{{"method":"SUBSCRIBE","params":{names},"id":{requests}}}"#);
            if let Err(fault) = session.say(&request) {
                return End::Lost(fault);
            }
        }
        let (mut open, asked, mut refused) = (requests, Instant::now(), None);
        loop {
            let (mut flow, mut answered) = (ControlFlow::Continue(()), false);
            let listened = session.listen(TURN, |received_ns, text| {
                if flow.is_break() {
                    return;
                }
                match Kind::of(text) {
                    Kind::Event => flow = follower.on_event(received_ns, text),
                    Kind::Refused(Some(SEQUENCE_ID), _) | Kind::Done(Some(SEQUENCE_ID)) => {}
                    Kind::Refused(_, answer) => refused = Some(answer),
                    Kind::Done(_) => {
                        open = open.saturating_sub(1);
                        answered |= open == 0;
                    }
                }
                if answered {
                    answered = false;
                    *was_open = true;
                    flow = follower.on_subscribed();
                }
            });
            if let Some(answer) = refused {
                return End::Refused(answer);
            }
            // What came before the end was told, and what the follower thinks of it comes first.
            if flow.is_break() || follower.on_turn().is_break() {
                return End::Done;
            }
            if let Err(fault) = listened {
                return End::Lost(fault);
            }
            if open > 0 && asked.elapsed() > ANSWER_TIMEOUT {
                return End::Lost(Fault::Late(ANSWER_TIMEOUT));
            }
        }
    }
}
