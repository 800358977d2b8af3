//! The body of a request: read as it is needed, gathered first where its length has to be
//! known, or thrown away.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use directives::effect::Failure;
use directives::modules::deflate::InflateLimits;
use directives::modules::reqtimeout::Stage;
use http_body::Body;
use hyper::HeaderMap;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::filter::{Unpacked, Unpacker};

/// What is gathered in memory before a file is used, bytes.
const IN_MEMORY: usize = 64 * 1024;
/// A piece of a gathered file, bytes.
const PIECE: usize = 64 * 1024;
/// What is thrown away of an unread body to keep a connection, bytes.
const MOST_DISCARDED: u64 = 64 * 1024 * 1024;

/// Fields that came behind a body.
pub type Trailers = Rc<RefCell<HeaderMap>>;

/// A request's body.
pub struct RequestBody {
    ready: VecDeque<Bytes>,
    source: Source,
    /// `LimitRequestBody`.
    limit: Option<u64>,
    /// Bytes that came from the client.
    pub read: u64,
    /// `Timeout`.
    timeout: Duration,
    pace: Option<Pace>,
    timer: Option<Pin<Box<Sleep>>>,
    failed: Option<Failure>,
    trailers: Option<Trailers>,
}

/// `RequestReadTimeout body=`: how long the client was waited for, against what it sent.
struct Pace {
    stage: Stage,
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// The time that is left.
    fn left(&self, read: u64) -> Duration {
        self.stage.allows(read).saturating_sub(self.waited)
    }
}

enum Source {
    Ended,
    Client(Incoming),
    Spooled { file: File, left: u64 },
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody").field("read", &self.read).finish_non_exhaustive()
    }
}

impl RequestBody {
    /// The body that a client sends.
    pub fn new(
        incoming: Incoming,
        timeout: Duration,
        stage: Option<Stage>,
        may_have_trailers: bool,
    ) -> RequestBody {
        let has_trailers = may_have_trailers && !incoming.is_end_stream();
        let source = if incoming.is_end_stream() {
            Source::Ended
        } else {
            Source::Client(incoming)
        };
        RequestBody {
            ready: VecDeque::new(),
            source,
            limit: None,
            read: 0,
            timeout,
            pace: stage.map(|stage| Pace { stage, waited: Duration::ZERO, since: None }),
            timer: None,
            failed: None,
            trailers: has_trailers.then(Trailers::default),
        }
    }

    /// Where the fields behind it will be, if there may be any.
    pub fn trailers(&self) -> Option<Trailers> {
        self.trailers.clone()
    }

    /// No body: what an authorizer gets.
    pub fn empty() -> RequestBody {
        RequestBody {
            ready: VecDeque::new(),
            source: Source::Ended,
            limit: None,
            read: 0,
            timeout: Duration::ZERO,
            pace: None,
            timer: None,
            failed: None,
            trailers: None,
        }
    }

    /// From now on no more than this is taken from the client, bytes.
    pub fn set_limit(&mut self, limit: Option<u64>) {
        self.limit = limit;
    }

    /// Has the client sent everything?
    pub fn is_read(&self) -> bool {
        !matches!(self.source, Source::Client(_))
    }

    /// The length of the body, if all of it is here.
    pub fn gathered(&self) -> Option<u64> {
        let ready: u64 = self.ready.iter().map(|chunk| chunk.len() as u64).sum();
        match &self.source {
            Source::Ended => Some(ready),
            Source::Spooled { left, .. } => Some(ready + left),
            Source::Client(_) => None,
        }
    }

    /// The first bytes of a body that was gathered, at most so many.
    pub fn beginning(&self, most: usize) -> Bytes {
        if let Source::Spooled { file, left } = &self.source {
            let length = most.min(usize::try_from(*left).unwrap_or(most));
            let mut first = vec![0; length];
            // What cannot be read is not shown; whoever reads it next says why.
            let read = file.read_exact_at(&mut first, 0);
            return read.map_or_else(|_| Bytes::new(), |()| first.into());
        }
        let bytes = self.ready.iter().flat_map(|chunk| chunk.iter().copied());
        bytes.take(most).collect()
    }

    /// Is there no further piece?
    pub fn is_at_end(&self) -> bool {
        matches!(self.source, Source::Ended) && self.ready.is_empty()
    }

