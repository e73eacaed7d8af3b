//! What must be so after each turn, whenever the worker sleeps, and at the end. What a peer must get
//! is checked where it reads ([`super::peer`]), what the application must be told where it is told
//! ([`super::application`]).
//! Invariant: a check looks and changes nothing.

use super::application::Application;
use super::ledger::FRAME_BYTES;
use super::socket::Simulated;
use super::wire::{Stage as WireStage, Wire};
use super::world::World;
use crate::outbox::ITEM_BYTES;
use crate::proto::{Millis, State};
use crate::server::key::Key;
use crate::server::session::Stage;
use crate::server::stats::Stats;
use crate::server::worker::{ACCEPT_PAUSE, Worker};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// How late a reminder may be: two ticks of the wheel.
const LATE_MILLIS: u64 = 16;
/// The same in microseconds, and what calls take.
const LATE: u64 = 40_000;
/// The largest frame that the application sends, an echo, which may be alone in a queue.
const FRAME_BYTES_MAX: usize = 200_001 + FRAME_BYTES;
/// Control frames that always find room: a pong and a ping under way, a close frame.
const CONTROL_BYTES_MAX: usize = 3 * (127 + ITEM_BYTES);

/// A connection of the worker's.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    queued: usize,
    /// The same as it counts against its limit.
    counted: usize,
    /// The worker does not read from it, since its queue is half full; or it need not, since what
    /// it has to say goes out first. It reads when the socket has taken that.
    paused: bool,
    open: bool,
}

/// After a turn.
pub(super) fn after_turn(
    worker: &Worker<Application, Simulated>,
    world: &mut World,
    stats: &Stats,
) {
    let view = look_at(worker, world);
    check_counts(worker, world, stats, view.len());
    check_drained(world, &view);
    check_deadlines(world);
    // Whether anything was dropped the worker has told by now.
    if let Some(missed) = world.missed.take()
        && stats.dropped_slow_bytes == 0
    {
        world.fail(missed);
    }
    let queue_max = worker.shared.options.send_queue_bytes_max;
    for (id, seen) in &view {
        if seen.counted > queue_max.max(FRAME_BYTES_MAX) + CONTROL_BYTES_MAX {
            world.fail(format!("#{id}: {} bytes are queued", seen.counted));
        }
        // Silence does not count while something waits for the peer.
        if seen.queued > 0 {
            let now = world.now();
            world.ledger.account(*id).heard_at = now;
        }
        // What one with a small pipe gets takes time that nobody counts here.
        if seen.queued > world.scenario.capacity.0 * 100 {
            world.forgive(*id);
        }
    }
    world.view = view;
    world.wires.values_mut().for_each(|wire| wire.written_in_turn = 0);
}

fn look_at(worker: &Worker<Application, Simulated>, world: &mut World) -> BTreeMap<usize, View> {
    let mut view = BTreeMap::new();
    let half_full = worker.shared.options.send_queue_bytes_max / 2;
    for session in worker.sessions.iter() {
        let id = session.tcp.id;
        let outputs = &worker.core.outputs;
        let queued = outputs.queued_bytes(session.key.index);
        let counted = outputs.queued(session.key.index);
        let ending = matches!(session.stage, Stage::Ending(_));
        let open = matches!(&session.stage,
            Stage::Open(open) if open.connection.state() == State::Open);
        view.insert(
            id,
            View { queued, counted, paused: counted > half_full || ending && queued > 0, open },
        );
        if session.deadline() != Millis::NEVER && session.deadline().0 + LATE_MILLIS < worker.now.0
        {
            let late = worker.now.0 - session.deadline().0;
            world.fail(format!("#{id}: its deadline passed {late} ms ago"));
        }
        let queue = session.queue_deadline(outputs.deadline(session.key.index));
        if queue != Millis::NEVER && queue.0 + LATE_MILLIS < worker.now.0 {
            world.fail(format!("#{id}: its queue is {} ms late", worker.now.0 - queue.0));
        }
        if let Stage::Handshake(handshake) = &session.stage
            && handshake.bytes.len() > worker.shared.options.head_limits.head_bytes_max
        {
            world.fail(format!("#{id}: {} bytes of a request are kept", handshake.bytes.len()));
        }
        if let Stage::Ending(ending) = &session.stage
            && !ending.shut
            && queued == 0
        {
            world.fail(format!("#{id}: all is said, and its end of TCP is not shut"));
        }
        let gone = matches!(session.stage, Stage::Gone);
        let ended = world.wires.get(&id).is_some_and(|wire| wire.level().ended);
        if gone || session.peer_ended && !ended {
            world.fail(format!("#{id}: it is taken to be gone, and is not, or still there"));
        }
    }
    view
}

