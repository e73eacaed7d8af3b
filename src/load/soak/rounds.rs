//! What everybody must have had by now. A gap shows only when something follows it; who gets
//! nothing any more would never be missed.
//! Invariant: nobody is asked for an event that others have had for less than a round.

use crate::load::clock::Nanos;

/// Rounds, and how far the streams had come at the end of the last two.
#[derive(Debug)]
pub(super) struct Rounds {
    length: Nanos,
    older: Option<Mark>,
    newer: Option<Mark>,
}

/// A moment, and the newest event of each stream at it.
#[derive(Clone, Debug)]
struct Mark {
    at: Nanos,
    newest: Vec<u64>,
}

/// What is asked for at the end of a round.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Of whom has been there since before this.
    pub(super) since: Nanos,
    /// For each stream the least that its last event must be; nothing of one that stood still.
    pub(super) least: Vec<Option<u64>>,
}

impl Rounds {
    /// Rounds in which an event that one client has had must reach all others.
    pub(super) fn new(length: Nanos) -> Self {
        Self { length, older: None, newer: None }
    }

    /// At the end of a round, what is due.
    pub(super) fn on_time(&mut self, now: Nanos, newest: &[u64]) -> Option<Due> {
        if self.newer.as_ref().is_some_and(|mark| now < mark.at + self.length) {
            return None;
        }
        let mark = Mark { at: now, newest: newest.to_vec() };
        let newer = self.newer.replace(mark)?;
        let due = self.older.as_ref().map(|older| Due {
            since: older.at,
            least: older
                .newest
                .iter()
                .zip(&newer.newest)
                .map(|(before, after)| (after > before).then_some(*after))
                .collect(),
        });
        self.older = Some(newer);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked for is what was there a round ago, of streams that moved in the round before.
    #[test]
    fn what_is_due_was_there_a_round_ago() {
        let mut rounds = Rounds::new(100);
        assert_eq!(rounds.on_time(7, &[5, 5]), None);
        assert_eq!(rounds.on_time(106, &[6, 5]), None);
        assert_eq!(rounds.on_time(107, &[7, 5]), None);
        let due = rounds.on_time(207, &[9, 9]);
        assert_eq!(due, Some(Due { since: 7, least: vec![Some(7), None] }));
        let due = rounds.on_time(307, &[10, 10]);
        assert_eq!(due, Some(Due { since: 107, least: vec![Some(9), Some(9)] }));
    }
}
