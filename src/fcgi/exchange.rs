//! One request on one connection, both ways at once: what is to be sent goes out as the
//! application takes it, and what it answers comes in meanwhile. Nobody waits for the
//! other, so an application that answers before it has read everything cannot block us.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use directives::effect::Failure;
use directives::log::{Level, Line};
use directives::modules::fcgid;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::connect::Stream;
use super::pool::Lease;
use super::record::{Decoder, MAX_CONTENT, Record, header, kind};
use super::spare;
use super::stderr::{Said, Stderr};
use super::unix::LOOK;
use crate::disk::os_error;
use crate::server::apps::Usage;
use crate::server::request_body::RequestBody;
use crate::server::spin::Awaited;

/// The most of the body that waits to be sent, bytes.
const SEND_AHEAD: usize = 64 * 1024;
/// The least room for a read, bytes.
const READ_ROOM: usize = 16 * 1024;
/// The most room for a read, bytes.
const READ_MOST: usize = 256 * 1024;

/// What comes of an exchange.
#[derive(Debug)]
pub enum Event {
    /// A piece of the response.
    Stdout(Bytes),
    /// The end.
    End,
}

/// In whose words the log is told of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// mod_fastcgi's.
    FastCgi,
    /// mod_fcgid's.
    Fcgid,
    /// mod_proxy_fcgi's.
    Upstream,
}

/// An exchange under way.
#[derive(Debug)]
pub struct Exchange {
    /// The connection; `None` once it was given back, or all of the answer is here.
    stream: Option<Stream>,
    lease: Option<Lease>,
    /// What goes out before all that is in `out`, and how much of it has gone.
    front: Vec<u8>,
    front_sent: usize,
    out: VecDeque<Bytes>,
    /// Bytes of both that are still to go.
    queued: usize,
    body: RequestBody,
    /// The end of FCGI_STDIN has been put into the queue.
    stdin_ended: bool,
    /// The application takes no more: nothing further is sent.
    deaf: bool,
    input: BytesMut,
    decoder: Decoder,
    ended: bool,
    /// END_REQUEST came, and nothing of the request is left to send.
    clean: bool,
    /// The connection was used before.
    reused: bool,
    /// How often something came.
    reads: u32,
    stderr: Stderr,
    idle: Duration,
    /// `None` once it was given back.
    timer: Option<Pin<Box<Sleep>>>,
    /// The limit until the first byte, where it is another one.
    first: Option<Duration>,
    armed: bool,
    /// The application's name for the log.
    name: Bytes,
    /// In whose words the log is told of it.
    voice: Voice,
    /// Lines for the log.
    pub lines: Vec<Line>,
    /// Bytes of FCGI_STDOUT so far.
    pub received: u64,
    /// Counts for the application.
    pub usage: Usage,
    read_size: usize,
    /// `None` once it was given back.
    awaited: Option<Awaited>,
}

impl Exchange {
    /// Begins with the encoded opening and the request's body.
    pub fn new(
        stream: Stream,
        lease: Option<Lease>,
        opening: Vec<u8>,
        body: RequestBody,
        idle: u32,
        name: Bytes,
        usage: Usage,
    ) -> Exchange {
        let reused = lease.as_ref().is_some_and(Lease::is_reused);
        let idle = Duration::from_secs(idle.into());
        Exchange {
            stream: Some(stream),
            lease,
            queued: opening.len(),
            front: opening,
            front_sent: 0,
            out: VecDeque::new(),
            body,
            stdin_ended: false,
            deaf: false,
            input: spare::buffer(),
            decoder: Decoder::default(),
            ended: false,
            clean: false,
            reused,
            reads: 0,
            stderr: Stderr::default(),
            idle,
            timer: None,
            first: None,
            armed: false,
            name,
            voice: Voice::FastCgi,
            lines: Vec::new(),
            received: 0,
            usage,
            read_size: READ_ROOM,
            awaited: Some(Awaited::begin()),
        }
    }

