//! `fcgi-conf spawn`: starts an application on a socket, with spawn-fcgi's options.
//!
//! The socket is opened here; each process is this program again (`--child`), which leaves
//! the terminal's session, gives up its rights and becomes the application.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use directives::bundle::{Files, Who};
use lexopt::Parser;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, listen,
    setsockopt, socket, sockopt,
};
use nix::unistd::{Gid, Uid};

use crate::disk;
use crate::options::{self, Problem};

/// How long a process may take to show that it lives.
const PATIENCE: Duration = Duration::from_millis(100);

/// The most connections that may wait.
const BACKLOG: i32 = 1024;

/// What to start, and how.
#[derive(Default)]
struct Spawn {
    address: Option<IpAddr>,
    port: Option<u16>,
    socket: Option<PathBuf>,
    mode: Option<u32>,
    backlog: Option<i32>,
    socket_user: Option<String>,
    socket_group: Option<String>,
    user: Option<String>,
    group: Option<String>,
    root: Option<PathBuf>,
    socket_outside: bool,
    directory: Option<PathBuf>,
    children: Option<u32>,
    forks: u32,
    pid_file: Option<PathBuf>,
    foreground: bool,
    is_child: bool,
    program: Vec<OsString>,
}

/// The command.
pub fn run(parser: &mut Parser) -> Result<bool, Problem> {
    let mut spawn = Spawn { forks: 1, ..Spawn::default() };
    let mut shell = None;
    while let Some(word) = options::next(parser)? {
        match word.option() {
            "-a" => spawn.address = Some(options::number(parser)?),
            "-p" => spawn.port = Some(options::number(parser)?),
            "-s" => spawn.socket = Some(parser.value()?.into()),
            "-M" => {
                let text = options::text(parser)?;
                let mode =
                    u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
                spawn.mode = match mode {
                    Some(mode) => Some(mode),
                    None => return options::usage(format!("{text} is no mode")),
                };
            }
            "-b" => spawn.backlog = Some(options::number(parser)?),
            "-U" => spawn.socket_user = Some(options::text(parser)?),
            "-G" => spawn.socket_group = Some(options::text(parser)?),
            "-u" => spawn.user = Some(options::text(parser)?),
            "-g" => spawn.group = Some(options::text(parser)?),
            "-c" => spawn.root = Some(parser.value()?.into()),
            "-S" => spawn.socket_outside = true,
            "-d" => spawn.directory = Some(parser.value()?.into()),
            "-C" => spawn.children = Some(options::number(parser)?),
            "-F" => spawn.forks = options::number(parser)?,
            "-P" => spawn.pid_file = Some(parser.value()?.into()),
            "-f" => shell = Some(parser.value()?),
            "-n" => spawn.foreground = true,
            "--child" => spawn.is_child = true,
            _ => {
                spawn.program.push(word.value()?);
                spawn.program.extend(parser.raw_args()?);
            }
        }
    }
    if spawn.program.is_empty() {
        let Some(line) = shell else {
            return options::usage("no FastCGI application given");
        };
        let mut exec = OsString::from("exec ");
        exec.push(line);
        spawn.program = vec!["/bin/sh".into(), "-c".into(), exec];
    }
    if spawn.is_child {
        return spawn.become_program(None);
    }
    match (&spawn.socket, spawn.port) {
        (None, None) => return options::usage("either -s or -p is wanted"),
        (Some(_), Some(_)) => return options::usage("-s and -p exclude each other"),
        _ => {}
    }
    if spawn.forks == 0 {
        return options::usage("-F wants one process at least");
    }
    let user = spawn.user.as_deref().map(|name| account(name, true)).transpose()?;
    if user.is_some_and(|(uid, _)| uid == 0) {
        return options::failed("I will not set uid to 0");
    }
    let listener = spawn.listener()?;
    if spawn.foreground {
        return spawn.become_program(Some(listener));
    }
    spawn.start(&listener)
}

fn failed<T: std::fmt::Display>(
    what: impl std::fmt::Display,
) -> impl FnOnce(T) -> Problem {
    move |error| Problem::Failed(format!("{what}: {error}"))
}

/// An account's number and primary group, by name or number.
fn account(name: &str, is_user: bool) -> Result<(u32, u32), Problem> {
    let who = name.parse().map_or(Who::Name(name), Who::Id);
    let found = if is_user {
        disk::Disk.user(who).map(|user| (user.uid, user.gid))
    } else {
        disk::Disk.group(who).map(|group| (group.gid, group.gid))
    };
    match (found, name.parse::<u32>()) {
        (Some(found), _) => Ok(found),
        (None, Ok(number)) => Ok((number, number)),
        (None, Err(_)) => {
            let what = if is_user { "user" } else { "group" };
            options::failed(format!("can't find {what} name {name}"))
        }
    }
}

