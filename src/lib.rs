//! A low-latency WebSocket server written from RFC 6455 up, and a market-data broadcaster on it.
//!
//! * [`server`]: build a server of your own: a [`Handler`](server::Handler), topics, a
//!   [`Publisher`](server::Publisher) for other threads. Start here.
//! * [`proto`]: the protocol as pure state machines, for either end. [`http`]: the opening
//!   handshake, likewise. Use them by themselves for clients, tests, or an event loop of your own.
//! * `market` and `feed` (feature `market`): the market-stream protocol and where ticks come from.
//!
//! The program `tickwire` is built on this public API (feature `cli`, on by default; a library
//! user turns the default features off).
//!
//! The layers, each of which imports only from those below it, are drawn in
//! `docs/ARCHITECTURE.md`; `tests/layers.rs` holds the code to them.

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
mod client;
#[cfg(feature = "market")]
pub mod feed;
pub mod http;
mod hub;
#[cfg(feature = "cli")]
mod load;
#[cfg(feature = "market")]
pub mod market;
pub mod net;
mod outbox;
pub mod proto;
pub mod server;

/// The Rust examples of README.md, compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
