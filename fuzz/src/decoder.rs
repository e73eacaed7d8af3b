//! Frames as they come off the wire (RFC 6455 §5), cut anywhere.

use super::pieces::same_however_cut;
use super::{CLIENT, CONTROL_BYTES_MAX, LIMITS, NOW};
use std::sync::Arc;
use tickwire::proto::{Config, Connection, Event, OpCode, Role, State, Step, Violation};

/// Either end sees and answers the same however the bytes are cut, and the other end takes what it
/// answers.
pub fn decoder(bytes: &[u8]) {
    for role in [Role::Server, CLIENT] {
        let transcript = same_however_cut(bytes, |pieces| run(role, pieces));
        check_transcript(role, &transcript);
    }
}

/// What an end of a connection makes of the bytes that it receives.
#[derive(Debug, PartialEq, Eq)]
pub struct Transcript {
    /// What came, by opcode and payload; of a close frame that has them, its code and reason.
    pub events: Vec<(OpCode, Vec<u8>)>,
    /// The rule that was broken, if any.
    pub violation: Option<Violation>,
    /// What is sent in return.
    pub output: Vec<u8>,
    /// How far the connection is in the end.
    pub state: State,
}

/// Runs a connection over bytes that arrive in `pieces`.
pub fn run(role: Role, pieces: &[&[u8]]) -> Transcript {
    let config = Arc::new(Config { limits: LIMITS, ..Config::new(role) });
    let mut connection = Connection::new(config, NOW);
    let (mut events, mut output, mut violation) = (Vec::new(), Vec::new(), None);
    let mut bytes = pieces.concat();
    let mut unread = bytes.as_mut_slice();
    for piece in pieces {
        let (mut rest, after) = unread.split_at_mut(piece.len());
        unread = after;
        loop {
            let received = rest.len();
            let consumed = match connection.handle_input(rest, NOW, &mut output) {
                Ok(Step { consumed, event: None }) => {
                    assert_eq!(consumed, received, "input left over");
                    break;
                }
                Ok(Step { consumed, event: Some(event) }) => {
                    events.push(checked(event));
                    consumed
                }
                Err(broken) => {
                    assert_eq!(violation.replace(broken), None, "a connection failed twice");
                    break;
                }
            };
            rest = rest.get_mut(consumed..).expect("no more consumed than there was");
        }
    }
    Transcript { events, violation, output, state: connection.state() }
}

/// An event that holds to the limits.
fn checked(event: Event<'_>) -> (OpCode, Vec<u8>) {
    let (opcode, payload, len_max) = match event {
        Event::Message(message) => {
            (message.opcode(), message.payload().to_vec(), LIMITS.message_bytes_max)
        }
        Event::Ping(payload) => (OpCode::Ping, payload.to_vec(), CONTROL_BYTES_MAX),
        Event::Pong(payload) => (OpCode::Pong, payload.to_vec(), CONTROL_BYTES_MAX),
        Event::Close(frame) => {
            let code = frame.code.number().to_be_bytes();
            (OpCode::Close, [&code, frame.reason.as_bytes()].concat(), CONTROL_BYTES_MAX)
        }
    };
    assert!(payload.len() as u64 <= len_max, "{opcode:?} of {} bytes", payload.len());
    (opcode, payload)
}

fn check_transcript(role: Role, transcript: &Transcript) {
    let closes = transcript.count(OpCode::Close);
    let failures = usize::from(transcript.violation.is_some());
    // A connection ends once: by a close frame received, or by a rule that was broken.
    assert!(closes + failures <= 1);
    let ended = closes + failures == 1;
    assert_eq!(transcript.state, if ended { State::Closed } else { State::Open });

    let other = match role {
        Role::Server => CLIENT,
        Role::Client(_) => Role::Server,
    };
    let answers = run(other, &[&transcript.output]);
    assert_eq!(answers.violation, None, "the other end refuses what this one sent");
    let pings = transcript.count(OpCode::Ping);
    assert_eq!(answers.count(OpCode::Pong), pings);
    assert_eq!(answers.count(OpCode::Close), closes + failures);
    assert_eq!(answers.events.len(), pings + closes + failures);
}

impl Transcript {
    fn count(&self, opcode: OpCode) -> usize {
        self.events.iter().filter(|(seen, _)| *seen == opcode).count()
    }
}
