//! A connection by Unix socket, with as few wakings as there can be: each costs whoever causes
//! it some microseconds, and whoever is woken for nothing as many.
//!
//! - To take an answer wakes an application that waits for its next request in `read(2)`: Linux
//!   tells it that there is room for another answer (`unix_write_space`). So what is expected
//!   to be a whole answer is only looked at (`MSG_PEEK`), and taken after the next request has
//!   been sent, when the application is awake anyway.
//! - The same happens to us when the application reads a request, as long as the reactor asks
//!   for room to write. It does so only of a connection that once had none.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::link::registered;

/// The longest answer that is looked at, bytes.
pub const LOOK: usize = 8 * 1024;
/// The most that the first read of an answer gets, bytes.
const FIRST: usize = 16 * 1024;

thread_local! {
    /// What a look sees, and a first read gets: most answers are shorter than the room that a
    /// read would have to be made ready.
    static SEEN: RefCell<Box<[u8]>> = RefCell::new(vec![0; FIRST].into());
}

/// A connected socket.
#[derive(Debug)]
pub struct Unix {
    socket: AsyncFd<OwnedFd>,
    /// The reactor tells of room to write, too.
    tells_room: bool,
    /// What of an answer has been looked at and not been taken, bytes.
    left: usize,
    /// The last answer came in one short piece.
    brief: bool,
}

