//! Bodies of responses, as hyper asks for them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use directives::effect::{Failure, Role};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::drive::Answered;
use super::file::FileParts;
use super::finish::Guard;
use super::source::Source;
use crate::fcgi::Event;

/// Output is gathered to so many bytes unless `-flush`.
const GATHER: usize = 8 * 1024;
/// ... or so long after the last of it.
const GATHER_TIME: Duration = Duration::from_millis(100);

/// The most that an authorizer's refusal may say to the client, bytes.
const MAX_DENIAL: u64 = 1 << 20;

/// Why a body ends before its end; the client's connection is cut.
#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the response was cut")
    }
}

impl std::error::Error for Cut {}

/// A response's body.
pub struct ReplyBody {
    kind: Kind,
    guard: Guard,
    /// Bytes that `Content-Length` announces and that are still to come.
    announced: Option<u64>,
    cutting: bool,
}

/// What it is made of.
pub enum Kind {
    /// Nothing.
    None,
    /// Bytes.
    Bytes(Bytes),
    /// Parts of a file.
    File(FileParts),
    /// What an application sends.
    App(Box<AppOutput>),
}

impl ReplyBody {
    /// A body whose end is noticed by `guard`.
    pub fn new(kind: Kind, guard: Guard, announced: Option<u64>) -> ReplyBody {
        ReplyBody { kind, guard, announced, cutting: false }
    }

    /// Ends the body before its end: what came so far goes out first, then the connection
    /// is cut, so that the client can tell.
    fn poll_cut(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.guard.cut();
        if !self.cutting {
            self.cutting = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Cut)))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if this.cutting {
            return this.poll_cut(cx);
        }
        let next = match &mut this.kind {
            Kind::None => None,
            Kind::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Kind::File(file) => file.next(this.guard.socket()),
            Kind::App(app) => {
                let next = ready!(app.poll_next(cx, &mut this.guard));
                if next.is_none() {
                    // The rest of the request's body would stand before the next request.
                    ready!(app.source.body_mut().poll_discard(cx));
                }
                next
            }
        };
        match next {
            Some(Ok(mut bytes)) => {
                if let Some(left) = &mut this.announced {
                    // More than was announced would be taken for the next response.
                    bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= bytes.len() as u64;
                }
                this.guard.count(bytes.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            None if this.announced.is_none_or(|left| left == 0) => Poll::Ready(None),
            None | Some(Err(Cut)) => this.poll_cut(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::None => true,
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::File(file) => file.left() == 0,
            Kind::App(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::None => SizeHint::with_exact(0),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::File(file) => SizeHint::with_exact(file.left()),
            Kind::App(_) => SizeHint::default(),
        }
    }
}

/// The output of an application behind the head of its response.
pub struct AppOutput {
    /// Where it comes from.
    pub source: Source,
    gathered: Gathered,
    flush: bool,
    /// The most bytes that are passed on.
    limit: Option<u64>,
    ended: bool,
    /// It ended before its end.
    failed: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Pieces that are passed on together. A single one is not copied.
struct Gathered {
    one: Bytes,
    several: BytesMut,
}

impl Gathered {
    fn len(&self) -> usize {
        self.one.len() + self.several.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, bytes: Bytes) {
        if self.is_empty() {
            self.one = bytes;
            return;
        }
        self.several.extend_from_slice(&std::mem::take(&mut self.one));
        self.several.extend_from_slice(&bytes);
    }

    fn take(&mut self) -> Bytes {
        if self.several.is_empty() {
            return std::mem::take(&mut self.one);
        }
        self.several.split().freeze()
    }

    fn clear(&mut self) {
        self.one.clear();
        self.several.clear();
    }
}

impl AppOutput {
    /// What is left of an answer.
    pub fn new(answered: Answered) -> AppOutput {
        let Answered { source, rest, flush, role } = answered;
        let gathered = Gathered { one: rest, several: BytesMut::new() };
        let limit = (role == Role::Authorizer).then_some(MAX_DENIAL);
        AppOutput {
            source,
            gathered,
            flush,
            limit,
            ended: false,
            failed: false,
            timer: None,
        }
    }

    /// Everything that is there now, or `None` at the end.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        guard: &mut Guard,
    ) -> Poll<Option<Result<Bytes, Cut>>> {
        let next = ready!(self.poll_gathered(cx, guard));
        let (Some(left), Some(Ok(bytes))) = (&mut self.limit, &next) else {
            return Poll::Ready(next);
        };
        if let Some(rest) = left.checked_sub(bytes.len() as u64) {
            *left = rest;
            return Poll::Ready(next);
        }
        // As much as may be passed on, then nothing.
        let last = bytes.slice(..usize::try_from(*left).unwrap_or(bytes.len()));
        self.report(guard, Some(&Failure::BodyTooLong));
        (self.ended, self.failed) = (true, true);
        self.gathered.clear();
        Poll::Ready(Some(if last.is_empty() { Err(Cut) } else { Ok(last) }))
    }

    fn poll_gathered(
        &mut self,
        cx: &mut Context<'_>,
        guard: &mut Guard,
    ) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            if self.gathered.len() >= GATHER
                || (self.flush || self.ended) && !self.gathered.is_empty()
            {
                self.timer = None;
                return Poll::Ready(Some(Ok(self.gathered.take())));
            }
            if self.ended {
                return Poll::Ready(self.failed.then_some(Err(Cut)));
            }
            let event = self.source.poll_event(cx);
            self.report(guard, None);
            match event {
                Poll::Ready(Ok(Event::Stdout(bytes))) => {
                    if self.gathered.is_empty() && bytes.len() >= GATHER {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    self.gathered.push(bytes);
                    self.timer = None;
                }
                Poll::Ready(Ok(Event::End)) => self.ended = true,
                Poll::Ready(Err(failure)) => {
                    self.report(guard, Some(&failure));
                    self.source.failed(&failure);
                    (self.ended, self.failed) = (true, true);
                }
                Poll::Pending if self.gathered.is_empty() => return Poll::Pending,
                Poll::Pending => {
                    let timer = self.timer.get_or_insert_with(|| {
                        Box::pin(sleep_until(Instant::now() + GATHER_TIME))
                    });
                    ready!(timer.as_mut().poll(cx));
                    self.timer = None;
                    return Poll::Ready(Some(Ok(self.gathered.take())));
                }
            }
        }
    }

    /// Writes what the application said, and what went wrong, into the log.
    fn report(&mut self, guard: &mut Guard, failure: Option<&Failure>) {
        let Some(held) = guard.held() else { return };
        self.source.write_lines(&held.generation, &held.request);
        let line = failure.and_then(|failure| self.source.failure_line(failure));
        if let Some(line) = line {
            held.generation.write_line(&held.request, &line);
        }
    }
}
