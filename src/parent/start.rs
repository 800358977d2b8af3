//! From a configuration to a running server, and its life: signals, children, messages.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use directives::bundle::Bundle;
use directives::diagnostic::Severity;
use directives::log::Level;
use directives::{Compiled, Snapshot};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::apps::Apps;
use super::ending::{Stage, TERM_PATIENCE};
use super::log::MainLog;
use super::maps::Maps;
use super::open::{self, Bound, Logs};
use super::passed::Passed;
use super::programs::{Program, Retired};
use super::scripts::Scripts;
use super::server::Server;
use super::signals::Signals;
use super::systemd::{self, Watchdog};
use super::{say, say_error, spawn};
use crate::cli::Cli;
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
    /// Programs of RewriteMaps.
    pub(super) maps: Maps,
    /// Programs of logs and maps of earlier configurations.
    pub(super) retired: Retired,
    pub(super) main_log: MainLog,
    pub(super) apps: Apps,
    pub(super) scripts: Scripts,
    pub(super) server: Server,
    pub(super) number: u64,
    signals: Signals,
    pub(super) watchdog: Option<Watchdog>,
    pub(super) stage: Stage,
    /// Nothing more is waited for.
    pub(super) hurry: bool,
    pid_file: Vec<u8>,
    /// To be told once, when the server serves.
    announce: bool,
    detached: bool,
}

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
    let words = spawn::daemon(&cli.args).context("starting in the background")?;
    for line in BufReader::new(std::fs::File::from(words)).lines() {
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
        // What `ps` and `top` show, as with mod_fastcgi.
        nix::sys::prctl::set_name(c"fcgi-pm")?;
        spawn::keep_descriptors().context("looking at /proc/self/fd")?;
        let prepared = open::prepare(&snapshot);
        if let Err(failed) = &prepared {
            anyhow::ensure!(!failed.is_fatal(), "{}", failed.message().to_owned());
        }
        let scripts = Scripts::new().context("opening /dev/null")?;
        // What applications leave behind comes to us.
        nix::sys::prctl::set_child_subreaper(true).context("prctl")?;
        more_files();
        // Before the first child is started: none may end unnoticed.
        let signals = Signals::take()?;
        let passed = Passed::new(&snapshot, crate::link::inherited()?);
        let listeners = open::bind(&snapshot, &passed.taken)?;
        let logs = open::open_logs(&snapshot)?;
        let main_log = MainLog::new(logs.main(), &snapshot)?;
        let maps = Maps::start(&snapshot, logs.main())?;
        if let Err(failed) = &prepared {
            let text = format!("FastCGI: {}", failed.message());
            main_log.line(Level::Error, "", 0, text);
        }
        for text in passed.closed {
            main_log.line(Level::Warn, "core", 0, text);
        }
        let pid_file = report::pid_file(&snapshot);
        let apps = Apps::new(&snapshot, main_log.clone());
        let server = Server::start(&snapshot, cli.debug)?;
        let mut parent = Parent {
            cli,
            bundle,
            listeners,
            logs,
            maps,
            retired: Retired::default(),
            main_log,
            apps,
            scripts,
            server,
            number: 0,
            signals,
            watchdog: Watchdog::new(),
            stage: Stage::Running,
            hurry: false,
            pid_file,
            snapshot,
            announce: true,
            detached,
        };
        open::write_pid(&parent.pid_file)?;
        parent.announce_manager();
        parent.apps.start();
        parent.configure()?;
        Ok(parent)
    }

    /// The process manager's notices (P-4).
    fn announce_manager(&self) {
        if let Some(wrapper) = &self.snapshot.process.fastcgi.wrapper {
            let wrapper = String::from_utf8_lossy(wrapper);
            let text = format!("FastCGI: wrapper mechanism enabled (wrapper: {wrapper})");
            self.log(Level::Notice, "", 0, &text);
        }
        let pid = std::process::id();
        let text = format!("FastCGI: process manager initialized (pid {pid})");
        self.log(Level::Notice, "", 0, &text);
    }

    /// Writes a line into the main error log.
    pub(super) fn log(&self, level: Level, module: &'static str, ah: u32, text: &str) {
        self.main_log.line(level, module, ah, text);
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

    /// Stays with the server until it ends.
    fn live(mut self) -> Result<ExitCode> {
        while !self.is_over() {
            let timeout = self.timeout();
            let (mut signal, mut message, mut ready) = (false, false, Vec::new());
            {
                let apps = self.apps.fds();
                let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
                let link = self.server.link();
                fds.extend(
                    link.map(|link| PollFd::new(link.fd().as_fd(), PollFlags::POLLIN)),
                );
                let first = fds.len();
                fds.extend(
                    apps.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)),
                );
                match poll(&mut fds, timeout) {
                    Ok(_) | Err(nix::Error::EINTR) => {}
                    Err(error) => return Err(error).context("waiting"),
                }
                let is_ready =
                    |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
                signal |= is_ready(&fds[0]);
                message |= first == 2 && is_ready(&fds[1]);
                let sources = apps.iter().zip(&fds[first..]);
                ready
                    .extend(sources.filter(|(_, fd)| is_ready(fd)).map(|(app, _)| app.0));
            }
            for source in ready {
                self.apps.ready(source);
            }
            if message {
                self.messages();
            }
            if signal {
                // What else has come is there when it is waited for again.
                if let Some(signal) = self.signals.next()? {
                    self.signal(signal)?;
                }
            }
            self.advance();
            self.apps.tick();
            self.scripts.tick();
            self.log_programs();
            self.map_programs();
        }
        self.apps.clean_up();
        // What is not there need not go.
        let _ = std::fs::remove_file(crate::disk::path(&self.pid_file));
        let Parent { logs, maps, mut retired, apps, main_log, number, .. } = self;
        retired.add(logs.programs.iter().filter_map(Program::pid), number);
        retired.add(maps.pids(), number);
        // Nobody writes any more: programs read the end.
        drop((logs, maps, apps, main_log));
        retired.finish();
        Ok(ExitCode::SUCCESS)
    }

    /// The next message from the server is worth a notice.
    pub(super) fn announce_again(&mut self) {
        self.announce = true;
    }

    fn timeout(&self) -> PollTimeout {
        let stage = match self.stage {
            Stage::Leaving(until, _) => Some(until),
            Stage::Draining(deadline) => deadline,
            Stage::Ending(deadline) => Some(deadline),
            Stage::Running | Stage::Killed => None,
        };
        let programs = self.logs.programs.iter().filter_map(Program::due).min();
        let next = [
            stage,
            self.server.due(),
            self.apps.next_deadline(),
            self.scripts.next_deadline(),
            programs,
            self.maps.next_deadline(),
            self.retired.next_deadline(),
            self.watchdog.as_ref().map(|watchdog| watchdog.due),
        ];
        match next.into_iter().flatten().min() {
            Some(next) => {
                let left = next.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left + Duration::from_millis(1))
                    .unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        }
    }

    /// The server serves with a configuration.
    pub(super) fn serving(&mut self, number: u64) {
        if number == self.number && self.stage == Stage::Running {
            systemd::ready(&format!("Serving, configuration {number}"));
        }
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

    /// Acts on a signal.
    fn signal(&mut self, signal: Signal) -> Result<()> {
        match signal {
            Signal::SIGTERM | Signal::SIGINT => {
                if self.stage != Stage::Running {
                    self.hasten();
                    return Ok(());
                }
                let text = "caught SIGTERM, shutting down";
                self.log(Level::Notice, "mpm_event", 491, text);
                self.drain(Some(TERM_PATIENCE));
            }
            Signal::SIGWINCH if self.stage == Stage::Running => {
                let text = "caught SIGWINCH, shutting down gracefully";
                self.log(Level::Notice, "mpm_event", 492, text);
                let limit = self.snapshot.process.core.graceful_shutdown_timeout;
                self.drain(Some(limit).filter(|limit| !limit.is_zero()));
            }
            Signal::SIGHUP if self.stage == Stage::Running => {
                let text = "SIGHUP received.  Attempting to restart";
                self.log(Level::Notice, "mpm_event", 494, text);
                self.reload();
            }
            Signal::SIGUSR1 if self.stage == Stage::Running => {
                let text = "SIGUSR1 received.  Doing graceful restart";
                self.log(Level::Notice, "mpm_event", 493, text);
                self.reload();
            }
            Signal::SIGCHLD => self.reap()?,
            _ => {}
        }
        Ok(())
    }

    /// Collects children that ended.
    fn reap(&mut self) -> Result<()> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return Ok(()),
                Err(error) => return Err(error).context("collecting a child"),
                Ok(status) => {
                    let Some(pid) = status.pid() else { continue };
                    if self.server.is(pid) {
                        self.server_gone(Some(status));
                    } else if self.scripts.ended(pid) {
                        // Its answer has told the server half all there is to know.
                    } else if !self.apps.ended(pid, status)
                        && !self.retired.ended(pid)
                        && !self.map_program_ended(pid)
                    {
                        // Others are orphans that came to us.
                        self.log_program_ended(pid);
                    }
                }
            }
        }
    }
}

/// Asks for as many open files as there may be: every application has two.
fn more_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // With fewer it works as long as they suffice.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
