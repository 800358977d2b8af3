//! The end of a request: its lines in the access logs, once the response is sent.

use std::rc::Rc;
use std::sync::Arc;

use directives::log::Line;
use directives::modules::gateway;
use directives::modules::log_config::{self, Sent};
use directives::request::Request;

use super::filter::Pipe;
use super::live::Generation;
use super::request_body::Trailers;
use super::streams::Stream;
use crate::log::{now, utc_offset};
use crate::logs::Name;

/// A request whose response is complete, but for the last bytes on their way.
#[derive(Debug)]
pub struct Finished {
    r: Box<Held>,
}

/// What the log needs.
pub struct Held {
    /// The request, after its last internal redirect.
    pub request: Box<Request>,
    /// The configuration that it was served with.
    pub generation: Arc<Generation>,
    /// Bytes of the head, as far as anybody counts them: with HTTP/2.
    pub head: u64,
    /// Bytes of the body.
    pub body: u64,
    /// What the connection had sent before.
    pub written_before: u64,
    /// What the request cost to read.
    pub received: u64,
    /// The connection goes on.
    pub kept: bool,
    /// The response was cut.
    pub cut: bool,
    /// What came behind the body.
    pub trailers: Option<Trailers>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("body", &self.body).finish_non_exhaustive()
    }
}

impl Finished {
    /// Of a request.
    pub fn new(held: Box<Held>) -> Finished {
        Finished { r: held }
    }

    /// Writes its lines. `written` is what the connection has sent by now. The answer is
    /// how many bytes were sent for it, and how many microseconds it took.
    pub fn log(self, written: u64, aborted: bool) -> (u64, u64) {
        let mut held = self.r;
        let finished = now();
        let sent = Sent {
            body: held.body,
            total: written.saturating_sub(held.written_before),
            received: held.received,
            finished,
            utc_offset: utc_offset(held.request.request_time),
            pid: crate::log::ids().0,
            tid: crate::log::ids().1,
            aborted: aborted && held.cut,
            kept: held.kept,
        };
        if let Some(trailers) = held.trailers.take()
            && !trailers.borrow().is_empty()
        {
            held.request.take_trailers(trailers.take());
        }
        let generation = held.generation.clone();
        log_config::each_line(&mut held.request, &sent, |target, line| {
            if let Some(sink) = generation.log(&Name::Access(target.clone())) {
                sink.line(&line);
            }
        });
        gateway::audit(&held.request, |target, line| {
            if let Some(sink) = generation.log(&Name::Access(target.clone())) {
                sink.line(&line);
            }
        });
        let took = finished - held.request.request_time;
        (sent.total, u64::try_from(took).unwrap_or(0))
    }
}

/// Hands a request over for logging when its response body is dropped.
pub struct Guard {
    held: Option<Box<Held>>,
    shared: Rc<super::socket::Shared>,
    /// HTTP/2's, whose connection goes on meanwhile.
    stream: Option<Rc<Stream>>,
}

impl Guard {
    /// The client's socket.
    pub fn socket(&self) -> &super::socket::Shared {
        &self.shared
    }

    /// For a request on a connection.
    pub fn new(held: Box<Held>, shared: Rc<super::socket::Shared>) -> Guard {
        let stream = shared.streams.get().and_then(|_| Stream::current());
        Guard { held: Some(held), shared, stream }
    }

    /// HTTP/2's stream.
    pub fn stream(&self) -> Option<&Stream> {
        self.stream.as_deref()
    }

    /// Bytes of the body that were handed to hyper.
    pub fn count(&mut self, bytes: u64) {
        if let Some(held) = &mut self.held {
            held.body += bytes;
        }
    }

    /// Writes lines about the request into the error log.
    pub fn report(&mut self, lines: &mut Vec<Line>) {
        if lines.is_empty() {
            return;
        }
        if let Some(held) = &self.held {
            for line in lines.drain(..) {
                held.generation.write_line(&held.request, &line);
            }
        }
    }

    /// Takes what filters have to say to the logs.
    pub fn heard(&mut self, pipe: &Pipe) {
        self.report(&mut pipe.lines.borrow_mut());
        if let Some(held) = &mut self.held {
            for (name, value) in pipe.notes.borrow_mut().drain(..) {
                held.request.notes.set(name, value);
            }
        }
    }

    /// The response ends before its end.
    pub fn cut(&mut self) {
        if let Some(held) = &mut self.held {
            held.cut = true;
        }
    }

    /// The request and its configuration, for lines that come late.
    pub fn held(&mut self) -> Option<&mut Held> {
        self.held.as_deref_mut()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            let Some(mut held) = self.held.take() else { return };
            if !held.cut {
                stream.answered();
            }
            // Of what others sent on the connection at the same time nothing is its own.
            let written = held.written_before + held.head + held.body;
            held.kept = true;
            self.shared.log_one(Finished::new(held), written, true);
            return;
        }
        if let Some(held) = self.held.take() {
            self.shared.finished.borrow_mut().push(Finished::new(held));
        }
        self.shared.watched.set(false);
        self.shared.phase.set(super::socket::Phase::Idle);
    }
}
