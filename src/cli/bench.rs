//! `tickwire bench`: load for any WebSocket server, and what came of it.
//! Invariant: what was measured is printed, also where the run was ended early or went wrong; then
//! the exit code says so.

mod args;
mod output;
mod plot;
mod progress;
mod soak;
mod table;

use crate::http::Url;
use crate::load::{
    AfterOpening, Broadcast, Connect, Echo, Flow, Idle, LoadError, Pace, Plan, Rate, Report,
    Streams, Watch,
};
use args::{MessageArguments, RunArguments, Share, rate};
use clap::{Args, Subcommand};
use output::Run;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(
    after_help = "One thread is enough: a client is busy for less time than its server. The \
                        table says how busy it was."
)]
pub(super) struct BenchArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Messages to an echo server and back: how many a second, and how long each takes
    Echo(EchoArguments),
    /// One publisher, many subscribers, and a server that sends every message to all, the sender
    /// too, as `tickwire chat` does
    Broadcast(BroadcastArguments),
    /// Subscribers to market streams of a `tickwire serve`: how old its events are on arrival
    Streams(StreamsArguments),
    /// Open connections that do nothing: what they cost an echo server
    Idle(IdleArguments),
    /// Connections opened and closed: how many handshakes a second, and how long each takes
    Connect(ConnectArguments),
    /// A crowd of subscribers to a `tickwire serve`, most of them honest, some of them a nuisance:
    /// whether it holds
    Soak(soak::SoakArguments),
    /// Draw the latencies of runs that were saved with --json
    Plot(plot::PlotArguments),
}

#[derive(Debug, Args)]
struct EchoArguments {
    #[command(flatten)]
    run: RunArguments,

    /// Connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = args::connections)]
    connections: usize,

    /// Messages that are on their way at once on each connection
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = args::messages, conflicts_with = "rate"
    )]
    depth: usize,

    /// Send this many messages a second over all connections, whatever comes back; latencies count
    /// from when each was due
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<Rate>,

    #[command(flatten)]
    message: MessageArguments,
}

#[derive(Debug, Args)]
struct BroadcastArguments {
    #[command(flatten)]
    run: RunArguments,

    /// Subscribers; the publisher is one connection more
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = args::connections)]
    subscribers: usize,

    /// Publications that are on their way at once
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = args::messages, conflicts_with = "rate"
    )]
    window: usize,

    /// Publish this many messages a second, whoever has them; latencies count from when each was
    /// due
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<Rate>,

    /// Subscribers that never read, as a number or a share: 10, 10%
    #[arg(long, value_name = "N", default_value = "0")]
    stalled: Share,

    #[command(flatten)]
    message: MessageArguments,
}

#[derive(Debug, Args)]
struct StreamsArguments {
    #[command(flatten)]
    run: RunArguments,

    /// Subscribers, each to all of the streams
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = args::connections)]
    subscribers: usize,

    /// A stream to subscribe to (repeatable, or separated by commas)
    #[arg(
        long = "stream", value_name = "STREAM", value_delimiter = ',', default_value = "btcusdt@trade",
        value_parser = args::stream
    )]
    streams: Vec<String>,

    /// Subscribers that never read, as a number or a share: 10, 10%
    #[arg(long, value_name = "N", default_value = "0")]
    stalled: Share,
}

#[derive(Debug, Args)]
struct IdleArguments {
    #[command(flatten)]
    run: RunArguments,

    /// Connections
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = args::connections)]
    connections: usize,

    #[command(flatten)]
    message: MessageArguments,
}

#[derive(Debug, Args)]
struct ConnectArguments {
    #[command(flatten)]
    run: RunArguments,

    /// Connections that are being opened, open, or being closed at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = args::connections)]
    concurrency: usize,

    /// Have each connection send a message and get it back before it closes
    #[arg(long)]
    echo: bool,

    #[command(flatten)]
    message: MessageArguments,
}

impl BenchArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            Command::Echo(echo) => echo.run(),
            Command::Broadcast(broadcast) => broadcast.run(),
            Command::Streams(streams) => streams.run(),
            Command::Idle(idle) => idle.run(),
            Command::Connect(connect) => connect.run(),
            Command::Soak(soak) => soak.run(),
            Command::Plot(plot) => plot.run(),
        }
    }
}

