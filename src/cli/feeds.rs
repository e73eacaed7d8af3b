//! From feeds to the hub: `--feed`, and the sink that publishes what a feed says.
//! Feeds that are sockets are in `socket_feed`. Invariant: a feed here has a thread of its own.

use super::replay_progress;
use super::topics::StreamTopics;
use crate::feed::{
    Factor, FeedCounters, Flow, Kept, ReaderFeed, Replay, Simulate, Simulator, Sink, Switch,
    SymbolSpec,
};
use crate::feed::{
    Pace,
    replay::{ReplayEnd, Replayed},
};
use crate::market::{Bookkeeper, Markets};
use crate::proto::Message;
use crate::server::{self, Delivery, Publisher, Retain, Topic};
use anyhow::Context as _;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

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

impl Simulation {
    /// Tells `markets` what only it knows.
    pub(super) fn tell_steps(&self, markets: &Markets) {
        for spec in &self.symbols {
            markets.set_steps(spec.symbol(), spec.price_step(), spec.quantity_step());
        }
    }
}

/// A feed that is ready to run.
pub(super) enum Feed {
    Simulate(Box<Simulator>),
    Stdin,
    /// Of this file.
    Replay(PathBuf, Replay),
}

/// What becomes of the server when a feed ends, for the log.
const AFTER_THE_END: &str = "; the last values stay until Ctrl-C";

impl Feed {
    pub(super) fn simulate(simulation: &Simulation) -> Self {
        let Simulation { symbols, seed, start_ms, rate } = simulation;
        Self::Simulate(Box::new(Simulator::new(*seed, *start_ms, symbols, *rate)))
    }

    /// Runs the feed on a thread of its own, until it ends or the switch is turned off.
    pub(super) fn start(
        self,
        (publisher, topics, mut keeper): (Publisher, StreamTopics, Bookkeeper),
        switch: Switch,
        counters: Arc<FeedCounters>,
    ) -> anyhow::Result<()> {
        if let Self::Replay(_, replay) = &self {
            replay_progress::watch(&replay.progress(), Arc::clone(&counters), switch.clone());
        }
        let mut sink = HubSink::new(publisher, switch.clone(), topics);
        let run = move || {
            self.run(&mut Kept::new(&mut keeper, &mut sink), &switch, &counters, AFTER_THE_END);
        };
        let spawned = std::thread::Builder::new().name("feed".to_owned()).spawn(run);
        spawned.map(drop).context("cannot start a thread for the feed")
    }

    /// Runs the feed on this thread, until it ends or the switch is turned off; the log tells the end,
    /// and what comes `after` it.
    pub(super) fn run(
        self,
        sink: &mut impl Sink,
        switch: &Switch,
        counters: &FeedCounters,
        after: &str,
    ) {
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
                        "standard input has ended{after}"
                    ),
                    Err(error) => tracing::error!(%error, "standard input cannot be read"),
                }
            }
            Self::Replay(path, replay) => {
                let replayed = replay.run(sink, switch, counters);
                log_replayed(&path.display().to_string(), &replayed, after);
            }
        }
    }
}

fn log_replayed(recording: &str, replayed: &Replayed, after: &str) {
    let after = match replayed.end {
        ReplayEnd::Stopped => "",
        ReplayEnd::Finished | ReplayEnd::Damaged => after,
    };
    if replayed.events == 0 && replayed.skipped > 0 && replayed.end != ReplayEnd::Stopped {
        tracing::warn!(recording, "all of it is from before --at: nothing was published");
    }
    tracing::info!(
        recording,
        events = replayed.events,
        malformed = replayed.malformed,
        skipped = (replayed.skipped > 0).then_some(replayed.skipped),
        elapsed_ms = replayed.elapsed.as_millis(),
        end = ?replayed.end,
        "replay ended{after}"
    );
}

/// Publishes a feed's events, each stream being a topic. Of what is skipped the last values are
/// published together, so that new subscribers are told how things stand.
struct HubSink {
    publisher: Publisher,
    switch: Switch,
    topics: StreamTopics,
    /// Last values that are not published yet, in the order in which their streams came.
    standing: Vec<(Box<str>, String)>,
    /// Where in `standing` a stream's is.
    places: HashMap<Box<str>, usize>,
}

impl HubSink {
    fn new(publisher: Publisher, switch: Switch, topics: StreamTopics) -> Self {
        let (standing, places) = (Vec::new(), HashMap::new());
        Self { publisher, switch, topics, standing, places }
    }

    fn topic(&mut self, stream: &str) -> Option<&Topic> {
        let Self { publisher, topics, .. } = self;
        topics.of(stream, |name, options| publisher.topic(name, options))
    }
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
            Pace::Careful => publisher.publish_queued(topic, Message::Text(payload)),
            Pace::Lossless => publisher.publish_lossless(topic, Message::Text(payload)),
        };
        if delivery == Delivery::Stopped || self.switch.is_stopped() {
            return Flow::Stop;
        }
        Flow::Continue
    }

    fn announce(&mut self, stream: &str) {
        self.topic(stream);
    }

    fn skip(&mut self, stream: &str, payload: &str) {
        if self.topic(stream).is_none_or(|topic| topic.retain() == Retain::Nothing) {
            return;
        }
        if let Some(known) = self.places.get(stream).and_then(|at| self.standing.get_mut(*at)) {
            known.1.clear();
            known.1.push_str(payload);
        } else {
            self.places.insert(stream.into(), self.standing.len());
            self.standing.push((stream.into(), payload.to_owned()));
        }
    }

    fn caught_up(&mut self) {
        self.places.clear();
        for (stream, payload) in std::mem::take(&mut self.standing) {
            // Whether the server has stopped, the first event will tell.
            let _ = self.publish(&stream, &payload, Pace::Patient);
        }
    }
}
