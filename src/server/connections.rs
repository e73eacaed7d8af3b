//! How many connections there are, in all and from one address, and what those get that are too
//! many. Shared by all workers, touched once when a connection comes and once when it ends.
//!
//! To answer a refusal takes a descriptor and a place until the request has come, so only a few
//! are answered at a time: the others are cut off, which costs a flood's target least.
//! Invariant: every seat that was given is given back once; only subnets that have connections
//! are remembered, so no more of them than connections.

use super::handler::Cause;
use super::options::Options;
use super::subnet::{Loopback, Subnet};
use crate::http::{Response, Status};
use slab::Slab;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Refused connections that are answered at a time; others are reset.
const REFUSALS_ANSWERED_MAX: usize = 256;
/// Time for a refused client to send the request that the answer is to.
pub(super) const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There are as many as there may be.
    Connections,
    /// There are as many from its address.
    ConnectionsOfAddress,
    /// Its address has used up its attempts.
    Attempts,
}

impl Refusal {
    pub(super) const fn cause(self) -> Cause {
        match self {
            Self::Connections => Cause::TooManyConnections,
            Self::ConnectionsOfAddress => Cause::TooManyOfAddress,
            Self::Attempts => Cause::TooManyAttempts,
        }
    }

    pub(super) fn response(self) -> Response {
        let (status, text) = match self {
            Self::Connections => {
                (Status::SERVICE_UNAVAILABLE, "503 Service Unavailable: too many connections\n")
            }
            Self::ConnectionsOfAddress => (
                Status::TOO_MANY_REQUESTS,
                "429 Too Many Requests: too many connections from this address\n",
            ),
            Self::Attempts => {
                (Status::TOO_MANY_REQUESTS, "429 Too Many Requests: too many connection attempts\n")
            }
        };
        Response::text(status, text)
    }
}

/// Under what a connection was counted, to be given back when it ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seat(u32);

impl Seat {
    /// Counted among all, not by its address.
    const OF_NO_ADDRESS: u32 = u32::MAX;
    /// Counted among those whose refusal is being answered.
    const REFUSED: u32 = u32::MAX - 1;
}

/// The connections of all workers.
#[derive(Debug)]
pub(super) struct Connections {
    all_max: usize,
    of_address_max: Option<u32>,
    loopback: Loopback,
    all: AtomicUsize,
    refused: AtomicUsize,
    by_subnet: Mutex<BySubnet>,
}

#[derive(Debug, Default)]
struct BySubnet {
    /// Where a subnet stands in `counts`.
    places: HashMap<Subnet, usize>,
    counts: Slab<(Subnet, u32)>,
}

impl Connections {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            all_max: options.connections_max,
            of_address_max: options.connections_per_address_max,
            loopback: options.loopback,
            all: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            by_subnet: Mutex::default(),
        }
    }

    /// Counts a connection from this address, where it is within the limits.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Seat, Refusal> {
        if !take(&self.all, self.all_max) {
            return Err(Refusal::Connections);
        }
        let subnet =
            self.of_address_max.and_then(|max| Some((Subnet::of(address, self.loopback)?, max)));
        let Some((subnet, max)) = subnet else { return Ok(Seat(Seat::OF_NO_ADDRESS)) };
        let mut by_subnet = self.by_subnet.lock().unwrap_or_else(PoisonError::into_inner);
        let place = by_subnet.count(subnet, max).and_then(|place| u32::try_from(place).ok());
        if place.is_none() {
            self.all.fetch_sub(1, Ordering::Relaxed);
        }
        place.map(Seat).ok_or(Refusal::ConnectionsOfAddress)
    }

    /// Counts a connection that is refused, where one more may be told so.
    pub(super) fn hold_refused(&self) -> Option<Seat> {
        take(&self.refused, REFUSALS_ANSWERED_MAX).then_some(Seat(Seat::REFUSED))
    }

    /// The connection with this seat has ended.
    pub(super) fn leave(&self, seat: &Seat) {
        if seat.0 == Seat::REFUSED {
            self.refused.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.all.fetch_sub(1, Ordering::Relaxed);
        if seat.0 != Seat::OF_NO_ADDRESS {
            let mut by_subnet = self.by_subnet.lock().unwrap_or_else(PoisonError::into_inner);
            by_subnet.discount(seat.0 as usize);
        }
    }
}

