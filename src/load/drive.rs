//! A run from its first connection to its last: opening, settling, warm-up, measurement, drain.
//! Invariant: each phase has an end that no server can move.

use super::client::Reads;
use super::clock::{Nanos, SECOND, nanos};
use super::error::{End, LoadError};
use super::fleet::{Fleet, Waiting};
use super::process::{Process, Usage};
use super::report::float;
use super::scenario::Scenario;
use crate::http::Url;
use crate::proto::Message;
use std::ops::Range;
use std::time::Duration;

/// Handshakes under way at once, so that no server's backlog overflows.
const UNDER_WAY_MAX: usize = 128;
/// For a handshake to be answered, and for what has to be ready before the load starts.
const ANSWER_TIME: Nanos = 10 * SECOND;
/// For what is still on its way when the measurement is over.
const DRAIN_TIME: Nanos = 3 * SECOND;
/// For the closing handshakes.
const CLOSE_TIME: Nanos = SECOND;
/// Between two progress lines.
const PROGRESS_EVERY: Nanos = 200_000_000;

/// What a run is to be, whatever it does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) url: Url,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    pub(crate) waiting: Waiting,
    /// The server's process, to be watched.
    pub(crate) pid: Option<u32>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are being opened.
    Opening,
    /// Load, but no figures yet.
    WarmUp,
    /// What happens counts.
    Measuring,
    /// Nothing new is sent; what is on its way is waited for.
    Draining,
}

/// Where a run is, for a progress line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    /// Of this phase, from 0 to 1.
    pub(crate) part: f64,
    pub(crate) connections: usize,
    /// Messages a second so far, in the measured part.
    pub(crate) per_second: f64,
    pub(crate) errors: u64,
}

/// Who looks on, and may ask for an early end.
pub(crate) trait Watch {
    /// Whether the run is to end now.
    fn is_stopped(&self) -> bool;
    /// Called several times a second.
    fn on_progress(&mut self, progress: &Progress);
}

/// What was measured besides what the scenario counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(super) seconds: f64,
    pub(super) interrupted: bool,
    /// The server's CPU time in the measured part, and its memory at its end.
    pub(super) server: Option<Usage>,
    pub(super) busy_percent: f64,
}

/// One run under way.
pub(super) struct Drive<'a, S> {
    pub(super) fleet: Fleet,
    pub(super) scenario: &'a mut S,
    watch: &'a mut dyn Watch,
    process: Option<Process>,
    stage: Stage,
    next_progress: Nanos,
}

/// A phase, and from when to when it is.
#[derive(Clone, Copy, Debug)]
struct Stage {
    phase: Phase,
    start: Nanos,
    end: Nanos,
}

impl<'a, S: Scenario> Drive<'a, S> {
    pub(super) fn new(
        plan: &Plan,
        scenario: &'a mut S,
        watch: &'a mut dyn Watch,
    ) -> Result<Self, LoadError> {
        let watched = |pid| Process::watch(pid).map_err(|error| LoadError::Process { pid, error });
        let process = plan.pid.map(watched).transpose()?;
        let fleet = Fleet::new(&plan.url, plan.waiting)?;
        let stage = Stage { phase: Phase::Opening, start: 0, end: 0 };
        Ok(Self { fleet, scenario, watch, process, stage, next_progress: 0 })
    }

