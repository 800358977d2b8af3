//! Becoming another user, descriptor 0, exec. One of two files with `unsafe`.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use directives::modules::core;
use nix::sys::signal::{SigHandler, Signal, signal};
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

    /// The user's number.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The group's number.
    pub fn gid(&self) -> Gid {
        self.gid
    }
}

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Server,
    Daemon,
    Application,
}

/// Has `command` run under another name: what is done between fork and exec.
#[allow(unsafe_code)]
fn become_user(
    command: &mut Command,
    identity: Option<Identity>,
    kind: Start,
    nice: u32,
) {
    let prepare = move || {
        if kind == Start::Daemon {
            nix::unistd::setsid()?;
        }
        if kind == Start::Application {
            // SAFETY: no handler is installed: the signal is ignored, as the original's
            // applications have always had it.
            unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
        }
        if nice > 0 {
            let nice = i32::try_from(nice).unwrap_or(i32::MAX);
            // SAFETY: `setpriority` takes numbers only and touches no memory of ours.
            let failed = unsafe {
                nix::libc::setpriority(nix::libc::PRIO_PROCESS, 0, nice.min(19))
            };
            if failed != 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        if let Some(identity) = &identity {
            nix::unistd::setgroups(&identity.groups)?;
            nix::unistd::setgid(identity.gid)?;
            nix::unistd::setuid(identity.uid)?;
        }
        Ok(())
    };
    // SAFETY: the closure runs in the child between fork and exec, where only functions
    // that are safe in a signal handler may be called. It makes system calls (setsid,
    // sigaction, setpriority, setgroups, setgid, setuid) on values made before the fork; it neither
    // allocates nor takes a lock. The parent has one thread, so no lock can be held by
    // another one either.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// The serving half: this program again, with the link as descriptor 0.
pub fn server(link: OwnedFd, identity: Option<Identity>) -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("fcgi-httpd").arg(super::SERVER_HALF).stdin(Stdio::from(link));
    become_user(&mut command, identity, Start::Server, 0);
    command.spawn()
}

/// This program again, in a session of its own: daemon mode. Its standard error is a pipe
/// to us until it serves.
pub fn daemon(args: &[std::ffi::OsString]) -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("fcgi-httpd").arg(super::DETACHED).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    become_user(&mut command, None, Start::Daemon, 0);
    command.spawn()
}

/// What an application is started with.
#[derive(Debug)]
pub struct Application<'a> {
    /// Its program.
    pub path: &'a [u8],
    /// Its environment, which holds nothing else.
    pub env: &'a [(bytes::Bytes, bytes::Bytes)],
    /// Its listening socket: descriptor 0.
    pub socket: OwnedFd,
    /// Its standard output and error: the main error log.
    pub log: OwnedFd,
    /// `-priority`.
    pub nice: u32,
    /// Under whose name it runs.
    pub identity: Option<Identity>,
}

/// Starts an application in the directory of its program.
pub fn application(app: Application<'_>) -> std::io::Result<Child> {
    let path = crate::disk::path(app.path);
    let mut command = Command::new(path);
    command.env_clear();
    for (name, value) in app.env {
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    if let Some(directory) = path.parent() {
        command.current_dir(directory);
    }
    command.stdin(Stdio::from(app.socket));
    command.stdout(Stdio::from(app.log.try_clone()?)).stderr(Stdio::from(app.log));
    become_user(&mut command, app.identity, Start::Application, app.nice);
    command.spawn()
}
