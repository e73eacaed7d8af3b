//! Masking keys (RFC 6455 §5.3) for millions of frames a second: a stream cipher, seeded by the
//! operating system. Its own generator took 2 % of a run of small messages.
//! Invariant: nobody who has not the seed can predict a key.

use crate::net::nonce;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::cell::RefCell;

thread_local! {
    static STREAM: RefCell<ChaCha8Rng> = RefCell::new(seeded());
}

/// A masking key for one frame.
pub(super) fn masking_key() -> [u8; 4] {
    STREAM.with_borrow_mut(|stream| stream.next_u32().to_le_bytes())
}

fn seeded() -> ChaCha8Rng {
    let mut seed = [0; 32];
    let halves = nonce().into_iter().chain(nonce());
    seed.iter_mut().zip(halves).for_each(|(to, from)| *to = from);
    ChaCha8Rng::from_seed(seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// §5.3: "The masking key needs to be unpredictable": no two runs draw the same ones.
    #[test]
    fn keys_differ_within_a_run_and_between_runs() {
        let keys: HashSet<_> = (0..1000).map(|_| masking_key()).collect();
        assert!(keys.len() > 990);
        assert_ne!(seeded().next_u64(), seeded().next_u64());
    }
}
