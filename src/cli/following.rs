//! Arguments of the commands that follow a server's streams, and when they end.

use super::signals::Stop;
use super::units::duration;
use clap::Args;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Args)]
pub(super) struct EndArguments {
    /// End after so many events [default: at Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after this long [default: at Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,

    /// What to log, to standard error: error, warn, info, debug, trace, or a filter
    #[arg(long, value_name = "FILTER", env = "TICKWIRE_LOG", default_value = "info")]
    pub(super) log: String,
}

/// What is left until a command is to end.
#[derive(Debug)]
pub(super) struct Remaining {
    stop: Stop,
    events: Option<u64>,
    pub(super) started: Instant,
    time: Option<Duration>,
}

impl EndArguments {
    pub(super) fn start(&self, stop: Stop) -> Remaining {
        Remaining { stop, events: self.count, started: Instant::now(), time: self.time }
    }
}

impl Remaining {
    /// Counts an event. `Break`: it was the last one.
    pub(super) fn count(&mut self) -> ControlFlow<()> {
        match &mut self.events {
            Some(left) => {
                *left = left.saturating_sub(1);
                if *left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// `Break` at Ctrl-C, and once the time is over.
    pub(super) fn check(&self, now: Instant) -> ControlFlow<()> {
        let over = self.time.is_some_and(|time| now.duration_since(self.started) >= time);
        if over || self.stop.is_asked_for() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// The name of a stream, as a server would take it.
pub(super) fn stream(text: &str) -> Result<String, String> {
    let name = crate::market::StreamName::new(text).map_err(|error| error.to_string())?;
    Ok(name.as_str().to_owned())
}
