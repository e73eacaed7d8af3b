//! Sockets: listeners and connections, and where randomness comes from. Knows no protocol.
//! Invariant: every socket is non-blocking, and every connection has TCP_NODELAY.

#[cfg(feature = "cli")]
mod dial;
mod entropy;
mod listener;
mod tcp;

pub use entropy::{masking_key, nonce};
pub use listener::BindError;

#[cfg(feature = "cli")]
pub(crate) use dial::ReceiveBuffer;
pub(crate) use listener::{Listener, bind};
pub(crate) use tcp::{Received, Tcp, Written};
