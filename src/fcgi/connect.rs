//! A connection to an application: Unix socket or TCP, within a time.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use directives::bundle::OsError;
use directives::effect::Failure;
use directives::modules::fastcgi::Address;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::unix::Unix;
use crate::disk::os_error;

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// Unix.
    Unix(Unix),
    /// TCP, with TCP_NODELAY.
    Tcp(TcpStream),
}

/// How long to wait before a full queue is tried again, first and at most.
const FULL_FIRST: Duration = Duration::from_millis(1);
const FULL_MOST: Duration = Duration::from_millis(20);

/// Connects. `limit` is `-appConnTimeout`; zero waits as long as it takes (T-1).
pub async fn connect(address: &Address, limit: u32) -> Result<Stream, Failure> {
    let work = attempt(address);
    if limit == 0 {
        return work.await;
    }
    let deadline = Instant::now() + Duration::from_secs(limit.into());
    timeout_at(deadline, work).await.unwrap_or(Err(Failure::ConnectTimeout(limit)))
}

async fn attempt(address: &Address) -> Result<Stream, Failure> {
    match address {
        Address::Unix(path) => {
            use std::os::unix::ffi::OsStrExt;
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            let mut pause = FULL_FIRST;
            loop {
                match Unix::connect(path) {
                    Ok(stream) => return Ok(Stream::Unix(stream)),
                    // The queue of the socket is full: a blocking connect would wait.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        sleep(pause).await;
                        pause = (pause * 2).min(FULL_MOST);
                    }
                    Err(error) => return Err(Failure::Connect(os_error(&error))),
                }
            }
        }
        Address::Tcp(addresses) => tcp(addresses).await,
    }
}

async fn tcp(addresses: &[SocketAddr]) -> Result<Stream, Failure> {
    let mut last = Failure::Connect(OsError::not_found());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without it small records would wait for each other; a socket that
                // cannot have it works all the same.
                let _ = stream.set_nodelay(true);
                return Ok(Stream::Tcp(stream));
            }
            Err(error) => last = Failure::Connect(os_error(&error)),
        }
    }
    Err(last)
}

impl Stream {
    /// Has nothing come in since the last read? What an application says without being
    /// asked is its goodbye.
    pub fn is_quiet(&self) -> bool {
        match self {
            Stream::Unix(stream) => stream.is_quiet(),
            Stream::Tcp(stream) => {
                let read = stream.try_read(&mut [0]);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }

    /// The same connection for this thread's reactor.
    pub fn moved(self) -> io::Result<Stream> {
        Ok(match self {
            Stream::Unix(stream) => Stream::Unix(stream.moved()?),
            Stream::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream.into_std()?)?),
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
