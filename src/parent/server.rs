//! The serving process, seen from its parent: started, configured, listened to, and
//! started again if it ends by itself.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use directives::Snapshot;
use directives::log::Level;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ending::Stage;
use super::identity::Identity;
use super::spawn;
use super::start::Parent;
use super::systemd;
use crate::link::{self, ParentLink, Received};
use crate::message::ToParent;

/// A server that ends sooner than this is not started again at once.
const MIN_LIFE: Duration = Duration::from_secs(1);

/// The serving process.
pub struct Server {
    state: State,
    started: Instant,
}

enum State {
    Process(Pid, ParentLink),
    /// `-X`: it serves in this process.
    Thread(ParentLink),
    /// It is started again then.
    Due(Instant),
    Gone,
}

impl Server {
    /// Starts it; with `debug` in this process.
    pub fn start(snapshot: &Snapshot, debug: bool) -> Result<Server> {
        let (ours, theirs) = link::pair()?;
        let link = ParentLink::new(ours);
        let state = if debug {
            std::thread::spawn(move || crate::server::run(theirs));
            State::Thread(link)
        } else {
            let identity = Identity::of(&snapshot.process.core);
            let pid = spawn::server(theirs, identity.as_ref())
                .context("starting the server process")?;
            State::Process(pid, link)
        };
        Ok(Server { state, started: Instant::now() })
    }

    /// The link to it, while there is one.
    pub fn link(&self) -> Option<&ParentLink> {
        match &self.state {
            State::Process(_, link) | State::Thread(link) => Some(link),
            State::Due(_) | State::Gone => None,
        }
    }

    /// Is this its process?
    pub fn is(&self, pid: Pid) -> bool {
        self.pid() == Some(pid)
    }

    fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Process(pid, _) => Some(pid),
            _ => None,
        }
    }

    /// When it is started again.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) => Some(at),
            _ => None,
        }
    }

    /// Is it to be started again now?
    pub fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Asks whether it answers.
    pub fn ask(&self) {
        if let Some(link) = self.link() {
            // Who cannot be asked does not answer.
            let _ = link.ask();
        }
    }

    /// Tells it that it is to finish soon. Says whether there is one.
    pub fn leave(&self) -> bool {
        self.link().is_some_and(|link| link.leave().is_ok())
    }

    /// Tells it to finish. Says whether there is one.
    pub fn drain(&self) -> bool {
        self.link().is_some_and(|link| link.drain().is_ok())
    }

    /// Tells it to end.
    pub fn stop(&self) {
        if let Some(link) = self.link() {
            // If it is gone it has ended.
            let _ = link.stop();
        }
    }

    /// Ends it without asking.
    pub fn kill(&self) {
        match self.pid() {
            Some(pid) => {
                let _ = kill(pid, Signal::SIGKILL);
            }
            None => self.stop(),
        }
    }

    /// It has ended. Says whether it can be started again: a thread cannot.
    pub fn gone(&mut self) -> bool {
        let restarts = matches!(self.state, State::Process(..) | State::Due(_));
        let at = (self.started + MIN_LIFE).max(Instant::now());
        self.state = if restarts { State::Due(at) } else { State::Gone };
        restarts
    }
}

impl Parent {
    /// Sends the configuration to the server.
    pub(super) fn configure(&mut self) -> Result<()> {
        self.number += 1;
        let listeners: Vec<_> =
            self.listeners.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
        let logs: Vec<_> = self.logs.fds.iter().map(AsRawFd::as_raw_fd).collect();
        let maps = self.maps.ends(&mut self.retired)?;
        self.apps.in_use(self.number);
        let link = self.server.link().context("there is no server process")?;
        link.configure(self.number, &self.bundle, &listeners, &logs, &maps)
    }

    /// Starts the server again.
    pub(super) fn start_server(&mut self) {
        let started = Server::start(&self.snapshot, false);
        let result = started.and_then(|server| {
            self.server = server;
            self.configure()
        });
        if let Err(error) = result {
            self.log(Level::Alert, "core", 0, &format!("{error:#}"));
            self.server.kill();
        }
    }

    /// Takes the messages that are there. A server that says nonsense is no longer one.
    pub(super) fn messages(&mut self) {
        loop {
            let Some(link) = self.server.link() else { return };
            let done = match link.next() {
                Ok(Received::Message(message, fds)) => self.message(message, fds),
                Ok(Received::Nothing) => return,
                Ok(Received::End) => {
                    match self.stage {
                        _ if self.server.pid().is_none() => self.server_gone(None),
                        // What does not listen cannot be told to end.
                        Stage::Running => self.server.kill(),
                        // It is reaped when its end is signalled.
                        _ => {}
                    }
                    return;
                }
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.log(Level::Alert, "core", 0, &format!("{error:#}; it is ended"));
                self.server.kill();
                return;
            }
        }
    }

    fn message(&mut self, message: ToParent, fds: Vec<OwnedFd>) -> Result<()> {
        let (key, state) = match message {
            ToParent::Serving(number) => {
                self.serving(number);
                return Ok(());
            }
            ToParent::Released(generation) => {
                self.apps.released(generation);
                return Ok(());
            }
            ToParent::Slow(key) => {
                self.apps.slow(&key);
                return Ok(());
            }
            ToParent::Busy(key, busy) => {
                self.apps.busy(&key, busy);
                return Ok(());
            }
            ToParent::Need { key, dynamic } => {
                let state = self.apps.need(&key, dynamic);
                (key, state)
            }
            ToParent::Newer(key) => {
                let state = self.apps.newer(&key);
                (key, state)
            }
            ToParent::Run(script) => {
                self.scripts.run(&self.snapshot, self.apps.identity(), *script, fds);
                return Ok(());
            }
            ToParent::EndMap { number, index, process } => {
                self.end_map(number, index, process);
                return Ok(());
            }
            ToParent::EndScript(id) => {
                self.scripts.end(id);
                return Ok(());
            }
            ToParent::Alive => {
                systemd::alive();
                return Ok(());
            }
            ToParent::Status => {
                let link = self.server.link().context("the server is gone")?;
                if let Err(error) = link.status(&self.apps.status()) {
                    // The page is shown without it.
                    let text =
                        format!("the state of applications is not told: {error:#}");
                    self.log(Level::Warn, "status", 0, &text);
                }
                return Ok(());
            }
        };
        self.server.link().context("the server is gone")?.app(&key, &state)
    }
}
