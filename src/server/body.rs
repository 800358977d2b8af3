//! Bodies of responses, as hyper asks for them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use directives::effect::{Failure, Role};
use directives::fcgi::record::HEADER;
use directives::log::{Level, Line};
use http_body::{Body, Frame, SizeHint};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, Sleep, sleep_until};

use super::drive::Answered;
use super::file::FileParts;
use super::filter::Filtered;
use super::finish::Guard;
use super::source::Source;
use crate::fcgi::Event;
use crate::upstream::exchange::Exchange as Upstream;

/// Output is gathered to so many bytes unless `-flush`: what stands in 8 KiB beside a
/// record's header. libfcgi sends so much at a time, which is passed on as it is, not copied
/// together with the next.
const GATHER: usize = 8 * 1024 - HEADER;
/// ... or so long after the last of it.
const GATHER_TIME: Duration = Duration::from_millis(100);

/// The most that an authorizer's refusal may say to the client, bytes.
pub const MAX_DENIAL: usize = 1 << 20;

/// How long the rest of a request's body is read with HTTP/2 before its stream is closed:
/// some clients take the end of an upload that nobody wants for a failure of all of it.
pub const COURTESY: Duration = Duration::from_secs(2);

/// Why a body ends before its end; the client's connection is cut.
#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the response was cut")
    }
}

impl std::error::Error for Cut {}

/// Bytes of a body.
#[derive(Debug)]
pub struct Piece {
    /// The bytes.
    pub bytes: Bytes,
    /// They are to reach the client now, whatever comes behind them.
    pub flush: bool,
}

/// A response's body.
pub struct ReplyBody {
    kind: Kind,
    guard: Guard,
    /// Bytes that `Content-Length` announces and that are still to come.
    announced: Option<u64>,
    /// Fields behind it.
    trailers: &'static [(&'static str, &'static str)],
    cutting: bool,
    /// hyper has been told the end.
    ended: bool,
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
    /// What an HTTP upstream sends.
    Upstream(Box<Upstream>),
    /// What filters make of another body.
    Filtered(Box<Filtered>),
}

impl ReplyBody {
    /// A body whose end is noticed by `guard`.
    pub fn new(kind: Kind, guard: Guard, announced: Option<u64>) -> ReplyBody {
        ReplyBody { kind, guard, announced, trailers: &[], cutting: false, ended: false }
    }

    /// The same with fields behind it.
    pub fn and(mut self, trailers: &'static [(&'static str, &'static str)]) -> ReplyBody {
        self.trailers = trailers;
        self
    }

    /// The next piece, whoever makes it.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(stream) = self.guard.stream() {
            stream.taken();
        }
        if self.cutting {
            return self.poll_cut(cx);
        }
        let next = match &mut self.kind {
            Kind::None => None,
            Kind::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Kind::File(file) => file.next(self.guard.socket()),
            Kind::App(app) => {
                let next = app.poll_next(cx);
                self.guard.report(&mut app.lines);
                let next = ready!(next);
                if next.is_none() {
                    // The rest of the request's body would stand before the next request.
                    ready!(app.poll_discard(cx, self.guard.stream().is_some()));
                }
                next.map(|next| next.map(|piece| piece.bytes))
            }
            Kind::Filtered(filtered) => {
                let next = filtered.poll_next(cx);
                self.guard.heard(filtered.pipe());
                ready!(next)
            }
            Kind::Upstream(upstream) => {
                let mut lines = Vec::new();
                let next = poll_upstream(upstream, cx, &mut lines);
                self.guard.report(&mut lines);
                ready!(next)
            }
        };
        match next {
            Some(Ok(mut bytes)) => {
                if let Some(left) = &mut self.announced {
                    // More than was announced would be taken for the next response.
                    bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= bytes.len() as u64;
                }
                self.guard.count(bytes.len() as u64);
                if let Some(stream) = self.guard.stream() {
                    stream.offer();
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            None if self.announced.is_none_or(|left| left == 0) => {
                self.ended = true;
                let trailers = std::mem::take(&mut self.trailers);
                Poll::Ready(
                    (!trailers.is_empty()).then(|| Ok(Frame::trailers(fields(trailers)))),
                )
            }
            None | Some(Err(Cut)) => self.poll_cut(cx),
        }
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
        match this.poll_piece(cx) {
            // Who waits for more may have gone.
            Poll::Pending => this.guard.socket().poll_gone(cx).map(|()| Some(Err(Cut))),
            piece @ Poll::Ready(_) => piece,
        }
    }
    fn is_end_stream(&self) -> bool {
        self.trailers.is_empty()
            && match &self.kind {
                Kind::None => true,
                Kind::Bytes(bytes) => bytes.is_empty(),
                Kind::File(file) => file.left() == 0,
                Kind::App(_) | Kind::Upstream(_) | Kind::Filtered(_) => false,
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::None => SizeHint::with_exact(0),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::File(file) => SizeHint::with_exact(file.left()),
            Kind::App(_) | Kind::Upstream(_) | Kind::Filtered(_) => SizeHint::default(),
        }
    }
}

