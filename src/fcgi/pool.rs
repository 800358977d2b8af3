//! Connections to one application that are used again. Longer than others: one state
//! machine.
//!
//! An application's process serves one connection at a time as a rule, and one that is
//! kept open without a request keeps the process from accepting another. So a connection
//! goes on only while that cannot starve anybody:
//!
//! - Not more connections are opened than the application is known to serve at the same
//!   time; requests beyond that wait here, in order, and take the connection that is
//!   free next. How many it serves is learnt: while requests wait, some more connections
//!   are tried, and what answers while all others are busy is one more.
//! - As long as a connection that was tried has not been answered, it may lie in the
//!   application's queue. Who has begun before it hands his connection on once more: if it is
//!   answered all the same, it is served beside the others, also where all requests take the
//!   same time. What is done after that is closed and not used again, so that the process can
//!   accept it.
//! - Nobody waits here for long: after a while a request lies in the application's queue as
//!   it would without all this, with the time limits that hold there. Only where the
//!   configuration sets limits to waiting itself ([`Patience`]) do requests stay here: of what
//!   lies in an application's queue nobody knows whether its work has begun.
//! - Whether an application can be asked to leave a connection open is seen from its first
//!   answers, for which it is not asked: one that ends answers by closing would be waited
//!   for in vain.
//! - Without a request a connection is kept for a moment only, and none for long: another
//!   front end on the same socket, or another server's thread, waits no longer than that.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directives::effect::Failure;
use directives::modules::fastcgi::app::Settings;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::connect::Stream;

/// How long a connection stays open without a request.
const MAX_IDLE: Duration = Duration::from_millis(50);
/// How long a connection is used in all.
const MAX_AGE: Duration = Duration::from_millis(250);
/// How long requests wait before more connections are tried, at first and at most.
const PROBE_FIRST: Duration = Duration::from_millis(2);
const PROBE_MOST: Duration = Duration::from_secs(2);
/// How long a request waits here at most.
const MAX_WAIT: Duration = Duration::from_millis(200);
/// How much later others may have come, of a thread that has the connection, and be served
/// before: to give it to another thread costs as much as some requests.
const MAX_PREFERENCE: Duration = Duration::from_millis(2);
/// More connections at the same time than this are not opened.
const MAX_LIMIT: u32 = 4096;

/// How long a request waits here, and beside how many others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// `-queue-timeout`, seconds; 0 for none.
    timeout: u32,
    /// `-queue-length`.
    length: Option<u32>,
}

impl Patience {
    /// What the configuration says.
    pub fn of(settings: &Settings) -> Patience {
        Patience { timeout: settings.queue_timeout, length: settings.queue_length }
    }

    /// Does it set any limit?
    pub fn is_limited(self) -> bool {
        self != Patience::default()
    }

    /// Until when somebody waits who comes now, if there is an end to it.
    pub fn deadline(self, now: Instant) -> Option<Instant> {
        let time = Duration::from_secs(self.timeout.into());
        (self.timeout > 0).then(|| now + time)
    }

    /// What becomes of who has waited until then.
    pub fn failure(self) -> Failure {
        Failure::QueueTimeout(self.timeout)
    }
}

/// The connections to an application.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    idle: Vec<Kept>,
    sweeping: bool,
    /// The application has ended an answer with END_REQUEST.
    proven: bool,
    /// Connections with a request.
    busy: u32,
    /// How many the application serves at the same time, as far as is known.
    limit: u32,
    waiting: VecDeque<Waiting>,
    /// Somebody looks after those who wait.
    minding: bool,
    /// Connections that were tried beyond `limit` and have not been answered.
    probes: u32,
    /// Processes that have become free meanwhile and may have accepted one of those.
    freed: u32,
    /// When those were tried.
    probe_since: Instant,
    probe_at: Instant,
    probe_pause: Duration,
    /// Other connections that were opened and have not been answered, and since when.
    pending: u32,
    pending_since: Instant,
    /// How often `limit` was lowered for their sake.
    lowered: u32,
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    thread: u32,
    since: Instant,
    /// He stays here for as long as it takes.
    stays: bool,
    turn: oneshot::Sender<Lease>,
}

/// What a request that comes finds.
#[derive(Debug)]
enum Place {
    Now(Lease),
    Queue(oneshot::Receiver<Lease>),
    /// The queue may not be longer than this, and it is so long.
    Full(u32),
}

