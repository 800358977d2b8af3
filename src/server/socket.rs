//! The client's socket as hyper sees it: counted, timed, and where httpd does something
//! that hyper does not, put right on its way out. Longer than others: reading and writing
//! share its state.
//!
//! - `KeepAliveTimeout` between requests, `Timeout` within one.
//! - What hyper answers by itself to a request that it cannot parse gets httpd's page.
//! - Heads of responses are this server's own, and say its own version, as httpd's do.
//! - A response of `-nph` goes past hyper altogether.
//! - A large file goes past it too: hyper counts bytes that stand for it, and here they
//!   become sendfile(2).

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use directives::modules::reqtimeout::Stage;
use directives::modules::ssl::Security;
use directives::modules::status::{Connection, State};
use directives::request::Connection as Facts;
use nix::libc;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use super::file::STANDS_FOR_FILE;
use super::finish::Finished;
use super::head;
use super::refused::{Refusal, page};
use super::request_line::{HeadReader, Seen};
use super::scoreboard::{Record, Tally};
use super::streams::Streams;
use super::upgrade::Beginning;
use super::wire::{Opened, Wire};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the first byte of a request.
    Idle,
    /// Reading a request's head.
    Head,
    /// A request is being answered.
    Busy,
    /// The last response has been sent.
    Closing,
}

/// What the socket and the requests on it share.
#[derive(Debug)]
pub struct Shared {
    /// The socket.
    pub stream: TcpStream,
    /// TLS between it and hyper.
    pub wire: Option<RefCell<Wire>>,
    /// How the connection is secured.
    pub security: Security,
    /// HTTP/2's streams; unset with HTTP/1.
    pub streams: OnceCell<Streams>,
    /// The client asked for HTTP/2, and has been told that it gets it.
    pub changes: RefCell<Option<Box<Beginning>>>,
    /// HTTP/2: nothing has come for so long that the connection is to be ended.
    pub idle: Notify,
    /// What goes on.
    pub phase: Cell<Phase>,
    /// Requests that have been read.
    pub requests: Cell<u32>,
    /// What the latest of them knows of the connection.
    pub connection: RefCell<Option<Arc<Facts>>>,
    /// Bytes sent.
    pub written: Cell<u64>,
    /// Bytes received.
    pub read: Cell<u64>,
    /// What stands for the head of hyper's that comes next: see [`head`].
    pub our_head: RefCell<Option<Vec<u8>>>,
    /// hyper has written what it has not sent yet.
    unsent: Cell<bool>,
    /// Who waits until it is.
    waiting: RefCell<Option<Waker>>,
    /// What hyper writes is dropped: the response goes past it.
    pub raw: Cell<bool>,
    /// All of the request is there: what comes is the next one.
    pub is_whole: Cell<bool>,
    /// Somebody works for the client, and is told if it goes away: see
    /// [`Shared::poll_gone`].
    pub watched: Cell<bool>,
    /// More has come of it than the request at hand.
    has_more: Cell<bool>,
    /// hyper gets nothing to read: the protocol may change.
    pub tunnel: Cell<bool>,
    /// The timeout for the next request on a kept connection.
    pub keep_alive_timeout: Cell<Duration>,
    /// The timeout within a request.
    pub timeout: Cell<Duration>,
    /// The time for a request's head: `RequestReadTimeout header=`.
    pub head_stage: Cell<Option<Stage>>,
    /// When the head at hand began to come, and how much of it is there, bytes.
    head: Cell<(Instant, u64)>,
    /// What has come of the next request's head.
    pub reader: RefCell<HeadReader>,
    /// A request that nobody but hyper has seen was answered.
    pub refused: Cell<Option<Refusal>>,
    /// A head did not come in time.
    pub is_overdue: Cell<bool>,
    /// Requests whose responses are complete, to be logged once they are sent.
    pub finished: RefCell<Vec<Finished>>,
    /// Pieces of files, in the order in which bytes of [`STANDS_FOR_FILE`] are written:
    /// file, offset, length.
    pub files: RefCell<VecDeque<(Rc<File>, u64, usize)>>,
    /// What the scoreboard says of it.
    pub record: RefCell<Record>,
    client: SocketAddr,
    tally: Arc<Tally>,
    /// The `Server` field of what is answered without a request.
    banner: Bytes,
}

