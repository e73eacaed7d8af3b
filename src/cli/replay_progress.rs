//! How a replay goes, in one line, where a terminal watches.

use super::status_line::StatusLine;
use super::units::{grouped, utc};
use crate::feed::{FeedCounters, Flow, ReplayProgress, Switch};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(250);

/// Shows it from a thread of its own until the replay is over, which is when nobody holds its progress.
pub(super) fn watch(progress: &Arc<ReplayProgress>, counters: Arc<FeedCounters>, switch: Switch) {
    let line = StatusLine::start();
    if !line.is_shown() {
        return;
    }
    let progress = Arc::downgrade(progress);
    // Without the thread there is no line, and all else is as it was.
    let _ = std::thread::Builder::new()
        .name("progress".to_owned())
        .spawn(move || show(&line, &progress, &counters, &switch));
}

fn show(
    line: &StatusLine,
    progress: &Weak<ReplayProgress>,
    counters: &FeedCounters,
    switch: &Switch,
) {
    let mut last = (Instant::now(), 0, 0);
    while let Some(progress) = progress.upgrade() {
        let now = (Instant::now(), counters.events(), progress.time_ns());
        line.show(told(&progress, last, now));
        last = now;
        drop(progress);
        if switch.sleep_until(now.0 + EVERY) == Flow::Stop {
            return;
        }
    }
}

/// A time, the events published by then, and the time of the recording.
type Reading = (Instant, u64, u64);

fn told(progress: &ReplayProgress, last: Reading, now: Reading) -> String {
    if now.2 == 0 && now.1 == 0 {
        return "replay: waiting for subscribers".to_owned();
    }
    let percent = progress.bytes().saturating_mul(100) / progress.bytes_total().max(1);
    let span_ns = u64::try_from(now.0.duration_since(last.0).as_nanos()).unwrap_or(u64::MAX).max(1);
    let rate = now.1.saturating_sub(last.1).saturating_mul(1_000_000_000) / span_ns;
    let mut text = format!("replay: {percent} %, {} events/s", grouped(rate));
    if now.2 > 0 {
        // From one pass to the next the recording's time goes back, and at first it jumps.
        let advance = now.2.checked_sub(last.2).filter(|_| last.2 > 0);
        text = format!("{}, {text}", utc(now.2));
        if let Some(advance) = advance {
            let tenths = u128::from(advance) * 10 / u128::from(span_ns);
            text.push_str(&format!(", {}.{} times its pace", tenths / 10, tenths % 10));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_rates_of_the_time_between_two_looks() {
        let (start, progress) = (Instant::now(), ReplayProgress::default());
        let before = (start, 0, 0);
        assert_eq!(told(&progress, before, before), "replay: waiting for subscribers");
        let first = (start + EVERY, 1000, 1_723_161_254_000_000_000);
        let line = told(&progress, before, first);
        assert_eq!(line, "2024-08-08 23:54:14.000, replay: 0 %, 4,000 events/s");
        let then = (start + EVERY * 2, 1010, 1_723_161_254_625_000_000);
        let line = told(&progress, first, then);
        assert_eq!(line, "2024-08-08 23:54:14.625, replay: 0 %, 40 events/s, 2.5 times its pace");
    }
}
