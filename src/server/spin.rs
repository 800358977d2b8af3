//! Looking again before a thread sleeps. An application that answers within microseconds
//! costs more in being waited for than in being looked after: to sleep, to be woken by
//! another processor, and to come back. So while an exchange with an application is under
//! way, its thread asks for events once more, and again, for no longer than a sleep would
//! cost. Where that does not pay, it is not done for a while; and half of the processors are
//! left to the applications.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// How long a thread looks again, since something happened. Measured (compat-tests/BENCH.md):
/// 20 us miss an application that reads a body first, 70 gain nothing more.
const LIMIT: Duration = Duration::from_micros(40);
/// So many occasions are passed over at the most, where looking again was in vain.
const MOST_PASSED_OVER: u32 = 1024;

/// So many threads look again at the same time: half of the processors, rounded up.
static MOST_LOOKING: LazyLock<usize> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.div_ceil(2)
});
static LOOKING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HERE: Rc<Here> = Rc::default();
}

/// What a thread does for applications.
#[derive(Debug, Default)]
struct Here {
    /// Exchanges under way.
    exchanges: Cell<usize>,
    /// Grows with everything that is worth having looked for.
    events: Cell<u64>,
    begun: Notify,
}

/// An exchange under way on this thread.
#[derive(Debug)]
pub struct Awaited(Rc<Here>);

impl Awaited {
    /// One more.
    pub fn begin() -> Awaited {
        let here = HERE.with(Rc::clone);
        here.exchanges.set(here.exchanges.get() + 1);
        here.begun.notify_one();
        Awaited(here)
    }

    /// Something came of it.
    pub fn heard(&self) {
        self.0.events.set(self.0.events.get() + 1);
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.heard();
        self.0.exchanges.set(self.0.exchanges.get() - 1);
    }
}

/// A thread's right to look again.
struct Look;

impl Look {
    fn begin() -> Option<Look> {
        let others = LOOKING.fetch_add(1, Ordering::Relaxed);
        // It is given back at once if there was none left.
        let look = Look;
        (others < *MOST_LOOKING).then_some(look)
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        LOOKING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks again, as long as the thread lives. `yield_now` lets the runtime run what there is
/// to run, and look for events without waiting for them.
pub async fn look_again() {
    let here = HERE.with(Rc::clone);
    let (mut pass_over, mut most) = (0, 1);
    loop {
        here.begun.notified().await;
        if pass_over > 0 {
            pass_over -= 1;
            continue;
        }
        let Some(_look) = Look::begin() else { continue };
        let (mut seen, mut since) = (here.events.get(), Instant::now());
        while here.exchanges.get() > 0 {
            yield_now().await;
            let events = here.events.get();
            if events != seen {
                (seen, since, most) = (events, Instant::now(), 1);
            } else if since.elapsed() > LIMIT {
                pass_over = most;
                most = (most * 2).min(MOST_PASSED_OVER);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::time::{ClockId, clock_gettime};
    use tokio::runtime::{Builder, LocalOptions};

    fn processor_time() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
    }

    /// Processor time of this thread while `work` is done beside [`look_again`].
    fn spent(work: impl Future<Output = ()> + 'static) -> Duration {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            tokio::task::spawn_local(look_again());
            let before = processor_time();
            work.await;
            processor_time().saturating_sub(before)
        })
    }

    #[test]
    fn who_waits_for_long_sleeps() {
        let waited = Duration::from_millis(500);
        let spent = spent(async move {
            let _awaited = Awaited::begin();
            tokio::time::sleep(waited).await;
        });
        assert!(spent < waited / 10, "{spent:?}");
    }

    /// Applications that are never heard of soon enough are not looked after for ever.
    #[test]
    fn what_was_in_vain_is_seldom_done_again() {
        let exchanges = 300;
        let spent = spent(async move {
            for _ in 0..exchanges {
                let awaited = Awaited::begin();
                tokio::time::sleep(Duration::from_millis(2)).await;
                drop(awaited);
            }
        });
        // Each time: 300 times the limit, and what the exchanges cost by themselves.
        let all = HERE.with(|here| here.events.get());
        assert_eq!(all, exchanges);
        assert!(spent < Duration::from_millis(150), "{spent:?}");
    }

    #[test]
    fn half_of_the_processors_are_left_to_others() {
        // Other tests may look meanwhile.
        let mut looks = Vec::new();
        while looks.len() < *MOST_LOOKING {
            looks.extend(Look::begin());
        }
        assert!(Look::begin().is_none());
        looks.pop();
        while Look::begin().is_none() {}
    }

    #[test]
    fn it_ends_with_the_exchange() {
        let spent = spent(async {
            drop(Awaited::begin());
            tokio::time::sleep(Duration::from_millis(300)).await;
        });
        assert!(spent < Duration::from_millis(30), "{spent:?}");
    }
}
