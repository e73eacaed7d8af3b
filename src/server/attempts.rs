//! How often an address may connect. Shared by all workers, touched once a connection.
//! Invariant: remembers at most [`ADDRESSES_MAX`] addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connection attempts that one address has in a span of time. Loopback is exempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimit {
    /// Attempts in each span.
    pub attempts_max: u32,
    /// The span: it begins with an address's first attempt after the last one.
    pub span: Duration,
}

/// Addresses remembered at most. When there are more, those whose span is over are forgotten, and
/// then all.
const ADDRESSES_MAX: usize = 100_000;

/// The attempts of all addresses.
#[derive(Debug)]
pub(super) struct Attempts {
    limit: AttemptLimit,
    seen: Mutex<HashMap<IpAddr, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    since: Instant,
    count: u32,
}

impl Attempts {
    pub(super) fn new(limit: AttemptLimit) -> Self {
        Self { limit, seen: Mutex::default() }
    }

    /// Counts an attempt; whether it is within the limit.
    pub(super) fn admit(&self, address: IpAddr, now: Instant) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() {
            return true;
        }
        let span = self.limit.span;
        let current = |seen: &Seen| now.saturating_duration_since(seen.since) < span;
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&address) {
            all.retain(|_, seen| current(seen));
            if all.len() >= ADDRESSES_MAX {
                all.clear();
            }
        }
        let seen = all.entry(address).or_insert(Seen { since: now, count: 0 });
        if !current(seen) {
            *seen = Seen { since: now, count: 0 };
        }
        seen.count = seen.count.saturating_add(1);
        seen.count <= self.limit.attempts_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_by_address_and_span() {
        let span = Duration::from_secs(300);
        let attempts = Attempts::new(AttemptLimit { attempts_max: 2, span });
        let [one, mapped, other, local] =
            ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "127.0.0.1"]
                .map(|text| text.parse::<IpAddr>().unwrap());
        let start = Instant::now();
        assert!(attempts.admit(one, start) && attempts.admit(mapped, start));
        assert!(!attempts.admit(one, start) && attempts.admit(other, start));
        assert!(!attempts.admit(one, start + span / 2) && attempts.admit(one, start + span));
        assert!((0..10).all(|_| attempts.admit(local, start)));
    }
}
