//! What comes and what ends, and whether it should have.
//! Invariant: what the server owes to an honest client and does not give is a fault; what a nuisance
//! is denied is counted.

use super::Crowd;
use crate::load::clock::Nanos;
use crate::load::drive::Phase;
use crate::load::error::End;
use crate::load::faults::Fault;
use crate::load::ledger::Found;
use crate::load::soak::Restarts;
use crate::load::soak::place::{Place, Role, Stage, Way};
use crate::load::stamp::Envelope;
use crate::load::subscription::Reply;

/// Before anybody tries again, where somebody could not connect.
const RETRY_AFTER: Nanos = 200_000_000;
/// The stream of the event that announces a server's stop.
const SHUTDOWN_STREAM: &[u8] = b"!serverShutdown";

impl Crowd {
    /// Looks for honest clients that have been left without what others have had for long; one that
    /// stays so is found in every round.
    pub(super) fn ask_the_honest(&mut self, now: Nanos) {
        // Another server counts anew.
        if self.soak.restarts == Restarts::Allowed {
            return;
        }
        let Some(due) = self.rounds.on_time(now, self.ledger.newest()) else {
            return;
        };
        let here = |place: &Place| place.stage == Stage::Open && place.since < due.since;
        for number in 0..self.honest {
            if !self.places.get(number).is_some_and(here) {
                continue;
            }
            for &stream in &self.honest_streams {
                let last = self.ledger.last(number, stream);
                let least = due.least.get(stream).copied().flatten().unwrap_or_default();
                let late = || format!("connection {}: {last} where all have {least}", number + 1);
                self.faults.note(Fault::Missing, least.saturating_sub(last), late);
            }
        }
    }

    /// A handshake has failed.
    pub(super) fn on_not_opened(&mut self, number: usize, end: &End, now: Nanos) {
        let Some(place) = self.begin_anew(number, now) else {
            return;
        };
        if matches!(end, End::Io(_)) {
            self.retry_at = now + RETRY_AFTER;
        }
        match place.role {
            Role::Unfinished if !matches!(end, End::Violation(_)) => self.ends.unfinished(),
            _ => {
                self.ends.not_opened();
                if self.soak.restarts == Restarts::Faults {
                    self.note(Fault::NotOpened, 1, number, end);
                }
            }
        }
    }

    /// A connection that we were about to end has ended.
    pub(super) fn on_left(&mut self, number: usize, way: Way, end: &End) {
        let expected = match way {
            Way::Close => matches!(end, End::ByUs),
            Way::HalfClose => matches!(end, End::Vanished),
            Way::Hang | Way::Drop | Way::Reset => true,
        };
        if !expected && self.soak.restarts == Restarts::Faults {
            self.note(Fault::Lost, 1, number, &format!("{}, and {end}", way.title()));
        }
    }

    /// The server has ended an honest client's connection.
    pub(super) fn on_honest_end(&mut self, number: usize, told: bool, end: &End) {
        match (self.soak.restarts, end) {
            (Restarts::Allowed, End::Closed(1001 | 1012)) if !told => {
                let said = "closed by a server that stops without serverShutdown";
                self.note(Fault::Missing, 1, number, &said);
            }
            // A server that was killed says nothing to anybody.
            (Restarts::Allowed, End::Closed(1001 | 1012) | End::Vanished | End::Io(_)) => {}
            _ => self.note(Fault::Lost, 1, number, end),
        }
    }

    pub(super) fn on_event(&mut self, number: usize, envelope: &Envelope<'_>, now: Nanos) {
        let Some(place) = self.places.get_mut(number) else {
            return;
        };
        if envelope.stream == SHUTDOWN_STREAM {
            place.told_of_shutdown = true;
            self.ends.shutdowns_told += 1;
            return;
        }
        let (honest, stage) = (place.role.is_honest(), place.stage);
        let found = self.ledger.take(number, envelope);
        match found {
            Found::First | Found::Next => {}
            Found::LeftOut(count) if honest => self.tally.left_out_honest += count,
            Found::LeftOut(count) => self.tally.left_out_behind += count,
            Found::Missing(count) => self.note(Fault::Missing, count, number, envelope),
            Found::Repeated => self.note(Fault::Repeated, 1, number, envelope),
            Found::Unknown => return self.note(Fault::Wrong, 1, number, envelope),
        }
        self.tally.received += 1;
        if self.phase != Phase::Measuring {
            return;
        }
        self.tally.measured += 1;
        // The first of a stream may be a last value, which came in long ago.
        if honest
            && stage == Stage::Open
            && found != Found::First
            && let (Some(stamp), Some(clock)) = (envelope.stamp_ns(), self.clock)
        {
            self.spells.record(now, clock.of_day(now).saturating_sub(stamp));
        }
    }

    pub(super) fn on_reply(&mut self, number: usize, text: &str) {
        match Reply::read(text) {
            Reply::Done | Reply::NoSequence => {}
            Reply::Refused(answer) => self.refused = Some(answer),
            Reply::Strange(said) => {
                let said = format!("neither event nor reply: {said}");
                return self.note(Fault::Wrong, 1, number, &said);
            }
        }
        let opening = self.phase == Phase::Opening;
        if let Some(place) = self.places.get_mut(number) {
            place.unanswered = place.unanswered.saturating_sub(1);
            self.awaited -= usize::from(opening && place.unanswered == 0 && self.awaited > 0);
        }
    }
}
