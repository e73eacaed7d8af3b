//! Both ends of a connection, and all that can be done to them in any order (RFC 6455 §5, §7):
//! send, fragment, ping, close, deliver in pieces, let time pass, and put a stranger's bytes on the
//! wire.

use super::CLIENT;
use super::script::Script;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tickwire::proto::frame::Position;
use tickwire::proto::{
    CloseCode, CloseFrame, Config, Connection, Event, Message, Millis, OpCode, Role, SendError,
    State, Timeout, Timeouts, Violation,
};

/// One end, and the wire that leads to it.
struct End {
    connection: Connection,
    /// On the wire to this end, and not yet delivered.
    wire: Vec<u8>,
    /// What the other end has sent and this one has not seen yet.
    owed: VecDeque<(OpCode, Vec<u8>)>,
    /// Whether bytes that the other end did not send have been on the wire.
    tampered: bool,
    /// A message that is being sent from here, in frames.
    fragments: Option<(OpCode, Vec<u8>)>,
    closes_sent: usize,
    closes_seen: usize,
    failures: usize,
}

/// Whatever is done, each end sees what the other sent, closes once, and is silent afterwards.
pub fn connection(bytes: &[u8]) {
    let mut ends = [Role::Server, CLIENT].map(End::new);
    let mut now = Millis(1_000);
    let mut script = Script::new(bytes);
    while !script.is_empty() {
        let step = script.byte();
        let (one, other) = match &mut ends {
            [a, b] if step & 0x80 == 0 => (a, b),
            [a, b] => (b, a),
        };
        match step & 0x0f {
            0..=2 => one.send(other, step & 0x0f, &mut script),
            3 | 4 => one.send_fragment(other, step & 0x0f, &mut script),
            5 => one.ping(other, &mut script),
            6 => one.close(other, &mut script, now),
            7..=10 => {
                let len = usize::from(script.byte());
                one.receive(other, len, now);
            }
            11 | 12 => one.receive(other, usize::MAX, now),
            13 => {
                now = now.after(Duration::from_millis(script.number().into()));
                one.pass_time(other, now);
                other.pass_time(one, now);
            }
            14 => {
                let len = usize::from(script.byte() & 0x1f);
                one.wire.extend_from_slice(script.bytes(len));
                one.tampered = true;
            }
            _ => one.pass_time(other, now),
        }
    }
    let [a, b] = &mut ends;
    // An answer to what is delivered may cross one more time, and then there is nothing left.
    for _ in 0..3 {
        a.receive(b, usize::MAX, now);
        b.receive(a, usize::MAX, now);
    }
    for end in &ends {
        end.check_end();
    }
}

impl End {
    fn new(role: Role) -> Self {
        let timeouts = Timeouts {
            ping_interval: Some(Duration::from_millis(2_000)),
            idle_timeout: Some(Duration::from_millis(5_000)),
            close_timeout: Duration::from_millis(700),
        };
        let config = Arc::new(Config { timeouts, ..Config::new(role) });
        Self {
            connection: Connection::new(config, Millis(1_000)),
            wire: Vec::new(),
            owed: VecDeque::new(),
            tampered: false,
            fragments: None,
            closes_sent: 0,
            closes_seen: 0,
            failures: 0,
        }
    }

    /// A message, which may not stand between the frames of another.
    fn send(&mut self, other: &mut Self, kind: u8, script: &mut Script<'_>) {
        if self.fragments.is_some() {
            return;
        }
        let len = usize::from(script.byte()) * if kind == 2 { 300 } else { 1 };
        let payload = vec![b'm'; len];
        let message = match (kind, std::str::from_utf8(&payload)) {
            (0, Ok(text)) => Message::Text(text),
            _ => Message::Binary(&payload),
        };
        let sent = self.connection.send(message, &mut other.wire);
        self.check_sent(other, sent, message.opcode(), &payload);
    }

    fn send_fragment(&mut self, other: &mut Self, kind: u8, script: &mut Script<'_>) {
        let len = usize::from(script.byte());
        let position = if script.byte() & 1 == 0 { Position::More } else { Position::Last };
        let opening = if kind == 3 { OpCode::Text } else { OpCode::Binary };
        let opcode = if self.fragments.is_some() { OpCode::Continuation } else { opening };
        let payload = vec![b'f'; len];
        let sent = self.connection.send_frame(position, opcode, &payload, &mut other.wire);
        let is_open = self.connection.state() == State::Open;
        assert_eq!(sent, if is_open { Ok(()) } else { Err(SendError::Closing) });
        if is_open {
            let (opcode, mut whole) = self.fragments.take().unwrap_or((opening, Vec::new()));
            whole.extend_from_slice(&payload);
            match position {
                Position::More => self.fragments = Some((opcode, whole)),
                Position::Last => other.owed.push_back((opcode, whole)),
            }
        }
    }

    fn ping(&mut self, other: &mut Self, script: &mut Script<'_>) {
        let payload = vec![b'p'; script.byte().into()];
        let before = other.wire.len();
        let sent = self.connection.ping(&payload, &mut other.wire);
        if sent == Err(SendError::ControlTooLong) {
            assert!(payload.len() > 125 && other.wire.len() == before);
            return;
        }
        self.check_sent(other, sent, OpCode::Ping, &payload);
    }

