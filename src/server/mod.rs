//! The server: a hand-written event loop on mio, one worker thread for each core that it is given.
//!
//! Workers share nothing: each has its own listener, its own table of connections, its own timers
//! and its own subscriptions. Where the protocol (`proto`), the opening handshake (`http`), the
//! sockets (`net`), topics (`hub`) and send queues (`outbox`) meet.
//!
//! ```
//! use tickwire::proto::Message;
//! use tickwire::server::{Context, Handler, Opening, Server, Upgrade};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = ();
//!     fn on_request(&mut self, _opening: &Opening<'_>) -> Upgrade<()> {
//!         Upgrade::accept(())
//!     }
//!     fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
//!         cx.send(message);
//!     }
//! }
//!
//! let server = Server::bind("127.0.0.1:0".parse()?)?;
//! println!("ws://{}", server.local_addr());
//! # server.shutdown_handle().shutdown();
//! server.run(|_worker| Echo)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attempts;
mod builder;
mod compress;
mod context;
mod core;
mod encoder;
mod error;
mod handler;
mod histogram;
mod key;
mod options;
mod outputs;
mod pinning;
mod rate;
mod session;
mod shutdown;
mod source;
mod stats;
mod table;
mod timer;
mod transit;
mod worker;

pub use attempts::AttemptLimit;
pub use builder::{Builder, Server};
pub use context::Context;
pub use error::BuildError;
pub use handler::{Accept, Cause, Closed, Handler, Opening, Published, Upgrade, View};
pub use histogram::Histogram;
pub use options::{DeflateOptions, Options, PingPayload, Waiting};
pub use rate::Rate;
pub use shutdown::ShutdownHandle;
pub use source::{Ingest, Ingestor, Input, Source};
pub use stats::{Stats, StatsHandle};
pub use transit::Latency;
#[cfg(feature = "simulator")]
#[doc(hidden)]
pub use worker::simulator;

pub use crate::hub::{Delivery, Publication, Publisher, PublisherStats, Retain, Stamp, Topic};
pub use crate::net::{BindError, SocketOptions};
