//! Connections to upstreams that are kept between requests, and how many there may be.
//!
//! A connection stays with the thread that opened it, and is looked at before it is used
//! again: one that the upstream has closed, or said something on without being asked, is
//! dropped. The limit (`max`) counts over all threads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use directives::effect::Failure;
use directives::modules::fastcgi::Address;
use directives::modules::proxy::Forward;
use directives::modules::ssl::Secured;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::io::Watched;
use super::sent::Sent;

/// How long a connection is kept unless `ttl` says otherwise.
const KEPT: Duration = Duration::from_mins(1);
/// How often connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);
/// The most that a thread keeps for one upstream.
const MOST: usize = 64;

/// A connection that can take a request.
pub struct Open {
    /// Requests go in here.
    pub sender: SendRequest<Sent>,
    /// It has to be polled for anything to happen.
    pub connection: Connection<TokioIo<Watched>, Sent>,
    /// What moves on its socket.
    pub moved: std::rc::Rc<std::cell::Cell<super::io::Moved>>,
}

struct Kept {
    pool: Bytes,
    address: Address,
    secured: Option<Secured>,
    open: Open,
    until: Instant,
}

thread_local! {
    static KEPT_HERE: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// A limit, and the rights that are left of it, by upstream.
type Limits = HashMap<Bytes, (u32, Arc<Semaphore>)>;

/// The limits of upstreams that have one.
static LIMITS: LazyLock<Mutex<Limits>> = LazyLock::new(Mutex::default);

impl Open {
    /// Is it as it was left? What closed or speaks unasked is of no use.
    fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.connection.poll_without_shutdown(&mut cx).is_pending()
            && matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Ok(())))
    }
}

/// A connection of this thread to an upstream, the latest one. One that was secured
/// otherwise, or for another host, is none.
pub fn take(pool: &Bytes, forward: &Forward) -> Option<Open> {
    KEPT_HERE.with_borrow_mut(|kept| {
        loop {
            let fits = |one: &Kept| {
                one.pool == *pool
                    && one.address == forward.address
                    && one.secured == forward.secured
            };
            let at = kept.iter().rposition(fits)?;
            let mut found = kept.remove(at);
            if found.until > Instant::now() && found.open.is_quiet() {
                return Some(found.open);
            }
        }
    })
}

/// Keeps a connection for the next request.
pub fn keep(pool: Bytes, forward: &Forward, open: Open) {
    let until = Instant::now() + forward.ttl.unwrap_or(KEPT);
    let (address, secured) = (forward.address.clone(), forward.secured.clone());
    let first = KEPT_HERE.with_borrow_mut(|kept| {
        if kept.iter().filter(|one| one.pool == pool).count() >= MOST {
            return false;
        }
        kept.push(Kept { pool, address, secured, open, until });
        kept.len() == 1
    });
    if first {
        tokio::task::spawn_local(sweep());
    }
}

/// Closes what is too old or closed, until nothing is left.
async fn sweep() {
    loop {
        sleep(SWEEP).await;
        let left = KEPT_HERE.with_borrow_mut(|kept| {
            let now = Instant::now();
            kept.retain_mut(|one| one.until > now && one.open.is_quiet());
            kept.len()
        });
        if left == 0 {
            return;
        }
    }
}

/// The right to have a connection, where an upstream has a limit. Waits for it.
pub async fn permit(forward: &Forward) -> Result<Option<OwnedSemaphorePermit>, Failure> {
    let (Some(most), Some(pool)) = (forward.max, &forward.pool) else { return Ok(None) };
    let semaphore = {
        let mut limits = LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = limits.get(pool).filter(|(limit, _)| *limit == most);
        match known {
            Some((_, semaphore)) => semaphore.clone(),
            None => {
                // A reload has changed it: who has a permit of the old one keeps it.
                let semaphore = Arc::new(Semaphore::new(most as usize));
                limits.insert(pool.clone(), (most, semaphore.clone()));
                semaphore
            }
        }
    };
    let patience = forward.acquire.unwrap_or(forward.timeout);
    match timeout(patience, semaphore.acquire_owned()).await {
        Ok(Ok(permit)) => Ok(Some(permit)),
        _ => Err(Failure::NotStarted),
    }
}
