//! Diffs that wait for a snapshot, or for what comes before them.
//! Invariant: there are at most [`WAITING_DIFFS_MAX`], of [`WAITING_BYTES_MAX`] bytes together
//! unless one alone is longer; where there is no room the oldest go.

use std::collections::VecDeque;

/// The most diffs that wait: 100 seconds of the fast stream.
pub const WAITING_DIFFS_MAX: usize = 1000;
/// The most bytes of diffs that wait.
pub const WAITING_BYTES_MAX: usize = 1 << 20;

/// A diff as it came.
#[derive(Debug)]
pub(super) struct Waits {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) payload: Box<str>,
}

impl Waits {
    pub(super) fn new(first: u64, last: u64, payload: &str) -> Self {
        Self { first, last, payload: payload.into() }
    }

    /// Whether it follows a book of this update.
    pub(super) fn follows(&self, update_id: u64) -> bool {
        self.first <= update_id.saturating_add(1) && self.last > update_id
    }
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    diffs: VecDeque<Waits>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.diffs.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waits> {
        self.diffs.iter()
    }

    /// Adds the newest one; yields how many of the oldest went for it.
    pub(super) fn push(&mut self, waits: Waits) -> u64 {
        self.bytes += waits.payload.len();
        self.diffs.push_back(waits);
        let mut gone = 0;
        while self.diffs.len() > WAITING_DIFFS_MAX
            || (self.bytes > WAITING_BYTES_MAX && self.diffs.len() > 1)
        {
            let oldest = self.diffs.pop_front();
            self.bytes -= oldest.map_or(0, |waits| waits.payload.len());
            gone += 1;
        }
        gone
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Lets go of those that say nothing beyond this update.
    pub(super) fn forget_up_to(&mut self, update_id: u64) {
        let bytes = &mut self.bytes;
        self.diffs.retain(|waits| {
            let needed = waits.last > update_id;
            *bytes -= if needed { 0 } else { waits.payload.len() };
            needed
        });
    }

    /// The oldest one that follows a book of this update.
    pub(super) fn take_following(&mut self, update_id: u64) -> Option<Waits> {
        let place = self.diffs.iter().position(|waits| waits.follows(update_id))?;
        let waits = self.diffs.remove(place)?;
        self.bytes -= waits.payload.len();
        Some(waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounds: by number and by bytes, and the newest is always there.
    #[test]
    fn the_oldest_go_where_there_is_no_room() {
        let mut waiting = Waiting::default();
        let gone: u64 = (0..1500).map(|id| waiting.push(Waits::new(id, id, "x"))).sum();
        assert_eq!((gone, waiting.diffs.len(), waiting.bytes), (500, 1000, 1000));
        assert_eq!(waiting.iter().next().map(|waits| waits.first), Some(500));

        let long = "x".repeat(WAITING_BYTES_MAX + 1);
        assert_eq!(waiting.push(Waits::new(1500, 1500, &long)), 1000);
        assert_eq!(waiting.iter().map(|waits| waits.first).collect::<Vec<_>>(), [1500]);
        assert_eq!(waiting.push(Waits::new(1501, 1501, "x")), 1);
        assert_eq!((waiting.diffs.len(), waiting.bytes), (1, 1));
        waiting.forget_up_to(1501);
        assert_eq!((waiting.is_empty(), waiting.bytes), (true, 0));
    }
}
