//! Stopping a server from another thread, or from a signal handler's.

use crate::hub::Wake;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a server. `Clone`, `Send` and `Sync`.
#[derive(Clone)]
pub struct ShutdownHandle {
    requested: Arc<AtomicBool>,
    wakes: Arc<[Wake]>,
}

impl std::fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShutdownHandle").field("requested", &self.is_requested()).finish()
    }
}

impl ShutdownHandle {
    pub(super) fn new(wakes: Arc<[Wake]>) -> Self {
        Self { requested: Arc::default(), wakes }
    }

    /// Asks the server to stop: it accepts no more connections, closes each with code 1001, and
    /// ends when all are gone or the drain timeout is over. Returns at once.
    pub fn shutdown(&self) {
        self.requested.store(true, Ordering::Release);
        for wake in self.wakes.iter() {
            wake();
        }
    }

    /// Whether the server was asked to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }
}
