//! How often an address may connect. Shared by all workers, touched once a connection.
//! Invariant: remembers at most [`SUBNETS_MAX`] subnets.

use super::subnet::{Loopback, Subnet};
use crate::proto::Millis;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Connection attempts that one address has in a span of time, IPv6 by networks of 64 bits.
/// For loopback see [`Options::loopback`](super::Options::loopback).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimit {
    /// Attempts in each span.
    pub attempts_max: u32,
    /// The span: it begins with an address's first attempt after the last one.
    pub span: Duration,
}

/// Subnets remembered at most. When there are more, those whose span is over are forgotten, and
/// then all.
const SUBNETS_MAX: usize = 100_000;

/// The attempts of all addresses.
#[derive(Debug)]
pub(super) struct Attempts {
    limit: AttemptLimit,
    loopback: Loopback,
    seen: Mutex<HashMap<Subnet, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    until: Millis,
    count: u32,
}

impl Attempts {
    pub(super) fn new(limit: AttemptLimit, loopback: Loopback) -> Self {
        Self { limit, loopback, seen: Mutex::default() }
    }

    /// Counts an attempt; whether it is within the limit.
    pub(super) fn admit(&self, address: IpAddr, now: Millis) -> bool {
        let Some(subnet) = Subnet::of(address, self.loopback) else { return true };
        let fresh = Seen { until: now.after(self.limit.span), count: 0 };
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SUBNETS_MAX && !all.contains_key(&subnet) {
            all.retain(|_, seen| now < seen.until);
            if all.len() >= SUBNETS_MAX {
                all.clear();
            }
        }
        let seen = all.entry(subnet).or_insert(fresh);
        if seen.until <= now {
            *seen = fresh;
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
        let attempts = Attempts::new(AttemptLimit { attempts_max: 2, span }, Loopback::Exempt);
        let [one, mapped, other, neighbour, local] =
            ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "127.0.0.1"]
                .map(|text| text.parse::<IpAddr>().unwrap());
        let start = Millis(1000);
        assert!(attempts.admit(one, start) && attempts.admit(mapped, start));
        assert!(!attempts.admit(one, start) && attempts.admit(other, start));
        assert!(attempts.admit(neighbour, start) && !attempts.admit(other, start));
        assert!(!attempts.admit(one, start.after(span / 2)));
        assert!(attempts.admit(one, start.after(span)));
        assert!((0..10).all(|_| attempts.admit(local, start)));
    }

    /// An attacker with many subnets is forgotten, not remembered without end.
    #[test]
    fn the_table_is_bounded() {
        let span = Duration::from_secs(300);
        let attempts = Attempts::new(AttemptLimit { attempts_max: 1, span }, Loopback::Exempt);
        for number in 0..=u32::try_from(SUBNETS_MAX).unwrap() {
            assert!(attempts.admit(IpAddr::from(number.to_be_bytes()), Millis(0)));
        }
        assert!(attempts.seen.lock().unwrap().len() <= SUBNETS_MAX);
    }
}
