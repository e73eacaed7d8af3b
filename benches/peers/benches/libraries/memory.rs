//! A socket in memory: the same bytes can be read without end, and what is written is kept. It never
//! waits, so that futures on it are ready when they are asked.

use futures_util::FutureExt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    wire: Vec<u8>,
    at: usize,
    pub(crate) written: Vec<u8>,
}

impl Memory {
    /// What has been read can be read once more, and so on; no read goes across its end.
    pub(crate) fn endless(wire: &[u8]) -> Self {
        Self { wire: wire.to_vec(), at: 0, written: Vec::new() }
    }

    fn read_into(&mut self, room: usize) -> &[u8] {
        if self.at == self.wire.len() {
            self.at = 0;
        }
        let start = self.at;
        self.at = self.wire.len().min(start + room);
        &self.wire[start..self.at]
    }
}

/// The output of a future that has nothing to wait for.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("nothing to wait for")
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.read_into(buffer.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        buffer.put_slice(self.get_mut().read_into(room));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
