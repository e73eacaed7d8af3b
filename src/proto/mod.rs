//! The WebSocket protocol (RFC 6455 §5, §7, RFC 7692) as pure state machines: bytes in, events and bytes out.
//!
//! Knows no socket and no clock: whoever owns the socket passes the bytes and the time. Allocates
//! by bytes received, never by a length that a peer announced. Contains no `unsafe`.
//!
//! [`Connection`] is the whole protocol after the opening handshake, for either [`Role`]. The
//! modules below it are usable by themselves: [`header`], [`frame`], [`mask`], [`utf8`], [`close`],
//! [`deflate`].
//!
//! ```
//! use tickwire::proto::{Config, Connection, Event, Message, Millis};
//!
//! let now = Millis(0);
//! let mut server = Connection::new(Config::server(), now);
//! // A masked text frame "Hello", as in RFC 6455 §5.7.
//! let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let mut output = Vec::new();
//! let step = server.handle_input(&mut input, now, &mut output)?;
//! assert_eq!(step.event, Some(Event::Message(Message::Text("Hello"))));
//! # Ok::<(), tickwire::proto::Violation>(())
//! ```

mod assembler;
pub mod close;
mod config;
mod connection;
mod decoder;
pub mod deflate;
mod error;
mod event;
pub mod frame;
pub mod header;
pub mod mask;
mod time;
pub mod utf8;

pub use close::{CloseCode, CloseFrame};
pub use config::{Config, Limits, Role, Timeouts};
pub use connection::Connection;
pub use deflate::{Context, DeflateParameters, WindowBits};
pub use error::Violation;
pub use event::{Event, SendError, State, Step, Timeout};
pub use frame::Message;
pub use header::{Header, OpCode};
pub use time::Millis;
