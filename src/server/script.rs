//! One run of a CGI script: its three pipes. What starts and ends the process is the
//! parent, which is asked for it.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use directives::cgi::{self, Extras};
use directives::effect::Failure;
use directives::log::Line;
use directives::modules::cgi as module;
use directives::modules::include::Command;
use directives::request::Request;
use directives::snapshot::Server;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{Instant, Sleep};

use super::apps::Outbox;
use super::live::Generation;
use super::request_body::RequestBody;
use crate::disk::os_error;
use crate::fcgi::{Event, spare};
use crate::message::{AppKey, Script, ToParent};

/// The room for a read, bytes.
const READ_ROOM: usize = 16 * 1024;
/// The longest line of standard error, bytes: httpd's `HUGE_STRING_LEN`.
const MAX_LINE: usize = 8192;
/// How long the end of standard error is waited for behind the end of the output before the
/// client gets its end.
const COMPLAINT_TIME: Duration = Duration::from_millis(50);

/// The number of the next script.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A script that runs.
#[derive(Debug)]
pub struct ScriptRun {
    /// `None` once it was left to itself.
    process: Option<Process>,
    stdin: Option<Sender>,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    /// Where its output is read to.
    room: BytesMut,
    body: RequestBody,
    /// What is being written to it.
    sending: Bytes,
    complaints: Complaints,
    /// Lines for the error log.
    pub lines: Vec<Line>,
    /// Bytes of its output so far.
    pub received: u64,
    silence: Duration,
    /// `None` while nothing was waited for; and how long it was last set for.
    timer: Option<Pin<Box<Sleep>>>,
    waits: Duration,
    armed: bool,
    name: Bytes,
    ended: bool,
}

impl Drop for ScriptRun {
    fn drop(&mut self) {
        spare::put_buffer(std::mem::take(&mut self.room));
        if let Some(timer) = self.timer.take() {
            spare::put_timer(self.waits, timer);
        }
    }
}

/// An environment as exec takes it: `NAME=value` and a NUL, again and again.
#[derive(Default)]
struct Environment {
    bytes: Vec<u8>,
    /// A variable that held a NUL would be two.
    is_torn: bool,
}

impl Environment {
    fn set(&mut self, name: &[u8], value: &[u8]) {
        self.is_torn |= name.contains(&0) || value.contains(&0);
        for part in [name, b"=", value, b"\0"] {
            self.bytes.extend_from_slice(part);
        }
    }

    fn finish(self) -> std::io::Result<Vec<u8>> {
        if self.is_torn {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        Ok(self.bytes)
    }
}

/// The process; dropped, it is not waited for any more.
#[derive(Debug)]
struct Process {
    id: u64,
    outbox: Outbox,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.outbox.say(ToParent::EndScript(self.id));
    }
}

/// A pipe: its end here, which does not block, and the one of the script.
fn pipe(ours_reads: bool) -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
    let (ours, theirs) = if ours_reads { (reading, writing) } else { (writing, reading) };
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}

impl ScriptRun {
    /// Has a script started. It gets `body`; `length` is what the client did not announce
    /// of it.
    pub fn start(
        script: &module::Script,
        r: &Request,
        body: RequestBody,
        length: Option<u64>,
        generation: &Arc<Generation>,
        outbox: &Outbox,
    ) -> std::io::Result<ScriptRun> {
        let mut env = Environment::default();
        let extras = Extras { content_length: length, ..Extras::default() };
        cgi::variables(r, &extras, |name: &[u8], value: &[u8]| env.set(name, value));
        let env = env.finish()?;
        let message = Script {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            key: AppKey {
                path: script.path.clone(),
                identity: script.identity.clone(),
                class: None,
            },
            command: None,
            args: script.args.clone(),
            limits: script.limits,
            env,
        };
        ScriptRun::launch(message, script.timeout, r, body, generation, outbox)
    }

