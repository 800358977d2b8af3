//! Becoming another user, descriptor 0, exec. One of two files with `unsafe`.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use directives::modules::core;
use nix::libc::{PRIO_PROCESS, setpriority};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Gid, Uid};

/// Under whose name a process runs: user, group and further groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// `User` and `Group`, if the server was started by root; otherwise nothing changes.
    pub fn of(process: &core::Process) -> Option<Identity> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let (uid, gid) = (Uid::from_raw(process.uid()), Gid::from_raw(process.gid()));
        let name = std::ffi::CString::new(process.user_name()).unwrap_or_default();
        let groups = nix::unistd::getgrouplist(&name, gid).unwrap_or_else(|_| vec![gid]);
        Some(Identity { uid, gid, groups })
    }

    /// Does `work` with this user's rights instead of root's. Nothing is given up for
    /// good; if the old rights do not come back the process cannot go on.
    pub fn during<T>(identity: Option<&Identity>, work: impl FnOnce() -> T) -> T {
        use nix::unistd::{getegid, geteuid, setegid, seteuid};
        let Some(identity) = identity else { return work() };
        let (uid, gid) = (geteuid(), getegid());
        let lowered = setegid(identity.gid).and_then(|()| seteuid(identity.uid));
        let done = work();
        let raised = seteuid(uid).and_then(|()| setegid(gid));
        if lowered.is_err() || raised.is_err() {
            std::process::abort();
        }
        done
    }

    /// The user's number.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The group's number.
    pub fn gid(&self) -> Gid {
        self.gid
    }
}

/// Whatever descriptors this process was given beside 0, 1 and 2: no process that it starts
/// is to have them.
#[allow(unsafe_code)]
pub fn keep_descriptors() -> std::io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(fd) = number.filter(|fd| *fd > 2) {
            // SAFETY: this sets a flag of a descriptor, and that only for a later exec; who
            // owns it does not notice. If it is not open any more nothing happens.
            unsafe { nix::libc::fcntl(fd, nix::libc::F_SETFD, nix::libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Plain,
    /// Ends with the parent.
    LogProgram,
    /// In a session of its own.
    Daemon,
    Application {
        /// Added to the nice value.
        nice: i32,
        /// Open files, as they were before the parent asked for more.
        files: (u64, u64),
    },
    /// Ends with the parent, unless it becomes somebody else.
    Script {
        /// Open files, as they were before the parent asked for more.
        files: (u64, u64),
    },
}

/// Has `command` run under another name: what is done between fork and exec.
#[allow(unsafe_code)]
fn become_user(command: &mut Command, identity: Option<Identity>, kind: Start) {
    for name in super::systemd::VARIABLES {
        command.env_remove(name);
    }
    let prepare = move || {
        // The parent reads its signals from a descriptor and blocks them for that.
        SigSet::empty().thread_set_mask()?;
        if kind == Start::Daemon {
            nix::unistd::setsid()?;
        }
        if matches!(
            kind,
            Start::LogProgram | Start::Application { .. } | Start::Script { .. }
        ) {
            // Under nohup and its like some are ignored, and exec would leave it at that.
            for other in Signal::iterator() {
                // SAFETY: no handler is installed. KILL and STOP cannot be set.
                let _ = unsafe { signal(other, SigHandler::SigDfl) };
            }
        }
        if kind == Start::LogProgram {
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
        }
        let programs = match kind {
            Start::Application { nice, files } => Some((nice, files)),
            Start::Script { files } => Some((0, files)),
            _ => None,
        };
        if let Some((nice, files)) = programs {
            // SAFETY: no handler is installed: the signal is ignored, as the original's
            // applications have always had it.
            unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
            setrlimit(Resource::RLIMIT_NOFILE, files.0, files.1)?;
            // SAFETY: `setpriority` takes numbers only and touches no memory of ours.
            let failed = nice > 0 && unsafe { setpriority(PRIO_PROCESS, 0, nice) } != 0;
            if failed {
                return Err(std::io::Error::last_os_error());
            }
        }
        if let Some(identity) = &identity {
            nix::unistd::setgroups(&identity.groups)?;
            nix::unistd::setgid(identity.gid)?;
            nix::unistd::setuid(identity.uid)?;
        }
        if matches!(kind, Start::Script { .. }) {
            // A change of the user takes this back.
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
        }
        Ok(())
    };
    // SAFETY: the closure runs in the child between fork and exec, where only functions
    // that are safe in a signal handler may be called. It makes system calls
    // (sigprocmask, setsid, prctl, sigaction, setrlimit, setpriority, setgroups, setgid,
    // setuid) on values made before the fork; it neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// The serving half: this program again, with the link as descriptor 0.
pub fn server(link: OwnedFd, identity: Option<Identity>) -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("fcgi-httpd").arg(super::SERVER_HALF).stdin(Stdio::from(link));
    become_user(&mut command, identity, Start::Plain);
    command.spawn()
}

/// This program again, in a session of its own: daemon mode. Its standard error is a pipe
/// to us until it serves.
pub fn daemon(args: &[std::ffi::OsString]) -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("fcgi-httpd").arg(super::DETACHED).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    become_user(&mut command, None, Start::Daemon);
    command.spawn()
}

/// This program again, to look after the applications when the parent is gone: see
/// [`guardian`](super::guardian).
pub fn guardian(orders: OwnedFd) -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("fcgi-httpd").arg(super::GUARDIAN).stdin(Stdio::from(orders));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    become_user(&mut command, None, Start::Daemon);
    command.spawn()
}

