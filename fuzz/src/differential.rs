//! Frames through our protocol core and through tungstenite's, an implementation with which it has
//! nothing in common: the same messages, or both fail.
//!
//! Where the two differ, the RFC decides:
//!
//! * §5.2: a length in more bytes than it needs is taken by tungstenite, and refused here.
//! * §7.4: for a close code that must not be on the wire, tungstenite reports a valid frame with
//!   code 1002; here the connection fails. Code 1014, which the IANA registry lists, is one of
//!   those there and valid here.
//! * §7.1.7: tungstenite looks at a frame once all of it is there, and at text once it is whole.
//!   Here a rule that is broken by the first bytes fails the connection at once.

use std::io::{self, Read, Write};
use std::sync::Arc;
use tickwire::proto::{
    CloseCode, Config, Connection, Event, Limits, Message, Millis, Role, Violation,
};
use tungstenite::protocol::{self, WebSocket, WebSocketConfig};

/// Any key will do: it only has to be one.
const CLIENT: Role = Role::Client(|| [0x37, 0xfa, 0x21, 0x3d]);
const NOW: Millis = Millis(0);

/// Limits that both know. tungstenite has none for the number of frames in a message, and holds
/// control frames, which have a limit of their own, to that of frames.
const FRAME_BYTES_MAX: u16 = 300;
const MESSAGE_BYTES_MAX: u16 = 500;

/// Either end sees in the bytes what the other implementation sees in them.
pub fn differential(bytes: &[u8]) {
    for role in [Role::Server, CLIENT] {
        let (mut seen, _, failure) = ours(role, bytes, usize::MAX);
        if failure.is_some() {
            seen.pop();
        }
        check(&seen, failure, &theirs(role, bytes, usize::MAX).0);
    }
}

/// `common` is what is seen here until the connection fails, if it does; `there` all that
/// tungstenite sees.
fn check(common: &[Seen], failure: Option<Violation>, there: &[Seen]) {
    let (common_there, after) = there.split_at_checked(common.len()).unwrap_or((there, &[]));
    if let Some((Seen::Close(Some((1014, _))), common)) = common.split_last() {
        assert!(there.starts_with(common));
        return;
    }
    assert_eq!(common, common_there, "until {failure:?}");
    match failure {
        None => assert_eq!(after, [], "seen by tungstenite alone"),
        // Taken there, so that anything may follow; of a control frame, whose length may not be in
        // more than one byte, too.
        Some(Violation::LengthNotMinimal | Violation::ControlTooLong) => {}
        Some(Violation::CloseCodeInvalid) => {
            // It fails where the reason is no text besides.
            let refused = matches!(after, [Seen::Close(Some((1002, _))) | Seen::Failure]);
            assert!(refused, "{after:?}");
        }
        // It may wait for more, and see what stands between the frames of the message.
        Some(violation) => {
            let message = after.iter().find(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_)));
            assert_eq!(message, None, "seen by tungstenite in spite of {violation:?}");
        }
    }
}

/// What an end of a connection has seen.
#[derive(Debug, PartialEq)]
pub enum Seen {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame, with its code and reason if it has them.
    Close(Option<(u16, String)>),
    /// The connection failed.
    Failure,
}

/// What `role` sees in `input` with tickwire, what it sends in return, and the rule that was
/// broken.
pub fn ours(
    role: Role,
    input: &[u8],
    bytes_at_once: usize,
) -> (Vec<Seen>, Vec<u8>, Option<Violation>) {
    let limits = Limits {
        frame_bytes_max: FRAME_BYTES_MAX.into(),
        message_bytes_max: MESSAGE_BYTES_MAX.into(),
        ..Limits::default()
    };
    let mut connection = Connection::new(Arc::new(Config { limits, ..Config::new(role) }), NOW);
    let (mut seen, mut output) = (Vec::new(), Vec::new());
    for piece in input.chunks(bytes_at_once) {
        let mut piece = piece.to_vec();
        let mut at = 0;
        while let Some(rest) = piece.get_mut(at..) {
            match connection.handle_input(rest, NOW, &mut output) {
                Err(violation) => {
                    seen.push(Seen::Failure);
                    return (seen, output, Some(violation));
                }
                Ok(step) => {
                    at += step.consumed;
                    let Some(event) = step.event else { break };
                    seen.push(event.into());
                }
            }
        }
    }
    (seen, output, None)
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(Message::Text(text)) => Self::Text(text.to_owned()),
            Event::Message(Message::Binary(bytes)) => Self::Binary(bytes.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(frame) if frame.code == CloseCode::NO_STATUS => Self::Close(None),
            Event::Close(frame) => {
                Self::Close(Some((frame.code.number(), frame.reason.to_owned())))
            }
        }
    }
}

/// What `role` sees in `input` with tungstenite, and what it sends in return.
pub fn theirs(role: Role, input: &[u8], bytes_at_once: usize) -> (Vec<Seen>, Vec<u8>) {
    let config = WebSocketConfig::default()
        .max_frame_size(Some(FRAME_BYTES_MAX.into()))
        .max_message_size(Some(MESSAGE_BYTES_MAX.into()));
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client(_) => protocol::Role::Client,
    };
    let wire = Wire { input, bytes_at_once, output: Vec::new() };
    let mut socket = WebSocket::from_raw_socket(wire, role, Some(config));
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Seen::Text(text.as_str().to_owned()),
            Ok(tungstenite::Message::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
            Ok(tungstenite::Message::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(tungstenite::Message::Pong(payload)) => Seen::Pong(payload.to_vec()),
            Ok(tungstenite::Message::Close(frame)) => Seen::Close(
                frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned())),
            ),
            Ok(tungstenite::Message::Frame(_)) => unreachable!("reading gives no frames"),
            // All is read: as much as can be told of it was told.
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                break;
            }
            Err(tungstenite::Error::ConnectionClosed) => break,
            Err(_) => Seen::Failure,
        });
        // Nothing is to be processed after either (§5.5.1, §7.1.7).
        if matches!(seen.last(), Some(Seen::Failure | Seen::Close(_))) {
            let _ = socket.flush();
            break;
        }
    }
    (seen, std::mem::take(&mut socket.get_mut().output))
}

/// A socket in memory that gives no more than `bytes_at_once` in one read.
struct Wire<'a> {
    input: &'a [u8],
    bytes_at_once: usize,
    output: Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.bytes_at_once.min(buffer.len());
        self.input.take(len as u64).read(buffer).inspect(|len| {
            self.input = self.input.get(*len..).unwrap_or_default();
        })
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
