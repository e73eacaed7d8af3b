//! `tickwire bench soak`: its arguments.
//! Invariant: somebody honest is left to find out what is wrong.

use super::args::{self, RunArguments, Share};
use super::output::Run;
use super::{add, combined};
use crate::cli::units::{bytes, duration};
use crate::load::{Plan, Rate, Restarts, Soak, Watch};
use anyhow::ensure;
use clap::Args;
use serde_json::json;
use std::time::Duration;

/// The heading in `--help` of those who behave badly.
const NUISANCES: &str = "Nuisances";

#[derive(Debug, Args)]
#[command(
    mut_arg("duration", |argument| argument.default_value("1m")),
    after_help = "Each kind of nuisance is there in a small number unless told otherwise; --churn 0 \
                  --slow 0 --pausing 0 --stalled 0 --unfinished 0 is a crowd of honest clients."
)]
pub(super) struct SoakArguments {
    #[command(flatten)]
    run: RunArguments,

    /// Connections, the slow, the pausing and the stalled among them; the others are honest: they
    /// check all that they get, and may lose nothing
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = args::connections)]
    connections: usize,

    /// A stream to subscribe to (repeatable, or separated by commas)
    #[arg(
        long = "stream", value_name = "STREAM", value_delimiter = ',',
        default_value = "bnbusdt@trade,bnbusdt@depth,bnbusdt@miniTicker", value_parser = args::stream
    )]
    streams: Vec<String>,

    /// Let the server be stopped and started meanwhile: who is closed with 1001 or 1012, after
    /// serverShutdown, or finds the server gone, comes back
    #[arg(long)]
    allow_restarts: bool,

    /// Time for a handshake to be answered, for a connection that was closed to end, and for an event
    /// that one client has had to reach all others; longer is an error
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = a_second_or_more)]
    patience: Duration,

    /// With --pid: the most memory that the server may have; more is an error
    #[arg(long, value_name = "BYTES", value_parser = bytes, requires = "pid")]
    rss_max: Option<u64>,

    /// Honest connections a second that end and are made anew: by the closing handshake, the end of
    /// TCP or of one half of it, a reset, or a close frame with nothing after it
    #[arg(
        long, value_name = "N", default_value = "50",
        value_parser = churn, help_heading = NUISANCES
    )]
    churn: Churn,

    /// Connections that read slowly, as a number or a share: 10, 10%
    #[arg(long, value_name = "N", default_value = "1%", help_heading = NUISANCES)]
    slow: Share,

    /// Bytes a second that a slow connection reads
    #[arg(
        long, value_name = "BYTES", default_value = "8KiB",
        value_parser = bytes, help_heading = NUISANCES
    )]
    slow_rate: u64,

    /// Connections that stop reading for one to five seconds, again and again
    #[arg(long, value_name = "N", default_value = "1%", help_heading = NUISANCES)]
    pausing: Share,

    /// Connections that never read; after 30 s others take their places
    #[arg(long, value_name = "N", default_value = "1%", help_heading = NUISANCES)]
    stalled: Share,

    /// What the slow, the pausing and the stalled subscribe to [default: what all do]
    #[arg(
        long = "nuisance-stream", value_name = "STREAM", value_delimiter = ',',
        value_parser = args::stream, help_heading = NUISANCES
    )]
    nuisance_streams: Vec<String>,

    /// Connections, beside the others, whose request for a WebSocket stops half-way
    #[arg(
        long, value_name = "N", default_value_t = 100,
        value_parser = args::any_connections, help_heading = NUISANCES
    )]
    unfinished: usize,

    /// Have the nuisances there and gone by turns, so long each, and compare the latencies
    #[arg(long, value_name = "TIME", value_parser = a_second_or_more, help_heading = NUISANCES)]
    alternate: Option<Duration>,
}

/// Connections a second that end and are made anew, if any.
#[derive(Clone, Copy, Debug)]
struct Churn(Option<Rate>);

fn churn(text: &str) -> Result<Churn, String> {
    if text == "0" { Ok(Churn(None)) } else { args::rate(text).map(|rate| Churn(Some(rate))) }
}

fn a_second_or_more(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_secs(1) { Err("write at least 1s".to_owned()) } else { Ok(time) }
}

impl SoakArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let soak = self.soak()?;
        let mut settings = json!({
            "connections": soak.connections,
            "streams": args::distinct(&self.streams),
            "nuisance_streams": self.nuisance_streams(),
            "slow": soak.slow,
            "slow_bytes_per_s": soak.slow_bytes_per_s,
            "pausing": soak.pausing,
            "stalled": soak.stalled,
            "unfinished": soak.unfinished,
            "churn": soak.churn,
            "allow_restarts": self.allow_restarts,
            "patience_s": self.patience.as_secs_f64(),
        });
        add(&mut settings, "alternate_s", soak.alternate.map(|spell| spell.as_secs_f64()));
        add(&mut settings, "rss_max", soak.resident_bytes_max);
        let churn = soak.churn.map_or_else(|| "none".to_owned(), |rate| format!("{rate}/s"));
        let what = format!(
            "{} connections: {} slow, {} pausing, {} stalled; {} unfinished; churn {churn}",
            soak.connections, soak.slow, soak.pausing, soak.stalled, soak.unfinished
        );
        let run = Run { command: "soak", what };
        let sockets = soak.connections + soak.unfinished;
        let load = |plan: &Plan, watch: &mut dyn Watch| {
            soak.run(&Plan { url: combined(&plan.url), ..plan.clone() }, watch)
        };
        run.execute(&self.run, sockets, settings, load)
    }

    fn soak(&self) -> anyhow::Result<Soak> {
        let [slow, pausing, stalled] =
            [self.slow, self.pausing, self.stalled].map(|share| share.count(self.connections));
        let nuisances = slow.saturating_add(pausing).saturating_add(stalled);
        ensure!(
            nuisances < self.connections,
            "--slow, --pausing and --stalled leave none of the {} connections honest; have fewer",
            self.connections
        );
        let restarts = if self.allow_restarts { Restarts::Allowed } else { Restarts::Faults };
        Ok(Soak {
            connections: self.connections,
            slow,
            slow_bytes_per_s: usize::try_from(self.slow_rate).unwrap_or(usize::MAX),
            pausing,
            stalled,
            unfinished: self.unfinished,
            churn: self.churn.0,
            alternate: self.alternate,
            restarts,
            patience: self.patience,
            resident_bytes_max: self.rss_max,
            streams: args::with_gaps(&args::distinct(&self.streams)),
            nuisance_streams: args::with_gaps(&self.nuisance_streams()),
        })
    }

    fn nuisance_streams(&self) -> Vec<String> {
        let own = !self.nuisance_streams.is_empty();
        args::distinct(if own { &self.nuisance_streams } else { &self.streams })
    }
}
