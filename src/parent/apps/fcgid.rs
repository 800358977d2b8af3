//! Applications of mod_fcgid: each process has a socket of its own and serves one request at a
//! time. The server knows which processes are free, and is told which there are.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use directives::log::Level;
use directives::modules::cgi::suexec;
use directives::modules::fastcgi::app::Kind;
use directives::modules::fastcgi::{Address, App};
use directives::modules::fcgid::{self, Command};
use nix::sys::signal::Signal;
use nix::sys::stat::fstat;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::output::{self, Output};
use super::perform::NotStarted;
use super::socket::{AppSocket, Place};
use super::{Apps, ClassId, Event, Slot, class};
use crate::disk::Disk;
use crate::message::{AppKey, AppState, Reason, Worker};
use crate::parent::policy::{Doing, Step, Why};
use crate::parent::spawn;

/// A process of mod_fcgid's.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number, which no other process has.
    pub serial: u64,
    /// Where it listens.
    pub place: Place,
    /// Its listening socket's inode.
    pub inode: u64,
    /// The server is to give it up.
    leaves: bool,
    /// Why it is to end, in mod_fcgid's words.
    why: &'static str,
}

/// Why a process ends that nobody told to, in mod_fcgid's words.
const NORMAL: &str = "normal exit";

/// mod_fcgid's words for why a process ended.
fn words(why: Why) -> &'static str {
    match why {
        Why::Idle => "idle timeout",
        Why::Expired => "lifetime expired",
        Why::Busy => "busy timeout",
    }
}

impl Apps {
    /// The application that a key names in this configuration, if it is one of mod_fcgid's.
    pub(super) fn fcgid_app(
        snapshot: &directives::Snapshot,
        key: &AppKey,
    ) -> Option<Result<Arc<App>, String>> {
        let class = key.class.as_ref()?;
        let command = Command { path: key.path.clone(), args: class.args.clone() };
        let name = |server: &directives::snapshot::Server| {
            server.config.core.server_name.clone().unwrap_or_default()
        };
        let Some(server) =
            snapshot.servers.iter().find(|server| name(server) == class.host)
        else {
            return Some(Err(format!("there is no server \"{}\"", class.host)));
        };
        let identity = key.identity.as_ref();
        let allowed = fcgid::guard::may_start(snapshot, &command, identity, &Disk);
        Some(allowed.map(|()| {
            let identity = key.identity.clone();
            server.config.fcgid.app(&snapshot.process, &class.host, &command, identity)
        }))
    }

    /// What the server is to know of a key's processes.
    pub(super) fn table(&self, key: &AppKey) -> AppState {
        let mut workers = Vec::new();
        for class in self.classes.values().filter(|class| class.key == *key) {
            let is_old = class.leaving.is_some();
            let members = class.members.iter().flatten();
            workers.extend(members.map(|member| Worker {
                serial: member.serial,
                leaves: member.leaves || is_old,
            }));
        }
        AppState::Processes(workers)
    }

    /// What the server has not been told yet.
    pub fn take_changed(&mut self) -> Vec<(AppKey, AppState)> {
        let mut told = Vec::new();
        for key in std::mem::take(&mut self.changed) {
            if !told.iter().any(|(known, _)| *known == key) {
                let state = self.table(&key);
                told.push((key, state));
            }
        }
        for key in std::mem::take(&mut self.broken) {
            told.push((key, AppState::Refused));
        }
        told
    }

    /// The processes of a class have changed.
    pub(super) fn has_changed(&mut self, id: ClassId) {
        if let Some(class) = self.classes.get(&id) {
            self.changed.push(class.key.clone());
        }
    }

    fn member(&mut self, serial: u64) -> Option<(Slot, &mut Member)> {
        let slot = *self.serials.get(&serial)?;
        let class = self.classes.get_mut(&slot.class)?;
        Some((slot, class.members.get_mut(slot.index as usize)?.as_mut()?))
    }

    /// The server says what a process is doing, and for how long.
    pub fn doing(&mut self, serial: u64, busy: bool, time: Duration) {
        let since = self.now().saturating_sub(time);
        let Some((slot, _)) = self.member(serial) else { return };
        let doing = if busy { Doing::Busy(since) } else { Doing::Idle(since) };
        self.happen(Event::Doing(slot, doing));
    }

    /// The server sends no further request to a process.
    pub fn given_up(&mut self, serial: u64, why: Option<Reason>) {
        let Some((slot, member)) = self.member(serial) else { return };
        member.leaves = true;
        // What the manager wanted before comes first.
        if let Some(why) = why.filter(|_| member.why == NORMAL) {
            member.why = match why {
                Reason::Expired => "lifetime expired",
                Reason::Broken => "communication error",
                Reason::Refused => "server exited",
            };
        }
        self.happen(Event::Released(slot));
    }

    /// Has the server give a process up.
    pub(super) fn release(&mut self, slot: Slot, why: Why) {
        let Some(class) = self.classes.get_mut(&slot.class) else { return };
        let Some(Some(member)) = class.members.get_mut(slot.index as usize) else {
            return;
        };
        member.leaves = true;
        member.why = words(why);
        self.has_changed(slot.class);
    }

    /// Tells a process to end that is at work.
    pub(super) fn end(&mut self, slot: Slot, why: Why) {
        self.release(slot, why);
        self.signal(slot, Step::Ask);
    }