    /// The next piece.
    pub fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        if let Some(chunk) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        if let Source::Spooled { file, left } = &mut self.source {
            if *left == 0 {
                self.source = Source::Ended;
                return Poll::Ready(None);
            }
            let mut piece =
                BytesMut::zeroed(PIECE.min(usize::try_from(*left).unwrap_or(PIECE)));
            return Poll::Ready(match file.read_exact(&mut piece) {
                Ok(()) => {
                    *left -= piece.len() as u64;
                    Some(Ok(piece.freeze()))
                }
                Err(_) => Some(Err(Failure::Client)),
            });
        }
        self.poll_client(cx)
    }

    fn poll_client(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        if let Some(failure) = &self.failed {
            return Poll::Ready(Some(Err(failure.clone())));
        }
        let Source::Client(incoming) = &mut self.source else { return Poll::Ready(None) };
        loop {
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.timer = None;
                    if let Some(pace) = &mut self.pace
                        && let Some(since) = pace.since.take()
                    {
                        pace.waited += since.elapsed();
                    }
                    let data = match frame.into_data() {
                        Ok(data) => data,
                        Err(frame) => {
                            let kept = self.trailers.as_ref();
                            if let (Some(kept), Ok(fields)) =
                                (kept, frame.into_trailers())
                            {
                                kept.replace(fields);
                            }
                            continue;
                        }
                    };
                    self.read += data.len() as u64;
                    if self.limit.is_some_and(|limit| self.read > limit) {
                        return Poll::Ready(Some(Err(self.fail(Failure::BodyTooLong))));
                    }
                    if data.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(Ok(data)));
                }
                Poll::Ready(None) => {
                    self.source = Source::Ended;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    let client = error.is_incomplete_message() || error.is_canceled();
                    let failure = if client { Failure::Client } else { Failure::BadBody };
                    return Poll::Ready(Some(Err(self.fail(failure))));
                }
                Poll::Pending => {
                    let timer = self.timer.get_or_insert_with(|| {
                        let now = Instant::now();
                        let limit = match &mut self.pace {
                            Some(pace) => {
                                pace.since = Some(now);
                                self.timeout.min(pace.left(self.read))
                            }
                            None => self.timeout,
                        };
                        Box::pin(sleep_until(now + limit))
                    });
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Err(self.fail(Failure::BodyTimeout))));
                }
            }
        }
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.failed = Some(failure.clone());
        failure
    }

    async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        poll_fn(|cx| self.poll_client(cx)).await
    }

    /// Reads until so many bytes are there, or all: a slow small upload does not occupy
    /// an application (B-3).
    pub async fn prefetch(&mut self, wanted: usize) -> Result<(), Failure> {
        let mut have: usize = self.ready.iter().map(Bytes::len).sum();
        while have < wanted {
            match self.next().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    have += chunk.len();
                    self.ready.push_back(chunk);
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Reads everything, into memory and then into a temporary file, and says how much it
    /// is: a body without a length needs that, and an application is not occupied
    /// by a slow client.
    pub async fn spool(&mut self) -> Result<u64, Failure> {
        self.gather(None).await
    }

    /// Reads everything, and unpacks it: the input filter DEFLATE. Says how much it is.
    pub async fn inflate(&mut self, limits: InflateLimits) -> Result<u64, Failure> {
        self.gather(Some(Unpacker::new(limits))).await
    }

    async fn gather(&mut self, mut unpacker: Option<Unpacker>) -> Result<u64, Failure> {
        let mut total: u64 = self.ready.iter().map(|chunk| chunk.len() as u64).sum();
        let mut file: Option<File> = None;
        let mut ended = false;
        while !ended {
            let mut chunk = match self.next().await {
                Some(chunk) => chunk?,
                None => {
                    ended = true;
                    Bytes::new()
                }
            };
            if let Some(unpacker) = &mut unpacker {
                let unpacked =
                    if ended { unpacker.finish() } else { unpacker.push(chunk) };
                chunk = match unpacked {
                    Unpacked::Bytes(bytes) => bytes,
                    Unpacked::TooMuch => return Err(self.fail(Failure::BodyTooLong)),
                    Unpacked::Bad => return Err(self.fail(Failure::BadBody)),
                };
                tokio::task::yield_now().await;
            }
            if chunk.is_empty() {
                continue;
            }
            total += chunk.len() as u64;
            match &mut file {
                Some(file) => file.write_all(&chunk).map_err(|_| Failure::Client)?,
                None => {
                    self.ready.push_back(chunk);
                    if total > IN_MEMORY as u64 {
                        let mut fresh =
                            tempfile::tempfile().map_err(|_| Failure::Client)?;
                        for chunk in self.ready.drain(..) {
                            fresh.write_all(&chunk).map_err(|_| Failure::Client)?;
                        }
                        file = Some(fresh);
                    }
                }
            }
        }
        if let Some(mut file) = file {
            file.rewind().map_err(|_| Failure::Client)?;
            self.source = Source::Spooled { file, left: total };
        }
        Ok(total)
    }

    /// Throws the rest away, within bounds, so that the connection can go on (B-6). Says
    /// whether it can.
    pub async fn discard(&mut self) -> bool {
        poll_fn(|cx| self.poll_discard(cx)).await
    }

    /// [`RequestBody::discard`], to be polled.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.ready.clear();
        loop {
            if self.is_read() {
                return Poll::Ready(true);
            }
            if self.read > MOST_DISCARDED {
                return Poll::Ready(false);
            }
            match self.poll_client(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
