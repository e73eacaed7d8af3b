//! Market streams: subscribers to streams of a `tickwire serve`, and how old its events are when
//! they arrive.
//!
//! Each connection asks for the properties `combined` and `sequence`, then subscribes. Where the
//! server does not know `sequence`, the event time of the payload is what latencies count from.
//! Invariant: the load is measured once every request of every connection that reads was answered.

use super::clock::{Clock, Nanos};
use super::drive::{Drive, Phase, Plan, Watch};
use super::error::{End, LoadError};
use super::faults::{Fault, Faults};
use super::fleet::Fleet;
use super::ledger::{Found, Gaps, Ledger};
use super::recorder::Recorder;
use super::report::Report;
use super::scenario::{Link, Scenario};
use super::stamp::Envelope;
use super::subscription::{REQUESTS, Reply, Subscription};
use crate::proto::Message;

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    pub(crate) subscribers: usize,
    /// Of them, those that never read.
    pub(crate) stalled: usize,
    pub(crate) streams: Vec<(String, Gaps)>,
}

impl Streams {
    /// Runs it.
    pub(crate) fn run(&self, plan: &Plan, watch: &mut dyn Watch) -> Result<Report, LoadError> {
        let mut market = Market::new(self);
        let mut drive = Drive::new(plan, &mut market, watch)?;
        drive.scenario.clock = Some(drive.fleet.clock());
        let measured = drive.run(plan, self.subscribers, self.stalled)?;
        let mut report = Report::new(&measured, market.faults);
        report.rate(("events", "events"), ("events_per_s", "events/s"), market.measured);
        report.count("received", "received in all", market.received);
        report.count("gaps", "gaps in seq", market.gaps);
        if market.unstamped > 0 {
            report.count("unstamped", "events without a time", market.unstamped);
        }
        if market.ahead > 0 {
            report.count("ahead", "events from ahead of our clock", market.ahead);
        }
        if self.stalled > 0 {
            report.count("stalled", "subscribers that never read", self.stalled as u64);
            report.count("stalled_ended", "of them closed by the server", market.stalled_ended);
        }
        report.costs(&measured, market.measured, "server's CPU an event");
        let (key, title) = match market.stamps {
            Stamps::Ingest => ("ingest_to_receipt", "ingest to receipt"),
            Stamps::EventTime => ("event_time_to_receipt", "event time to receipt"),
        };
        report.series(key, title, &market.ages);
        if market.stamps == Stamps::EventTime {
            report.notes.push(
                "the server does not know the property sequence: latencies count from the \
                 payload's E, in whole milliseconds, and gaps are not seen"
                    .to_owned(),
            );
        }
        Ok(report)
    }
}

/// Where latencies count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamps {
    Ingest,
    EventTime,
}

/// Streams under way.
struct Market {
    subscription: Subscription,
    ledger: Ledger,
    /// For each connection that reads, replies that have not come.
    unanswered: Vec<u8>,
    awaited: usize,
    refused: Option<String>,
    stamps: Stamps,
    phase: Phase,
    clock: Option<Clock>,
    ages: Recorder,
    faults: Faults,
    received: u64,
    measured: u64,
    gaps: u64,
    unstamped: u64,
    /// Events whose time was yet to come when they arrived: the clocks differ, or the market's
    /// time is not the day's.
    ahead: u64,
    stalled_ended: u64,
}

impl Market {
    fn new(streams: &Streams) -> Self {
        let reading = streams.subscribers.saturating_sub(streams.stalled);
        Self {
            subscription: Subscription::to(streams.streams.iter().map(|(name, _)| &**name)),
            ledger: Ledger::new(&streams.streams, reading),
            unanswered: vec![REQUESTS; reading],
            awaited: reading,
            refused: None,
            stamps: Stamps::Ingest,
            phase: Phase::Opening,
            clock: None,
            ages: Recorder::new(),
            faults: Faults::default(),
            received: 0,
            measured: 0,
            gaps: 0,
            unstamped: 0,
            ahead: 0,
            stalled_ended: 0,
        }
    }

    fn on_event(&mut self, client: usize, envelope: &Envelope<'_>, now: Nanos) {
        match self.ledger.take(client, envelope) {
            Found::First | Found::Next => {}
            Found::LeftOut(count) => self.gaps += count,
            Found::Missing(count) => {
                self.gaps += count;
                self.note(Fault::Missing, count, client, envelope);
            }
            Found::Repeated => self.note(Fault::Repeated, 1, client, envelope),
            Found::Unknown => return self.note(Fault::Wrong, 1, client, envelope),
        }
        self.received += 1;
        if self.phase != Phase::Measuring {
            return;
        }
        self.measured += 1;
        match (envelope.stamp_ns(), self.clock) {
            (Some(stamp), Some(clock)) => {
                let now = clock.of_day(now);
                self.ahead += u64::from(stamp > now);
                self.ages.record(now.saturating_sub(stamp));
            }
            _ => self.unstamped += 1,
        }
    }

    fn note(&mut self, fault: Fault, count: u64, client: usize, envelope: &Envelope<'_>) {
        self.faults.note(fault, count, || format!("connection {}: {envelope}", client + 1));
    }

    fn on_reply(&mut self, client: usize, text: &str) {
        match Reply::read(text) {
            Reply::Done => {}
            Reply::NoSequence => self.stamps = Stamps::EventTime,
            Reply::Refused(answer) => self.refused = Some(answer),
            Reply::Strange(said) => {
                let number = client + 1;
                let wrong = || format!("connection {number}: neither event nor reply: {said}");
                return self.faults.note(Fault::Wrong, 1, wrong);
            }
        }
        if let Some(unanswered) = self.unanswered.get_mut(client) {
            *unanswered = unanswered.saturating_sub(1);
            self.awaited -= usize::from(*unanswered == 0 && self.awaited > 0);
        }
    }
}

impl Scenario for Market {
    fn on_open(&mut self, _: usize, link: &mut Link<'_>, _: Nanos) {
        self.subscription.send(link);
    }

    fn on_message(&mut self, client: usize, message: Message<'_>, now: Nanos) {
        match (Envelope::parse(message.payload()), message) {
            (Some(envelope), _) => self.on_event(client, &envelope, now),
            (None, Message::Text(text)) => self.on_reply(client, text),
            (None, Message::Binary(_)) => self
                .faults
                .note(Fault::Wrong, 1, || format!("connection {}: a binary message", client + 1)),
        }
    }

    fn on_end(&mut self, client: usize, end: End, _: Nanos) {
        if client < self.unanswered.len() {
            self.faults.note(Fault::Lost, 1, || format!("connection {}: {end}", client + 1));
        } else {
            self.stalled_ended += 1;
        }
    }

    fn on_phase(&mut self, phase: Phase, _: &mut Fleet, _: Nanos) {
        self.phase = phase;
    }

    fn is_ready(&self) -> Result<bool, LoadError> {
        match &self.refused {
            Some(answer) => {
                Err(LoadError::Refused { what: "a subscription", answer: answer.clone() })
            }
            None => Ok(self.awaited == 0),
        }
    }

    fn tally(&self) -> (u64, u64) {
        (self.measured, self.faults.total)
    }
}
