//! Arguments that all three servers take.

use super::message_limits::MessageLimitArguments;
use super::queue_limits::{QueueDefaults, QueueLimitArguments};
use super::run::{self, Listening};
use super::settings::SettingsArguments;
use super::units::{
    Cores, OptionalBytes, OptionalDuration, bytes, cores, duration, loopback_address,
    optional_bytes, optional_duration, optional_micros,
};
use crate::http::{OriginPattern, Origins};
use crate::proto::{Limits, Timeouts};
use crate::server::{DeflateOptions, Options, Rate, SocketOptions, Waiting};
use clap::{Args, ValueEnum, value_parser};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// Headings in `--help`.
pub(super) const SERVER: &str = "Server";
const LATENCY: &str = "Latency";
pub(super) const LIMITS: &str = "Limits";
pub(super) const LOGGING: &str = "Logging";

/// The most events that `--inbox` allows: room for them is made at the start.
const INBOX_EVENTS_MAX: i64 = 1 << 20;

/// Connections at a time, where the user does not say.
pub(super) const CONNECTIONS_MAX_DEFAULT: u32 = 100_000;
/// The least that is queued for a client that reads too slowly, whatever the message limit is.
const SEND_QUEUE_BYTES_MIN: u64 = 16 << 20;

#[derive(Debug, Args)]
pub(super) struct ServerArguments {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9001", help_heading = SERVER)]
    pub(super) listen: SocketAddr,

    #[command(flatten)]
    pub(super) settings: SettingsArguments,

    /// Worker threads, each with its own event loop and connections
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = workers, help_heading = SERVER
    )]
    pub(super) workers: usize,

    /// Serve metrics for Prometheus at /metrics, and /healthz, on this address; a bare port is on
    /// 127.0.0.1 [default: none]
    #[arg(long, value_name = "ADDR", value_parser = loopback_address, help_heading = SERVER)]
    pub(super) metrics: Option<SocketAddr>,

    /// Poll without end instead of sleeping: lowest latency, for a core a worker
    #[arg(long, help_heading = LATENCY)]
    spin: bool,

    /// Keep each worker to a core of its own, in this order: 2, or 2,3, or 2-5 [default: none]
    #[arg(long, value_name = "CORES", value_parser = cores, help_heading = LATENCY)]
    pin: Option<Cores>,

    /// Bytes that the kernel takes for a connection beyond what it has sent, so that what a slow
    /// client is owed waits in its send queue; off: as many as the kernel likes
    #[arg(
        long, value_name = "BYTES", default_value = "128KiB",
        value_parser = optional_bytes, help_heading = LATENCY
    )]
    notsent_lowat: OptionalBytes,

    /// Have the kernel poll the network card so long for a socket with nothing to read; takes
    /// CAP_NET_ADMIN
    #[arg(
        long, value_name = "MICROS", default_value = "off",
        value_parser = optional_micros, help_heading = LATENCY
    )]
    busy_poll: OptionalDuration,

    /// Time for a client to complete its opening handshake
    #[arg(
        long, value_name = "TIME", default_value = "10s",
        value_parser = duration, help_heading = LIMITS
    )]
    handshake_timeout: Duration,

    /// Close a connection whose client sends nothing, no pong either, for this long; off: never
    #[arg(
        long, value_name = "TIME", default_value = "60s",
        value_parser = optional_duration, help_heading = LIMITS
    )]
    idle_timeout: OptionalDuration,

    /// Time between pings; off: none
    #[arg(
        long, value_name = "TIME", default_value = "20s",
        value_parser = optional_duration, help_heading = LIMITS
    )]
    ping_interval: OptionalDuration,

    /// Time for a client to answer a close frame and to close TCP
    #[arg(
        long, value_name = "TIME", default_value = "5s",
        value_parser = duration, help_heading = LIMITS
    )]
    close_timeout: Duration,

    /// Connections at a time, of all workers; more are answered with 503, or reset when many come
    #[arg(
        long, value_name = "N", default_value_t = CONNECTIONS_MAX_DEFAULT,
        value_parser = at_least_one, help_heading = LIMITS
    )]
    pub(super) max_connections: u32,

    /// Connections at a time from one address (IPv6: from one /64), loopback exempt; more are
    /// answered with 429, or reset when many come; 0: any number, as behind a proxy
    /// [default: serve 1000; echo and chat 0]
    #[arg(long, value_name = "N", help_heading = LIMITS)]
    max_connections_per_address: Option<u32>,

    /// Pings and pongs a second that a client may send; more close its connection with code 1008;
    /// 0: any number
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = LIMITS)]
    control_rate: u32,

    /// Pings and pongs that a client may send at once, after a pause
    #[arg(long, value_name = "N", default_value = "1000", help_heading = LIMITS)]
    control_burst: NonZeroU32,

    /// Bytes that each worker holds of requests and messages that have not come whole; the client
    /// that sends more then is answered with 503 or closed with code 1013
    #[arg(
        long, value_name = "BYTES", default_value = "256MiB",
        value_parser = bytes, help_heading = LIMITS
    )]
    max_unfinished: u64,

    /// Bytes that a client may still send once its connection has ended, before TCP is closed for
    /// all that [default: serve 1MiB; echo and chat 64MiB]
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = LIMITS)]
    max_linger: Option<u64>,

    /// Time for all connections to close when the server is stopped
    #[arg(
        long, value_name = "TIME", default_value = "5s",
        value_parser = duration, help_heading = LIMITS
    )]
    drain_timeout: Duration,

    /// Let web pages of this origin connect, such as https://example.com or https://*.example.com
    /// (repeatable, or separated by commas) [default: pages of all origins]
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', help_heading = SERVER)]
    allow_origin: Vec<OriginArgument>,

    #[command(flatten)]
    queue_limits: QueueLimitArguments,

    #[command(flatten)]
    message_limits: MessageLimitArguments,

    /// Events that wait for a worker; of a feed that cannot be slowed down, more are lost to that
    /// worker's clients
    #[arg(
        long, value_name = "N", default_value_t = 8192,
        value_parser = value_parser!(u32).range(1..=INBOX_EVENTS_MAX), help_heading = LIMITS
    )]
    inbox: u32,

    /// Compress messages (permessage-deflate, RFC 7692) for clients that offer it
    #[arg(long, help_heading = SERVER)]
    deflate: bool,

    /// With --deflate: send shorter messages plain [default: serve 200; echo and chat 1]
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = SERVER)]
    deflate_threshold: Option<u64>,

    /// What to log, to standard error: error, warn, info, debug, trace, or a filter such as
    /// tickwire::server=debug
    #[arg(
        long, value_name = "FILTER", env = "TICKWIRE_LOG", default_value = "info",
        help_heading = LOGGING
    )]
    pub(super) log: String,

    /// How to log
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = LOGGING)]
    pub(super) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// An origin, or `*` for all.
