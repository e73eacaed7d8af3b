//! What the fuzz targets check: one function for each target, which panics where a property of
//! `proto` or `http` does not hold. `tests/corpora.rs` runs the same functions over the committed
//! corpora, without a fuzzer.
//!
//! An input is the bytes on the wire and nothing else, so that a capture is a seed and a find can
//! be sent to a server as it is. How the bytes are cut into reads follows from the bytes.

mod simulator;

pub use self::simulator::simulator;

use std::fmt::Debug;
use std::sync::Arc;
use tickwire::http::oracle;
use tickwire::proto::header::{CONTROL_PAYLOAD_BYTES_MAX, HEADER_BYTES_MAX};
use tickwire::proto::{
    Config, Connection, Event, Header, Limits, Millis, OpCode, Role, State, Step, Violation,
};

/// Small enough for a short input to go over each of them.
const LIMITS: Limits = Limits { frame_bytes_max: 300, message_bytes_max: 400, fragments_max: 8 };
const CONTROL_BYTES_MAX: u64 = CONTROL_PAYLOAD_BYTES_MAX as u64;
/// Any key will do: it only has to be one.
const CLIENT: Role = Role::Client(|| [0x37, 0xfa, 0x21, 0x3d]);
/// No timeout plays a part: it is always the same moment.
const NOW: Millis = Millis(0);

/// A header is read alike however much of it, or after it, is there; and is written as it was read.
pub fn header(bytes: &[u8]) {
    for receiver in [Role::Server, CLIENT] {
        check_header(bytes, |bytes| Header::parse(bytes, receiver));
    }
}

/// What [`header`] checks, of any parser.
pub fn check_header(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<Option<(Header, usize)>, Violation>,
) {
    let outcome = parse(bytes);
    for len in 0..bytes.len().min(HEADER_BYTES_MAX) {
        let part = parse(bytes.get(..len).unwrap_or_default());
        assert!(part == Ok(None) || part == outcome, "{len} bytes give {part:?}");
    }
    match outcome {
        Ok(Some((header, len))) => {
            let read = bytes.get(..len).expect("a header no longer than the input");
            assert_eq!(parse(read), outcome, "the header depends on what follows it");
            let mut written = Vec::new();
            header.encode(&mut written);
            assert_eq!(written, read, "the header is not written as it was read");
            assert!(!header.opcode.is_control() || header.payload_len <= CONTROL_BYTES_MAX);
        }
        Ok(None) => {
            assert!(bytes.len() < HEADER_BYTES_MAX, "no header in {HEADER_BYTES_MAX} bytes")
        }
        Err(_) => {}
    }
}

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

/// A request is read and answered alike however it is cut, and so is an answer by a client.
pub fn handshake(bytes: &[u8]) {
    oracle::check_request(bytes, cuts(bytes));
    oracle::check_request(bytes, std::iter::repeat(1));
    oracle::check_response(bytes, cuts(bytes));
    oracle::check_response(bytes, std::iter::repeat(1));
}

/// Runs over `bytes` at once, byte by byte, and in pieces of all sizes.
///
/// # Panics
/// When the outcomes differ.
pub fn same_however_cut<T: Debug + PartialEq>(bytes: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let at_once = run(&[bytes]);
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(run(&single), at_once, "byte by byte");
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for cut in cuts(bytes) {
        let Some((piece, after)) = rest.split_at_checked(cut) else { break };
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(run(&pieces), at_once, "in pieces {pieces:x?}");
    at_once
}

/// Lengths of pieces without end, from 1 to 128, the short ones more often. They follow from a hash
/// of the bytes.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0100_0000_01b3;
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    let mut hash = bytes.iter().fold(FNV_OFFSET, |hash, byte| mix(hash, *byte));
    std::iter::repeat_with(move || {
        hash = mix(hash, 0);
        let [.., width, value] = (hash >> 16).to_le_bytes();
        1 + usize::from(value & (0x7f >> (width % 8)))
    })
}
