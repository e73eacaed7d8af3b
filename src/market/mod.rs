//! The market-stream protocol: what a client asks for (in its path and in control messages) and
//! the bytes it gets back.
//!
//! Its source is the public description of Binance spot market streams (`web-socket-streams.md` in
//! `binance-spot-api-docs`) together with what common clients do. Most of it is pure functions of
//! their arguments. [`service`] joins it to the server, and [`Bookkeeper`] keeps the order books of
//! a feed, which are in [`Markets`].
//!
//! Invariant: whatever a peer sends is answered by a value; nothing here panics on it.

mod assets;
pub mod book;
mod bookkeeper;
pub mod control;
pub mod depth;
mod derived;
pub mod envelope;
pub mod files;
pub mod id;
mod json;
mod listing;
mod markets;
pub mod path;
pub mod reply;
mod rest;
pub mod service;
pub mod statistics;
pub mod stream;
mod traded;

pub use bookkeeper::{Bookkeeper, Derive};
pub use control::{Command, Property, Request, Resume};
pub use envelope::{Framing, Sequence, TimeUnit, View};
pub use files::StaticFile;
pub use id::Id;
pub use markets::{DEPTH_LIMIT_MAX, Depth, MarketCounts, Markets, Missing, SYMBOLS_MAX};
pub use path::{Endpoint, PathError};
pub use reply::{ErrorReply, Fault};
pub use service::{MarketHandler, MarketOptions};
pub use stream::{InvalidStream, StreamClass, StreamName};
