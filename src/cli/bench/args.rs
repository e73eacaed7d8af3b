//! Arguments that several kinds of load take.

use super::add;
use crate::cli::units::{bytes, duration};
use crate::http::Url;
use crate::load::{Content, Gaps, Plan, Rate, Waiting};
use crate::market::{StreamClass, StreamName};
use anyhow::ensure;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// So that a slip of the finger asks for no more than a machine can give.
const CONNECTIONS_MAX: usize = 1_000_000;
const MESSAGES_MAX: usize = 65_536;
const SIZE_BYTES_MAX: u64 = 16 << 20;
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Headings in `--help`.
const RUN: &str = "Run";
const OUTPUT: &str = "Output";

/// Arguments of every run.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The server, such as ws://127.0.0.1:9001/
    #[arg(value_name = "URL", value_parser = plain_url)]
    pub(super) url: Url,

    /// Measure for this long; Ctrl-C ends it earlier
    #[arg(
        long, value_name = "TIME", default_value = "5s",
        value_parser = bounded, help_heading = RUN
    )]
    duration: Duration,

    /// Load before that, which does not count
    #[arg(
        long, value_name = "TIME", default_value = "500ms",
        value_parser = bounded, help_heading = RUN
    )]
    warm_up: Duration,

    /// Poll without sleeping, so that no wake-up of the client's is in a latency; takes a core
    #[arg(long, help_heading = RUN)]
    spin: bool,

    /// Watch this process, the server's: CPU time and memory
    #[arg(long, value_name = "PID", help_heading = RUN)]
    pid: Option<u32>,

    /// Print one JSON object instead of a table
    #[arg(long, help_heading = OUTPUT)]
    pub(super) json: bool,

    /// Draw the latencies, by percentile
    #[arg(long, value_name = "FILE.svg", help_heading = OUTPUT)]
    pub(super) plot: Option<PathBuf>,

    /// What to call this run in plots and JSON [default: the kind of load]
    #[arg(long, value_name = "TEXT", help_heading = OUTPUT)]
    pub(super) label: Option<String>,
}

impl RunArguments {
    pub(super) fn plan(&self) -> Plan {
        Plan {
            url: self.url.clone(),
            warm_up: self.warm_up,
            duration: self.duration,
            waiting: if self.spin { Waiting::Spin } else { Waiting::Sleep },
            pid: self.pid,
        }
    }

    /// The settings of a command, and these.
    pub(super) fn beside(&self, mut settings: Value) -> Value {
        add(&mut settings, "duration_s", self.duration.as_secs_f64());
        add(&mut settings, "warm_up_s", self.warm_up.as_secs_f64());
        add(&mut settings, "spin", self.spin);
        add(&mut settings, "pid", self.pid);
        settings
    }
}

/// What messages are.
#[derive(Debug, Args)]
pub(super) struct MessageArguments {
    /// Bytes in a message
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    size: u64,

    /// Send text
    #[arg(long, conflicts_with = "binary")]
    text: bool,

    /// Send binary messages, which is the default
    #[arg(long)]
    binary: bool,
}

impl MessageArguments {
    pub(super) fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    pub(super) fn content(&self) -> Content {
        if self.text { Content::Text } else { Content::Binary }
    }

    /// In words, behind others.
    pub(super) fn told(&self) -> String {
        let kind = if self.text { "text" } else { "binary" };
        format!(", {} bytes of {kind}", self.size)
    }

    /// The settings of a command, and these.
    pub(super) fn beside(&self, mut settings: Value) -> Value {
        add(&mut settings, "size", self.size);
        add(&mut settings, "content", if self.text { "text" } else { "binary" });
        settings
    }
}

/// How many of the subscribers never read, or are slow to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Share {
    Count(usize),
    Percent(f64),
}

impl Share {
    /// How many that is; somebody must be left to be measured.
    pub(super) fn of(self, subscribers: usize) -> anyhow::Result<usize> {
        let count = self.count(subscribers);
        ensure!(
            count < subscribers,
            "--stalled leaves none of the {subscribers} subscribers to be measured; stall fewer"
        );
        Ok(count)
    }

    /// How many that is.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a million at most"
    )]
    pub(super) fn count(self, subscribers: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => (subscribers as f64 * percent / 100.0).round() as usize,
        }
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "write a number or a share, such as 10 or 10%";
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Self::Count).map_err(|_| HOW);
        };
        match percent.parse() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Percent(percent)),
            _ => Err(HOW),
        }
    }
}

pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let parsed = text.parse().ok().and_then(Rate::per_second);
    parsed.ok_or_else(|| "write a number of messages a second, such as 1000".to_owned())
}

pub(super) fn connections(text: &str) -> Result<usize, String> {
    from_one_to(CONNECTIONS_MAX, text)
}

pub(super) fn messages(text: &str) -> Result<usize, String> {
    from_one_to(MESSAGES_MAX, text)
}

/// As [`connections`], or none.
pub(super) fn any_connections(text: &str) -> Result<usize, String> {
    if text == "0" { Ok(0) } else { connections(text) }
}

fn from_one_to(max: usize, text: &str) -> Result<usize, String> {
    let parsed = text.parse().ok().filter(|number| (1..=max).contains(number));
    parsed.ok_or_else(|| format!("write a number from 1 to {max}"))
}

pub(super) fn stream(text: &str) -> Result<String, String> {
    StreamName::new(text).map(|name| name.as_str().to_owned()).map_err(|error| error.to_string())
}

/// Streams in order, each once.
pub(super) fn distinct(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names
}

/// Each stream, and what it means that an event of it is left out.
pub(super) fn with_gaps(names: &[String]) -> Vec<(String, Gaps)> {
    let gaps = |name: &String| match StreamClass::of(name) {
        StreamClass::State => Gaps::Allowed,
        StreamClass::Diff => Gaps::Folded,
        StreamClass::Event => Gaps::Missing,
    };
    names.iter().map(|name| (name.clone(), gaps(name))).collect()
}

fn size(text: &str) -> Result<u64, String> {
    let size = bytes(text)?;
    if size > SIZE_BYTES_MAX { Err("write at most 16MiB".to_owned()) } else { Ok(size) }
}

fn bounded(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration > DURATION_MAX { Err("write at most 24h".to_owned()) } else { Ok(duration) }
}

fn plain_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error: crate::http::UrlError| error.to_string())?;
    if url.is_secure() {
        return Err("TLS is not spoken here: give the server's plain address, ws://…".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stalled_are_a_number_or_a_share() {
        let of = |text: &str, all| text.parse::<Share>().unwrap().of(all);
        assert_eq!(of("10", 100).unwrap(), 10);
        assert_eq!(of("10%", 1000).unwrap(), 100);
        assert_eq!(of("0.5%", 1000).unwrap(), 5);
        assert_eq!(of("0", 1).unwrap(), 0);
        assert!(of("100%", 10).is_err() && of("10", 10).is_err());
        for wrong in ["-1", "x", "%", "101%", "-1%", "NaN%"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_is_a_plain_one() {
        assert!(plain_url("ws://127.0.0.1:9001/").is_ok());
        assert!(plain_url("wss://a/").is_err_and(|error| error.contains("ws://")));
        assert!(plain_url("http://a/").is_err_and(|error| error.contains("ws://")));
    }
}
