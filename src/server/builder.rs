//! Putting a server together and running it.

use super::attempts::Attempts;
use super::connections::Connections;
use super::error::BuildError;
use super::handler::Handler;
use super::options::Options;
use super::pinning;
use super::shutdown::ShutdownHandle;
use super::source::{Ingestor, Source};
use super::stats::{Board, StatsHandle};
use super::worker::{Intake, Parts, Shared, TcpIntake, UdpIntake, Worker};
use crate::hub::{Publisher, Wake, channel};
use crate::net::{self, BindError, SocketOptions, System, Udp};
use crate::proto::{Config, Role};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// A server that is told how to behave before it listens.
pub struct Builder {
    address: SocketAddr,
    options: Options,
    sources: Vec<Opener>,
}

/// Opens a source's socket.
type Opener = Box<dyn FnOnce() -> Result<Box<dyn Intake<System>>, BindError>>;

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, options, sources } = self;
        let mut debug = f.debug_struct("Builder");
        debug.field("address", address).field("options", options);
        debug.field("sources", &sources.len()).finish()
    }
}

impl Builder {
    /// Sets how the server behaves.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Adds a socket that events come from. The first worker reads it in its own loop: its
    /// subscribers get an event in the turn in which it is read, the other workers' through
    /// their inboxes.
    #[must_use]
    pub fn source(mut self, source: Source, ingestor: impl Ingestor) -> Self {
        self.sources.push(Box::new(move || open(source, ingestor)));
        self
    }

    /// Listens, without accepting yet.
    ///
    /// # Errors
    /// The address cannot be listened on: taken, not ours, or not allowed. Or the options ask for
    /// what the system does not give: cores, or to busy-poll.
    pub fn build(self) -> Result<Server, BuildError> {
        let address = self.address;
        let error = |source| BindError { address, source };
        pinning::check(&self.options.pin, self.options.workers.max(1))?;
        self.options.sockets.probe_busy_poll().map_err(BuildError::BusyPoll)?;
        let listeners = net::bind(address, self.options.workers, &self.options.sockets)?;
        let local_addr = match listeners.first() {
            Some(listener) => listener.local_addr().map_err(error)?,
            None => address,
        };
        let (mut inboxes, mut wakes, mut parts) = (Vec::new(), Vec::<Wake>::new(), Vec::new());
        for listener in listeners {
            let (part, wake) = Parts::new(listener).map_err(error)?;
            let (sender, inbox) = channel(self.options.inbox_events_max, Arc::clone(&wake));
            inboxes.push(sender);
            wakes.push(wake);
            parts.push((part, inbox));
        }
        let mut source_addrs = Vec::new();
        for open in self.sources {
            let source = open().map_err(BuildError::Source)?;
            source_addrs.push(source.local_addr().map_err(error)?);
            if let Some((first, _)) = parts.first_mut() {
                first.add_source(source).map_err(error)?;
            }
        }
        let boards: Arc<[Arc<Board>]> = parts.iter().map(|_| Arc::default()).collect();
        let config = Config {
            role: Role::Server,
            limits: self.options.limits,
            timeouts: self.options.timeouts,
        };
        let (attempts, first_seq) = (self.options.attempt_limit, self.options.first_seq);
        let shared = Arc::new(Shared {
            start: Instant::now(),
            config: Arc::new(config),
            attempts: attempts.map(|limit| Attempts::new(limit, self.options.loopback)),
            connections: Connections::new(&self.options),
            options: self.options,
            shutdown: ShutdownHandle::new(wakes.into()),
            publisher: Publisher::new(inboxes, first_seq),
        });
        Ok(Server { local_addr, source_addrs, shared, boards, parts })
    }
}

fn open(source: Source, ingestor: impl Ingestor) -> Result<Box<dyn Intake<System>>, BindError> {
    match source {
        Source::Udp(address) => Ok(Box::new(UdpIntake::new(Udp::bind(address)?, ingestor))),
        Source::Tcp(address) => {
            let error = |source| BindError { address, source };
            let listener = net::bind_one(address, &SocketOptions::default())?;
            listener.keep_alive().map_err(error)?;
            Ok(Box::new(TcpIntake::new(listener, ingestor)))
        }
    }
}

/// A server that listens. [`Self::run`] serves.
pub struct Server {
    local_addr: SocketAddr,
    source_addrs: Vec<SocketAddr>,
    shared: Arc<Shared>,
    boards: Arc<[Arc<Board>]>,
    parts: Vec<(Parts<System>, crate::hub::Inbox)>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens on `address` with the default [`Options`]. Port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn bind(address: SocketAddr) -> Result<Self, BuildError> {
        Self::builder(address).build()
    }

    /// A server on `address`, to be told how to behave.
    #[must_use]
    pub fn builder(address: SocketAddr) -> Builder {
        Builder { address, options: Options::default(), sources: Vec::new() }
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The addresses of its sources, in the order in which they were added.
    #[must_use]
    pub fn source_addrs(&self) -> &[SocketAddr] {
        &self.source_addrs
    }

    /// A publisher to this server's topics, for any thread.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.shared.publisher.clone()
    }

    /// Stops the server from another thread.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shared.shutdown.clone()
    }

    /// The server's counters, for any thread.
    #[must_use]
    pub fn stats(&self) -> StatsHandle {
        StatsHandle(Arc::clone(&self.boards))
    }

    /// Serves until [`ShutdownHandle::shutdown`]. `make` makes the handler of each worker, on the
    /// worker's own thread, and is told its number, from 0. The first worker runs on this thread.
    ///
    /// # Errors
    /// The system refuses what an event loop needs. The other workers stop too.
    ///
    /// # Panics
    /// If `make` panics, once all workers have stopped.
    pub fn run<H: Handler>(self, make: impl Fn(usize) -> H + Sync) -> io::Result<()> {
        let Self { shared, boards, parts, .. } = self;
        let run_one = |number: usize, (parts, inbox), board: &Arc<Board>| {
            let _others = StopOthers(&shared.shutdown);
            if let Some(core) = shared.options.pin.get(number) {
                pinning::pin_to(*core)?;
            }
            let handler = make(number);
            let board = Arc::clone(board);
            let worker = Worker::new(number, parts, inbox, board, Arc::clone(&shared), handler);
            worker.and_then(Worker::run)
        };
        let run_one = &run_one;
        std::thread::scope(|scope| {
            let mut workers = parts.into_iter().zip(boards.iter()).enumerate();
            let first = workers.next();
            let mut threads = Vec::new();
            for (number, (parts, board)) in workers {
                let name = format!("tickwire-{number}");
                let thread = std::thread::Builder::new().name(name);
                threads.push(thread.spawn_scoped(scope, move || run_one(number, parts, board)));
            }
            let mut result = match first {
                Some((number, (parts, board))) => run_one(number, parts, board),
                None => Ok(()),
            };
            for thread in threads {
                let ended = thread.and_then(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                });
                result = result.and(ended);
            }
            result
        })
    }
}

/// Stops all workers when one of them has ended, also by a panic: the others alone would serve a
/// part of the connections only.
struct StopOthers<'a>(&'a ShutdownHandle);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}