    /// Has a page's command started.
    pub fn command(
        command: Command,
        r: &Request,
        generation: &Arc<Generation>,
        outbox: &Outbox,
    ) -> std::io::Result<ScriptRun> {
        let mut env = Environment::default();
        for (name, value) in &command.env {
            env.set(name, value);
        }
        let message = Script {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            key: AppKey {
                path: Bytes::copy_from_slice(&r.filename),
                identity: None,
                class: None,
            },
            command: Some(command.line),
            args: Vec::new(),
            limits: r.dir.core.rlimits,
            env: env.finish()?,
        };
        let body = RequestBody::empty();
        ScriptRun::launch(message, command.timeout, r, body, generation, outbox)
    }

    fn launch(
        message: Script,
        silence: Duration,
        r: &Request,
        body: RequestBody,
        generation: &Arc<Generation>,
        outbox: &Outbox,
    ) -> std::io::Result<ScriptRun> {
        let mut fds = Vec::with_capacity(3);
        let mut stdin = None;
        if !body.is_at_end() {
            let (ours, theirs) = pipe(false)?;
            stdin = Some(Sender::from_owned_fd_unchecked(ours)?);
            fds.push(theirs);
        }
        let (stdout, theirs) = pipe(true)?;
        fds.push(theirs);
        let (stderr, theirs) = pipe(true)?;
        fds.push(theirs);
        let (id, name) = (message.id, message.key.path.clone());
        outbox.say_with(ToParent::Run(Box::new(message)), fds);
        Ok(ScriptRun {
            process: Some(Process { id, outbox: outbox.clone() }),
            stdin,
            stdout: Some(Receiver::from_owned_fd_unchecked(stdout)?),
            stderr: Some(Receiver::from_owned_fd_unchecked(stderr)?),
            room: spare::buffer(),
            body,
            sending: Bytes::new(),
            complaints: Complaints {
                line: Vec::new(),
                voice: module::Voice::new(r, r.status),
                server: r.server.clone(),
                generation: generation.clone(),
            },
            lines: Vec::new(),
            received: 0,
            silence,
            timer: None,
            waits: silence,
            armed: false,
            name,
            ended: false,
        })
    }

    /// The script's file.
    pub fn name(&self) -> &[u8] {
        &self.name
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
        self.poll_send(cx)?;
        let complaining = self.poll_complaints(cx).is_pending();
        if let Some(stdout) = &mut self.stdout {
            if self.room.capacity() < READ_ROOM / 2 {
                self.room.reserve(READ_ROOM);
            }
            match poll_read(stdout, &mut self.room, cx) {
                Poll::Ready(Ok(0)) => {
                    self.stdout = None;
                    self.armed = false;
                }
                Poll::Ready(Ok(n)) => {
                    self.armed = false;
                    self.received += n as u64;
                    return Poll::Ready(Ok(Event::Stdout(self.room.split().freeze())));
                }
                Poll::Ready(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Err(Failure::Read(os_error(&error))));
                }
                Poll::Pending => {}
            }
        }
        if self.stdout.is_none() && !complaining {
            self.finish();
            return Poll::Ready(Ok(Event::End));
        }
        if !self.armed {
            self.armed = true;
            let time = if self.stdout.is_some() { self.silence } else { COMPLAINT_TIME };
            self.waits = time;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(Instant::now() + time),
                none => *none = Some(spare::timer(time)),
            }
        }
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        if self.stdout.is_none() {
            self.leave();
            self.finish();
            return Poll::Ready(Ok(Event::End));
        }
        self.finish();
        Poll::Ready(Err(Failure::Idle(self.silence.as_secs() as u32)))
    }

    /// Writes of the body what the script takes.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        while let Some(stdin) = &mut self.stdin {
            if self.sending.is_empty() {
                match self.body.poll_chunk(cx) {
                    Poll::Ready(Some(chunk)) => self.sending = chunk?,
                    Poll::Ready(None) => self.stdin = None,
                    Poll::Pending => return Ok(()),
                }
                continue;
            }
            match Pin::new(stdin).poll_write(cx, &self.sending) {
                Poll::Ready(Ok(n)) => {
                    self.sending.advance(n);
                    self.armed = false;
                }
                // It reads no further; it may answer all the same.
                Poll::Ready(Err(_)) => self.stdin = None,
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    /// Reads standard error; ready at its end.
    fn poll_complaints(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(stderr) = &mut self.stderr {
            let mut bytes = [0; 1024];
            let mut bytes = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(stderr).poll_read(cx, &mut bytes));
            if read.is_err() || bytes.filled().is_empty() {
                self.stderr = None;
            }
            let lines = &mut self.lines;
            self.complaints.take(bytes.filled(), |line| lines.push(line));
        }
        Poll::Ready(())
    }

    fn finish(&mut self) {
        self.ended = true;
        self.lines.extend(self.complaints.rest());
    }

    /// The answer is over, and the script goes on: it may until it closes its standard error
    /// too, or is silent there for too long.
    fn leave(&mut self) {
        let Some(mut stderr) = self.stderr.take() else { return };
        let process = self.process.take();
        let (mut complaints, silence) = (self.complaints.clone(), self.silence);
        self.complaints.line.clear();
        tokio::task::spawn_local(async move {
            let _process = process;
            let generation = complaints.generation.clone();
            let say = |line: Line| {
                let text = String::from_utf8_lossy(&line.text);
                generation.write_plain(line.level, line.module, line.ah, &text);
            };
            let mut bytes = [0; 1024];
            loop {
                let read = tokio::time::timeout(silence, stderr.read(&mut bytes)).await;
                match read {
                    Ok(Ok(n)) if n > 0 => complaints.take(&bytes[..n], say),
                    _ => break,
                }
            }
            if let Some(line) = complaints.rest() {
                say(line);
            }
        });
    }
}

