//! Answers of authorizers that are kept, and counts of what the gateway decided. What may be
//! kept, under which key and for how long, is said by `directives::modules::gateway`.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use directives::modules::gateway::{Decision, Dialect};
use directives::modules::status::Gateway;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// What a key has become: the secrets in it are not kept.
type Hash = [u8; 32];

/// All of it, for all threads.
#[derive(Debug, Default)]
pub struct Decisions {
    kept: Mutex<Kept>,
    counts: [[AtomicU64; 4]; 4],
    hits: AtomicU64,
    misses: AtomicU64,
    evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Hash, Answer>,
    /// Keys in the order of keeping, with the number of that; a key that was kept again
    /// or has been forgotten leaves an old place behind.
    order: VecDeque<(Hash, u64)>,
    number: u64,
}

#[derive(Debug)]
struct Answer {
    head: Bytes,
    until: Instant,
    number: u64,
}

/// A key is one of a configuration's: another one may mean something else by it.
fn hash(generation: u64, key: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(generation.to_be_bytes())
        .chain_update(key)
        .finalize()
        .into()
}

impl Decisions {
    /// The answer that is kept under a key.
    pub fn recall(&self, generation: u64, key: &[u8]) -> Option<Bytes> {
        let hash = hash(generation, key);
        let found = {
            let kept = self.lock();
            let answer = kept.answers.get(&hash);
            answer
                .filter(|answer| answer.until > Instant::now())
                .map(|answer| answer.head.clone())
        };
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps an answer, as one of `size` at most.
    pub fn keep(
        &self,
        generation: u64,
        key: &[u8],
        head: Bytes,
        time: Duration,
        size: usize,
    ) {
        let hash = hash(generation, key);
        let now = Instant::now();
        // A time that no clock can hold is no time.
        let Some(until) = now.checked_add(time) else { return };
        let mut kept = self.lock();
        kept.number += 1;
        let number = kept.number;
        kept.answers.insert(hash, Answer { head, until, number });
        kept.order.push_back((hash, number));
        let evicted = kept.make_room(size, now);
        self.evicted.fetch_add(evicted, Ordering::Relaxed);
    }

    /// Forgets everything, and says how much there was.
    pub fn forget(&self) -> u64 {
        let kept = std::mem::take(&mut *self.lock());
        kept.answers.len() as u64
    }

    /// One more decision about a caller's request.
    pub fn count(&self, decision: &Decision) {
        let Some((name, _)) = decision.caller else { return };
        let place = Dialect::ALL.iter().position(|dialect| dialect.name() == name);
        if let Some(counts) = place.and_then(|place| self.counts.get(place)) {
            counts[decision.class()].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// For whoever wants to see the counts.
    pub fn shown(&self) -> Gateway {
        let mut decisions = [[0; 4]; 4];
        for (shown, counts) in
            decisions.iter_mut().flatten().zip(self.counts.as_flattened())
        {
            *shown = counts.load(Ordering::Relaxed);
        }
        let now = Instant::now();
        let alive = |answer: &&Answer| answer.until > now;
        Gateway {
            decisions,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            kept: self.lock().answers.values().filter(alive).count() as u64,
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Lets the oldest go until there are `size`; how many of them had time left.
    fn make_room(&mut self, size: usize, now: Instant) -> u64 {
        let mut evicted = 0;
        while let Some((hash, number)) = self.order.front().copied() {
            let current =
                self.answers.get(&hash).filter(|answer| answer.number == number);
            let is_over = current.is_none_or(|answer| answer.until <= now);
            let has_room = self.answers.len() <= size;
            if !is_over && has_room {
                break;
            }
            self.order.pop_front();
            if current.is_some() {
                self.answers.remove(&hash);
                evicted += u64::from(!is_over);
            }
        }
        // Behind one that stays, places of others that were kept again pile up.
        if self.order.len() > 2 * size.max(self.answers.len()) {
            let answers = &self.answers;
            let is_current = |(hash, number): &(Hash, u64)| {
                answers.get(hash).is_some_and(|answer| answer.number == *number)
            };
            self.order.retain(is_current);
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn keep(decisions: &Decisions, key: &str, time: Duration) {
        decisions.keep(
            1,
            key.as_bytes(),
            Bytes::copy_from_slice(key.as_bytes()),
            time,
            3,
        );
    }

    #[test]
    fn what_is_kept_is_found_until_its_time_is_over() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let decisions = Decisions::default();
            keep(&decisions, "a", Duration::from_secs(5));
            assert_eq!(decisions.recall(1, b"a"), Some("a".into()));
            assert_eq!(decisions.recall(2, b"a"), None);
            assert_eq!(decisions.recall(1, b"b"), None);
            tokio::time::advance(Duration::from_secs(5)).await;
            assert_eq!(decisions.recall(1, b"a"), None);
            let shown = decisions.shown();
            assert_eq!((shown.hits, shown.misses, shown.kept), (1, 3, 0));
        });
    }

    #[test]
    fn the_oldest_makes_room() {
        let decisions = Decisions::default();
        for key in ["a", "b", "c", "a", "d"] {
            keep(&decisions, key, LONG);
        }
        let found = |key: &str| decisions.recall(1, key.as_bytes()).is_some();
        assert_eq!(["a", "b", "c", "d"].map(found), [true, false, true, true]);
        assert_eq!(decisions.shown().evicted, 1);
        assert_eq!(decisions.forget(), 3);
        assert_eq!(decisions.recall(1, b"a"), None);
    }

    #[test]
    fn what_is_kept_again_and_again_takes_no_room() {
        let decisions = Decisions::default();
        keep(&decisions, "stays", LONG);
        for _ in 0..100 {
            keep(&decisions, "again", LONG);
        }
        assert!(decisions.lock().order.len() <= 6);
        assert!(decisions.recall(1, b"stays").is_some());
    }
}