impl Shared {
    /// Around an accepted socket.
    pub fn new(
        stream: TcpStream,
        opened: Opened,
        client: SocketAddr,
        tally: Arc<Tally>,
        timeout: Duration,
        banner: Bytes,
    ) -> Rc<Shared> {
        let (read, written) = opened.bytes;
        Rc::new(Shared {
            stream,
            wire: opened.wire.map(RefCell::new),
            security: opened.security,
            streams: OnceCell::new(),
            changes: RefCell::default(),
            idle: Notify::new(),
            phase: Cell::new(Phase::Idle),
            requests: Cell::new(0),
            connection: RefCell::default(),
            written: Cell::new(written),
            read: Cell::new(read),
            our_head: RefCell::new(None),
            unsent: Cell::new(false),
            waiting: RefCell::new(None),
            raw: Cell::new(false),
            is_whole: Cell::new(false),
            watched: Cell::new(false),
            has_more: Cell::new(false),
            tunnel: Cell::new(false),
            keep_alive_timeout: Cell::new(timeout),
            timeout: Cell::new(timeout),
            head_stage: Cell::new(None),
            head: Cell::new((Instant::now(), 0)),
            reader: RefCell::default(),
            refused: Cell::new(None),
            is_overdue: Cell::new(false),
            finished: RefCell::default(),
            files: RefCell::default(),
            record: RefCell::default(),
            client,
            tally,
            banner,
        })
    }

    /// May pieces of files go past hyper?
    pub fn sends_files(&self) -> bool {
        self.wire.is_none() && self.streams.get().is_none()
    }

    async fn drain_wire(&self, wire: &RefCell<Wire>) -> io::Result<()> {
        loop {
            self.count_written(wire.borrow_mut().send(&self.stream)?);
            if !wire.borrow().wants_to_send() {
                return Ok(());
            }
            self.stream.writable().await?;
        }
    }

    fn count_written(&self, n: usize) {
        self.written.set(self.written.get() + n as u64);
    }

