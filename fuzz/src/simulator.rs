//! A server on a network that is made up. The bytes decide what happens, two at a time, and a
//! generator that is always the same decides the rest.

use tickwire::server::simulator::{Record, run_bytes};

/// The event loop keeps its promises whatever its peers, its network and its clock do.
pub fn simulator(bytes: &[u8]) {
    if let Err(failure) = run_bytes(bytes, Record::Nothing) {
        panic!("{failure}");
    }
}
