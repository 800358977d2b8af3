//! Programs that take the lines of a log (`ErrorLog "|prog"`, `CustomLog "|prog"`): started
//! by the parent, started again when they die, ended when nothing more is written.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use directives::log::Level;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::spawn;
use super::start::Parent;

/// A program that ends sooner than this is not started again at once.
const MIN_LIFE: Duration = Duration::from_secs(1);
/// How long a program has after the end of its input, and then after TERM.
const PATIENCE: Duration = Duration::from_secs(2);

/// A program and the pipe that it reads. The parent keeps both ends: what is written
/// while there is no process waits for the next one.
#[derive(Debug)]
pub struct Program {
    command: Bytes,
    shell: bool,
    reading: OwnedFd,
    writing: Arc<OwnedFd>,
    /// Its standard error: the main error log, unless it is that log itself.
    errors: Option<Arc<OwnedFd>>,
    pid: Option<Pid>,
    started: Instant,
    due: Option<Instant>,
}

impl Program {
    /// Starts it; `shell` if its line is for `/bin/sh`.
    pub fn start(
        command: Bytes,
        shell: bool,
        errors: Option<Arc<OwnedFd>>,
    ) -> Result<Program> {
        let (reading, writing) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let mut program = Program {
            command,
            shell,
            reading,
            writing: Arc::new(writing),
            errors,
            pid: None,
            started: Instant::now(),
            due: None,
        };
        program.spawn()?;
        Ok(program)
    }

    /// What lines are written to.
    pub fn writing(&self) -> &Arc<OwnedFd> {
        &self.writing
    }

    /// Its line in the configuration.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.command).into_owned()
    }

    /// When it is to be started again.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Its process, while there is one.
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Its process has ended.
    pub fn ended(&mut self) {
        self.pid = None;
        self.due = Some((self.started + MIN_LIFE).max(Instant::now()));
    }

    /// Starts a process, once more if there was one.
    pub fn spawn(&mut self) -> Result<()> {
        self.started = Instant::now();
        self.due = Some(self.started + MIN_LIFE);
        let words = directives::syntax::lexer::words(&self.command);
        let words: Vec<&[u8]> = if self.shell {
            vec![b"/bin/sh", b"-c", &self.command]
        } else {
            words.iter().map(|word| &word.bytes[..]).collect()
        };
        let words: Vec<_> = words.into_iter().map(OsStr::from_bytes).collect();
        let pid = spawn::log_program(&words, &self.reading, self.errors.as_deref())?;
        self.pid = Some(pid);
        self.due = None;
        Ok(())
    }
}

/// Programs of earlier configurations, of logs and of maps. Their pipes are closed here; they read the end when
/// the server half has finished the last request that writes to them.
#[derive(Debug, Default)]
pub struct Retired(Vec<Leaving>);

#[derive(Debug)]
struct Leaving {
    pid: Pid,
    /// The configuration that it belongs to.
    generation: u64,
    /// Once that is not used any more: when the next signal is due, and which.
    next: Option<(Instant, Signal)>,
}

impl Retired {
    /// Processes of programs that no new request writes to.
    pub fn add(&mut self, pids: impl Iterator<Item = Pid>, generation: u64) {
        self.0.extend(pids.map(|pid| Leaving { pid, generation, next: None }));
    }

    /// Tells a process to end, which nobody waits for.
    pub fn end_now(&mut self, pid: Pid) {
        let _ = kill(pid, Signal::SIGTERM);
        let next = Some((Instant::now() + PATIENCE, Signal::SIGKILL));
        self.0.push(Leaving { pid, generation: 0, next });
    }

    /// A process has ended. Says whether it was one of these.
    pub fn ended(&mut self, pid: Pid) -> bool {
        let before = self.0.len();
        self.0.retain(|leaving| leaving.pid != pid);
        self.0.len() < before
    }

    /// When something is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|leaving| leaving.next).map(|(at, _)| at).min()
    }

    /// Tells those to end that do not end by themselves; `oldest` is the oldest
    /// configuration that is still used.
    pub fn tick(&mut self, oldest: Option<u64>) {
        let now = Instant::now();
        for leaving in &mut self.0 {
            if oldest.is_some_and(|oldest| oldest <= leaving.generation) {
                continue;
            }
            match leaving.next {
                None => leaving.next = Some((now + PATIENCE, Signal::SIGTERM)),
                Some((at, signal)) if at <= now => {
                    let _ = kill(leaving.pid, signal);
                    leaving.next = Some((now + PATIENCE, Signal::SIGKILL));
                }
                Some(_) => {}
            }
        }
    }

    /// At the end of the server, when all pipes are closed: waits for all of them.
    pub fn finish(mut self) {
        while !self.0.is_empty() {
            self.tick(None);
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(status) => {
                    status.pid().map(|pid| self.ended(pid));
                }
                Err(_) => return,
            }
        }
    }
}

impl Parent {
    /// Starts log programs again, and ends those that nothing is written to any more.
    pub(super) fn log_programs(&mut self) {
        self.retired.tick(self.apps.oldest_in_use());
        let now = Instant::now();
        for program in &mut self.logs.programs {
            if program.due().is_some_and(|due| due <= now)
                && let Err(error) = program.spawn()
            {
                let text = format!(
                    "piped_log_maintenance: unable to respawn '{}': {error:#}",
                    program.shown()
                );
                self.main_log.line(Level::Error, "core", 107, text);
            }
        }
    }

    /// A child has ended that may be a log program.
    pub(super) fn log_program_ended(&mut self, pid: Pid) {
        let mut programs = self.logs.programs.iter_mut();
        if let Some(program) = programs.find(|program| program.pid() == Some(pid)) {
            program.ended();
            let text =
                format!("piped log program '{}' failed unexpectedly", program.shown());
            self.main_log.line(Level::Error, "core", 106, text);
        }
    }
}
