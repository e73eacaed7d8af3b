//! Echo: every connection keeps messages on their way, or sends them by a schedule, and each must
//! come back to it, in order.
//! Invariant: what was sent was received, is missing, or is on its way.

use super::clock::Nanos;
use super::drive::{Drive, Phase, Plan, Watch};
use super::error::{End, LoadError};
use super::faults::{Fault, Faults};
use super::fleet::Fleet;
use super::payload::{Content, Payload, Verdict};
use super::recorder::Recorder;
use super::report::Report;
use super::scenario::{Link, Scenario};
use super::schedule::{Rate, Schedule};
use crate::proto::Message;
use std::collections::VecDeque;
use std::time::Duration;

/// Messages of one connection that may be on their way where a schedule does not wait for any.
const UNDER_WAY_MAX: usize = 1 << 16;
/// Bytes that a socket may leave to us; beyond it nothing more is sent.
const QUEUED_BYTES_MAX: usize = 16 << 20;
/// Where a message's number leaves room for the connection's.
const CONNECTION_SHIFT: u32 = 40;

/// When messages are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as one came back, with so many on their way on each connection.
    Depth(usize),
    /// So many a second over all connections, whatever comes back.
    Rate(Rate),
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) size: usize,
    pub(crate) content: Content,
}

impl Echo {
    /// Runs it.
    pub(crate) fn run(&self, plan: &Plan, watch: &mut dyn Watch) -> Result<Report, LoadError> {
        let mut echoing = Echoing::new(self);
        let measured = Drive::new(plan, &mut echoing, watch)?.run(plan, self.connections, 0)?;
        let on_their_way = echoing.peers.iter().map(|peer| peer.under_way.len() as u64).sum();
        echoing.faults.note(Fault::Missing, on_their_way, || {
            format!("{on_their_way} messages had not come back at the end")
        });
        let mut report = Report::new(&measured, echoing.faults);
        report.rate(
            ("messages", "messages echoed"),
            ("messages_per_s", "messages/s"),
            echoing.measured,
        );
        report.count("sent", "sent in all", echoing.sent);
        report.count("received", "received in all", echoing.received);
        report.costs(&measured, echoing.measured, "server's CPU a message");
        report.series("round_trip", "round trip", &echoing.round_trips);
        Ok(report)
    }
}

/// An echo under way.
struct Echoing {
    pace: Pace,
    payload: Payload,
    phase: Phase,
    peers: Vec<Peer>,
    schedule: Option<Schedule>,
    /// Whose turn it is by the schedule.
    next: usize,
    round_trips: Recorder,
    faults: Faults,
    sent: u64,
    received: u64,
    /// Of those received, those in the measured part.
    measured: u64,
}

/// What one connection expects.
#[derive(Debug, Default)]
struct Peer {
    /// The number of the next message to come.
    expected: u64,
    /// When each message that is on its way was sent, or was due; `None`: not measured.
    under_way: VecDeque<Option<Nanos>>,
}

impl Echoing {
    fn new(echo: &Echo) -> Self {
        let peer = |number: usize| Peer {
            expected: (number as u64) << CONNECTION_SHIFT,
            under_way: VecDeque::new(),
        };
        Self {
            pace: echo.pace,
            payload: Payload::new(echo.content, echo.size),
            phase: Phase::Opening,
            peers: (0..echo.connections).map(peer).collect(),
            schedule: None,
            next: 0,
            round_trips: Recorder::new(),
            faults: Faults::default(),
            sent: 0,
            received: 0,
            measured: 0,
        }
    }

    fn send(&mut self, client: usize, link: &mut Link<'_>, due: Nanos) {
        let Some(peer) = self.peers.get_mut(client) else {
            return;
        };
        let number = peer.expected + peer.under_way.len() as u64;
        link.send(self.payload.content().opcode(), self.payload.compose(number));
        peer.under_way.push_back((self.phase == Phase::Measuring).then_some(due));
        self.sent += 1;
    }

    /// Sends what a connection may have on its way beyond what it has.
    fn fill(&mut self, client: usize, link: &mut Link<'_>, now: Nanos) {
        let Pace::Depth(depth) = self.pace else {
            return;
        };
        if !matches!(self.phase, Phase::WarmUp | Phase::Measuring) {
            return;
        }
        let under_way = self.peers.get(client).map_or(depth, |peer| peer.under_way.len());
        for _ in under_way..depth {
            self.send(client, link, now);
        }
    }