#[derive(Clone, Debug)]
enum OriginArgument {
    Any,
    Pattern(OriginPattern),
}

impl std::str::FromStr for OriginArgument {
    type Err = crate::http::OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" { Ok(Self::Any) } else { text.parse().map(Self::Pattern) }
    }
}

impl ServerArguments {
    /// The options that these arguments and a message limit ask for.
    pub(super) fn options(&self, max_message: u64, defaults: Defaults) -> Options {
        let mut patterns = Vec::new();
        let mut any = self.allow_origin.is_empty();
        for origin in &self.allow_origin {
            match origin {
                OriginArgument::Any => any = true,
                OriginArgument::Pattern(pattern) => patterns.push(pattern.clone()),
            }
        }
        let threshold = self.deflate_threshold.unwrap_or(defaults.deflate_threshold);
        let options = Options {
            workers: self.workers,
            waiting: if self.spin { Waiting::Spin } else { Waiting::Sleep },
            pin: self.pin.clone().unwrap_or_default().0,
            sockets: SocketOptions {
                notsent_lowat_bytes: self.notsent_lowat.0,
                busy_poll: self.busy_poll.0,
            },
            limits: self.message_limits.limits(max_message, defaults.fragments),
            head_limits: self.message_limits.head_limits(),
            timeouts: Timeouts {
                ping_interval: self.ping_interval.0,
                idle_timeout: self.idle_timeout.0,
                close_timeout: self.close_timeout,
            },
            deflate: self.deflate.then_some(DeflateOptions {
                threshold_bytes: usize::try_from(threshold).unwrap_or(usize::MAX),
            }),
            handshake_timeout: self.handshake_timeout,
            connections_max: usize::try_from(self.max_connections).unwrap_or(usize::MAX),
            connections_per_address_max: Some(
                self.max_connections_per_address.unwrap_or(defaults.connections_per_address),
            )
            .filter(|connections| *connections > 0),
            control_rate: NonZeroU32::new(self.control_rate)
                .map(|per_second| Rate { per_second, burst: self.control_burst }),
            unfinished_bytes_max: self.max_unfinished,
            linger_bytes_max: self.max_linger.unwrap_or(defaults.linger),
            origins: if any { Origins::Any } else { Origins::Listed(patterns) },
            inbox_events_max: usize::try_from(self.inbox).unwrap_or(usize::MAX),
            drain_timeout: self.drain_timeout,
            ..Options::default()
        };
        self.queue_limits.limit(options, defaults.queue)
    }

