//! The event loop: all connections of a run, on one thread.
//!
//! As in the server, mio is edge-triggered and each socket is registered once; what one read left
//! over is put on a list, because the edge does not repeat. One receive buffer serves all; each
//! connection gets one write after its messages were read, or at the end of the turn.
//! Invariant: a turn waits no longer than it is told to, and allocates nothing for a message.

use super::client::{Client, Readiness, Reads, Rest, Says, Target};
use super::clock::{Clock, Nanos};
use super::error::{End, LoadError};
use super::keys::masking_key;
use super::scenario::{Link, Scenario};
use crate::http::{HeadLimits, Url};
use crate::proto::Config;
use mio::{Events, Poll, Token};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

const RECEIVE_BYTES: usize = 256 << 10;
const EVENTS_A_TURN_MAX: usize = 1024;
/// The system's timer is coarse: the last stretch before something is due is polled for.
const COARSE: Nanos = 2_000_000;
/// So that a request to stop, or a progress line, never waits for long.
const WAIT_MAX: Nanos = 100_000_000;

/// For one of several addresses to take a connection.
const TRIAL: Duration = Duration::from_secs(2);

/// What to do while nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Sleep until a socket is ready.
    Sleep,
    /// Ask again and again: no wake-up is part of a latency.
    Spin,
}

/// Where connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sources {
    /// As the system chooses.
    One,
    /// From several addresses of the loopback network, where the server is there: one address has
    /// 28,000 ports, and each that a connection leaves is not free for a minute.
    Several,
}

/// Addresses of [`Sources::Several`].
const SOURCES: u8 = 64;

/// All connections of a run.
#[derive(Debug)]
pub(super) struct Fleet {
    poll: Poll,
    events: Events,
    target: Target,
    sources: Sources,
    clock: Clock,
    waiting: Waiting,
    clients: Vec<Option<Client>>,
    buffer: Box<[u8]>,
    ready: Vec<(usize, Readiness)>,
    /// Clients that were sent something at the end of a turn.
    dirty: Vec<usize>,
    not_opened: Vec<(usize, End)>,
    open: usize,
    idle: Nanos,
    last_turn: Turn,
}

/// The turn before, for the time in which nothing happened.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    start: Nanos,
    was_empty: bool,
}

