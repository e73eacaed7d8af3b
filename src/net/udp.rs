//! A UDP socket that receives, of one address or of a multicast group.
//! Invariant: what it yields are whole datagrams, in the order in which the system has them.

use super::listener::BindError;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What the kernel is asked to hold of datagrams that are not read yet, since it drops those that
/// come beyond. It gives as much as the system allows.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// A receiving UDP socket.
#[derive(Debug)]
pub(crate) struct Udp(mio::net::UdpSocket);

impl Udp {
    /// Receives on `address`. Port 0 takes a free one; of a multicast group the socket becomes a
    /// member, on the interface that the system chooses.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, BindError> {
        open(address).map(Self).map_err(|source| BindError { address, source })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.0.register(registry, token, Interest::READABLE)
    }

    /// The length of the next datagram, whose bytes are in `buffer`; `None`: there is none now.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            return match self.0.recv(buffer) {
                Ok(len) => Ok(Some(len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }
}

fn open(address: SocketAddr) -> io::Result<mio::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // It is no mistake if the system gives less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    if address.ip().is_multicast() {
        // Every receiver of a group on this machine binds to the same address.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    match address.ip() {
        IpAddr::V4(group) if group.is_multicast() => {
            socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
        }
        IpAddr::V6(group) if group.is_multicast() => socket.join_multicast_v6(&group, 0)?,
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    Ok(mio::net::UdpSocket::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    fn receive(udp: &mut Udp) -> Vec<u8> {
        let (start, mut buffer) = (Instant::now(), [0; 100]);
        loop {
            match udp.receive(&mut buffer).unwrap() {
                Some(len) => return buffer[..len].to_vec(),
                None => assert!(start.elapsed() < Duration::from_secs(20), "nothing came"),
            }
        }
    }

    #[test]
    fn datagrams_come_whole_and_in_order() {
        let mut udp = Udp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(udp.receive(&mut [0]).unwrap(), None);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in [&b"one"[..], b"", b"three"] {
            sender.send_to(datagram, udp.local_addr().unwrap()).unwrap();
        }
        assert_eq!([receive(&mut udp), receive(&mut udp)], [b"one".to_vec(), Vec::new()]);
        assert_eq!(receive(&mut udp), b"three");
        assert_eq!(udp.receive(&mut [0]).unwrap(), None);
    }

    /// An address that somebody has is refused, but a group is for any number of receivers.
    #[test]
    fn a_taken_address_is_refused_and_a_group_is_shared() {
        let first = Udp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Udp::bind(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
        // A machine without a route for multicast has no groups to join.
        if let Ok(member) = Udp::bind("239.255.77.77:0".parse().unwrap()) {
            assert!(Udp::bind(member.local_addr().unwrap()).is_ok());
        }
    }
}
