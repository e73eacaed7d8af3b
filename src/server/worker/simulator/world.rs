//! The network that a worker runs on in a simulation, and everything behind it: peers, publishers,
//! the clock, and what goes wrong.
//!
//! Time stands still but for what [`World::poll`] sleeps and some microseconds a call. What is to
//! happen stands in a list by time; some of it happens early, in the middle of a turn, as other
//! threads and machines do not wait for a worker.
//! Invariant: all that differs between two runs comes from the scenario's chance.

mod edges;
mod happenings;

use super::chance::Chance;
use super::checks::View;
use super::ledger::{CHAT, Ledger};
use super::peer::Peer;
use super::scenario::Scenario;
use super::trace::Trace;
use super::wire::{Edge, Moved, Stage, Wire};
use crate::hub::{Publisher, Topic};
use crate::net::{Readiness, Sleep};
use crate::server::key;
use crate::server::shutdown::ShutdownHandle;
use crate::server::stats::StatsHandle;
use mio::Token;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Events that a poll yields at most; the rest come with the next.
const EVENTS_MAX: usize = 40;
/// Microseconds that a call takes at most.
const CALL: u64 = 5;
/// How often it is looked whether all is done, in microseconds.
const LOOK: u64 = 500_000;
/// When it is over in any case.
const LATEST: u64 = 90_000_000;
/// How long after the last peer is done all must have come, in microseconds.
const SETTLED: u64 = 2_000_000;
/// What is left of the drain timeout when manners end, in microseconds.
const HURRY: u128 = 300_000;
/// How long descriptors are out at most, in microseconds.
const EXHAUSTED: u64 = 900_000;

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    /// A peer does something.
    Peer(usize),
    /// A refusal's edge is looked for.
    Owed(usize),
    Publish,
    Look,
}

/// An event that a poll will yield.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    at: u64,
    token: Token,
    edge: Edge,
}

/// What the world has in common with the server.
pub(super) struct Server {
    pub(super) publisher: Publisher,
    pub(super) topics: Vec<Topic>,
    pub(super) stats: StatsHandle,
    pub(super) shutdown: ShutdownHandle,
}

/// The world.
pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) scenario: Scenario,
    pub(super) ledger: Ledger,
    pub(super) trace: Trace,
    /// What was found to be wrong first.
    pub(super) failure: Option<String>,
    /// The connections of the worker, as they were at the end of its last turn.
    pub(super) view: BTreeMap<usize, View>,
    pub(super) stopped_at: Option<u64>,
    /// Where peers read to.
    pub(super) buffer: Vec<u8>,
    /// By how much the clock has jumped in all.
    pub(super) jumped: u64,
    /// Calls that moved bytes or accepted, and events that were yielded.
    pub(super) doings: u64,
    pub(super) wires: BTreeMap<usize, Wire>,
    pub(super) backlog: VecDeque<usize>,
    pub(super) pending: Vec<Pending>,
    server: Option<Server>,
    listening: bool,
    /// What the worker takes for the beginning.
    pub(super) start: Instant,
    now: u64,
    happenings: BTreeMap<(u64, u64), Happening>,
    happened: u64,
    peers: BTreeMap<usize, (Box<Peer>, u64)>,
    tokens: BTreeMap<usize, Token>,
    dead_tokens: Vec<Token>,
    publications_left: usize,
    exhausted_until: u64,
    paused_at: Option<u64>,
    /// Connections that could not be watched, or had more to read than one can in good time.
    forgiven: Vec<usize>,
    drained: Vec<usize>,
    settled_at: Option<u64>,
    wake: Arc<AtomicBool>,
}

impl World {
    pub(super) fn new(mut chance: Chance, scenario: Scenario, trace: Trace) -> Self {
        let mut world = Self {
            ledger: Ledger::default(),
            trace,
            failure: None,
            view: BTreeMap::new(),
            stopped_at: None,
            buffer: Vec::new(),
            jumped: 0,
            doings: 0,
            wires: BTreeMap::new(),
            backlog: VecDeque::new(),
            pending: Vec::new(),
            server: None,
            listening: true,
            start: Instant::now(),
            now: 0,
            happenings: BTreeMap::new(),
            happened: 0,
            peers: BTreeMap::new(),
            tokens: BTreeMap::new(),
            dead_tokens: Vec::new(),
            publications_left: scenario.publications,
            exhausted_until: 0,
            paused_at: None,
            forgiven: Vec::new(),
            drained: Vec::new(),
            settled_at: None,
            wake: Arc::default(),
            chance: Chance::from_seed(0),
            scenario,
        };
        for id in 0..world.scenario.peers {
            let script = super::script::Script::draw(&mut chance, &world.scenario);
            let at = chance.micros(0, world.scenario.arrivals);
            world.peers.insert(id, (Box::new(Peer::new(id, script)), u64::MAX));
            world.schedule_peer(id, at);
        }
        world.chance = chance;
        world.schedule(0, Happening::Publish);
        world.schedule(LOOK, Happening::Look);
        world
    }