fn fields(trailers: &[(&'static str, &'static str)]) -> HeaderMap {
    let fields = trailers.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    });
    fields.collect()
}

/// The next piece of what an HTTP upstream sends. A line is left for the log if its answer
/// breaks off.
pub fn poll_upstream(
    upstream: &mut Upstream,
    cx: &mut Context<'_>,
    lines: &mut Vec<Line>,
) -> Poll<Option<Result<Bytes, Cut>>> {
    Poll::Ready(match ready!(upstream.poll_data(cx)) {
        Some(Ok(bytes)) => {
            // hyper does not ask for the end of a body whose length it knows.
            if upstream.is_complete() {
                upstream.keep(cx);
            }
            Some(Ok(bytes))
        }
        Some(Err(failure)) => {
            if !matches!(failure, Failure::Client) {
                let text = "error reading response".into();
                let (level, module, ah) = (Level::Error, "proxy_http", 1110);
                lines.push(Line {
                    level,
                    module,
                    ah,
                    error: None,
                    text,
                    of_server: false,
                });
            }
            Some(Err(Cut))
        }
        None => {
            if !upstream.sent.is_held() {
                ready!(upstream.sent.poll_discard(cx));
            }
            upstream.keep(cx);
            None
        }
    })
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        // With HTTP/2 an answer can be taken back while others go on.
        if self.guard.stream().is_some() && !self.ended && !self.is_end_stream() {
            self.guard.cut();
        }
    }
}

/// The output of an application behind the head of its response.
pub struct AppOutput {
    /// Where it comes from.
    pub source: Source,
    /// What is to be said in the error log.
    pub lines: Vec<Line>,
    gathered: Gathered,
    flush: bool,
    /// It is an upstream of mod_proxy; for its messages, the server's port.
    proxied: Option<String>,
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
        let Answered { source, rest, flush, role, proxied } = answered;
        let gathered = Gathered { one: rest, several: BytesMut::new() };
        let limit = (role == Role::Authorizer).then_some(MAX_DENIAL as u64);
        AppOutput {
            source,
            lines: Vec::new(),
            gathered,
            flush,
            proxied,
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
    ) -> Poll<Option<Result<Piece, Cut>>> {
        let next = ready!(self.poll_gathered(cx));
        let (Some(left), Some(Ok(Piece { bytes, .. }))) = (&mut self.limit, &next) else {
            return Poll::Ready(next);
        };
        if let Some(rest) = left.checked_sub(bytes.len() as u64) {
            *left = rest;
            return Poll::Ready(next);
        }
        // As much as may be passed on, then nothing.
        let last = bytes.slice(..usize::try_from(*left).unwrap_or(bytes.len()));
        self.report(Some(&Failure::BodyTooLong));
        (self.ended, self.failed) = (true, true);
        self.gathered.clear();
        let last = Piece { bytes: last, flush: true };
        Poll::Ready(Some(if last.bytes.is_empty() { Err(Cut) } else { Ok(last) }))
    }

    /// Reads what is left of the request's body. With HTTP/2 that is only a courtesy (see
    /// [`COURTESY`]).
    fn poll_discard(&mut self, cx: &mut Context<'_>, is_h2: bool) -> Poll<()> {
        if self.source.body_mut().poll_discard(cx).is_ready() {
            return Poll::Ready(());
        }
        if !is_h2 {
            return Poll::Pending;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + COURTESY)));
        timer.as_mut().poll(cx)
    }

    fn poll_gathered(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, Cut>>> {
        loop {
            if self.gathered.len() >= GATHER
                || (self.flush || self.ended) && !self.gathered.is_empty()
            {
                self.timer = None;
                return self.poll_piece(self.flush);
            }
            if self.ended {
                return Poll::Ready(self.failed.then_some(Err(Cut)));
            }
            let event = self.source.poll_event(cx);
            self.report(None);
            match event {
                Poll::Ready(Ok(Event::Stdout(bytes))) => {
                    if self.gathered.is_empty() && bytes.len() >= GATHER {
                        return Poll::Ready(Some(Ok(Piece { bytes, flush: self.flush })));
                    }
                    self.gathered.push(bytes);
                    self.timer = None;
                }
                Poll::Ready(Ok(Event::End)) => self.ended = true,
                Poll::Ready(Err(failure)) => {
                    self.report(Some(&failure));
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
                    return self.poll_piece(true);
                }
            }
        }
    }

    fn poll_piece(&mut self, flush: bool) -> Poll<Option<Result<Piece, Cut>>> {
        let bytes = self.gathered.take();
        Poll::Ready(Some(Ok(Piece { bytes, flush })))
    }

    /// Keeps what the application said, and what went wrong, for the log.
    fn report(&mut self, failure: Option<&Failure>) {
        self.lines.append(self.source.lines());
        let proxied = self.proxied.as_deref();
        self.lines.extend(failure.and_then(|f| self.source.failure_line(f, proxied)));
    }
}
