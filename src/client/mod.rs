//! A client of market streams that blocks its thread: what the program watches and records with.
//!
//! [`Endpoint`] is a server as people name it, [`Endpoint::get`] asks it something over HTTP, a
//! [`Session`](session::Session) is one WebSocket connection, and a [`Subscription`] keeps one up: it
//! subscribes, connects again when it is lost, and tells a [`Follower`] what comes. Knows nothing of this
//! crate's servers, and prints nothing.
//! Invariant: no wait lasts longer than a deadline, whatever the server does.

mod backoff;
mod endpoint;
mod error;
mod get;
mod message;
mod session;
mod subscription;

pub(crate) use endpoint::Endpoint;
pub(crate) use error::Fault;
pub(crate) use message::one_line;
pub(crate) use subscription::{Follower, Sequence, Subscription};
