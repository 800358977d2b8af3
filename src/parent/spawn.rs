//! Starting processes: another user, descriptors 0 to 2, exec. One of two files with
//! `unsafe`.
//!
//! A child is made as vfork(2) makes one: until it executes its program it works in the
//! memory of its parent, which waits for that. Nothing is copied, so that what a start costs
//! does not grow with the configuration that the parent holds.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use directives::modules::core::{Limit, Limits};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sched::{CloneFlags, clone};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2};

use super::identity::Identity;
use super::systemd;

/// The stack of a child until it executes its program, bytes. What it does there calls
/// nothing that needs more than a part of it.
const STACK: usize = 64 * 1024;
/// The exit status of a child that could not execute its program.
const NO_PROGRAM: isize = 127;

// On small machines the calls of these names take user and group numbers of 16 bits.
#[cfg(not(target_pointer_width = "32"))]
use libc::{
    SYS_setgid as SYS_SETGID, SYS_setgroups as SYS_SETGROUPS, SYS_setuid as SYS_SETUID,
};
#[cfg(target_pointer_width = "32")]
use libc::{
    SYS_setgid32 as SYS_SETGID, SYS_setgroups32 as SYS_SETGROUPS,
    SYS_setuid32 as SYS_SETUID,
};

/// Whatever descriptors this process was given beside 0, 1 and 2: no process that it starts
/// is to have them.
#[allow(unsafe_code)]
pub fn keep_descriptors() -> std::io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(fd) = number.filter(|fd| *fd > 2) {
            // SAFETY: this sets a flag of a descriptor, and that only for a later exec; who
            // owns it does not notice. If it is not open any more nothing happens.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Plain,
    /// Ends with the parent, unless it becomes somebody else.
    Helper,
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
        /// Further limits: resource, soft and hard.
        limits: [Option<(Resource, u64, u64)>; 3],
    },
}

/// Strings as exec takes them.
#[derive(Debug, Default)]
struct Strings {
    /// Each with a NUL behind it.
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
}

impl Strings {
    /// One more, in parts; none of them can contain a NUL.
    fn add(&mut self, parts: &[&[u8]]) -> std::io::Result<()> {
        self.starts.push(self.bytes.len());
        for part in parts {
            if part.contains(&0) {
                return Err(std::io::ErrorKind::InvalidInput.into());
            }
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(0);
        Ok(())
    }

    /// Of strings that have their NULs already.
    fn whole(mut bytes: Vec<u8>) -> Strings {
        if bytes.last().is_some_and(|last| *last != 0) {
            bytes.push(0);
        }
        let mut starts = Vec::with_capacity(48);
        let mut next = 0;
        for string in bytes.split_inclusive(|byte| *byte == 0) {
            starts.push(next);
            next += string.len();
        }
        Strings { bytes, starts }
    }

    /// Pointers to all of them, and a null pointer. They are good as long as `self` is not
    /// changed.
    fn pointers(&self) -> Vec<*const c_char> {
        let one = |start: &usize| self.bytes[*start..].as_ptr().cast();
        self.starts.iter().map(one).chain([std::ptr::null()]).collect()
    }
}

/// A program, and all that it is started with.
#[derive(Debug)]
struct Program<'a> {
    path: CString,
    args: Strings,
    env: Strings,
    directory: Option<CString>,
    /// Descriptors 0, 1 and 2; where there is none it has its parent's.
    fds: [Option<BorrowedFd<'a>>; 3],
    identity: Option<&'a Identity>,
    start: Start,
}

impl<'a> Program<'a> {
    /// With its parent's environment, but for what systemd said to that one.
    fn new(path: &Path, name: &[u8], start: Start) -> std::io::Result<Program<'a>> {
        let mut program = Program::bare(path, start)?;
        program.args.add(&[name])?;
        for (name, value) in std::env::vars_os() {
            if !systemd::VARIABLES.iter().any(|variable| name == *variable) {
                program.env.add(&[name.as_bytes(), b"=", value.as_bytes()])?;
            }
        }
        Ok(program)
    }

