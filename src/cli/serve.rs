//! `tickwire serve`: market data for everybody who connects.

use super::args::{Defaults, LIMITS, ServerArguments};
use super::feed_arguments::FeedArguments;
use super::feeds::{Feed, Source};
use super::page;
use super::queue_limits::QueueDefaults;
use super::run::{self, Fed, Listening};
use super::socket_feed::SocketFeed;
use super::topics::StreamTopics;
use super::units::{OptionalDuration, bytes, duration, optional_duration, percent};
use crate::feed::{FeedCounters, Flow, Switch};
use crate::market::{Bookkeeper, Derive, MarketHandler, MarketOptions, Markets};
use crate::server::{self, AttemptLimit, Builder, Options, PingPayload, Publisher, Rate};
use anyhow::ensure;
use clap::{Args, ValueEnum};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The span in which connection attempts are counted.
const ATTEMPTS_SPAN: Duration = Duration::from_secs(300);
/// Events come often and are small: a short queue, and no compression that hardly helps. What
/// clients say fits in a frame. An address may be an office's: a thousand connections are more than
/// it has, and a hundredth of all.
const DEFAULTS: Defaults = Defaults {
    queue: QueueDefaults { bytes: 4 << 20, age: Some(Duration::from_secs(30)) },
    deflate_threshold: 200,
    fragments: 1024,
    connections_per_address: 1000,
    linger: 1 << 20,
};

/// Headings in `--help`.
const FEED: &str = "Feed";

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Where ticks come from: simulate, stdin (NDJSON), replay:FILE (a recording, plain or .gz),
    /// tcp:ADDR (producers connect and send NDJSON) or udp:ADDR (datagrams of it; a multicast
    /// group's address joins the group)
    #[arg(long, value_name = "SOURCE", default_value = "simulate", help_heading = FEED)]
    feed: Source,

    /// Hold the feed until this many clients have subscribed; not of udp and tcp
    /// [default: replay 1, else 0]
    #[arg(long, value_name = "N", help_heading = FEED)]
    wait_for: Option<u32>,

    /// Wait this long once they have, so that clients started together miss nothing
    /// [default: replay 1s, else 0s]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = FEED)]
    start_delay: Option<Duration>,

    #[command(flatten)]
    feeding: FeedArguments,

    #[command(flatten)]
    pub(super) server: ServerArguments,

    /// What to publish besides what the feed brings: missing (streams that follow from its diffs and
    /// trades and that it lacks: best prices, partial books, candles, tickers) or nothing
    #[arg(
        long, value_enum, value_name = "WHAT", default_value = "missing",
        help_heading = FEED, hide_possible_values = true
    )]
    derive: Derived,

    /// Longest message taken; a longer one closes the connection with code 1009
    #[arg(
        long, value_name = "BYTES", default_value = "16KiB",
        value_parser = bytes, help_heading = LIMITS
    )]
    max_message: u64,

    /// Streams that one connection may subscribe to; more close it with code 1008
    #[arg(long, value_name = "N", default_value_t = 1024, help_heading = LIMITS)]
    max_streams: usize,

    /// Events of each stream that are kept for clients that come back and say up to where they have
    /// seen it, but for streams whose last event says it all; 0: none
    #[arg(long, value_name = "N", default_value_t = 1024, help_heading = LIMITS)]
    resume_events: usize,

    /// Messages a second, pings and pongs counted, that a client may send; more close its
    /// connection with code 1008; 0: any number
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = LIMITS)]
    message_rate: u32,

    /// Messages that a client may send at once, after a pause
    #[arg(long, value_name = "N", default_value = "15", help_heading = LIMITS)]
    message_burst: NonZeroU32,

    /// Connection attempts that an address (IPv6: a /64) may make in five minutes, loopback exempt;
    /// more are answered with 429, or reset when many come; 0: any number
    #[arg(long, value_name = "N", default_value_t = 300, help_heading = LIMITS)]
    connection_attempts: u32,

    /// The greatest age of a connection; off: any
    #[arg(
        long, value_name = "TIME", default_value = "24h",
        value_parser = optional_duration, help_heading = LIMITS
    )]
    lifetime: OptionalDuration,

    /// By how much of the greatest age connections end earlier, each by a share of its own, so that
    /// those that came together do not end together: percent
    #[arg(
        long, value_name = "PERCENT", default_value_t = 10,
        value_parser = percent, help_heading = LIMITS
    )]
    lifetime_jitter: u8,
}

