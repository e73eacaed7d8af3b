//! Listening sockets, one for each worker, from which connections inherit their options.
//! Invariant: an address that somebody else listens on is refused, also where SO_REUSEPORT would
//! let us in.

use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::options::SocketOptions;
use super::tcp::Tcp;

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 4096;
/// Silence after which a connection that is kept alive is asked whether it is.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.address)?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => f.write_str("the address is in use"),
            io::ErrorKind::AddrNotAvailable => f.write_str("no interface has this address"),
            io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
            _ => self.source.fmt(f),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener(mio::net::TcpListener);

/// Listens on `address`, `workers` times over (at least once). Port 0 takes a free one.
pub(crate) fn bind(
    address: SocketAddr,
    workers: usize,
    options: &SocketOptions,
) -> Result<Vec<Listener>, BindError> {
    let error = |source| BindError { address, source };
    // Without SO_REUSEPORT: that fails where another process listens, and finds a free port.
    let first = bind_one(address, options)?;
    let address = first.local_addr().map_err(error)?;
    if workers > 1 {
        // From here on others of the same user could listen too, but none of ours does before it
        // has found the port free.
        SockRef::from(&first.0).set_reuse_port(true).map_err(error)?;
    }
    let mut listeners = vec![first];
    for _ in 1..workers {
        listeners.push(listen(address, Sharing::BetweenWorkers, options).map_err(error)?);
    }
    Ok(listeners)
}

/// Listens on `address`. Port 0 takes a free one.
pub(crate) fn bind_one(
    address: SocketAddr,
    options: &SocketOptions,
) -> Result<Listener, BindError> {
    listen(address, Sharing::Alone, options).map_err(|source| BindError { address, source })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    /// SO_REUSEPORT: the kernel spreads connections over the listeners.
    BetweenWorkers,
}

fn listen(address: SocketAddr, sharing: Sharing, options: &SocketOptions) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A restart must not wait for the connections of the last run to leave TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    if sharing == Sharing::BetweenWorkers {
        socket.set_reuse_port(true)?;
    }
    // Before it listens: a connection has the options that its listener had when it came.
    options.set(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener(mio::net::TcpListener::from_std(socket.into())))
}

impl Listener {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The next connection, ready for use.
    pub(crate) fn accept(&self) -> io::Result<(Tcp, SocketAddr)> {
        let (stream, peer) = self.0.accept()?;
        // Linux has it inherited. Fails only where the peer has gone already, which the first read
        // will show.
        #[cfg(not(target_os = "linux"))]
        let _ = stream.set_nodelay(true);
        Ok((Tcp::new(stream), peer))
    }

    /// Has the system find out about connections whose other end has vanished without a word:
    /// those to come inherit it.
    pub(crate) fn keep_alive(&self) -> io::Result<()> {
        let alive = TcpKeepalive::new().with_time(KEEPALIVE_TIME);
        SockRef::from(&self.0).set_tcp_keepalive(&alive)
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.0.register(registry, token, Interest::READABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two servers on one port would each get some of the connections: refuse the second.
    #[test]
    fn a_taken_port_is_refused_with_and_without_workers() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        for workers in [1, 2] {
            let first = bind(any, workers, &SocketOptions::default()).unwrap();
            let taken = first[0].local_addr().unwrap();
            assert_eq!(first.len(), workers);
            for others in [1, 2] {
                let error = bind(taken, others, &SocketOptions::default()).unwrap_err();
                assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
                assert!(error.to_string().ends_with("the address is in use"));
            }
        }
    }

    /// The first, which found the port free, shares it as well as the others do.
    #[test]
    fn all_workers_listen_on_the_same_port_and_get_their_part() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 3, &SocketOptions::default()).unwrap();
        let ports: Vec<u16> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0));
        let (mut peers, mut accepted) = (Vec::new(), [0; 3]);
        // Which of them gets one is the kernel's choice: some 60 each of 180.
        for _ in 0..180 {
            peers.push(std::net::TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap());
        }
        for (count, listener) in accepted.iter_mut().zip(&listeners) {
            *count = std::iter::from_fn(|| listener.accept().ok()).count();
        }
        assert_eq!(accepted.iter().sum::<usize>(), peers.len(), "{accepted:?}");
        assert!(accepted.iter().all(|count| *count > 20), "{accepted:?}");
    }

    /// Connections have the options without a system call for it: TCP_NODELAY always, and others as
    /// they were asked for.
    #[cfg(target_os = "linux")]
    #[test]
    fn connections_inherit_their_listener_s_options() {
        use std::net::TcpStream;
        use std::time::Instant;
        let untouched = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let busy_poll = untouched.set_busy_poll(50).is_ok().then_some(Duration::from_micros(50));
        let options = SocketOptions { notsent_lowat_bytes: Some(12_345), busy_poll };
        for workers in [1, 2] {
            let listeners = bind("127.0.0.1:0".parse().unwrap(), workers, &options).unwrap();
            let _peer = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
            let (start, deadline) = (Instant::now(), Duration::from_secs(20));
            let accepted = loop {
                match listeners.iter().find_map(|listener| listener.accept().ok()) {
                    Some((tcp, _)) => break tcp,
                    None => assert!(start.elapsed() < deadline, "nobody came"),
                }
            };
            let socket = SockRef::from(&accepted.0);
            assert!(socket.tcp_nodelay().unwrap());
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), 12_345);
            assert_eq!(socket.busy_poll().unwrap(), if busy_poll.is_some() { 50 } else { 0 });
        }
    }
}