impl EchoArguments {
    fn run(&self) -> anyhow::Result<()> {
        let (size, content) = (self.message.size(), self.message.content());
        let pace = self.rate.map_or(Pace::Depth(self.depth), Pace::Rate);
        let echo = Echo { connections: self.connections, pace, size, content };
        let what = match self.rate {
            Some(rate) => format!("{} connections, {rate} messages/s in all", self.connections),
            None => format!("{} connections, depth {}", self.connections, self.depth),
        };
        let settings = match self.rate {
            Some(rate) => json!({"connections": self.connections, "rate": rate}),
            None => json!({"connections": self.connections, "depth": self.depth}),
        };
        let run = Run { command: "echo", what: format!("{what}{}", self.message.told()) };
        let load = |plan: &Plan, watch: &mut dyn Watch| echo.run(plan, watch);
        run.execute(&self.run, self.connections, self.message.beside(settings), load)
    }
}

impl BroadcastArguments {
    fn run(&self) -> anyhow::Result<()> {
        let stalled = self.stalled.of(self.subscribers)?;
        let flow = self.rate.map_or(Flow::Window(self.window), Flow::Rate);
        let (size, content) = (self.message.size(), self.message.content());
        let broadcast = Broadcast { subscribers: self.subscribers, stalled, flow, size, content };
        let (pace, mut settings) = match self.rate {
            Some(rate) => (format!("{rate} publications/s"), json!({"rate": rate})),
            None => (format!("window {}", self.window), json!({"window": self.window})),
        };
        add(&mut settings, "subscribers", self.subscribers);
        add(&mut settings, "stalled", stalled);
        let what = format!("{} subscribers, {pace}{}", self.subscribers, self.message.told());
        let run = Run { command: "broadcast", what: format!("{what}{}", told_stalled(stalled)) };
        let load = |plan: &Plan, watch: &mut dyn Watch| broadcast.run(plan, watch);
        run.execute(&self.run, self.subscribers + 1, self.message.beside(settings), load)
    }
}

impl StreamsArguments {
    fn run(&self) -> anyhow::Result<()> {
        let stalled = self.stalled.of(self.subscribers)?;
        let names = args::distinct(&self.streams);
        let streams = args::with_gaps(&names);
        let streams = Streams { subscribers: self.subscribers, stalled, streams };
        let settings =
            json!({"subscribers": self.subscribers, "streams": names, "stalled": stalled});
        let what = format!("{} subscribers to {}", self.subscribers, names.join(" "));
        let run = Run { command: "streams", what: format!("{what}{}", told_stalled(stalled)) };
        let load = |plan: &Plan, watch: &mut dyn Watch| {
            streams.run(&Plan { url: combined(&plan.url), ..plan.clone() }, watch)
        };
        run.execute(&self.run, self.subscribers, settings, load)
    }
}

impl IdleArguments {
    fn run(&self) -> anyhow::Result<()> {
        let (size, content) = (self.message.size(), self.message.content());
        let idle = Idle { connections: self.connections, size, content };
        let settings = self.message.beside(json!({"connections": self.connections}));
        let what = format!("{} connections{}", self.connections, self.message.told());
        let run = Run { command: "idle", what };
        let load = |plan: &Plan, watch: &mut dyn Watch| idle.run(plan, watch);
        run.execute(&self.run, self.connections, settings, load)
    }
}

impl ConnectArguments {
    fn run(&self) -> anyhow::Result<()> {
        let (size, content) = (self.message.size(), self.message.content());
        let after = if self.echo { AfterOpening::Echo } else { AfterOpening::Close };
        let connect = Connect { concurrency: self.concurrency, after, size, content };
        let settings = json!({"concurrency": self.concurrency, "echo": self.echo});
        let message = if self.echo { self.message.told() } else { String::new() };
        let run =
            Run { command: "connect", what: format!("{} at once{message}", self.concurrency) };
        let load = |plan: &Plan, watch: &mut dyn Watch| connect.run(plan, watch);
        run.execute(&self.run, self.concurrency, self.message.beside(settings), load)
    }
}

/// Where market streams are, for those who name but the server.
fn combined(url: &Url) -> Url {
    let named = url.target() == "/";
    let streams = named.then(|| format!("{}stream", output::told(url)).parse().ok()).flatten();
    streams.unwrap_or_else(|| url.clone())
}

fn told_stalled(stalled: usize) -> String {
    if stalled == 0 { String::new() } else { format!("; {stalled} subscribers never read") }
}

/// Adds a setting to those of a command.
fn add(settings: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(settings) = settings.as_object_mut() {
        settings.insert(name.to_owned(), value.into());
    }
}

/// What a command does: a plan and an onlooker in, a report out.
trait Load: FnOnce(&Plan, &mut dyn Watch) -> Result<Report, LoadError> {}
impl<F: FnOnce(&Plan, &mut dyn Watch) -> Result<Report, LoadError>> Load for F {}
