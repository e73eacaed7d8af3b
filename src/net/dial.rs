//! Outgoing TCP connections, non-blocking, for the Client role.
//! Invariant: a socket is connecting, connected or gone; [`Tcp::connected`] says which.

use super::network::Transport as _;
use super::tcp::Tcp;
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// How much the kernel keeps for an application that does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveBuffer {
    /// What the system gives, growing with use.
    Usual,
    /// As little as the system allows: the peer soon notices that nobody reads.
    Least,
}

impl Tcp {
    /// Starts to connect. The socket becomes writable when it is connected, or has failed.
    pub(crate) fn connect(address: SocketAddr, buffer: ReceiveBuffer) -> io::Result<Self> {
        let stream = mio::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        if buffer == ReceiveBuffer::Least {
            SockRef::from(&stream).set_recv_buffer_size(1)?;
        }
        Ok(Self::new(stream))
    }

    /// Whether the connection is made; an error where it cannot be.
    pub(crate) fn connected(&self) -> io::Result<bool> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        match self.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Received, Written};
    use mio::{Events, Poll, Token};
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    fn wait(poll: &mut Poll) {
        let mut events = Events::with_capacity(4);
        while events.is_empty() {
            poll.poll(&mut events, Some(Duration::from_secs(20))).unwrap();
        }
    }

    /// Bytes go both ways over a connection that was dialled.
    #[test]
    fn a_listener_is_reached() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut poll = Poll::new().unwrap();
        let mut tcp = Tcp::connect(address, ReceiveBuffer::Least).unwrap();
        tcp.register(poll.registry(), Token(0)).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        while !tcp.connected().unwrap() {
            wait(&mut poll);
        }
        assert_eq!(tcp.write(b"ping").unwrap(), Written::Bytes(4));
        let mut bytes = [0; 4];
        peer.read_exact(&mut bytes).unwrap();
        peer.write_all(b"pong").unwrap();
        while tcp.read(&mut bytes).unwrap() == Received::WouldBlock {
            wait(&mut poll);
        }
        assert_eq!(&bytes, b"pong");
    }

    /// A port that nobody listens on is an error, at once or when the answer is there.
    #[test]
    fn a_refused_connection_is_an_error() {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut poll = Poll::new().unwrap();
        let refused = Tcp::connect(address, ReceiveBuffer::Usual).and_then(|mut tcp| {
            tcp.register(poll.registry(), Token(0))?;
            while !tcp.connected()? {
                wait(&mut poll);
            }
            Ok(())
        });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
