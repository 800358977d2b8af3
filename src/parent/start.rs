//! From a configuration to a running server, and its life: signals, children, messages.

use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use directives::bundle::Bundle;
use directives::diagnostic::Severity;
use directives::log::Level;
use directives::{Compiled, Snapshot};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::apps::Apps;
use super::open::{self, Bound, Logs};
use super::signals::Signals;
use super::spawn::{self, Identity};
use super::{dup, say, say_error};
use crate::cli::Cli;
use crate::link::{self, ParentLink, ToParent};
use crate::log::error::plain;
use crate::report;

/// What the daemon's parent writes when it serves.
const READY: &str = "ready";

/// A running server, seen from its parent.
pub struct Parent {
    pub(super) cli: Cli,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bundle: Bundle,
    pub(super) listeners: Vec<Bound>,
    pub(super) logs: Logs,
    pub(super) link: ParentLink,
    pub(super) number: u64,
    apps: Apps,
    server: Server,
    signals: Signals,
    stage: Stage,
    pid_file: Vec<u8>,
    /// To be told once, when the server serves.
    announce: bool,
    detached: bool,
}

enum Server {
    Process(Child),
    /// `-X`.
    Thread,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// The server finishes its requests; not beyond a time, if there is one.
    Draining(Option<Instant>),
}

/// How long TERM waits for requests that are being answered.
const TERM_PATIENCE: Duration = Duration::from_secs(20);

