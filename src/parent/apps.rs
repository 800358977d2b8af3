//! Static applications in their simplest form: started, started again when they end.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directives::Snapshot;
use directives::log::Level;
use directives::modules::fastcgi::app::Kind;
use directives::modules::fastcgi::{Address, App};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::dup;
use super::open::Logs;
use super::sockets;
use super::spawn::{self, Identity};
use super::start::write_line;
use crate::log::error::plain;

/// The applications that the server starts.
#[derive(Debug)]
pub struct Apps {
    classes: Vec<Class>,
    identity: Option<Identity>,
}

#[derive(Debug)]
struct Class {
    app: Arc<App>,
    socket: Option<OwnedFd>,
    running: HashMap<Pid, Instant>,
    /// When the next instance is due, for each that is missing.
    due: Vec<Instant>,
    started: u32,
}

impl Apps {
    /// Those of a configuration.
    pub fn new(snapshot: &Snapshot) -> Apps {
        let apps = snapshot.process.fastcgi.apps().iter();
        let classes = apps
            .filter(|app| app.kind == Kind::Static)
            .map(|app| Class {
                app: app.clone(),
                socket: None,
                running: HashMap::new(),
                due: Vec::new(),
                started: 0,
            })
            .collect();
        Apps { classes, identity: Identity::of(&snapshot.process.core) }
    }

    /// Makes the sockets and starts what is due.
    pub fn start(&mut self, logs: &Logs) {
        let now = Instant::now();
        for class in &mut self.classes {
            let delay = Duration::from_secs(class.app.settings.init_start_delay.into());
            class.due =
                (0..class.app.settings.processes).map(|i| now + delay * i).collect();
            match sockets::application(&class.app, self.identity.as_ref()) {
                Ok(socket) => class.socket = Some(socket),
                Err(failed) => {
                    let path = String::from_utf8_lossy(&class.app.path).into_owned();
                    let text = format!(
                        "FastCGI: can't create server \"{path}\": {}",
                        failed.what
                    );
                    let error = Some(crate::disk::os_error(&failed.error));
                    let line = directives::log::Line {
                        level: Level::Crit,
                        module: "",
                        ah: 0,
                        error,
                        text: text.into(),
                    };
                    let about = crate::log::error::About::default();
                    write_line(logs.main(), &crate::log::error::format(&line, about));
                }
            }
        }
        self.tick(logs);
    }

    /// When something is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.classes.iter().flat_map(|class| class.due.iter().copied()).min()
    }

    /// Starts what is due by now.
    pub fn tick(&mut self, logs: &Logs) {
        let now = Instant::now();
        for class in &mut self.classes {
            let due = class.due.iter().filter(|due| **due <= now).count();
            class.due.retain(|due| *due > now);
            for _ in 0..due {
                class.spawn(self.identity.clone(), logs, now);
            }
        }
    }

    /// An instance has ended.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus, logs: &Logs) {
        for class in &mut self.classes {
            let Some(started) = class.running.remove(&pid) else { continue };
            let path = String::from_utf8_lossy(&class.app.path).into_owned();
            let how = match status {
                WaitStatus::Exited(_, code) => {
                    format!("terminated by calling exit with status '{code}'")
                }
                WaitStatus::Signaled(_, signal, core) => {
                    let name = describe(signal);
                    let core =
                        if core { ", a core file may have been generated" } else { "" };
                    let number = signal as i32;
                    format!("terminated due to uncaught signal '{number}' ({name}){core}")
                }
                _ => continue,
            };
            let text = format!("FastCGI: server \"{path}\" (pid {pid}) {how}");
            write_line(logs.main(), &plain(Level::Warn, "", 0, &text));
            let delay = Duration::from_secs(class.app.settings.restart_delay.into());
            class.due.push(started + delay);
        }
    }

    /// Ends all instances and removes their sockets.
    pub fn stop(&mut self) {
        for class in &mut self.classes {
            class.due.clear();
            for pid in class.running.keys() {
                // It may have ended by itself.
                let _ = kill(*pid, Signal::SIGTERM);
            }
            if let (Some(_), Address::Unix(path)) = (&class.socket, &class.app.address) {
                let _ = std::fs::remove_file(crate::disk::path(path));
            }
        }
    }
}

impl Class {
    fn spawn(&mut self, identity: Option<Identity>, logs: &Logs, now: Instant) {
        let Some(socket) = self.socket.as_ref().and_then(|socket| dup(socket).ok())
        else {
            return;
        };
        let Ok(log) = dup(logs.main()) else { return };
        let settings = &self.app.settings;
        let path = String::from_utf8_lossy(&self.app.path).into_owned();
        let started = spawn::application(spawn::Application {
            path: &self.app.path,
            env: &settings.initial_env,
            socket,
            log,
            nice: settings.priority,
            identity,
        });
        let line = match started {
            Ok(child) => {
                let pid = Pid::from_raw(child.id() as i32);
                self.running.insert(pid, now);
                let again = if self.started >= settings.processes { "re" } else { "" };
                self.started += 1;
                let text =
                    format!("FastCGI: server \"{path}\" {again}started (pid {pid})");
                plain(Level::Warn, "", 0, &text)
            }
            Err(error) => {
                let delay = Duration::from_secs(settings.restart_delay.max(10).into());
                self.due.push(now + delay);
                let text = format!("FastCGI: can't start server \"{path}\": {error}");
                plain(Level::Crit, "", 0, &text)
            }
        };
        write_line(logs.main(), &line);
    }
}

/// What C's `strsignal` says.
fn describe(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGHUP => "Hangup",
        Signal::SIGINT => "Interrupt",
        Signal::SIGQUIT => "Quit",
        Signal::SIGILL => "Illegal instruction",
        Signal::SIGABRT => "Aborted",
        Signal::SIGBUS => "Bus error",
        Signal::SIGFPE => "Floating point exception",
        Signal::SIGKILL => "Killed",
        Signal::SIGUSR1 => "User defined signal 1",
        Signal::SIGSEGV => "Segmentation fault",
        Signal::SIGUSR2 => "User defined signal 2",
        Signal::SIGPIPE => "Broken pipe",
        Signal::SIGALRM => "Alarm clock",
        Signal::SIGTERM => "Terminated",
        other => other.as_str(),
    }
}
