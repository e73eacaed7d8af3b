//! The operating system's network, which servers run on: mio's poller, its sockets, an alarm.
//! Invariant: a sleep ends at its time or soon after, also where something else has ended it before.

use super::alarm::Alarm;
use super::listener::Listener;
use super::network::{Network, Readiness, Sleep};
use super::tcp::Tcp;
use mio::{Events, Poll, Registry, Token};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A poller and the alarm that ends its sleep.
#[derive(Debug)]
pub(crate) struct System {
    poll: Poll,
    alarm: Alarm,
}

impl System {
    /// A poller whose alarm's ringing is an event with this token.
    pub(crate) fn new(alarm: Token) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), alarm)?;
        Ok(Self { poll, alarm })
    }

    /// Where sockets that are not a server's connections are registered.
    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }
}

impl Network for System {
    type Transport = Tcp;
    type Listener = Listener;
    type Events = Events;

    fn events(capacity: usize) -> Events {
        Events::with_capacity(capacity)
    }

    fn readiness(events: &Events) -> impl Iterator<Item = Readiness> {
        events.iter().map(|event| Readiness {
            token: event.token(),
            readable: event.is_readable() || event.is_error(),
            ended: event.is_read_closed() || event.is_error(),
        })
    }

    fn poll(&mut self, events: &mut Events, sleep: Sleep) -> io::Result<()> {
        let timeout = match sleep {
            Sleep::Never => Some(Duration::ZERO),
            Sleep::Until(due) => self.alarm.set(due)?,
            Sleep::Endless => None,
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled,
        }
    }

    fn now(&mut self) -> Instant {
        let now = Instant::now();
        self.alarm.note(now);
        now
    }

    fn accept(&self, listener: &Listener) -> io::Result<(Tcp, SocketAddr)> {
        listener.accept()
    }

    fn watch(&self, tcp: &mut Tcp, token: Token) -> io::Result<()> {
        tcp.register(self.registry(), token)
    }
}
