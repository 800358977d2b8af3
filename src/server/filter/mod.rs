//! Bodies that go through content filters on their way. What is to be done stands in the
//! reply; here bytes are pulled through, piece by piece, as the client takes them.

mod gzip;
mod include;
mod insert;
mod packed;
mod rate;
mod source;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use directives::filter::Filter;
use directives::log::Line;
use directives::modules::ratelimit::Rate;

pub use gzip::{Unpacked, Unpacker};
pub use include::Tools;
pub use source::Source;

use super::body::{Cut, Piece};
use include::Common;
use packed::Packed;

/// What is gathered before it is sent, where no filter says how much, bytes.
const GATHER: usize = 64 * 1024;

/// The next piece of a body, or its end.
type Next<'a> = Pin<Box<dyn Future<Output = Option<Result<Piece, Cut>>> + 'a>>;

/// What pieces of a body can be pulled from.
trait Stage {
    /// The next piece.
    fn next(&mut self) -> Next<'_>;
}

/// A filtered body.
pub struct Filtered {
    work: Pin<Box<dyn Future<Output = Result<(), Cut>>>>,
    pipe: Rc<Pipe>,
    ahead: Option<Bytes>,
    /// What is ahead is the last before the body breaks off.
    broken: bool,
    ended: bool,
}

/// What the work leaves behind for whoever sends the body.
#[derive(Default)]
pub struct Pipe {
    out: RefCell<Option<Bytes>>,
    /// The length is not said although it is known.
    open: Cell<bool>,
    /// Lines for the error log.
    pub lines: RefCell<Vec<Line>>,
    /// Notes for the access log.
    pub notes: RefCell<Vec<(Bytes, Bytes)>>,
}

impl Pipe {
    /// Takes over what another has for the logs.
    fn take(&self, other: &Pipe) {
        self.lines.borrow_mut().append(&mut other.lines.borrow_mut());
        self.notes.borrow_mut().append(&mut other.notes.borrow_mut());
    }

