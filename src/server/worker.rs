//! One worker: the event loop (see docs/ARCHITECTURE.md, "A turn").
//!
//! In a turn all inputs are handled first, then each connection that has something to send gets
//! one write. Edge-triggered: what is left unread is remembered in the ready list, because the
//! edge does not repeat.
//! Invariants: no connection reads more than its budget in a turn; a freed place is not taken
//! before the turn is over, and events for the one who had it do not reach the next.

mod accepting;
mod ending;
mod ingest;
mod producers;
mod reading;
#[cfg(feature = "simulator")]
pub mod simulator;

pub(super) use ingest::{Intake, UdpIntake};
pub(super) use producers::TcpIntake;

use super::attempts::Attempts;
use super::connections::{Connections, Seat};
use super::core::{ARENA_BYTES_MAX, Core};
use super::handler::{Cause, Handler};
use super::key::{self, Key};
use super::options::{Options, Waiting};
use super::outputs::Flushed;
use super::session::Session;
use super::shutdown::ShutdownHandle;
use super::stats::Board;
use super::table::{Pages, Table};
use super::timer::{Tick, Timers};
use crate::hub::{Care, Inbox, Publication, Publisher, Wake};
use crate::net::{Listener, Network, Sleep, System};
use crate::proto::{Config, Millis};
use mio::Waker;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Readiness events fetched at once.
const EVENTS_MAX: usize = 1024;
/// Published events taken from the inbox in a turn.
const INBOX_EVENTS_PER_TURN: usize = 1024;
/// Bytes read at once, from any connection: a few large messages whole, so that they need not be
/// put together.
const RECEIVE_BUFFER_BYTES: usize = 512 << 10;
/// What can be due for a connection at once: a ping, its silence and its age.
const TIMEOUTS_AT_ONCE: usize = 3;
/// How often it is looked whether those who are waited for still read.
const WAITING_PAUSE: Duration = Duration::from_millis(50);
/// How long accepting pauses when descriptors or memory have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server's workers have in common.
pub(super) struct Shared {
    pub(super) start: Instant,
    pub(super) options: Options,
    pub(super) config: Arc<Config>,
    pub(super) attempts: Option<Attempts>,
    pub(super) connections: Connections,
    pub(super) shutdown: ShutdownHandle,
    pub(super) publisher: Publisher,
}

/// What a worker is made of before it runs: sockets and the means to wake it.
pub(super) struct Parts<N: Network> {
    network: N,
    listener: N::Listener,
    sources: Vec<Box<dyn Intake<N>>>,
}

impl Parts<System> {
    pub(super) fn new(mut listener: Listener) -> io::Result<(Self, Wake)> {
        let network = System::new(key::ALARM)?;
        listener.register(network.registry(), key::LISTENER)?;
        let waker = Waker::new(network.registry(), key::WAKER)?;
        let wake: Wake = Arc::new(move || {
            if let Err(error) = waker.wake() {
                tracing::error!(%error, "a worker cannot be woken");
            }
        });
        Ok((Self { network, listener, sources: Vec::new() }, wake))
    }

    /// Has this worker read a source.
    pub(super) fn add_source(&mut self, mut source: Box<dyn Intake<System>>) -> io::Result<()> {
        source.register(&self.network, self.sources.len())?;
        self.sources.push(source);
        Ok(())
    }
}

pub(super) struct Worker<H: Handler, N: Network> {
    network: N,
    listener: Option<N::Listener>,
    inbox: Inbox,
    sources: Vec<Box<dyn Intake<N>>>,
    handler: H,
    shared: Arc<Shared>,
    sessions: Table<Session<H::Session, N::Transport>>,
    /// Under what each connection is counted.
    seats: Pages<Seat>,
    core: Core,
    timers: Timers,
    /// Connections that have something to be done without a new edge.
    ready: VecDeque<Key>,
    /// Places to be freed at the end of the turn.
    gone: Vec<Key>,
    /// Taken and given back, so that it is allocated once.
    dirty: Vec<Key>,
    /// How often connections were flushed.
    rotation: usize,
    receive_buffer: Vec<u8>,
    now: Millis,
    accepting: Accepting,
    /// When to stop, once the server was asked to.
    drain_deadline: Option<Millis>,
    /// There may be more in the inbox.
    inbox_pending: bool,
    /// The first of the inbox, while it waits for a connection that lags.
    waiting: Option<Publication>,
    /// There may be more in a source.
    ingest_pending: bool,
    /// When a source that is out of descriptors is to accept again.
    ingest_resumes: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    /// Nobody waits to be accepted.
    Idle,
    /// Somebody may.
    Ready,
    /// Out of descriptors or memory until then.
    PausedUntil(Millis),
}

