//! Outgoing TCP connections, non-blocking, for the Client role.
//! Invariant: a socket is connecting, connected or gone; [`Tcp::connected`] says which.

use super::network::Transport as _;
use super::tcp::Tcp;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How much the kernel keeps for an application that does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveBuffer {
    /// What the system gives, growing with use.
    Usual,
    /// This many bytes, or as few as the system allows: the peer soon notices that nobody reads.
    Bytes(usize),
}

impl Tcp {
    /// Starts to connect, from an address of ours where one is given. The socket becomes writable
    /// when it is connected, or has failed.
    pub(crate) fn connect(
        address: SocketAddr,
        from: Option<IpAddr>,
        buffer: ReceiveBuffer,
    ) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let ReceiveBuffer::Bytes(bytes) = buffer {
            socket.set_recv_buffer_size(bytes.max(1))?;
        }
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => {
                return Err(error);
            }
            _ => {}
        }
        Ok(Self::new(mio::net::TcpStream::from_std(socket.into())))
    }

    /// Ends the connection by a reset: what is on its way in either direction is lost.
    pub(crate) fn reset(self) -> io::Result<()> {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO))
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

    /// Bytes go both ways over a connection that was dialled, from where it was to be.
    #[test]
    fn a_listener_is_reached() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut poll = Poll::new().unwrap();
        let from = Some(Ipv4Addr::new(127, 0, 0, 2).into());
        let mut tcp = Tcp::connect(address, from, ReceiveBuffer::Bytes(1)).unwrap();
        tcp.register(poll.registry(), Token(0)).unwrap();
        let (mut peer, came_from) = listener.accept().unwrap();
        assert_eq!(Some(came_from.ip()), from);
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
        tcp.reset().unwrap();
        let error = peer.read(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    /// A port that nobody listens on is an error, at once or when the answer is there.
    #[test]
    fn a_refused_connection_is_an_error() {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut poll = Poll::new().unwrap();
        let refused = Tcp::connect(address, None, ReceiveBuffer::Usual).and_then(|mut tcp| {
            tcp.register(poll.registry(), Token(0))?;
            while !tcp.connected()? {
                wait(&mut poll);
            }
            Ok(())
        });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
