//! Applications that change or go: a new version takes over, the old one finishes what it
//! has begun.

use std::sync::Arc;
use std::time::{Duration, Instant};

use directives::Snapshot;
use directives::modules::fastcgi::{App, guard};

use super::busy::{self, Connections};
use super::class::{Class, Leaving};
use super::socket::Place;
use super::{Apps, Identity};
use crate::disk::Disk;
use crate::parent::log::MainLog;
use crate::parent::policy::{ClassId, Event, Slot, Step};

/// How often it is looked whether an old version has finished.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long requests to an old version are waited for, unless `GracefulShutdownTimeout`
/// says otherwise.
const PATIENCE: Duration = Duration::from_mins(1);

impl Apps {
    /// Another version of an application takes over.
    pub(super) fn replace(&mut self, id: ClassId) {
        if let Some(class) = self.classes.get(&id) {
            self.replace_by(id, class.app.clone());
        }
    }

    fn replace_by(&mut self, id: ClassId, app: Arc<App>) {
        let awake = self
            .classes
            .get(&id)
            .is_some_and(|c| c.processes.iter().any(Option::is_some));
        let new = self.open(app, Some(id));
        // New requests find the new version only: its socket has taken the old one's place.
        self.leave(id, None);
        if awake && self.classes.get(&new).is_some_and(Class::is_dynamic) {
            self.happen(Event::Asked(new));
        }
    }

    /// How long the requests of a process that is to end are waited for.
    pub(super) fn patience(&self) -> Duration {
        let configured = self.snapshot.process.core.graceful_shutdown_timeout;
        if configured.is_zero() { PATIENCE } else { configured }
    }

    /// This version is to end when its requests are finished.
    fn leave(&mut self, id: ClassId, generation: Option<u64>) {
        let limit = Instant::now() + self.patience();
        let Some(class) = self.classes.get_mut(&id) else { return };
        class.leaving = Some(Leaving { limit, generation, told: false });
        if class.is_fcgid() {
            self.has_changed(id);
        } else if class.socket.is_none() {
            self.classes.remove(&id);
        }
    }

    /// Looks which old versions have finished.
    pub(super) fn look_at_leaving(&mut self) {
        let now = Instant::now();
        let oldest = self.oldest_in_use();
        let leaving: Vec<(ClassId, Leaving)> = self
            .classes
            .iter()
            .filter_map(|(id, class)| Some((*id, class.leaving.filter(|l| !l.told)?)))
            .collect();
        for (id, leaving) in leaving {
            let waits =
                leaving.generation.is_some_and(|g| oldest.is_some_and(|o| o <= g));
            if now < leaving.limit && (waits || !self.has_finished(id)) {
                continue;
            }
            if let Some(class) = self.classes.get_mut(&id) {
                class.leaving = Some(Leaving { told: true, ..leaving });
            }
            self.happen(Event::Removed(id));
            self.forget(id);
        }
    }

    /// Has an old version no request left? On a port that the new version listens on, too,
    /// its processes are told one by one when they are not busy.
    fn has_finished(&mut self, id: ClassId) -> bool {
        let Some(class) = self.classes.get(&id) else { return true };
        if class.is_fcgid() {
            // The server gives its processes up one by one.
            return class.processes.iter().all(Option::is_none);
        }
        let Some(socket) = &class.socket else { return true };
        match &socket.place {
            place @ Place::Unix { .. } => Connections::of(place).is_empty(),
            place @ Place::Tcp { .. } => {
                let processes = class.processes.iter().enumerate();
                let processes: Vec<_> =
                    processes.filter_map(|(i, pid)| Some((i as u32, (*pid)?))).collect();
                let (place, signal) = (place.clone(), class.signal(Step::Ask));
                for (index, pid) in &processes {
                    if busy::retire(*pid, &place, signal) {
                        self.happen(Event::Signaled(Slot { class: id, index: *index }));
                    }
                }
                processes.is_empty()
            }
        }
    }

    /// An old version whose last process has ended is forgotten.
    pub(super) fn forget(&mut self, id: ClassId) {
        let Some(class) = self.classes.get(&id) else { return };
        let told = class.leaving.is_some_and(|leaving| leaving.told);
        if told && class.processes.iter().all(Option::is_none) {
            if let Some(socket) = &class.socket {
                self.remove(socket, class);
            }
            self.classes.remove(&id);
        }
    }

    /// Another configuration: what did not change goes on, what is new starts, what
    /// changed is replaced, and what is gone ends.
    pub fn configure(&mut self, snapshot: &Arc<Snapshot>, log: MainLog, generation: u64) {
        let old = std::mem::replace(&mut self.snapshot, snapshot.clone());
        self.log = log;
        self.policy.configure(snapshot.process.fastcgi.dynamic.policy.clone());
        self.policy.limit(snapshot.process.fcgid.limits);
        let identity = Identity::of(&snapshot.process.core);
        let dynamic = |snapshot: &Snapshot| {
            snapshot.process.fastcgi.dynamic.policy.max_class_processes
        };
        let all_change = identity != self.identity
            || old.process.fastcgi.wrapper != snapshot.process.fastcgi.wrapper;
        let slots_change = dynamic(&old) != dynamic(snapshot);
        self.identity = identity;
        let mut wanted = self.static_apps();
        let current: Vec<ClassId> = self.current.values().copied().collect();
        for id in current {
            let Some(class) = self.classes.get_mut(&id) else { continue };
            let app = if class.is_fcgid() {
                Apps::fcgid_app(snapshot, &class.key).and_then(Result::ok)
            } else if class.is_dynamic() {
                let key = &class.key;
                let may =
                    guard::may_start(snapshot, &key.path, key.identity.as_ref(), &Disk);
                let make = || {
                    snapshot.process.fastcgi.dynamic_app(&key.path, key.identity.clone())
                };
                may.is_ok().then(make)
            } else {
                let same = |app: &Arc<App>| crate::message::AppKey::of(app) == class.key;
                wanted.iter().position(same).map(|i| wanted.remove(i))
            };
            match app {
                Some(app) if !all_change && is_same(class, &app, slots_change) => {
                    class.app = app;
                }
                Some(app) => self.replace_by(id, app),
                None => {
                    let key = class.key.clone();
                    self.current.remove(&key);
                    // Requests that began with the old configuration may still want it.
                    self.leave(id, Some(generation));
                }
            }
        }
        for app in wanted {
            self.open(app, None);
        }
        self.tick();
    }

    /// The server has been given a configuration.
    pub fn in_use(&mut self, generation: u64) {
        self.generations.insert(generation);
    }

    /// The server's last request with a configuration is over.
    pub fn released(&mut self, generation: u64) {
        self.generations.remove(&generation);
    }

    /// The oldest configuration that the server still uses.
    pub fn oldest_in_use(&self) -> Option<u64> {
        self.generations.first().copied()
    }

    /// There is a new server, which knows nothing.
    pub fn server_restarted(&mut self) {
        self.generations.clear();
    }
}

/// Is a version still what the configuration says, and its program the one it runs?
fn is_same(class: &Class, app: &App, slots_change: bool) -> bool {
    let slots = class.is_dynamic() && slots_change;
    let old = &*class.app;
    let same = old.settings == app.settings
        && old.address == app.address
        && old.kind == app.kind
        && old.class == app.class;
    same && !slots && !class.is_outdated()
}