    fn check_sent(
        &self,
        other: &mut Self,
        sent: Result<(), SendError>,
        opcode: OpCode,
        payload: &[u8],
    ) {
        // §5.5.1: "MUST NOT send any more data frames after sending a Close frame".
        let is_open = self.connection.state() == State::Open;
        assert_eq!(sent, if is_open { Ok(()) } else { Err(SendError::Closing) });
        if is_open {
            other.owed.push_back((opcode, payload.to_vec()));
        }
    }

    fn close(&mut self, other: &mut Self, script: &mut Script<'_>, now: Millis) {
        let code = CloseCode::on_wire(script.number()).unwrap_or(CloseCode::NO_STATUS);
        let len = usize::from(script.byte());
        // Of two bytes each, so that the longest does not fit at a character's end.
        let reason = "é".repeat(len);
        self.start_close(other, CloseFrame { code, reason: &reason }, now);
    }

    fn start_close(&mut self, other: &mut Self, frame: CloseFrame<'_>, now: Millis) {
        let (before, was_open) = (other.wire.len(), self.connection.state() == State::Open);
        self.connection.close(frame, now, &mut other.wire);
        assert_eq!(other.wire.len() > before, was_open, "one close frame, and no second");
        if was_open {
            assert_eq!(self.connection.state(), State::Closing);
            self.sent_close(other, frame.code);
        }
    }

    fn sent_close(&mut self, other: &mut Self, code: CloseCode) {
        self.closes_sent += 1;
        assert_eq!(self.closes_sent, 1, "two close frames");
        other.owed.push_back((OpCode::Close, code.number().to_be_bytes().to_vec()));
    }

    /// Delivers up to `len` bytes of the wire.
    fn receive(&mut self, other: &mut Self, len: usize, now: Millis) {
        let mut input: Vec<u8> = self.wire.drain(..len.min(self.wire.len())).collect();
        let mut rest = input.as_mut_slice();
        loop {
            let (before, other_wire) = (self.connection.state(), other.wire.len());
            let received = rest.len();
            match self.connection.handle_input(rest, now, &mut other.wire) {
                Ok(step) => {
                    let consumed = step.consumed;
                    let event = step.event.map(seen);
                    assert!(before != State::Closed || event.is_none(), "an event after the end");
                    let Some(event) = event else {
                        assert_eq!(consumed, received, "input left over");
                        assert_eq!(other.wire.len(), other_wire, "an answer to nothing");
                        return;
                    };
                    self.saw(other, before, event);
                    rest = rest.get_mut(consumed..).expect("no more consumed than there was");
                }
                Err(violation) => return self.failed(other, before, violation),
            }
        }
    }

    fn saw(&mut self, other: &mut Self, before: State, (opcode, payload): (OpCode, Vec<u8>)) {
        if !self.tampered {
            let expected = self.owed.pop_front();
            assert_eq!(expected, Some((opcode, payload.clone())), "not what was sent");
        }
        match opcode {
            OpCode::Ping => other.owed.push_back((OpCode::Pong, payload)),
            OpCode::Close => {
                self.closes_seen += 1;
                assert_eq!(self.connection.state(), State::Closed);
                if before == State::Open {
                    // §5.5.1: "typically echos the status code it received".
                    self.closes_sent += 1;
                    other.owed.push_back((OpCode::Close, payload));
                }
            }
            _ => {}
        }
    }

    fn failed(&mut self, other: &mut Self, before: State, violation: Violation) {
        assert!(self.tampered, "{violation:?} in what the other end sent");
        assert_ne!(before, State::Closed, "a failure after the end");
        assert_eq!(self.connection.state(), State::Closed);
        self.failures += 1;
        if before == State::Open {
            self.sent_close(other, violation.close_code());
        }
    }

    fn pass_time(&mut self, other: &mut Self, now: Millis) {
        // Each of the three timeouts at most once, and the ping before one of the others.
        for _ in 0..4 {
            let is_due = self.connection.poll_timeout() <= now;
            let timeout = self.connection.handle_timeout(now);
            assert_eq!(timeout.is_some(), is_due, "{timeout:?}");
            match timeout {
                None => return,
                Some(Timeout::PingDue) => {
                    let sent = self.connection.ping(b"due", &mut other.wire);
                    self.check_sent(other, sent, OpCode::Ping, b"due");
                }
                Some(Timeout::Idle) => {
                    let frame = CloseFrame { code: CloseCode::GOING_AWAY, reason: "" };
                    self.start_close(other, frame, now);
                }
                Some(Timeout::Close) => assert_eq!(self.connection.state(), State::Closed),
            }
        }
        assert!(self.connection.poll_timeout() > now, "timeouts without end");
    }

    fn check_end(&self) {
        assert!(self.closes_sent <= 1 && self.closes_seen <= 1 && self.failures <= 1);
        assert!(self.closes_seen + self.failures <= 1, "ended twice");
        if self.connection.state() == State::Open {
            assert_eq!(self.closes_sent, 0);
            assert!(self.tampered || self.owed.is_empty(), "{:?} got lost", self.owed);
        }
        if self.closes_seen + self.failures == 1 {
            assert_eq!(self.connection.state(), State::Closed);
            assert_eq!(self.closes_sent, 1, "an end without a close frame");
        }
    }
}

fn seen(event: Event<'_>) -> (OpCode, Vec<u8>) {
    match event {
        Event::Message(message) => (message.opcode(), message.payload().to_vec()),
        Event::Ping(payload) => (OpCode::Ping, payload.to_vec()),
        Event::Pong(payload) => (OpCode::Pong, payload.to_vec()),
        Event::Close(frame) => (OpCode::Close, frame.code.number().to_be_bytes().to_vec()),
    }
}
