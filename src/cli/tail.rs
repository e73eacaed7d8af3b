//! `tickwire tail`: what a server sends, on a terminal or into a pipe.
//! Invariant: with `--json` a line is an event's own bytes; otherwise nothing from the server reaches the
//! terminal but printable text.

mod readable;
mod top;

use super::args::LogFormat;
use super::following::{EndArguments, Remaining, stream};
use super::run;
use super::signals::Stop;
use super::streams;
use super::units::grouped;
use crate::client::{Endpoint, Fault, Follower, Sequence, Subscription, one_line};
use anyhow::{Context as _, ensure};
use clap::Args;
use readable::Envelope;
use std::collections::HashSet;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _, stdout};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use top::Top;

#[derive(Debug, Args)]
#[command(after_help = "\
Plain lines are for people: when an event came (UTC), its stream, and what it says. With --json a line is \
the event as it came, {\"stream\":…,\"data\":…}, which `tickwire serve --feed stdin` takes. Where the \
connection is lost it is made again, and standard error tells so.")]
pub(super) struct TailArguments {
    /// The server, such as ws://127.0.0.1:9001
    #[arg(value_name = "URL")]
    url: Endpoint,

    /// Streams, such as btcusdt@trade [default: all that the server lists]
    #[arg(value_name = "STREAM", value_parser = stream)]
    streams: Vec<String>,

    /// Print events as they came, one JSON object a line
    #[arg(long)]
    json: bool,

    /// Show a table of the streams that is kept up to date: last values, events, rates, and how long
    /// events took from the server to here, where it says when they came in
    #[arg(long, conflicts_with = "json")]
    top: bool,

    #[command(flatten)]
    end: EndArguments,
}

impl TailArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        run::start_log_with(&self.end.log, LogFormat::Text)?;
        ensure!(
            !self.top || stdout().is_terminal(),
            "--top draws on a terminal, and standard output is none; leave it out, or try --json"
        );
        let stop = Stop::on_signals()?;
        let streams = match self.streams.as_slice() {
            [] => streams::all(&self.url, "name what to follow, such as btcusdt@trade")?,
            named => named.to_vec(),
        };
        let sequence = if self.top { Sequence::Shown } else { Sequence::Hidden };
        let output = match (self.top, self.json) {
            (true, _) => Output::Top(Top::start(&self.url.to_string(), &streams)),
            (_, true) => Output::Json(BufWriter::new(stdout())),
            _ => Output::Plain(BufWriter::new(stdout())),
        };
        let remaining = self.end.start(stop);
        let started = remaining.started;
        let seen = HashSet::new();
        let mut tail = Tail { output, remaining, events: 0, seen, lost: None, failure: None };
        let subscription = Subscription { endpoint: self.url.clone(), streams, sequence };
        let followed = subscription.follow(&mut tail);
        // What is written last is seen, and the terminal is as it was, before anything is said.
        let Tail { output, events, seen, failure, .. } = tail;
        let ended = output.finish();
        followed?;
        match failure.map_or(ended, Err) {
            // Whoever read it has had enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result.context("cannot write to standard output")?,
        }
        let (events, streams) = (grouped(events), seen.len());
        tracing::info!("{events} events of {streams} streams in {:.1?}", started.elapsed());
        Ok(())
    }
}

/// Where events go.
enum Output {
    Plain(BufWriter<Stdout>),
    Json(BufWriter<Stdout>),
    Top(Top),
}

impl Output {
    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) | Self::Json(mut out) => out.flush(),
            Self::Top(top) => top.finish(),
        }
    }
}

struct Tail {
    output: Output,
    remaining: Remaining,
    events: u64,
    /// Streams that have had events.
    seen: HashSet<String>,
    /// Since when nothing can come.
    lost: Option<Instant>,
    failure: Option<io::Error>,
}

impl Tail {
    fn write(&mut self, received_ns: u64, text: &str) -> io::Result<()> {
        let envelope = Envelope::parse(text);
        if let Some(envelope) = &envelope
            && !self.seen.contains(&*envelope.stream)
        {
            self.seen.insert(envelope.stream.clone().into_owned());
        }
        match (&mut self.output, envelope) {
            (Output::Json(out), _) => writeln!(out, "{}", one_line(text)),
            (Output::Plain(out), Some(envelope)) => {
                writeln!(out, "{}", readable::line(received_ns, &envelope))
            }
            (Output::Plain(out), None) => writeln!(out, "{}", readable::printable(text)),
            (Output::Top(top), Some(envelope)) => {
                top.note(received_ns, &envelope);
                Ok(())
            }
            (Output::Top(_), None) => Ok(()),
        }
    }

    fn check(&mut self, written: io::Result<()>) -> ControlFlow<()> {
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Says something to the person, where it disturbs nothing.
    fn notice(&mut self, text: String) {
        match &mut self.output {
            Output::Top(top) => top.notice(text),
            _ => tracing::warn!("{text}"),
        }
    }
}

impl Follower for Tail {
    fn on_subscribed(&mut self) -> ControlFlow<()> {
        match self.lost.take() {
            Some(lost) => {
                self.notice(format!("connected again after {:.1} s", lost.elapsed().as_secs_f64()));
            }
            None => tracing::debug!("subscribed"),
        }
        ControlFlow::Continue(())
    }

    fn on_event(&mut self, received_ns: u64, text: &str) -> ControlFlow<()> {
        self.events += 1;
        let written = self.write(received_ns, text);
        if self.check(written).is_break() {
            return ControlFlow::Break(());
        }
        self.remaining.count()
    }

    fn on_turn(&mut self) -> ControlFlow<()> {
        let now = Instant::now();
        let flushed = match &mut self.output {
            Output::Plain(out) | Output::Json(out) => out.flush(),
            Output::Top(top) => top.draw(now),
        };
        if self.check(flushed).is_break() {
            return ControlFlow::Break(());
        }
        self.remaining.check(now)
    }

    fn on_lost(&mut self, fault: &Fault, wait: Duration) {
        self.lost.get_or_insert_with(Instant::now);
        self.notice(format!("{fault}; trying again in {:.1} s", wait.as_secs_f64()));
    }
}