    /// The limit of silence until the first byte of a dynamic application, which the
    /// original looks at each `-startDelay` only (T-6, section 9.6).
    pub fn wait_first(&mut self, start_delay: u32) {
        let idle = self.idle.as_secs() as u32;
        let checks = (idle + 1).div_ceil(start_delay.max(1));
        let limit = Duration::from_secs((checks * start_delay).into());
        self.first = Some(limit + Duration::from_millis(100));
    }

    /// What it says to the log is said in these words.
    pub fn speaks(&mut self, voice: Voice) {
        self.voice = voice;
    }

    /// In whose words the log is told of it.
    pub fn voice(&self) -> Voice {
        self.voice
    }

    /// The application's name for the log.
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    /// Was the connection used before? Then its end may have nothing to do with this
    /// request.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Did the connection end before the application said anything? Its process may have
    /// died.
    pub fn ended_silently(&self, failure: &Failure) -> bool {
        let gone =
            matches!(failure, Failure::Incomplete | Failure::Read(_) | Failure::Write(_));
        gone && self.reads == 0
    }

    /// The body, which may not have been read to its end.
    pub fn body_mut(&mut self) -> &mut RequestBody {
        &mut self.body
    }

    /// The next event. After [`Event::End`] there is none.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        if self.ended {
            return Poll::Ready(Ok(Event::End));
        }
        loop {
            let sent = self.poll_send(cx)?;
            match self.take_record() {
                Ok(Some(event)) => {
                    self.armed = false;
                    return Poll::Ready(Ok(event));
                }
                Ok(None) => {}
                Err(failure) => return Poll::Ready(Err(failure)),
            }
            match self.poll_receive(cx) {
                Poll::Ready(Ok(0)) => {
                    // An end without END_REQUEST is an end.
                    self.usage.ended(false);
                    if self.voice == Voice::Fcgid {
                        let line =
                            fcgid::failure_line(&self.name(), &Failure::Incomplete);
                        self.lines.push(line);
                    }
                    self.finish();
                    return Poll::Ready(Ok(Event::End));
                }
                Poll::Ready(Ok(_)) => {
                    self.armed = false;
                    let Err(error) = self.release() else { continue };
                    self.finish();
                    return Poll::Ready(Err(Failure::Read(os_error(&error))));
                }
                Poll::Ready(Err(error)) => {
                    self.finish();
                    return Poll::Ready(Err(Failure::Read(os_error(&error))));
                }
                Poll::Pending => {}
            }
            if sent {
                self.armed = false;
            }
            // Only the application's silence counts: while the client is to send more
            // of its body, it is the client's turn (T-7).
            if !self.stdin_ended && !self.deaf && self.queued == 0 {
                self.armed = false;
                return Poll::Pending;
            }
            ready!(self.poll_silence(cx));
            self.finish();
            return Poll::Ready(Err(Failure::Idle(self.idle.as_secs() as u32)));
        }
    }

    /// Has the application been silent for too long?
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let first = self.first.filter(|_| self.received == 0);
        let timer = match &mut self.timer {
            Some(timer) => timer,
            none => {
                self.armed = first.is_none();
                none.insert(spare::timer(self.idle))
            }
        };
        if !self.armed {
            self.armed = true;
            timer.as_mut().reset(Instant::now() + first.unwrap_or(self.idle));
        }
        timer.as_mut().poll(cx)
    }

    /// Sends what there is, and fetches more of the body. Says whether anything moved.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut moved = false;
        loop {
            // The end goes with the last piece.
            while !self.stdin_ended
                && !self.deaf
                && (self.queued < SEND_AHEAD || self.body.is_at_end())
            {
                match self.body.poll_chunk(cx) {
                    Poll::Ready(Some(Ok(chunk))) => self.queue_stdin(chunk),
                    Poll::Ready(Some(Err(failure))) => {
                        self.finish();
                        return Err(failure);
                    }
                    Poll::Ready(None) => {
                        self.push_header(0);
                        self.stdin_ended = true;
                    }
                    Poll::Pending => break,
                }
            }
            if self.queued == 0 || self.deaf {
                return Ok(moved);
            }
            let mut slices = [IoSlice::new(&[]); 16];
            slices[0] = IoSlice::new(&self.front[self.front_sent..]);
            // An empty slice in front would be one for nothing.
            let first = usize::from(!slices[0].is_empty());
            for (slice, piece) in slices[first..].iter_mut().zip(&self.out) {
                *slice = IoSlice::new(piece);
            }
            let count = (first + self.out.len()).min(slices.len());
            let Some(stream) = &mut self.stream else { return Ok(moved) };
            match Pin::new(stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(Ok(n)) => {
                    moved = true;
                    self.sent(n);
                }
                Poll::Ready(Err(error)) if is_gone(&error) => {
                    // It may have answered all the same.
                    self.deaf = true;
                    self.front.clear();
                    self.front_sent = 0;
                    self.out.clear();
                    self.queued = 0;
                    return Ok(true);
                }
                Poll::Ready(Err(error)) => {
                    self.finish();
                    return Err(Failure::Write(os_error(&error)));
                }
                Poll::Pending => return Ok(moved),
            }
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.queued += bytes.len();
        self.out.push_back(bytes);
    }

    /// The header of a piece of FCGI_STDIN; mostly it goes with what stands in front.
    fn push_header(&mut self, length: usize) {
        let header = header(kind::STDIN, length as u16);
        if !self.out.is_empty() {
            return self.push(Bytes::copy_from_slice(&header));
        }
        if self.front_sent == self.front.len() {
            self.front.clear();
            self.front_sent = 0;
        }
        self.queued += header.len();
        self.front.extend_from_slice(&header);
    }

    fn queue_stdin(&mut self, mut chunk: Bytes) {
        while !chunk.is_empty() {
            let piece = chunk.split_to(chunk.len().min(MAX_CONTENT));
            self.push_header(piece.len());
            self.push(piece);
        }
    }

    fn sent(&mut self, mut n: usize) {
        self.queued -= n;
        let front = n.min(self.front.len() - self.front_sent);
        self.front_sent += front;
        n -= front;
        while n > 0 {
            let Some(front) = self.out.front_mut() else { return };
            if front.len() > n {
                front.advance(n);
                return;
            }
            n -= front.len();
            self.out.pop_front();
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.make_room();
        let n = match &mut self.stream {
            Some(Stream::Unix(unix)) if self.reads == 0 => {
                ready!(unix.poll_first(cx, &mut self.input))?
            }
            _ => ready!(self.poll_read(cx, room))?,
        };
        self.reads += u32::from(n > 0);
        if let Some(awaited) = &self.awaited {
            awaited.heard();
        }
        Poll::Ready(Ok(n))
    }

    /// Room for a read, bytes.
    fn make_room(&mut self) -> usize {
        let mut room = self.input.capacity() - self.input.len();
        if room < self.read_size / 2 {
            self.input.reserve(self.read_size);
            room = self.read_size;
        }
        room.min(self.read_size)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        let mut free = bytes::BufMut::limit(&mut self.input, room);
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(0)) };
        let read = std::pin::pin!(stream.read_buf(&mut free));
        let n = ready!(read.poll(cx))?;
        // A read that filled its room will be followed by more.
        if n == room {
            self.read_size = (self.read_size * 2).min(READ_MOST);
        }
        Poll::Ready(Ok(n))
    }

    /// The next event from what has been read.
    fn take_record(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            match self.decoder.next(&mut self.input) {
                Ok(None) => return Ok(None),
                Ok(Some(Record::Stdout(bytes))) => {
                    if self.received == 0 {
                        self.usage.answered();
                        if let Some(lease) = &mut self.lease {
                            lease.answered();
                        }
                    }
                    self.received += bytes.len() as u64;
                    return Ok(Some(Event::Stdout(bytes)));
                }
                Ok(Some(Record::Stderr(bytes))) => self.hear(&bytes),
                Ok(Some(Record::End)) => {
                    self.usage.ended(true);
                    self.clean =
                        self.stdin_ended && self.queued == 0 && self.input.is_empty();
                    self.finish();
                    return Ok(Some(Event::End));
                }
                Err(why) => {
                    self.finish();
                    return Err(Failure::Protocol(why));
                }
            }
        }
    }

    /// Gives the connection back as soon as all of the answer is here, before anybody has
    /// looked at it: the application's process can begin with the next request meanwhile.
    fn release(&mut self) -> io::Result<()> {
        let has_sent = self.stdin_ended && self.queued == 0;
        let whole = has_sent && matches!(self.decoder.check(&self.input), (_, Ok(true)));
        if let Some(Stream::Unix(unix)) = &mut self.stream {
            if whole {
                unix.answered(self.reads == 1 && self.input.len() <= LOOK);
            } else {
                unix.take_left()?;
            }
        }
        if whole {
            self.awaited = None;
            if let (Some(stream), Some(lease)) = (self.stream.take(), self.lease.take()) {
                lease.keep(stream);
            }
        }
        Ok(())
    }

    fn hear(&mut self, bytes: &[u8]) {
        if self.voice == Voice::Upstream {
            let text = [b"Got error '", bytes, b"'"].concat().into();
            let (level, module, ah) = (Level::Error, "proxy_fcgi", 1071);
            self.lines.push(Line {
                level,
                module,
                ah,
                error: None,
                text,
                of_server: false,
            });
            return;
        }
        let (name, lines) = (&self.name, &mut self.lines);
        let voice = self.voice;
        self.stderr.take(bytes, |said| lines.push(line(name, said, "", voice)));
    }

    /// Is what has been read to its end FastCGI? Asked when the head is whole: an answer that
    /// is none can still become an error then, and nothing of it is sent.
    pub fn look_ahead(&mut self) -> Result<(), Failure> {
        let (more, checked) = self.decoder.check(&self.input);
        let Err(why) = checked else { return Ok(()) };
        self.received += more;
        self.finish();
        Err(Failure::Protocol(why))
    }

    /// It is over: what others can use is given back.
    fn finish(&mut self) {
        self.ended = true;
        self.awaited = None;
        let stream = self.stream.take();
        if let (Some(lease), Some(stream)) = (self.lease.take(), stream)
            && self.clean
        {
            lease.keep(stream);
        }
        // The limit until the first byte is longer than the one that it was taken for.
        if let Some(timer) = self.timer.take()
            && self.first.is_none()
        {
            spare::put_timer(self.idle, timer);
        }
        if self.read_size == READ_ROOM {
            spare::put_buffer(std::mem::take(&mut self.input));
        }
        spare::put_opening(std::mem::take(&mut self.front));
        self.front_sent = 0;
        let (name, lines) = (&self.name, &mut self.lines);
        let voice = self.voice;
        self.stderr.flush(&mut |said| lines.push(line(name, said, "fastcgi", voice)));
    }
}

/// Has the other end stopped reading?
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// A line for the log (section 6.8).
fn line(name: &[u8], said: Said, module: &'static str, voice: Voice) -> Line {
    if let (Voice::Fcgid, Said::Line(text)) = (voice, &said) {
        return fcgid::stderr_line(text);
    }
    let name = String::from_utf8_lossy(name);
    let (level, text) = match said {
        Said::Line(text) => {
            let text = [format!("FastCGI: server \"{name}\" stderr: ").as_bytes(), &text]
                .concat();
            (Level::Error, text)
        }
        Said::TooLong => {
            let text = format!(
                "FastCGI: too much stderr received from server \"{name}\", increase \
                 FCGI_SERVER_MAX_STDERR_LINE_LEN (1023) and rebuild or use \"\\n\" to terminate \
                 lines"
            );
            (Level::Warn, text.into_bytes())
        }
        Said::Null(count) => {
            let text = format!(
                "FastCGI: server \"{name}\" sent a null character in the stderr stream!?, \
                 discarding {count} characters of stderr"
            );
            (Level::Error, text.into_bytes())
        }
    };
    Line { level, module, ah: 0, error: None, text: text.into(), of_server: false }
}