    /// Without arguments and environment.
    fn bare(path: &Path, start: Start) -> std::io::Result<Program<'a>> {
        Ok(Program {
            path: CString::new(path.as_os_str().as_bytes())?,
            args: Strings::default(),
            env: Strings::default(),
            directory: None,
            fds: [None; 3],
            identity: None,
            start,
        })
    }

    /// In its own directory, or the wrapper that starts it there.
    fn of_others(
        path: &[u8],
        wrapper: Option<(&[u8], &str, &str)>,
        start: Start,
    ) -> std::io::Result<Program<'a>> {
        let path = crate::disk::path(path);
        let executed = wrapper.map_or(path, |(wrapper, _, _)| crate::disk::path(wrapper));
        let mut program = Program::bare(executed, start)?;
        program.args.add(&[executed.as_os_str().as_bytes()])?;
        if let Some((_, user, group)) = wrapper {
            let name = path.file_name().unwrap_or_default();
            for arg in [user.as_bytes(), group.as_bytes(), name.as_bytes()] {
                program.args.add(&[arg])?;
            }
        }
        let directory = path.parent().map(|parent| parent.as_os_str().as_bytes());
        program.directory = directory.map(CString::new).transpose()?;
        Ok(program)
    }

    /// Starts it, and returns when it is being executed.
    #[allow(unsafe_code)]
    fn spawn(&self) -> std::io::Result<Pid> {
        thread_local! {
            static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; STACK]);
        }
        let (args, env) = (self.args.pointers(), self.env.pointers());
        let ours = matches!(self.start, Start::Plain | Start::Daemon);
        let defaults = if ours { &[][..] } else { ignored() };
        let failed = Cell::new(None);
        let child = || {
            let Err(error) = self.execute(&args, &env, defaults);
            failed.set(Some(error));
            NO_PROGRAM
        };
        let pid = ROOM.with_borrow_mut(|stack| {
            let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
            // SAFETY: the child works in this process' memory, on a stack of its own that
            // nobody else uses, while this thread stands still (CLONE_VFORK); so nothing
            // that the closure borrows is moved, freed or used meanwhile. Other threads may
            // go on, as they do in -X: the child neither allocates nor takes a lock, makes
            // system calls only (see `execute`), and writes to nothing but its stack,
            // `failed` and this thread's errno. There it ends, or executes its program:
            // nothing is dropped twice. No handler of a signal can run in it that would
            // change our memory: the only ones here are those of Rust's runtime for faults
            // of the program itself.
            unsafe { clone(Box::new(child), stack, flags, Some(libc::SIGCHLD)) }
        })?;
        match failed.get() {
            None => Ok(pid),
            Some(error) => {
                // It has ended; whoever else has collected it did what is to be done.
                let _ = waitpid(pid, None);
                Err(error.into())
            }
        }
    }

    /// In the child: becomes the program. Returns why it did not.
    #[allow(unsafe_code)]
    fn execute(
        &self,
        args: &[*const c_char],
        env: &[*const c_char],
        ignored: &[Signal],
    ) -> nix::Result<Infallible> {
        // Above 2, all of them, as everything that is opened here; so none overwrites
        // another.
        let [stdin, stdout, stderr] = self.fds;
        stdin.map_or(Ok(()), dup2_stdin)?;
        stdout.map_or(Ok(()), dup2_stdout)?;
        stderr.map_or(Ok(()), dup2_stderr)?;
        if let Some(directory) = &self.directory {
            nix::unistd::chdir(&**directory)?;
        }
        // The parent reads its signals from a descriptor and blocks them for that.
        SigSet::empty().thread_set_mask()?;
        if self.start == Start::Daemon {
            nix::unistd::setsid()?;
        }
        let reaction =
            |handler| SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        for other in ignored {
            // Under nohup and its like some are ignored, and exec would leave it at that.
            // SAFETY: no handler is installed.
            unsafe { sigaction(*other, &reaction(SigHandler::SigDfl)) }?;
        }
        let programs = match self.start {
            Start::Application { nice, files } => Some((nice, files)),
            Start::Script { files, .. } => Some((0, files)),
            _ => None,
        };
        if let Some((nice, files)) = programs {
            // SAFETY: no handler is installed: the signal is ignored, as the original's
            // applications have always had it.
            unsafe { sigaction(Signal::SIGPIPE, &reaction(SigHandler::SigIgn)) }?;
            setrlimit(Resource::RLIMIT_NOFILE, files.0, files.1)?;
            if nice > 0 {
                // SAFETY: `setpriority` takes numbers only and touches no memory of ours.
                Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })?;
            }
        }
        if let Start::Script { limits, .. } = self.start {
            // Before root's rights are gone: they may be higher than ours.
            for (resource, soft, hard) in limits.into_iter().flatten() {
                setrlimit(resource, soft, hard)?;
            }
        }
        if let Some(identity) = self.identity {
            let (uid, gid) = (identity.uid().as_raw(), identity.gid().as_raw());
            let groups = identity.groups();
            // SAFETY: the list is as long as is said, and is only read; the others are
            // numbers. These are the bare calls: those of the C library would have all
            // threads of this process change their user, if it took the child for one.
            unsafe {
                let list = groups.as_ptr();
                Errno::result(libc::syscall(SYS_SETGROUPS, groups.len(), list))?;
                Errno::result(libc::syscall(SYS_SETGID, gid))?;
                Errno::result(libc::syscall(SYS_SETUID, uid))?;
            }
        }
        if matches!(self.start, Start::Helper | Start::Script { .. }) {
            // A change of the user takes this back.
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
        }
        // SAFETY: strings with a NUL at their end, and lists of them with a null pointer at
        // theirs (`Strings::pointers`), which `self` keeps.
        unsafe { libc::execve(self.path.as_ptr(), args.as_ptr(), env.as_ptr()) };
        Err(Errno::last())
    }
}

