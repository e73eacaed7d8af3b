//! Arguments about feeds, for the commands that have one: which it is, and how it goes.

use super::feeds::{Feed, Simulation};
use super::units::moment;
use crate::feed::{Factor, Moment, Recording, Repeat, Replay, Speed, SymbolError, SymbolSpec};
use anyhow::{Context as _, ensure};
use clap::Args;
use std::path::Path;
use std::time::SystemTime;

/// Headings in `--help`.
const SIMULATE: &str = "Feed: simulate";
const REPLAY: &str = "Feed: replay";

#[derive(Debug, Args)]
pub(super) struct FeedArguments {
    /// The symbols, separated by commas [default: BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT]
    #[arg(
        long, value_name = "SYMBOLS", value_delimiter = ',',
        value_parser = symbol, help_heading = SIMULATE
    )]
    symbols: Vec<SymbolSpec>,

    /// The market's seed; the same seed and start time give the same bytes
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = SIMULATE)]
    seed: u64,

    /// The market's first moment, in milliseconds since 1970 [default: now]
    #[arg(long, value_name = "MS", help_heading = SIMULATE)]
    start_time: Option<u64>,

    /// How busy the market is, as a multiple of the usual
    #[arg(long, value_name = "FACTOR", default_value = "1", help_heading = SIMULATE)]
    rate: Factor,

    /// How fast, as a multiple of the recorded pace, or max: as fast as the workers take it; then a
    /// client that cannot keep up is soon closed, and a larger --send-queue gives it room
    #[arg(long, value_name = "FACTOR", default_value = "1", help_heading = REPLAY)]
    speed: Speed,

    /// Begin at this moment of the recording, with last values and order books as they were then:
    /// 2024-08-08T23:54:30Z, a number of seconds, milliseconds, microseconds or nanoseconds since
    /// 1970, or +90s from the recording's beginning [default: its beginning]
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = REPLAY)]
    at: Option<Moment>,

    /// Start again at the end
    #[arg(long = "loop", help_heading = REPLAY)]
    repeat: bool,
}

fn symbol(name: &str) -> Result<SymbolSpec, SymbolError> {
    SymbolSpec::named(name)
}

impl FeedArguments {
    /// The recording, as it is to be replayed.
    pub(super) fn replay(&self, path: &Path) -> anyhow::Result<Feed> {
        let recording =
            Recording::open(path).with_context(|| format!("cannot replay {}", path.display()))?;
        ensure!(
            self.at.is_none() || recording.is_timed(),
            "--at needs a recording with receive times, and the first event of {} has none; leave \
             --at out",
            path.display()
        );
        let repeat = if self.repeat { Repeat::Forever } else { Repeat::Once };
        let name = recording.path().to_owned();
        let replay = Replay::new(recording, self.speed, repeat);
        let replay = match self.at {
            Some(moment) => replay.at(moment),
            None => replay,
        };
        Ok(Feed::Replay(name, replay))
    }

    /// The market that is to be simulated.
    pub(super) fn simulation(&self) -> anyhow::Result<Simulation> {
        let symbols =
            if self.symbols.is_empty() { SymbolSpec::defaults() } else { self.symbols.clone() };
        for (index, symbol) in symbols.iter().enumerate() {
            let again = symbols.iter().skip(index + 1).any(|s| s.symbol() == symbol.symbol());
            ensure!(!again, "--symbols names {} twice; leave one out", symbol.symbol());
        }
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let now_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        let start_ms = self.start_time.unwrap_or(now_ms);
        Ok(Simulation { symbols, seed: self.seed, start_ms, rate: self.rate })
    }
}