    /// Writes past hyper, all of it.
    pub async fn write_raw(&self, mut bytes: &[u8]) -> io::Result<()> {
        if let Some(wire) = &self.wire {
            while !bytes.is_empty() {
                let n = wire.borrow_mut().write(&[IoSlice::new(bytes)])?;
                bytes = &bytes[n..];
                self.drain_wire(wire).await?;
            }
            return Ok(());
        }
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(n) => {
                    bytes = &bytes[n..];
                    self.count_written(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads past hyper; 0 is the end.
    pub async fn read_raw(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            let read = match &self.wire {
                Some(wire) => Socket::read_wire(self, wire, &mut ReadBuf::new(buffer)),
                None => self.stream.try_read(buffer).inspect(|n| {
                    self.read.set(self.read.get() + *n as u64);
                }),
            };
            match read {
                Ok(n) => return Ok(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says past hyper that nothing follows: TLS's own word first, which tells an end from
    /// a connection that was cut.
    pub async fn end_raw(&self) -> io::Result<()> {
        if let Some(wire) = &self.wire {
            wire.borrow_mut().say_end();
            self.drain_wire(wire).await?;
        }
        SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write)
    }

    /// Sends what goes in one packet with the beginning of the file that follows: the client
    /// is not woken for a head alone.
    fn send_before_file(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.try_io(Interest::WRITABLE, || {
            let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
            SockRef::from(&self.stream).send_vectored_with_flags(bufs, flags)
        })
    }

    /// Sends some of the first piece of a file, `most` bytes of it.
    fn send_file(&self, most: usize) -> io::Result<usize> {
        let mut files = self.files.borrow_mut();
        let Some((file, offset, left)) = files.front_mut() else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut at = *offset as i64;
        let sent = self.stream.try_io(Interest::WRITABLE, || {
            let wanted = most.min(*left);
            Ok(nix::sys::sendfile::sendfile(
                &self.stream,
                &**file,
                Some(&mut at),
                wanted,
            )?)
        })?;
        if sent == 0 {
            // The file became shorter: what its length said cannot come any more.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *offset += sent as u64;
        *left -= sent;
        if *left == 0 {
            files.pop_front();
        }
        Ok(sent)
    }

    /// The time that is left for the head that is coming.
    fn head_left(&self) -> Duration {
        match self.head_stage.get() {
            Some(stage) => {
                let (since, bytes) = self.head.get();
                stage.allows(bytes).saturating_sub(since.elapsed())
            }
            None => Duration::MAX,
        }
    }

    /// Takes note of so many bytes that were read before a request was known.
    fn head_grows(&self, new: usize) {
        if self.head_stage.get().is_none() {
            return;
        }
        let is_first = self.phase.get() == Phase::Idle;
        // The first request's time began with the connection.
        if is_first && self.requests.get() > 0 {
            self.head.set((Instant::now(), 0));
        }
        let (since, bytes) = self.head.get();
        self.head.set((since, bytes + new as u64));
    }

    /// Tells a client that its request did not come in time; without a whole first line it
    /// would not understand.
    pub async fn refuse_overdue(&self) {
        let (mut refusal, page) = page(b"HTTP/1.1 408 ", &self.banner);
        if self.reader.borrow().has_line() {
            let _ = self.write_raw(&page).await;
        } else {
            (refusal.body, refusal.total) = (0, 0);
        }
        self.refused.set(Some(refusal));
    }

    /// Ready when a client that is watched has gone away: its connection has broken, or
    /// has ended on its side, and nothing that it sent is left. What it sends is left alone.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        while self.watched.get() && !self.tunnel.get() && !self.has_more.get() {
            if ready!(self.stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            let is_there = match &self.wire {
                None => self.stream.try_io(Interest::READABLE, || {
                    let mut byte = [MaybeUninit::uninit()];
                    Ok(SockRef::from(&self.stream).peek(&mut byte)? > 0)
                }),
                Some(wire) => self.hear(&mut wire.borrow_mut()),
            };
            match is_there {
                // The next request: nothing more can be seen behind it.
                Ok(true) => self.watched.set(false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(false) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// [`Wire::is_heard`], with what is in the socket.
    fn hear(&self, wire: &mut Wire) -> io::Result<bool> {
        loop {
            match wire.is_heard() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                known => return known,
            }
            let n = wire.receive(&self.stream)?;
            self.read.set(self.read.get() + n as u64);
        }
    }

    /// Ready when hyper has sent what it has written.
    pub fn poll_sent(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.unsent.get() {
            return Poll::Ready(());
        }
        self.waiting.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn all_sent(&self) {
        if self.unsent.replace(false)
            && let Some(waiting) = self.waiting.take()
        {
            waiting.wake();
        }
    }

    /// Logs what has been sent.
    fn log(&self, aborted: bool) {
        let mut finished = self.finished.take();
        for request in finished.drain(..) {
            self.log_one(request, self.written.get(), aborted);
        }
        let mut next = self.finished.borrow_mut();
        if next.is_empty() {
            // The same room will do.
            *next = finished;
        }
    }

    /// Logs one request, behind which the connection has sent so many bytes.
    pub fn log_one(&self, request: Finished, written: u64, aborted: bool) {
        let (bytes, micros) = request.log(written, aborted);
        self.record.borrow_mut().end(&self.tally, bytes, micros);
    }

    /// For whoever looks at the scoreboard.
    pub fn shown(&self, now: i64) -> Connection {
        let state = match self.phase.get() {
            Phase::Idle if self.requests.get() > 0 => State::KeepAlive,
            Phase::Idle => State::Waiting,
            Phase::Head => State::Reading,
            Phase::Busy => State::Writing,
            Phase::Closing => State::Closing,
        };
        Connection {
            client: self.client.ip().to_canonical().to_string(),
            accesses: self.requests.get(),
            bytes: self.written.get(),
            ..self.record.borrow().shown(state, now)
        }
    }
}

/// The socket for hyper.
pub struct Socket {
    shared: Rc<Shared>,
    timer: Pin<Box<Sleep>>,
    armed: bool,
    /// Writing waits for the client, whose clock it is then.
    blocked: bool,
    /// Bytes of our own that stand for hyper's.
    instead: Vec<u8>,
    sent_instead: usize,
    /// What came and is not for hyper yet: see [`Seen`].
    behind: BytesMut,
    /// For so many of hyper's next bytes.
    replaced: usize,
}

impl Socket {
    /// Over what is shared.
    pub fn new(shared: Rc<Shared>) -> Socket {
        let timer = Box::pin(sleep_until(Instant::now()));
        Socket {
            shared,
            timer,
            armed: false,
            blocked: false,
            instead: Vec::new(),
            sent_instead: 0,
            behind: BytesMut::new(),
            replaced: 0,
        }
    }

    /// Pending, until time is up.
    fn wait(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        if !self.armed {
            self.armed = true;
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        self.timer.as_mut().poll(cx)
    }

    fn poll_raw_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.shared.wire.is_some() {
            return self.poll_wire_write(cx, bufs);
        }
        let start = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(0);
        let bufs = &bufs[start..];
        loop {
            ready!(self.poll_room(cx))?;
            let plain = bufs.iter().position(|buf| stands_for_file(buf));
            let result = match plain {
                Some(0) => self.shared.send_file(bufs[0].len()),
                Some(n) => self.shared.send_before_file(&bufs[..n]),
                None => self.shared.stream.try_write_vectored(bufs),
            };
            match result {
                Ok(n) => {
                    self.armed = false;
                    self.shared.count_written(n);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when there is room in the socket, or when time is up.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shared.stream.poll_write_ready(cx) {
            Poll::Ready(ready) => {
                self.blocked = false;
                Poll::Ready(ready)
            }
            Poll::Pending => {
                if !std::mem::replace(&mut self.blocked, true) {
                    // With HTTP/2 somebody may be waiting for the client at the same time.
                    self.armed = false;
                }
                let limit = self.shared.timeout.get();
                ready!(self.wait(cx, limit));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Ready when TLS has nothing left to send.
    fn poll_wire_drained(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = self.shared.clone();
        let Some(wire) = &shared.wire else { return Poll::Ready(Ok(())) };
        loop {
            let n = wire.borrow_mut().send(&shared.stream)?;
            if n > 0 {
                self.armed = false;
                shared.count_written(n);
            }
            if !wire.borrow().wants_to_send() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_room(cx))?;
        }
    }

    fn poll_wire_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What was taken before goes first: so no more than rustls' buffer ever waits.
        ready!(self.poll_wire_drained(cx))?;
        let shared = self.shared.clone();
        let Some(wire) = &shared.wire else { return Poll::Ready(Ok(0)) };
        let taken = wire.borrow_mut().write(bufs)?;
        let sent = wire.borrow_mut().send(&shared.stream)?;
        shared.count_written(sent);
        Poll::Ready(Ok(taken))
    }

    /// Plain text for hyper. `WouldBlock` if the socket has nothing more.
    fn read_wire(
        shared: &Shared,
        wire: &RefCell<Wire>,
        buf: &mut ReadBuf<'_>,
    ) -> io::Result<usize> {
        let mut wire = wire.borrow_mut();
        loop {
            match wire.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            let n = wire.receive(&shared.stream)?;
            shared.read.set(shared.read.get() + n as u64);
            // Answers of TLS's own; what there is no room for goes with the next words.
            shared.count_written(wire.send(&shared.stream)?);
        }
    }

    /// The client says nothing: for HTTP/1 it has gone, so that hyper closes without a
    /// word. HTTP/2 has words for that.
    fn give_up(&mut self) -> bool {
        let shared = &self.shared;
        let tells =
            shared.streams.get().is_some() && shared.phase.get() != Phase::Closing;
        if tells {
            shared.phase.set(Phase::Closing);
            shared.idle.notify_one();
            self.armed = false;
        }
        !tells
    }

    /// Sends what stands for hyper's bytes, and what is behind them.
    fn poll_instead(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let instead = std::mem::take(&mut self.instead);
        let accepted = loop {
            let ours = &instead[self.sent_instead..];
            let mut slices = [IoSlice::new(&[]); 16];
            slices[0] = IoSlice::new(ours);
            let (mut skipped, mut count) = (self.replaced, 1);
            for buf in bufs {
                let skip = skipped.min(buf.len());
                skipped -= skip;
                if skip < buf.len() && count < slices.len() {
                    slices[count] = IoSlice::new(&buf[skip..]);
                    count += 1;
                }
            }
            match self.poll_raw_write(cx, &slices[..count]) {
                // To try again would be to try for ever.
                Poll::Ready(Ok(0)) => break Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) if n < ours.len() => self.sent_instead += n,
                Poll::Ready(Ok(n)) => break Ok(n - ours.len() + self.replaced),
                other => {
                    self.instead = instead;
                    return other;
                }
            }
        };
        (self.sent_instead, self.replaced) = (0, 0);
        head::put(instead);
        Poll::Ready(accepted)
    }
}

/// Where bytes go that came from a client of HTTP/1.
enum For {
    /// To hyper, as they are.
    Hyper,
    /// To hyper, once they were looked at.
    Reader,
    /// Nowhere, until the request at hand is answered.
    Later,
}

impl Socket {
    /// What came and nobody has read, when hyper is done.
    pub fn into_behind(mut self) -> BytesMut {
        std::mem::take(&mut self.behind)
    }

    fn goes_to(&self) -> For {
        let shared = &self.shared;
        match shared.phase.get() {
            _ if shared.streams.get().is_some() => For::Hyper,
            Phase::Idle | Phase::Head => For::Reader,
            Phase::Busy if shared.is_whole.get() => For::Later,
            Phase::Busy | Phase::Closing => For::Hyper,
        }
    }

    /// Looks at bytes of a head, so many of which are new.
    fn look(&self, bytes: &mut [u8], new: usize) -> Seen {
        let shared = &self.shared;
        shared.head_grows(new);
        let mut reader = shared.reader.borrow_mut();
        if shared.phase.get() == Phase::Idle {
            reader.reset();
            shared.phase.set(Phase::Head);
        }
        reader.read(bytes)
    }

    /// What was read into `buf`, behind `before`: the last `new` bytes were not there before.
    fn sort(&mut self, buf: &mut ReadBuf<'_>, before: usize, new: usize) {
        let bytes = &mut buf.filled_mut()[before..];
        let (taken, kept) = match self.goes_to() {
            For::Hyper => return,
            For::Reader => {
                let seen = self.look(bytes, new);
                (seen.taken, seen.kept)
            }
            For::Later => (0, 0),
        };
        if taken < bytes.len() || !self.behind.is_empty() {
            self.behind.clear();
            self.behind.extend_from_slice(&bytes[taken..]);
            self.shared.has_more.set(!self.behind.is_empty());
        }
        buf.set_filled(before + kept);
    }

    /// Gives hyper some of what came before. `None` if there is nothing for it: more has to
    /// come first.
    fn read_behind(&mut self, buf: &mut ReadBuf<'_>) -> Option<Poll<()>> {
        let mut behind = std::mem::take(&mut self.behind);
        let n = behind.len().min(buf.remaining());
        let seen = match self.goes_to() {
            For::Hyper => Seen { taken: n, kept: n },
            For::Reader => {
                // The end of a line has been counted.
                let is_first = self.shared.phase.get() == Phase::Idle;
                self.look(&mut behind[..n], if is_first { n } else { 0 })
            }
            For::Later => {
                self.behind = behind;
                return Some(Poll::Pending);
            }
        };
        buf.put_slice(&behind[..seen.kept]);
        behind.advance(seen.taken);
        self.shared.has_more.set(!behind.is_empty());
        self.behind = behind;
        (seen.kept > 0).then_some(Poll::Ready(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shared.log(true);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shared = this.shared.clone();
        if shared.tunnel.get() {
            return Poll::Pending;
        }
        loop {
            if !this.behind.is_empty()
                && let Some(read) = this.read_behind(buf)
            {
                return read.map(Ok);
            }
            match shared.stream.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    let limit = match shared.phase.get() {
                        Phase::Idle if shared.requests.get() > 0 => {
                            shared.keep_alive_timeout.get()
                        }
                        Phase::Idle | Phase::Head => {
                            shared.timeout.get().min(shared.head_left())
                        }
                        Phase::Closing if shared.streams.get().is_some() => {
                            shared.timeout.get()
                        }
                        // The application, or the body's own timer, has the turn.
                        Phase::Busy | Phase::Closing => return Poll::Pending,
                    };
                    if this.blocked {
                        return Poll::Pending;
                    }
                    ready!(this.wait(cx, limit));
                    let is_head = match shared.phase.get() {
                        Phase::Idle => shared.requests.get() == 0,
                        phase => phase == Phase::Head,
                    };
                    shared.is_overdue.set(is_head && shared.head_left().is_zero());
                    if this.give_up() {
                        return Poll::Ready(Ok(()));
                    }
                    continue;
                }
            }
            let before = buf.filled().len();
            // The end of a line, if anything.
            buf.put_slice(&this.behind);
            let room = buf.remaining();
            let result = match &shared.wire {
                None => shared.stream.try_read_buf(buf),
                Some(wire) => Socket::read_wire(&shared, wire, buf),
            };
            match result {
                Ok(n) if n > 0 => this.sort(buf, before, n),
                _ => buf.set_filled(before),
            }
            match result {
                Ok(n) => {
                    if shared.wire.is_none() {
                        if n > 0 && n < room {
                            // All that was there: the next read would only be told so.
                            let none = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                            let _ = shared.stream.try_io(Interest::READABLE, none);
                        }
                        shared.read.set(shared.read.get() + n as u64);
                    }
                    this.armed = false;
                    if n == 0 || buf.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.replaced > 0 {
            return this.poll_instead(cx, bufs);
        }
        let shared = this.shared.clone();
        if shared.raw.get() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let first = bufs.iter().find(|buf| !buf.is_empty());
        let Some(first) = first else { return Poll::Ready(Ok(0)) };
        shared.unsent.set(true);
        let ours = shared.our_head.take();
        if let Some(mut ours) = ours {
            let Some(replaced) = head::complete(&mut ours, first) else {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            };
            (this.instead, this.replaced) = (ours, replaced);
        } else if shared.phase.get() == Phase::Head && first.starts_with(b"HTTP/1.") {
            // Nobody was asked: this is hyper's own word for a request that is none.
            let (refusal, page) = page(first, &shared.banner);
            (this.instead, this.replaced) = (page, first.len());
            shared.refused.set(Some(refusal));
            shared.raw.set(true);
        }
        if this.replaced > 0 {
            return this.poll_instead(cx, bufs);
        }
        this.poll_raw_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_wire_drained(cx))?;
        this.shared.all_sent();
        this.shared.log(false);
        if this.shared.streams.get().is_none()
            && this.shared.phase.get() == Phase::Idle
            && this.shared.requests.get() > 0
        {
            // hyper does not read again before something comes: the clock starts here.
            this.armed = false;
            let _ = this.wait(cx, this.shared.keep_alive_timeout.get());
            if !this.behind.is_empty() {
                // The next request has come already.
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(wire) = &this.shared.wire {
            wire.borrow_mut().say_end();
        }
        ready!(this.poll_wire_drained(cx))?;
        this.shared.log(false);
        let socket = SockRef::from(&this.shared.stream);
        // A client that has gone already cannot be told.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

/// Are these the bytes that stand for a file's? Known by their place in memory.
fn stands_for_file(bytes: &[u8]) -> bool {
    let all = STANDS_FOR_FILE.as_ptr_range();
    !bytes.is_empty() && all.contains(&bytes.as_ptr())
}
