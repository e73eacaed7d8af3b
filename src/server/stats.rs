//! Counters. Each worker writes its own, anybody may read the sum.
//! Invariant: `accepted` = `open` + the sum of `ended`, once a worker's turn is over.

use super::handler::Cause;
use super::transit::{Latency, Recorders};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
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
            $($(#[$doc])* pub $name: u64,)*
            ended: [u64; Cause::NAMES.len()],
        }

        impl Stats {
            fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.value();)*
                for (sum, counter) in self.ended.iter_mut().zip(&counters.ended) {
                    *sum += counter.value();
                }
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Connections open, in their opening handshake, or ending.
    open,
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
    /// Of the connections that were refused for their number, those reset without an answer,
    /// because too many were being answered.
    refused_unanswered,
    /// Connections cut off because the peer went on sending after we had ended them.
    linger_cut,
    /// Bytes held of requests and messages that have not come whole.
    unfinished_bytes,
}

impl Stats {
    /// How many connections ended for this cause (for any violation, where it is one).
    #[must_use]
    pub fn ended(&self, cause: Cause) -> u64 {
        self.ended.get(cause.index()).copied().unwrap_or_default()
    }

    /// The causes for which connections ended, by name, and how many.
    pub fn ended_by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = Cause::NAMES.iter().copied().zip(self.ended.iter().copied());
        all.filter(|(_, count)| *count > 0)
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

    pub(super) fn value(&self) -> u64 {
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