    /// The whole run with so many connections, of which the last `stalled` never read.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        connections: usize,
        stalled: usize,
    ) -> Result<Measured, LoadError> {
        let reading = connections.saturating_sub(stalled);
        self.open(0..reading, Reads::Everything)?;
        self.open(reading..connections, Reads::Nothing)?;
        self.pass(Phase::Opening, S::SETTLE)?;
        self.await_ready()?;
        let measured = self.load(plan)?;
        self.close()?;
        Ok(measured)
    }

    /// Warm-up, measurement and drain.
    pub(super) fn load(&mut self, plan: &Plan) -> Result<Measured, LoadError> {
        self.pass(Phase::WarmUp, plan.warm_up)?;
        let (start, idle, before) = (self.now(), self.fleet.idle(), self.usage());
        self.pass(Phase::Measuring, plan.duration)?;
        let (end, after) = (self.now(), self.usage());
        let elapsed = end.saturating_sub(start).max(1);
        let busy = elapsed.saturating_sub(self.fleet.idle().saturating_sub(idle));
        let interrupted = self.watch.is_stopped();
        self.begin(Phase::Draining, DRAIN_TIME);
        while self.scenario.is_waiting() && self.turn()? < self.stage.end {}
        let server = before.zip(after).map(|(before, after)| Usage {
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            resident_bytes: after.resident_bytes,
        });
        Ok(Measured {
            seconds: float(elapsed) / float(SECOND),
            interrupted,
            server,
            busy_percent: float(busy) / float(elapsed) * 100.0,
        })
    }

    /// Opens connections, [`UNDER_WAY_MAX`] at a time; the first that fails ends the run.
    pub(super) fn open(&mut self, numbers: Range<usize>, reads: Reads) -> Result<(), LoadError> {
        let (base, total) = (self.fleet.open(), numbers.len());
        let mut numbers = numbers;
        let (mut dialled, mut opened) = (0, 0);
        self.begin(Phase::Opening, ANSWER_TIME);
        while opened < total {
            while dialled < opened + UNDER_WAY_MAX
                && let Some(number) = numbers.next()
            {
                self.fleet.dial(number, reads);
                dialled += 1;
            }
            let now = self.turn()?;
            let address = self.fleet.address();
            if let Some((number, end)) = self.fleet.pop_not_opened() {
                return Err(LoadError::Open { number: number + 1, address, end });
            }
            let before = std::mem::replace(&mut opened, self.fleet.open().saturating_sub(base));
            if opened > before {
                self.stage.end = now + ANSWER_TIME;
            } else if now > self.stage.end {
                let end = End::Late(ANSWER_TIME / SECOND);
                return Err(LoadError::Open { number: base + opened + 1, address, end });
            }
            if self.watch.is_stopped() {
                return Err(LoadError::Stopped);
            }
        }
        Ok(())
    }

    /// Waits for the scenario to be ready for load.
    pub(super) fn await_ready(&mut self) -> Result<(), LoadError> {
        self.begin(Phase::Opening, ANSWER_TIME);
        while !self.scenario.is_ready()? {
            if self.turn()? > self.stage.end {
                let answer = format!("no reply in {} s", ANSWER_TIME / SECOND);
                return Err(LoadError::Refused { what: "what comes before the load", answer });
            }
            if self.watch.is_stopped() {
                return Err(LoadError::Stopped);
            }
        }
        Ok(())
    }

    /// A whole phase: turns for so long, or until the user wants an end.
    pub(super) fn pass(&mut self, phase: Phase, length: Duration) -> Result<(), LoadError> {
        self.begin(phase, nanos(length));
        while self.turn()? < self.stage.end && !self.watch.is_stopped() {}
        Ok(())
    }

    /// Turns until something is so; `false` where it is not so in [`ANSWER_TIME`].
    pub(super) fn pass_until(&mut self, is_so: impl Fn(&S) -> bool) -> Result<bool, LoadError> {
        self.begin(self.stage.phase, ANSWER_TIME);
        while !is_so(self.scenario) {
            if self.turn()? > self.stage.end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Closes all connections in order; what does not answer in time is dropped.
    pub(super) fn close(&mut self) -> Result<(), LoadError> {
        let deadline = self.now().saturating_add(CLOSE_TIME);
        self.fleet.close_all();
        let mut now = 0;
        while self.fleet.open() > 0 && now < deadline {
            now = self.fleet.turn(&mut Parting, deadline)?;
        }
        self.fleet.drop_all();
        Ok(())
    }

    fn begin(&mut self, phase: Phase, length: Nanos) {
        let start = self.now();
        let entered = phase != self.stage.phase;
        self.stage = Stage { phase, start, end: start.saturating_add(length) };
        if entered {
            self.scenario.on_phase(phase, &mut self.fleet, start);
        }
    }

    /// One turn of the event loop, and a progress line where one is due; yields the time.
    fn turn(&mut self) -> Result<Nanos, LoadError> {
        let now = self.fleet.turn(self.scenario, self.stage.end)?;
        if now >= self.next_progress {
            self.next_progress = now + PROGRESS_EVERY;
            let Stage { phase, start, end } = self.stage;
            let (messages, errors) = self.scenario.tally();
            let elapsed = now.saturating_sub(start).max(1);
            self.watch.on_progress(&Progress {
                phase,
                part: (float(elapsed) / float((end - start).max(1))).min(1.0),
                connections: self.fleet.open(),
                per_second: float(messages) / float(elapsed) * float(SECOND),
                errors,
            });
        }
        Ok(now)
    }

    pub(super) fn now(&self) -> Nanos {
        self.fleet.clock().now()
    }

    /// What the watched process has used. A server that has ended is told by its connections.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.process.as_ref().and_then(|process| process.usage().ok())
    }
}

/// The end of a run: nothing is asked for, and nothing that still comes is looked at.
struct Parting;

impl Scenario for Parting {
    fn on_message(&mut self, _: usize, _: Message<'_>, _: Nanos) {}
    fn on_end(&mut self, _: usize, _: End, _: Nanos) {}
}
