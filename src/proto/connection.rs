//! One connection after its opening handshake (RFC 6455 §5, §7): bytes in, events out, and the
//! frames owed in return appended to the caller's buffer.
//!
//! Knows no socket and no clock. Invariants: the same bytes give the same events however they are
//! cut; nothing is processed after a failure or a close frame; no close frame is sent twice and no
//! data after it; between messages no payload is kept.

use super::assembler::{Assembler, ControlBuffer, on_wire_max};
use super::close::CloseFrame;
use super::config::{Config, Role};
use super::decoder::{Current, Decoder};
use super::deflate::{DeflateParameters, Inflater};
use super::error::Violation;
use super::event::{Event, SendError, State, Step, Timeout};
use super::frame::{self, Message, Position};
use super::header::{CONTROL_PAYLOAD_BYTES_MAX, Header, OpCode, Rsv1, Rules};
use super::time::Millis;
use super::utf8;
use std::sync::Arc;

/// One connection after its opening handshake, at either end.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    decoder: Decoder,
    current: Option<Current>,
    pieces: Option<Box<Pieces>>,
    inflater: Option<Box<Inflater>>,
    state: State,
    /// When the peer last sent anything.
    heard: Millis,
    /// Open: when the next ping is due. Closing: when the peer's close frame is.
    due: Millis,
}

/// What is kept of messages and control frames that did not arrive whole.
#[derive(Debug, Default)]
struct Pieces {
    message: Option<Assembler>,
    control: Option<ControlBuffer>,
    /// Which of the two has been handed out as an event and is to be dropped.
    spent: Option<Spent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spent {
    Message,
    Control,
}

/// A frame's payload that completes a message or a control frame.
enum Ready {
    /// It lies whole in the input, unmasked, from `start` to what was consumed.
    InInput { opcode: OpCode, start: usize },
    /// It was put together in `pieces.message`.
    Message,
    /// It was put together in `pieces.control`.
    Control(OpCode),
}

impl Connection {
    /// A connection whose opening handshake has just been completed.
    #[must_use]
    pub fn new(config: Arc<Config>, now: Millis) -> Self {
        let due = config.timeouts.ping_interval.map_or(Millis::NEVER, |every| now.after(every));
        Self {
            config,
            decoder: Decoder::default(),
            current: None,
            pieces: None,
            inflater: None,
            state: State::Open,
            heard: now,
            due,
        }
    }

    /// The connection with permessage-deflate (RFC 7692), as the opening handshake agreed on it:
    /// compressed messages are received as what they inflate to. Messages that are sent through
    /// the connection stay plain; see [`frame::encode_compressed`].
    #[must_use]
    pub fn with_deflate(mut self, agreed: &DeflateParameters) -> Self {
        let (context, window) = match self.config.role {
            Role::Server => (agreed.client_context, agreed.client_window),
            Role::Client(_) => (agreed.server_context, agreed.server_window),
        };
        self.inflater = Some(Box::new(Inflater::new(context, window)));
        self
    }

