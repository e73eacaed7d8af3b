//! The market-stream protocol: what a client asks for (in its path and in control messages) and
//! the bytes it gets back.
//!
//! Its source is the public description of Binance spot market streams (`web-socket-streams.md`
//! in `binance-spot-api-docs`) together with what common clients do. Everything here is a pure
//! function of its arguments, but for [`service`], which joins it to the server.
//!
//! Invariant: whatever a peer sends is answered by a value; nothing here panics on it.

pub mod control;
pub mod depth;
pub mod envelope;
pub mod files;
pub mod id;
mod json;
mod listing;
pub mod path;
pub mod reply;
pub mod service;
pub mod statistics;
pub mod stream;

pub use control::{Command, Property, Request, Resume};
pub use envelope::{Framing, Sequence, TimeUnit, View};
pub use files::StaticFile;
pub use id::Id;
pub use path::{Endpoint, PathError};
pub use reply::{ErrorReply, Fault};
pub use service::{MarketHandler, MarketOptions};
pub use stream::{InvalidStream, StreamClass, StreamName};
