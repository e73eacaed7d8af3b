//! Connect: each place connects, shakes hands, perhaps exchanges a message, closes in order, and
//! begins again.
//! Invariant: a place has one connection at a time, and dials anew when that one has ended.

use super::client::Reads;
use super::clock::Nanos;
use super::drive::{Drive, Phase, Plan, Watch};
use super::error::{End, LoadError};
use super::faults::{Fault, Faults};
use super::fleet::Fleet;
use super::payload::{Content, Payload, Verdict};
use super::recorder::Recorder;
use super::report::Report;
use super::scenario::{Link, Scenario};
use crate::proto::Message;

/// Before a place that could not connect tries again.
const RETRY_AFTER: Nanos = 100_000_000;

/// What a connection does once it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterOpening {
    /// It closes.
    Close,
    /// It sends a message, waits for it to come back, and closes.
    Echo,
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect {
    pub(crate) concurrency: usize,
    pub(crate) after: AfterOpening,
    pub(crate) size: usize,
    pub(crate) content: Content,
}

impl Connect {
    /// Runs it.
    pub(crate) fn run(&self, plan: &Plan, watch: &mut dyn Watch) -> Result<Report, LoadError> {
        let mut cycling = Cycling::new(self);
        let measured = Drive::new(plan, &mut cycling, watch)?.run(plan, self.concurrency, 0)?;
        let hanging = cycling.under_way as u64;
        cycling.faults.note(Fault::Lost, hanging, || {
            format!("{hanging} connections had not ended when the run was over")
        });
        let mut report = Report::new(&measured, cycling.faults);
        report.rate(
            ("handshakes", "handshakes"),
            ("handshakes_per_s", "handshakes/s"),
            cycling.handshakes,
        );
        report.count("opened", "opened in all", cycling.opened);
        report.count("ended", "closed in order in all", cycling.ended);
        report.costs(&measured, cycling.handshakes, "server's CPU a connection");
        report.series("handshake", "connect and handshake", &cycling.openings);
        report.series("cycle", "from connect to close", &cycling.cycles);
        Ok(report)
    }
}

/// A run under way.
struct Cycling {
    after: AfterOpening,
    payload: Payload,
    phase: Phase,
    /// When each place began to connect.
    started: Vec<Nanos>,
    /// Places that are to dial.
    idle: Vec<usize>,
    /// Places that could not connect.
    failed: Vec<usize>,
    retry_at: Nanos,
    /// Connections that are being opened, open, or being closed.
    under_way: usize,
    openings: Recorder,
    cycles: Recorder,
    faults: Faults,
    opened: u64,
    ended: u64,
    /// Of those opened, those in the measured part.
    handshakes: u64,
}

impl Cycling {
    fn new(connect: &Connect) -> Self {
        Self {
            after: connect.after,
            payload: Payload::new(connect.content, connect.size),
            phase: Phase::Opening,
            started: vec![0; connect.concurrency],
            idle: Vec::new(),
            failed: Vec::new(),
            retry_at: 0,
            under_way: connect.concurrency,
            openings: Recorder::new(),
            cycles: Recorder::new(),
            faults: Faults::default(),
            opened: 0,
            ended: 0,
            handshakes: 0,
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::WarmUp | Phase::Measuring)
    }

    fn begin(&mut self, place: usize, link: &mut Link<'_>) {
        match self.after {
            AfterOpening::Close => link.close(),
            AfterOpening::Echo => {
                let number = place as u64;
                link.send(self.payload.content().opcode(), self.payload.compose(number));
            }
        }
    }

    /// Time since a place began to connect.
    fn since_start(&self, place: usize, now: Nanos) -> Nanos {
        now.saturating_sub(self.started.get(place).copied().unwrap_or(now))
    }
}

impl Scenario for Cycling {
    fn on_open(&mut self, place: usize, link: &mut Link<'_>, now: Nanos) {
        self.opened += 1;
        // The first of each place are waited for, so that a server that refuses them is told at
        // once.
        if self.phase == Phase::Opening {
            return;
        }
        if self.phase == Phase::Measuring {
            self.handshakes += 1;
            self.openings.record(self.since_start(place, now));
        }
        self.begin(place, link);
    }

    fn on_message(&mut self, place: usize, message: Message<'_>, _: Nanos) {
        let echo = self.after == AfterOpening::Echo && self.phase != Phase::Opening;
        if echo && self.payload.check(message, place as u64) != Verdict::Expected {
            self.faults.note(Fault::Wrong, 1, || "an echo is not what was sent".to_owned());
        }
    }

    fn on_read(&mut self, _: usize, link: &mut Link<'_>, _: Nanos) {
        if self.after == AfterOpening::Echo && self.phase != Phase::Opening {
            link.close();
        }
    }

    fn on_turn(&mut self, fleet: &mut Fleet, now: Nanos) {
        if self.phase == Phase::Opening {
            return;
        }
        while let Some((place, end)) = fleet.pop_not_opened() {
            self.faults.note(Fault::NotOpened, 1, || format!("connection {}: {end}", place + 1));
            self.under_way = self.under_way.saturating_sub(1);
            self.failed.push(place);
            self.retry_at = now + RETRY_AFTER;
        }
        if now >= self.retry_at {
            self.idle.append(&mut self.failed);
        }
        if !self.is_running() {
            return;
        }
        while let Some(place) = self.idle.pop() {
            if let Some(started) = self.started.get_mut(place) {
                *started = fleet.clock().now();
            }
            self.under_way += 1;
            fleet.dial(place, Reads::Everything);
        }
    }

    fn on_end(&mut self, place: usize, end: End, now: Nanos) {
        self.under_way = self.under_way.saturating_sub(1);
        if matches!(end, End::ByUs) {
            self.ended += 1;
            if self.phase == Phase::Measuring {
                self.cycles.record(self.since_start(place, now));
            }
        } else {
            self.faults.note(Fault::Lost, 1, || format!("connection {}: {end}", place + 1));
        }
        self.idle.push(place);
    }

    fn on_phase(&mut self, phase: Phase, fleet: &mut Fleet, now: Nanos) {
        self.phase = phase;
        if phase == Phase::WarmUp {
            self.started.fill(now);
            for place in 0..self.started.len() {
                if let Some(mut link) = fleet.link(place) {
                    self.begin(place, &mut link);
                }
            }
        }
    }

    fn next_due(&self) -> Option<Nanos> {
        (!self.failed.is_empty() && self.is_running()).then_some(self.retry_at)
    }

    fn is_waiting(&self) -> bool {
        self.under_way > 0
    }

    fn tally(&self) -> (u64, u64) {
        (self.handshakes, self.faults.total)
    }
}
