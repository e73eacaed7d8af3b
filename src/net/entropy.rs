//! Random bytes from the operating system, for the Client role (RFC 6455 §4.1, §5.3).
//! Invariant: no byte is handed out twice.

use std::cell::RefCell;

/// Random bytes fetched at once: one system call for this many bytes.
const POOL_BYTES: usize = 1024;

struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> =
        const { RefCell::new(Pool { bytes: [0; POOL_BYTES], used: POOL_BYTES }) };
}

/// A masking key that cannot be predicted, for one frame (§5.3).
///
/// # Panics
/// If the operating system has no randomness to give.
#[must_use]
pub fn masking_key() -> [u8; 4] {
    draw()
}

/// The 16 random bytes of a `Sec-WebSocket-Key` (§4.1).
///
/// # Panics
/// If the operating system has no randomness to give.
#[must_use]
pub fn nonce() -> [u8; 16] {
    draw()
}

fn draw<const N: usize>() -> [u8; N] {
    POOL.with_borrow_mut(|pool| {
        let fresh = pool.bytes.get(pool.used..).and_then(|rest| rest.first_chunk::<N>()).copied();
        let drawn = fresh.unwrap_or_else(|| {
            let filled = getrandom::fill(&mut pool.bytes);
            assert!(filled.is_ok(), "the operating system gives no random bytes: {filled:?}");
            pool.used = 0;
            let mut first = [0; N];
            first.iter_mut().zip(&pool.bytes).for_each(|(to, from)| *to = *from);
            first
        });
        pool.used += N;
        drawn
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// §5.3: "The masking key needs to be unpredictable"; a repetition would show a stuck pool.
    #[test]
    fn keys_do_not_repeat() {
        let nonces: HashSet<_> = (0..1000).map(|_| nonce()).collect();
        assert_eq!(nonces.len(), 1000);
        let keys: HashSet<_> = (0..1000).map(|_| masking_key()).collect();
        assert!(keys.len() > 990);
    }
}
