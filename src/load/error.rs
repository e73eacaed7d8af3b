//! Why there is nothing to report.

use crate::http::HandshakeFailure;
use crate::proto::Violation;
use std::io;
use std::net::SocketAddr;

/// Why a run could not be made, in one line that says what to do: with its cause, so that no cause
/// is to be printed behind it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The host has no address.
    #[error("cannot look up {host}: {error}; check the URL's host")]
    Host { host: String, error: io::Error },
    /// A connection could not be opened.
    #[error("cannot open connection {number} to {address}: {end}{}", advice(.end))]
    Open { number: usize, address: SocketAddr, end: End },
    /// The system gives no event queue.
    #[error("{what}: {error}")]
    System { what: &'static str, error: io::Error },
    /// `--pid` names no process that can be watched.
    #[error("cannot watch process {pid}: {error}; give --pid the id of a running server")]
    Process { pid: u32, error: io::Error },
    /// The server refuses a request that the run depends on.
    #[error("the server refuses {what}: {answer}")]
    Refused { what: &'static str, answer: String },
    /// Stopped by the user before there was anything to measure.
    #[error("stopped before the connections were open")]
    Stopped,
}

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The socket failed.
    #[error("{}", io_words(.0))]
    Io(io::Error),
    /// The server closed TCP in the middle of the handshake.
    #[error("the server closed the connection instead of answering the handshake")]
    NoAnswer,
    /// The server's answer is none that opens a connection.
    #[error("{0}")]
    Handshake(HandshakeFailure),
    /// The handshake took too long.
    #[error("no answer in {0} s")]
    Late(u64),
    /// The server broke a rule.
    #[error("the server broke the protocol: {0}")]
    Violation(Violation),
    /// The server sent a close frame, with this code.
    #[error("the server closed the connection with code {0}")]
    Closed(u16),
    /// The server sent a close frame, and then TCP failed instead of ending.
    #[error("the server closed the connection with code {code}, then: {}", io_words(.error))]
    Cut { code: u16, error: io::Error },
    /// The server closed TCP without a close frame.
    #[error("the server closed TCP without a close frame")]
    Vanished,
    /// We closed it.
    #[error("closed")]
    ByUs,
}

/// The words of the system's error without its number.
fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}

fn advice(end: &End) -> &'static str {
    match end {
        End::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "; is the server running, and on this port?",
            io::ErrorKind::AddrNotAvailable => {
                "; no local port is free: wait a minute, or open fewer connections"
            }
            // EMFILE has no kind of its own.
            _ if error.raw_os_error() == Some(24) => {
                "; raise the limit with 'ulimit -n', or open fewer connections"
            }
            _ => "",
        },
        End::NoAnswer => "; is it a WebSocket server?",
        End::Handshake(HandshakeFailure::Refused(400..500)) => {
            "; check the URL's path, and how many connections the server allows"
        }
        End::Handshake(HandshakeFailure::Head(_)) => "; is it a WebSocket server?",
        End::Late(_) => "; is it a WebSocket server, and does it keep up?",
        _ => "",
    }
}
