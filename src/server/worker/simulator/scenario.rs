//! What kind of day it is: limits, faults and how many come, all from the same chance.
//! Invariant: limits are small enough to be gone over often, and large enough to be kept too.

use super::chance::Chance;
use crate::http::HeadLimits;
use crate::proto::{Limits, Timeouts};
use crate::server::attempts::AttemptLimit;
use crate::server::options::{Options, PingPayload};
use crate::server::rate::Rate;
use std::num::NonZeroU32;
use std::time::Duration;

/// How a simulation is set up. Chances are "one in so many", 0 being never.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) options: Options,
    pub(super) peers: usize,
    /// Peers connect within so many microseconds.
    pub(super) arrivals: u64,
    /// Bytes that the worker reads at once.
    pub(super) receive_buffer: usize,
    /// Bytes that a connection holds in either direction: from, to.
    pub(super) capacity: (usize, usize),
    /// Bytes that a peer asks at once at most.
    pub(super) at_once: usize,
    /// The longest way of bytes, of an edge, and between what a peer does, in microseconds.
    pub(super) latency: u64,
    /// Publications in all, and how many come together.
    pub(super) publications: usize,
    pub(super) burst: usize,
    /// The longest payload of a publication.
    pub(super) event_bytes: usize,
    /// A system call during which something else happens.
    pub(super) interference: usize,
    /// Reads and writes that are refused though they could be done, and writes that are cut.
    pub(super) refusals: usize,
    pub(super) cuts: usize,
    /// Events for nothing, and for connections that are gone.
    pub(super) spurious: usize,
    /// Edges that come late.
    pub(super) late_edges: usize,
    /// Descriptors run out so often, connections are aborted before they are accepted, and a
    /// connection cannot be watched.
    pub(super) exhaustions: usize,
    pub(super) aborts: usize,
    pub(super) unwatched: usize,
    /// The clock jumps.
    pub(super) jumps: usize,
    /// Peers subscribe to what is conflated and folded, and most read slowly.
    pub(super) lagging: bool,
    /// Peers that mean no good, of a hundred.
    pub(super) hostile_percent: usize,
}

impl Scenario {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let calm = chance.one_in(4);
        let bulk = chance.one_in(12);
        let lagging = chance.one_in(5);
        let often = |chance: &mut Chance, cases: usize| {
            if calm || chance.one_in(3) { 0 } else { chance.between(2, cases) }
        };
        let peers = match chance.below(8) {
            0 => chance.between(60, 200),
            1..4 => chance.between(10, 50),
            _ => chance.between(1, 20),
        };
        let capacity = if bulk {
            (700 << 10, 2 << 20)
        } else {
            (chance.pick(200, &[800, 3000]), chance.pick(3000, &[20_000, 200_000]))
        };
        Self {
            options: options(chance),
            peers: if bulk { peers.min(8) } else { peers },
            arrivals: chance.pick(0, &[50_000, 3_000_000]),
            receive_buffer: chance.pick(512 << 10, &[61, 1024, 16 << 10]).max(capacity.1 / 64),
            capacity,
            at_once: if bulk { 2 << 20 } else { 50_000 },
            latency: chance.pick(10, &[1000, 20_000]),
            publications: if bulk {
                chance.between(900, 2600)
            } else {
                chance.below(if lagging { 600 } else { 150 })
            },
            burst: if bulk { 2600 } else { chance.pick(1, &[5, 40]) },
            event_bytes: chance.pick(30, &[800, 5000]),
            interference: often(chance, 20),
            refusals: often(chance, 30),
            cuts: often(chance, 10),
            spurious: often(chance, 10),
            late_edges: often(chance, 10),
            exhaustions: often(chance, 4),
            aborts: often(chance, 10),
            unwatched: often(chance, 60),
            jumps: if calm || chance.one_in(2) { 0 } else { 400 },
            lagging,
            hostile_percent: if calm { 0 } else { chance.pick(0, &[20, 50, 90]) },
        }
    }
}

fn options(chance: &mut Chance) -> Options {
    let millis = |chance: &mut Chance, first: u64, last: u64| {
        Duration::from_micros(chance.micros(first * 1000, last * 1000))
    };
    let per = |chance: &mut Chance, first: usize, last: usize| {
        let number = u32::try_from(chance.between(first, last)).unwrap_or(1);
        NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
    };
    let pings = chance.one_in(2);
    let timeouts = Timeouts {
        ping_interval: pings.then(|| millis(chance, 1000, 9000)),
        // A peer that answers pings is never silent for so long.
        idle_timeout: (pings || chance.one_in(3)).then(|| millis(chance, 12_000, 20_000)),
        close_timeout: millis(chance, 300, 3000),
    };
    let message_bytes_max = chance.pick(500, &[4000, 200_000]);
    Options {
        timeouts,
        limits: Limits {
            frame_bytes_max: chance.pick(message_bytes_max, &[1 << 20]),
            message_bytes_max,
            fragments_max: chance.pick(4, &[100]),
        },
        ping_payload: chance.pick(PingPayload::Empty, &[PingPayload::UnixMillis]),
        head_limits: HeadLimits { head_bytes_max: 2000, ..HeadLimits::default() },
        handshake_timeout: millis(chance, 200, 8000),
        message_rate: chance
            .one_in(5)
            .then(|| Rate { per_second: per(chance, 5, 500), burst: per(chance, 5, 50) }),
        attempt_limit: chance.one_in(8).then(|| AttemptLimit {
            attempts_max: per(chance, 1, 4).get(),
            span: millis(chance, 1000, 60_000),
        }),
        lifetime: chance.one_in(6).then(|| millis(chance, 500, 20_000)),
        send_queue_bytes_max: chance.pick(300, &[4000, 60_000, 1 << 20, 16 << 20]),
        send_queues_bytes_max: chance.pick(1 << 30, &[60_000, 1 << 20]),
        send_queue_age_max: chance.one_in(6).then(|| millis(chance, 300, 5000)),
        write_stall_timeout: chance.one_in(2).then(|| millis(chance, 1000, 9000)),
        inbox_events_max: chance.pick(4, &[64, 4096]),
        drain_timeout: millis(chance, 0, 9000),
        ..Options::default()
    }
}