impl Spawn {
    fn listener(&self) -> Result<OwnedFd, Problem> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let backlog = Backlog::new(self.backlog.unwrap_or(BACKLOG))
            .or_else(|_| Backlog::new(BACKLOG))
            .map_err(failed("-b"))?;
        let Some(path) = &self.socket else {
            let ip = self.address.unwrap_or(IpAddr::from([0, 0, 0, 0]));
            let address = SocketAddr::new(ip, self.port.unwrap_or(0));
            let family =
                if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
            let fd = socket(family, SockType::Stream, flags, None)
                .map_err(failed("socket"))?;
            setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(failed("socket"))?;
            bind(fd.as_raw_fd(), &SockaddrStorage::from(address))
                .map_err(failed(address))?;
            listen(&fd, backlog).map_err(failed(address))?;
            return Ok(fd);
        };
        let path = match (&self.root, self.socket_outside) {
            (Some(root), false) => root.join(path.strip_prefix("/").unwrap_or(path)),
            _ => path.clone(),
        };
        let shown = path.display().to_string();
        if UnixStream::connect(&path).is_ok() {
            return options::failed(format!(
                "{shown}: socket is already in use, can't spawn"
            ));
        }
        // Left behind by somebody who has gone; anything else than a socket stays.
        if let Ok(found) = std::fs::symlink_metadata(&path) {
            use std::os::unix::fs::FileTypeExt;
            if !found.file_type().is_socket() {
                return options::failed(format!("{shown} is there and no socket"));
            }
            std::fs::remove_file(&path).map_err(failed(&shown))?;
        }
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .map_err(failed("socket"))?;
        let name = UnixAddr::new(&path).map_err(failed(&shown))?;
        bind(fd.as_raw_fd(), &name).map_err(failed(&shown))?;
        self.own(&path)?;
        listen(&fd, backlog).map_err(failed(&shown))?;
        Ok(fd)
    }

    /// Who may connect to a socket of the file system.
    fn own(&self, path: &Path) -> Result<(), Problem> {
        let shown = path.display().to_string();
        let owner = |name: &Option<String>| -> Result<Option<(u32, u32)>, Problem> {
            name.as_deref().map(|name| account(name, true)).transpose()
        };
        let group = |name: &Option<String>| -> Result<Option<u32>, Problem> {
            Ok(name
                .as_deref()
                .map(|name| account(name, false))
                .transpose()?
                .map(|(gid, _)| gid))
        };
        let (own, user) = (owner(&self.socket_user)?, owner(&self.user)?);
        // As spawn-fcgi has it: the group of -U comes before that of -g.
        let gid = group(&self.socket_group)?
            .or(own.map(|(_, gid)| gid))
            .or(group(&self.group)?)
            .or(user.map(|(_, gid)| gid));
        let user = own.or(user);
        if user.is_some() || gid.is_some() {
            std::os::unix::fs::chown(path, user.map(|(uid, _)| uid), gid)
                .map_err(failed(&shown))?;
        }
        if let Some(mode) = self.mode {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, mode).map_err(failed(&shown))?;
        }
        Ok(())
    }

    /// Starts the processes, and looks whether they live.
    fn start(&self, listener: &OwnedFd) -> Result<bool, Problem> {
        let own = std::env::current_exe().map_err(failed("the program itself"))?;
        let mut pids = match &self.pid_file {
            Some(path) => Some(File::create(path).map_err(failed(path.display()))?),
            None => None,
        };
        let mut all = true;
        for _ in 0..self.forks {
            let descriptor =
                listener.as_fd().try_clone_to_owned().map_err(failed("socket"))?;
            let mut command = Command::new(&own);
            command.arg("spawn").arg("--child").args(self.arguments());
            command.stdin(Stdio::from(descriptor));
            let mut child = command.spawn().map_err(failed("fork failed"))?;
            std::thread::sleep(PATIENCE);
            let pid = child.id();
            match child.try_wait() {
                Ok(None) => {
                    let text =
                        format!("fcgi-conf: child spawned successfully: PID: {pid}\n");
                    crate::print(&mut std::io::stdout(), &text);
                    if let Some(file) = &mut pids {
                        writeln!(file, "{pid}").map_err(failed("-P"))?;
                    }
                }
                Ok(Some(status)) => {
                    let text = format!("fcgi-conf: child exited with: {status}\n");
                    crate::print(&mut std::io::stderr(), &text);
                    all = false;
                }
                Err(error) => return options::failed(error.to_string()),
            }
        }
        Ok(all)
    }

    /// The child's command line: what it has to do itself.
    fn arguments(&self) -> Vec<OsString> {
        let mut out: Vec<OsString> = Vec::new();
        let mut add = |option: &str, value: Option<OsString>| {
            if let Some(value) = value {
                out.extend([option.into(), value]);
            }
        };
        add("-u", self.user.clone().map(Into::into));
        add("-g", self.group.clone().map(Into::into));
        add("-c", self.root.clone().map(Into::into));
        add("-d", self.directory.clone().map(Into::into));
        add("-C", self.children.map(|count| count.to_string().into()));
        out.push("--".into());
        out.extend(self.program.iter().cloned());
        out
    }

    /// Becomes the application: its socket is descriptor 0.
    fn become_program(&self, listener: Option<OwnedFd>) -> Result<bool, Problem> {
        let Some((program, args)) = self.program.split_first() else {
            return options::usage("no FastCGI application given");
        };
        let mut command = Command::new(program);
        command.args(args);
        if let Some(count) = self.children {
            command.env("PHP_FCGI_CHILDREN", count.to_string());
        }
        if let Some(listener) = listener {
            command.stdin(Stdio::from(listener));
        } else {
            // What it says goes nowhere, and the terminal's end is not its own.
            nix::unistd::setsid().map_err(failed("setsid"))?;
            // Opened here: another root may have no such device.
            let null = File::options()
                .write(true)
                .open("/dev/null")
                .map_err(failed("/dev/null"))?;
            command.stdout(null.try_clone().map_err(failed("/dev/null"))?).stderr(null);
        }
        // Names are looked up before the root changes.
        let user = self.user.as_deref().map(|name| account(name, true)).transpose()?;
        let group = self.group.as_deref().map(|name| account(name, false)).transpose()?;
        let name = user.and_then(|(uid, _)| disk::Disk.user(Who::Id(uid)));
        let gid = group.map(|(gid, _)| gid).or(user.map(|(_, gid)| gid));
        if let Some(gid) = gid {
            let gid = Gid::from_raw(gid);
            nix::unistd::setgid(gid).map_err(failed("setgid"))?;
            match name.and_then(|user| std::ffi::CString::new(user.name).ok()) {
                Some(name) => nix::unistd::initgroups(&name, gid),
                None => nix::unistd::setgroups(&[gid]),
            }
            .map_err(failed("groups"))?;
        }
        if let Some(root) = &self.root {
            nix::unistd::chroot(root).map_err(failed(root.display()))?;
            std::env::set_current_dir("/").map_err(failed("/"))?;
        }
        if let Some(directory) = &self.directory {
            std::env::set_current_dir(directory).map_err(failed(directory.display()))?;
        }
        if let Some((uid, _)) = user {
            nix::unistd::setuid(Uid::from_raw(uid)).map_err(failed("setuid"))?;
        }
        // Only an error comes back.
        let error = command.exec();
        Err(Problem::Failed(format!("{}: {error}", Path::new(program).display())))
    }
}

/// The page.
pub const USAGE: &str = "\
Usage: fcgi-conf spawn [-a address] -p port | -s path [option ...] [--] program [argument ...]
Starts a FastCGI application on a socket, as spawn-fcgi does; the options are the same.
  -a address         : IPv4 or IPv6 address to bind to; 0.0.0.0 unless given
  -p port            : TCP port to bind to
  -s path            : Unix socket to bind to
  -M mode            : the Unix socket's mode, octal; what the umask leaves unless given
  -b backlog         : connections that may wait; 1024 unless given
  -U user, -G group  : owner of the Unix socket; those of -u and -g unless given
  -u user, -g group  : under whose name the application runs (wants root)
  -c directory       : the application's root directory (wants root)
  -S                 : the socket's path is outside of that directory
  -d directory       : change to it before the application starts
  -C number          : processes that php starts itself (PHP_FCGI_CHILDREN)
  -F number          : processes that are started; 1 unless given
  -P file            : write the processes' numbers to it, a line each
  -f line            : the application as a line for /bin/sh, if no program is given
  -n                 : become the application instead of starting it, for supervisors
Exit status: 0, 1 if the socket cannot be opened or a process ends at once, 2 if the command
line is wrong.
";
