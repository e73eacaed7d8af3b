//! Starting and stopping: logs, signals, the listening socket, the last line.

use super::args::{LogFormat, ServerArguments};
use super::descriptors;
use super::metrics::{Endpoint, Watched};
use super::status_line::LogLines;
use crate::feed::FeedCounters;
use crate::market::Markets;
use crate::server::{
    BindError, BuildError, Builder, Handler, Histogram, Options, Server, ShutdownHandle,
    StatsHandle,
};
use anyhow::{Context as _, anyhow};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tracing_subscriber::EnvFilter;

/// Starts to log, for a server.
pub(super) fn start_log(arguments: &ServerArguments) -> anyhow::Result<()> {
    start_log_with(&arguments.log, arguments.log_format)?;
    arguments.warn();
    Ok(())
}

/// Starts to log.
pub(super) fn start_log_with(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("--log '{filter}' is no filter; write a level such as info or debug")
    })?;
    // What cannot be written, since nobody reads it any more, is not worth a panic.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogLines::default)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => {
            use std::io::IsTerminal as _;
            log.with_ansi(io::stderr().is_terminal()).init();
        }
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// What a feed counts, and the order books that it fills.
#[derive(Clone, Debug)]
pub(super) struct Fed {
    pub(super) counters: Arc<FeedCounters>,
    pub(super) markets: Arc<Markets>,
}

/// A server that listens, and what tells others how it fares.
pub(super) struct Listening {
    pub(super) server: Server,
    metrics: Option<Endpoint>,
    /// Caught since before anybody was told that the server is there.
    signals: Signals,
}

/// A server with these options, to be listened with.
pub(super) fn builder(arguments: &ServerArguments, options: Options) -> Builder {
    Server::builder(arguments.listen).options(options)
}

/// Listens, for clients and for those who read metrics, also of the `feed` if there is one.
pub(super) fn listen(
    builder: Builder,
    arguments: &ServerArguments,
    feed: Option<Fed>,
) -> anyhow::Result<Listening> {
    let server =
        builder.build().map_err(|error| anyhow!("{error}; {}", advice(&error, "--listen")))?;
    let watched = Watched {
        stats: server.stats(),
        publisher: server.publisher(),
        shutdown: server.shutdown_handle(),
        feed,
        started: SystemTime::now(),
    };
    let metrics =
        arguments.metrics.map(|address| Endpoint::listen(address, watched)).transpose()?;
    descriptors::make_room(arguments);
    let signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle signals")?;
    Ok(Listening { server, metrics, signals })
}

impl Listening {
    /// Says on standard output what is served and where, then more lines, and where the metrics are.
    pub(super) fn announce(&self, what: &str, more: &str) {
        let (version, address) = (env!("CARGO_PKG_VERSION"), self.server.local_addr());
        let mut text = format!("tickwire {version}: {what} on ws://{address}\n{more}");
        if let Some(metrics) = &self.metrics {
            let address = metrics.local_addr();
            text.push_str(&format!("  watch  http://{address}/metrics and /healthz\n"));
        }
        announce(&text);
    }

    /// Serves until SIGINT or SIGTERM, and calls `on_stop` when one comes. The metrics stay up for
    /// as long as connections are closing.
    pub(super) fn serve<H: Handler>(
        self,
        make: impl Fn(usize) -> H + Sync,
        on_stop: impl Fn() + Send + 'static,
    ) -> anyhow::Result<()> {
        let Self { server, metrics, signals } = self;
        stop_on_signals(signals, server.shutdown_handle(), on_stop)?;
        let (stats, publisher) = (server.stats(), server.publisher());
        let metrics = metrics.map(Endpoint::start).transpose()?;
        server.run(make).context("the event loop failed")?;
        drop(metrics);
        log_stats(&stats, publisher.stats().dropped_inbox_full);
        Ok(())
    }
}

/// What to do about an error, `flag` being the one that has the address.
pub(super) fn advice(error: &BuildError, flag: &str) -> String {
    match error {
        BuildError::Bind(error) => advice_on_address(error, flag),
        BuildError::Source(_) => "choose another address or port with --feed".to_owned(),
        BuildError::TooFewCores { workers, .. } => {
            format!("give {workers} to --pin, or start fewer --workers")
        }
        BuildError::BusyPoll(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            "leave out --busy-poll, or give the program CAP_NET_ADMIN".to_owned()
        }
        BuildError::BusyPoll(_) => "leave out --busy-poll".to_owned(),
        _ => "choose another with --pin".to_owned(),
    }
}

fn advice_on_address(error: &BindError, flag: &str) -> String {
    let port = error.address.port();
    match error.source.kind() {
        io::ErrorKind::AddrInUse => {
            let mut other = error.address;
            other.set_port(port.checked_add(1).unwrap_or(9001));
            format!("stop what listens there, or choose another with {flag} {other}")
        }
        io::ErrorKind::PermissionDenied => format!("choose a port above 1023 with {flag}"),
        io::ErrorKind::AddrNotAvailable => {
            format!("listen on all interfaces with {flag} 0.0.0.0:{port}")
        }
        _ => format!("choose another address with {flag}"),
    }
}

/// Says on standard output what is served. Not being read is no mistake.
pub(super) fn announce(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn stop_on_signals(
    mut signals: Signals,
    shutdown: ShutdownHandle,
    on_stop: impl Fn() + Send + 'static,
) -> anyhow::Result<()> {
    let spawned = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            if shutdown.is_requested() {
                tracing::warn!("stopping at once");
                std::process::exit(128 + signal);
            }
            tracing::info!("stopping: closing all connections; Ctrl-C once more to stop at once");
            on_stop();
            shutdown.shutdown();
        }
    });
    spawned.map(drop).context("cannot start a thread")
}

fn log_stats(stats: &StatsHandle, dropped_inbox_full: u64) {
    let (stats, latency) = (stats.read(), stats.latency());
    let ended = stats.ended_by_cause().filter(|(_, count)| *count > 0);
    let ended: Vec<String> = ended.map(|(cause, count)| format!("{cause}={count}")).collect();
    tracing::info!(
        accepted = stats.accepted,
        handshakes = stats.handshakes,
        messages_in = stats.messages_in,
        events_in = stats.events_in,
        offered = stats.offered,
        deliveries = stats.deliveries,
        conflated = stats.conflated,
        folded = stats.folded,
        dropped_slow_events = stats.dropped_slow_events,
        dropped_inbox_full,
        dropped_slow_bytes = stats.dropped_slow_bytes,
        ingest_to_first = quantiles(&latency.first),
        ingest_to_last = quantiles(&latency.last),
        ended = (!ended.is_empty()).then(|| ended.join(" ")),
        "stopped"
    );
}

/// What a histogram comes to, if it has counted anything.
fn quantiles(histogram: &Histogram) -> Option<String> {
    let told = |share| round(histogram.quantile(share));
    let max = round(histogram.max());
    let text = || format!("p50={:?} p99={:?} max={max:?}", told(0.5), told(0.99));
    (histogram.count() > 0).then(text)
}

/// To what is worth reading: tenths of a microsecond.
fn round(length: Duration) -> Duration {
    length - Duration::from_nanos(u64::from(length.subsec_nanos() % 100))
}
