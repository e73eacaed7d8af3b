//! What happened in a simulation, as a hash and, where somebody wants to read it, as text.
//! Invariant: two simulations with the same hash went the same way.

use std::fmt::Write as _;

/// Lines kept, the last ones: a failure is near the end.
const LINES_MAX: usize = 4000;

/// Whether the text is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Hash,
    Text,
}

/// What happened so far.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    keep: Keep,
    lines: std::collections::VecDeque<String>,
}

impl Trace {
    pub(super) fn new(keep: Keep) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, keep, lines: std::collections::VecDeque::new() }
    }

    /// At this time, this happened to connection or number `of`; `value` says more.
    pub(super) fn note(&mut self, at: u64, what: &'static str, of: usize, value: u64) {
        for number in [at, what.len() as u64, of as u64, value] {
            self.mix(number);
        }
        what.bytes().for_each(|byte| self.mix(u64::from(byte)));
        if self.keep == Keep::Text {
            if self.lines.len() >= LINES_MAX {
                self.lines.pop_front();
            }
            let mut line = String::new();
            let _ = write!(line, "{:>12.3} ms  {what:<20} #{of:<5} {value}", at as f64 / 1000.0);
            self.lines.push_back(line);
        }
    }

    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }

    /// FNV-1a, by words.
    const fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
}