    /// Starts a process with a socket of its own.
    pub(super) fn launch_fcgid(&mut self, slot: Slot) {
        let Some(class) = self.classes.get(&slot.class) else { return };
        let (key, name) = (class.key.clone(), class.name());
        let host =
            class.app.class.as_ref().map_or_else(String::new, |class| class.host.clone());
        match self.spawn_fcgid(slot) {
            Ok(pid) => {
                let text = format!("mod_fcgid: server {host}:{name}({pid}) started");
                self.log.line(Level::Info, "fcgid", 0, text);
                self.happen(Event::Started(slot));
                self.changed.push(key);
            }
            Err(failed) => {
                let text = match failed {
                    NotStarted::NoProcess => {
                        "mod_fcgid: can't create a process".to_owned()
                    }
                    NotStarted::NoProgram(error) => {
                        let text = format!("mod_fcgid: can't run {name}");
                        self.log.line_os(Level::Error, "fcgid", 0, Some(&error), text);
                        // Whoever waits for it would wait in vain.
                        self.broken.push(key);
                        format!("mod_fcgid: spawn process {name} error")
                    }
                };
                self.log.line(Level::Warn, "fcgid", 0, text);
                self.happen(Event::Failed(slot));
            }
        }
    }

    fn spawn_fcgid(&mut self, slot: Slot) -> Result<Pid, NotStarted> {
        if self.guardian.is_none() {
            self.guard();
        }
        let (reading, writing) = output::pipe().map_err(|_| NotStarted::NoProcess)?;
        let class = self.classes.get_mut(&slot.class).ok_or(NotStarted::NoProcess)?;
        let app = class.app.clone();
        let serial = self.next_serial;
        self.next_serial += 1;
        let Address::Unix(base) = &app.address else { return Err(NotStarted::NoProcess) };
        let path = fcgid::class::socket_of(base, serial);
        let backlog = app.settings.listen_queue_depth;
        let socket = AppSocket::at(&path, backlog, self.identity.as_ref());
        let socket = socket.map_err(|failed| {
            let text =
                format!("mod_fcgid: couldn't bind unix domain socket: {}", failed.what);
            self.log.line_os(Level::Error, "fcgid", 0, Some(&failed.error), text);
            NotStarted::NoProcess
        })?;
        let inode = fstat(&socket.fd).map_or(0, |meta| meta.st_ino);
        let AppSocket { fd, place } = socket;
        let wrapper =
            app.identity.as_ref().and_then(|_| suexec::wrapper(&self.snapshot, &Disk));
        let wrapped = wrapper.as_ref().zip(app.identity.as_ref());
        let started = spawn::application(spawn::Application {
            path: &app.path,
            args: app.class.as_ref().map_or(&[], |class| &class.args),
            wrapper: wrapped
                .map(|(wrapper, id)| (&wrapper[..], &id.user[..], &id.group[..])),
            env: &app.settings.initial_env,
            socket: fd.as_fd(),
            output: writing,
            nice: 0,
            files: self.files,
            identity: self.identity.as_ref(),
        });
        let pid = match started {
            Ok(pid) => pid,
            Err(error) => {
                // It is in nobody's way.
                let _ = place.remove(self.identity.as_ref());
                return Err(match error.raw_os_error() {
                    Some(nix::libc::EAGAIN | nix::libc::ENOMEM) => NotStarted::NoProcess,
                    _ => NotStarted::NoProgram(error),
                });
            }
        };
        class.starts += 1;
        let index = slot.index as usize;
        if index >= class.processes.len() {
            class.processes.resize(index + 1, None);
            class.members.resize(index + 1, None);
        }
        class.processes[index] = Some(pid);
        if let Some(guardian) = &mut self.guardian {
            guardian.socket(&place);
            guardian.started(pid);
        }
        let why = NORMAL;
        class.members[index] = Some(Member { serial, place, inode, leaves: false, why });
        self.serials.insert(serial, slot);
        self.outputs.insert(pid.as_raw(), Output::new(reading, &app.path, pid));
        self.pids.insert(pid, slot);
        Ok(pid)
    }

    /// A process has ended: says so, and that nobody is to go there any more.
    pub(super) fn ended_fcgid(&mut self, pid: Pid, slot: Slot, status: WaitStatus) {
        let Some(class) = self.classes.get_mut(&slot.class) else { return };
        let name = class.name();
        let key = class.key.clone();
        let member = class.members.get_mut(slot.index as usize).and_then(Option::take);
        let Some(member) = member else { return };
        self.serials.remove(&member.serial);
        // What is not there any more need not go.
        let _ = member.place.remove(self.identity.as_ref());
        self.changed.push(key);
        if self.ending {
            return;
        }
        let (level, how) = match status {
            WaitStatus::Exited(_, code) => (
                Level::Info,
                format!("terminated by calling exit(), return code: {code}"),
            ),
            WaitStatus::Signaled(_, signal, core) => {
                let number = signal as i32;
                match signal {
                    Signal::SIGTERM
                    | Signal::SIGHUP
                    | Signal::SIGUSR1
                    | Signal::SIGKILL => {
                        (Level::Info, format!("get stop signal {number}"))
                    }
                    _ if core => {
                        let how =
                            format!("get signal {number}, possible coredump generated");
                        (Level::Error, how)
                    }
                    _ => (Level::Error, format!("get unexpected signal {number}")),
                }
            }
            _ => return,
        };
        let why = member.why;
        let text = format!("mod_fcgid: process {name}({pid}) exit({why}), {how}");
        self.log.line(level, "fcgid", 0, text);
    }
}

impl class::Class {
    /// One of mod_fcgid's.
    pub fn is_fcgid(&self) -> bool {
        self.app.kind == Kind::Fcgid
    }
}
