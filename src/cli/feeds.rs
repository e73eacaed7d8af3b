//! From feeds to the hub: `--feed`, and the sink that publishes what a feed says.
//! Invariant: topics are made for at most [`STREAMS_MAX`] stream names.

use crate::feed::{
    Factor, FeedCounters, Flow, ReaderFeed, Recording, Repeat, Replay, Simulate, Simulator, Sink,
    Speed, Switch, SymbolSpec,
};
use crate::feed::{
    Pace,
    replay::{ReplayEnd, Replayed},
};
use crate::market::StreamClass;
use crate::proto::Message;
use crate::server::{Delivery, Publisher, Retain, Topic};
use anyhow::Context as _;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Stream names that a feed may bring. Events of further names are dropped.
const STREAMS_MAX: usize = 65_536;

/// Where ticks come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Simulate,
    Stdin,
    Replay(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "simulate" => Ok(Self::Simulate),
            None if text == "stdin" => Ok(Self::Stdin),
            Some(("replay", path)) if !path.is_empty() => Ok(Self::Replay(path.into())),
            _ => Err("write simulate, stdin or replay:FILE".to_owned()),
        }
    }
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
    pub(super) fn simulate(simulation: &Simulation) -> Self {
        let Simulation { symbols, seed, start_ms, rate } = simulation;
        Self::Simulate(Box::new(Simulator::new(*seed, *start_ms, symbols, *rate)))
    }

    pub(super) fn replay(path: &Path, speed: Speed, repeat: Repeat) -> anyhow::Result<Self> {
        let recording =
            Recording::open(path).with_context(|| format!("cannot replay {}", path.display()))?;
        Ok(Self::Replay(recording, speed, repeat))
    }

    /// Runs the feed on a thread of its own, until it ends or the switch is turned off.
    pub(super) fn start(self, publisher: Publisher, switch: Switch) -> anyhow::Result<()> {
        let mut sink =
            HubSink { publisher, switch: switch.clone(), topics: HashMap::new(), full: false };
        let run = move || self.run(&mut sink, &switch);
        let spawned = std::thread::Builder::new().name("feed".to_owned()).spawn(run);
        spawned.map(drop).context("cannot start a thread for the feed")
    }

    fn run(self, sink: &mut HubSink, switch: &Switch) {
        let counters = FeedCounters::default();
        match self {
            Self::Simulate(simulator) => {
                Simulate::new(*simulator).run(sink, switch, &counters);
            }
            Self::Stdin => {
                let feed = ReaderFeed::new(std::io::stdin(), "standard input");
                match feed.run(sink, switch, &counters) {
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
                let replayed = Replay::new(recording, speed, repeat).run(sink, switch, &counters);
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
    topics: HashMap<Box<str>, Topic>,
    /// Whether a stream found no room, which is said once.
    full: bool,
}

impl HubSink {
    /// Makes a topic of a stream's name, if there is room for one more.
    fn add_topic(&mut self, stream: &str) {
        if self.topics.len() < STREAMS_MAX {
            let retain = match StreamClass::of(stream) {
                StreamClass::State => Retain::Last,
                StreamClass::Diff | StreamClass::Event => Retain::Nothing,
            };
            let topic = self.publisher.topic(stream, retain);
            self.topics.insert(stream.into(), topic);
        } else if !std::mem::replace(&mut self.full, true) {
            tracing::warn!("more than {STREAMS_MAX} streams: events of new ones are dropped");
        }
    }
}

impl Sink for HubSink {
    fn publish(&mut self, stream: &str, payload: &[u8], pace: Pace) -> Flow {
        // A feed's payloads have been checked to be JSON, which is UTF-8.
        let Ok(text) = std::str::from_utf8(payload) else {
            return Flow::Continue;
        };
        if !self.topics.contains_key(stream) {
            self.add_topic(stream);
        }
        let Some(topic) = self.topics.get(stream) else {
            return Flow::Continue;
        };
        let delivery = match pace {
            Pace::Live => self.publisher.publish(topic, Message::Text(text)),
            Pace::Lossless => self.publisher.publish_waiting(topic, Message::Text(text)),
        };
        if delivery == Delivery::Stopped || self.switch.is_stopped() {
            return Flow::Stop;
        }
        Flow::Continue
    }
}
