//! The switch that holds, starts and stops feeds.
//! Invariant: once stopped it stays stopped, and no wait on it outlasts the stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Flow;

/// Holds, starts and stops any number of feeds; clones are the same switch.
///
/// A server that wants its first subscribers to miss nothing gives its feeds a held switch and
/// starts it when they are there.
///
/// # Example
/// ```
/// use std::time::{Duration, Instant};
/// use tickwire::feed::{Flow, Switch};
///
/// let switch = Switch::held();
/// let waiting = std::thread::spawn({
///     let switch = switch.clone();
///     move || switch.wait_until_started()
/// });
/// switch.start();
/// assert_eq!(waiting.join().unwrap(), Flow::Continue);
///
/// switch.stop();
/// assert_eq!(switch.sleep_until(Instant::now() + Duration::from_secs(3600)), Flow::Stop);
/// ```
#[derive(Debug, Clone)]
pub struct Switch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    phase: Mutex<Phase>,
    changed: Condvar,
    /// The same as `phase` being [`Phase::Stopped`], for a look without the lock.
    stopped: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Held,
    Started,
    Stopped,
}

impl Switch {
    /// A switch that makes feeds wait for [`Self::start`].
    #[must_use]
    pub fn held() -> Self {
        Self::new(Phase::Held)
    }

    /// A switch that lets feeds run at once.
    #[must_use]
    pub fn started() -> Self {
        Self::new(Phase::Started)
    }

    fn new(phase: Phase) -> Self {
        Self(Arc::new(Shared {
            phase: Mutex::new(phase),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Lets held feeds run. Does nothing on a switch that was started or stopped before.
    pub fn start(&self) {
        let mut phase = self.phase();
        if *phase == Phase::Held {
            *phase = Phase::Started;
            self.0.changed.notify_all();
        }
    }

    /// Makes every feed return, waking those that wait.
    pub fn stop(&self) {
        *self.phase() = Phase::Stopped;
        self.0.stopped.store(true, Ordering::Relaxed);
        self.0.changed.notify_all();
    }

    /// Whether [`Self::stop`] was called. Cheap enough to ask for every event.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    /// Waits for the start or the stop.
    #[must_use = "a stopped feed must return"]
    pub fn wait_until_started(&self) -> Flow {
        let phase = self
            .0
            .changed
            .wait_while(self.phase(), |phase| *phase == Phase::Held)
            .unwrap_or_else(PoisonError::into_inner);
        if *phase == Phase::Stopped { Flow::Stop } else { Flow::Continue }
    }

    /// Sleeps until `deadline`, or until the stop if that comes first.
    #[must_use = "a stopped feed must return"]
    pub fn sleep_until(&self, deadline: Instant) -> Flow {
        let mut phase = self.phase();
        loop {
            if *phase == Phase::Stopped {
                return Flow::Stop;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Flow::Continue;
            }
            phase =
                self.0.changed.wait_timeout(phase, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A phase is one word: a thread that panicked while holding the lock left it whole.
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.0.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Feeds: a held feed that is stopped returns instead of starting.
    #[test]
    fn a_stop_ends_every_kind_of_wait() {
        let switch = Switch::held();
        let held = thread::spawn({
            let switch = switch.clone();
            move || switch.wait_until_started()
        });
        let asleep = thread::spawn({
            let switch = switch.clone();
            move || switch.sleep_until(Instant::now() + Duration::from_secs(3600))
        });
        assert!(!switch.is_stopped());
        switch.stop();
        assert_eq!(held.join().unwrap(), Flow::Stop);
        assert_eq!(asleep.join().unwrap(), Flow::Stop);
        assert!(switch.is_stopped());
    }

    /// Feeds: a stop is final.
    #[test]
    fn a_stopped_switch_does_not_start_again() {
        let switch = Switch::started();
        assert_eq!(switch.wait_until_started(), Flow::Continue);
        assert_eq!(switch.sleep_until(Instant::now()), Flow::Continue);
        switch.stop();
        switch.start();
        assert_eq!(switch.wait_until_started(), Flow::Stop);
    }
}
