//! A worker run on a network that is made up, in virtual time, from a seed: to be found wrong.
//!
//! The worker, its sessions and `proto` are the real ones, on one thread; `world` is everything
//! behind them. [`run`] derives all of a simulation from a number, [`run_bytes`] from a fuzzer's
//! bytes. See docs/simulator.md for what happens in there and what is checked.
//! Invariant: the same source gives the same simulation, to the last event.

mod application;
mod chance;
mod checks;
mod ledger;
mod peer;
mod reader;
mod scenario;
mod script;
mod socket;
mod trace;
mod wire;
mod world;

use super::{Parts, Shared, Worker};
use crate::hub::{Publisher, Wake, channel};
use crate::net::Network as _;
use crate::proto::{Config, Role};
use crate::server::attempts::Attempts;
use crate::server::connections::Connections;
use crate::server::shutdown::ShutdownHandle;
use crate::server::stats::{Board, StatsHandle};
use application::Application;
use chance::Chance;
use ledger::TOPICS;
use scenario::Scenario;
use socket::{Door, Simulated};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use trace::{Keep, Trace};
use world::{Server, World};

/// Turns in which nothing moves and no time to speak of passes, one after the other: more mean that
/// the worker spins.
const IDLE_TURNS_MAX: u32 = 30;
/// A time that passes is at least this, in microseconds.
const MOMENT: u64 = 100;

/// What became of a simulation, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// A hash of all that happened: the same for the same source.
    pub hash: u64,
    /// Turns that the worker took.
    pub turns: u64,
    /// Connections that it accepted.
    pub accepted: u64,
    /// Messages that it received, and events that it took in.
    pub messages: u64,
    /// Bytes that it read and wrote.
    pub bytes: u64,
    /// Events that took the place of others, or became part of them, for peers that lag.
    pub merged: u64,
    /// How long it was for those in it, in microseconds.
    pub micros: u64,
    /// How many connections ended for which cause.
    pub ended: BTreeMap<&'static str, u64>,
}

impl AddAssign<&Self> for Report {
    fn add_assign(&mut self, other: &Self) {
        self.hash ^= other.hash;
        self.turns += other.turns;
        self.accepted += other.accepted;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.merged += other.merged;
        self.micros += other.micros;
        for (cause, count) in &other.ended {
            *self.ended.entry(cause).or_default() += count;
        }
    }
}

/// What a simulation found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong.
    pub what: String,
    /// What happened before, the last of it, where it was asked for.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// Whether what happens is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// No.
    Nothing,
    /// Yes, for [`Failure::trace`].
    Trace,
}

/// Simulates what this seed says.
///
/// # Errors
/// What went wrong.
pub fn run(seed: u64, record: Record) -> Result<Report, Failure> {
    simulate(Chance::from_seed(seed), record)
}

/// Simulates what these bytes say.
///
/// # Errors
/// What went wrong.
pub fn run_bytes(bytes: &[u8], record: Record) -> Result<Report, Failure> {
    simulate(Chance::from_bytes(bytes), record)
}

fn simulate(mut chance: Chance, record: Record) -> Result<Report, Failure> {
    let keep = if record == Record::Trace { Keep::Text } else { Keep::Hash };
    let scenario = Scenario::draw(&mut chance);
    let world = Rc::new(RefCell::new(World::new(chance, scenario, Trace::new(keep))));
    let board = Arc::new(Board::default());
    let stats = StatsHandle(Arc::from([Arc::clone(&board)]));
    let driven = catch_unwind(AssertUnwindSafe(|| drive(&world, board, &stats)));
    // A panic has dropped the worker, or will never have had one.
    let turns = driven.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        world.borrow_mut().fail(format!("a panic: {}", text.unwrap_or("of another kind")));
        0
    });
    let Some(world) = Rc::into_inner(world).map(RefCell::into_inner) else {
        return Err(Failure { what: "somebody keeps the world".into(), trace: Vec::new() });
    };
    if let Some(what) = world.failure {
        return Err(Failure { what, trace: world.trace.into_lines() });
    }
    let stats = stats.read();
    Ok(Report {
        hash: world.trace.hash(),
        turns,
        accepted: stats.accepted,
        messages: stats.messages_in + stats.events_in,
        bytes: stats.bytes_in + stats.bytes_out,
        merged: stats.conflated + stats.folded,
        micros: world.now(),
        ended: stats.ended_by_cause().filter(|(_, count)| *count > 0).collect(),
    })
}

/// Runs a worker in this world until it stops; yields how many turns it took.
fn drive(world: &socket::Shared, board: Arc<Board>, stats: &StatsHandle) -> u64 {
    let (options, receive_buffer, start, flag) = {
        let world = world.borrow();
        let Scenario { options, receive_buffer, .. } = &world.scenario;
        (options.clone(), *receive_buffer, world.start, world.wake())
    };
    let wake: Wake = Arc::new(move || flag.store(true, Ordering::Relaxed));
    let (sender, inbox) = channel(options.inbox_events_max, Arc::clone(&wake));
    let publisher = Publisher::new(vec![sender], 1);
    let topics = TOPICS.iter().enumerate();
    let topics = topics.map(|(n, name)| publisher.topic(name, ledger::topic_options(n))).collect();
    let config = Config { role: Role::Server, limits: options.limits, timeouts: options.timeouts };
    let shared = Arc::new(Shared {
        start,
        config: Arc::new(config),
        attempts: options.attempt_limit.map(|limit| Attempts::new(limit, options.loopback)),
        connections: Connections::new(&options),
        shutdown: ShutdownHandle::new(Arc::from([wake])),
        publisher: publisher.clone(),
        options,
    });
    let server =
        Server { publisher, topics, stats: stats.clone(), shutdown: shared.shutdown.clone() };
    world.borrow_mut().set_server(server);
    let [network, door, own] = [0; 3].map(|_| Rc::clone(world));
    let application = Application { world: own };
    let parts = Parts { network: Simulated(network), listener: Door(door), sources: Vec::new() };
    let worker = Worker::new(0, parts, inbox, board, shared, application);
    let Ok(mut worker) = worker else {
        world.borrow_mut().fail("the worker could not be made".into());
        return 0;
    };
    worker.receive_buffer.truncate(receive_buffer);
    let turns = take_turns(&mut worker, world, stats);
    worker.drop_all();
    worker.core.board.post(&worker.core.counters);
    let mut world = world.borrow_mut();
    checks::at_end(&mut world, &stats.read());
    turns
}

fn take_turns(
    worker: &mut Worker<Application, Simulated>,
    world: &socket::Shared,
    stats: &StatsHandle,
) -> u64 {
    let mut events = Simulated::events(0);
    let (mut turns, mut idle) = (0, 0);
    while !worker.is_finished() {
        let (doings, now) = {
            let world = world.borrow();
            (world.doings, world.now())
        };
        if let Err(error) = worker.turn(&mut events) {
            world.borrow_mut().fail(format!("the loop ended: {error}"));
        }
        turns += 1;
        let mut world = world.borrow_mut();
        checks::after_turn(worker, &mut world, &stats.read());
        let moved = world.doings > doings || world.now() > now + MOMENT;
        idle = if moved { 0 } else { idle + 1 };
        if idle > IDLE_TURNS_MAX {
            world.fail("the worker spins".into());
        }
        if world.failure.is_some() {
            break;
        }
    }
    turns
}