/// The signals that this process ignores: SIGPIPE, as any program in Rust, and what was so
/// before it began.
fn ignored() -> &'static [Signal] {
    static IGNORED: OnceLock<Vec<Signal>> = OnceLock::new();
    IGNORED.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // If it is not known, all that can be ignored.
        let mask = mask.unwrap_or(u64::MAX);
        let settable = |it: &Signal| ![Signal::SIGKILL, Signal::SIGSTOP].contains(it);
        let is_ignored = |it: &Signal| mask >> (*it as i32 - 1) & 1 == 1;
        Signal::iterator().filter(settable).filter(is_ignored).collect()
    })
}

/// This program, once more.
fn again(argument: &str, start: Start) -> std::io::Result<Program<'static>> {
    let mut program = Program::new(Path::new("/proc/self/exe"), b"fcgi-httpd", start)?;
    program.args.add(&[argument.as_bytes()])?;
    Ok(program)
}

/// The serving half: this program again, with the link as descriptor 0.
pub fn server(link: OwnedFd, identity: Option<&Identity>) -> std::io::Result<Pid> {
    let mut program = again(super::SERVER_HALF, Start::Plain)?;
    program.fds[0] = Some(link.as_fd());
    program.identity = identity;
    program.spawn()
}

/// This program again, in a session of its own: daemon mode. What it writes to its standard
/// error until it serves can be read from the descriptor.
pub fn daemon(args: &[OsString]) -> std::io::Result<OwnedFd> {
    let null = null()?;
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
    let mut program = again(super::DETACHED, Start::Daemon)?;
    for arg in args {
        program.args.add(&[arg.as_bytes()])?;
    }
    program.fds = [Some(null.as_fd()), Some(null.as_fd()), Some(writing.as_fd())];
    program.spawn()?;
    Ok(reading)
}

