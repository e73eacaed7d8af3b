//! A source that producers connect to by TCP.
//! Invariant: each producer is told of once when it comes and once when it goes.

use super::ingest::Intake;
use super::{ACCEPT_PAUSE, guarded};
use crate::hub::Stamp;
use crate::net::{Listener, Network as _, Readiness, Received, System, Tcp, Transport as _};
use crate::server::core::Core;
use crate::server::key;
use crate::server::source::{Ingest, Ingestor, Input};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// Producers connected at a time. Further ones are turned away.
const PRODUCERS_MAX: usize = 64;
/// Bytes read at once: other producers and the flush wait for no more.
const READ_BYTES_MAX: usize = 64 << 10;

/// A listener for producers, and those that have come.
pub(in crate::server) struct TcpIntake<I: Ingestor> {
    listener: Listener,
    ingestor: I,
    /// The source's number, which its sockets' tokens have.
    number: usize,
    acceptable: bool,
    /// Descriptors or memory had run out when it last accepted.
    paused: bool,
    producers: Slab<Connected<I::Producer>>,
    /// Producers that may have something to be read, each once.
    ready: VecDeque<usize>,
}

struct Connected<P> {
    tcp: Tcp,
    producer: P,
    /// It stands among the ready.
    queued: bool,
    /// The system said that it will send no more: read until the end comes.
    ended: bool,
}

impl<I: Ingestor> TcpIntake<I> {
    pub(in crate::server) fn new(listener: Listener, ingestor: I) -> Self {
        let (producers, ready) = (Slab::new(), VecDeque::new());
        Self { listener, ingestor, number: 0, acceptable: false, paused: false, producers, ready }
    }

    /// Takes in those who wait to be accepted, up to the limit.
    fn accept(&mut self, network: &System) {
        while self.acceptable {
            match self.listener.accept() {
                Ok((_, peer)) if self.producers.len() >= PRODUCERS_MAX => {
                    tracing::warn!(%peer, "more than {PRODUCERS_MAX} producers: turned away");
                }
                Ok((tcp, peer)) => self.open(network, tcp, peer),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.acceptable = false,
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        // Who waits makes no further edge.
                        if !std::mem::replace(&mut self.paused, true) {
                            tracing::warn!(
                                %error,
                                "cannot accept a producer; trying again every {ACCEPT_PAUSE:?}"
                            );
                        }
                        self.acceptable = false;
                        return;
                    }
                },
            }
            self.paused = false;
        }
    }

    fn open(&mut self, network: &System, mut tcp: Tcp, peer: SocketAddr) {
        let entry = self.producers.vacant_entry();
        let place = entry.key();
        if let Err(error) = network.watch(&mut tcp, key::source_token(self.number, place + 1)) {
            tracing::warn!(%error, "cannot watch a producer");
            return;
        }
        if let Some(producer) = guarded(|| self.ingestor.on_producer(Some(peer))) {
            entry.insert(Connected { tcp, producer, queued: false, ended: false });
        }
    }

    /// Reads once from a producer; yields how much came.
    fn read(&mut self, core: &mut Core, place: usize, buffer: &mut [u8]) -> usize {
        let Some(connected) = self.producers.get_mut(place) else { return 0 };
        connected.queued = false;
        match connected.tcp.read(buffer) {
            Ok(Received::Bytes(len)) => {
                // A short read has emptied the socket, unless its end is still to be read.
                if len == buffer.len() || connected.ended {
                    connected.queued = true;
                    self.ready.push_back(place);
                }
                let bytes = Input::Stream(buffer.get(..len).unwrap_or_default());
                let mut cx = Ingest { core: &mut *core, stamp: Stamp::now() };
                let (ingestor, producer) = (&mut self.ingestor, &mut connected.producer);
                if guarded(|| ingestor.on_input(&mut cx, producer, bytes)).is_none() {
                    self.remove(core, place);
                }
                len
            }
            Ok(Received::WouldBlock) => 0,
            Ok(Received::End) => {
                self.remove(core, place);
                0
            }
            Err(error) => {
                tracing::debug!(%error, "a producer was lost");
                self.remove(core, place);
                0
            }
        }
    }

    fn remove(&mut self, core: &mut Core, place: usize) {
        if let Some(connected) = self.producers.try_remove(place) {
            let mut cx = Ingest { core, stamp: Stamp::now() };
            guarded(|| self.ingestor.on_end(&mut cx, connected.producer));
        }
    }
}

impl<I: Ingestor> Intake<System> for TcpIntake<I> {
    fn register(&mut self, network: &System, number: usize) -> io::Result<()> {
        self.number = number;
        self.listener.register(network.registry(), key::source_token(number, 0))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn note_event(&mut self, part: usize, event: Readiness) {
        let Some(place) = part.checked_sub(1) else {
            self.acceptable = true;
            return;
        };
        let Some(connected) = self.producers.get_mut(place) else { return };
        connected.ended |= event.ended;
        if (event.readable || connected.ended) && !connected.queued {
            connected.queued = true;
            self.ready.push_back(place);
        }
    }

    fn serve(&mut self, core: &mut Core, network: &System, buffer: &mut [u8]) -> Option<usize> {
        self.accept(network);
        let place = self.ready.pop_front()?;
        let len = buffer.len().min(READ_BYTES_MAX);
        Some(self.read(core, place, buffer.get_mut(..len).unwrap_or_default()))
    }

    fn is_paused(&self) -> bool {
        self.paused
    }

    fn resume(&mut self) {
        self.acceptable = true;
    }

    fn end(&mut self, core: &mut Core) {
        let places: Vec<usize> = self.producers.iter().map(|(place, _)| place).collect();
        for place in places {
            self.remove(core, place);
        }
    }
}