fn check_counts(
    worker: &Worker<Application, Simulated>,
    world: &mut World,
    stats: &Stats,
    sessions: usize,
) {
    let lived = world.wires.values().filter(|wire| wire.stage == WireStage::Accepted).count();
    let ledger = &world.ledger;
    let dropped = stats.dropped_slow_events
        + stats.dropped_newest
        + stats.dropped_oldest
        + stats.dropped_gone_events
        + stats.dropped_unsubscribed_events;
    let known = stats.deliveries + stats.conflated + stats.folded + dropped + stats.queued_events;
    let held: usize = worker.sessions.iter().map(|s| worker.core.outputs.held(s.key.index)).sum();
    let held = held as u64;
    let (folding, to_fold) = worker.core.outputs.folds();
    // Each once.
    let ready: HashSet<Key> = worker.ready.iter().copied().collect();
    let (most, least) = (ledger.written_bytes, ledger.written_bytes - ledger.uncertain_bytes);
    let sums = [
        ("accepted", stats.accepted, ledger.accepted),
        ("accepted and not ended", stats.accepted - stats.ended_total(), stats.open),
        ("open", stats.open, sessions as u64),
        ("sockets", lived as u64, sessions as u64),
        ("handshakes", stats.handshakes, ledger.opened),
        ("messages in", stats.messages_in, ledger.messages),
        ("bytes in", stats.bytes_in, ledger.read_bytes),
        ("bytes out", stats.bytes_out.clamp(least, most), stats.bytes_out),
        ("accept pauses", stats.accept_pauses, ledger.pauses),
        ("events", stats.offered, known),
        ("bytes that wait", stats.queued_bytes, held),
        ("events that folds are waited for from", folding as u64, to_fold as u64),
        ("encoded bytes left", worker.core.outputs.encoded() as u64, 0),
        ("places not freed", worker.gone.len() as u64, 0),
        ("ready", worker.ready.len() as u64, ready.len() as u64),
    ];
    let open_sessions = ledger.opened - ledger.closed;
    let wrong = sums.into_iter().find(|(_, counted, is)| counted != is);
    if let Some((what, counted, is)) = wrong {
        world.fail(format!("{what}: {counted} were counted, and it is {is}"));
    }
    if open_sessions > sessions as u64 {
        world.fail(format!("{open_sessions} sessions are open, on {sessions} connections"));
    }
}

/// A queue that is empty again is told of, while the connection is open.
fn check_drained(world: &mut World, view: &BTreeMap<usize, View>) {
    let drained = world.take_drained();
    let before = std::mem::take(&mut world.view);
    for (id, seen) in view {
        let was = before.get(id).is_some_and(|was| was.queued > 0 && was.open);
        if was && seen.queued == 0 && seen.open && !drained.contains(id) {
            world.fail(format!("#{id}: its queue is empty again, without on_drain"));
        }
    }
    for id in drained {
        if before.get(&id).is_none_or(|was| !was.open) && !view.contains_key(&id) {
            world.fail(format!("#{id}: on_drain for one that had no queue"));
        }
    }
}

/// Each connection ends by its deadline, as it can be told from outside.
fn check_deadlines(world: &mut World) {
    let options = &world.scenario.options;
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let close = micros(options.timeouts.close_timeout);
    let slack = LATE + world.jumped;
    let mut late = None;
    for (id, wire) in &world.wires {
        let Some(account) = world.ledger.accounts.get(*id) else { continue };
        if wire.stage != WireStage::Accepted {
            continue;
        }
        let handshake = account.opened_at.is_none().then_some(account.accepted_at).flatten();
        let idle = options.timeouts.idle_timeout.map(|idle| account.heard_at + micros(idle));
        let life = options.lifetime.zip(account.opened_at);
        let limits = [
            ("handshake", handshake.map(|at| at + micros(options.handshake_timeout) + close)),
            ("on_close", account.closed_at.map(|at| at + close)),
            ("close", account.closing_at.map(|at| at + 2 * close)),
            ("silence", account.opened_at.and(idle).map(|at| at + 2 * close)),
            ("lifetime", life.map(|(life, at)| at + micros(life) + 2 * close)),
            ("stop", world.stopped_at.map(|at| at + micros(options.drain_timeout))),
        ];
        let limits = limits.into_iter();
        if let Some((since, _)) = limits
            .filter_map(|(since, at)| Some((since, at?)))
            .find(|(_, at)| at + slack < world.now())
        {
            late = Some(format!("#{id} should be gone: {since}"));
        }
    }
    if let Some(late) = late {
        world.fail(late);
    }
}

/// When the worker goes to sleep until `due`, `waiting` events being in its inbox: it must have left
/// nothing undone that no event will remind it of.
pub(super) fn at_sleep(world: &mut World, due: Option<u64>, waiting: u64) {
    if waiting > 0 {
        world.fail(format!("the worker sleeps over {waiting} events in its inbox"));
    }
    let pause = u64::try_from(ACCEPT_PAUSE.as_micros()).unwrap_or(u64::MAX) + LATE;
    let soon = due.is_some_and(|due| due <= world.now() + pause);
    if !world.backlog.is_empty() && !world.has_pending_accept() && !soon {
        world.fail(format!("the worker sleeps, and {} wait to be accepted", world.backlog.len()));
    }
    let live = |wire: &Wire| wire.stage == WireStage::Accepted;
    let left = world.wires.iter().filter(|(_, wire)| live(wire)).find_map(|(id, wire)| {
        let seen = world.view.get(id)?;
        let unread = wire.is_left_unread() && !seen.paused;
        let unwritten = wire.is_left_unwritten() && seen.queued > 0;
        let what = if unread { "read" } else { "written" };
        ((unread || unwritten) && !world.has_pending(*id)).then_some((*id, what))
    });
    if let Some((id, what)) = left {
        world.fail(format!("the worker sleeps, and #{id} could be {what}"));
    }
}

/// When the worker has stopped.
pub(super) fn at_end(world: &mut World, stats: &Stats) {
    let left = world.wires.values().filter(|wire| wire.stage != WireStage::Over).count();
    let ledger = &world.ledger;
    let ended: u64 = stats.ended_by_cause().map(|(_, count)| count).sum();
    let sums = [
        ("connections left", left as u64, 0),
        ("open", stats.open, 0),
        ("ended", ended, ledger.accepted),
        ("on_close", ledger.closed, ledger.opened),
    ];
    let wrong = sums.into_iter().find(|(_, counted, is)| counted != is);
    if let Some((what, counted, is)) = wrong {
        world.fail(format!("at the end, {what}: {counted} instead of {is}"));
    }
}
