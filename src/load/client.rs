//! One connection of a fleet: connecting, its handshake (RFC 6455 §4.1), then the Client role.
//! Invariant: all bytes to be sent leave by [`Client::flush`], in order, in as few writes as the
//! socket allows.

use super::clock::{Clock, Nanos};
use super::error::End;
use super::scenario::{Link, Scenario};
use crate::http::{ClientHandshake, HeadLimits, Url};
use crate::net::{ReceiveBuffer, Received, Tcp, Transport as _, Written, nonce};
use crate::proto::{Config, Connection, Event, Millis, State};
use mio::{Registry, Token};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Reads of one connection before the others get their turn.
const READS_A_TURN_MAX: usize = 16;
/// Room that an emptied send buffer may keep: connections that once sent a lot give it back.
const RETAINED_BYTES_MAX: usize = 256 << 10;

/// What the kernel keeps for a client that reads in rations.
const RATIONED_BUFFER_BYTES: usize = 16 << 10;

/// Where the connections of a fleet go, and how.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) address: SocketAddr,
    pub(super) config: Arc<Config>,
    pub(super) head_limits: HeadLimits,
}

/// Whether a client takes what it is sent, once its handshake is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    Everything,
    Nothing,
    /// As much as it is told to, when it is told to.
    Rations,
}

impl Reads {
    /// What the kernel is to keep for a client that reads so.
    fn buffer(self) -> ReceiveBuffer {
        match self {
            Self::Everything => ReceiveBuffer::Usual,
            Self::Nothing => ReceiveBuffer::Bytes(1),
            Self::Rations => ReceiveBuffer::Bytes(RATIONED_BUFFER_BYTES),
        }
    }
}

/// How much a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    All,
    /// The first half, and then nothing.
    Half,
    /// Nothing any more: its half of TCP has ended.
    NoMore,
}

/// What the poll said of a socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readiness {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has closed, or the socket failed: read on to its end.
    pub(super) ended: bool,
}

impl Readiness {
    /// There may be an end to be read, and what comes before it.
    pub(super) const ENDED: Self = Self { readable: true, writable: false, ended: true };
}

/// Whether there is more to read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    More,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: Tcp,
    stage: Stage,
    reads: Reads,
    says: Says,
    /// The code of the server's close frame, where that began the close.
    closed_with: Option<u16>,
    output: Vec<u8>,
    /// Bytes of `output` that have gone.
    gone: usize,
    /// False since the socket last refused bytes.
    writable: bool,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    Handshake(Box<Opening>),
    Open(Connection),
}

#[derive(Debug)]
struct Opening {
    handshake: ClientHandshake,
    received: Vec<u8>,
}

impl Client {
    /// Starts to connect.
    pub(super) fn dial(
        target: &Target,
        registry: &Registry,
        token: Token,
        from: Option<IpAddr>,
        (reads, says): (Reads, Says),
    ) -> io::Result<Self> {
        let mut socket = Tcp::connect(target.address, from, reads.buffer())?;
        socket.register(registry, token)?;
        let (stage, output, closed_with) = (Stage::Connecting, Vec::new(), None);
        Ok(Self { socket, stage, reads, says, closed_with, output, gone: 0, writable: true })
    }

