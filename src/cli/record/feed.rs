//! Recording a feed of this program's own, without a server between.
//! Invariant: the feed waits while the file cannot be written, and nothing is lost between them.

use super::super::feeds::Feed;
use super::super::following::Remaining;
use super::books;
use super::recorder::{Recorder, unix_ns};
use crate::feed::{FeedCounters, Flow, Pace, Sink, Switch};
use crate::market::View;
use crate::market::envelope::{self, Event};
use anyhow::Context as _;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Lines on their way from the feed to the file.
const LINES_AHEAD_MAX: usize = 1024;
/// So that lines that are due, and Ctrl-C, never wait for long.
const TURN: Duration = Duration::from_millis(50);

/// What a feed says.
enum Said {
    Stream(String),
    Event(u64, String),
    Snapshot(u64, String),
}

/// Records until it is over, or the feed is.
pub(super) fn record(
    feed: Feed,
    mut recorder: Recorder,
    mut remaining: Remaining,
) -> anyhow::Result<()> {
    let (sender, receiver) = sync_channel(LINES_AHEAD_MAX);
    let switch = Switch::started();
    let mut sink = LineSink { sender, text: Vec::new() };
    let feeding = {
        let switch = switch.clone();
        move || feed.run(&mut sink, &switch, &FeedCounters::default(), "")
    };
    // Left behind at the end: one that waits for standard input cannot be joined.
    let spawned = std::thread::Builder::new().name("feed".to_owned()).spawn(feeding);
    spawned.context("cannot start a thread for the feed")?;
    let written = write(&receiver, &mut recorder, &mut remaining);
    switch.stop();
    written?;
    recorder.finish(remaining.started.elapsed())
}

fn write(
    receiver: &Receiver<Said>,
    recorder: &mut Recorder,
    remaining: &mut Remaining,
) -> anyhow::Result<()> {
    loop {
        let flow = match receiver.recv_timeout(TURN) {
            Ok(Said::Stream(stream)) => {
                recorder.add_stream(&stream);
                ControlFlow::Continue(())
            }
            Ok(Said::Event(received_ns, text)) => {
                recorder.event(received_ns, &text)?;
                remaining.count()
            }
            Ok(Said::Snapshot(received_ns, text)) => {
                recorder.snapshot(received_ns, &text)?;
                ControlFlow::Continue(())
            }
            Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
            Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
        };
        let now = Instant::now();
        recorder.turn(now)?;
        if flow.is_break() || remaining.check(now).is_break() {
            return Ok(());
        }
    }
}

/// Makes lines of what a feed says, and waits where there is no room for them.
struct LineSink {
    sender: SyncSender<Said>,
    text: Vec<u8>,
}

impl LineSink {
    fn send(&self, said: Said) -> Flow {
        match self.sender.send(said) {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Stop,
        }
    }
}

impl Sink for LineSink {
    fn publish(&mut self, stream: &str, payload: &str, _: Pace) -> Flow {
        let [_, combined, ..] = View::ALL;
        let received_ns = unix_ns();
        self.text.clear();
        let event = Event { stream, payload: payload.as_bytes(), seq: 0, ingest_ns: received_ns };
        envelope::render(&event, combined, &mut self.text);
        // A stream's name and a payload are text, and so is what stands between them.
        let text = String::from_utf8_lossy(&self.text).into_owned();
        self.send(Said::Event(received_ns, text))
    }

    fn announce(&mut self, stream: &str) {
        // A recorder that has gone is noticed by the next event.
        let _ = self.send(Said::Stream(stream.to_owned()));
    }

    fn snapshot(&mut self, symbol: Option<&str>, payload: &str) {
        let _ = self.send(Said::Snapshot(unix_ns(), books::line(payload, symbol)));
    }
}