/// `--derive`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Derived {
    Missing,
    Nothing,
}

impl From<Derived> for Derive {
    fn from(derived: Derived) -> Self {
        match derived {
            Derived::Missing => Self::Missing,
            Derived::Nothing => Self::Nothing,
        }
    }
}

impl ServeArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        run::start_log(&self.server)?;
        let builder = run::builder(&self.server, self.options());
        let markets = Arc::<Markets>::default();
        let feed = match &self.feed {
            Source::Simulate => {
                let simulation = self.feeding.simulation()?;
                simulation.tell_steps(&markets);
                Feed::simulate(&simulation)
            }
            Source::Stdin => Feed::Stdin,
            Source::Replay(path) => self.feeding.replay(path)?,
            Source::Socket(source) => return self.run_on_socket(*source, builder, markets),
        };
        let counters = Arc::<FeedCounters>::default();
        let fed = Fed { counters: Arc::clone(&counters), markets: Arc::clone(&markets) };
        let listening = run::listen(builder, &self.server, Some(fed))?;
        let (wait_for, delay) = match feed {
            Feed::Replay(..) => (1, Duration::from_secs(1)),
            Feed::Simulate(_) | Feed::Stdin => (0, Duration::ZERO),
        };
        let wait_for = self.wait_for.unwrap_or(wait_for);
        let delay = self.start_delay.unwrap_or(delay);
        let switch = Switch::held();
        let on_first_subscription = start_after(wait_for, delay, switch.clone());
        self.announce(&listening, wait_for, &feed);
        let publisher = listening.server.publisher();
        let keeper = self.keeper(&markets);
        let market = self.market(markets, publisher.clone(), Some(on_first_subscription));
        let topics = StreamTopics::new(self.resume_events);
        feed.start((publisher, topics, keeper), switch.clone(), counters)?;
        listening.serve(|_| MarketHandler::new(market.clone()), move || switch.stop())
    }

    /// Serves what producers send to a socket, which a worker reads: there is no thread to start
    /// and none to hold.
    fn run_on_socket(
        &self,
        source: server::Source,
        builder: Builder,
        markets: Arc<Markets>,
    ) -> anyhow::Result<()> {
        ensure!(
            self.wait_for.is_none() && self.start_delay.is_none(),
            "--wait-for and --start-delay cannot hold producers, who send when they like; leave \
             them out, or have the producers wait"
        );
        let topics = StreamTopics::new(self.resume_events);
        let feed = SocketFeed::new(topics, self.keeper(&markets));
        let counters = feed.counters();
        let builder = builder.source(source, feed);
        let fed = Fed { counters: Arc::clone(&counters), markets: Arc::clone(&markets) };
        let listening = run::listen(builder, &self.server, Some(fed))?;
        let server = &listening.server;
        let (protocol, asked) = match source {
            server::Source::Udp(address) => ("udp", address),
            server::Source::Tcp(address) => ("tcp", address),
        };
        let address = server.source_addrs().first().copied().unwrap_or(asked);
        if !address.ip().is_loopback() {
            tracing::warn!(
                "anybody who reaches {protocol} {address} can publish: keep it on a network of \
                 producers, or on 127.0.0.1"
            );
        }
        let more = format!("  open   http://{}/ in a browser\n", server.local_addr());
        listening.announce(&format!("what comes to {protocol} {address}"), &more);
        let market = self.market(markets, listening.server.publisher(), None);
        listening.serve(|_| MarketHandler::new(market.clone()), || ())?;
        let (events, malformed_lines) = (counters.events(), counters.malformed_lines());
        tracing::info!(events, malformed_lines, "the feed has ended");
        Ok(())
    }

    fn market(
        &self,
        markets: Arc<Markets>,
        publisher: Publisher,
        on_first_subscription: Option<Arc<dyn Fn() + Send + Sync>>,
    ) -> MarketOptions {
        MarketOptions {
            streams_max: self.max_streams,
            files: page::files(),
            markets: Some(markets),
            on_first_subscription,
            publisher: Some(publisher),
        }
    }

    fn keeper(&self, markets: &Arc<Markets>) -> Bookkeeper {
        Bookkeeper::new(Arc::clone(markets)).deriving(self.derive.into())
    }

    fn options(&self) -> Options {
        let rate = NonZeroU32::new(self.message_rate);
        let attempts = Some(self.connection_attempts).filter(|attempts| *attempts > 0);
        Options {
            ping_payload: PingPayload::UnixMillis,
            message_rate: rate.map(|per_second| Rate { per_second, burst: self.message_burst }),
            attempt_limit: attempts
                .map(|attempts_max| AttemptLimit { attempts_max, span: ATTEMPTS_SPAN }),
            lifetime: self.lifetime.0,
            lifetime_jitter_percent: self.lifetime_jitter,
            first_seq: first_seq(),
            ..self.server.options(self.max_message, DEFAULTS)
        }
    }

    fn announce(&self, listening: &Listening, wait_for: u32, feed: &Feed) {
        let address = listening.server.local_addr();
        let what = match feed {
            Feed::Simulate(_) => "a simulated market".to_owned(),
            Feed::Stdin => "what comes on standard input".to_owned(),
            Feed::Replay(path, _) => format!("a replay of {}", path.display()),
        };
        let mut text = String::new();
        if wait_for > 0 {
            let clients = if wait_for == 1 { "client" } else { "clients" };
            text.push_str(&format!("  waits  for {wait_for} {clients} to subscribe\n"));
        }
        // Which streams a recording or standard input has is not known before they have come.
        let mut example = "STREAM";
        if let Feed::Simulate(simulator) = feed {
            let streams: Vec<&str> = simulator.streams().collect();
            let some: Vec<&str> = streams.iter().copied().take(4).collect();
            let (some, count) = (some.join(" "), streams.len());
            text.push_str(&format!("  feeds  {some} … ({count} streams)\n"));
            example = streams.first().copied().unwrap_or(example);
        }
        text.push_str(&format!("  open   http://{address}/ in a browser\n"));
        text.push_str(&format!("  or try npx wscat -c ws://{address}/ws/{example}\n"));
        listening.announce(&what, &text);
    }
}

/// The number of each stream's first event: the time in microseconds since 1970. So it grows from
/// one start to the next, unless a stream had more than a million events a second for as long as
/// the server ran, and stays exact in every reader's numbers (below 2⁵³) until the year 2255.
fn first_seq() -> u64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX).clamp(1, 1 << 53)
}

/// Starts the feed `delay` after the function that it returns has been called `count` times.
fn start_after(count: u32, delay: Duration, switch: Switch) -> Arc<dyn Fn() + Send + Sync> {
    let start = move || {
        let switch = switch.clone();
        let start = move || {
            if switch.sleep_until(Instant::now() + delay) == Flow::Continue {
                switch.start();
            }
        };
        if delay.is_zero() {
            start();
        } else {
            std::thread::spawn(start);
        }
    };
    if count == 0 {
        start();
    }
    let seen = AtomicU32::new(0);
    Arc::new(move || {
        if seen.fetch_add(1, Ordering::Relaxed).saturating_add(1) == count {
            start();
        }
    })
}
