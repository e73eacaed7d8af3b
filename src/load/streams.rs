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
use super::recorder::Recorder;
use super::report::Report;
use super::scenario::{Link, Scenario};
use super::stamp::Envelope;
use crate::proto::{Message, OpCode};
use std::collections::HashMap;

const NANOS_A_MILLISECOND: u64 = 1_000_000;
/// The identifiers of the requests.
const COMBINED: u64 = 1;
const SEQUENCE: u64 = 2;
const SUBSCRIBE: u64 = 3;
const REQUESTS: u8 = 3;

/// What it means that an event of a stream is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gaps {
    /// A newer one has taken its place, as the server may do for who is behind.
    Allowed,
    /// It is missing.
    Missing,
}

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
    requests: [String; REQUESTS as usize],
    gaps_in: Vec<Gaps>,
    places: HashMap<Box<[u8]>, usize>,
    /// For each connection that reads, the last `seq` of each stream.
    last: Vec<Vec<Option<u64>>>,
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
        let names: Vec<&str> = streams.streams.iter().map(|(name, _)| name.as_str()).collect();
        let request = |method: &str, params: serde_json::Value, id: u64| {
            serde_json::json!({"method": method, "params": params, "id": id}).to_string()
        };
        let places = names.iter().enumerate().map(|(place, name)| (name.as_bytes().into(), place));
        let reading = streams.subscribers.saturating_sub(streams.stalled);
        Self {
            requests: [
                request("SET_PROPERTY", serde_json::json!(["combined", true]), COMBINED),
                request("SET_PROPERTY", serde_json::json!(["sequence", true]), SEQUENCE),
                request("SUBSCRIBE", serde_json::json!(names), SUBSCRIBE),
            ],
            gaps_in: streams.streams.iter().map(|(_, gaps)| *gaps).collect(),
            places: places.collect(),
            last: vec![vec![None; names.len()]; reading],
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
        let Some(&place) = self.places.get(envelope.stream) else {
            let name = String::from_utf8_lossy(envelope.stream).into_owned();
            let wrong = || format!("an event of {name}, which was not asked for");
            return self.faults.note(Fault::Wrong, 1, wrong);
        };
        if let Some(sequence) = envelope.sequence {
            self.check_sequence(client, place, sequence);
        }
        self.received += 1;
        if self.phase != Phase::Measuring {
            return;
        }
        self.measured += 1;
        let event_time = || Some(envelope.event_ms()?.saturating_mul(NANOS_A_MILLISECOND));
        match (envelope.ingest.or_else(event_time), self.clock) {
            (Some(stamp), Some(clock)) => {
                let now = clock.of_day(now);
                self.ahead += u64::from(stamp > now);
                self.ages.record(now.saturating_sub(stamp));
            }
            _ => self.unstamped += 1,
        }
    }

    /// `seq` counts up by one in each stream.
    fn check_sequence(&mut self, client: usize, place: usize, sequence: u64) {
        let last = self.last.get_mut(client).and_then(|streams| streams.get_mut(place));
        let Some(last) = last else {
            return;
        };
        let Some(before) = last.replace(sequence) else {
            return;
        };
        if sequence <= before {
            let repeated = || format!("connection {}: seq {sequence} after {before}", client + 1);
            self.faults.note(Fault::Repeated, 1, repeated);
        } else if sequence > before + 1 {
            let left_out = sequence - before - 1;
            self.gaps += left_out;
            if self.gaps_in.get(place) == Some(&Gaps::Missing) {
                let missing =
                    || format!("connection {}: seq {sequence} after {before}", client + 1);
                self.faults.note(Fault::Missing, left_out, missing);
            }
        }
    }

    fn on_reply(&mut self, client: usize, text: &str) {
        let reply: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let id = reply.as_ref().and_then(|reply| reply.get("id")?.as_u64());
        let (Some(reply), Some(COMBINED..=SUBSCRIBE)) = (reply, id) else {
            let said: String = text.chars().take(80).collect();
            let wrong = || format!("connection {}: neither event nor reply: {said}", client + 1);
            return self.faults.note(Fault::Wrong, 1, wrong);
        };
        if reply.get("error").is_some() {
            match id {
                Some(SEQUENCE) => self.stamps = Stamps::EventTime,
                _ => self.refused = Some(text.chars().take(200).collect()),
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
        for request in &self.requests {
            link.send(OpCode::Text, request.as_bytes());
        }
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
