//! What ends an event loop's sleep when something is due.
//!
//! On Linux a timer that is a file descriptor, which the loop polls like its sockets. To poll with a
//! timeout instead would set up and take down a kernel timer in each sleep, though hardly any sleep
//! lasts until its deadline: on a virtual machine that costs more than the rest of the system call.
//! Elsewhere, that timeout.
//! Invariant: once a time has been set, the loop is awake at that time or soon after; it may be
//! woken earlier, for a time that was set before.

use mio::{Registry, Token};
use std::io;
use std::time::{Duration, Instant};

/// Ends a sleep at a given time.
#[derive(Debug)]
pub(super) struct Alarm {
    /// When it rings next; `None`: never.
    at: Option<Instant>,
    timer: Timer,
}

impl Alarm {
    /// An alarm whose ringing is an event with this token, where it is an event at all.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { at: None, timer: Timer::new(registry, token)? })
    }

    /// Sees to it that a sleep that begins now ends at `due`, and yields the timeout to poll with.
    pub(super) fn set(&mut self, due: Instant) -> io::Result<Option<Duration>> {
        if self.at.is_some_and(|at| at <= due) {
            return Ok(self.timer.timeout(due));
        }
        self.timer.set(due.saturating_duration_since(Instant::now()))?;
        self.at = Some(due);
        Ok(self.timer.timeout(due))
    }

    /// Takes note of the time: what was set for then has rung.
    pub(super) fn note(&mut self, now: Instant) {
        if self.at.is_some_and(|at| at <= now) {
            self.at = None;
        }
    }
}

#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Timer(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Timer {
    fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd as _;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Edge-triggered: each setting makes one edge, and the count of them is never read.
        let source = &mut mio::unix::SourceFd(&fd.as_raw_fd());
        registry.register(source, token, mio::Interest::READABLE)?;
        Ok(Self(fd))
    }

    fn set(&self, after: Duration) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        // Zero would disarm it.
        let after = after.max(Duration::from_nanos(1));
        let tv_sec = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
        let value = Timespec { tv_sec, tv_nsec: i64::from(after.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    fn timeout(&self, _due: Instant) -> Option<Duration> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    fn new(_registry: &Registry, _token: Token) -> io::Result<Self> {
        Ok(Self)
    }

    fn set(&self, _after: Duration) -> io::Result<()> {
        Ok(())
    }

    fn timeout(&self, due: Instant) -> Option<Duration> {
        Some(due.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};

    const TOKEN: Token = Token(7);

    /// The deadline of a test: nothing here takes this long.
    const SAFETY: Duration = Duration::from_secs(10);

    /// Sleeps as a loop does; yields how long that took.
    fn sleep(poll: &mut Poll, alarm: &mut Alarm, due: Instant) -> Duration {
        let (start, mut events) = (Instant::now(), Events::with_capacity(4));
        let timeout = alarm.set(due).unwrap();
        poll.poll(&mut events, timeout.or(Some(SAFETY))).unwrap();
        alarm.note(Instant::now());
        start.elapsed()
    }

    #[test]
    fn a_sleep_ends_when_it_should_again_and_again() {
        let mut poll = Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), TOKEN).unwrap();
        for millis in [20, 1, 0, 30] {
            let wanted = Duration::from_millis(millis);
            let due = Instant::now() + wanted;
            let mut slept = sleep(&mut poll, &mut alarm, due);
            // Woken early is allowed, late is not.
            while Instant::now() < due {
                slept += sleep(&mut poll, &mut alarm, due);
            }
            assert!(slept < wanted + SAFETY / 2, "{slept:?} for {wanted:?}");
        }
    }

    /// What is due earlier than what was set before ends the sleep earlier; later is left alone.
    #[test]
    fn the_earliest_time_counts() {
        let mut poll = Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), TOKEN).unwrap();
        let now = Instant::now();
        alarm.set(now + SAFETY * 2).unwrap();
        let early = now + Duration::from_millis(20);
        alarm.set(early).unwrap();
        assert!(sleep(&mut poll, &mut alarm, now + SAFETY) < SAFETY / 2);
        assert!(Instant::now() >= early);
        assert!(alarm.at.is_none());
    }
}
