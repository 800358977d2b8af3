//! The processes of an application of mod_fcgid, each of which serves one request at a time: who
//! is free, who waits. The parent starts and ends them; a process gets no request any more
//! before it is told to end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directives::effect::Failure;
use directives::modules::fcgid::class::PATIENCE;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::apps::Outbox;
use crate::message::{Reason, ToParent, Worker};

/// How often a request that waits asks for one more process.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The processes of one application.
#[derive(Debug)]
pub struct Workers {
    state: Mutex<State>,
    outbox: Outbox,
}

#[derive(Debug, Default)]
struct State {
    /// The one that was used last is the last.
    all: Vec<Known>,
    waiting: VecDeque<oneshot::Sender<Result<Turn, Failure>>>,
}

/// A process, as far as the server knows it.
#[derive(Debug)]
struct Known {
    serial: u64,
    busy: bool,
    /// Since when it is busy or idle.
    since: Instant,
    requests: u64,
    /// It gets no further request.
    leaves: bool,
    /// The parent has been told that.
    given_up: bool,
    /// There is something to report about it.
    changed: bool,
}

/// A request's hold on a process.
#[derive(Debug)]
pub struct Turn {
    workers: Arc<Workers>,
    serial: u64,
    /// What the process may answer at most; 0 for any number.
    max_requests: u64,
    /// How it went: well, not at all, or not to the end because nobody wanted it any more.
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Unused,
    Well,
    Failed(Reason),
}