    /// Whether the handshake is done.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    pub(super) fn reads(&self) -> Reads {
        self.reads
    }

    pub(super) fn set_reads(&mut self, reads: Reads) {
        self.reads = reads;
    }

    /// Ends what is sent, the answers to pings as well; the server's bytes are still read.
    pub(super) fn end_sending(&mut self) -> io::Result<()> {
        self.says = Says::NoMore;
        self.socket.shutdown_write()
    }

    /// Ends the connection by a reset.
    pub(super) fn reset(self) -> io::Result<()> {
        self.socket.reset()
    }

    /// Bytes that the socket has not taken yet.
    pub(super) fn queued(&self) -> usize {
        self.output.len() - self.gone
    }

    /// The sending side, once the connection is open.
    pub(super) fn link(&mut self) -> Option<Link<'_>> {
        match &mut self.stage {
            Stage::Open(connection) => Some(Link { connection, output: &mut self.output }),
            _ => None,
        }
    }

    /// Does what the socket is ready for. An error is the end of the connection.
    pub(super) fn serve<S: Scenario>(
        &mut self,
        number: usize,
        readiness: Readiness,
        target: &Target,
        buffer: &mut [u8],
        clock: Clock,
        scenario: &mut S,
    ) -> Result<Rest, End> {
        self.writable |= readiness.writable;
        if matches!(self.stage, Stage::Connecting) {
            if !self.socket.connected().map_err(End::Io)? {
                return Ok(Rest::Nothing);
            }
            let handshake = ClientHandshake::new(&target.url, nonce());
            handshake.encode(&mut self.output);
            if self.says == Says::Half {
                self.output.truncate(self.output.len() / 2);
            }
            let received = Vec::new();
            self.stage = Stage::Handshake(Box::new(Opening { handshake, received }));
        }
        let mut rest = Rest::Nothing;
        match self.reads {
            Reads::Nothing if self.is_open() && readiness.ended => return Err(End::Vanished),
            Reads::Nothing | Reads::Rations if self.is_open() => {}
            _ if readiness.readable || readiness.ended => {
                rest = self.read(number, readiness, target, buffer, clock, scenario)?;
            }
            _ => {}
        }
        self.flush()?;
        Ok(rest)
    }

    /// Reads until the socket has no more, or it is the others' turn.
    fn read<S: Scenario>(
        &mut self,
        number: usize,
        readiness: Readiness,
        target: &Target,
        buffer: &mut [u8],
        clock: Clock,
        scenario: &mut S,
    ) -> Result<Rest, End> {
        for _ in 0..READS_A_TURN_MAX {
            let len = self.read_once(number, target, buffer, clock, scenario)?;
            if !self.is_open() || self.reads != Reads::Everything {
                return Ok(Rest::Nothing);
            }
            // A short read has emptied the socket, unless its end is still to be read.
            if len == 0 || (len < buffer.len() && !readiness.ended) {
                return Ok(Rest::Nothing);
            }
        }
        Ok(Rest::More)
    }

    /// Reads once, at most what the buffer takes; yields how much there was.
    pub(super) fn read_once<S: Scenario>(
        &mut self,
        number: usize,
        target: &Target,
        buffer: &mut [u8],
        clock: Clock,
        scenario: &mut S,
    ) -> Result<usize, End> {
        let len = match self.socket.read(buffer).map_err(|error| self.failure(error))? {
            Received::Bytes(len) => len,
            Received::WouldBlock => return Ok(0),
            Received::End => return Err(self.end()),
        };
        let now = clock.now();
        let bytes = buffer.get_mut(..len).unwrap_or_default();
        match &mut self.stage {
            Stage::Open(_) => self.take(number, bytes, now, scenario)?,
            _ => self.take_answer(number, bytes, target, now, scenario)?,
        }
        Ok(len)
    }

    /// Bytes of the handshake's answer, and perhaps frames behind it.
    fn take_answer<S: Scenario>(
        &mut self,
        number: usize,
        bytes: &[u8],
        target: &Target,
        now: Nanos,
        scenario: &mut S,
    ) -> Result<(), End> {
        let Stage::Handshake(opening) = &mut self.stage else {
            return Ok(());
        };
        opening.received.extend_from_slice(bytes);
        let answer = opening.handshake.try_parse(&opening.received, &target.head_limits);
        let Some(answer) = answer.map_err(End::Handshake)? else {
            return Ok(());
        };
        let head_len = answer.head_len();
        let mut frames = opening.received.split_off(head_len);
        let connection = Connection::new(Arc::clone(&target.config), Millis(0));
        self.stage = Stage::Open(connection);
        if let Some(mut link) = self.link() {
            scenario.on_open(number, &mut link, now);
        }
        if !frames.is_empty() && self.reads != Reads::Nothing {
            self.take(number, &mut frames, now, scenario)?;
        }
        Ok(())
    }

    /// Bytes of frames.
    fn take<S: Scenario>(
        &mut self,
        number: usize,
        bytes: &mut [u8],
        now: Nanos,
        scenario: &mut S,
    ) -> Result<(), End> {
        let Stage::Open(connection) = &mut self.stage else {
            return Ok(());
        };
        let mut at = 0;
        loop {
            let before = connection.state();
            let input = bytes.get_mut(at..).unwrap_or_default();
            let step = connection.handle_input(input, Millis(0), &mut self.output);
            let step = step.map_err(End::Violation)?;
            at += step.consumed;
            match step.event {
                Some(Event::Message(message)) => scenario.on_message(number, message, now),
                // §7.1.1: the server closes TCP first; its end is still to come.
                Some(Event::Close(frame)) if before == State::Open => {
                    self.closed_with = Some(frame.code.number());
                }
                Some(_) => {}
                None => break,
            }
        }
        scenario.on_read(number, &mut Link { connection, output: &mut self.output }, now);
        Ok(())
    }

    /// What the end of the peer's bytes means.
    fn end(&self) -> End {
        if let Some(code) = self.closed_with {
            return End::Closed(code);
        }
        match &self.stage {
            Stage::Connecting | Stage::Handshake(_) => End::NoAnswer,
            Stage::Open(connection) if connection.state() == State::Open => End::Vanished,
            Stage::Open(_) => End::ByUs,
        }
    }

    /// What a failed read or write means.
    fn failure(&self, error: io::Error) -> End {
        match self.closed_with {
            Some(code) => End::Cut { code, error },
            None => End::Io(error),
        }
    }

    /// Writes what there is, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<(), End> {
        if self.says == Says::NoMore {
            self.gone = self.output.len();
        }
        while self.writable && self.queued() > 0 {
            let pending = self.output.get(self.gone..).unwrap_or_default();
            match self.socket.write(pending).map_err(|error| self.failure(error))? {
                Written::Bytes(len) => self.gone += len,
                Written::WouldBlock => self.writable = false,
            }
        }
        if self.queued() == 0 {
            self.output.clear();
            self.output.shrink_to(RETAINED_BYTES_MAX);
            self.gone = 0;
        } else if self.gone > self.output.len() / 2 {
            self.output.drain(..self.gone);
            self.gone = 0;
        }
        Ok(())
    }
}
