//! The applications that the server starts: what the policy decides is done here, and what
//! happens to processes and sockets is told to it.

pub mod busy;
mod class;
mod fcgid;
mod leave;
mod left;
mod output;
mod perform;
pub mod socket;
mod status;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use directives::Snapshot;
use directives::log::Level;
use directives::modules::fastcgi::app::Kind;
use directives::modules::fastcgi::{App, guard};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::guardian::Guardian;
use super::identity::Identity;
use super::log::MainLog;
use super::policy::{ClassId, Event, Policy, Slot, Time};
use crate::disk::Disk;
use crate::message::{AppKey, AppState};
use class::Class;
use left::Left;
use output::Output;
use socket::AppSocket;

/// The applications.
#[derive(Debug)]
pub struct Apps {
    policy: Policy,
    classes: BTreeMap<ClassId, Class>,
    /// The version that requests go to.
    current: HashMap<AppKey, ClassId>,
    pids: HashMap<Pid, Slot>,
    /// Whose parent has ended before them.
    left: Vec<Left>,
    outputs: BTreeMap<i32, Output>,
    /// Processes of mod_fcgid's by number.
    serials: HashMap<u64, Slot>,
    next_serial: u64,
    /// Applications whose processes the server is to be told of.
    changed: Vec<AppKey>,
    /// Applications whose program cannot be run: the server is to be told that.
    broken: Vec<AppKey>,
    next: u32,
    epoch: Instant,
    snapshot: Arc<Snapshot>,
    identity: Option<Identity>,
    guardian: Option<Guardian>,
    /// Configurations that the server still uses, by number.
    generations: BTreeSet<u64>,
    /// Limit of open files of applications.
    files: (u64, u64),
    /// Everything ends.
    ending: bool,
    log: MainLog,
}

/// What a descriptor of [`Apps::fds`] belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A process's output.
    Output(i32),
    /// The socket of an application that has no process.
    Socket(ClassId),
}

