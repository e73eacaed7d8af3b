//! What the black-box tests stand on: a server in the test's own process, a raw client, and the
//! program itself.
//!
//! The client has its own frame reader and writer, a few lines that share nothing with the
//! library's, so that each checks the other. Invariant: nothing here waits longer than
//! [`DEADLINE`], and what does not come by then fails the test.

#![allow(dead_code, reason = "no test file uses all of this")]

pub(crate) mod client;
pub(crate) mod frame;
#[cfg(feature = "cli")]
pub(crate) mod program;
pub(crate) mod puppet;
pub(crate) mod server;
pub(crate) mod talk;

use std::time::{Duration, Instant};

/// How long a test waits for what must come. Long, because the machine may be busy; a test that
/// passes never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until something that has no event of its own is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
