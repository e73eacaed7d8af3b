//! How a server behaves: every limit and timeout, with its default.

use super::attempts::AttemptLimit;
use super::rate::Rate;
use super::subnet::Loopback;
use crate::http::{HeadLimits, Origins};
use crate::net::SocketOptions;
use crate::proto::{Limits, Timeouts};
use std::num::NonZeroU32;
use std::time::Duration;

/// How a server behaves. The defaults suit an application behind no proxy, with honest peers of
/// all kinds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads, each with its own listener and connections. Default 1.
    pub workers: usize,
    /// What a worker does while it has nothing to do. Default: it sleeps.
    pub waiting: Waiting,
    /// The cores that the workers keep to, one each and in their order. Default: none; each runs
    /// where the system puts it.
    pub pin: Vec<usize>,
    /// Options of the connections' sockets. Default: what the kernel holds unsent is bounded.
    pub sockets: SocketOptions,
    /// What a peer's messages may be. Default: 64 MiB.
    pub limits: Limits,
    /// Ping interval, idle timeout, close timeout. Default: 20 s, 60 s, 5 s.
    pub timeouts: Timeouts,
    /// What a ping of ours carries. Default: nothing.
    pub ping_payload: PingPayload,
    /// What an opening handshake may be. Default: 16 KiB, 100 fields.
    pub head_limits: HeadLimits,
    /// Time from TCP's connection to the end of the opening handshake. Default 10 s; the answer
    /// is 408.
    pub handshake_timeout: Duration,
    /// Which pages a browser may connect from (RFC 6455 §10.2). Default: all; the answer is 403.
    pub origins: Origins,
    /// permessage-deflate (RFC 7692) for the clients that offer it. Default: off.
    pub deflate: Option<DeflateOptions>,
    /// Messages, pings and pongs that a peer may send. Default: any number; close code 1008.
    pub message_rate: Option<Rate>,
    /// Pings and pongs alone. Default 100 a second and 1,000 at once; close code 1008.
    pub control_rate: Option<Rate>,
    /// Bytes that each worker holds of requests and messages that have not come whole, of all its
    /// connections together. Default 256 MiB; the connection of which more comes is answered 503,
    /// or closed with code 1013.
    pub unfinished_bytes_max: u64,
    /// Connections at a time, over all workers. Default 100,000; the answer is 503, or a reset
    /// where 256 others are being refused.
    pub connections_max: usize,
    /// Connections at a time from one IPv4 address or one IPv6 network of 64 bits. Default: any
    /// number, as behind a proxy all come from one; the answer is 429 or a reset.
    pub connections_per_address_max: Option<u32>,
    /// Connection attempts that an address may make. Default: any number; the answer is 429 or a
    /// reset.
    pub attempt_limit: Option<AttemptLimit>,
    /// Whether loopback addresses are held to the two limits above. Default: they are exempt.
    pub loopback: Loopback,
    /// The greatest age of a connection. Default: none; close code 1001.
    pub lifetime: Option<Duration>,
    /// The part of the greatest age by which connections end earlier, each by a share of its own,
    /// so that those that came together do not end together. Default 10, at most 100.
    pub lifetime_jitter_percent: u8,
    /// Bytes that a peer may still send once its connection has ended, before TCP is closed for all
    /// that. Default 64 MiB: one that is in the middle of a longest message comes to read why.
    pub linger_bytes_max: u64,
    /// Bytes queued for a peer that reads too slowly, and 80 for each message. Default 16 MiB;
    /// close code 1008. From half of it on, nothing more is read from that peer. A single message
    /// may be longer than this. What topics keep beside the queue is described at
    /// [`Lag`](crate::server::Lag).
    pub send_queue_bytes_max: usize,
    /// Bytes queued for all peers together. Default 1 GiB. Over it the peer for whom most is
    /// queued is closed, code 1008. Each worker has its part of it.
    pub send_queues_bytes_max: usize,
    /// How long a message may be queued that must not be dropped. Default: any time; close code
    /// 1008.
    pub send_queue_age_max: Option<Duration>,
    /// How long a peer may take nothing at all while something is queued for it. Default 60 s. Then
    /// TCP is closed: there is no way to tell it.
    pub write_stall_timeout: Option<Duration>,
    /// Messages that a worker's inbox holds, between publishers and the worker. Default 8,192.
    pub inbox_events_max: usize,
    /// Bytes that each worker keeps of the topics' last messages for subscribers that come back
    /// ([`TopicOptions::resume_events`](crate::server::TopicOptions)), 96 for each message
    /// counted. Default 64 MiB; beyond it the oldest go. Workers share the payloads.
    pub resume_bytes_max: usize,
    /// The number of each topic's first message. Default 1. Give one that grows from one start of
    /// the server to the next, and no number of before is mistaken for one of now.
    pub first_seq: u64,
    /// Time for the connections to close when the server stops. Default 5 s.
    pub drain_timeout: Duration,
}

/// What a worker does while it has nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// It sleeps, until a socket or a publisher wakes it.
    #[default]
    Sleep,
    /// It looks again, without end: a core for each worker, which then nobody has to wake. For
    /// those who give cores to latency; with fewer cores than workers it makes everything slower.
    Spin,
}

/// How to compress.
///
/// Messages are compressed each by itself, so a published event is compressed once a worker,
/// however many get it. A worker takes some 300 KB for each window size in use; a connection up to
/// 50 KB once its client has sent a compressed message, unless the client offered
/// `client_no_context_takeover`: then nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateOptions {
    /// Messages of fewer bytes are sent plain: by themselves they hardly get smaller. Default 200.
    pub threshold_bytes: usize,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self { threshold_bytes: 200 }
    }
}

/// What the payload of a server's pings is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PingPayload {
    /// Nothing.
    #[default]
    Empty,
    /// The time in milliseconds since the Unix epoch, as decimal text.
    UnixMillis,
}

/// Pings and pongs in a second, by default: many times what any honest peer sends.
const CONTROL_RATE: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// Pings and pongs at once: a peer that was not heard for a while may have answered many pings.
const CONTROL_BURST: NonZeroU32 = NonZeroU32::new(1000).unwrap();

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            waiting: Waiting::Sleep,
            pin: Vec::new(),
            sockets: SocketOptions::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            ping_payload: PingPayload::Empty,
            head_limits: HeadLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            origins: Origins::Any,
            deflate: None,
            message_rate: None,
            control_rate: Some(Rate { per_second: CONTROL_RATE, burst: CONTROL_BURST }),
            unfinished_bytes_max: 256 << 20,
            connections_max: 100_000,
            connections_per_address_max: None,
            attempt_limit: None,
            loopback: Loopback::Exempt,
            lifetime: None,
            lifetime_jitter_percent: 10,
            linger_bytes_max: 64 << 20,
            send_queue_bytes_max: 16 << 20,
            send_queues_bytes_max: 1 << 30,
            send_queue_age_max: None,
            write_stall_timeout: Some(Duration::from_secs(60)),
            inbox_events_max: 8192,
            resume_bytes_max: 64 << 20,
            first_seq: 1,
            drain_timeout: Duration::from_secs(5),
        }
    }
}
