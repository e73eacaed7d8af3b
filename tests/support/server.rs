//! A server in the test's process, on a thread of its own, built on the library's public API.

use super::DEADLINE;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tickwire::proto::{CloseCode, Message};
use tickwire::server::{
    Cause, Closed, Context, Handler, Latency, Opening, Options, Publisher, Server, ShutdownHandle,
    Stats, StatsHandle, Upgrade,
};

/// The defaults, but for a short drain: a test that leaves clients open must not wait for them.
pub(crate) fn options() -> Options {
    Options { drain_timeout: Duration::from_millis(100), ..Options::default() }
}

/// A server that runs until it is dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: ShutdownHandle,
    pub(crate) publisher: Publisher,
    stats: StatsHandle,
    returned: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Serves with handlers of the test's own.
    pub(crate) fn start<H: Handler>(
        options: Options,
        make: impl Fn(usize) -> H + Send + Sync + 'static,
    ) -> Self {
        let local: SocketAddr = ([127, 0, 0, 1], 0).into();
        let server = Server::builder(local).options(options).build().expect("a free port");
        let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
        let (publisher, stats) = (server.publisher(), server.stats());
        let (sender, returned) = channel();
        let thread = std::thread::spawn(move || {
            // Nobody waits for it where the test has failed.
            let _ = sender.send(server.run(make));
        });
        Self { address, shutdown, publisher, stats, returned, thread: Some(thread) }
    }

    /// Serves with [`Echo`].
    pub(crate) fn echo(options: Options) -> (Self, Ends) {
        let (sender, receiver) = channel();
        (Self::start(options, move |_| Echo { ends: sender.clone() }), Ends(receiver))
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats.read()
    }

    pub(crate) fn latency(&self) -> Latency {
        self.stats.latency()
    }

    /// Waits until so many connections have ended for this cause, and none is left over.
    pub(crate) fn expect_ended(&self, cause: Cause, count: u64) {
        super::eventually(cause.name(), || {
            let stats = self.stats();
            stats.open == 0 && stats.ended(cause) == count && stats.ended_total() == stats.accepted
        });
    }

    /// Stops the server as a program would; checks that it ends in time and well.
    pub(crate) fn stop(mut self) {
        self.shutdown.shutdown();
        self.expect_return();
    }

    /// Waits for `run` to return, without asking it to.
    pub(crate) fn expect_return(&mut self) {
        let returned = self.returned.recv_timeout(DEADLINE).expect("run returns in time");
        returned.expect("the event loop works");
        let stats = self.stats();
        assert_eq!((stats.open, stats.ended_total()), (0, stats.accepted), "{stats:?}");
        assert_eq!(stats.unfinished_bytes, 0);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server's thread ends well");
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.shutdown();
        if self.thread.is_some() && !std::thread::panicking() {
            self.expect_return();
        }
    }
}

/// How a session ended, as its handler was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) cause: Cause,
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl From<&Closed<'_>> for End {
    fn from(closed: &Closed<'_>) -> Self {
        let Closed { cause, code, reason } = *closed;
        Self { cause, code: code.number(), reason: reason.to_owned() }
    }
}

/// The ends of sessions, in order.
pub(crate) struct Ends(pub(crate) Receiver<End>);

impl Ends {
    /// Waits for the next session to end.
    pub(crate) fn next(&self) -> End {
        self.0.recv_timeout(DEADLINE).expect("on_close is called in time")
    }

    /// Waits for the next session to end, for this cause and without a close frame of the peer's.
    pub(crate) fn expect_abnormal(&self, cause: Cause) {
        let (code, reason) = (CloseCode::ABNORMAL.number(), String::new());
        assert_eq!(self.next(), End { cause, code, reason });
    }

    /// Checks, once the server has stopped, that there are no further ends.
    pub(crate) fn expect_no_more(&self) {
        assert_eq!(self.0.try_iter().collect::<Vec<_>>(), []);
    }
}

/// Sends each message back, and tells the test how sessions end.
pub(crate) struct Echo {
    pub(crate) ends: Sender<End>,
}

impl Handler for Echo {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }

    fn on_close(&mut self, (): (), closed: &Closed<'_>) {
        // A test may not care.
        let _ = self.ends.send(closed.into());
    }
}