    pub(super) fn set_server(&mut self, server: Server) {
        self.server = Some(server);
    }

    /// What ends the worker's sleep.
    pub(super) fn wake(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.wake)
    }

    /// Microseconds since the beginning.
    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn note(&mut self, what: &'static str, of: usize, value: u64) {
        self.trace.note(self.now, what, of, value);
    }

    /// Something is wrong; the first time counts.
    pub(super) fn fail(&mut self, what: String) {
        self.note("FAILURE", 0, 0);
        self.failure.get_or_insert(what);
    }

    /// Whether the worker says that it has dropped what peers were too slow for.
    pub(super) fn has_dropped(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.stats.read().dropped_slow_bytes > 0)
    }

    /// How many events of each topic the worker has taken in.
    pub(super) fn taken(&mut self) -> Vec<u64> {
        let events_in = self.server.as_ref().map_or(0, |server| server.stats.read().events_in);
        (0..=CHAT).map(|topic| self.ledger.next_number(topic, events_in)).collect()
    }

    /// Time passes while the worker does something, and now and then something else happens.
    fn pass(&mut self) {
        self.now += self.chance.micros(0, CALL);
        if self.chance.one_in(self.scenario.interference)
            && let Some((_, happening)) = self.happenings.pop_first()
        {
            self.happen(happening);
        }
    }

    /// The time, as the worker reads it.
    pub(super) fn read_clock(&mut self) -> u64 {
        self.now += self.chance.micros(0, CALL);
        if self.settled_at.is_none() && self.chance.one_in(self.scenario.jumps) {
            let jump = self.chance.micros(0, 30_000_000);
            self.note("jump", 0, jump);
            self.now += jump;
            self.jumped += jump;
        }
        self.now
    }

    /// Yields the events that are due, after a sleep if there are none and `sleep` allows it.
    pub(super) fn poll(&mut self, sleep: Sleep) -> Vec<Readiness> {
        let due = match sleep {
            Sleep::Until(due) => {
                let due = due.saturating_duration_since(self.start).as_micros();
                Some(u64::try_from(due).unwrap_or(u64::MAX))
            }
            Sleep::Never | Sleep::Endless => None,
        };
        self.pass();
        self.happen_until_now();
        let mut first = true;
        loop {
            let mut events = self.take_pending();
            if self.wake.swap(false, Ordering::Relaxed) {
                events.push(Readiness { token: key::WAKER, readable: true, ended: false });
            }
            let over = due.is_some_and(|due| due <= self.now) || self.failure.is_some();
            if !events.is_empty() || sleep == Sleep::Never || over {
                return self.with_noise(events);
            }
            if std::mem::take(&mut first) {
                let waiting = self.server.as_ref().map_or(0, |s| s.stats.read().events_in);
                let waiting = self.ledger.waiting(waiting);
                super::checks::at_sleep(self, due, waiting);
            }
            let happening = self.happenings.first_key_value().map(|((at, _), _)| *at);
            let edge = self.pending.iter().map(|pending| pending.at).min();
            let Some(next) = [happening, edge, due].into_iter().flatten().min() else {
                self.fail("the worker sleeps, and nothing will ever wake it".into());
                return Vec::new();
            };
            self.now = self.now.max(next);
            self.happen_until_now();
        }
    }

    /// Accepts a connection, or says what went wrong.
    pub(super) fn accept(&mut self) -> Result<usize, std::io::ErrorKind> {
        use std::io::ErrorKind;
        self.pass();
        if self.backlog.is_empty() {
            return Err(ErrorKind::WouldBlock);
        }
        if self.exhausted_until <= self.now && self.chance.one_in(self.scenario.exhaustions * 8) {
            self.exhausted_until = self.now + self.chance.micros(0, EXHAUSTED);
        }
        if self.exhausted_until > self.now {
            let pause = u64::try_from(super::super::ACCEPT_PAUSE.as_micros()).unwrap_or(0);
            let since = self.paused_at.replace(self.now);
            if since.is_some_and(|at| self.now < at + pause / 2) && self.jumped == 0 {
                self.fail("accepting is tried again before its pause is over".into());
            }
            self.ledger.pauses += 1;
            self.note("accept refused", 0, 0);
            return Err(ErrorKind::Other);
        }
        let Some(id) = self.backlog.pop_front() else { return Err(ErrorKind::WouldBlock) };
        self.doings += 1;
        let aborted = self.chance.one_in(self.scenario.aborts);
        let Some(wire) = self.wires.get_mut(&id) else { return Err(ErrorKind::Other) };
        if aborted {
            self.turn_away(id);
            self.call_peer(id);
            return Err(ErrorKind::ConnectionAborted);
        }
        wire.stage = Stage::Accepted;
        self.note("accept", id, 0);
        self.ledger.accepted += 1;
        let now = self.now;
        let account = self.ledger.account(id);
        (account.accepted_at, account.heard_at) = (Some(now), now);
        Ok(id)
    }

    /// Has a connection's readiness reported under a token. `false`: the system cannot.
    pub(super) fn watch(&mut self, id: usize, token: Token) -> bool {
        self.pass();
        if self.chance.one_in(self.scenario.unwatched) {
            self.forgiven.push(id);
            return false;
        }
        let level = self.wires.get(&id).map(Wire::level).unwrap_or_default();
        self.tokens.insert(id, token);
        self.push_edge(id, level);
        true
    }

    /// The worker accepts no more: who waits is turned away by the system.
    pub(super) fn close_listener(&mut self) {
        self.note("listener closed", 0, 0);
        for id in std::mem::take(&mut self.backlog) {
            self.turn_away(id);
            self.call_peer(id);
        }
        self.listening = false;
    }

    fn turn_away(&mut self, id: usize) {
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.peer_reset(true);
            wire.stage = Stage::Over;
        }
        self.forgiven.push(id);
    }

    pub(super) fn read(&mut self, id: usize, buffer: &mut [u8]) -> Moved {
        self.pass();
        let refuse = self.chance.one_in(self.scenario.refusals);
        let Some(wire) = self.wires.get_mut(&id) else { return Moved::Reset };
        let moved = wire.read(buffer, refuse);
        if refuse {
            self.schedule_owed(id);
        }
        if let Moved::Bytes(len) = moved {
            self.doings += 1;
            self.ledger.read_bytes += len as u64;
            self.ledger.account(id).heard_at = self.now;
            self.note("read", id, len as u64);
        } else {
            self.note("read nothing", id, u64::from(moved != Moved::Refused));
            self.doings += u64::from(moved != Moved::Refused);
        }
        moved
    }

    pub(super) fn write<'a>(&mut self, id: usize, slices: impl Iterator<Item = &'a [u8]>) -> Moved {
        self.pass();
        let bytes_max = if self.chance.one_in(self.scenario.refusals) {
            0
        } else if self.chance.one_in(self.scenario.cuts) {
            self.chance.between(1, 3000)
        } else {
            usize::MAX
        };
        let Some(wire) = self.wires.get_mut(&id) else { return Moved::Reset };
        let moved = wire.write(slices, bytes_max);
        match moved {
            Moved::Bytes(len) => {
                self.doings += 1;
                wire.written_in_turn += len as u64;
                self.ledger.written_bytes += len as u64;
                self.note("write", id, len as u64);
                self.call_peer(id);
            }
            Moved::Refused => {
                self.note("write refused", id, 0);
                if bytes_max == 0 {
                    self.schedule_owed(id);
                }
            }
            Moved::End | Moved::Reset => {
                self.ledger.uncertain_bytes += std::mem::take(&mut wire.written_in_turn);
                self.note("write failed", id, 0);
            }
        }
        moved
    }

    pub(super) fn end_writing(&mut self, id: usize) -> bool {
        self.pass();
        self.note("shut", id, 0);
        self.call_peer(id);
        self.wires.get_mut(&id).is_some_and(Wire::end_writing)
    }

    /// The worker has closed a connection.
    pub(super) fn close(&mut self, id: usize) {
        self.note("close", id, 0);
        self.doings += 1;
        self.dead_tokens.extend(self.tokens.remove(&id));
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.close();
        }
        self.call_peer(id);
    }

    /// A connection's `on_drain` was called.
    pub(super) fn queue_drained(&mut self, id: usize) {
        self.drained.push(id);
    }

    /// The connections whose `on_drain` was called since this was asked.
    pub(super) fn take_drained(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.drained)
    }
}