/// A connection without a request.
#[derive(Debug)]
struct Kept {
    stream: Stream,
    thread: u32,
    opened: Instant,
    since: Instant,
}

/// What a request gets.
#[derive(Debug)]
enum Grant {
    Kept(Kept),
    /// It may open a connection.
    Open {
        probe: bool,
    },
}

/// A request's hold on a connection, or on the right to open one.
#[derive(Debug)]
pub struct Lease {
    pool: Arc<Pool>,
    probe: bool,
    answered: bool,
    /// The connection was used before.
    reused: bool,
    /// The application is asked to leave the connection open.
    keeps: bool,
    opened: Instant,
    /// When this request got it.
    since: Instant,
    /// The connection, if it was used before.
    kept: Option<Kept>,
    /// It has been given back.
    done: bool,
}

thread_local! {
    /// This thread's number: a connection belongs to the reactor of one.
    static THREAD: u32 = {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

fn thread() -> u32 {
    THREAD.with(|thread| *thread)
}

impl Pool {
    /// Of an application that serves so many requests at the same time.
    pub fn new(processes: u32) -> Pool {
        let state = State {
            idle: Vec::new(),
            sweeping: false,
            proven: false,
            busy: 0,
            limit: processes.max(1),
            waiting: VecDeque::new(),
            minding: false,
            probes: 0,
            freed: 0,
            probe_since: Instant::now(),
            probe_at: Instant::now(),
            probe_pause: PROBE_FIRST,
            pending: 0,
            pending_since: Instant::now(),
            lowered: 0,
        };
        Pool { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that can be used, or the right to open one, for who comes now; waits its
    /// turn. With `fresh` it is not one that was used before.
    pub async fn lease(
        self: &Arc<Pool>,
        fresh: bool,
        patience: Patience,
        mut now: Instant,
    ) -> Result<Lease, Failure> {
        let until = patience.deadline(now);
        loop {
            let mut turn = match self.lock().take(self, fresh, patience, now) {
                Place::Now(mut lease) => {
                    // The next of its kind would have it closed again: its process accepts
                    // another one sooner if it closes by itself.
                    lease.keeps &= !fresh;
                    return Ok(lease);
                }
                Place::Queue(turn) => turn,
                Place::Full(length) => return Err(Failure::QueueFull(length)),
            };
            let came = match until {
                None => turn.await,
                Some(until) => match timeout_at(until, &mut turn).await {
                    Ok(came) => came,
                    Err(_) => return Err(patience.failure()),
                },
            };
            // Whoever waits is never forgotten; if he were, he would ask again.
            if let Ok(mut lease) = came {
                if fresh {
                    // Instead of the one that is closed here another may be opened.
                    lease.close_kept();
                    lease.keeps = false;
                }
                return Ok(lease);
            }
            now = Instant::now();
        }
    }

    /// Looks after those who wait, until nobody does.
    async fn mind(self: Arc<Pool>) {
        loop {
            let Some(next) = self.lock().next_look() else { return };
            sleep_until(next).await;
            self.lock().look(&self);
        }
    }

    /// Closes what has been idle for too long, until nothing is left.
    async fn sweep(self: Arc<Pool>) {
        loop {
            sleep(MAX_IDLE / 2).await;
            let mut state = self.lock();
            let now = Instant::now();
            state.idle.retain(|kept| now - kept.since < MAX_IDLE);
            if state.idle.is_empty() {
                state.sweeping = false;
                return;
            }
        }
    }
}

impl State {
    /// A connection at once, or a place in a queue of at most so many.
    fn take(
        &mut self,
        pool: &Arc<Pool>,
        fresh: bool,
        patience: Patience,
        now: Instant,
    ) -> Place {
        // Who came before goes before.
        if self.waiting.is_empty() {
            if fresh && !self.has_room() {
                // Another one is opened in its place.
                self.idle.pop();
            }
            while !fresh && let Some(kept) = self.best_idle() {
                if kept.stream.is_quiet() {
                    return Place::Now(self.grant(pool, Grant::Kept(kept), now));
                }
            }
            if self.busy < self.limit {
                return Place::Now(self.grant(pool, Grant::Open { probe: false }, now));
            }
        }
        if let Some(length) = patience.length {
            // Who has gone away does not wait any more.
            self.waiting.retain(|waiting| !waiting.turn.is_closed());
            if self.waiting.len() >= length as usize {
                return Place::Full(length);
            }
        }
        let (turn, receiver) = oneshot::channel();
        let (thread, since) = (thread(), now);
        let stays = patience.is_limited();
        self.waiting.push_back(Waiting { thread, since, stays, turn });
        if !std::mem::replace(&mut self.minding, true) {
            tokio::spawn(pool.clone().mind());
        }
        Place::Queue(receiver)
    }

    /// A request's hold on what it gets. It takes itself back when it is dropped, also on
    /// its way to a request that has gone.
    fn grant(&mut self, pool: &Arc<Pool>, grant: Grant, since: Instant) -> Lease {
        self.busy += 1;
        let (kept, probe) = match grant {
            Grant::Kept(kept) => (Some(kept), false),
            Grant::Open { probe } => (None, probe),
        };
        if probe {
            if self.probes == 0 {
                self.probe_since = since;
                self.freed = 0;
            }
            self.probes += 1;
        } else if kept.is_none() {
            self.opened();
        }
        Lease {
            pool: pool.clone(),
            probe,
            answered: false,
            reused: kept.is_some(),
            keeps: self.proven,
            opened: kept.as_ref().map_or(since, |kept| kept.opened),
            since,
            kept,
            done: false,
        }
    }

    /// Gives a request what it waits for. If it has gone, the connection comes back.
    fn hand(&mut self, pool: &Arc<Pool>, to: Waiting, grant: Grant) -> Option<Kept> {
        let lease = self.grant(pool, grant, Instant::now());
        match to.turn.send(lease) {
            Ok(()) => None,
            Err(mut lease) => {
                self.undo(&lease);
                lease.done = true;
                lease.kept.take()
            }
        }
    }

    /// What a lease that leads to nothing leaves.
    fn undo(&mut self, lease: &Lease) {
        self.busy = self.busy.saturating_sub(1);
        if !lease.answered && lease.probe {
            self.probes = self.probes.saturating_sub(1);
        } else if !lease.answered && !lease.reused {
            self.pending = self.pending.saturating_sub(1);
        }
    }

    /// Can another connection be opened beside those that there are?
    fn has_room(&self) -> bool {
        self.busy as usize + self.idle.len() < self.limit as usize
    }

    /// The idle connection that was used last on this thread, or else on another if no new
    /// one can be opened.
    fn best_idle(&mut self) -> Option<Kept> {
        let own = thread();
        let i = self.idle.iter().rposition(|kept| kept.thread == own);
        let last = self.idle.len().checked_sub(1);
        Some(self.idle.remove(i.or(last.filter(|_| !self.has_room()))?))
    }

    /// When those who wait are to be looked at again, if there are any.
    fn next_look(&mut self) -> Option<Instant> {
        self.waiting.retain(|waiting| !waiting.turn.is_closed());
        let Some(first) = self.waiting.front() else {
            self.minding = false;
            return None;
        };
        let probe = self.probe_at.max(first.since + self.probe_pause);
        let next = probe.max(Instant::now() + self.probe_pause);
        let leaves = self.waiting.iter().find(|waiting| !waiting.stays);
        Some(leaves.map_or(next, |waiting| next.min(waiting.since + MAX_WAIT)))
    }

    /// Who has waited for too long goes to the application's queue; for the others more
    /// connections are tried.
    fn look(&mut self, pool: &Arc<Pool>) {
        let now = Instant::now();
        while let Some(i) = self.waiting.iter().position(|waiting| !waiting.stays)
            && now - self.waiting[i].since >= MAX_WAIT
            && let Some(waiting) = self.waiting.remove(i)
        {
            self.hand(pool, waiting, Grant::Open { probe: true });
        }
        self.probe(pool);
    }

    /// Tries more connections for those who wait: as many again as are known to work.
    fn probe(&mut self, pool: &Arc<Pool>) {
        let now = Instant::now();
        let waits = self.waiting.front().map(|first| now - first.since);
        if self.probes > 0
            || now < self.probe_at
            || waits.is_none_or(|waits| waits < self.probe_pause)
            || self.limit >= MAX_LIMIT
        {
            return;
        }
        for _ in 0..self.limit {
            let Some(next) = self.waiting.pop_front() else { break };
            self.hand(pool, next, Grant::Open { probe: true });
        }
        // Until one of them is answered, more would lie in the same queue.
        self.probe_pause = (self.probe_pause * 2).min(PROBE_MOST);
        self.probe_at = now + self.probe_pause;
    }

    /// A connection was opened that is no probe.
    fn opened(&mut self) {
        if self.pending == 0 {
            self.pending_since = Instant::now();
            self.lowered = 0;
        }
        self.pending += 1;
    }

    /// Has a request that began at `since` overtaken one whose connection was opened
    /// before? Then the application serves fewer than was believed, and the connection
    /// lies in its queue.
    fn overtook(&mut self, since: Instant) -> bool {
        let overtook = self.pending > 0 && self.pending_since < since;
        if overtook && self.lowered < self.pending {
            self.lowered += 1;
            self.limit = (self.limit - 1).max(1);
        }
        overtook
    }

    fn answered(&mut self, pool: &Arc<Pool>, probe: bool) {
        if !probe {
            self.pending = self.pending.saturating_sub(1);
            return;
        }
        self.probes = self.probes.saturating_sub(1);
        if self.freed > 0 {
            // It took the place of one that was closed for it.
            self.freed -= 1;
        } else {
            self.limit = (self.limit + 1).min(MAX_LIMIT);
            self.probe_pause = PROBE_FIRST;
            self.probe_at = Instant::now();
            self.probe(pool);
        }
    }

    /// Whose turn it is: who waits on this thread, if he did not come much later than the
    /// first.
    fn next(&mut self) -> Option<Waiting> {
        let latest = self.waiting.front()?.since + MAX_PREFERENCE;
        let own = thread();
        let i = self.waiting.iter().position(|next| next.thread == own);
        let i = i.filter(|i| self.waiting[*i].since <= latest);
        self.waiting.remove(i.unwrap_or(0))
    }

    /// A connection is free, or gone, and no longer counted; the next request gets it, or
    /// its place. `since` is when the one before got it.
    fn released(&mut self, pool: &Arc<Pool>, mut kept: Option<Kept>, since: Instant) {
        let unclear = self.probes.saturating_sub(self.freed);
        let again = kept.is_some() && since <= self.probe_since;
        if unclear > 0 && (self.waiting.is_empty() || !again) {
            // Somebody lies in the application's queue: its process is for him.
            self.freed += 1;
            return;
        }
        while self.busy < self.limit + unclear {
            let Some(next) = self.next() else { break };
            let grant = match kept.take() {
                Some(kept) => Grant::Kept(kept),
                None => Grant::Open { probe: false },
            };
            kept = self.hand(pool, next, grant);
        }
        self.idle.extend(kept.filter(|_| unclear == 0));
    }
}

impl Lease {
    /// The connection, if there is one already.
    pub fn take_kept(&mut self) -> Option<Stream> {
        let kept = self.kept.take()?;
        if kept.thread == thread() {
            return Some(kept.stream);
        }
        let moved = kept.stream.moved().ok();
        if moved.is_none() {
            // Another one is opened.
            self.reused = false;
            self.pool.lock().opened();
        }
        moved
    }

    /// Is the application to leave the connection open?
    pub fn keeps(&self) -> bool {
        self.keeps
    }

    /// Was the connection used before? Then its end may have nothing to do with this
    /// request.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Closes the connection: another one is opened in its place.
    fn close_kept(&mut self) {
        if self.kept.take().is_some() {
            self.reused = false;
            self.pool.lock().opened();
        }
    }

    /// The first byte of the answer has come.
    pub fn answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) && !self.reused {
            self.pool.lock().answered(&self.pool, self.probe);
        }
    }

    /// The request is over, and the connection can take another one.
    pub fn keep(mut self, stream: Stream) {
        self.answered();
        self.done = true;
        let now = Instant::now();
        let good = self.keeps && now - self.opened < MAX_AGE && stream.is_quiet();
        let mut kept = good.then(|| Kept {
            stream,
            thread: thread(),
            opened: self.opened,
            since: now,
        });
        let mut state = self.pool.lock();
        state.proven = true;
        if state.overtook(self.since) {
            kept = None;
        }
        state.undo(&self);
        state.released(&self.pool, kept, self.since);
        if !state.idle.is_empty() && !state.sweeping {
            state.sweeping = true;
            tokio::spawn(self.pool.clone().sweep());
        }
    }
}

/// The connection is gone, or of no further use.
impl Drop for Lease {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.pool.lock();
        state.undo(self);
        state.released(&self.pool, None, self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Waker};
    use tokio::time::timeout;

    fn pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    async fn at_once(pool: &Arc<Pool>) -> Lease {
        let lease = pool.lease(false, Patience::default(), Instant::now());
        timeout(Duration::from_millis(500), lease).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_goes_away_takes_nothing_with_it() {
        let pool = Arc::new(Pool::new(1));
        let first = at_once(&pool).await;
        {
            // Given its turn, and gone before it noticed.
            let mut second =
                Box::pin(pool.lease(false, Patience::default(), Instant::now()));
            assert!(pending(second.as_mut()));
            drop(first);
        }
        let third = at_once(&pool).await;
        {
            // Gone while it waited.
            let mut fourth =
                Box::pin(pool.lease(false, Patience::default(), Instant::now()));
            assert!(pending(fourth.as_mut()));
        }
        drop(third);
        drop(at_once(&pool).await);
        let state = pool.lock();
        assert_eq!((state.busy, state.probes, state.pending), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_answers_beside_the_others_is_one_more() {
        let pool = Arc::new(Pool::new(1));
        let mut first = at_once(&pool).await;
        first.answered();
        // Nobody is free: after a moment another connection is tried.
        let mut second = at_once(&pool).await;
        assert!(second.probe);
        // A third waits for what becomes of it.
        let mut third = Box::pin(pool.lease(false, Patience::default(), Instant::now()));
        assert!(timeout(PROBE_FIRST * 8, third.as_mut()).await.is_err());
        second.answered();
        assert_eq!(pool.lock().limit, 2);
        let third = timeout(Duration::from_secs(3), third).await.unwrap().unwrap();
        assert!(third.probe);
        // The process that becomes free now accepts the third.
        drop(first);
        let mut third = third;
        third.answered();
        assert_eq!(pool.lock().limit, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long() {
        let pool = Arc::new(Pool::new(1));
        let _stuck = at_once(&pool).await;
        let mut others: Vec<_> = (0..3)
            .map(|_| Box::pin(pool.lease(false, Patience::default(), Instant::now())))
            .collect();
        for other in &mut others {
            assert!(pending(other.as_mut()));
        }
        let begun = Instant::now();
        let mut leases = Vec::new();
        for other in others {
            leases.push(other.await.unwrap());
        }
        assert!(begun.elapsed() <= MAX_WAIT + Duration::from_millis(5));
        assert_eq!(pool.lock().probes, 3);
        drop(leases);
        let state = pool.lock();
        assert_eq!((state.busy, state.probes), (1, 0));
    }

    /// Without a word about it who waits goes to the application's queue; with one he stays
    /// here, and leaves in time.
    #[tokio::test(start_paused = true)]
    async fn a_limited_wait_ends_in_time() {
        let pool = Arc::new(Pool::new(1));
        let stuck = at_once(&pool).await;
        let patience = Patience { timeout: 3, length: Some(2) };
        // One is tried beside the first.
        let tried = pool.lease(false, patience, Instant::now()).await.unwrap();
        assert!(tried.probe);
        let begun = Instant::now();
        let mut second = Box::pin(pool.lease(false, patience, Instant::now()));
        assert!(pending(second.as_mut()));
        let mut third = Box::pin(pool.lease(false, patience, Instant::now()));
        assert!(pending(third.as_mut()));
        // There is no place for a third one,
        let full = pool.lease(false, patience, Instant::now()).await.unwrap_err();
        assert_eq!(full, Failure::QueueFull(2));
        // but for who comes after one that has gone.
        drop(third);
        let mut fourth = Box::pin(pool.lease(false, patience, Instant::now()));
        assert!(pending(fourth.as_mut()));
        assert_eq!(second.await.unwrap_err(), Failure::QueueTimeout(3));
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(4));
        drop(tried);
        drop(stuck);
        drop(timeout(Duration::from_millis(1), fourth).await.unwrap().unwrap());
        let state = pool.lock();
        assert_eq!((state.busy, state.probes, state.pending), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn overtaking_shows_that_there_are_fewer() {
        let pool = Arc::new(Pool::new(4));
        let _stuck = at_once(&pool).await;
        tokio::time::advance(Duration::from_millis(1)).await;
        let began = Instant::now();
        assert!(pool.lock().overtook(began));
        assert!(pool.lock().overtook(began));
        assert_eq!(pool.lock().limit, 3);
    }
}