impl<H: Handler, N: Network> Worker<H, N> {
    pub(super) fn new(
        number: usize,
        parts: Parts<N>,
        inbox: Inbox,
        board: Arc<Board>,
        shared: Arc<Shared>,
        handler: H,
    ) -> io::Result<Self> {
        let publisher = shared.publisher.clone();
        let core = Core::new::<H>(number, publisher, board, &shared.options);
        Ok(Self {
            network: parts.network,
            listener: Some(parts.listener),
            inbox,
            sources: parts.sources,
            handler,
            core,
            shared,
            sessions: Table::new(),
            seats: Pages::new(),
            timers: Timers::new(),
            ready: VecDeque::new(),
            gone: Vec::new(),
            dirty: Vec::new(),
            rotation: 0,
            receive_buffer: vec![0; RECEIVE_BUFFER_BYTES],
            now: Millis(0),
            accepting: Accepting::Idle,
            drain_deadline: None,
            inbox_pending: false,
            waiting: None,
            ingest_pending: false,
            ingest_resumes: None,
        })
    }

    /// Serves until the server is asked to stop and all connections are gone.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = N::events(EVENTS_MAX);
        while !self.is_finished() {
            self.turn(&mut events)?;
        }
        self.drop_all();
        self.core.board.post(&self.core.counters);
        Ok(())
    }

    fn turn(&mut self, events: &mut N::Events) -> io::Result<()> {
        self.wait(events)?;
        self.read_clock();
        if self.drain_deadline.is_none() && self.shared.shutdown.is_requested() {
            self.begin_drain();
        }
        self.note_events(events);
        self.drain_inbox();
        self.ingest();
        self.serve_ready();
        self.accept();
        self.run_timers();
        self.flush();
        self.free_gone();
        self.core.board.post(&self.core.counters);
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.drain_deadline.is_some_and(|at| self.sessions.is_empty() || at <= self.now)
    }

    /// Sleeps until something happens, unless something is left to do or it is not to sleep at all.
    fn wait(&mut self, events: &mut N::Events) -> io::Result<()> {
        let spins = self.shared.options.waiting == Waiting::Spin;
        let pending = !self.ready.is_empty() || self.inbox_pending || self.ingest_pending;
        let sleep = if spins || pending {
            Sleep::Never
        } else {
            self.inbox.announce_sleep();
            // What came before the announcement is found now, what comes after wakes us.
            if self.drain_inbox() { Sleep::Never } else { self.until_due() }
        };
        let polled = self.network.poll(events, sleep);
        self.inbox.announce_awake();
        polled
    }

    /// A sleep that ends when something is due.
    fn until_due(&self) -> Sleep {
        let accepting = match self.accepting {
            Accepting::Idle => None,
            Accepting::Ready => Some(self.now),
            Accepting::PausedUntil(at) => Some(at),
        };
        let waiting = self.waiting.as_ref().map(|_| self.now.after(WAITING_PAUSE));
        let next =
            [self.timers.next_at(), accepting, waiting, self.drain_deadline, self.ingest_resumes];
        let next = next.into_iter().flatten().min();
        next.map_or(Sleep::Endless, |next| {
            Sleep::Until(self.shared.start + Duration::from_millis(next.0))
        })
    }

    fn read_clock(&mut self) {
        let now = self.network.now();
        self.now = Millis(0).after(now - self.shared.start);
        self.core.now = self.now;
    }

    fn note_events(&mut self, events: &N::Events) {
        for event in N::readiness(events) {
            match event.token {
                key::LISTENER if self.accepting == Accepting::Idle => {
                    self.accepting = Accepting::Ready;
                }
                key::LISTENER | key::WAKER | key::ALARM => {}
                token if key::source_of(token).is_some() => self.note_source_event(event),
                token => {
                    let key = Key::from_token(token);
                    let Some(session) = self.session(key) else {
                        continue;
                    };
                    session.readable |= event.readable;
                    session.peer_ended |= event.ended;
                    self.make_ready(key);
                }
            }
        }
    }

    fn session(&mut self, key: Key) -> Option<&mut Session<H::Session, N::Transport>> {
        self.sessions.get_mut(key.index).filter(|session| session.key == key)
    }

    /// Has the connection served in this turn, or in the next one if this turn's are under way.
    fn make_ready(&mut self, key: Key) {
        if let Some(session) = self.session(key)
            && !session.queued
        {
            session.queued = true;
            self.ready.push_back(key);
        }
    }

    /// Hands out what publishers sent; whether there was anything.
    fn drain_inbox(&mut self) -> bool {
        for count in 0..INBOX_EVENTS_PER_TURN {
            let Some(publication) = self.next_publication() else {
                self.inbox_pending = false;
                return count > 0;
            };
            self.core.deliver(&publication);
            if self.core.outputs.encoded() > ARENA_BYTES_MAX {
                break;
            }
        }
        self.inbox_pending = true;
        true
    }

    /// The next of the inbox, unless it is one that waits for somebody.
    fn next_publication(&mut self) -> Option<Publication> {
        let next = self.waiting.take().or_else(|| self.inbox.try_receive())?;
        if next.care == Care::Awaited && self.core.outputs.is_awaiting(self.now) {
            self.waiting = Some(next);
            return None;
        }
        Some(next)
    }

    /// Serves each connection that was ready when this was called, once.
    fn serve_ready(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else {
                return;
            };
            let Some(session) = self.session(key) else {
                continue;
            };
            session.queued = false;
            self.write_queued(key);
            self.read(key);
            if self.core.outputs.encoded() > ARENA_BYTES_MAX {
                self.flush();
            }
        }
    }

    /// Sees to it that the connection is looked at by its deadline.
    fn remind(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key.index) else {
            return;
        };
        if session.key == key {
            let queue = self.core.outputs.deadline(key.index);
            let due = session.deadline().min(session.queue_deadline(queue));
            session.reminder = self.timers.remind(key, due, session.reminder);
        }
    }

    fn run_timers(&mut self) {
        self.timers.advance(self.now);
        while let Some((key, tick)) = self.timers.pop_due() {
            let now = self.now;
            let Some(session) = self.session(key) else {
                continue;
            };
            if session.reminder != tick {
                continue;
            }
            session.reminder = Tick::NONE;
            for _ in 0..TIMEOUTS_AT_ONCE {
                if self.session(key).is_some_and(|session| session.deadline() <= now) {
                    self.handle_timeout(key);
                }
            }
            self.check_queue(key);
            self.remind(key);
        }
    }

    /// Gives each connection that has something to send its one write of the turn.
    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        loop {
            self.core.outputs.take_dirty(&mut dirty);
            if dirty.is_empty() {
                break;
            }
            self.rotation = self.rotation.wrapping_add(1);
            for key in rotated(&dirty, self.rotation) {
                self.flush_one(*key);
            }
        }
        self.core.transit.end_flush(&self.core.board.latency);
        self.dirty = dirty;
        self.core.outputs.end_turn();
    }

    fn flush_one(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key.index) else {
            return;
        };
        if session.key != key {
            return;
        }
        let flushed = self.core.flush(key, &session.tcp);
        if flushed.as_ref().is_ok_and(|(_, written)| *written > 0) {
            self.core.transit.note_write();
        }
        self.after_write(key, flushed);
        while let Some(largest) = self.core.outputs.evicted() {
            self.core.counters.evicted.add(1);
            self.close_slow_consumer(largest, 0);
        }
    }

    /// Writes what the socket refused before; the socket may have room again.
    fn write_queued(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key.index) else {
            return;
        };
        if !self.core.outputs.is_lagging(key.index) {
            return;
        }
        let written = self.core.write_queued(key, &session.tcp);
        self.after_write(key, written);
        if !self.core.outputs.is_lagging(key.index) {
            self.on_drain(key);
        }
    }

    /// Does what the outcome of a write asks for.
    fn after_write(&mut self, key: Key, outcome: io::Result<(Flushed, usize)>) {
        let Ok((flushed, written)) = outcome else {
            self.drop_now(key, Cause::Reset);
            return;
        };
        self.core.counters.bytes_out.add(written as u64);
        match flushed {
            Flushed::Done => self.shut_if_ending(key),
            // The queue has a deadline.
            Flushed::Queued => self.remind(key),
            Flushed::Overflow(refused) => self.close_slow_consumer(key, refused),
        }
    }

    fn free_gone(&mut self) {
        for key in self.gone.drain(..) {
            self.sessions.remove(key.index);
        }
    }
}

/// All of `list`, beginning one further for each `turn`: whoever is first now is last the next time.
fn rotated<T>(list: &[T], turn: usize) -> impl Iterator<Item = &T> {
    let (later, first) = list.split_at(turn.checked_rem(list.len()).unwrap_or(0));
    first.iter().chain(later)
}

/// Calls a handler; `None` where it panicked.
fn guarded<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

#[cfg(test)]
mod tests {
    use super::rotated;

    #[test]
    fn each_is_first_once_before_one_is_first_again() {
        let list = [0, 1, 2];
        let turns: Vec<Vec<i32>> = (0..4).map(|t| rotated(&list, t).copied().collect()).collect();
        assert_eq!(turns, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
        assert_eq!(rotated(&[0; 0], 5).count(), 0);
    }
}
