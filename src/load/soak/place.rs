//! One place in the crowd: who sits there, and where its connection is.
//! Invariant: a place has one connection at a time.

use crate::load::client::{Reads, Says};
use crate::load::clock::{Nanos, SECOND};

/// How many times as long as others a server may have patience with a handshake that is never
/// finished.
const UNFINISHED_TIMES: u64 = 6;
/// A pausing client reads for so long, then pauses for one to five times as long.
const PAUSE: Nanos = SECOND;
/// After so long a stalled client leaves and another comes.
const STALL: Nanos = 30 * SECOND;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Honest,
    Slow,
    Pausing,
    Stalled,
    Unfinished,
}

impl Role {
    pub(super) fn is_honest(self) -> bool {
        self == Self::Honest
    }

    /// How it is to be dialled. Who pauses begins with it.
    pub(super) fn manner(self) -> (Reads, Says) {
        match self {
            Self::Honest => (Reads::Everything, Says::All),
            Self::Slow | Self::Pausing => (Reads::Rations, Says::All),
            Self::Stalled => (Reads::Nothing, Says::All),
            Self::Unfinished => (Reads::Everything, Says::Half),
        }
    }
}

/// How an honest client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the closing handshake.
    Close,
    /// By the end of its half of TCP; it reads on to the server's.
    HalfClose,
    /// By a close frame, and then it neither reads nor ends TCP, as some clients do.
    Hang,
    /// By the end of TCP.
    Drop,
    /// By a reset.
    Reset,
}

impl Way {
    pub(super) const ALL: [Self; 5] =
        [Self::Close, Self::HalfClose, Self::Hang, Self::Drop, Self::Reset];

    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|way| *way == self).unwrap_or_default()
    }

    /// Its key in JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Close => "left_close",
            Self::HalfClose => "left_half_close",
            Self::Hang => "left_hang",
            Self::Drop => "left_drop",
            Self::Reset => "left_reset",
        }
    }

    /// What it is called in a table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Close => "left by the closing handshake",
            Self::HalfClose => "left by the end of one half",
            Self::Hang => "left by a close frame and silence",
            Self::Drop => "left by the end of TCP",
            Self::Reset => "left by a reset",
        }
    }
}

/// Where a place's connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none.
    Gone,
    Dialling,
    Open,
    /// We are about to end it.
    Leaving(Way),
}

/// One place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) role: Role,
    pub(super) stage: Stage,
    /// Since when it is in that stage.
    pub(super) since: Nanos,
    /// Requests that were not answered yet.
    pub(super) unanswered: u8,
    /// Whether the server has said that it stops.
    pub(super) told_of_shutdown: bool,
    /// Whether somebody has sat here before.
    pub(super) reopened: bool,
}

impl Place {
    pub(super) fn new(role: Role) -> Self {
        let stage = Stage::Gone;
        let (unanswered, told_of_shutdown, reopened) = (0, false, false);
        Self { role, stage, since: 0, unanswered, told_of_shutdown, reopened }
    }

    pub(super) fn enter(&mut self, stage: Stage, now: Nanos) {
        (self.stage, self.since) = (stage, now);
    }

    /// Whether it has been in a stage for longer than `patience` that the server should have ended.
    pub(super) fn is_overdue(&self, now: Nanos, patience: Nanos) -> bool {
        let most = match self.stage {
            Stage::Gone | Stage::Open => return false,
            Stage::Dialling if self.role == Role::Unfinished => {
                patience.saturating_mul(UNFINISHED_TIMES)
            }
            Stage::Dialling | Stage::Leaving(_) => patience,
        };
        now.saturating_sub(self.since) > most
    }

    /// Whether a stalled client has stalled for long enough.
    pub(super) fn has_stalled(&self, now: Nanos) -> bool {
        let stalls = self.role == Role::Stalled && self.stage == Stage::Open;
        stalls && now.saturating_sub(self.since) > STALL
    }

    /// Whether a pausing client reads at this moment; `number` tells them apart.
    pub(super) fn reads_at(&self, number: usize, now: Nanos) -> bool {
        let pauses = 1 + (number % 5) as u64;
        let at = now.saturating_sub(self.since) / PAUSE % (1 + pauses);
        at == pauses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pause of one to five seconds, then a second of reading, and again.
    #[test]
    fn pauses_are_of_several_lengths() {
        let mut place = Place::new(Role::Pausing);
        place.enter(Stage::Open, 7 * SECOND);
        let reads = |number| -> Vec<u64> {
            (0..12).filter(|at| place.reads_at(number, (7 + at) * SECOND)).collect()
        };
        assert_eq!(reads(0), [1, 3, 5, 7, 9, 11]);
        assert_eq!(reads(4), [5, 11]);
        assert_eq!(reads(5), reads(0));
    }

    /// Only what the server is to end can be overdue.
    #[test]
    fn patience_ends_where_the_server_owes_something() {
        let overdue = |role, stage, after| {
            let mut place = Place::new(role);
            place.enter(stage, SECOND);
            place.is_overdue(SECOND + after, 100)
        };
        assert!(overdue(Role::Honest, Stage::Dialling, 101));
        assert!(!overdue(Role::Honest, Stage::Dialling, 100));
        assert!(!overdue(Role::Unfinished, Stage::Dialling, 101));
        assert!(overdue(Role::Unfinished, Stage::Dialling, 601));
        assert!(overdue(Role::Honest, Stage::Leaving(Way::Close), 101));
        assert!(!overdue(Role::Honest, Stage::Open, 100_000));
    }
}
