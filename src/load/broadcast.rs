//! Broadcast: one publisher, and subscribers to which the server sends on all that it says.
//!
//! The publisher gets its own messages back too, as every client of such a server does; they are
//! checked, but are no deliveries.
//! Invariant: a publication is in the list until the last of the subscribers that read has it.

use super::clock::Nanos;
use super::drive::{Drive, Phase, Plan, Watch};
use super::error::{End, LoadError};
use super::faults::{Fault, Faults};
use super::fleet::Fleet;
use super::payload::{Content, Payload, Verdict};
use super::recorder::Recorder;
use super::report::Report;
use super::scenario::Scenario;
use super::schedule::{Rate, Schedule};
use crate::proto::Message;
use std::collections::VecDeque;
use std::time::Duration;

/// Publications that may be on their way where a schedule does not wait for any.
const UNDER_WAY_MAX: usize = 1 << 16;
/// Bytes that the publisher's socket may leave to us; beyond it nothing more is sent.
const QUEUED_BYTES_MAX: usize = 64 << 20;
/// The publisher is the first connection, the subscribers follow.
const PUBLISHER: usize = 0;

/// When messages are published.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flow {
    /// As soon as every subscriber has one, with so many on their way.
    Window(usize),
    /// So many a second, whoever has them.
    Rate(Rate),
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broadcast {
    pub(crate) subscribers: usize,
    /// Of them, those that never read.
    pub(crate) stalled: usize,
    pub(crate) flow: Flow,
    pub(crate) size: usize,
    pub(crate) content: Content,
}

impl Broadcast {
    /// Runs it.
    pub(crate) fn run(&self, plan: &Plan, watch: &mut dyn Watch) -> Result<Report, LoadError> {
        let mut room = Room::new(self);
        let mut drive = Drive::new(plan, &mut room, watch)?;
        let measured = drive.run(plan, 1 + self.subscribers, self.stalled)?;
        room.note_missing();
        let mut report = Report::new(&measured, room.faults);
        report.rate(
            ("deliveries", "deliveries"),
            ("deliveries_per_s", "deliveries/s"),
            room.measured,
        );
        report.rate(
            ("publishes", "publications"),
            ("publishes_per_s", "publications/s"),
            room.published_measured,
        );
        report.count("sent", "published in all", room.published);
        report.count("received", "delivered in all", room.received);
        if self.stalled > 0 {
            report.count("stalled", "subscribers that never read", self.stalled as u64);
            report.count("stalled_ended", "of them closed by the server", room.stalled_ended);
        }
        report.costs(&measured, room.measured, "server's CPU a delivery");
        report.series("delivery", "delivery", &room.deliveries);
        report.series("first", "first subscriber", &room.firsts);
        report.series("last", "last subscriber", &room.lasts);
        Ok(report)
    }
}

/// A publication that not everybody has.
#[derive(Clone, Copy, Debug)]
struct Publication {
    /// When it was sent, or was due; `None`: not measured.
    due: Option<Nanos>,
    /// Subscribers that have it.
    has: usize,
    /// Subscribers that are still to get it.
    left: usize,
}

/// A broadcast under way.
struct Room {
    flow: Flow,
    payload: Payload,
    phase: Phase,
    /// The number of the next message to come, for each connection that reads.
    expected: Vec<u64>,
    /// Connections that have ended expect nothing.
    listening: usize,
    under_way: VecDeque<Publication>,
    /// Publications that are in the list no more.
    done: u64,
    schedule: Option<Schedule>,
    deliveries: Recorder,
    firsts: Recorder,
    lasts: Recorder,
    faults: Faults,
    published: u64,
    published_measured: u64,
    received: u64,
    /// Of those received, those in the measured part.
    measured: u64,
    stalled_ended: u64,
}

impl Room {
    fn new(broadcast: &Broadcast) -> Self {
        let listening = broadcast.subscribers.saturating_sub(broadcast.stalled);
        Self {
            flow: broadcast.flow,
            payload: Payload::new(broadcast.content, broadcast.size),
            phase: Phase::Opening,
            expected: vec![0; 1 + listening],
            listening,
            under_way: VecDeque::new(),
            done: 0,
            schedule: None,
            deliveries: Recorder::new(),
            firsts: Recorder::new(),
            lasts: Recorder::new(),
            faults: Faults::default(),
            published: 0,
            published_measured: 0,
            received: 0,
            measured: 0,
            stalled_ended: 0,
        }
    }

    fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::WarmUp | Phase::Measuring) && self.listening > 0
    }

    fn publish(&mut self, fleet: &mut Fleet, due: Nanos) {
        let Some(mut link) = fleet.link(PUBLISHER) else {
            return;
        };
        link.send(self.payload.content().opcode(), self.payload.compose(self.published));
        self.published += 1;
        let measured = self.phase == Phase::Measuring;
        self.published_measured += u64::from(measured);
        let due = measured.then_some(due);
        self.under_way.push_back(Publication { due, has: 0, left: self.listening });
    }

    /// A subscriber has a publication, or never will.
    fn settle(&mut self, number: u64, arrived: Option<Nanos>) {
        let place = number.checked_sub(self.done).and_then(|place| usize::try_from(place).ok());
        let Some(publication) = place.and_then(|place| self.under_way.get_mut(place)) else {
            return;
        };
        publication.left = publication.left.saturating_sub(1);
        if let (Some(now), Some(due)) = (arrived, publication.due) {
            let latency = now.saturating_sub(due);
            self.deliveries.record(latency);
            if publication.has == 0 {
                self.firsts.record(latency);
            }
            if publication.left == 0 {
                self.lasts.record(latency);
            }
        }
        publication.has += usize::from(arrived.is_some());
        while self.under_way.front().is_some_and(|publication| publication.left == 0) {
            self.under_way.pop_front();
            self.done += 1;
        }
    }

    /// A connection will not get the publications in `numbers`.
    fn skip(&mut self, client: usize, numbers: std::ops::Range<u64>) {
        if client != PUBLISHER {
            numbers.for_each(|number| self.settle(number, None));
        }
    }

    /// What is still on its way when the run is over.
    fn note_missing(&mut self) {
        let published = self.published;
        let late = self.expected.iter().map(|expected| published.saturating_sub(*expected));
        let missing = late.sum();
        self.faults
            .note(Fault::Missing, missing, || format!("{missing} had not arrived at the end"));
    }
}

impl Scenario for Room {
    const SETTLE: Duration = Duration::from_millis(100);

    fn on_message(&mut self, client: usize, message: Message<'_>, now: Nanos) {
        let Some(expected) = self.expected.get_mut(client) else {
            return;
        };
        // A greeting, perhaps: nothing was published yet.
        if self.published == 0 {
            return;
        }
        let number = *expected;
        let to_come = usize::try_from(self.published - number).unwrap_or(usize::MAX);
        match self.payload.check(message, number).within(number, to_come) {
            Verdict::Expected => *expected += 1,
            Verdict::Ahead(missing) => {
                *expected += missing + 1;
                self.faults.note(Fault::Missing, missing, || {
                    format!("connection {client}: {missing} messages were left out")
                });
                self.skip(client, number..number + missing);
            }
            Verdict::Behind(by) => {
                let repeated = || format!("connection {client}: one of {by} messages ago");
                return self.faults.note(Fault::Repeated, 1, repeated);
            }
            Verdict::Wrong => {
                let wrong = || format!("connection {client}: not what was published");
                return self.faults.note(Fault::Wrong, 1, wrong);
            }
        }
        if client != PUBLISHER {
            let number = self.expected.get(client).map_or(0, |expected| expected - 1);
            self.received += 1;
            self.measured += u64::from(self.phase == Phase::Measuring);
            self.settle(number, Some(now));
        }
    }

    fn on_turn(&mut self, fleet: &mut Fleet, now: Nanos) {
        if !self.is_sending() {
            return;
        }
        if let Flow::Window(window) = self.flow {
            for _ in self.under_way.len()..window {
                self.publish(fleet, now);
            }
        }
        while let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.take(now)) {
            let under_way = self.under_way.len();
            if under_way < UNDER_WAY_MAX && fleet.queued(PUBLISHER) < QUEUED_BYTES_MAX {
                self.publish(fleet, due);
            } else {
                let full = || format!("{under_way} publications were on their way");
                self.faults.note(Fault::NotSent, 1, full);
            }
        }
    }

    fn on_end(&mut self, client: usize, end: End, _: Nanos) {
        let Some(expected) = self.expected.get_mut(client) else {
            self.stalled_ended += 1;
            return;
        };
        let number = std::mem::replace(expected, u64::MAX);
        let missing = self.published.saturating_sub(number);
        self.faults.note(Fault::Lost, 1, || format!("connection {client}: {end}"));
        self.faults.note(Fault::Missing, missing, || format!("connection {client}: {end}"));
        if client == PUBLISHER {
            self.listening = 0;
        } else {
            self.listening = self.listening.saturating_sub(1);
            self.skip(client, number..self.published);
        }
    }

    fn on_phase(&mut self, phase: Phase, _: &mut Fleet, now: Nanos) {
        self.phase = phase;
        if let (Phase::WarmUp, Flow::Rate(rate)) = (phase, self.flow) {
            self.schedule = Some(Schedule::new(now, rate));
        }
    }

    fn next_due(&self) -> Option<Nanos> {
        self.schedule.filter(|_| self.is_sending()).map(|schedule| schedule.next_due())
    }

    fn is_waiting(&self) -> bool {
        self.listening > 0 && self.expected.iter().any(|expected| *expected < self.published)
    }

    fn tally(&self) -> (u64, u64) {
        (self.measured, self.faults.total)
    }
}