impl Workers {
    /// None yet.
    pub fn new(outbox: Outbox) -> Workers {
        Workers { state: Mutex::default(), outbox }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parent says which processes there are.
    pub fn told(self: &Arc<Workers>, table: &[Worker]) {
        let mut state = self.lock();
        state
            .all
            .retain(|known| table.iter().any(|worker| worker.serial == known.serial));
        for worker in table {
            let known = state.all.iter_mut().find(|known| known.serial == worker.serial);
            if let Some(known) = known {
                known.leaves |= worker.leaves;
                continue;
            }
            state.all.push(Known {
                serial: worker.serial,
                busy: false,
                since: Instant::now(),
                requests: 0,
                leaves: worker.leaves,
                given_up: false,
                changed: false,
            });
        }
        self.go_on(state);
    }

    /// The program cannot be run: nobody needs to wait for it.
    pub fn refused(&self) {
        for turn in self.lock().waiting.drain(..) {
            // Who has gone does not want to know.
            let _ = turn.send(Err(Failure::NotStarted));
        }
    }

    /// A process that is free. `ask` has one more started; that is done at once if none is at
    /// work, and then every second.
    pub async fn turn(
        self: &Arc<Workers>,
        max_requests: u64,
        ask: impl Fn(),
    ) -> Result<Turn, Failure> {
        let (mut turn, alone) = {
            let mut state = self.lock();
            // Who came before goes before.
            if state.waiting.is_empty()
                && let Some(serial) = state.take()
            {
                return Ok(self.hold(serial, max_requests));
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(sender);
            (receiver, !state.all.iter().any(|known| known.busy))
        };
        if alone {
            ask();
        }
        let until = Instant::now() + Duration::from_secs(PATIENCE.into());
        loop {
            match timeout(ASK_AGAIN, &mut turn).await {
                Ok(Ok(turn)) => {
                    return turn.map(|mut turn| {
                        turn.max_requests = max_requests;
                        turn
                    });
                }
                Ok(Err(_)) => return Err(Failure::NotStarted),
                Err(_) if Instant::now() >= until => {
                    return Err(Failure::QueueTimeout(PATIENCE));
                }
                Err(_) => ask(),
            }
        }
    }

    fn hold(self: &Arc<Workers>, serial: u64, max_requests: u64) -> Turn {
        Turn { workers: self.clone(), serial, max_requests, end: End::Open }
    }

    /// Gives up what is to leave, and lets those who wait have what is free.
    fn go_on(self: &Arc<Workers>, mut state: MutexGuard<'_, State>) {
        // Who has gone before his turn came: it goes to the next when the lock is free.
        let mut unused: Vec<Turn> = Vec::new();
        for known in &mut state.all {
            if known.leaves
                && !known.busy
                && !std::mem::replace(&mut known.given_up, true)
            {
                self.outbox.say(ToParent::GivenUp(known.serial, None));
            }
        }
        while let Some(next) = state.waiting.front() {
            if next.is_closed() {
                state.waiting.pop_front();
                continue;
            }
            let Some(serial) = state.take() else { break };
            let Some(next) = state.waiting.pop_front() else { break };
            if let Err(Ok(turn)) = next.send(Ok(self.hold(serial, 0))) {
                unused.push(turn);
            }
        }
        drop(state);
        for mut turn in unused {
            turn.end = End::Unused;
            drop(turn);
        }
    }

    /// Tells the parent what has changed since it was told last.
    pub fn report(&self) {
        let now = Instant::now();
        for known in self.lock().all.iter_mut().filter(|known| known.changed) {
            known.changed = false;
            let time = now - known.since;
            self.outbox.say(ToParent::Doing(known.serial, known.busy, time));
        }
    }
}

impl State {
    /// The free process that was used last.
    fn take(&mut self) -> Option<u64> {
        let free = |known: &Known| !known.busy && !known.leaves;
        let known = self.all.iter_mut().rev().find(|known| free(known))?;
        known.busy = true;
        known.since = Instant::now();
        known.changed = true;
        Some(known.serial)
    }

    /// A process is free again: the next one to be used, or with `last` the last one.
    fn give_back(&mut self, serial: u64, last: bool) -> Option<&mut Known> {
        let i = self.all.iter().position(|known| known.serial == serial)?;
        let mut known = self.all.remove(i);
        known.busy = false;
        known.since = Instant::now();
        known.changed = true;
        let place = if last { 0 } else { self.all.len() };
        self.all.insert(place, known);
        self.all.get_mut(place)
    }
}

impl Turn {
    /// Where the process listens, by its application's address.
    pub fn socket(&self, base: &[u8]) -> bytes::Bytes {
        directives::modules::fcgid::class::socket_of(base, self.serial)
    }

    /// The answer has come to its end.
    pub fn well(mut self) {
        self.end = End::Well;
    }

    /// The process is of no further use.
    pub fn failed(mut self, why: Reason) {
        self.end = End::Failed(why);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let workers = self.workers.clone();
        let mut state = workers.lock();
        // Whose answer nobody waited for may still be at it.
        let known = state.give_back(self.serial, self.end == End::Open);
        if let Some(known) = known {
            known.requests += u64::from(self.end != End::Unused);
            let why = match self.end {
                End::Failed(why) => Some(why),
                _ if self.max_requests > 0 && known.requests >= self.max_requests => {
                    Some(Reason::Expired)
                }
                _ => None,
            };
            if why.is_some() && !known.given_up {
                known.leaves = true;
                known.given_up = true;
                workers.outbox.say(ToParent::GivenUp(known.serial, why));
            }
        }
        workers.go_on(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(table: &[(u64, bool)]) -> Vec<Worker> {
        table
            .iter()
            .map(|(serial, leaves)| Worker { serial: *serial, leaves: *leaves })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_process_has_one_request() {
        let (outbox, mut said) = Outbox::new(None);
        let workers = Arc::new(Workers::new(outbox));
        workers.told(&told(&[(1, false), (2, false)]));
        let first = workers.turn(0, || panic!("one is free")).await.unwrap();
        let second = workers.turn(0, || panic!("one is free")).await.unwrap();
        assert_eq!((first.serial, second.serial), (2, 1));
        // The third waits, and asks once in a second.
        let asked = std::cell::Cell::new(0);
        let mut third = Box::pin(workers.turn(0, || asked.set(asked.get() + 1)));
        let wait = Duration::from_millis(2500);
        assert!(timeout(wait, third.as_mut()).await.is_err());
        assert_eq!(asked.get(), 2);
        second.well();
        assert_eq!(third.await.unwrap().serial, 1);
        // It has been given back, and is the one to be used next.
        assert_eq!(workers.turn(0, || ()).await.unwrap().serial, 1);
        assert!(said.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let (outbox, _said) = Outbox::new(None);
        let workers = Arc::new(Workers::new(outbox));
        let begun = Instant::now();
        let asked = std::cell::Cell::new(0);
        let failed = workers.turn(0, || asked.set(asked.get() + 1)).await.unwrap_err();
        assert_eq!(failed, Failure::QueueTimeout(64));
        assert_eq!((begun.elapsed().as_secs(), asked.get()), (64, 64));
        let mut waiting = Box::pin(workers.turn(0, || ()));
        assert!(timeout(wait_a_little(), waiting.as_mut()).await.is_err());
        workers.refused();
        assert_eq!(waiting.await.unwrap_err(), Failure::NotStarted);
    }

    fn wait_a_little() -> Duration {
        Duration::from_millis(10)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_to_leave_gets_no_further_request() {
        let (outbox, mut said) = Outbox::new(None);
        let workers = Arc::new(Workers::new(outbox));
        workers.told(&told(&[(1, false), (2, false), (3, false)]));
        let mut heard = || said.try_recv().ok().map(|letter| letter.message);
        // A number of requests.
        workers.turn(1, || ()).await.unwrap().well();
        assert_eq!(heard(), Some(ToParent::GivenUp(3, Some(Reason::Expired))));
        // An answer that was broken off.
        workers.turn(0, || ()).await.unwrap().failed(Reason::Broken);
        assert_eq!(heard(), Some(ToParent::GivenUp(2, Some(Reason::Broken))));
        // The parent's wish: not before the request is over.
        let last = workers.turn(0, || ()).await.unwrap();
        workers.told(&told(&[(1, true)]));
        assert_eq!(heard(), None);
        drop(last);
        assert_eq!(heard(), Some(ToParent::GivenUp(1, None)));
        workers.told(&told(&[(1, true)]));
        assert_eq!(heard(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_takes_nothing_with_him() {
        let (outbox, _said) = Outbox::new(None);
        let workers = Arc::new(Workers::new(outbox));
        workers.told(&told(&[(1, false)]));
        let only = workers.turn(0, || ()).await.unwrap();
        {
            let mut waiting = Box::pin(workers.turn(0, || ()));
            assert!(timeout(wait_a_little(), waiting.as_mut()).await.is_err());
            // Given his turn, and gone before he noticed.
            only.well();
        }
        assert_eq!(workers.turn(0, || panic!("it is free")).await.unwrap().serial, 1);
    }
}