    /// How far the connection is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Bytes allocated for a message or a control frame that has not come whole, all that belongs
    /// to it included: at most [`Limits::message_bytes_max`](super::Limits::message_bytes_max) and
    /// 512 more. 0 between messages. What permessage-deflate remembers from one message to the
    /// next is not among them.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.pieces.as_ref().map_or(0, |pieces| {
            size_of::<Pieces>() + pieces.message.as_ref().map_or(0, Assembler::capacity)
        })
    }

    /// Has the peer's silence count from `now` on: for an owner who could not hear the peer until
    /// now, or could not ask whether it is there.
    pub fn note_heard(&mut self, now: Millis) {
        self.heard = self.heard.max(now);
    }

    /// Takes received bytes up to the first thing of note, which it yields; call again with the
    /// rest until there is no event. Payloads are unmasked in place and borrowed from the input
    /// where they lie in it whole. Frames owed in return (pongs, the answer to a close frame, the
    /// close frame of a failure) are appended to `output`.
    ///
    /// Once the state is [`State::Closed`], input is discarded (§7.1.7, §1.4).
    ///
    /// # Errors
    /// The rule that the peer broke. The connection has failed: its close frame is in `output`.
    pub fn handle_input<'a>(
        &'a mut self,
        input: &'a mut [u8],
        now: Millis,
        output: &mut Vec<u8>,
    ) -> Result<Step<'a>, Violation> {
        self.drop_spent();
        if !input.is_empty() {
            self.heard = now;
        }
        if self.state == State::Closed {
            return Ok(Step { consumed: input.len(), event: None });
        }
        let (consumed, ready) =
            self.read(input).map_err(|violation| self.fail(violation, output))?;
        let input_len = input.len();
        let event = match ready {
            None => None,
            Some(Ready::Message) => self.assembled().map(Event::Message),
            Some(Ready::InInput { opcode, start }) => {
                let payload = input.get(start..consumed).unwrap_or_default();
                match opcode {
                    OpCode::Text => match utf8::validate(payload) {
                        Ok(text) => Some(Event::Message(Message::Text(text))),
                        Err(_) => return Err(self.fail(Violation::InvalidUtf8, output)),
                    },
                    OpCode::Binary => Some(Event::Message(Message::Binary(payload))),
                    _ => {
                        self.answer(opcode, payload, output)?;
                        control_event(opcode, payload)
                    }
                }
            }
            Some(Ready::Control(opcode)) => {
                let copy = self.pieces.as_mut().and_then(|pieces| pieces.control.take());
                let copy = copy.unwrap_or_else(ControlBuffer::new);
                self.answer(opcode, copy.as_slice(), output)?;
                let pieces = self.pieces.get_or_insert_default();
                pieces.spent = Some(Spent::Control);
                control_event(opcode, pieces.control.insert(copy).as_slice())
            }
        };
        // §1.4, §5.5.1: what follows a close frame is not looked at.
        let closed = matches!(event, Some(Event::Close(_)));
        Ok(Step { consumed: if closed { input_len } else { consumed }, event })
    }

    /// Appends a message as one frame.
    ///
    /// # Errors
    /// [`SendError::Closing`] once a close frame was sent.
    pub fn send(&self, message: Message<'_>, output: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_frame(Position::Last, message.opcode(), message.payload(), output)
    }

    /// Appends one frame, for those who fragment a message themselves (§5.4): the first frame
    /// carries the message's opcode, the others [`OpCode::Continuation`].
    ///
    /// # Errors
    /// [`SendError::Closing`] once a close frame was sent.
    pub fn send_frame(
        &self,
        position: Position,
        opcode: OpCode,
        payload: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closing);
        }
        if opcode.is_control() && payload.len() > CONTROL_PAYLOAD_BYTES_MAX {
            return Err(SendError::ControlTooLong);
        }
        frame::encode(output, position, opcode, self.masking_key(), payload);
        Ok(())
    }

    /// Appends a ping (§5.5.2) with a payload of at most 125 bytes.
    ///
    /// # Errors
    /// [`SendError::Closing`] once a close frame was sent, [`SendError::ControlTooLong`].
    pub fn ping(&self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_frame(Position::Last, OpCode::Ping, payload, output)
    }

    /// Starts the closing handshake (§7.1.2): appends a close frame, once. The peer's answer comes
    /// as [`Event::Close`], or [`Timeout::Close`] when it does not come in time.
    ///
    /// A code that must not be on the wire sends a close frame without a code; a reason is cut to
    /// [`REASON_BYTES_MAX`](super::close::REASON_BYTES_MAX).
    pub fn close(&mut self, frame: CloseFrame<'_>, now: Millis, output: &mut Vec<u8>) {
        if self.state == State::Open {
            self.send_close(frame, output);
            self.state = State::Closing;
            self.due = now.after(self.config.timeouts.close_timeout);
        }
    }

    /// When [`Self::handle_timeout`] has something to say, [`Millis::NEVER`] if never. Input may
    /// move it to later.
    #[must_use]
    pub fn poll_timeout(&self) -> Millis {
        match self.state {
            State::Open => self.due.min(self.idle_at()),
            State::Closing => self.due,
            State::Closed => Millis::NEVER,
        }
    }

    /// What has become due by `now`, if anything. Call again until there is nothing.
    pub fn handle_timeout(&mut self, now: Millis) -> Option<Timeout> {
        match self.state {
            State::Open if self.idle_at() <= now => Some(Timeout::Idle),
            State::Open if self.due <= now => {
                let every = self.config.timeouts.ping_interval;
                self.due = every.map_or(Millis::NEVER, |every| now.after(every));
                Some(Timeout::PingDue)
            }
            State::Closing if self.due <= now => {
                self.state = State::Closed;
                Some(Timeout::Close)
            }
            _ => None,
        }
    }

    fn idle_at(&self) -> Millis {
        let timeout = self.config.timeouts.idle_timeout;
        timeout.map_or(Millis::NEVER, |timeout| self.heard.after(timeout))
    }

    fn masking_key(&self) -> Option<[u8; 4]> {
        match self.config.role {
            // §5.1: "A server MUST NOT mask any frames that it sends to the client."
            Role::Server => None,
            // §5.3: "the client MUST pick a fresh masking key from the set of allowed 32-bit
            // values".
            Role::Client(fresh_key) => Some(fresh_key()),
        }
    }

    fn send_close(&self, frame: CloseFrame<'_>, output: &mut Vec<u8>) {
        let mut buffer = [0; CONTROL_PAYLOAD_BYTES_MAX];
        let payload = frame.payload(&mut buffer);
        frame::encode(output, Position::Last, OpCode::Close, self.masking_key(), payload);
    }

    /// §7.1.7: _Fail the WebSocket Connection_: "SHOULD send a Close frame with an appropriate
    /// status code", and process nothing that follows.
    #[cold]
    fn fail(&mut self, violation: Violation, output: &mut Vec<u8>) -> Violation {
        if self.state == State::Open {
            let code = violation.close_code();
            self.send_close(CloseFrame { code, reason: violation.reason() }, output);
        }
        self.state = State::Closed;
        self.pieces = None;
        self.inflater = None;
        violation
    }

    /// Reads frames until one completes something; yields the bytes consumed with it.
    fn read(&mut self, input: &mut [u8]) -> Result<(usize, Option<Ready>), Violation> {
        let mut at = 0;
        loop {
            if self.current.is_none() {
                let rest = input.get(at..).unwrap_or_default();
                let (len, header) = self.decoder.header(rest, self.rules())?;
                at += len;
                let Some(header) = header else {
                    return Ok((at, None));
                };
                self.begin_frame(&header)?;
                if let Some(end) = whole_frame_end(&header, at, input.len())
                    && self.stands_alone(&header)
                {
                    Current::new(&header).unmask(input.get_mut(at..end).unwrap_or_default());
                    let ready = Ready::InInput { opcode: header.opcode, start: at };
                    return Ok((end, Some(ready)));
                }
                self.gather(&header);
            }
            let (len, ready) = self.read_payload(input.get_mut(at..).unwrap_or_default())?;
            at += len;
            if ready.is_some() || self.current.is_some() {
                return Ok((at, ready));
            }
        }
    }

    /// Takes what has come of the payload in progress. Not inlined: what lies whole in the input
    /// never comes here, and need not make room for it.
    #[inline(never)]
    fn read_payload(&mut self, input: &mut [u8]) -> Result<(usize, Option<Ready>), Violation> {
        let Some(mut current) = self.current.take() else {
            return Ok((0, None));
        };
        let len = current.unmask(input);
        self.keep(&current, input.get(..len).unwrap_or_default())?;
        if !current.is_complete() {
            self.current = Some(current);
            return Ok((len, None));
        }
        Ok((len, self.finish_frame(&current)?))
    }

    /// Checks a frame against the message in progress (§5.4) and the limits (§10.4).
    fn begin_frame(&mut self, header: &Header) -> Result<(), Violation> {
        if header.opcode.is_control() {
            // §5.4: "Control frames […] MAY be injected in the middle of a fragmented message."
            return Ok(());
        }
        let limits = &self.config.limits;
        let in_progress = self.pieces.as_mut().and_then(|pieces| pieces.message.as_mut());
        match (header.opcode, in_progress.is_some()) {
            (OpCode::Continuation, false) => return Err(Violation::ContinuationUnexpected),
            (OpCode::Text | OpCode::Binary, true) => return Err(Violation::ContinuationExpected),
            _ => {}
        }
        let compressed =
            header.compressed || in_progress.as_ref().is_some_and(|m| m.is_compressed());
        if header.payload_len > on_wire_max(limits.frame_bytes_max, compressed) {
            return Err(Violation::FrameTooLarge);
        }
        match in_progress {
            Some(message) => message.begin_frame(header, limits),
            None if header.payload_len
                > on_wire_max(limits.message_bytes_max, header.compressed) =>
            {
                Err(Violation::MessageTooLarge)
            }
            None => Ok(()),
        }
    }

    fn rules(&self) -> Rules {
        let rsv1 = if self.inflater.is_some() { Rsv1::Compressed } else { Rsv1::Reserved };
        Rules { receiver: self.config.role, rsv1 }
    }

    /// Whether a frame, once whole, completes something that no earlier frame has begun.
    fn stands_alone(&self, header: &Header) -> bool {
        header.fin && !header.compressed && header.opcode != OpCode::Continuation
    }

    /// Makes room for what cannot be handed out at once, and begins to wait for it.
    fn gather(&mut self, header: &Header) {
        self.current = Some(Current::new(header));
        let pieces = self.pieces.get_or_insert_default();
        if header.opcode.is_control() {
            pieces.control = Some(ControlBuffer::new());
        } else if pieces.message.is_none() {
            pieces.message = Some(Assembler::new(header));
        }
    }

    /// Keeps a piece of payload until the rest has come.
    fn keep(&mut self, current: &Current, piece: &[u8]) -> Result<(), Violation> {
        let Some(pieces) = &mut self.pieces else {
            return Ok(());
        };
        match (&mut pieces.control, &mut pieces.message) {
            (Some(control), _) if current.opcode.is_control() => control.push(piece),
            (_, Some(message)) => {
                message.push(piece, self.inflater.as_deref_mut(), &self.config.limits)?;
            }
            _ => debug_assert!(piece.is_empty(), "payload without a place"),
        }
        Ok(())
    }

    /// What a frame whose payload was kept completes, if anything.
    fn finish_frame(&mut self, current: &Current) -> Result<Option<Ready>, Violation> {
        if current.opcode.is_control() {
            return Ok(Some(Ready::Control(current.opcode)));
        }
        if !current.fin {
            return Ok(None);
        }
        let pieces = self.pieces.get_or_insert_default();
        pieces.spent = Some(Spent::Message);
        if let Some(message) = &mut pieces.message {
            message.finish(self.inflater.as_deref_mut(), &self.config.limits)?;
        }
        Ok(Some(Ready::Message))
    }

    fn assembled(&self) -> Option<Message<'_>> {
        self.pieces.as_ref()?.message.as_ref().map(Assembler::message)
    }

    /// Drops what the last event was borrowed from.
    fn drop_spent(&mut self) {
        let Some(pieces) = &mut self.pieces else {
            return;
        };
        match pieces.spent.take() {
            Some(Spent::Message) => pieces.message = None,
            Some(Spent::Control) => pieces.control = None,
            None => return,
        }
        if pieces.message.is_none() && pieces.control.is_none() {
            self.pieces = None;
        }
    }

    /// Does what a control frame asks for (§5.5).
    #[inline(never)]
    fn answer(
        &mut self,
        opcode: OpCode,
        payload: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        match opcode {
            // §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
            // response, unless it already received a Close frame." §5.5.3: the pong "must have
            // identical 'Application data'".
            OpCode::Ping => {
                let key = self.masking_key();
                frame::encode(output, Position::Last, OpCode::Pong, key, payload);
            }
            // §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close
            // frame, the endpoint MUST send a Close frame in response. (When sending a Close frame
            // in response, the endpoint typically echos the status code it received.)"
            OpCode::Close => {
                let frame =
                    CloseFrame::parse(payload).map_err(|violation| self.fail(violation, output))?;
                if self.state == State::Open {
                    self.send_close(CloseFrame { code: frame.code, reason: "" }, output);
                }
                self.state = State::Closed;
            }
            // §5.5.3: "A response to an unsolicited Pong frame is not expected."
            _ => {}
        }
        Ok(())
    }
}

/// Where the payload that begins at `start` ends, if that lies within `input_len` bytes.
fn whole_frame_end(header: &Header, start: usize, input_len: usize) -> Option<usize> {
    let len = usize::try_from(header.payload_len).ok()?;
    start.checked_add(len).filter(|end| *end <= input_len)
}

/// The event for a control frame that [`Connection::answer`] found valid.
fn control_event(opcode: OpCode, payload: &[u8]) -> Option<Event<'_>> {
    match opcode {
        OpCode::Ping => Some(Event::Ping(payload)),
        OpCode::Pong => Some(Event::Pong(payload)),
        _ => CloseFrame::parse(payload).ok().map(Event::Close),
    }
}

#[cfg(test)]
mod deflate_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tests;
