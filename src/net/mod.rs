//! Sockets: listeners and connections, what an event loop needs of a network, and where randomness
//! comes from. Knows no protocol.
//! Invariant: every socket is non-blocking, and every connection has TCP_NODELAY.

mod alarm;
#[cfg(feature = "cli")]
mod dial;
mod entropy;
mod listener;
mod network;
mod options;
mod system;
mod tcp;
mod udp;

pub use entropy::{masking_key, nonce};
pub use listener::BindError;
pub use options::SocketOptions;

#[cfg(feature = "cli")]
pub(crate) use dial::ReceiveBuffer;
pub(crate) use listener::{Listener, bind, bind_one};
pub(crate) use network::{Network, Readiness, Sleep, Transport};
pub(crate) use system::System;
pub(crate) use tcp::{Received, Tcp, Written};
pub(crate) use udp::Udp;
