//! One TCP connection, non-blocking.
//! Invariant: "would block" and the end of the stream are values; an error means that the
//! connection is gone.

use super::network::Transport;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing for now.
    WouldBlock,
    /// The peer will send no more.
    End,
}

/// What a write took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// This many bytes, all or some.
    Bytes(usize),
    /// Nothing for now.
    WouldBlock,
}

impl Written {
    /// How many bytes went.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Bytes(written) => written,
            Self::WouldBlock => 0,
        }
    }
}

/// One TCP connection.
#[derive(Debug)]
pub(crate) struct Tcp(pub(super) mio::net::TcpStream);

impl Tcp {
    pub(super) fn new(stream: mio::net::TcpStream) -> Self {
        Self(stream)
    }

    /// Registers for readability and writability, both edge-triggered, once and for all.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.0.register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// What went wrong with the socket since the last call.
    #[cfg(feature = "cli")]
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    fn written(
        &self,
        write: impl Fn(&mio::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<Written> {
        loop {
            return match write(&self.0) {
                Ok(len) => Ok(Written::Bytes(len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Written::WouldBlock),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }
}

impl Transport for Tcp {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            return match self.0.read(buffer) {
                Ok(0) => Ok(Received::End),
                Ok(len) => Ok(Received::Bytes(len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Received::WouldBlock),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<Written> {
        self.written(|mut stream| stream.write(bytes))
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<Written> {
        self.written(|mut stream| stream.write_vectored(slices))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn reset(self) {
        // Fails where the connection is gone already.
        let _ = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}
