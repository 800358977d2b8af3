//! The scoreboard seen from outside the threads: who is asked for what, and how totals
//! grew.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use directives::modules::status::{SAMPLE_TIME, SAMPLES, Sample, Thread};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::apps::{Outbox, Registry};
use super::scoreboard::{Question, Tally};
use crate::message::ToParent;
use crate::message::status::Version;

/// How long a thread may take to say what its connections are doing.
const THREAD_PATIENCE: Duration = Duration::from_millis(500);
/// How long the parent may take to say how the processes are.
const PARENT_PATIENCE: Duration = Duration::from_secs(1);
/// How often totals are kept.
pub const SAMPLING: Duration = Duration::from_secs(SAMPLE_TIME as u64);

/// The scoreboard.
#[derive(Debug)]
pub struct Board {
    /// When it was made, microseconds since 1970.
    pub started: i64,
    threads: Vec<(Arc<Tally>, mpsc::UnboundedSender<Question>)>,
    history: Mutex<VecDeque<Sample>>,
    outbox: Outbox,
    /// What the parent said last.
    versions: watch::Sender<Arc<Vec<Version>>>,
    /// It has been asked, and has not answered.
    asked: Mutex<bool>,
}

/// What a thread needs to have its part in it.
pub type Part = (Arc<Tally>, mpsc::UnboundedReceiver<Question>);

impl Board {
    /// For so many threads.
    pub fn new(threads: usize, outbox: Outbox) -> (Board, Vec<Part>) {
        let make = |_| {
            let (sender, receiver) = mpsc::unbounded_channel();
            let tally = Arc::new(Tally::default());
            ((tally.clone(), sender), (tally, receiver))
        };
        let (threads, parts) = (0..threads).map(make).unzip();
        let board = Board {
            started: crate::log::now(),
            threads,
            history: Mutex::default(),
            outbox,
            versions: watch::Sender::default(),
            asked: Mutex::default(),
        };
        (board, parts)
    }

    /// What all threads are doing.
    pub async fn threads(&self) -> Vec<Thread> {
        // All are asked before the first answer is waited for.
        let asked = self.threads.iter().map(|(tally, questions)| {
            let (question, answer) = oneshot::channel();
            // A thread that could not start has no connections.
            let _ = questions.send(question);
            (tally, answer)
        });
        let asked: Vec<_> = asked.collect();
        let deadline = tokio::time::Instant::now() + THREAD_PATIENCE;
        let mut threads = Vec::with_capacity(asked.len());
        for (tally, answer) in asked {
            let connections = tokio::time::timeout_at(deadline, answer).await;
            threads.push(Thread {
                accesses: tally.accesses.load(Ordering::Relaxed),
                bytes: tally.bytes.load(Ordering::Relaxed),
                duration: tally.duration.load(Ordering::Relaxed),
                connections: connections.ok().and_then(Result::ok).unwrap_or_default(),
            });
        }
        threads
    }

    /// Keeps the totals of this moment.
    pub fn sample(&self, registry: &Registry) {
        let sum = |of: fn(&Tally) -> u64| self.threads.iter().map(|(t, _)| of(t)).sum();
        let sample = Sample {
            accesses: sum(|tally| tally.accesses.load(Ordering::Relaxed)),
            bytes: sum(|tally| tally.bytes.load(Ordering::Relaxed)),
        };
        keep(&self.history, sample);
        for entry in registry.all() {
            keep(&entry.history, entry.requests.load(Ordering::Relaxed));
        }
    }

    /// The totals that were kept, the oldest first.
    pub fn history(&self) -> Vec<Sample> {
        kept(&self.history)
    }

    /// How the processes are; `None` if the parent does not say.
    pub async fn versions(&self) -> Option<Arc<Vec<Version>>> {
        let mut versions = self.versions.subscribe();
        // One question is enough for all who wait.
        let asked = std::mem::replace(&mut *lock(&self.asked), true);
        if !asked {
            self.outbox.say(ToParent::Status);
        }
        timeout(PARENT_PATIENCE, versions.changed()).await.ok()?.ok()?;
        Some(versions.borrow().clone())
    }

    /// The parent has answered.
    pub fn told(&self, versions: Vec<Version>) {
        *lock(&self.asked) = false;
        self.versions.send_replace(Arc::new(versions));
    }
}

fn keep<T>(history: &Mutex<VecDeque<T>>, value: T) {
    let mut history = lock(history);
    if history.len() == SAMPLES {
        history.pop_front();
    }
    history.push_back(value);
}

/// What was kept of a history.
pub fn kept<T: Copy>(history: &Mutex<VecDeque<T>>) -> Vec<T> {
    lock(history).iter().copied().collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_parent_that_is_silent_is_asked_once_and_not_waited_for() {
        let (outbox, mut letters) = Outbox::new(None);
        let (board, _parts) = Board::new(1, outbox);
        wait(async {
            let both = async { tokio::join!(board.versions(), board.versions()) };
            assert_eq!(both.await, (None, None));
            assert_eq!(letters.try_recv().unwrap().message, ToParent::Status);
            assert!(letters.try_recv().is_err());
            // Its answer comes late: the next question is a new one.
            board.told(Vec::new());
            let answered = async {
                tokio::task::yield_now().await;
                board.told(Vec::new());
            };
            let (versions, ()) = tokio::join!(board.versions(), answered);
            assert_eq!(versions, Some(Arc::default()));
            assert_eq!(letters.try_recv().unwrap().message, ToParent::Status);
        });
    }

    #[test]
    fn a_thread_that_does_not_answer_is_shown_without_connections() {
        let (board, parts) = Board::new(2, Outbox::new(None).0);
        parts[1].0.accesses.store(5, Ordering::Relaxed);
        let threads = wait(board.threads());
        assert_eq!(threads.iter().map(|t| t.accesses).collect::<Vec<_>>(), [0, 5]);
    }

    #[test]
    fn a_history_has_an_end() {
        let history = Mutex::default();
        for i in 0..SAMPLES + 3 {
            keep(&history, i);
        }
        let kept = kept(&history);
        assert_eq!((kept.len(), kept[0]), (SAMPLES, 3));
    }
}
