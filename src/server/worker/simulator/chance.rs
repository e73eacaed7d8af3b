//! Where a simulation's decisions come from: a seed, or the bytes of a fuzzer followed by one.
//! Invariant: the same source gives the same decisions in the same order.

/// A sequence of decisions.
#[derive(Debug)]
pub(super) struct Chance {
    state: u64,
    /// Decides first, two bytes a decision, until it is used up.
    script: Vec<u8>,
    at: usize,
}

impl Chance {
    pub(super) const fn from_seed(seed: u64) -> Self {
        Self { state: seed, script: Vec::new(), at: 0 }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self { state: bytes.len() as u64, script: bytes.to_vec(), at: 0 }
    }

    /// The next 64 bits, by SplitMix64.
    pub(super) fn bits(&mut self) -> u64 {
        if let Some([low, high]) = self.script.get(self.at..self.at + 2) {
            self.at += 2;
            return u64::from(*low) | u64::from(*high) << 8;
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not 0. That some are likelier by a hair does not matter.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() % end as u64).unwrap_or_default()
    }

    /// A number from `first` to `last`.
    pub(super) fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// A span of microseconds from `first` to `last`.
    pub(super) fn micros(&mut self, first: u64, last: u64) -> u64 {
        first + self.bits() % (last - first + 1)
    }

    /// Whether it is one of so many cases; 0: never.
    pub(super) fn one_in(&mut self, cases: usize) -> bool {
        cases > 0 && self.below(cases) == 0
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, first: T, others: &[T]) -> T {
        let choice = self.below(others.len() + 1);
        choice.checked_sub(1).and_then(|choice| others.get(choice)).copied().unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_source_decides_the_same() {
        let decide = |mut chance: Chance| -> Vec<u64> { (0..9).map(|_| chance.bits()).collect() };
        assert_eq!(decide(Chance::from_seed(7)), decide(Chance::from_seed(7)));
        assert_ne!(decide(Chance::from_seed(7)), decide(Chance::from_seed(8)));
        let scripted = decide(Chance::from_bytes(&[1, 0, 2, 1, 9]));
        assert_eq!(scripted.get(..2), Some(&[1, 258][..]));
        assert_eq!(scripted.get(2..), decide(Chance::from_seed(5)).get(..7));
    }

    #[test]
    fn decisions_keep_to_their_range() {
        let mut chance = Chance::from_seed(1);
        assert!((0..999).all(|_| (3..=5).contains(&chance.between(3, 5))));
        assert!((0..99).all(|_| !chance.one_in(0)) && (0..99).all(|_| chance.one_in(1)));
        assert!((0..99).all(|_| [1, 2, 3].contains(&chance.pick(1, &[2, 3]))));
    }
}
