//! What can go wrong between a client and its server, in words for a person.

use crate::http::HandshakeFailure;
use crate::proto::Violation;
use std::io;
use std::time::Duration;

/// How a connection failed, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The host has no address.
    #[error("the name cannot be looked up: {0}")]
    Name(io::Error),
    /// The socket failed.
    #[error("{}", io_words(.0))]
    Io(io::Error),
    /// The server's answer is none that opens a connection, or none of HTTP.
    #[error("{0}")]
    Http(HandshakeFailure),
    /// The server closed TCP in the middle of an answer.
    #[error("the server closed the connection instead of answering")]
    NoAnswer,
    /// The answer is longer than anything that is asked for.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// Nothing came where an answer was due.
    #[error("no answer in {0:?}")]
    Late(Duration),
    /// The server broke a rule of RFC 6455.
    #[error("the server broke the protocol: {0}")]
    Violation(Violation),
    /// The server sent a close frame.
    #[error("the server closed the connection with code {code}{}", in_quotes(.reason))]
    Closed { code: u16, reason: String },
    /// The server closed TCP without a close frame.
    #[error("the server closed TCP without a close frame")]
    Vanished,
    /// Nothing was heard, no pong either.
    #[error("the server was silent for too long")]
    Silent,
}

/// Why a command cannot do its work, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The first connection could not be made.
    #[error("cannot connect to {at}: {fault}{}", advice(.fault))]
    Connect { at: String, fault: Fault },
    /// A plain request failed.
    #[error("cannot get {target} from {at}: {fault}{}", advice(.fault))]
    Get { at: String, target: String, fault: Fault },
    /// The server does not want what the work depends on.
    #[error("{at} refuses to subscribe: {answer}; name fewer streams, or others")]
    Refused { at: String, answer: String },
}

/// The words of the system's error without its number.
fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

fn in_quotes(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" \"{}\"", reason.escape_debug()) }
}

fn advice(fault: &Fault) -> &'static str {
    match fault {
        Fault::Name(_) => "; check the URL's host",
        Fault::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "; is the server running, and on this port?"
        }
        Fault::Http(HandshakeFailure::Refused(404)) => {
            "; is it a server of market streams? they are at /ws and /stream"
        }
        Fault::Http(HandshakeFailure::Head(_)) | Fault::NoAnswer | Fault::Late(_) => {
            "; is it a WebSocket server?"
        }
        _ => "",
    }
}