fn poll_read(
    pipe: &mut Receiver,
    into: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    let mut read = std::pin::pin!(pipe.read_buf(into));
    read.as_mut().poll(cx)
}

/// What a script writes to its standard error, on its way to the logs.
#[derive(Clone, Debug)]
struct Complaints {
    line: Vec<u8>,
    voice: module::Voice,
    server: Arc<Server>,
    generation: Arc<Generation>,
}

impl Complaints {
    /// Takes bytes, and hands out the lines that they complete.
    fn take(&mut self, bytes: &[u8], mut say: impl FnMut(Line)) {
        let mut whole = Vec::new();
        cut(&mut self.line, bytes, |line| whole.push(line));
        for text in whole {
            say(self.said(&text));
        }
    }

    /// The last line, which has no end.
    fn rest(&mut self) -> Option<Line> {
        let text = std::mem::take(&mut self.line);
        (!text.is_empty()).then(|| self.said(&text))
    }

    fn said(&self, text: &[u8]) -> Line {
        if let Some(entry) = self.voice.entry(text) {
            self.generation.write_script_log(&self.server.config.cgi, &entry);
        }
        self.voice.line(1215, text)
    }
}

/// Hands out whole lines; the rest stays in `line`.
fn cut(line: &mut Vec<u8>, bytes: &[u8], mut say: impl FnMut(Vec<u8>)) {
    for piece in bytes.split_inclusive(|&b| b == b'\n') {
        line.extend_from_slice(piece);
        if line.ends_with(b"\n") || line.len() >= MAX_LINE {
            while matches!(line.last(), Some(b'\n' | b'\r')) {
                line.pop();
            }
            say(std::mem::take(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_cut_into_lines() {
        let (mut line, mut said) = (Vec::new(), Vec::new());
        for piece in [&b"one\r\ntw"[..], b"o\n\nth", b"ree"] {
            cut(&mut line, piece, |line| said.push(line));
        }
        assert_eq!(said, [&b"one"[..], b"two", b""]);
        assert_eq!(line, b"three");
        cut(&mut line, &[b'x'; MAX_LINE], |line| said.push(line));
        assert_eq!(said[3].len(), MAX_LINE + 5);
    }
}
