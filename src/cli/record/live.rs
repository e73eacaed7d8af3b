//! Recording a server: its events as they are read, and its order books, asked for besides.
//! Invariant: reading never waits for an order book.

use super::super::following::Remaining;
use super::books::Books;
use super::recorder::{Recorder, Turned};
use crate::client::{Fault, Follower, Subscription};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How the notice of a server that stops begins: it is about the connection, and no market data.
const SHUTDOWN_START: &str = r#"{"stream":"!serverShutdown","#;

/// Records until it is over.
pub(super) fn record(
    subscription: &Subscription,
    recorder: Recorder,
    remaining: Remaining,
) -> anyhow::Result<()> {
    let books = Books::new(&subscription.endpoint, &subscription.streams);
    let started = remaining.started;
    let mut live = Live { recorder, remaining, books, lost: None, failure: None };
    let followed = subscription.follow(&mut live);
    let Live { recorder, failure, .. } = live;
    if let Some(failure) = failure {
        return Err(failure);
    }
    // What was recorded is put away in any case.
    let finished = recorder.finish(started.elapsed());
    followed?;
    finished
}

struct Live {
    recorder: Recorder,
    remaining: Remaining,
    books: Books,
    /// Since when nothing can come.
    lost: Option<Instant>,
    failure: Option<anyhow::Error>,
}

impl Live {
    /// Goes on if it went well.
    fn check<T>(&mut self, result: anyhow::Result<T>) -> Result<T, ControlFlow<()>> {
        result.map_err(|error| {
            self.failure = Some(error);
            ControlFlow::Break(())
        })
    }

    fn try_turn(&mut self) -> Result<(), ControlFlow<()>> {
        while let Some((received_ns, book)) = self.books.next() {
            let written = self.recorder.snapshot(received_ns, &book);
            self.check(written)?;
        }
        let now = Instant::now();
        let turned = self.recorder.turn(now);
        if self.check(turned)? == Turned::NewFile {
            self.books.ask();
        }
        match self.remaining.check(now) {
            ControlFlow::Continue(()) => Ok(()),
            end => Err(end),
        }
    }
}

impl Follower for Live {
    fn on_subscribed(&mut self) -> ControlFlow<()> {
        if let Some(lost) = self.lost.take() {
            let seconds = lost.elapsed().as_secs_f64();
            tracing::warn!("connected again: {seconds:.1} s are missing in the recording");
        }
        self.books.ask();
        let opened = self.recorder.open();
        self.check(opened).err().unwrap_or(ControlFlow::Continue(()))
    }

    fn on_event(&mut self, received_ns: u64, text: &str) -> ControlFlow<()> {
        if text.starts_with(SHUTDOWN_START) {
            tracing::info!("the server is about to stop");
            return ControlFlow::Continue(());
        }
        let written = self.recorder.event(received_ns, text);
        match self.check(written) {
            Ok(()) => self.remaining.count(),
            Err(end) => end,
        }
    }

    fn on_turn(&mut self) -> ControlFlow<()> {
        self.try_turn().err().unwrap_or(ControlFlow::Continue(()))
    }

    fn on_lost(&mut self, fault: &Fault, wait: Duration) {
        self.lost.get_or_insert_with(Instant::now);
        tracing::warn!("{fault}; trying again in {:.1} s", wait.as_secs_f64());
    }
}
