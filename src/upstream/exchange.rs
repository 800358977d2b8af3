//! One request to an HTTP upstream and its answer, both ways at once. All of it happens
//! when it is polled, and ends when it is dropped: no task goes on without its request.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use directives::effect::Failure;
use directives::modules::proxy::{Forward, Heard};
use directives::reply::Headers;
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::io::{Line, Moved, Watched};
use super::pool::{self, Open};
use super::sent::{Gate, Sent};
use crate::fcgi::connect::connect;
use crate::server::request_body::RequestBody;
use crate::tls::upstreams;

/// An exchange under way.
pub struct Exchange {
    open: Option<Open>,
    moved: Rc<Cell<Moved>>,
    /// The connection has nothing more to do.
    done: bool,
    answer: Option<Incoming>,
    /// The request's body.
    pub sent: Sent,
    forward: Forward,
    reused: bool,
    timer: Pin<Box<Sleep>>,
    armed: bool,
    /// One of the upstream's connections.
    _permit: Option<OwnedSemaphorePermit>,
}

type Answering = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>;

impl Exchange {
    /// Sends a request, over a connection that is kept unless `fresh`, and brings the head
    /// of its answer. A body comes back with a failure, as far as it is left.
    pub async fn begin(
        forward: &Forward,
        body: RequestBody,
        length: Option<u64>,
        fresh: bool,
    ) -> Result<(Exchange, Heard), (Failure, RequestBody, bool)> {
        let permit = match pool::permit(forward).await {
            Ok(permit) => permit,
            Err(failure) => return Err((failure, body, false)),
        };
        let kept = forward.pool.as_ref().filter(|_| !fresh);
        let kept = kept.and_then(|name| pool::take(name, forward));
        let reused = kept.is_some();
        let open = match kept {
            Some(open) => open,
            None => match open(forward).await {
                Ok(open) => open,
                Err(failure) => return Err((failure, body, false)),
            },
        };
        let gate = forward.expects.then(|| Arc::new(Gate::default()));
        let sent = Sent::new(body, length, gate.clone());
        let Some(request) = request(forward, &sent, gate) else {
            let failure = Failure::Protocol("the request cannot be sent".to_owned());
            return Err((failure, sent.take_back(), false));
        };
        open.moved.set(Moved::default());
        let mut exchange = Exchange {
            moved: open.moved.clone(),
            open: Some(open),
            done: false,
            answer: None,
            sent,
            forward: forward.clone(),
            reused,
            timer: Box::pin(sleep_until(Instant::now() + forward.timeout)),
            armed: false,
            _permit: permit,
        };
        let answering =
            exchange.open.as_mut().map(|open| open.sender.send_request(request));
        let Some(answering) = answering else { unreachable!("it was opened above") };
        let mut answering: Answering = Box::pin(answering);
        match poll_fn(|cx| exchange.poll_head(cx, &mut answering)).await {
            Ok(response) => {
                let (parts, incoming) = response.into_parts();
                exchange.answer = Some(incoming);
                Ok((exchange, heard(parts)))
            }
            Err(failure) => {
                let stale = exchange.reused && !exchange.moved.get().heard;
                Err((failure, exchange.sent.take_back(), stale))
            }
        }
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        answering: &mut Answering,
    ) -> Poll<Result<Response<Incoming>, Failure>> {
        loop {
            self.poll_connection(cx);
            if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
                self.armed = false;
                return Poll::Ready(answer.map_err(|error| self.failure(&error)));
            }
            ready!(self.poll_idle(cx))?;
        }
    }

    /// Lets the connection go on.
    fn poll_connection(&mut self, cx: &mut Context<'_>) {
        if !self.done
            && let Some(open) = &mut self.open
        {
            // What went wrong is told to whoever waits for the answer.
            self.done = open.connection.poll_without_shutdown(cx).is_ready();
        }
    }

    /// Ready when something has moved, or nothing has for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let moved = self.moved.get();
        if moved.lately {
            self.moved.set(Moved { lately: false, ..moved });
            self.armed = false;
            return Poll::Ready(Ok(()));
        }
        // Only the upstream's silence counts: for the client's there is another clock.
        if self.sent.waits() {
            self.armed = false;
            return Poll::Pending;
        }
        if !self.armed {
            self.armed = true;
            self.timer.as_mut().reset(Instant::now() + self.forward.timeout);
        }
        ready!(self.timer.as_mut().poll(cx));
        let seconds = self.forward.timeout.as_secs() as u32;
        Poll::Ready(Err(Failure::Idle(seconds)))
    }

    /// What hyper's error means.
    fn failure(&self, error: &hyper::Error) -> Failure {
        if let Some(failure) = self.sent.failure() {
            return failure;
        }
        if error.is_parse_too_large() {
            return Failure::HeadTooLong;
        }
        if error.is_parse() {
            return Failure::Protocol(error.to_string());
        }
        Failure::Incomplete
    }

    /// The next piece of the answer's body; `None` is its end.
    pub fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            self.poll_connection(cx);
            let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
            match Pin::new(answer).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.armed = false;
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.open = None;
                    return Poll::Ready(Some(Err(self.failure(&error))));
                }
                Poll::Ready(None) => {
                    self.answer = None;
                    return Poll::Ready(None);
                }
                Poll::Pending => match ready!(self.poll_idle(cx)) {
                    Ok(()) => {}
                    Err(failure) => {
                        self.open = None;
                        return Poll::Ready(Some(Err(failure)));
                    }
                },
            }
        }
    }

    /// Have both bodies been passed on?
    pub fn is_complete(&self) -> bool {
        self.sent.is_end_stream() && self.answer.as_ref().is_none_or(Body::is_end_stream)
    }

    /// The answer has been read: the connection may serve another request.
    pub fn keep(&mut self, cx: &mut Context<'_>) {
        if self.answer.as_ref().is_some_and(|answer| !answer.is_end_stream()) {
            return;
        }
        self.answer = None;
        // Its client may ask again before the last byte here is sent.
        self.forward.hold = None;
        self.poll_connection(cx);
        let Some(mut open) = self.open.take().filter(|_| !self.done) else { return };
        let ready = matches!(open.sender.poll_ready(cx), Poll::Ready(Ok(())));
        let Some(name) = self.forward.pool.clone().filter(|_| ready) else { return };
        pool::keep(name, &self.forward, open);
    }

    /// How long either side may be silent.
    pub fn patience(&self) -> Duration {
        self.forward.timeout
    }

    /// The socket of an upstream that has changed protocols, and what it has said already.
    pub async fn into_socket(mut self) -> Option<(Line, Bytes)> {
        self.answer = None;
        let patience = self.forward.timeout;
        let changed = poll_fn(|cx| {
            self.poll_connection(cx);
            if self.done { Poll::Ready(()) } else { Poll::Pending }
        });
        timeout(patience, changed).await.ok()?;
        let parts = self.open?.connection.into_parts();
        Some((parts.io.into_inner().into_inner(), parts.read_buf))
    }
}

