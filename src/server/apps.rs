//! The applications, seen from the serving process: which of them listen, what they have
//! to do, and what the parent is told about it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use directives::effect::Failure;
use directives::modules::fastcgi::App;
use directives::modules::fastcgi::app::Kind;
use directives::modules::status::WAITS;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout};

use super::decisions::Decisions;
use super::nonces::Secret;
use super::workers::{Turn, Workers};
use crate::fcgi::pool::Pool;
use crate::link::Mouth;
use crate::message::{AppKey, AppState, Reason, ToParent};

/// How long the parent may take to say whether an application listens.
const PARENT_PATIENCE: Duration = Duration::from_secs(5);
/// How often busy time is reported.
pub const REPORT_TIME: Duration = Duration::from_millis(500);

/// A message on its way to the parent, with descriptors.
#[derive(Debug)]
pub struct Letter {
    /// What is said.
    pub message: ToParent,
    /// What goes with it.
    pub fds: Vec<OwnedFd>,
}

/// What was put into an outbox.
pub type Letters = mpsc::UnboundedReceiver<Letter>;

/// Messages on their way to the parent: at once if there is room, otherwise behind those
/// that wait for it.
#[derive(Clone, Debug)]
pub struct Outbox {
    link: Option<Mouth>,
    letters: mpsc::UnboundedSender<Letter>,
    /// How many wait.
    waiting: Arc<AtomicUsize>,
}

impl Outbox {
    /// To the parent, and what takes the letters that wait; without a link all of them do.
    pub fn new(link: Option<Mouth>) -> (Outbox, Letters) {
        let (letters, receiver) = mpsc::unbounded_channel();
        (Outbox { link, letters, waiting: Arc::default() }, receiver)
    }

    /// Says something to the parent.
    pub fn say(&self, message: ToParent) {
        self.say_with(message, Vec::new());
    }

    /// Says something to the parent, with descriptors.
    pub fn say_with(&self, message: ToParent, fds: Vec<OwnedFd>) {
        // What a thread says must not come before what it has said earlier.
        let now =
            self.link.as_ref().filter(|_| self.waiting.load(Ordering::Acquire) == 0);
        // What fails for another reason than room fails there again, and is looked at.
        if now.is_some_and(|link| link.say(&message, &fds).is_ok()) {
            return;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        // Without a receiver the process is about to end.
        let _ = self.letters.send(Letter { message, fds });
    }

    /// A letter that waited is with the parent.
    pub fn delivered(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// All applications that requests went to.
#[derive(Debug)]
pub struct Registry {
    entries: RwLock<FxHashMap<AppKey, Arc<Entry>>>,
    /// To the parent.
    pub outbox: Outbox,
    /// There is busy time to report.
    pub to_report: Notify,
    /// What authorizers said, and what became of it.
    pub decisions: Decisions,
    /// Nonces for Digest authentication.
    pub nonces: Secret,
}

/// One application.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub key: AppKey,
    /// Requests start it, as far as the latest configuration that was used says.
    dynamic: AtomicBool,
    /// What the parent said last; `None` while it has not.
    state: watch::Sender<Option<AppState>>,
    /// It has been asked, and has not answered.
    asked: Mutex<bool>,
    /// Busy time that was not reported, microseconds.
    busy: AtomicU64,
    /// Requests that were begun.
    pub requests: AtomicU64,
    /// Requests that are with the application.
    pub active: AtomicU32,
    /// Of those, the ones without an answer yet.
    pub waiting: AtomicU32,
    /// How long requests waited for their first byte, all together, microseconds.
    pub waited: AtomicU64,
    /// How many waited how long: the classes of [`WAITS`].
    pub waits: [AtomicU64; WAITS.len() + 1],
    /// Requests that the application failed.
    pub failures: AtomicU64,
    /// Its connections.
    pub pool: Arc<Pool>,
    /// The processes of one of mod_fcgid's.
    pub workers: Option<Arc<Workers>>,
    /// How `requests` grew lately.
    pub history: Mutex<VecDeque<u64>>,
}

impl Registry {
    /// No applications yet.
    pub fn new(outbox: Outbox) -> Registry {
        Registry {
            entries: RwLock::default(),
            outbox,
            to_report: Notify::new(),
            decisions: Decisions::default(),
            nonces: Secret::default(),
        }
    }

    /// The entry of an application.
    pub fn entry(&self, app: &App) -> Arc<Entry> {
        let key = AppKey::of(app);
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let dynamic = app.kind == Kind::Dynamic;
        if let Some(entry) = entries.get(&key) {
            if entry.is_dynamic() != dynamic {
                // A reload has made it another kind under the same name.
                entry.dynamic.store(dynamic, Ordering::Relaxed);
            }
            return entry.clone();
        }
        drop(entries);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Entry {
                key: key.clone(),
                dynamic: AtomicBool::new(dynamic),
                state: watch::Sender::new(None),
                asked: Mutex::new(false),
                busy: AtomicU64::new(0),
                requests: AtomicU64::new(0),
                active: AtomicU32::new(0),
                waiting: AtomicU32::new(0),
                waited: AtomicU64::new(0),
                waits: Default::default(),
                failures: AtomicU64::new(0),
                pool: Arc::new(Pool::new(app.settings.processes)),
                workers: (app.kind == Kind::Fcgid)
                    .then(|| Arc::new(Workers::new(self.outbox.clone()))),
                history: Mutex::new(VecDeque::from([0])),
            })
        };
        entries.entry(key.clone()).or_insert_with(new).clone()
    }