/// A program that takes a log's lines: they come over its standard input.
pub fn log_program(command: &mut Command) -> std::io::Result<Child> {
    become_user(command, None, Start::LogProgram);
    command.spawn()
}

/// What an application is started with.
#[derive(Debug)]
pub struct Application<'a> {
    /// Its program.
    pub path: &'a [u8],
    /// Its arguments.
    pub args: &'a [bytes::Bytes],
    /// The wrapper's program and its first two arguments: user and group (W-1).
    pub wrapper: Option<(&'a [u8], &'a str, &'a str)>,
    /// Its environment, which holds nothing else.
    pub env: &'a [(bytes::Bytes, bytes::Bytes)],
    /// Its listening socket: descriptor 0.
    pub socket: OwnedFd,
    /// Its standard output and error.
    pub output: OwnedFd,
    /// `-priority`.
    pub nice: u32,
    /// Its limit of open files, soft and hard.
    pub files: (u64, u64),
    /// Under whose name it runs.
    pub identity: Option<Identity>,
}

/// Starts an application in the directory of its program.
pub fn application(app: Application<'_>) -> std::io::Result<Child> {
    let mut command = program(app.path, app.wrapper, app.env);
    for arg in app.args {
        command.arg(OsStr::from_bytes(arg));
    }
    command.stdin(Stdio::from(app.socket));
    command.stdout(Stdio::from(app.output.try_clone()?)).stderr(Stdio::from(app.output));
    let nice = i32::try_from(app.nice).unwrap_or(i32::MAX).min(19);
    become_user(
        &mut command,
        app.identity,
        Start::Application { nice, files: app.files },
    );
    command.spawn()
}

/// A program in its own directory, or the wrapper that starts it there; with this
/// environment and no other.
fn program(
    path: &[u8],
    wrapper: Option<(&[u8], &str, &str)>,
    env: &[(bytes::Bytes, bytes::Bytes)],
) -> Command {
    let path = crate::disk::path(path);
    let mut command = match wrapper {
        None => Command::new(path),
        Some((wrapper, user, group)) => {
            let mut command = Command::new(crate::disk::path(wrapper));
            command.arg(user).arg(group);
            command.arg(path.file_name().unwrap_or_default());
            command
        }
    };
    command.env_clear();
    for (name, value) in env {
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    if let Some(directory) = path.parent() {
        command.current_dir(directory);
    }
    command
}

/// What a CGI script is started with.
#[derive(Debug)]
pub struct Script<'a> {
    /// Its file.
    pub path: &'a [u8],
    /// The wrapper's program and its first two arguments: user and group.
    pub wrapper: Option<(&'a [u8], &'a str, &'a str)>,
    /// Its arguments.
    pub args: &'a [bytes::Bytes],
    /// Its environment, which holds nothing else.
    pub env: &'a [(bytes::Bytes, bytes::Bytes)],
    /// Its descriptors 0, 1 and 2; what is not there is /dev/null.
    pub fds: [Option<OwnedFd>; 3],
    /// Its limit of open files, soft and hard.
    pub files: (u64, u64),
    /// Under whose name it, or its wrapper, runs.
    pub identity: Option<Identity>,
}

/// Starts a script in its directory.
pub fn script(script: Script<'_>) -> std::io::Result<Child> {
    let mut command = program(script.path, script.wrapper, script.env);
    for arg in script.args {
        command.arg(OsStr::from_bytes(arg));
    }
    let [stdin, stdout, stderr] =
        script.fds.map(|fd| fd.map_or_else(Stdio::null, Stdio::from));
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    become_user(&mut command, script.identity, Start::Script { files: script.files });
    command.spawn()
}