impl Unix {
    /// Without waiting: a Unix socket connects at once or not at all.
    pub fn connect(path: &Path) -> io::Result<Unix> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::UNIX, kind, None)?;
        socket.connect(&SockAddr::unix(path)?)?;
        let socket = registered(socket.into(), Interest::READABLE)?;
        Ok(Unix { socket, tells_room: false, left: 0, brief: false })
    }

    /// The same connection for this thread's reactor.
    pub fn moved(mut self) -> io::Result<Unix> {
        let copy = self.socket.get_ref().try_clone()?;
        let socket = registered(copy, Interest::READABLE)?;
        let left = std::mem::take(&mut self.left);
        Ok(Unix { socket, tells_room: false, left, brief: self.brief })
    }

    /// Has nothing come in since the last read or look, and is the connection open?
    pub fn is_quiet(&self) -> bool {
        // What has been seen may be told again, and an end stays one.
        let nothing_new = |n| {
            if n == self.left { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        };
        let stirs = |look: &dyn Fn() -> io::Result<()>| match self
            .socket
            .try_io(Interest::READABLE, |_| look())
        {
            Ok(()) => true,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        let look = || self.look(false, <[u8]>::len).and_then(nothing_new);
        !stirs(&look) && !stirs(&|| Ok(()))
    }

    /// All of the answer has come; it was in one piece, and a short one, or not.
    pub fn answered(&mut self, brief: bool) {
        self.brief = brief;
        if self.left > 0 {
            // The reactor is to say when something follows.
            let nothing = |_: &OwnedFd| Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.socket.try_io(Interest::READABLE, nothing);
        }
    }

    fn receive(&self, into: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        let socket = self.socket.as_raw_fd();
        Ok(recv(socket, into, flags | MsgFlags::MSG_DONTWAIT)?)
    }

    /// Shows what has come to `with`, and takes it or leaves it there. One byte more than is
    /// to be left shows that there is more.
    fn look<T>(&self, takes: bool, with: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let (most, flags) = if takes {
            (FIRST, MsgFlags::empty())
        } else {
            (LOOK + 1, MsgFlags::MSG_PEEK)
        };
        SEEN.with_borrow_mut(|seen| {
            let n = self.receive(&mut seen[..most], flags)?;
            Ok(with(&seen[..n]))
        })
    }

    /// The first read of an answer: copies what has come behind `input`; says how much it is, in
    /// bytes. At the end there is nothing. After a short answer another one is expected, and not
    /// taken: that is to be done ([`take_left`](Unix::take_left)) before anything else is read.
    ///
    /// # Errors
    ///
    /// Those of `recv(2)`; and nothing is shown twice, which would be another request's.
    pub fn poll_first(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        self.nothing_left()?;
        let takes = !self.brief;
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let copy = |seen: &[u8]| {
                input.extend_from_slice(seen);
                seen.len()
            };
            let Ok(n) = ready.try_io(|_| self.look(takes, copy)) else { continue };
            let n = n?;
            if takes && n > 0 && n < FIRST {
                ready.clear_ready();
            }
            drop(ready);
            if !takes {
                self.left = n;
            }
            if n > LOOK {
                self.take_left()?;
            }
            return Poll::Ready(Ok(n));
        }
    }

    /// Is there nothing of an answer that has been read already? It belongs to who has asked
    /// for it.
    fn nothing_left(&self) -> io::Result<()> {
        if self.left == 0 { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    /// Takes what has been looked at.
    pub fn take_left(&mut self) -> io::Result<()> {
        let left = std::mem::take(&mut self.left);
        if left == 0 {
            return Ok(());
        }
        let taken = SEEN
            .with_borrow_mut(|seen| self.receive(&mut seen[..left], MsgFlags::empty()))?;
        if taken == left { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Drop for Unix {
    /// An end that is closed with something in it is a broken connection for the other one.
    fn drop(&mut self) {
        let _ = self.take_left();
    }
}

impl AsyncRead for Unix {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.nothing_left()?;
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            let size = room.len();
            let Ok(n) = ready.try_io(|_| self.receive(room, MsgFlags::empty())) else {
                continue;
            };
            let n = n?;
            // There was no more than that.
            if n > 0 && n < size {
                ready.clear_ready();
            }
            buf.advance(n);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Unix {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.socket.get_ref()).shutdown(Shutdown::Write))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = loop {
            if this.tells_room {
                let mut ready = ready!(this.socket.poll_write_ready(cx))?;
                match ready.try_io(|socket| send(socket.get_ref(), bufs)) {
                    Ok(sent) => break sent?,
                    Err(_) => continue,
                }
            }
            match send(this.socket.get_ref(), bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let copy = this.socket.get_ref().try_clone()?;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    this.socket = registered(copy, both)?;
                    this.tells_room = true;
                }
                sent => break sent?,
            }
        };
        this.take_left()?;
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

fn send(socket: &OwnedFd, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
    SockRef::from(socket).send_vectored(bufs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream as Application};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A connection, and the application's end of it.
    fn connected() -> (Unix, Application) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let unix = Unix::connect(&path).unwrap();
        (unix, listener.accept().unwrap().0)
    }

    /// The same, after a short answer.
    fn used() -> (Unix, Application) {
        let (mut unix, application) = connected();
        unix.answered(true);
        (unix, application)
    }

    async fn first(unix: &mut Unix) -> io::Result<Vec<u8>> {
        let mut input = BytesMut::new();
        poll_fn(|cx| unix.poll_first(cx, &mut input)).await?;
        Ok(input.to_vec())
    }

    #[tokio::test]
    async fn what_was_looked_at_is_taken_with_the_next_request() {
        let (mut unix, mut application) = used();
        for round in 0..3 {
            unix.write_all(b"question").await.unwrap();
            application.read_exact(&mut [0; 8]).unwrap();
            let answer = format!("answer {round}");
            application.write_all(answer.as_bytes()).unwrap();
            assert_eq!(first(&mut unix).await.unwrap(), answer.as_bytes());
            unix.answered(true);
            assert!(unix.is_quiet());
        }
    }

    /// The answer to another request is never shown to this one.
    #[tokio::test]
    async fn nothing_is_shown_twice() {
        let (mut unix, mut application) = used();
        application.write_all(b"answer").unwrap();
        first(&mut unix).await.unwrap();
        unix.answered(true);
        let again = first(&mut unix).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::BrokenPipe);
        let read = unix.read(&mut [0; 16]).await.unwrap_err();
        assert_eq!(read.kind(), ErrorKind::BrokenPipe);
        unix.take_left().unwrap();
        application.write_all(b"next").unwrap();
        assert_eq!(first(&mut unix).await.unwrap(), b"next");
    }

    #[tokio::test]
    async fn what_follows_an_answer_and_its_end_are_noticed() {
        let (mut unix, mut application) = used();
        application.write_all(b"answer").unwrap();
        first(&mut unix).await.unwrap();
        unix.answered(true);
        application.write_all(b"more").unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(!unix.is_quiet());

        let (mut unix, mut application) = used();
        application.write_all(b"answer").unwrap();
        first(&mut unix).await.unwrap();
        unix.answered(true);
        assert!(unix.is_quiet());
        drop(application);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(!unix.is_quiet());
    }

    /// An application that waits for its next request sees the end of a connection, and no
    /// error.
    #[tokio::test]
    async fn it_is_closed_with_nothing_in_it() {
        let (mut unix, mut application) = used();
        application.write_all(b"answer").unwrap();
        first(&mut unix).await.unwrap();
        unix.answered(true);
        let moved = unix.moved().unwrap();
        drop(moved);
        assert_eq!(application.read(&mut [0; 16]).unwrap(), 0);
    }

    #[tokio::test]
    async fn after_a_long_answer_what_comes_is_taken() {
        let (mut unix, mut application) = connected();
        for answer in [&b"answer"[..], b"another"] {
            application.write_all(answer).unwrap();
            assert_eq!(first(&mut unix).await.unwrap(), answer);
            unix.answered(false);
        }
    }

    #[tokio::test]
    async fn long_answers_are_taken_at_once() {
        let (mut unix, mut application) = used();
        application.write_all(&[b'x'; LOOK + 100]).unwrap();
        assert_eq!(first(&mut unix).await.unwrap().len(), LOOK + 1);
        let mut rest = [0; 200];
        assert_eq!(unix.read(&mut rest).await.unwrap(), 99);
    }

    /// What does not fit waits until the application reads.
    #[tokio::test]
    async fn a_long_request_goes_out_as_it_is_read() {
        let (mut unix, mut application) = used();
        let size = 4 << 20;
        let reading = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let mut all = vec![0; size];
            application.read_exact(&mut all).unwrap();
            application.write_all(b"answer").unwrap();
            all.iter().all(|byte| *byte == b'q')
        });
        unix.write_all(&vec![b'q'; size]).await.unwrap();
        assert!(unix.tells_room);
        assert_eq!(first(&mut unix).await.unwrap(), b"answer");
        assert!(reading.join().unwrap());
    }
}
