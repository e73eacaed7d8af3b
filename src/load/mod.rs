//! A load generator for WebSocket servers: many connections in the Client role (RFC 6455) on one
//! thread, what they send and when, and what was measured.
//!
//! [`Fleet`](fleet::Fleet) is the event loop; a [`Scenario`](scenario::Scenario) decides what is
//! sent and checks what comes back; [`run`](drive::run) takes it through warm-up, measurement
//! and drain. Knows nothing of the servers of this crate, and prints nothing.
//! Invariant: every run ends by its duration plus a bounded drain, whatever the server does.

mod broadcast;
mod client;
mod clock;
mod connect;
mod drive;
mod echo;
mod error;
mod faults;
mod fleet;
mod idle;
mod keys;
mod ledger;
mod payload;
mod process;
mod recorder;
mod report;
mod scenario;
mod schedule;
mod soak;
mod stamp;
mod streams;
mod subscription;

pub(crate) use broadcast::{Broadcast, Flow};
pub(crate) use connect::{AfterOpening, Connect};
pub(crate) use drive::{Phase, Plan, Progress, Watch};
pub(crate) use echo::{Echo, Pace};
pub(crate) use error::LoadError;
pub(crate) use fleet::Waiting;
pub(crate) use idle::Idle;
pub(crate) use ledger::Gaps;
pub(crate) use payload::Content;
pub(crate) use report::{Report, Series, Unit};
pub(crate) use schedule::Rate;
pub(crate) use soak::{Restarts, Soak};
pub(crate) use streams::Streams;