/// This program again, to look after the applications when the parent is gone: see
/// [`guardian`](mod@super::guardian).
pub fn guardian(orders: OwnedFd) -> std::io::Result<Pid> {
    let null = null()?;
    let mut program = again(super::GUARDIAN, Start::Daemon)?;
    program.fds = [Some(orders.as_fd()), Some(null.as_fd()), Some(null.as_fd())];
    program.spawn()
}

/// A program that takes a log's lines: they come over its standard input.
pub fn log_program(
    words: &[&OsStr],
    lines: &OwnedFd,
    errors: Option<&OwnedFd>,
) -> std::io::Result<Pid> {
    let [name, args @ ..] = words else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let null = null()?;
    let mut program = Program::new(&found(name), name.as_bytes(), Start::Helper)?;
    for arg in args {
        program.args.add(&[arg.as_bytes()])?;
    }
    let errors = errors.map_or(null.as_fd(), AsFd::as_fd);
    program.fds = [Some(lines.as_fd()), None, Some(errors)];
    program.spawn()
}

/// A program that a map asks, in its own directory and without an environment: keys come over
/// its standard input, and values go back.
pub fn map_program(
    argv: &[bytes::Bytes],
    fds: [BorrowedFd<'_>; 3],
    identity: Option<&Identity>,
) -> std::io::Result<Pid> {
    let [path, args @ ..] = argv else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let mut program = Program::of_others(path, None, Start::Helper)?;
    for arg in args {
        program.args.add(&[arg])?;
    }
    program.fds = fds.map(Some);
    program.identity = identity;
    program.spawn()
}

/// Where a program is that is named without its directory: in the `PATH`, if it is there.
fn found(name: &OsStr) -> PathBuf {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    if !name.as_bytes().contains(&b'/') {
        for directory in std::env::split_paths(&directories) {
            let path = directory.join(name);
            if nix::unistd::access(&path, nix::unistd::AccessFlags::X_OK).is_ok() {
                return path;
            }
        }
    }
    name.into()
}

/// The file that is empty, and takes everything.
pub fn null() -> std::io::Result<OwnedFd> {
    let file = std::fs::File::options().read(true).write(true).open("/dev/null");
    Ok(file?.into())
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
    pub socket: BorrowedFd<'a>,
    /// Its standard output and error.
    pub output: OwnedFd,
    /// `-priority`.
    pub nice: u32,
    /// Its limit of open files, soft and hard.
    pub files: (u64, u64),
    /// Under whose name it runs.
    pub identity: Option<&'a Identity>,
}

/// Starts an application in the directory of its program.
pub fn application(app: Application<'_>) -> std::io::Result<Pid> {
    let nice = i32::try_from(app.nice).unwrap_or(i32::MAX).min(19);
    let start = Start::Application { nice, files: app.files };
    let mut program = Program::of_others(app.path, app.wrapper, start)?;
    for arg in app.args {
        program.args.add(&[arg])?;
    }
    for (i, (name, value)) in app.env.iter().enumerate() {
        // Of those with the same name the last one counts.
        if app.env[i + 1..].iter().all(|(other, _)| other != name) {
            program.env.add(&[name, b"=", value])?;
        }
    }
    let output = Some(app.output.as_fd());
    program.fds = [Some(app.socket), output, output];
    program.identity = app.identity;
    program.spawn()
}

/// What a CGI script is started with.
#[derive(Debug)]
pub struct Script<'a> {
    /// Its file.
    pub path: &'a [u8],
    /// The wrapper's program and its first two arguments: user and group.
    pub wrapper: Option<(&'a [u8], &'a str, &'a str)>,
    /// A command that the shell runs in the file's place, in its directory.
    pub command: Option<&'a [u8]>,
    /// Its arguments.
    pub args: &'a [bytes::Bytes],
    /// Its environment, which holds nothing else: `NAME=value` and a NUL, again and again.
    pub env: Vec<u8>,
    /// Its descriptors 0, 1 and 2.
    pub fds: [BorrowedFd<'a>; 3],
    /// Its limit of open files, soft and hard.
    pub files: (u64, u64),
    /// What it may use up.
    pub limits: Limits,
    /// Under whose name it, or its wrapper, runs.
    pub identity: Option<&'a Identity>,
}

/// Starts a script in its directory.
pub fn script(script: Script<'_>) -> std::io::Result<Pid> {
    let limits = [
        settled(Resource::RLIMIT_CPU, script.limits.cpu)?,
        settled(Resource::RLIMIT_AS, script.limits.memory)?,
        settled(Resource::RLIMIT_NPROC, script.limits.processes)?,
    ];
    let start = Start::Script { files: script.files, limits };
    let mut program = Program::of_others(script.path, script.wrapper, start)?;
    if let Some(line) = script.command {
        c"/bin/sh".clone_into(&mut program.path);
        program.args = Strings::default();
        for arg in [b"/bin/sh", &b"-c"[..], line] {
            program.args.add(&[arg])?;
        }
    }
    program.env = Strings::whole(script.env);
    for arg in script.args {
        program.args.add(&[arg])?;
    }
    program.fds = script.fds.map(Some);
    program.identity = script.identity;
    program.spawn()
}

/// A limit as numbers: what is not given is what we have ourselves.
fn settled(
    resource: Resource,
    limit: Option<Limit>,
) -> std::io::Result<Option<(Resource, u64, u64)>> {
    let Some(Limit { soft, hard }) = limit else { return Ok(None) };
    let (_, own) = getrlimit(resource)?;
    let hard = hard.unwrap_or(own);
    Ok(Some((resource, soft.unwrap_or(hard), hard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What exec would read.
    fn read(strings: &Strings) -> Vec<&[u8]> {
        let ends = strings.starts.iter().map(|start| {
            let rest = &strings.bytes[*start..];
            let end = rest.iter().position(|byte| *byte == 0);
            &rest[..end.expect("a NUL behind each")]
        });
        ends.collect()
    }

    #[test]
    fn strings_end_where_they_should() {
        for (bytes, expected) in [
            (&b""[..], &[][..]),
            (b"A=1\0B=\0", &[&b"A=1"[..], b"B="]),
            (b"A=1\0B=2", &[b"A=1", b"B=2"]),
            (b"\0A=1\0", &[b"", b"A=1"]),
        ] {
            let strings = Strings::whole(bytes.to_vec());
            assert_eq!(read(&strings), expected);
            let pointers = strings.pointers();
            assert_eq!(pointers.len(), expected.len() + 1);
            assert!(pointers.last().is_some_and(|last| last.is_null()));
        }
        let mut strings = Strings::default();
        strings.add(&[b"A", b"=", b"1"]).unwrap();
        strings.add(&[b""]).unwrap();
        assert_eq!(read(&strings), [&b"A=1"[..], b""]);
        assert!(strings.add(&[b"A=1\0B=2"]).is_err());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let mut program =
            Program::bare(Path::new("/nowhere/program"), Start::Plain).unwrap();
        program.args.add(&[b"program"]).unwrap();
        let error = program.spawn().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn a_program_is_executed_with_what_it_was_given() {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let start = Start::Script { files: (64, 64), limits: [None; 3] };
        let path = b"/bin/sh";
        let mut program = Program::of_others(path, None, start).unwrap();
        for arg in ["-c", "echo $A $(pwd) $(ulimit -n)", "sh"] {
            program.args.add(&[arg.as_bytes()]).unwrap();
        }
        program.env = Strings::whole(b"A=a b\0".to_vec());
        let null = null().unwrap();
        program.fds = [Some(null.as_fd()), Some(writing.as_fd()), Some(null.as_fd())];
        let pid = program.spawn().unwrap();
        drop(writing);
        let said = std::io::read_to_string(std::fs::File::from(reading)).unwrap();
        let directory = std::fs::canonicalize("/bin").unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], format!("a b {} 64", directory.display()));
        waitpid(pid, None).unwrap();
    }
}
