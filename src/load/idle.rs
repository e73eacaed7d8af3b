//! Idle: many connections that do next to nothing, and what they cost the server.
//! Invariant: each step is over, and the server at rest, before its memory is read.

use super::client::Reads;
use super::clock::Nanos;
use super::drive::{Drive, Phase, Plan, Watch};
use super::error::{End, LoadError};
use super::faults::{Fault, Faults};
use super::fleet::Fleet;
use super::payload::{Content, Payload, Verdict};
use super::process::Usage;
use super::recorder::Recorder;
use super::report::{Report, Unit, float};
use super::scenario::Scenario;
use crate::proto::Message;
use std::time::Duration;

/// Before memory is read.
const REST: Duration = Duration::from_millis(500);
/// Messages on their way at once.
const UNDER_WAY_MAX: usize = 128;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) connections: usize,
    pub(crate) size: usize,
    pub(crate) content: Content,
}

impl Idle {
    /// Runs it.
    pub(crate) fn run(&self, plan: &Plan, watch: &mut dyn Watch) -> Result<Report, LoadError> {
        let mut resting = Resting::new(self);
        let mut drive = Drive::new(plan, &mut resting, watch)?;
        // What a server makes at its first connection is no cost of the others.
        drive.open(0..1, Reads::Everything)?;
        drive.exchange(1)?;
        drive.close()?;
        drive.pass(Phase::Opening, REST)?;
        let base = drive.usage();
        let start = drive.now();
        drive.open(0..self.connections, Reads::Everything)?;
        let opening_ns = drive.now().saturating_sub(start).max(1);
        drive.pass(Phase::Opening, REST)?;
        let open = drive.usage();
        drive.exchange(self.connections)?;
        drive.pass(Phase::Opening, REST)?;
        let talked = drive.usage();
        let measured = drive.load(plan)?;
        let still_open = drive.fleet.open() as u64;
        drive.close()?;

        let unanswered = resting.unanswered() as u64;
        resting.faults.note(Fault::Missing, unanswered, || {
            format!("{unanswered} messages did not come back; is it an echo server?")
        });
        let mut report = Report::new(&measured, resting.faults);
        let connections = float(self.connections as u64);
        report.count("connections", "connections", still_open);
        let rate = connections / (float(opening_ns) / 1e9);
        report.figure("handshakes_per_s", "handshakes/s", rate, Unit::PerSecond);
        report.count("received", "messages that came back", resting.answered);
        let each = |at: Option<Usage>| {
            let grown = float(at?.resident_bytes) - float(base?.resident_bytes);
            Some(grown / connections)
        };
        if let (Some(base), Some(open), Some(talked)) = (base, each(open), each(talked)) {
            let before = float(base.resident_bytes);
            report
                .figure("resident_bytes_before", "server's memory before", before, Unit::Bytes)
                .figure("resident_bytes_each", "a connection, open", open, Unit::BytesEach)
                .figure(
                    "resident_bytes_each_after_message",
                    "a connection, after a message",
                    talked,
                    Unit::BytesEach,
                );
        } else {
            report.notes.push("give --pid the server's process to see its memory".to_owned());
        }
        report.costs(&measured, 0, "");
        report.series("round_trip", "round trip of the message", &resting.round_trips);
        Ok(report)
    }
}

impl Drive<'_, Resting> {
    /// Has each connection send a message and get it back.
    fn exchange(&mut self, connections: usize) -> Result<(), LoadError> {
        self.scenario.begin(connections);
        self.pass_until(|resting| resting.next >= resting.end && resting.under_way == 0)?;
        Ok(())
    }
}

/// A run under way.
struct Resting {
    payload: Payload,
    /// The connection that is to send next, and the first that is not to.
    next: usize,
    end: usize,
    under_way: usize,
    sent_at: Vec<Nanos>,
    round_trips: Recorder,
    faults: Faults,
    answered: u64,
}

impl Resting {
    fn new(idle: &Idle) -> Self {
        Self {
            payload: Payload::new(idle.content, idle.size),
            next: 0,
            end: 0,
            under_way: 0,
            sent_at: vec![0; idle.connections],
            round_trips: Recorder::new(),
            faults: Faults::default(),
            answered: 0,
        }
    }

    fn begin(&mut self, connections: usize) {
        (self.next, self.end, self.answered) = (0, connections, 0);
        self.round_trips = Recorder::new();
    }

    /// Messages that were to come back, and did not.
    fn unanswered(&self) -> usize {
        self.under_way + self.end.saturating_sub(self.next)
    }
}

impl Scenario for Resting {
    fn on_message(&mut self, client: usize, message: Message<'_>, now: Nanos) {
        // A greeting, perhaps: nothing was asked for.
        if client >= self.next {
            return;
        }
        match self.payload.check(message, client as u64) {
            Verdict::Expected => {
                let sent_at = self.sent_at.get(client).copied().unwrap_or(now);
                self.round_trips.record(now.saturating_sub(sent_at));
                self.answered += 1;
                self.under_way = self.under_way.saturating_sub(1);
            }
            _ => self
                .faults
                .note(Fault::Wrong, 1, || format!("connection {}: not what was sent", client + 1)),
        }
    }

    fn on_turn(&mut self, fleet: &mut Fleet, now: Nanos) {
        while self.next < self.end && self.under_way < UNDER_WAY_MAX {
            let client = self.next;
            self.next += 1;
            let Some(mut link) = fleet.link(client) else {
                continue;
            };
            link.send(self.payload.content().opcode(), self.payload.compose(client as u64));
            self.under_way += 1;
            if let Some(sent_at) = self.sent_at.get_mut(client) {
                *sent_at = now;
            }
        }
    }

    fn on_end(&mut self, client: usize, end: End, _: Nanos) {
        self.faults.note(Fault::Lost, 1, || format!("connection {}: {end}", client + 1));
    }

    fn tally(&self) -> (u64, u64) {
        (self.answered, self.faults.total)
    }
}