    /// What could surprise the user, said at the start.
    pub(super) fn warn(&self) {
        if let (Some(idle), ping) = (self.idle_timeout.0, self.ping_interval.0)
            && ping.is_none_or(|ping| ping >= idle)
        {
            tracing::warn!(
                "no ping comes before the idle timeout of {idle:?}: clients that only listen will \
                 be closed; set --ping-interval to less"
            );
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if self.spin && self.workers > cores {
            tracing::warn!(
                "--spin with {} workers on {cores} cores: they take turns, and all is slower than \
                 without; start fewer --workers",
                self.workers
            );
        }
    }
}

/// Arguments of the servers that send on what they are sent: echo and chat.
#[derive(Debug, Args)]
pub(super) struct RelayArguments {
    #[command(flatten)]
    pub(super) server: ServerArguments,

    /// Longest message taken; a longer one closes the connection with code 1009
    #[arg(
        long, value_name = "BYTES", default_value = "64MiB",
        value_parser = bytes, help_heading = LIMITS
    )]
    max_message: u64,
}

impl RelayArguments {
    /// Starts to log, and listens.
    pub(super) fn start(&self) -> anyhow::Result<Listening> {
        run::start_log(&self.server)?;
        let defaults = Defaults::for_messages_up_to(self.max_message);
        let options = self.server.options(self.max_message, defaults);
        run::listen(run::builder(&self.server, options), &self.server, None)
    }
}

/// What depends on what a server does, where the user does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    /// What waits for a client that reads too slowly.
    pub(super) queue: QueueDefaults,
    /// Messages of fewer bytes are sent plain.
    pub(super) deflate_threshold: u64,
    /// Frames that one message may come in.
    pub(super) fragments: u32,
    /// Connections from one address; 0: any number.
    pub(super) connections_per_address: u32,
    /// Bytes that may come of an ended connection.
    pub(super) linger: u64,
}

impl Defaults {
    /// For a server that sends what it is sent: every message up to the limit gets through, and
    /// comes back compressed if that makes it smaller.
    fn for_messages_up_to(max_message: u64) -> Self {
        let bytes = max_message.saturating_mul(4).max(SEND_QUEUE_BYTES_MIN);
        Self {
            queue: QueueDefaults { bytes, age: None },
            deflate_threshold: 1,
            fragments: Limits::default().fragments_max,
            connections_per_address: 0,
            linger: 64 << 20,
        }
    }
}

fn at_least_one(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("write a number from 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn workers(text: &str) -> Result<usize, String> {
    const WORKERS_MAX: usize = 256;
    match text.parse::<usize>() {
        Ok(workers @ 1..=WORKERS_MAX) => Ok(workers),
        _ => Err(format!("write a number from 1 to {WORKERS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        server: ServerArguments,
    }

    fn options(flags: &[&str]) -> Options {
        let line = std::iter::once(&"echo").chain(flags);
        Line::try_parse_from(line).unwrap().server.options(1000, Defaults::for_messages_up_to(1000))
    }

    #[test]
    fn limits_are_the_library_s_unless_flags_say_otherwise() {
        let (told, library) = (options(&[]), Options::default());
        assert_eq!(told.head_limits, library.head_limits);
        assert_eq!(told.limits, Limits::message(1000));
        assert_eq!(told.inbox_events_max, library.inbox_events_max);
        let told = options(&[
            "--max-request=1KiB",
            "--max-request-fields=7",
            "--max-frame=100",
            "--max-fragments=3",
            "--inbox=9",
        ]);
        let head = told.head_limits;
        assert_eq!((head.head_bytes_max, head.target_bytes_max, head.fields_max), (1024, 512, 7));
        let limits = Limits { frame_bytes_max: 100, fragments_max: 3, ..Limits::message(1000) };
        assert_eq!((told.limits, told.inbox_events_max), (limits, 9));
    }
}
