//! What a [`Connection`](super::Connection) yields: values, with no behaviour of their own.

use super::close::CloseFrame;
use super::frame::Message;
use std::fmt;

/// How far the connection is (§7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// We have sent a close frame and wait for the peer's.
    Closing,
    /// Close frames went both ways, or the connection failed: what is left is to close TCP.
    Closed,
}

/// Something that the peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message.
    Message(Message<'a>),
    /// A ping, already answered in the output.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// A close frame, already answered in the output where we had not sent one before.
    Close(CloseFrame<'a>),
}

/// What a call of [`Connection::handle_input`](super::Connection::handle_input) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// What they amounted to. `None`: all of the input is consumed and more is needed.
    pub event: Option<Event<'a>>,
}

/// What has become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Send a ping, by [`Connection::ping`](super::Connection::ping).
    PingDue,
    /// The peer was silent for the idle timeout: close the connection.
    Idle,
    /// The peer did not answer our close frame: close TCP.
    Close,
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// A close frame has been sent: §5.5.1 allows no data after it.
    Closing,
    /// §5.5: a control frame holds at most 125 bytes.
    ControlTooLong,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closing => "the connection is closing: nothing may be sent after a close frame",
            Self::ControlTooLong => "a control frame holds at most 125 bytes",
        })
    }
}

impl std::error::Error for SendError {}