    /// Sends what is due by the schedule, each message on the next connection.
    fn send_due(&mut self, fleet: &mut Fleet, now: Nanos) {
        while let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.take(now)) {
            let client = self.next;
            self.next = if client + 1 < self.peers.len() { client + 1 } else { 0 };
            let under_way = self.peers.get(client).map_or(0, |peer| peer.under_way.len());
            let full = under_way >= UNDER_WAY_MAX || fleet.queued(client) > QUEUED_BYTES_MAX;
            match fleet.link(client) {
                Some(mut link) if !full => self.send(client, &mut link, due),
                Some(_) => self.faults.note(Fault::NotSent, 1, || {
                    format!("connection {}: {under_way} messages were on their way", client + 1)
                }),
                None => self
                    .faults
                    .note(Fault::NotSent, 1, || format!("connection {} was lost", client + 1)),
            }
        }
    }
}

impl Scenario for Echoing {
    const SETTLE: Duration = Duration::from_millis(100);

    fn on_message(&mut self, client: usize, message: Message<'_>, now: Nanos) {
        // A greeting, perhaps: nothing was asked for yet.
        if self.phase == Phase::Opening {
            return;
        }
        let Some(peer) = self.peers.get_mut(client) else {
            return;
        };
        let had = peer.expected % (1 << CONNECTION_SHIFT);
        match self.payload.check(message, peer.expected).within(had, peer.under_way.len()) {
            Verdict::Expected => {}
            Verdict::Ahead(missing) => {
                self.faults.note(Fault::Missing, missing, || {
                    format!("connection {}: {missing} messages were left out", client + 1)
                });
                peer.under_way.drain(..usize::try_from(missing).unwrap_or_default());
                peer.expected += missing;
            }
            Verdict::Behind(by) => {
                let repeated = || format!("connection {}: one of {by} messages ago", client + 1);
                return self.faults.note(Fault::Repeated, 1, repeated);
            }
            Verdict::Wrong => {
                let wrong = || format!("connection {}: not what was sent", client + 1);
                self.faults.note(Fault::Wrong, 1, wrong);
            }
        }
        // A wrong one stands for the one it came instead of.
        let Some(sent) = peer.under_way.pop_front() else {
            return;
        };
        peer.expected += 1;
        self.received += 1;
        self.measured += u64::from(self.phase == Phase::Measuring);
        if let Some(sent) = sent {
            self.round_trips.record(now.saturating_sub(sent));
        }
    }

    fn on_read(&mut self, client: usize, link: &mut Link<'_>, now: Nanos) {
        self.fill(client, link, now);
    }

    fn on_turn(&mut self, fleet: &mut Fleet, now: Nanos) {
        if matches!(self.phase, Phase::WarmUp | Phase::Measuring) {
            self.send_due(fleet, now);
        }
    }

    fn on_end(&mut self, client: usize, end: End, _: Nanos) {
        self.faults.note(Fault::Lost, 1, || format!("connection {}: {end}", client + 1));
        if let Some(peer) = self.peers.get_mut(client) {
            let missing = peer.under_way.len() as u64;
            peer.under_way.clear();
            self.faults.note(Fault::Missing, missing, || format!("connection {}", client + 1));
        }
    }

    fn on_phase(&mut self, phase: Phase, fleet: &mut Fleet, now: Nanos) {
        self.phase = phase;
        if phase != Phase::WarmUp {
            return;
        }
        if let Pace::Rate(rate) = self.pace {
            self.schedule = Some(Schedule::new(now, rate));
        }
        for client in 0..self.peers.len() {
            if let Some(mut link) = fleet.link(client) {
                self.fill(client, &mut link, now);
            }
        }
    }

    fn next_due(&self) -> Option<Nanos> {
        let sending = matches!(self.phase, Phase::WarmUp | Phase::Measuring);
        self.schedule.filter(|_| sending).map(|schedule| schedule.next_due())
    }

    fn is_waiting(&self) -> bool {
        self.peers.iter().any(|peer| !peer.under_way.is_empty())
    }

    fn tally(&self) -> (u64, u64) {
        (self.measured, self.faults.total)
    }
}
