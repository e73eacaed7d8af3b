//! From feeds to the hub: `--feed`, and the sink that publishes what a feed says.
//! Feeds that are sockets are in `socket_feed`. Invariant: a feed here has a thread of its own.

use super::run::Fed;
use super::topics::StreamTopics;
use crate::feed::{
    Factor, FeedCounters, Flow, Kept, ReaderFeed, Recording, Repeat, Replay, Simulate, Simulator,
    Sink, Speed, Switch, SymbolSpec,
};
use crate::feed::{
    Pace,
    replay::{ReplayEnd, Replayed},
};
use crate::market::{Bookkeeper, Markets};
use crate::proto::Message;
use crate::server::{self, Delivery, Publisher};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where ticks come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Simulate,
    Stdin,
    Replay(PathBuf),
    /// A socket that producers send to.
    Socket(server::Source),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "simulate" => Ok(Self::Simulate),
            None if text == "stdin" => Ok(Self::Stdin),
            Some(("replay", path)) if !path.is_empty() => Ok(Self::Replay(path.into())),
            Some(("udp", address)) => socket(address).map(server::Source::Udp).map(Self::Socket),
            Some(("tcp", address)) => socket(address).map(server::Source::Tcp).map(Self::Socket),
            _ => Err("write simulate, stdin, replay:FILE, udp:ADDR or tcp:ADDR".to_owned()),
        }
    }
}

fn socket(address: &str) -> Result<SocketAddr, String> {
    address
        .parse()
        .map_err(|_| "write an address and a port, such as tcp:127.0.0.1:9002".to_owned())
}

/// How a simulated market is to be.
#[derive(Clone, Debug)]
pub(super) struct Simulation {
    pub(super) symbols: Vec<SymbolSpec>,
    pub(super) seed: u64,
    pub(super) start_ms: u64,
    pub(super) rate: Factor,
}

/// A feed that is ready to run.
pub(super) enum Feed {
    Simulate(Box<Simulator>),
    Stdin,
    Replay(Recording, Speed, Repeat),
}

impl Feed {
    /// A simulated market; `markets` are told what only it knows.
    pub(super) fn simulate(simulation: &Simulation, markets: &Markets) -> Self {
        let Simulation { symbols, seed, start_ms, rate } = simulation;
        for spec in symbols {
            markets.set_steps(spec.symbol(), spec.price_step(), spec.quantity_step());
        }
        Self::Simulate(Box::new(Simulator::new(*seed, *start_ms, symbols, *rate)))
    }

    pub(super) fn replay(path: &Path, speed: Speed, repeat: Repeat) -> anyhow::Result<Self> {
        let recording =
            Recording::open(path).with_context(|| format!("cannot replay {}", path.display()))?;
        Ok(Self::Replay(recording, speed, repeat))
    }

    /// Runs the feed on a thread of its own, until it ends or the switch is turned off.
    pub(super) fn start(
        self,
        publisher: Publisher,
        switch: Switch,
        fed: Fed,
    ) -> anyhow::Result<()> {
        let topics = StreamTopics::default();
        let mut sink = HubSink { publisher, switch: switch.clone(), topics };
        let mut keeper = Bookkeeper::new(fed.markets);
        let run = move || self.run(&mut Kept::new(&mut keeper, &mut sink), &switch, &fed.counters);
        let spawned = std::thread::Builder::new().name("feed".to_owned()).spawn(run);
        spawned.map(drop).context("cannot start a thread for the feed")
    }

    fn run(self, sink: &mut impl Sink, switch: &Switch, counters: &FeedCounters) {
        match self {
            Self::Simulate(simulator) => {
                Simulate::new(*simulator).run(sink, switch, counters);
            }
            Self::Stdin => {
                let feed = ReaderFeed::new(std::io::stdin(), "standard input");
                match feed.run(sink, switch, counters) {
                    Ok(_) => tracing::info!(
                        events = counters.events(),
                        malformed_lines = counters.malformed_lines(),
                        "standard input has ended; the last values stay until Ctrl-C"
                    ),
                    Err(error) => tracing::error!(%error, "standard input cannot be read"),
                }
            }
            Self::Replay(recording, speed, repeat) => {
                let path = recording.path().display().to_string();
                let replayed = Replay::new(recording, speed, repeat).run(sink, switch, counters);
                log_replayed(&path, &replayed);
            }
        }
    }
}

fn log_replayed(recording: &str, replayed: &Replayed) {
    let stay = match replayed.end {
        ReplayEnd::Stopped => "",
        ReplayEnd::Finished | ReplayEnd::Damaged => "; the last values stay until Ctrl-C",
    };
    tracing::info!(
        recording,
        events = replayed.events,
        malformed = replayed.malformed,
        elapsed_ms = replayed.elapsed.as_millis(),
        end = ?replayed.end,
        "replay ended{stay}"
    );
}

/// Publishes a feed's events, each stream being a topic.
struct HubSink {
    publisher: Publisher,
    switch: Switch,
    topics: StreamTopics,
}

impl Sink for HubSink {
    fn publish(&mut self, stream: &str, payload: &str, pace: Pace) -> Flow {
        let Self { publisher, topics, .. } = self;
        let Some(topic) = topics.of(stream, |name, options| publisher.topic(name, options)) else {
            return Flow::Continue;
        };
        let delivery = match pace {
            Pace::Live => publisher.publish(topic, Message::Text(payload)),
            Pace::Patient => publisher.publish_waiting(topic, Message::Text(payload)),
            Pace::Lossless => publisher.publish_lossless(topic, Message::Text(payload)),
        };
        if delivery == Delivery::Stopped || self.switch.is_stopped() {
            return Flow::Stop;
        }
        Flow::Continue
    }

    fn announce(&mut self, stream: &str) {
        let Self { publisher, topics, .. } = self;
        topics.of(stream, |name, options| publisher.topic(name, options));
    }
}