impl Apps {
    /// Those of a configuration, not started yet.
    pub fn new(snapshot: &Arc<Snapshot>, log: MainLog) -> Apps {
        let mut policy = Policy::new(snapshot.process.fastcgi.dynamic.policy.clone());
        policy.limit(snapshot.process.fcgid.limits);
        Apps {
            policy,
            classes: BTreeMap::new(),
            current: HashMap::new(),
            pids: HashMap::new(),
            left: Vec::new(),
            outputs: BTreeMap::new(),
            serials: HashMap::new(),
            next_serial: 0,
            changed: Vec::new(),
            broken: Vec::new(),
            next: 0,
            epoch: Instant::now(),
            snapshot: snapshot.clone(),
            identity: Identity::of(&snapshot.process.core),
            guardian: None,
            generations: BTreeSet::new(),
            // Without a limit known there is none to keep.
            files: getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024)),
            ending: false,
            log,
        }
    }

    /// Makes the sockets of static applications, and starts what is due.
    pub fn start(&mut self) {
        let directory = self.snapshot.process.fastcgi.dynamic_directory();
        socket::clear_stale(&directory, self.identity.as_ref());
        for app in self.static_apps() {
            self.open(app, None);
        }
        self.tick();
    }

    fn static_apps(&self) -> Vec<Arc<App>> {
        let apps = self.snapshot.process.fastcgi.apps().iter();
        // Of those that are due at once the last one defined starts first (P-6).
        apps.filter(|app| app.kind == Kind::Static).rev().cloned().collect()
    }

    fn now(&self) -> Time {
        self.epoch.elapsed()
    }

    /// A new version of an application, to which requests go from now on.
    fn open(&mut self, app: Arc<App>, old: Option<ClassId>) -> ClassId {
        let id = ClassId(self.next);
        self.next += 1;
        let class = Class::new(app);
        self.current.insert(class.key.clone(), id);
        self.classes.insert(id, class);
        self.bind(id, old);
        id
    }

    /// Makes the socket of a version, and has its processes started.
    fn bind(&mut self, id: ClassId, old: Option<ClassId>) {
        if let Some(class) = self.classes.get(&id)
            && class.is_fcgid()
        {
            // Each process gets a socket of its own, and a place when it is started.
            let spec = class.spec(0);
            self.happen(Event::Added(id, spec));
            return;
        }
        let old = old.and_then(|old| self.classes.get(&old)?.socket.as_ref());
        let Some(app) = self.classes.get(&id).map(|class| class.app.clone()) else {
            return;
        };
        let made = AppSocket::new(&app, self.identity.as_ref(), old);
        let Some(class) = self.classes.get_mut(&id) else { return };
        match made {
            Ok(socket) => {
                let place = socket.place.clone();
                class.socket = Some(socket);
                class.retry = None;
                if let Some(guardian) = &mut self.guardian {
                    guardian.socket(&place);
                }
                let slots = if class.is_dynamic() {
                    self.snapshot.process.fastcgi.dynamic.policy.max_class_processes
                } else {
                    class.app.settings.processes
                };
                class.processes = vec![None; slots as usize];
                let spec = class.spec(slots);
                self.happen(Event::Added(id, spec));
            }
            Err(failed) => {
                // Tried for ever, with a line each time (P-8).
                let delay = class.app.settings.init_start_delay.max(1);
                class.retry = Some(Instant::now() + Duration::from_secs(delay.into()));
                let (kind, name) = (class.kind(), class.name());
                let text = format!(
                    "FastCGI: can't create{kind} server \"{name}\": {}",
                    failed.what
                );
                self.log.line_os(Level::Crit, "", 0, Some(&failed.error), text);
            }
        }
    }

    /// The server does not know whether anybody listens there.
    pub fn need(&mut self, key: &AppKey, dynamic: bool) -> AppState {
        if key.class.is_some() {
            return self.need_fcgid(key);
        }
        if let Some(&id) = self.current.get(key) {
            let gone = self.classes.get(&id).is_some_and(|class| {
                class.socket.as_ref().is_some_and(|socket| !socket.is_there())
            });
            if gone {
                let name = String::from_utf8_lossy(&key.path);
                let text = format!(
                    "FastCGI: the socket of server \"{name}\" was removed and is made again"
                );
                self.log.line(Level::Warn, "", 0, text);
                self.make_directory();
                self.replace(id);
            }
            return self.state(key);
        }
        if !dynamic || self.ending {
            return AppState::Refused;
        }
        let allowed =
            guard::may_start(&self.snapshot, &key.path, key.identity.as_ref(), &Disk);
        if let Err(why) = allowed {
            let name = String::from_utf8_lossy(&key.path);
            let text =
                format!("FastCGI: refused to start (dynamic) server \"{name}\": {why}");
            self.log.line(Level::Error, "", 0, text);
            return AppState::Refused;
        }
        self.make_directory();
        let snapshot = self.snapshot.clone();
        let app = snapshot.process.fastcgi.dynamic_app(&key.path, key.identity.clone());
        let id = self.open(app, None);
        if self.classes.get(&id).is_some_and(|class| class.socket.is_none()) {
            // The next request tries again.
            self.classes.remove(&id);
            self.current.remove(key);
            return AppState::Refused;
        }
        self.happen(Event::Asked(id));
        self.state(key)
    }

    fn need_fcgid(&mut self, key: &AppKey) -> AppState {
        if !self.current.contains_key(key) && !self.ending {
            match Apps::fcgid_app(&self.snapshot, key) {
                Some(Ok(app)) => {
                    self.make_directory();
                    self.open(app, None);
                }
                Some(Err(why)) => {
                    let name = String::from_utf8_lossy(&key.path);
                    let text = format!("mod_fcgid: refused to start {name}: {why}");
                    self.log.line(Level::Error, "fcgid", 0, text);
                }
                None => {}
            }
        }
        self.state(key)
    }

    fn state(&self, key: &AppKey) -> AppState {
        let class = self.current.get(key).and_then(|id| self.classes.get(id));
        match class {
            Some(class) if class.is_fcgid() => self.table(key),
            Some(class) if class.socket.is_some() => {
                AppState::Listening { since: class.since }
            }
            _ => AppState::Refused,
        }
    }

    /// Makes the directory of sockets if it is not there.
    fn make_directory(&self) {
        if let Err(failed) = super::open::prepare(&self.snapshot) {
            self.log.line(Level::Error, "", 0, format!("FastCGI: {}", failed.message()));
        }
    }

    /// The server has seen that a program is newer than its processes.
    pub fn newer(&mut self, key: &AppKey) -> AppState {
        let id = self.current.get(key).copied();
        if let Some(id) = id
            && self.classes.get(&id).is_some_and(Class::is_outdated)
        {
            let name = String::from_utf8_lossy(&key.path);
            let text = format!(
                "FastCGI: restarting old server \"{name}\" processes, newer version found"
            );
            self.log.line(Level::Warn, "", 0, text);
            self.replace(id);
        }
        self.state(key)
    }

    /// A request waits for its first byte.
    pub fn slow(&mut self, key: &AppKey) {
        if let Some(&id) = self.current.get(key) {
            self.happen(Event::Slow(id));
        }
    }

    /// Requests kept processes busy.
    pub fn busy(&mut self, key: &AppKey, busy: Duration) {
        if let Some(&id) = self.current.get(key) {
            self.happen(Event::Finished(id, busy));
        }
    }

    /// What is to be waited for beside the time.
    pub fn fds(&self) -> Vec<(Source, BorrowedFd<'_>)> {
        let outputs =
            self.outputs.iter().map(|(id, output)| (Source::Output(*id), output.as_fd()));
        let asleep =
            |id: &ClassId| self.policy.is_asleep(*id) || self.policy.is_given_up(*id);
        let sockets = self.classes.iter().filter(|(id, _)| asleep(id));
        let sockets = sockets.filter_map(|(id, class)| {
            Some((Source::Socket(*id), class.socket.as_ref()?.fd.as_fd()))
        });
        outputs.chain(sockets).collect()
    }

    /// There is something to read.
    pub fn ready(&mut self, source: Source) {
        match source {
            Source::Output(id) => {
                let Some(output) = self.outputs.get_mut(&id) else { return };
                let log = &self.log;
                let state = output.read(|line| log.line(Level::Error, "", 0, line));
                if state == output::State::Ended {
                    self.outputs.remove(&id);
                }
            }
            // A request waits, and nobody is there to take it.
            Source::Socket(id) if self.policy.is_asleep(id) => {
                self.happen(Event::Asked(id));
            }
            Source::Socket(id) => self.turn_away(id),
        }
    }

    /// The application does not stay alive: requests that wait for it are told so by
    /// closing their connection, instead of letting them wait in vain.
    fn turn_away(&self, id: ClassId) {
        let socket = self.classes.get(&id).and_then(|class| class.socket.as_ref());
        let Some(socket) = socket.and_then(|socket| socket.fd.try_clone().ok()) else {
            return;
        };
        // It is known to have a connection, so this does not block.
        drop(socket2::Socket::from(socket).accept());
    }

    /// When something is due without anything happening.
    pub fn next_deadline(&self) -> Option<Instant> {
        let policy = self.policy.next_deadline().map(|time| self.epoch + time);
        let classes = self.classes.values();
        let retries = classes.clone().filter_map(|class| class.retry);
        let leaving = classes.clone().any(|class| class.leaving.is_some_and(|l| !l.told));
        let look = (leaving || !self.left.is_empty())
            .then(|| Instant::now() + leave::LOOK_AGAIN);
        policy.into_iter().chain(retries).chain(look).min()
    }

    /// Does what is due.
    pub fn tick(&mut self) {
        if self.ending {
            return;
        }
        let now = Instant::now();
        let due = |class: &Class| class.retry.is_some_and(|retry| retry <= now);
        let due: Vec<ClassId> = self
            .classes
            .iter()
            .filter(|(_, class)| due(class))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.make_directory();
            self.bind(id, None);
        }
        self.look_at_leaving();
        self.look_at_left();
        self.happen(Event::Tick);
    }

    /// Under whose name programs run.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// A child has ended. Says whether it was one of ours.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        if self.guardian.as_ref().is_some_and(|guardian| guardian.pid() == pid) {
            self.guardian = None;
            if !self.ending {
                self.log.line(
                    Level::Warn,
                    "",
                    0,
                    "FastCGI: the guardian has ended, starting it again",
                );
                self.guard();
            }
            return true;
        }
        let slot = self.pids.remove(&pid);
        let was_left = self.left_pids().any(|left| left == pid);
        if slot.is_none() && !was_left {
            return false;
        }
        if let Some(guardian) = &mut self.guardian {
            guardian.ended(pid);
        }
        self.adopt(pid, slot);
        let Some(slot) = slot else { return true };
        let Some((how, success)) = class::ending(status) else { return true };
        if self.classes.get(&slot.class).is_some_and(Class::is_fcgid) {
            self.ended_fcgid(pid, slot, status);
        }
        if let Some(class) = self.classes.get_mut(&slot.class) {
            if let Some(place) = class.processes.get_mut(slot.index as usize) {
                *place = None;
            }
            class.last_exit = Some((how.clone(), crate::log::now()));
            if !self.ending && !class.is_fcgid() {
                let (kind, name) = (class.kind(), class.name());
                let text = format!("FastCGI:{kind} server \"{name}\" (pid {pid}) {how}");
                self.log.line(Level::Warn, "", 0, text);
            }
        }
        if !self.ending {
            self.happen(Event::Ended(slot, success));
            self.forget(slot.class);
        }
        true
    }

    /// Has a guardian from now on, and tells it everything.
    fn guard(&mut self) {
        match Guardian::start() {
            Ok(mut guardian) => {
                for class in self.classes.values() {
                    if let Some(socket) = &class.socket {
                        guardian.socket(&socket.place);
                    }
                    for member in class.members.iter().flatten() {
                        guardian.socket(&member.place);
                    }
                }
                for pid in self.pids.keys().copied().chain(self.left_pids()) {
                    guardian.started(pid);
                }
                self.guardian = Some(guardian);
            }
            Err(error) => {
                let text = format!("FastCGI: nobody guards the applications: {error:#}");
                self.log.line(Level::Error, "", 0, text);
            }
        }
    }

    /// Ends everything: tells all processes. [`Apps::is_over`] says when they have gone.
    pub fn stop(&mut self) {
        self.ending = true;
        for (pid, slot) in &self.pids {
            let class = self.classes.get(&slot.class);
            let signal =
                class.map_or(Signal::SIGTERM, |c| c.signal(super::policy::Step::Ask));
            // It may have ended by itself.
            let _ = kill(*pid, signal);
        }
        self.look_at_left();
    }

    /// Has every process gone?
    pub fn is_over(&self) -> bool {
        self.pids.is_empty() && self.left.is_empty()
    }

    /// Ends what has not gone.
    pub fn kill(&self) {
        for pid in self.pids.keys() {
            for member in busy::family(*pid) {
                let _ = kill(member, Signal::SIGKILL);
            }
        }
        self.kill_left();
    }

    /// Removes the sockets and dismisses the guardian.
    pub fn clean_up(&mut self) {
        for class in self.classes.values() {
            if let Some(socket) = &class.socket {
                self.remove(socket, class);
            }
            for member in class.members.iter().flatten() {
                // What is not there any more need not go.
                let _ = member.place.remove(self.identity.as_ref());
            }
        }
        if let Some(guardian) = self.guardian.take() {
            guardian.dismiss();
        }
    }

    /// Removes a socket's file (P-18).
    fn remove(&self, socket: &AppSocket, class: &Class) {
        if let Err(error) = socket.remove(self.identity.as_ref())
            && let socket::Place::Unix { path, .. } = &socket.place
        {
            let path = String::from_utf8_lossy(path);
            let (kind, name) = (class.kind(), class.name());
            let text = format!(
                "FastCGI: unlink() failed to remove socket file \"{path}\" for{kind} server \
                 \"{name}\""
            );
            self.log.line_os(Level::Error, "", 0, Some(&error), text);
        }
    }
}