/// Connects, and lets hyper speak over the connection.
async fn open(forward: &Forward) -> Result<Open, Failure> {
    let seconds = forward.connect_timeout.as_secs() as u32;
    let connecting = timeout(forward.connect_timeout, connect(&forward.address, 0)).await;
    let stream = connecting.unwrap_or(Err(Failure::ConnectTimeout(seconds)))?;
    let stream = match &forward.secured {
        None => Line::Left(stream),
        Some(secured) => {
            let tls = upstreams::secure(secured, stream, forward.timeout).await?;
            Line::Right(Box::new(tls))
        }
    };
    let (io, moved) = Watched::new(stream);
    let handshake = http1::Builder::new()
        .title_case_headers(true)
        .http09_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(forward.ignores_bad)
        .max_headers(1000)
        .max_buf_size(forward.head_limit.max(8192) * 8)
        .handshake(TokioIo::new(io))
        .await;
    match handshake {
        Ok((sender, connection)) => Ok(Open { sender, connection, moved }),
        Err(error) => Err(Failure::Protocol(error.to_string())),
    }
}

fn request(
    forward: &Forward,
    sent: &Sent,
    gate: Option<Arc<Gate>>,
) -> Option<Request<Sent>> {
    let mut request = Request::new(sent.clone());
    *request.method_mut() = forward.method.clone();
    *request.uri_mut() = hyper::Uri::from_maybe_shared(forward.target.clone()).ok()?;
    if forward.old {
        *request.version_mut() = Version::HTTP_10;
    }
    let headers = request.headers_mut();
    for (name, value) in forward.headers.iter() {
        let name = HeaderName::from_bytes(name).ok()?;
        headers.append(name, HeaderValue::from_maybe_shared(value.clone()).ok()?);
    }
    if forward.upgrade.is_none() && !forward.old {
        let words = if forward.pool.is_some() { "Keep-Alive" } else { "close" };
        headers.insert(hyper::header::CONNECTION, HeaderValue::from_static(words));
    }
    if forward.says_length && sent.is_end_stream() {
        headers.insert(hyper::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if let Some(gate) = gate {
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == hyper::StatusCode::CONTINUE {
                gate.open();
            }
        });
    }
    Some(request)
}

/// The head of an answer, in the phases' words.
fn heard(parts: hyper::http::response::Parts) -> Heard {
    let status = parts.status.as_u16();
    let reason = parts.extensions.get::<ReasonPhrase>().map(|reason| {
        Bytes::from([status.to_string().as_bytes(), b" ", reason.as_bytes()].concat())
    });
    let mut headers = Headers::default();
    for (name, value) in &parts.headers {
        let value = Bytes::copy_from_slice(value.as_bytes());
        headers.add(Bytes::copy_from_slice(name.as_str().as_bytes()), value);
    }
    let version = match parts.version {
        Version::HTTP_09 => 9,
        Version::HTTP_10 => 10,
        _ => 11,
    };
    Heard { status, reason, version, headers }
}