    /// All entries.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().cloned().collect()
    }

    /// The parent has said something about an application.
    pub fn told(&self, key: &AppKey, state: AppState) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(key) {
            *entry.asked.lock().unwrap_or_else(PoisonError::into_inner) = false;
            if let Some(workers) = &entry.workers {
                match &state {
                    AppState::Processes(table) => workers.told(table),
                    _ => workers.refused(),
                }
            }
            entry.state.send_replace(Some(state));
        }
    }

    /// Reports what applications were busy with.
    pub fn report(&self) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        for workers in entries.values().filter_map(|entry| entry.workers.as_ref()) {
            workers.report();
        }
        for entry in entries.values().filter(|entry| entry.is_dynamic()) {
            let busy = entry.busy.swap(0, Ordering::Relaxed);
            if busy > 0 {
                let busy = Duration::from_micros(busy);
                self.outbox.say(ToParent::Busy(entry.key.clone(), busy));
            }
        }
    }

    /// Waits until a dynamic application listens, in a version that is not older than its
    /// program if `newest` says when that was changed. With `again` what was known does
    /// not hold any more.
    pub async fn listening(
        &self,
        entry: &Entry,
        newest: Option<i64>,
        again: bool,
    ) -> Result<(), Failure> {
        let mut state = entry.state.subscribe();
        {
            let mut asked = entry.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let now = state.borrow_and_update().clone();
            let message = match now {
                Some(AppState::Processes(_)) if !again => return Ok(()),
                Some(AppState::Listening { since }) if !again => {
                    if newest.is_none_or(|newest| newest <= since) {
                        return Ok(());
                    }
                    ToParent::Newer(entry.key.clone())
                }
                _ => {
                    ToParent::Need { key: entry.key.clone(), dynamic: entry.is_dynamic() }
                }
            };
            // One question is enough for all who wait.
            if !std::mem::replace(&mut *asked, true) {
                self.outbox.say(message);
            }
        }
        let answered = timeout(PARENT_PATIENCE, state.changed()).await;
        let now = state.borrow().clone();
        match (answered, now) {
            (Ok(Ok(())), Some(AppState::Listening { .. } | AppState::Processes(_))) => {
                Ok(())
            }
            _ => Err(Failure::NotStarted),
        }
    }

    /// A request waits for its first byte.
    pub fn slow(&self, entry: &Entry) {
        self.outbox.say(ToParent::Slow(entry.key.clone()));
    }
}

impl Entry {
    /// Do requests start it?
    pub fn is_dynamic(&self) -> bool {
        self.dynamic.load(Ordering::Relaxed)
    }
}

/// One request's use of an application, from the connection to the end.
#[derive(Debug)]
pub struct Usage {
    registry: Arc<Registry>,
    entry: Arc<Entry>,
    since: Instant,
    waiting: bool,
    /// The process of mod_fcgid's that has the request.
    pub turn: Option<Turn>,
}

impl Usage {
    /// Begins.
    pub fn new(registry: &Arc<Registry>, entry: Arc<Entry>, now: Instant) -> Usage {
        entry.requests.fetch_add(1, Ordering::Relaxed);
        entry.active.fetch_add(1, Ordering::Relaxed);
        entry.waiting.fetch_add(1, Ordering::Relaxed);
        Usage { registry: registry.clone(), entry, since: now, waiting: true, turn: None }
    }

    /// The first byte has come.
    pub fn answered(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.entry.waiting.fetch_sub(1, Ordering::Relaxed);
            let waited = self.since.elapsed().as_micros() as u64;
            self.entry.waited.fetch_add(waited, Ordering::Relaxed);
            let class = WAITS.partition_point(|end| *end < waited);
            self.entry.waits[class].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The application's part is over: it has ended its answer, or gone with it.
    pub fn ended(&mut self, well: bool) {
        if let Some(turn) = self.turn.take() {
            if well {
                turn.well();
            } else {
                turn.failed(Reason::Broken);
            }
            self.registry.to_report.notify_one();
        }
    }

    /// The request failed. What the client did wrong is not the application's failure.
    pub fn failed(&mut self, failure: &Failure) {
        let client = failure.of_body().is_some();
        self.entry.failures.fetch_add(u64::from(!client), Ordering::Relaxed);
        if !client && let Some(turn) = self.turn.take() {
            turn.failed(Reason::Broken);
        }
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.answered();
        self.entry.active.fetch_sub(1, Ordering::Relaxed);
        if self.entry.is_dynamic() {
            let busy = (self.since.elapsed().as_micros() as u64).max(1);
            if self.entry.busy.fetch_add(busy, Ordering::Relaxed) == 0 {
                self.registry.to_report.notify_one();
            }
        }
    }
}
