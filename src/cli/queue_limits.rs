//! Limits on what waits for clients that read too slowly.

use super::args::LIMITS;
use super::units::{OptionalDuration, bytes, optional_duration};
use crate::server::Options;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct QueueLimitArguments {
    /// Bytes queued for a client that reads too slowly, before it is closed with code 1008; streams
    /// whose events can stand for one another take no room in it
    /// [default: serve 4MiB; echo and chat 16MiB or four times the message limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = LIMITS)]
    send_queue: Option<u64>,

    /// How long an event or an answer may be queued before its client is closed with code 1008;
    /// off: any time [default: serve 30s; echo and chat off]
    #[arg(long, value_name = "TIME", value_parser = optional_duration, help_heading = LIMITS)]
    send_queue_age: Option<OptionalDuration>,

    /// Bytes queued for all clients together; over it the one that most is queued for is closed
    /// with code 1008
    #[arg(
        long, value_name = "BYTES", default_value = "1GiB",
        value_parser = bytes, help_heading = LIMITS
    )]
    send_queues: u64,

    /// Reset a client's connection that takes nothing at all for this long while something is
    /// queued; off: never
    #[arg(
        long, value_name = "TIME", default_value = "60s",
        value_parser = optional_duration, help_heading = LIMITS
    )]
    write_stall: OptionalDuration,
}

/// What depends on what a server does, where the user does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueDefaults {
    /// Bytes queued for one client.
    pub(super) bytes: u64,
    pub(super) age: Option<Duration>,
}

impl QueueLimitArguments {
    /// Options with these limits.
    pub(super) fn limit(&self, options: Options, defaults: QueueDefaults) -> Options {
        let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Options {
            send_queue_bytes_max: bytes(self.send_queue.unwrap_or(defaults.bytes)),
            send_queue_age_max: self.send_queue_age.map_or(defaults.age, |age| age.0),
            send_queues_bytes_max: bytes(self.send_queues),
            write_stall_timeout: self.write_stall.0,
            ..options
        }
    }
}
