//! The world as a worker sees it: a [`Network`] whose sockets are numbers.
//! Invariant: nothing is decided here.

use super::wire::Moved;
use super::world::World;
use crate::net::{Network, Readiness, Received, Sleep, Transport, Written};
use mio::Token;
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The world, shared by the worker's network, its sockets, the application and the checks.
pub(super) type Shared = Rc<RefCell<World>>;

/// Addresses that peers come from.
const ADDRESSES: usize = 7;

/// The network.
pub(super) struct Simulated(pub(super) Shared);

/// A connection. Its number is the peer's port.
pub(super) struct Socket {
    pub(super) id: usize,
    world: Shared,
}

/// Where connections come from.
pub(super) struct Door(pub(super) Shared);

impl Network for Simulated {
    type Transport = Socket;
    type Listener = Door;
    type Events = Vec<Readiness>;

    fn events(capacity: usize) -> Self::Events {
        Vec::with_capacity(capacity)
    }

    fn readiness(events: &Self::Events) -> impl Iterator<Item = Readiness> {
        events.iter().copied()
    }

    fn poll(&mut self, events: &mut Self::Events, sleep: Sleep) -> io::Result<()> {
        *events = self.0.borrow_mut().poll(sleep);
        Ok(())
    }

    fn now(&mut self) -> Instant {
        let mut world = self.0.borrow_mut();
        let now = world.read_clock();
        world.start + Duration::from_micros(now)
    }

    fn accept(&self, listener: &Door) -> io::Result<(Socket, SocketAddr)> {
        let id = listener.0.borrow_mut().accept()?;
        Ok((Socket { id, world: Rc::clone(&self.0) }, address(id)))
    }

    fn watch(&self, socket: &mut Socket, token: Token) -> io::Result<()> {
        let watched = self.0.borrow_mut().watch(socket.id, token);
        if watched { Ok(()) } else { Err(ErrorKind::OutOfMemory.into()) }
    }
}

impl Transport for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        match self.world.borrow_mut().read(self.id, buffer) {
            Moved::Bytes(len) => Ok(Received::Bytes(len)),
            Moved::Refused => Ok(Received::WouldBlock),
            Moved::End => Ok(Received::End),
            Moved::Reset => Err(ErrorKind::ConnectionReset.into()),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<Written> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<Written> {
        let slices = slices.iter().map(|slice| &**slice);
        match self.world.borrow_mut().write(self.id, slices) {
            Moved::Bytes(len) => Ok(Written::Bytes(len)),
            Moved::Refused => Ok(Written::WouldBlock),
            Moved::End | Moved::Reset => Err(ErrorKind::ConnectionReset.into()),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let shut = self.world.borrow_mut().end_writing(self.id);
        if shut { Ok(()) } else { Err(ErrorKind::NotConnected.into()) }
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(self.id))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.world.borrow_mut().close(self.id);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.borrow_mut().close_listener();
    }
}

fn address(id: usize) -> SocketAddr {
    let last = u8::try_from(id % ADDRESSES).unwrap_or_default() + 1;
    ([192, 0, 2, last], u16::try_from(id).unwrap_or(u16::MAX)).into()
}
