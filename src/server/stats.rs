//! Counters. Each worker writes its own, anybody may read the sum.
//! Invariant: `accepted` = `open` + the sum of `ended`, once a worker's turn is over.

use super::handler::Cause;
use super::transit::{Latency, Recorders};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters by their names, each with what it counts. One that can also fall is marked `: Gauge`.
macro_rules! counters {
    (@kind) => { ReadingKind::Counter };
    (@kind $kind:ident) => { ReadingKind::$kind };
    ($($(#[doc = $about:literal])+ $name:ident $(: $kind:ident)?,)*) => {
        /// The counters of one worker.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
            pub(super) latency: Recorders,
            ended: [Counter; Cause::NAMES.len()],
        }

        /// What a server has done so far, over all its workers.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $about])+ pub $name: u64,)*
            ended: [u64; Cause::NAMES.len()],
        }

        impl Stats {
            fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.value();)*
                for (sum, counter) in self.ended.iter_mut().zip(&counters.ended) {
                    *sum += counter.value();
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
    /// Deliveries of published events to subscribers.
    deliveries,
    /// Bytes that sockets took, frame headers included.
    bytes_out,
    /// Bytes of frames dropped unsent, of connections that read too slowly.
    dropped_slow_bytes,
    /// Times that accepting was paused because descriptors or memory had run out.
    accept_pauses,
    /// Connection attempts refused because the address had too many.
    attempts_refused,
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

/// A counter with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Only the worker that owns the counter adds to it, so a load and a store are enough.
    pub(super) fn add(&self, count: u64) {
        self.0.store(self.value().wrapping_add(count), Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, count: u64) {
        self.0.store(self.value().wrapping_sub(count), Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads a server's counters, from any thread, also after the server has stopped.
#[derive(Clone, Debug)]
pub struct StatsHandle(pub(super) Arc<[Arc<Counters>]>);

impl StatsHandle {
    /// The counters now, summed over all workers.
    #[must_use]
    pub fn read(&self) -> Stats {
        let mut stats = Stats::default();
        for counters in self.0.iter() {
            stats.add(counters);
        }
        stats
    }

    /// How long published events took from their coming in to their sockets so far, over all
    /// workers.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut latency = Latency::default();
        for counters in self.0.iter() {
            latency.add(&counters.latency);
        }
        latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
