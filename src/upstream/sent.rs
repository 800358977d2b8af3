//! The body of a request on its way to an upstream. hyper owns one end of it, the request
//! keeps the other: what the upstream did not take comes back.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use directives::effect::Failure;
use http_body::{Body, Frame, SizeHint};

use crate::server::request_body::RequestBody;

/// A body.
#[derive(Clone, Debug)]
pub struct Sent(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    body: RequestBody,
    /// Its length, if it is sent with one.
    length: Option<u64>,
    left: u64,
    /// It has ended.
    ended: bool,
    /// The client is to send more.
    waits: bool,
    failure: Option<Failure>,
    gate: Option<Arc<Gate>>,
}

/// A body that waits for `100 Continue` starts when this is opened.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    open: bool,
    waker: Option<Waker>,
}

impl Gate {
    /// The body may be sent.
    pub fn open(&self) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.open = true;
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }

    fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.open {
            return Poll::Ready(());
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Why a body ends before its end.
#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the client's body broke off")
    }
}

impl std::error::Error for Broken {}

impl Sent {
    /// A body, its length if it is sent with one, and what it waits for.
    pub fn new(body: RequestBody, length: Option<u64>, gate: Option<Arc<Gate>>) -> Sent {
        let state = State {
            body,
            length,
            left: length.unwrap_or(0),
            ended: length == Some(0),
            waits: false,
            failure: None,
            gate,
        };
        Sent(Rc::new(RefCell::new(state)))
    }

    /// Does the upstream wait for the client?
    pub fn waits(&self) -> bool {
        self.0.borrow().waits
    }

    /// Was the client never told to send it?
    pub fn is_held(&self) -> bool {
        let state = self.0.borrow();
        !state.ended && state.gate.as_ref().is_some_and(|gate| !gate.is_open())
    }

    /// What the client did wrong.
    pub fn failure(&self) -> Option<Failure> {
        self.0.borrow().failure.clone()
    }

    /// What is left of the body.
    pub fn take_back(&self) -> RequestBody {
        std::mem::replace(&mut self.0.borrow_mut().body, RequestBody::empty())
    }

    /// Throws the rest of the body away.
    pub fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<bool> {
        self.0.borrow_mut().body.poll_discard(cx)
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut state = self.0.borrow_mut();
        if state.ended {
            return Poll::Ready(None);
        }
        if let Some(gate) = &state.gate
            && gate.poll(cx).is_pending()
        {
            return Poll::Pending;
        }
        let next = state.body.poll_chunk(cx);
        state.waits = next.is_pending();
        match next {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(chunk))) => {
                state.left = state.left.saturating_sub(chunk.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Poll::Ready(None) => {
                state.ended = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(failure))) => {
                state.ended = true;
                state.failure = Some(failure);
                Poll::Ready(Some(Err(Broken)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.borrow().ended
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.0.borrow();
        match state.length {
            Some(_) => SizeHint::with_exact(state.left),
            None => SizeHint::default(),
        }
    }
}