    /// Hands bytes over, and waits until they are taken.
    async fn send(&self, bytes: Bytes) {
        *self.out.borrow_mut() = Some(bytes);
        // Whoever takes them polls the work again without being woken.
        poll_fn(|_| {
            if self.out.borrow().is_none() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Filtered {
    /// A body that goes through `filters`.
    pub fn new(source: Source, filters: Vec<Filter>, tools: Tools) -> Filtered {
        let pipe = Rc::new(Pipe::default());
        let work = Box::pin(pump(source, filters, tools, pipe.clone()));
        Filtered { work, pipe, ahead: None, broken: false, ended: false }
    }

    /// A body that is sent no faster than `rate`.
    pub fn rated(mut source: Source, rate: Rate) -> Filtered {
        let pipe = Rc::new(Pipe::default());
        source.report_to(pipe.clone());
        let mut stage = rate::Rated::new(Box::new(source), rate);
        let work = {
            let pipe = pipe.clone();
            Box::pin(async move {
                while let Some(piece) = stage.next().await {
                    pipe.send(piece?.bytes).await;
                }
                Ok(())
            })
        };
        Filtered { work, pipe, ahead: None, broken: false, ended: false }
    }

    /// What goes to the logs.
    pub fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    /// The next bytes.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Cut>>> {
        if let Some(bytes) = self.ahead.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if self.broken {
            return Poll::Ready(Some(Err(Cut)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let worked = self.work.as_mut().poll(cx);
        let bytes = self.pipe.out.borrow_mut().take();
        match (bytes, worked) {
            (Some(bytes), _) => Poll::Ready(Some(Ok(bytes))),
            (None, Poll::Pending) => Poll::Pending,
            (None, Poll::Ready(Ok(()))) => {
                self.ended = true;
                Poll::Ready(None)
            }
            (None, Poll::Ready(Err(cut))) => {
                self.ended = true;
                Poll::Ready(Some(Err(cut)))
            }
        }
    }

    /// Waits for the first bytes. If they are all there is they come back: then the length
    /// of the body is known before its head is sent, as with httpd, whose content-length
    /// filter counts what comes in one brigade.
    pub async fn prime(&mut self) -> Option<Bytes> {
        let first = match poll_fn(|cx| self.poll_next(cx)).await {
            None => return Some(Bytes::new()),
            Some(Ok(first)) => first,
            Some(Err(Cut)) => {
                self.broken = true;
                return None;
            }
        };
        match poll_fn(|cx| Poll::Ready(self.poll_next(cx))).await {
            Poll::Ready(None) if !self.pipe.open.get() => return Some(first),
            Poll::Ready(None) | Poll::Pending => self.ahead = Some(first),
            // Both are sent, one behind the other.
            Poll::Ready(Some(Ok(second))) => {
                self.ahead = Some([first, second].concat().into());
            }
            Poll::Ready(Some(Err(Cut))) => {
                (self.ahead, self.broken) = (Some(first), true);
            }
        }
        None
    }
}

/// Pulls the body through its filters.
async fn pump(
    mut source: Source,
    filters: Vec<Filter>,
    tools: Tools,
    pipe: Rc<Pipe>,
) -> Result<(), Cut> {
    source.report_to(pipe.clone());
    let gather = filters.iter().rev().find_map(|filter| match filter {
        Filter::Deflate(settings) => Some(settings.buffer),
        _ => None,
    });
    let packs = gather.is_some() || matches!(filters.last(), Some(Filter::Brotli(_)));
    let gather = gather.unwrap_or(GATHER);
    let mut stage = stages(source, filters, (tools, None), &pipe);
    let mut gathered = BytesMut::new();
    while let Some(piece) = stage.next().await {
        let Piece { bytes, flush } = match piece {
            Ok(piece) => piece,
            Err(cut) => {
                // What came goes out all the same.
                if !gathered.is_empty() {
                    pipe.send(gathered.freeze()).await;
                }
                return Err(cut);
            }
        };
        if gathered.is_empty() && bytes.len() >= gather {
            pipe.send(bytes).await;
            continue;
        }
        gathered.extend_from_slice(&bytes);
        if gathered.len() >= gather || flush && !gathered.is_empty() {
            pipe.send(gathered.split().freeze()).await;
        }
    }
    // Packing gathers all of a short body.
    pipe.open.set(pipe.open.get() && !packs);
    if !gathered.is_empty() {
        pipe.send(gathered.freeze()).await;
    }
    Ok(())
}

/// The body behind its filters. With the tools comes what a page within a page shares.
fn stages(
    source: Source,
    filters: Vec<Filter>,
    (tools, outer): (Tools, Option<Common>),
    pipe: &Rc<Pipe>,
) -> Box<dyn Stage> {
    let mut stage: Box<dyn Stage> = Box::new(source);
    for filter in filters {
        let pipe = pipe.clone();
        stage = match filter {
            Filter::Insert(parts) => {
                Box::new(insert::Insert::new(stage, parts, tools.clone(), pipe))
            }
            Filter::Inflate => Box::new(Packed::new(stage, gzip::Inflate::default())),
            Filter::Include(page) => {
                let (tools, outer) = (tools.clone(), outer.clone());
                Box::new(include::Include::new(stage, page, outer, tools, pipe))
            }
            Filter::Substitute(rules) => {
                Box::new(Packed::new(stage, packed::Substitute::new(rules, pipe)))
            }
            Filter::Deflate(settings) => {
                Box::new(Packed::new(stage, gzip::Deflate::new(&settings, pipe)))
            }
            Filter::Brotli(settings) => {
                Box::new(Packed::new(stage, packed::Brotli::new(&settings, pipe)))
            }
        };
    }
    stage
}

/// The next piece of an application's output, as a future.
async fn of_app(
    app: &mut super::body::AppOutput,
    pipe: &Pipe,
) -> Option<Result<Piece, Cut>> {
    let next = poll_fn(|cx| {
        let next = ready!(app.poll_next(cx));
        if next.is_none() {
            // The rest of the request's body would stand before the next request.
            ready!(app.source.body_mut().poll_discard(cx));
        }
        Poll::Ready(next)
    })
    .await;
    pipe.lines.borrow_mut().append(&mut app.lines);
    next
}
