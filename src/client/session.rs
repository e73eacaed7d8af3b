//! One WebSocket connection in the Client role (RFC 6455), on a socket that blocks for as long as it is
//! told to.
//! Invariant: whatever is owed to the server, pongs and the answer to its close frame, is sent before the
//! next read.

use super::error::Fault;
use crate::http::{ClientHandshake, HeadLimits, Url};
use crate::net::{masking_key, nonce};
use crate::proto::{
    CloseCode, CloseFrame, Config, Connection, Event, Message, Millis, Role, State, Timeout,
    Timeouts,
};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// For each of a host's addresses to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the handshake's answer, and for a write to be taken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// For the server to answer our close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A server that is there says something, a pong at least, well before the second of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const RECEIVE_BYTES: usize = 256 << 10;

/// An open connection.
#[derive(Debug)]
pub(super) struct Session {
    stream: TcpStream,
    connection: Connection,
    opened: Instant,
    buffer: Vec<u8>,
    /// Bytes in `buffer` that came right behind the handshake's answer.
    ahead: usize,
    output: Vec<u8>,
    read_timeout: Option<Duration>,
}

/// A connection to the first of the host's addresses that takes one.
pub(super) fn dial(url: &Url) -> Result<TcpStream, Fault> {
    let addresses = (url.host(), url.port()).to_socket_addrs().map_err(Fault::Name)?;
    let mut last = io::Error::new(ErrorKind::NotFound, "it has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Fault::Io)?;
                stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(Fault::Io)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(Fault::Io(last))
}

impl Session {
    /// Connects and shakes hands.
    pub(super) fn open(url: &Url) -> Result<Self, Fault> {
        let mut stream = dial(url)?;
        let (mut handshake, mut output) = (ClientHandshake::new(url, nonce()), Vec::new());
        handshake.encode(&mut output);
        stream.write_all(&output).map_err(Fault::Io)?;
        let (mut buffer, mut received, start) = (vec![0; RECEIVE_BYTES], 0, Instant::now());
        let head_len = loop {
            let left = ANSWER_TIMEOUT.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(Fault::Late(ANSWER_TIMEOUT));
            }
            stream.set_read_timeout(Some(left)).map_err(Fault::Io)?;
            // A head that fills the buffer is over every limit: room there is.
            let len = match stream.read(buffer.get_mut(received..).unwrap_or_default()) {
                Ok(0) => return Err(Fault::NoAnswer),
                Ok(len) => len,
                Err(error) if is_timeout(&error) => return Err(Fault::Late(ANSWER_TIMEOUT)),
                Err(error) => return Err(Fault::Io(error)),
            };
            received += len;
            let so_far = buffer.get(..received).unwrap_or_default();
            let answer = handshake.try_parse(so_far, &HeadLimits::default());
            if let Some(answer) = answer.map_err(Fault::Http)? {
                break answer.head_len();
            }
        };
        buffer.copy_within(head_len..received, 0);
        output.clear();
        let timeouts = Timeouts {
            ping_interval: Some(PING_INTERVAL),
            idle_timeout: Some(IDLE_TIMEOUT),
            close_timeout: CLOSE_TIMEOUT,
        };
        let config = Config { timeouts, ..Config::new(Role::Client(masking_key)) };
        Ok(Self {
            stream,
            connection: Connection::new(Arc::new(config), Millis(0)),
            opened: Instant::now(),
            buffer,
            ahead: received - head_len,
            output,
            read_timeout: None,
        })
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Sends a text message.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Fault> {
        // Once the connection closes nothing may be sent, and what ended it is told by the next read.
        let _ = self.connection.send(Message::Text(text), &mut self.output);
        self.flush()
    }

    /// Reads once, waiting for at most `wait`, and hands over each text message that it brings, with
    /// the time at which the bytes were read, in nanoseconds since 1970.
    pub(super) fn listen(
        &mut self,
        wait: Duration,
        on_text: impl FnMut(u64, &str),
    ) -> Result<(), Fault> {
        let len = match std::mem::take(&mut self.ahead) {
            0 => self.read(wait)?,
            len => Some(len),
        };
        let received_ns = unix_ns();
        if let Some(len) = len {
            self.take(len, received_ns, on_text)?;
        }
        self.keep_up()
    }

    /// Reads what there is; `None` where nothing came.
    fn read(&mut self, wait: Duration) -> Result<Option<usize>, Fault> {
        if self.read_timeout != Some(wait) {
            self.stream.set_read_timeout(Some(wait)).map_err(Fault::Io)?;
            self.read_timeout = Some(wait);
        }
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Err(Fault::Vanished),
            Ok(len) => Ok(Some(len)),
            Err(error) if is_timeout(&error) => Ok(None),
            Err(error) => Err(Fault::Io(error)),
        }
    }

    fn take(
        &mut self,
        len: usize,
        received_ns: u64,
        mut on_text: impl FnMut(u64, &str),
    ) -> Result<(), Fault> {
        let (now, mut at, mut end) = (self.now(), 0, None);
        loop {
            let before = self.connection.state();
            let input = self.buffer.get_mut(at..len).unwrap_or_default();
            let step = match self.connection.handle_input(input, now, &mut self.output) {
                Ok(step) => step,
                Err(violation) => {
                    end = Some(Fault::Violation(violation));
                    break;
                }
            };
            at += step.consumed;
            match step.event {
                Some(Event::Message(Message::Text(text))) => on_text(received_ns, text),
                Some(Event::Close(frame)) if before == State::Open => {
                    let (code, reason) = (frame.code.number(), frame.reason.to_owned());
                    end = Some(Fault::Closed { code, reason });
                }
                Some(_) => {}
                None => break,
            }
        }
        let flushed = self.flush();
        match end {
            Some(fault) => Err(fault),
            None => flushed,
        }
    }

    /// Does what is due: pings, and giving up a server that is silent.
    fn keep_up(&mut self) -> Result<(), Fault> {
        let now = self.now();
        while let Some(timeout) = self.connection.handle_timeout(now) {
            match timeout {
                Timeout::PingDue => {
                    // While it is open, which it is where a ping is due.
                    let _ = self.connection.ping(b"", &mut self.output);
                }
                Timeout::Idle | Timeout::Close => return Err(Fault::Silent),
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).map_err(Fault::Io)?;
            self.output.clear();
        }
        Ok(())
    }

    /// Closes in order (§7.1.2): a close frame, and a little time for the server to answer it. What
    /// still comes before that is dropped.
    pub(super) fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::NORMAL, reason: "" };
        let now = self.now();
        self.connection.close(frame, now, &mut self.output);
        // Whoever leaves does not mind how it ends.
        let _ = self.flush();
        let start = Instant::now();
        while start.elapsed() < CLOSE_TIMEOUT && self.connection.state() != State::Closed {
            if self.listen(CLOSE_TIMEOUT, |_, _| {}).is_err() {
                return;
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Nanoseconds since 1970, by the clock on the wall.
fn unix_ns() -> u64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