/// Counts one more, unless there are `max`.
fn take(counter: &AtomicUsize, max: usize) -> bool {
    let taken = counter.fetch_add(1, Ordering::Relaxed) < max;
    if !taken {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
    taken
}

impl BySubnet {
    /// Counts one more from a subnet and yields its place; `None`: it has `max` already.
    fn count(&mut self, subnet: Subnet, max: u32) -> Option<usize> {
        let known = self.places.get(&subnet).copied();
        let Some((_, count)) = known.and_then(|place| self.counts.get_mut(place)) else {
            if max == 0 {
                return None;
            }
            let place = self.counts.insert((subnet, 1));
            self.places.insert(subnet, place);
            return Some(place);
        };
        if *count >= max {
            return None;
        }
        *count += 1;
        known
    }

    fn discount(&mut self, place: usize) {
        let Some((subnet, count)) = self.counts.get_mut(place) else { return };
        *count -= 1;
        if *count == 0 {
            self.places.remove(subnet);
            self.counts.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn connections(all: usize, of_address: u32) -> Connections {
        Connections::new(&Options {
            connections_max: all,
            connections_per_address_max: Some(of_address),
            ..Options::default()
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_limited_in_all_and_by_address() {
        let connections = connections(5, 2);
        let [one, mapped, six, seven, local] =
            ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "127.0.0.1"]
                .map(address);
        let first = connections.admit(one).unwrap();
        let second = connections.admit(mapped).unwrap();
        assert_eq!(connections.admit(one), Err(Refusal::ConnectionsOfAddress));
        connections.leave(&first);
        let first = connections.admit(one).unwrap();
        let third = connections.admit(six).unwrap();
        let fourth = connections.admit(seven).unwrap();
        assert_eq!(connections.admit(six), Err(Refusal::ConnectionsOfAddress), "one subnet");
        let fifth = connections.admit(local).unwrap();
        assert_eq!(connections.admit(local), Err(Refusal::Connections));
        for seat in [first, second, third, fourth, fifth] {
            connections.leave(&seat);
        }
        let all: Vec<_> = (0..6).map(|_| connections.admit(local).is_ok()).collect();
        assert_eq!(all, [true, true, true, true, true, false]);
    }

    /// A flood is answered within a budget, which comes back when those who were answered go.
    #[test]
    fn few_refusals_are_answered_at_a_time() {
        let connections = connections(0, 0);
        let held: Vec<_> = std::iter::from_fn(|| connections.hold_refused()).collect();
        assert_eq!(held.len(), REFUSALS_ANSWERED_MAX);
        connections.leave(&held[0]);
        assert!(connections.hold_refused().is_some() && connections.hold_refused().is_none());
    }

    proptest! {
        /// The table is a map of counts, and empty again when all have gone.
        #[test]
        fn the_table_counts_what_is_there(steps in prop::collection::vec((0u8..4, any::<bool>()), 0..200)) {
            let connections = connections(60, 20);
            let mut open: Vec<(u8, Seat)> = Vec::new();
            for (host, leaves) in steps {
                if leaves && let Some(at) = open.iter().position(|(of, _)| *of == host) {
                    connections.leave(&open.remove(at).1);
                    continue;
                }
                let of_host = open.iter().filter(|(of, _)| *of == host).count();
                let expected = match (open.len(), of_host) {
                    (60, _) => Err(Refusal::Connections),
                    (_, 20) => Err(Refusal::ConnectionsOfAddress),
                    _ => Ok(()),
                };
                match connections.admit(IpAddr::from([192, 0, 2, host])) {
                    Ok(seat) => {
                        prop_assert_eq!(expected, Ok(()));
                        open.push((host, seat));
                    }
                    Err(refusal) => prop_assert_eq!(expected, Err(refusal)),
                }
            }
            for (_, seat) in &open {
                connections.leave(seat);
            }
            let by_subnet = connections.by_subnet.lock().unwrap();
            prop_assert!(by_subnet.places.is_empty() && by_subnet.counts.is_empty());
            prop_assert_eq!(connections.all.load(Ordering::Relaxed), 0);
        }
    }
}
