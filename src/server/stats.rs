//! Counters. Each worker has its own, and posts them on its [`Board`] at the end of each turn, all
//! at once; anybody may read the sum.
//!
//! Invariant: what is read are counters as they stood between two turns of each worker, so these
//! hold at any time:
//!
//! * `accepted` = `open` + the sum of `ended`;
//! * `offered` = `deliveries` + `conflated` + `folded` + `dropped_slow_events` + `dropped_newest` +
//!   `dropped_oldest` + `dropped_gone_events` + `dropped_unsubscribed_events` + `queued_events`.

use super::handler::Cause;
use super::transit::{Latency, Recorders};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Counters by their names, each with what it counts. One that can also fall is marked `: Gauge`.
macro_rules! counters {
    (@kind) => { ReadingKind::Counter };
    (@kind $kind:ident) => { ReadingKind::$kind };
    ($($(#[doc = $about:literal])+ $name:ident $(: $kind:ident)?,)*) => {
        /// The counters of one worker.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
            ended: [Counter; Cause::NAMES.len()],
        }

        /// How many counters there are, but for those of ended connections.
        const NAMED: usize = [$(stringify!($name)),*].len();

        impl Counters {
            fn values(&self) -> impl Iterator<Item = u64> {
                [$(&self.$name),*].into_iter().chain(&self.ended).map(Counter::value)
            }
        }

        /// What a server has done so far, over all its workers.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $about])+ pub $name: u64,)*
            ended: [u64; Cause::NAMES.len()],
        }

        impl Stats {
            fn add(&mut self, values: &[u64; COUNTERS]) {
                let all = [$(&mut self.$name),*].into_iter().chain(&mut self.ended);
                for (sum, value) in all.zip(values) {
                    *sum += value;
                }
            }

            /// All counters but those of causes ([`Self::ended_by_cause`]), each with its name and
            /// with what it counts: for programs that show whatever there is.
            pub fn readings(&self) -> impl Iterator<Item = Reading> {
                [$(Reading {
                    name: stringify!($name),
                    about: concat!($($about),+).trim_ascii(),
                    kind: counters!(@kind $($kind)?),
                    value: self.$name,
                },)*].into_iter()
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Connections open, in their opening handshake, or ending.
    open: Gauge,
    /// Opening handshakes completed.
    handshakes,
    /// Messages received.
    messages_in,
    /// Bytes received, frame headers included.
    bytes_in,
    /// Events published that reached this server's workers.
    events_in,
    /// Published events due to subscribers, each once for each subscriber.
    offered,
    /// Events due to subscribers that their sockets took whole.
    deliveries,
    /// Events that a newer one took the place of while they waited for a slow subscriber.
    conflated,
    /// Events that became part of another while they waited for a slow subscriber.
    folded,
    /// Events dropped because their subscriber was too slow and its connection was closed for it.
    dropped_slow_events,
    /// Events dropped because a slow subscriber's queue had no room for them.
    dropped_newest,
    /// Events dropped to make room for newer ones in a slow subscriber's queue.
    dropped_oldest,
    /// Events dropped because their subscriber's connection was gone.
    dropped_gone_events,
    /// Events dropped because their slow subscriber unsubscribed before it took them.
    dropped_unsubscribed_events,
    /// Events that wait for slow subscribers.
    queued_events: Gauge,
    /// Bytes that wait for slow peers, each frame's bookkeeping included.
    queued_bytes: Gauge,
    /// Connections closed because all queues together held too much, and theirs held most.
    evicted,
    /// Bytes that sockets took, frame headers included.
    bytes_out,
    /// Bytes of frames dropped unsent, of connections that read too slowly.
    dropped_slow_bytes,
    /// Times that accepting was paused because descriptors or memory had run out.
    accept_pauses,
    /// Connections refused for their number that were reset without an answer, because too many were
    /// being answered.
    refused_unanswered,
    /// Connections cut off because the peer went on sending after we had ended them.
    linger_cut,
    /// Bytes held of requests and messages that have not come whole.
    unfinished_bytes: Gauge,
}

/// One counter as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// The name, that of the field of [`Stats`].
    pub name: &'static str,
    /// What it counts.
    pub about: &'static str,
    /// Whether it only grows.
    pub kind: ReadingKind,
    /// The count.
    pub value: u64,
}

/// How a counter moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingKind {
    /// It only grows.
    Counter,
    /// It grows and falls.
    Gauge,
}

impl Stats {
    /// How many connections ended for this cause (for any violation, where it is one).
    #[must_use]
    pub fn ended(&self, cause: Cause) -> u64 {
        self.ended.get(cause.index()).copied().unwrap_or_default()
    }

    /// The causes for which connections can end, by name, and how many did.
    pub fn ended_by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Cause::NAMES.iter().copied().zip(self.ended.iter().copied())
    }

    /// How many connections ended.
    #[must_use]
    pub fn ended_total(&self) -> u64 {
        self.ended.iter().sum()
    }
}

