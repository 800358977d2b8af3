//! Where a filtered body comes from.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;

use super::super::body::{AppOutput, Piece, poll_upstream};
use super::super::file::FileParts;
use super::{Filtered, Next, Pipe, Stage, of_app};
use crate::upstream::exchange::Exchange as Upstream;

/// A body before its filters.
pub struct Source {
    kind: Kind,
    pipe: Rc<Pipe>,
}

enum Kind {
    Bytes(Bytes),
    File(FileParts),
    App(Box<AppOutput>),
    Upstream(Box<Upstream>),
    Filtered(Box<Filtered>),
}

impl Source {
    /// Bytes that are there.
    pub fn bytes(bytes: Bytes) -> Source {
        Source { kind: Kind::Bytes(bytes), pipe: Rc::default() }
    }

    /// A file.
    pub fn file(file: FileParts) -> Source {
        Source { kind: Kind::File(file), pipe: Rc::default() }
    }

    /// What an application sends.
    pub fn app(app: Box<AppOutput>) -> Source {
        Source { kind: Kind::App(app), pipe: Rc::default() }
    }

    /// What an HTTP upstream sends.
    pub fn upstream(upstream: Box<Upstream>) -> Source {
        Source { kind: Kind::Upstream(upstream), pipe: Rc::default() }
    }

    /// What filters have made already.
    pub fn filtered(filtered: Box<Filtered>) -> Source {
        Source { kind: Kind::Filtered(filtered), pipe: Rc::default() }
    }

    /// Where lines for the log go.
    pub fn report_to(&mut self, pipe: Rc<Pipe>) {
        self.pipe = pipe;
    }
}

impl Stage for Source {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async move {
            match &mut self.kind {
                Kind::Bytes(bytes) => {
                    let bytes = std::mem::take(bytes);
                    (!bytes.is_empty()).then_some(Ok(Piece { bytes, flush: false }))
                }
                Kind::File(file) => {
                    let next = file.next_bytes()?;
                    Some(next.map(|bytes| Piece { bytes, flush: false }))
                }
                Kind::App(app) => of_app(app, &self.pipe).await,
                Kind::Upstream(upstream) => {
                    let mut lines = Vec::new();
                    let next =
                        poll_fn(|cx| poll_upstream(upstream, cx, &mut lines)).await;
                    self.pipe.lines.borrow_mut().append(&mut lines);
                    next.map(|next| next.map(|bytes| Piece { bytes, flush: false }))
                }
                Kind::Filtered(filtered) => {
                    let next = poll_fn(|cx| filtered.poll_next(cx)).await;
                    self.pipe.take(filtered.pipe());
                    next.map(|next| next.map(|bytes| Piece { bytes, flush: false }))
                }
            }
        })
    }
}
