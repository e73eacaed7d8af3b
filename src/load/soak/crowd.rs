//! The crowd: who comes, who leaves and how, what they get, and what should not have been.
//! Invariant: at most [`UNDER_WAY_MAX`] handshakes are under way at once, and a turn looks at each
//! place ten times a second at most.

mod verdicts;

use super::ends::Ends;
use super::place::{Place, Role, Stage, Way};
use super::rounds::Rounds;
use super::sampler::Sampler;
use super::spell::{Spell, Spells};
use super::{Soak, Tally};
use crate::load::client::Reads;
use crate::load::clock::{Clock, Nanos, nanos};
use crate::load::drive::{Phase, Plan};
use crate::load::error::{End, LoadError};
use crate::load::faults::{Fault, Faults};
use crate::load::fleet::Fleet;
use crate::load::ledger::Ledger;
use crate::load::scenario::{Link, Scenario};
use crate::load::schedule::Schedule;
use crate::load::stamp::Envelope;
use crate::load::subscription::{REQUESTS, Subscription};
use crate::proto::Message;
use std::collections::VecDeque;

/// Between two looks at every place.
const BEAT: Nanos = 100_000_000;
const BEATS_A_SECOND: usize = 10;
/// Handshakes under way at once: few enough for any server's backlog, and enough that all who leave
/// come back though each takes a second.
const UNDER_WAY_MAX: usize = 512;
/// How far to look for an honest client that may leave.
const LEAVERS_SOUGHT_MAX: usize = 64;
/// A soak under way.
#[derive(Debug)]
pub(crate) struct Crowd {
    soak: Soak,
    honest: usize,
    places: Vec<Place>,
    /// Places that are to dial.
    queue: VecDeque<usize>,
    under_way: usize,
    retry_at: Nanos,
    next_beat: Nanos,
    /// When honest clients leave; who is next, and in which way.
    leaving: Option<Schedule>,
    next_leaver: usize,
    ways: std::iter::Cycle<std::array::IntoIter<Way, { Way::ALL.len() }>>,
    subscription: Subscription,
    nuisance_subscription: Subscription,
    ledger: Ledger,
    /// Where the streams of the honest stand in the ledger.
    honest_streams: Vec<usize>,
    rounds: Rounds,
    awaited: usize,
    refused: Option<String>,
    clock: Option<Clock>,
    phase: Phase,
    spell: Spell,
    pub(super) spells: Spells,
    pub(super) sampler: Sampler,
    pub(super) ends: Ends,
    pub(super) tally: Tally,
    pub(super) faults: Faults,
}

impl Crowd {
    pub(super) fn new(soak: &Soak, plan: &Plan) -> Result<Self, LoadError> {
        let honest = soak.honest();
        let roles = [
            (Role::Honest, honest),
            (Role::Slow, soak.slow),
            (Role::Pausing, soak.pausing),
            (Role::Stalled, soak.stalled),
            (Role::Unfinished, soak.unfinished),
        ];
        let places = roles.into_iter().flat_map(|(role, count)| vec![Place::new(role); count]);
        let mut streams = [&*soak.streams, &*soak.nuisance_streams].concat();
        streams.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        streams.dedup();
        let names = |streams: &[(String, _)]| {
            Subscription::to(streams.iter().map(|(name, _)| name.as_str()))
        };
        let ledger = Ledger::new(&streams, soak.connections);
        let honest_streams = soak.streams.iter().filter_map(|(name, _)| ledger.place(name));
        Ok(Self {
            honest,
            honest_streams: honest_streams.collect(),
            rounds: Rounds::new(nanos(soak.patience)),
            places: places.collect(),
            queue: VecDeque::new(),
            under_way: 0,
            retry_at: 0,
            next_beat: 0,
            leaving: None,
            next_leaver: 0,
            ways: Way::ALL.into_iter().cycle(),
            subscription: names(&soak.streams),
            nuisance_subscription: names(&soak.nuisance_streams),
            ledger,
            awaited: honest,
            refused: None,
            clock: None,
            phase: Phase::Opening,
            spell: Spell::Quiet,
            spells: Spells::new(soak.alternate),
            sampler: Sampler::start(plan.pid)?,
            ends: Ends::default(),
            tally: Tally::default(),
            faults: Faults::default(),
            soak: soak.clone(),
        })
    }

    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    /// Whether the server holds nothing of those who have gone.
    pub(super) fn is_rested(&self) -> bool {
        self.sampler.leaked() == 0
    }

