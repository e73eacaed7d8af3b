//! Sockets: listeners and connections, and where randomness comes from. Knows no protocol.
//! Invariant: every socket is non-blocking, and every connection has TCP_NODELAY.

mod alarm;
#[cfg(feature = "cli")]
mod dial;
mod entropy;
mod listener;
mod options;
mod tcp;
mod udp;

pub use entropy::{masking_key, nonce};
pub use listener::BindError;
pub use options::SocketOptions;

pub(crate) use alarm::Alarm;
#[cfg(feature = "cli")]
pub(crate) use dial::ReceiveBuffer;
pub(crate) use listener::{Listener, bind, bind_one};
pub(crate) use tcp::{Received, Tcp, Written};
pub(crate) use udp::Udp;
