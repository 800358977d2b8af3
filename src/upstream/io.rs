//! The socket of an upstream as hyper sees it: it tells whether anything moves.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::fcgi::connect::Stream;

/// A connection to an upstream: as it is, or over TLS.
pub type Line = Either<Stream, Box<TlsStream<Stream>>>;

/// A socket, and whether bytes went through it since somebody looked.
#[derive(Debug)]
pub struct Watched {
    stream: Line,
    moved: Rc<Cell<Moved>>,
}

/// What has moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    /// Anything, since it was asked last.
    pub lately: bool,
    /// Something has been read.
    pub heard: bool,
}

impl Watched {
    /// Around a connected socket.
    pub fn new(stream: Line) -> (Watched, Rc<Cell<Moved>>) {
        let moved = Rc::new(Cell::new(Moved::default()));
        (Watched { stream, moved: moved.clone() }, moved)
    }

    /// The socket.
    pub fn into_inner(self) -> Line {
        self.stream
    }

    fn note(&self, read: bool) {
        let heard = self.moved.get().heard || read;
        self.moved.set(Moved { lately: true, heard });
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.note(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.note(false);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bufs))?;
        this.note(false);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