    /// Notes what it still holds, now that all have gone for long enough.
    pub(super) fn note_leaks(&mut self) {
        let leaked = self.sampler.leaked();
        self.faults.note(Fault::Leaked, leaked, || {
            format!("the server has {leaked} descriptors more than before")
        });
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::WarmUp | Phase::Measuring)
    }

    fn note(&mut self, fault: Fault, count: u64, number: usize, said: &dyn std::fmt::Display) {
        self.faults.note(fault, count, || format!("connection {}: {said}", number + 1));
    }

    /// What is done ten times a second.
    fn beat(&mut self, fleet: &mut Fleet, now: Nanos) {
        if let Some(resident_bytes) = self.sampler.on_time(now, self.phase)
            && let Some(most) = self.soak.resident_bytes_max.filter(|most| resident_bytes > *most)
        {
            let over = || format!("the server has {resident_bytes} bytes in memory, over {most}");
            self.faults.note(Fault::Memory, 1, over);
        }
        if !self.is_running() {
            return;
        }
        let spell = self.spells.at(now);
        if spell != self.spell {
            self.change_spell(spell, fleet, now);
        }
        while let Some(schedule) = &mut self.leaving
            && schedule.take(now).is_some()
        {
            if self.spell == Spell::Disturbed {
                self.send_one_away(fleet, now);
            }
        }
        for number in 0..self.places.len() {
            self.tend(number, fleet, now);
        }
        self.ask_the_honest(now);
        if self.phase == Phase::Measuring {
            let open = fleet.open() as u64;
            self.tally.open_min = Some(self.tally.open_min.map_or(open, |min| min.min(open)));
        }
    }

    /// The nuisances come, or go.
    fn change_spell(&mut self, spell: Spell, fleet: &mut Fleet, now: Nanos) {
        self.spell = spell;
        let nuisances = self.honest..self.places.len();
        if spell == Spell::Disturbed {
            return self.queue.extend(nuisances);
        }
        self.queue.retain(|number| *number < self.honest);
        for number in nuisances {
            fleet.drop_client(number);
            self.leave_stage(number, now);
        }
    }

    /// A place has no connection any more; yields where it was.
    fn leave_stage(&mut self, number: usize, now: Nanos) -> Option<Place> {
        let place = self.places.get_mut(number)?;
        let before = *place;
        place.enter(Stage::Gone, now);
        if before.stage == Stage::Dialling && before.role != Role::Unfinished {
            self.under_way = self.under_way.saturating_sub(1);
        }
        Some(before)
    }

    /// As [`Self::leave_stage`], and another connection is to come.
    fn begin_anew(&mut self, number: usize, now: Nanos) -> Option<Place> {
        let place = self.leave_stage(number, now)?;
        if place.role.is_honest() || self.spell == Spell::Disturbed {
            self.queue.push_back(number);
        }
        Some(place)
    }

    /// An honest client leaves, in one way after another.
    fn send_one_away(&mut self, fleet: &mut Fleet, now: Nanos) {
        let is_open = |place: &Place| place.stage == Stage::Open && place.unanswered == 0;
        let from = self.next_leaver;
        let mut candidates = (from..from + LEAVERS_SOUGHT_MAX).map(|place| place % self.honest);
        let Some(number) = candidates.find(|place| self.places.get(*place).is_some_and(is_open))
        else {
            return;
        };
        self.next_leaver = number + 1;
        let Some(way) = self.ways.next() else {
            return;
        };
        self.ends.by_us(way);
        match way {
            Way::Close | Way::Hang => {
                if let Some(mut link) = fleet.link(number) {
                    link.close();
                }
                if way == Way::Hang {
                    fleet.set_reads(number, Reads::Rations);
                }
            }
            Way::HalfClose => fleet.end_sending(number),
            Way::Drop | Way::Reset => {
                if way == Way::Drop {
                    fleet.drop_client(number);
                } else {
                    fleet.reset(number);
                }
                self.begin_anew(number, now);
                return;
            }
        }
        if let Some(place) = self.places.get_mut(number) {
            place.enter(Stage::Leaving(way), now);
        }
    }

    /// Does what a place's role asks for.
    fn tend(&mut self, number: usize, fleet: &mut Fleet, now: Nanos) {
        let Some(place) = self.places.get(number).copied() else {
            return;
        };
        if place.is_overdue(now, nanos(self.soak.patience)) {
            fleet.drop_client(number);
            self.begin_anew(number, now);
            if place.stage == Stage::Leaving(Way::Hang) {
                return;
            }
            let fault = if place.stage == Stage::Dialling { Fault::NotOpened } else { Fault::Lost };
            let said = format!("{:?}, {:?}: the server takes too long", place.role, place.stage);
            return self.note(fault, 1, number, &said);
        }
        if place.stage != Stage::Open {
            return;
        }
        match place.role {
            Role::Slow => {
                let ration = self.soak.slow_bytes_per_s.div_ceil(BEATS_A_SECOND);
                fleet.feed(number, ration, self);
            }
            Role::Pausing if place.reads_at(number, now) => {
                fleet.set_reads(number, Reads::Everything);
            }
            Role::Pausing => fleet.set_reads(number, Reads::Rations),
            Role::Stalled if place.has_stalled(now) => {
                fleet.reset(number);
                self.ends.given_up();
                self.begin_anew(number, now);
            }
            Role::Honest | Role::Stalled | Role::Unfinished => {}
        }
    }

    fn dial(&mut self, fleet: &mut Fleet, now: Nanos) {
        for _ in 0..UNDER_WAY_MAX {
            if self.under_way >= UNDER_WAY_MAX || now < self.retry_at {
                return;
            }
            let Some(number) = self.queue.pop_front() else {
                return;
            };
            let Some(place) = self.places.get_mut(number) else {
                continue;
            };
            place.enter(Stage::Dialling, now);
            self.under_way += usize::from(place.role != Role::Unfinished);
            fleet.dial_and_say(number, place.role.manner());
        }
    }
}