impl Fleet {
    pub(super) fn new(url: &Url, waiting: Waiting) -> Result<Self, LoadError> {
        let system = |error| LoadError::System { what: "cannot make an event queue", error };
        let poll = Poll::new().map_err(system)?;
        let address = resolve(url)?;
        let head_limits = HeadLimits::default();
        let config = Config::client(masking_key);
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_A_TURN_MAX),
            target: Target { url: url.clone(), address, config, head_limits },
            sources: Sources::One,
            clock: Clock::start(),
            waiting,
            clients: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES].into(),
            ready: Vec::with_capacity(EVENTS_A_TURN_MAX),
            dirty: Vec::new(),
            not_opened: Vec::new(),
            open: 0,
            idle: 0,
            last_turn: Turn::default(),
        })
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.target.address
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Nanoseconds in which nothing happened.
    pub(super) fn idle(&self) -> Nanos {
        self.idle
    }

    pub(super) fn set_sources(&mut self, sources: Sources) {
        self.sources = sources;
    }

    /// Starts to connect a client: a new one, or one whose connection has ended.
    pub(super) fn dial(&mut self, number: usize, reads: Reads) {
        self.dial_and_say(number, (reads, Says::All));
    }

    /// As [`Self::dial`], for a client that may not say all of its request.
    pub(super) fn dial_and_say(&mut self, number: usize, manner: (Reads, Says)) {
        if self.clients.len() <= number {
            self.clients.resize_with(number + 1, || None);
        }
        let (registry, from) = (self.poll.registry(), self.source(number));
        let dialled = Client::dial(&self.target, registry, Token(number), from, manner);
        match (dialled, self.clients.get_mut(number)) {
            (Ok(client), Some(slot)) => *slot = Some(client),
            (Err(error), _) => self.not_opened.push((number, End::Io(error))),
            (Ok(_), None) => {}
        }
    }

    /// The address that a client is to come from, where that is ours to say.
    fn source(&self, number: usize) -> Option<IpAddr> {
        let local = self.target.address.is_ipv4() && self.target.address.ip().is_loopback();
        let last = u8::try_from(number % usize::from(SOURCES)).unwrap_or_default();
        let source = Ipv4Addr::new(127, 0, 0, last + 1);
        (local && self.sources == Sources::Several).then(|| source.into())
    }

    /// A connection that could not be opened: of several the first.
    pub(super) fn pop_not_opened(&mut self) -> Option<(usize, End)> {
        (!self.not_opened.is_empty()).then(|| self.not_opened.swap_remove(0))
    }

    /// The sending side of a client, if it is open; what is sent goes out at the end of the turn.
    pub(super) fn link(&mut self, number: usize) -> Option<Link<'_>> {
        let link = self.clients.get_mut(number)?.as_mut()?.link()?;
        if self.dirty.last() != Some(&number) {
            self.dirty.push(number);
        }
        Some(link)
    }

    /// Bytes on their way to the socket of a client.
    pub(super) fn queued(&self, number: usize) -> usize {
        let client = self.clients.get(number).and_then(Option::as_ref);
        client.map_or(0, Client::queued)
    }

    /// Drops a connection without a word.
    pub(super) fn drop_client(&mut self, number: usize) {
        if let Some(client) = self.clients.get_mut(number).and_then(Option::take) {
            self.open -= usize::from(client.is_open());
        }
    }

    /// Ends a connection by a reset.
    pub(super) fn reset(&mut self, number: usize) {
        if let Some(client) = self.clients.get_mut(number).and_then(Option::take) {
            self.open -= usize::from(client.is_open());
            // One that has failed already is gone all the same.
            let _ = client.reset();
        }
    }

    /// Ends the sending half of a connection.
    pub(super) fn end_sending(&mut self, number: usize) {
        if let Some(client) = self.clients.get_mut(number).and_then(Option::as_mut) {
            // A connection that has failed is told by its next read.
            let _ = client.end_sending();
        }
    }

    /// Changes what a client reads; one that is to read everything begins with what has come.
    pub(super) fn set_reads(&mut self, number: usize, reads: Reads) {
        let changes = |client: &&mut Client| client.reads() != reads;
        let client = self.clients.get_mut(number).and_then(Option::as_mut).filter(changes);
        if let Some(client) = client {
            client.set_reads(reads);
            if reads == Reads::Everything {
                // The edge has passed; so may have that of its end.
                self.ready.push((number, Readiness::ENDED));
            }
        }
    }

    /// Has a client that is open read at most so many bytes.
    pub(super) fn feed<S: Scenario>(&mut self, number: usize, bytes: usize, scenario: &mut S) {
        let open = |client: &&mut Client| client.is_open();
        let Some(client) = self.clients.get_mut(number).and_then(Option::as_mut).filter(open)
        else {
            return;
        };
        let bytes = bytes.min(self.buffer.len());
        let buffer = self.buffer.get_mut(..bytes).unwrap_or_default();
        let served = client.read_once(number, &self.target, buffer, self.clock, scenario);
        if let Err(end) = served.and_then(|_| client.flush()) {
            self.drop_client(number);
            scenario.on_end(number, end, self.clock.now());
        }
    }

    /// Starts to close all connections; those that do not read are dropped.
    pub(super) fn close_all(&mut self) {
        for number in 0..self.clients.len() {
            let reads = self.clients.get(number).and_then(Option::as_ref).map(Client::reads);
            match self.link(number) {
                Some(mut link) if reads == Some(Reads::Everything) => link.close(),
                _ => self.drop_client(number),
            }
        }
    }

    /// Drops all that are left.
    pub(super) fn drop_all(&mut self) {
        self.clients.clear();
        self.open = 0;
    }

    /// Waits for sockets until `until` or the scenario's next message, and serves those that are
    /// ready; yields the time.
    pub(super) fn turn<S: Scenario>(
        &mut self,
        scenario: &mut S,
        until: Nanos,
    ) -> Result<Nanos, LoadError> {
        self.wait(scenario.next_due().map_or(until, |due| due.min(until)))?;
        let mut ready = std::mem::take(&mut self.ready);
        for (number, readiness) in ready.drain(..) {
            self.serve(number, readiness, scenario);
        }
        ready.append(&mut self.ready);
        self.ready = ready;
        let now = self.clock.now();
        scenario.on_turn(self, now);
        self.flush(scenario);
        Ok(now)
    }

    fn wait(&mut self, until: Nanos) -> Result<(), LoadError> {
        let start = self.clock.now();
        if self.last_turn.was_empty {
            self.idle += start.saturating_sub(self.last_turn.start);
        }
        let left = until.saturating_sub(start);
        let spin = self.waiting == Waiting::Spin || !self.ready.is_empty() || left < COARSE;
        // It is rounded up to a millisecond.
        let nanos = if spin { 0 } else { (left - COARSE / 2).min(WAIT_MAX) };
        match self.poll.poll(&mut self.events, Some(Duration::from_nanos(nanos))) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => self.events.clear(),
            Err(error) => {
                return Err(LoadError::System { what: "cannot wait for sockets", error });
            }
        }
        let was_empty = spin && self.events.is_empty() && self.ready.is_empty();
        self.last_turn = Turn { start, was_empty };
        if !spin {
            self.idle += self.clock.now().saturating_sub(start);
        }
        for event in &self.events {
            let ended = event.is_read_closed() || event.is_error();
            let (readable, writable) = (event.is_readable(), event.is_writable());
            self.ready.push((event.token().0, Readiness { readable, writable, ended }));
        }
        Ok(())
    }

    fn serve<S: Scenario>(&mut self, number: usize, readiness: Readiness, scenario: &mut S) {
        let Some(client) = self.clients.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        let was_open = client.is_open();
        let (target, buffer) = (&self.target, &mut self.buffer);
        let served = client.serve(number, readiness, target, buffer, self.clock, scenario);
        let is_open = client.is_open();
        if is_open && !was_open {
            self.open += 1;
        }
        match served {
            Ok(Rest::Nothing) => {}
            Ok(Rest::More) => {
                self.ready.push((number, Readiness { readable: true, ..readiness }));
            }
            Err(end) => {
                self.drop_client(number);
                if is_open {
                    scenario.on_end(number, end, self.clock.now());
                } else {
                    self.not_opened.push((number, end));
                }
            }
        }
    }

    /// One write for each client that was sent something at the end of the turn.
    fn flush<S: Scenario>(&mut self, scenario: &mut S) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for number in dirty.drain(..) {
            let client = self.clients.get_mut(number).and_then(Option::as_mut);
            if let Some(Err(end)) = client.map(Client::flush) {
                self.drop_client(number);
                scenario.on_end(number, end, self.clock.now());
            }
        }
        self.dirty = dirty;
    }
}

/// The address of the URL's host; of several the first that takes a connection, if one does:
/// `localhost` is two, and many a server listens on one of them.
fn resolve(url: &Url) -> Result<SocketAddr, LoadError> {
    let failed = |error| LoadError::Host { host: url.host().to_owned(), error };
    let addresses = (url.host(), url.port()).to_socket_addrs().map_err(failed)?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let first = addresses.first().copied();
    let first = first.ok_or_else(|| failed(io::Error::new(ErrorKind::NotFound, "no address")))?;
    let takes = |address: &&SocketAddr| TcpStream::connect_timeout(address, TRIAL).is_ok();
    let chosen = if addresses.len() > 1 { addresses.iter().find(takes) } else { None };
    Ok(chosen.copied().unwrap_or(first))
}
