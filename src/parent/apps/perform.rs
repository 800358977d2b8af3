//! Doing what the policy decides: starting processes, and telling them to end.

use std::os::fd::AsFd;

use directives::log::Level;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::output::{self, Output};
use super::{Apps, busy};
use crate::parent::policy::{Action, Event, Slot, Step};
use crate::parent::spawn;

/// Why a process was not started.
enum NotStarted {
    /// There was no room for one more.
    NoProcess,
    /// The program cannot be run.
    NoProgram(std::io::Error),
}

impl Apps {
    /// Tells the policy, and does what it says.
    pub(super) fn happen(&mut self, event: Event) {
        let now = self.now();
        for action in self.policy.on(now, event) {
            match action {
                Action::Warn(text) => self.log.line(Level::Warn, "", 0, text),
                Action::Start(slot, again) => self.launch(slot, again),
                Action::Signal(slot, step) => self.signal(slot, step),
                Action::Retire(candidates) => self.retire(&candidates),
            }
        }
    }

    fn launch(&mut self, slot: Slot, again: bool) {
        let Some(class) = self.classes.get(&slot.class) else { return };
        let (kind, name) = (class.kind(), class.name());
        match self.spawn(slot, again) {
            Ok(pid) => {
                let whose = match &self.classes[&slot.class].app.identity {
                    Some(id) => format!(" (uid {}, gid {})", id.uid, id.gid),
                    None => String::new(),
                };
                let again = if again { "re" } else { "" };
                let text = format!(
                    "FastCGI:{kind} server \"{name}\"{whose} {again}started (pid {pid})"
                );
                self.log.line(Level::Warn, "", 0, text);
                self.happen(Event::Started(slot));
            }
            Err(NotStarted::NoProcess) => {
                let text = format!(
                    "FastCGI: can't start{kind} server \"{name}\": spawn_fs_process() failed"
                );
                self.log.line(Level::Crit, "", 0, text);
                self.happen(Event::Failed(slot));
            }
            Err(NotStarted::NoProgram(error)) => {
                let text =
                    format!("FastCGI: can't start server \"{name}\", execle() failed");
                self.log.line_os(Level::Crit, "", 0, Some(&error), text);
                // To the policy it is a process that ended at once.
                self.happen(Event::Started(slot));
                self.happen(Event::Ended(slot, false));
            }
        }
    }

    fn spawn(&mut self, slot: Slot, again: bool) -> Result<Pid, NotStarted> {
        if self.guardian.is_none() {
            self.guard();
        }
        let (reading, writing) = output::pipe().map_err(|_| NotStarted::NoProcess)?;
        let wrapper = self.snapshot.process.fastcgi.wrapper.clone();
        let class = self.classes.get_mut(&slot.class).ok_or(NotStarted::NoProcess)?;
        let socket = class.socket.as_ref().ok_or(NotStarted::NoProcess)?;
        let settings = &class.app.settings;
        let wrapped = wrapper.as_ref().zip(class.app.identity.as_ref());
        let started = spawn::application(spawn::Application {
            path: &class.app.path,
            wrapper: wrapped
                .map(|(wrapper, id)| (&wrapper[..], &id.user[..], &id.group[..])),
            env: &settings.initial_env,
            socket: socket.fd.as_fd(),
            output: writing,
            nice: settings.priority,
            files: self.files,
            identity: self.identity.as_ref(),
        });
        let pid = started.map_err(|error| match error.raw_os_error() {
            Some(nix::libc::EAGAIN | nix::libc::ENOMEM) => NotStarted::NoProcess,
            _ => NotStarted::NoProgram(error),
        })?;
        class.starts += 1;
        class.restarts += u64::from(again);
        class.processes[slot.index as usize] = Some(pid);
        self.outputs.insert(pid.as_raw(), Output::new(reading, &class.app.path, pid));
        self.pids.insert(pid, slot);
        if let Some(guardian) = &mut self.guardian {
            guardian.started(pid);
        }
        Ok(pid)
    }

    fn pid(&self, slot: Slot) -> Option<Pid> {
        *self.classes.get(&slot.class)?.processes.get(slot.index as usize)?
    }

    fn signal(&self, slot: Slot, step: Step) {
        let (Some(pid), Some(class)) = (self.pid(slot), self.classes.get(&slot.class))
        else {
            return;
        };
        let members = if step == Step::Kill { busy::family(pid) } else { vec![pid] };
        for member in members {
            // It may have ended by itself; then it will be reaped.
            let _ = kill(member, class.signal(step));
        }
    }

    /// Tells the first that is not busy to end.
    fn retire(&mut self, candidates: &[Slot]) {
        for slot in candidates {
            let Some(pid) = self.pid(*slot) else { continue };
            let Some(class) = self.classes.get(&slot.class) else { continue };
            let Some(socket) = &class.socket else { continue };
            if busy::retire(pid, &socket.place, class.signal(Step::Ask)) {
                let (kind, name) = (class.kind(), class.name());
                let text = format!(
                    "FastCGI:{kind} server \"{name}\" (pid {pid}) termination signaled"
                );
                self.log.line(Level::Warn, "", 0, text);
                self.happen(Event::Signaled(*slot));
                return;
            }
        }
    }
}