impl Counters {
    pub(super) fn ended(&self, cause: Cause) {
        if let Some(counter) = self.ended.get(cause.index()) {
            counter.add(1);
        }
    }
}

/// A worker's counter.
#[derive(Debug, Default)]
pub(super) struct Counter(Cell<u64>);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.set(self.0.get().wrapping_add(count));
    }

    pub(super) fn subtract(&self, count: u64) {
        self.0.set(self.0.get().wrapping_sub(count));
    }

    pub(super) fn set(&self, value: u64) {
        self.0.set(value);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.get()
    }
}

/// Counters of a worker, all of them.
const COUNTERS: usize = NAMED + Cause::NAMES.len();

/// Where a worker posts its counters, for other threads to read: a sequence lock, whose writer
/// never waits.
#[derive(Debug)]
pub(super) struct Board {
    /// Odd while the counters are being written.
    version: AtomicU64,
    counters: [AtomicU64; COUNTERS],
    pub(super) latency: Recorders,
}

impl Default for Board {
    fn default() -> Self {
        let counters = [const { AtomicU64::new(0) }; COUNTERS];
        Self { version: AtomicU64::new(0), counters, latency: Recorders::default() }
    }
}

impl Board {
    /// Posts a worker's counters. Only the worker that owns the board does.
    pub(super) fn post(&self, counters: &Counters) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (posted, value) in self.counters.iter().zip(counters.values()) {
            posted.store(value, Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// The counters as they were posted last.
    fn read(&self) -> [u64; COUNTERS] {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let mut values = [0; COUNTERS];
            for (value, posted) in values.iter_mut().zip(&self.counters) {
                *value = posted.load(Ordering::Relaxed);
            }
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                return values;
            }
            std::thread::yield_now();
        }
    }
}

/// Reads a server's counters, from any thread, also after the server has stopped.
#[derive(Clone, Debug)]
pub struct StatsHandle(pub(super) Arc<[Arc<Board>]>);

impl StatsHandle {
    /// The counters now, summed over all workers.
    #[must_use]
    pub fn read(&self) -> Stats {
        let mut stats = Stats::default();
        for board in self.0.iter() {
            stats.add(&board.read());
        }
        stats
    }

    /// How long published events took from their coming in to their sockets so far, over all
    /// workers.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut latency = Latency::default();
        for board in self.0.iter() {
            latency.add(&board.latency);
        }
        latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters that belong together are read together, whenever one looks.
    #[test]
    fn what_is_read_is_of_one_moment() {
        const TURNS: u64 = 200_000;
        let board = Board::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let counters = Counters::default();
                for _ in 0..TURNS {
                    counters.accepted.add(1);
                    counters.ended(Cause::Http);
                    board.post(&counters);
                }
            });
            loop {
                let mut stats = Stats::default();
                stats.add(&board.read());
                assert_eq!(stats.accepted, stats.ended(Cause::Http));
                if stats.accepted == TURNS {
                    break;
                }
            }
        });
    }

    #[test]
    fn readings_are_the_fields_with_their_documentation() {
        let stats = Stats { accepted: 3, open: 2, dropped_slow_bytes: 1, ..Stats::default() };
        let readings: Vec<Reading> = stats.readings().collect();
        let of = |name| *readings.iter().find(|reading| reading.name == name).unwrap();
        let accepted = of("accepted");
        assert_eq!((accepted.about, accepted.value), ("Connections accepted.", 3));
        assert_eq!((of("open").kind, of("open").value), (ReadingKind::Gauge, 2));
        assert_eq!(of("dropped_slow_bytes").kind, ReadingKind::Counter);
        for reading in readings {
            assert!(reading.about.ends_with('.') && !reading.about.contains('\n'), "{reading:?}");
        }
    }
}
