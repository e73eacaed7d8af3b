//! `tickwire record`: what a server sends, or a feed says, in a file that can be replayed.
//! Invariant: each line of an event has the event's own bytes, behind the time at which they were read.

mod books;
mod feed;
mod file;
mod live;
mod recorder;
mod rotation;

use super::args::LogFormat;
use super::feed_arguments::FeedArguments;
use super::feeds::{Feed, Source};
use super::following::{EndArguments, stream};
use super::run;
use super::signals::Stop;
use super::status_line::StatusLine;
use super::streams;
use super::units::{bytes, duration};
use crate::client::{Endpoint, Sequence, Subscription};
use anyhow::{bail, ensure};
use clap::Args;
use file::Existing;
use recorder::Recorder;
use rotation::{Files, Rotation};
use std::path::PathBuf;
use std::time::Duration;

/// A heading in `--help`.
const FILES: &str = "File";

#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
#[command(override_usage = "tickwire record [OPTIONS] <URL> <FILE>\n       \
    tickwire record [OPTIONS] --feed <SOURCE> <FILE>")]
#[command(after_help = "\
A line of the file is a time in nanoseconds, when the bytes were read, and the event as it came: what \
`tickwire serve --feed replay:FILE` reads. The first line lists the streams; order books asked for over \
REST (/api/v3/depth) stand where they came, one for each symbol of a depth stream, after each connection.

Lines reach the system within 0.2 s and survive the end of this process, however it comes; those of the \
last seconds may be lost where the machine itself stops. Where the connection is lost it is made again, \
and the log tells the gap.")]
pub(super) struct RecordArguments {
    /// The server, such as ws://127.0.0.1:9001
    #[arg(
        value_name = "URL", required_unless_present = "feed", conflicts_with_all = ["feed"]
    )]
    url: Option<Endpoint>,

    /// The file to write; packed by gzip if it ends in .gz
    #[arg(value_name = "FILE", required = true)]
    file: PathBuf,

    /// Streams, separated by commas [default: all that the server lists]
    #[arg(
        long, value_name = "STREAMS", value_delimiter = ',', value_parser = stream,
        conflicts_with = "feed"
    )]
    streams: Vec<String>,

    /// Record a feed instead of a server: simulate, stdin (NDJSON) or replay:FILE
    #[arg(long, value_name = "SOURCE")]
    feed: Option<Source>,

    #[command(flatten)]
    end: EndArguments,

    /// Replace the file if it is there
    #[arg(long, help_heading = FILES, conflicts_with_all = ["rotate_size", "rotate_time"])]
    force: bool,

    /// Go on in another file when one has so many bytes; each is a recording by itself, numbered as
    /// in day-0001.ndjson, and none that is there is touched [default: one file]
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = FILES)]
    rotate_size: Option<u64>,

    /// Go on in another file when one is so old [default: one file]
    #[arg(long, value_name = "TIME", value_parser = rotation_time, help_heading = FILES)]
    rotate_time: Option<Duration>,

    #[command(flatten)]
    feeding: FeedArguments,
}

fn rotation_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time < Duration::from_secs(1) => Err("write at least 1s".to_owned()),
        time => Ok(time),
    }
}

impl RecordArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        run::start_log_with(&self.end.log, LogFormat::Text)?;
        let stop = Stop::on_signals()?;
        let existing = if self.force { Existing::Replace } else { Existing::Keep };
        let rotation = Rotation { bytes: self.rotate_size, time: self.rotate_time };
        let files = Files::new(&self.file, existing, rotation);
        files.check()?;
        let remaining = self.end.start(stop);
        let line = StatusLine::start();
        match (&self.url, &self.feed) {
            (Some(url), _) => {
                let streams = self.streams(url)?;
                let recorder = Recorder::new(files, streams.clone(), line);
                let sequence = Sequence::Hidden;
                let subscription = Subscription { endpoint: url.clone(), streams, sequence };
                live::record(&subscription, recorder, remaining)
            }
            (None, Some(source)) => {
                let feed = match source {
                    Source::Simulate => Feed::simulate(&self.feeding.simulation()?),
                    Source::Stdin => Feed::Stdin,
                    Source::Replay(path) => self.feeding.replay(path)?,
                    Source::Socket(_) => bail!(
                        "a socket of producers is read by a server: start `tickwire serve` with \
                         this --feed, and record that server's address"
                    ),
                };
                feed::record(feed, Recorder::new(files, Vec::new(), line), remaining)
            }
            // The command line has one of them.
            (None, None) => bail!("name a server, or a --feed"),
        }
    }

    fn streams(&self, url: &Endpoint) -> anyhow::Result<Vec<String>> {
        if self.streams.is_empty() {
            return streams::all(url, "name what to record with --streams");
        }
        let mut distinct: Vec<String> = Vec::new();
        for stream in &self.streams {
            ensure!(!distinct.contains(stream), "--streams names {stream} twice; leave one out");
            distinct.push(stream.clone());
        }
        Ok(distinct)
    }
}