/// Starts the server as the command line says, and stays with it; or, as a daemon, leaves
/// it behind.
pub fn start(
    cli: &Cli,
    compiled: &Compiled,
    snapshot: Arc<Snapshot>,
    bundle: Bundle,
    detached: bool,
) -> Result<ExitCode> {
    let file = report::pid_file(&snapshot);
    if let Some(pid) = open::read_pid(&file).filter(|pid| is_alive(*pid)) {
        say(&format!("httpd (pid {pid}) already running\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let foreground =
        cli.debug || detached || cli.defines("FOREGROUND") || cli.defines("NO_DETACH");
    if !foreground {
        return daemon(cli);
    }
    match Parent::new(cli.clone(), snapshot, bundle, detached) {
        Ok(parent) => {
            parent.log_findings(compiled);
            parent.live()
        }
        Err(error) => {
            say_error(&format!("{error:#}\nAH00015: Unable to open logs\n"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn is_alive(pid: Pid) -> bool {
    pid.as_raw() != std::process::id() as i32 && nix::sys::signal::kill(pid, None).is_ok()
}

/// Starts this program again in a session of its own, and waits until it serves or says
/// why not.
fn daemon(cli: &Cli) -> Result<ExitCode> {
    let mut child = spawn::daemon(&cli.args).context("starting in the background")?;
    let words = child.stderr.take().context("no pipe from the background process")?;
    for line in BufReader::new(words).lines() {
        let line = line?;
        if line == READY {
            return Ok(ExitCode::SUCCESS);
        }
        // Warnings were shown here already, with the configuration.
        if !line.starts_with('[') && !line.starts_with("AH00558") {
            say_error(&format!("{line}\n"));
        }
    }
    Ok(ExitCode::FAILURE)
}

impl Parent {
    fn new(
        cli: Cli,
        snapshot: Arc<Snapshot>,
        bundle: Bundle,
        detached: bool,
    ) -> Result<Parent> {
        if let Err(failed) = open::prepare(&snapshot) {
            anyhow::ensure!(!failed.is_fatal(), "{}", failed.message().to_owned());
            say_error(&format!("FastCGI: {}\n", failed.message()));
        }
        let listeners = open::bind(&snapshot, &[])?;
        let logs = open::open_logs(&snapshot)?;
        let signals = Signals::take()?;
        let pid_file = report::pid_file(&snapshot);
        let (ours, theirs) = link::pair()?;
        let link = ParentLink::new(ours);
        let server = if cli.debug {
            std::thread::spawn(move || crate::server::run(theirs));
            Server::Thread
        } else {
            let identity = Identity::of(&snapshot.process.core);
            Server::Process(
                spawn::server(theirs, identity).context("starting the server process")?,
            )
        };
        let mut parent = Parent {
            cli,
            bundle,
            listeners,
            logs,
            link,
            number: 0,
            apps: Apps::new(&snapshot),
            server,
            signals,
            stage: Stage::Running,
            pid_file,
            snapshot,
            announce: true,
            detached,
        };
        let pid = std::process::id();
        parent.log(
            Level::Notice,
            "",
            0,
            &format!("FastCGI: process manager initialized (pid {pid})"),
        );
        parent.apps.start(&parent.logs);
        parent.configure()?;
        open::write_pid(&parent.pid_file)?;
        Ok(parent)
    }

    /// Writes a line into the main error log.
    pub(super) fn log(&self, level: Level, module: &'static str, ah: u32, text: &str) {
        let levels = self.snapshot.main().config.core.log.clone().unwrap_or_default();
        if level <= levels.of(module) || level <= Level::Notice && module != "" {
            write_line(self.logs.main(), &plain(level, module, ah, text));
        }
    }

    /// Writes the warnings of a configuration into the main error log.
    fn log_findings(&self, compiled: &Compiled) {
        for found in &compiled.diagnostics {
            if found.code.severity == Severity::Warning {
                let ah = found.code.ah.unwrap_or(0);
                self.log(Level::Warn, found.code.module, ah, &found.message);
            }
        }
    }

    /// Sends the configuration to the server.
    pub(super) fn configure(&mut self) -> Result<()> {
        self.number += 1;
        let listeners: Vec<_> =
            self.listeners.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
        let logs: Vec<_> = self.logs.fds.iter().map(|fd| fd.as_raw_fd()).collect();
        self.link.configure(self.number, &self.bundle, &listeners, &logs)
    }

    /// Stays with the server until it ends.
    fn live(mut self) -> Result<ExitCode> {
        loop {
            let timeout = self.timeout();
            let mut fds = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.link.fd().as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error).context("waiting"),
            }
            let ready =
                |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
            let (signal, message) = (ready(&fds[0]), ready(&fds[1]));
            if signal {
                while let Some(signal) = self.signals.next()? {
                    if let Some(code) = self.signal(signal)? {
                        return Ok(code);
                    }
                }
            }
            if message {
                match self.link.next()? {
                    Some(ToParent::Serving(_)) => self.serving(),
                    None => return self.server_gone(),
                }
            }
            if let Stage::Draining(Some(deadline)) = self.stage
                && Instant::now() >= deadline
            {
                // Whoever is still being answered has had time enough.
                let _ = self.link.stop();
                self.stage = Stage::Draining(None);
            }
            self.apps.tick(&self.logs);
        }
    }

    /// The next message from the server is worth a notice.
    pub(super) fn announce_again(&mut self) {
        self.announce = true;
    }

    /// Applications of the new configuration are started, those of the old one end.
    pub(super) fn reload_apps(&mut self) {
        self.apps.stop();
        self.apps = Apps::new(&self.snapshot);
        self.apps.start(&self.logs);
    }

    fn timeout(&self) -> PollTimeout {
        let deadline = match self.stage {
            Stage::Draining(Some(deadline)) => Some(deadline),
            _ => None,
        };
        let next = [deadline, self.apps.next_deadline()].into_iter().flatten().min();
        match next {
            Some(next) => {
                let left = next.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left + Duration::from_millis(1))
                    .unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        }
    }

    fn serving(&mut self) {
        if !std::mem::take(&mut self.announce) {
            return;
        }
        let text =
            format!("{} configured -- resuming normal operations", report::banner());
        self.log(Level::Notice, "mpm_event", 489, &text);
        let args: Vec<_> =
            self.cli.args.iter().map(|arg| arg.to_string_lossy()).collect();
        let line = format!("Command line: 'fcgi-httpd {}'", args.join(" "));
        self.log(Level::Notice, "core", 94, &line);
        if self.detached {
            say_error(&format!("{READY}\n"));
        }
    }

    /// Acts on a signal; an exit code ends the process.
    fn signal(&mut self, signal: Signal) -> Result<Option<ExitCode>> {
        match signal {
            Signal::SIGTERM | Signal::SIGINT => {
                if self.stage != Stage::Running {
                    let _ = self.link.stop();
                    return Ok(None);
                }
                self.log(
                    Level::Notice,
                    "mpm_event",
                    491,
                    "caught SIGTERM, shutting down",
                );
                self.drain(Some(TERM_PATIENCE));
            }
            Signal::SIGWINCH => {
                let text = "caught SIGWINCH, shutting down gracefully";
                self.log(Level::Notice, "mpm_event", 492, text);
                let limit = self.snapshot.process.core.graceful_shutdown_timeout;
                self.drain(Some(limit).filter(|limit| !limit.is_zero()));
            }
            Signal::SIGHUP => {
                let text = "SIGHUP received.  Attempting to restart";
                self.log(Level::Notice, "mpm_event", 494, text);
                self.reload();
            }
            Signal::SIGUSR1 => {
                let text = "SIGUSR1 received.  Doing graceful restart";
                self.log(Level::Notice, "mpm_event", 493, text);
                self.reload();
            }
            Signal::SIGCHLD => return self.reap(),
            _ => {}
        }
        Ok(None)
    }

    fn drain(&mut self, patience: Option<Duration>) {
        self.stage = Stage::Draining(patience.map(|patience| Instant::now() + patience));
        let _ = self.link.drain();
    }

    /// Collects children that ended.
    fn reap(&mut self) -> Result<Option<ExitCode>> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return Ok(None),
                Err(error) => return Err(error).context("collecting a child"),
                Ok(status) => {
                    let Some(pid) = status.pid() else { continue };
                    if self.is_server(pid) {
                        return self.server_gone().map(Some);
                    }
                    self.apps.ended(pid, status, &self.logs);
                }
            }
        }
    }

    fn is_server(&self, pid: Pid) -> bool {
        matches!(&self.server, Server::Process(child) if child.id() as i32 == pid.as_raw())
    }

    /// The server has ended: as it was told to, or by itself.
    fn server_gone(&mut self) -> Result<ExitCode> {
        self.apps.stop();
        // What is not there need not go.
        let _ = std::fs::remove_file(crate::disk::path(&self.pid_file));
        if self.stage == Stage::Running {
            self.log(
                Level::Alert,
                "core",
                0,
                "the server process has ended unexpectedly",
            );
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a line to a log's descriptor.
pub(super) fn write_line(fd: &Arc<std::os::fd::OwnedFd>, line: &[u8]) {
    if let Ok(fd) = dup(fd) {
        crate::log::Sink::new(fd).line(line);
    }
}