impl Scenario for Crowd {
    fn on_open(&mut self, number: usize, link: &mut Link<'_>, now: Nanos) {
        let Some(before) = self.leave_stage(number, now) else {
            return;
        };
        self.ledger.forget(number);
        self.tally.opened += 1;
        let honest = before.role.is_honest();
        self.tally.honest_reopened += u64::from(honest && before.reopened);
        if let Some(place) = self.places.get_mut(number) {
            *place = Place { unanswered: REQUESTS, reopened: true, ..Place::new(before.role) };
            place.enter(Stage::Open, now);
        }
        let subscription = if honest { &self.subscription } else { &self.nuisance_subscription };
        subscription.send(link);
    }

    fn on_message(&mut self, number: usize, message: Message<'_>, now: Nanos) {
        match (Envelope::parse(message.payload()), message) {
            (Some(envelope), _) => self.on_event(number, &envelope, now),
            (None, Message::Text(text)) => self.on_reply(number, text),
            (None, Message::Binary(_)) => self.note(Fault::Wrong, 1, number, &"a binary message"),
        }
    }

    fn on_turn(&mut self, fleet: &mut Fleet, now: Nanos) {
        if self.is_running() {
            while let Some((number, end)) = fleet.pop_not_opened() {
                self.on_not_opened(number, &end, now);
            }
        }
        if now >= self.next_beat {
            self.next_beat = now + BEAT;
            self.beat(fleet, now);
        }
        if self.is_running() {
            self.dial(fleet, now);
        }
    }

    fn on_end(&mut self, number: usize, end: End, now: Nanos) {
        let Some(place) = self.begin_anew(number, now) else {
            return;
        };
        if let Stage::Leaving(way) = place.stage {
            return self.on_left(number, way, &end);
        }
        self.ends.by_server(&end);
        if place.role.is_honest() {
            self.on_honest_end(number, place.told_of_shutdown, &end);
        } else if matches!(end, End::Violation(_)) {
            self.note(Fault::Wrong, 1, number, &end);
        }
    }

    fn on_phase(&mut self, phase: Phase, fleet: &mut Fleet, now: Nanos) {
        self.phase = phase;
        match phase {
            Phase::Opening => {}
            Phase::WarmUp => {
                self.leaving = self.soak.churn.map(|rate| Schedule::new(now, rate));
            }
            Phase::Measuring => self.spells.begin(now),
            Phase::Draining => {
                self.spells.end();
                self.tally.open_at_end = fleet.open() as u64;
            }
        }
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
        (self.tally.measured, self.faults.total)
    }
}
