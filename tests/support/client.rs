//! A client that sends what it is told to, right or wrong, and reads one frame at a time.

use super::DEADLINE;
use super::frame::{self, BINARY, FIN, Frame, PONG, RSV1, TEXT};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The key and the answer to it of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An opening handshake for `target`, with more field lines, each ended by CRLF.
pub(crate) fn upgrade_request(target: &str, more_fields: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
         {more_fields}\r\n"
    )
}

/// One TCP connection to a server.
pub(crate) struct Client {
    stream: TcpStream,
    /// What was received and not yet read by the test.
    received: Vec<u8>,
    /// Whether permessage-deflate was negotiated.
    deflate: bool,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) content: String,
}

impl Answer {
    /// The value of the field with this name, in any case.
    ///
    /// # Panics
    /// If the field is there twice.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values =
            self.fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v);
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value.map(String::as_str)
    }
}

impl Client {
    /// A TCP connection, and nothing said on it.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the server listens");
        stream.set_nodelay(true).expect("a new connection takes options");
        for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            set(&stream, Some(DEADLINE)).expect("the deadline is not zero");
        }
        Self { stream, received: Vec::new(), deflate: false }
    }

    /// An open WebSocket connection.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::open_at(address, "/")
    }

    /// An open WebSocket connection for `target`.
    pub(crate) fn open_at(address: SocketAddr, target: &str) -> Self {
        let mut client = Self::connect(address);
        client.send(upgrade_request(target, "").as_bytes());
        client.expect_switch();
        client
    }

    /// An open WebSocket connection with permessage-deflate, offered as `offer` says; what the
    /// server answered.
    pub(crate) fn open_with_deflate(address: SocketAddr, offer: &str) -> (Self, Answer) {
        let mut client = Self::connect(address);
        let field = format!("Sec-WebSocket-Extensions: {offer}\r\n");
        client.send(upgrade_request("/", &field).as_bytes());
        let answer = client.read_switch();
        client.deflate = answer.field("Sec-WebSocket-Extensions").is_some();
        (client, answer)
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server takes what is sent");
    }

    /// Sends bytes that the server may no longer want.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends nothing more: the client's end of TCP is shut.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection stands");
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("the connection stands");
    }

    /// Has the kernel keep little of what comes: a peer soon notices that nobody reads.
    pub(crate) fn receive_little(&mut self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_recv_buffer_size(8 << 10).expect("the connection stands");
    }

    /// A second handle, to send from another thread.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a descriptor is free")
    }

    /// The next frame.
    pub(crate) fn read_frame(&mut self) -> Frame {
        loop {
            if let Some((frame, len)) = Frame::parse(&self.received) {
                let rsv1 = frame.first & RSV1 != 0;
                assert!(!rsv1 || self.deflate, "§5.2: no extension was negotiated: {frame:?}");
                self.received.drain(..len);
                return frame;
            }
            assert!(self.receive(), "the server ended the connection; a frame was expected");
        }
    }

    pub(crate) fn expect_frame(&mut self, first: u8, payload: &[u8]) {
        let expected = Frame { first, payload: payload.to_vec() };
        let got = self.read_frame();
        assert!(got == expected, "got {got:?}, expected {expected:?}");
    }

    pub(crate) fn expect_text(&mut self, payload: &str) {
        self.expect_frame(FIN | TEXT, payload.as_bytes());
    }

    pub(crate) fn expect_binary(&mut self, payload: &[u8]) {
        self.expect_frame(FIN | BINARY, payload);
    }

    pub(crate) fn expect_pong(&mut self, payload: &[u8]) {
        self.expect_frame(FIN | PONG, payload);
    }

    /// Reads a close frame with this code; yields its reason.
    pub(crate) fn expect_close(&mut self, code: u16) -> String {
        let (got, reason) = self.read_frame().close_code_and_reason();
        assert_eq!(got, Some(code), "{reason}");
        reason
    }

    /// Reads the end of the stream, with nothing before it, and not a reset.
    pub(crate) fn expect_eof(&mut self) {
        if self.received.is_empty() && !self.receive() {
            return;
        }
        panic!("the end was expected, got {}", self.received.escape_ascii());
    }

    /// Whether the end of the stream, or anything else, has come already.
    pub(crate) fn has_news(&self) -> bool {
        self.stream.set_nonblocking(true).expect("the connection stands");
        let news = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).expect("the connection stands");
        news
    }

    /// Reads what a server says that fails the connection (§7.1.7): a close frame, and the end.
    pub(crate) fn expect_failure(&mut self, code: u16) -> String {
        let reason = self.expect_close(code);
        self.expect_eof();
        reason
    }

    /// Closes the connection as §7.1.2 has it, and checks that the server does its part.
    pub(crate) fn close(mut self) {
        self.send(&frame::close(1000, ""));
        self.expect_failure(1000);
    }

    /// Checks that the connection works: what comes next is the answer to this ping.
    pub(crate) fn expect_alive(&mut self) {
        self.send(&frame::ping(b"alive?"));
        self.expect_pong(b"alive?");
    }

    /// Reads the answer to an opening handshake, without an extension; frames may follow.
    pub(crate) fn expect_switch(&mut self) -> Answer {
        let answer = self.read_switch();
        assert_eq!(answer.field("Sec-WebSocket-Extensions"), None);
        answer
    }

    fn read_switch(&mut self) -> Answer {
        let answer = self.read_head();
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.field("Sec-WebSocket-Accept"), Some(ACCEPT));
        assert!(answer.field("Upgrade").is_some_and(|v| v.eq_ignore_ascii_case("websocket")));
        assert!(answer.field("Connection").is_some_and(|v| v.eq_ignore_ascii_case("upgrade")));
        answer
    }

    /// Reads an HTTP answer that is not a switch, and the end of the connection.
    pub(crate) fn read_answer(&mut self) -> Answer {
        let mut answer = self.read_head();
        while self.receive() {}
        answer.content = String::from_utf8(std::mem::take(&mut self.received)).expect("UTF-8");
        answer
    }

    fn read_head(&mut self) -> Answer {
        const END: &[u8] = b"\r\n\r\n";
        let end = loop {
            if let Some(end) = self.received.windows(END.len()).position(|bytes| bytes == END) {
                break end;
            }
            assert!(self.receive(), "no answer but {}", self.received.escape_ascii());
        };
        let head: Vec<u8> = self.received.drain(..end + END.len()).take(end).collect();
        let head = String::from_utf8(head).expect("a head in ASCII");
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| digits.parse().ok());
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a field line");
            (name.to_owned(), value.to_owned())
        });
        let fields = fields.collect();
        let status = status.unwrap_or_else(|| panic!("no status line: {status_line}"));
        Answer { status, fields, content: String::new() }
    }

    /// Receives more; `false`: the server has ended the connection.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        let read = loop {
            match self.stream.read(&mut buffer) {
                // A child process has ended.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(len) => {
                self.received.extend_from_slice(buffer.get(..len).unwrap_or_default());
                len > 0
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("nothing came within {DEADLINE:?}; got {}", self.received.escape_ascii())
            }
            Err(error) => panic!("{error}; got {}", self.received.escape_ascii()),
        }
    }
}
