//! The sources in a worker's loop: read before its connections are, within a budget a turn.
//! Invariant: an edge that was seen is remembered until a read has shown that nothing is left.

use super::{ACCEPT_PAUSE, Worker, guarded};
use crate::hub::Stamp;
use crate::net::{Network, Readiness, System, Udp};
use crate::server::core::{ARENA_BYTES_MAX, Core};
use crate::server::handler::Handler;
use crate::server::key;
use crate::server::source::{Ingest, Ingestor, Input};
use std::io;
use std::net::SocketAddr;

/// Bytes read from one source in a turn.
const SOURCE_BYTES_PER_TURN: usize = 64 << 10;
/// What a read costs of these at least, however little it brings.
const READ_BYTES_MIN: usize = 1 << 10;

/// A source as the loop sees it.
pub(in crate::server) trait Intake<N>: Send {
    /// Registers the source's own socket, and from then on those that it accepts, under tokens of
    /// this number.
    fn register(&mut self, network: &N, number: usize) -> io::Result<()>;

    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Takes note of an event for the source's own socket (part 0) or for another of its sockets.
    fn note_event(&mut self, part: usize, event: Readiness);

    /// Reads once, and has what comes published; yields how many bytes that were, `None` when
    /// nothing is left to be read.
    fn serve(&mut self, core: &mut Core, network: &N, buffer: &mut [u8]) -> Option<usize>;

    /// Whether it cannot accept for want of descriptors or memory; to be asked to again.
    fn is_paused(&self) -> bool {
        false
    }

    /// Has it try again to accept.
    fn resume(&mut self) {}

    /// Says goodbye to the producers.
    fn end(&mut self, core: &mut Core);
}

impl<H: Handler, N: Network> Worker<H, N> {
    pub(super) fn note_source_event(&mut self, event: Readiness) {
        let Some((number, part)) = key::source_of(event.token) else { return };
        if let Some(source) = self.sources.get_mut(number) {
            source.note_event(part, event);
            self.ingest_pending = true;
        }
    }

    /// Reads the sources that have something, each within its budget.
    pub(super) fn ingest(&mut self) {
        if self.ingest_resumes.is_some_and(|at| at <= self.now) {
            self.ingest_resumes = None;
            self.sources.iter_mut().for_each(|source| source.resume());
            self.ingest_pending = true;
        }
        if !std::mem::take(&mut self.ingest_pending) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.receive_buffer);
        for number in 0..self.sources.len() {
            let mut budget = SOURCE_BYTES_PER_TURN;
            while budget > 0 {
                let Self { sources, core, network, .. } = self;
                let Some(source) = sources.get_mut(number) else { break };
                let Some(len) = source.serve(core, network, &mut buffer) else { break };
                budget = budget.saturating_sub(len.max(READ_BYTES_MIN));
                if self.core.outputs.encoded() > ARENA_BYTES_MAX {
                    self.flush();
                }
            }
            self.ingest_pending |= budget == 0;
        }
        if self.ingest_resumes.is_none() && self.sources.iter().any(|source| source.is_paused()) {
            self.core.counters.accept_pauses.add(1);
            self.ingest_resumes = Some(self.now.after(ACCEPT_PAUSE));
        }
        self.receive_buffer = buffer;
    }

    pub(super) fn end_sources(&mut self) {
        for mut source in std::mem::take(&mut self.sources) {
            source.end(&mut self.core);
        }
    }
}

/// Datagrams.
pub(in crate::server) struct UdpIntake<I: Ingestor> {
    socket: Udp,
    ingestor: I,
    producer: Option<I::Producer>,
    readable: bool,
}

impl<I: Ingestor> UdpIntake<I> {
    pub(in crate::server) fn new(socket: Udp, ingestor: I) -> Self {
        Self { socket, ingestor, producer: None, readable: false }
    }
}

impl<I: Ingestor> Intake<System> for UdpIntake<I> {
    fn register(&mut self, network: &System, number: usize) -> io::Result<()> {
        self.socket.register(network.registry(), key::source_token(number, 0))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn note_event(&mut self, _: usize, event: Readiness) {
        self.readable |= event.readable;
    }

    fn serve(&mut self, core: &mut Core, _: &System, buffer: &mut [u8]) -> Option<usize> {
        if !self.readable {
            return None;
        }
        let len = match self.socket.receive(buffer) {
            Ok(Some(len)) => len,
            Ok(None) => {
                self.readable = false;
                return None;
            }
            // What a sender did not hear is reported here; there is more to read.
            Err(error) => {
                tracing::warn!(%error, "a datagram was not received");
                return Some(0);
            }
        };
        let Self { ingestor, producer, .. } = self;
        let datagram = Input::Datagram(buffer.get(..len).unwrap_or_default());
        let called = guarded(|| {
            let producer = producer.get_or_insert_with(|| ingestor.on_producer(None));
            ingestor.on_input(&mut Ingest { core, stamp: Stamp::now() }, producer, datagram);
        });
        if called.is_none() {
            self.end(core);
        }
        Some(len)
    }

    fn end(&mut self, core: &mut Core) {
        if let Some(producer) = self.producer.take() {
            let mut cx = Ingest { core, stamp: Stamp::now() };
            guarded(|| self.ingestor.on_end(&mut cx, producer));
        }
    }
}
