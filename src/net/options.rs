//! What connections inherit from the socket that accepts them.
//! Invariant: options are set once, on the listener; accepting makes no system call for them.

use socket2::{Domain, Socket, Type};
use std::io;
use std::time::Duration;

/// Options of all connections' sockets. TCP_NODELAY is not among them: it is always set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// TCP_NOTSENT_LOWAT: bytes that the kernel takes of one connection beyond what it has sent,
    /// about. What a slow reader is owed then waits in its send queue, where it counts and can be
    /// dropped, and not in the kernel's buffer, which grows to megabytes. Default 128 KiB; `None`:
    /// as much as the kernel likes.
    pub notsent_lowat_bytes: Option<u32>,
    /// SO_BUSY_POLL: how long the kernel polls the network card for a socket that has nothing to
    /// read, to the microsecond. It takes a card that can be polled, and CAP_NET_ADMIN. Default
    /// `None`: as the system has it.
    pub busy_poll: Option<Duration>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { notsent_lowat_bytes: Some(128 << 10), busy_poll: None }
    }
}

impl SocketOptions {
    /// Sets the options of a socket that will listen.
    pub(super) fn set(&self, socket: &Socket) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Some(bytes) = self.notsent_lowat_bytes {
            socket.set_tcp_notsent_lowat(bytes)?;
        }
        self.busy_poll.map_or(Ok(()), |time| set_busy_poll(socket, time))
    }

    /// Asks the system whether sockets may be polled as wanted.
    pub(crate) fn probe_busy_poll(&self) -> io::Result<()> {
        let Some(time) = self.busy_poll else { return Ok(()) };
        set_busy_poll(&Socket::new(Domain::IPV4, Type::STREAM, None)?, time)
    }
}

#[cfg(target_os = "linux")]
fn set_busy_poll(socket: &Socket, time: Duration) -> io::Result<()> {
    let micros = i32::try_from(time.as_micros()).ok().and_then(|micros| u32::try_from(micros).ok());
    socket.set_busy_poll(micros.ok_or(io::ErrorKind::InvalidInput)?)
}

#[cfg(not(target_os = "linux"))]
fn set_busy_poll(_: &Socket, _: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
