//! What is made and opened before the server can start: the directory of sockets, logs,
//! listeners, the PID file.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::Arc;

use anyhow::{Context, Result};
use directives::Snapshot;
use directives::bundle::{Files, Sources};
use directives::diagnostic::{self, Diagnostic, codes};
use directives::modules::fastcgi::permission::{Access, refusal};
use directives::syntax::Span;
use nix::unistd::Pid;

use super::identity::Identity;
use super::programs::Program;
use crate::disk::{Disk, os_error, path};
use crate::listeners;
use crate::logs::{self, Name, Open};

/// What could not be made.
#[derive(Debug)]
pub struct NotPrepared {
    message: String,
    place: Option<(Span, u32)>,
}

impl NotPrepared {
    /// As a configuration error, where the configuration asked for it.
    pub fn shown(&self, sources: &Sources) -> String {
        match self.place {
            Some((span, line)) => {
                let found =
                    Diagnostic::new(&codes::VALUE, self.message.clone(), span, line);
                diagnostic::httpd(&found, sources, "fcgi-httpd") + "\n"
            }
            None => format!("FastCGI: {}\n", self.message),
        }
    }

    /// The default directory's troubles do not keep the server from starting (C-34).
    pub fn is_fatal(&self) -> bool {
        self.place.is_some()
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Makes the directory of sockets and the one for dynamic applications in it, for the
/// serving user only (C-31).
pub fn prepare(snapshot: &Snapshot) -> Result<(), NotPrepared> {
    let Some(directory) = &snapshot.process.fastcgi.ipc_dir else { return Ok(()) };
    let shown = String::from_utf8_lossy(&directory.path).into_owned();
    let fail = |why: String| NotPrepared {
        message: format!("FastCgiIpcDir {shown}: {why}"),
        place: directory.given,
    };
    let core = &snapshot.process.core;
    let identity = Identity::of(core);
    if identity.is_some() && [core.uid(), core.gid()].contains(&u32::MAX) {
        return Err(fail(
            "nothing says whose it is to be: User and Group are needed".into(),
        ));
    }
    make(snapshot, &directory.path, identity.as_ref(), directory.given.is_none())
        .map_err(&fail)?;
    let dynamic = snapshot.process.fastcgi.dynamic_directory();
    // As the serving user, whose directory it is in by now.
    let made =
        Identity::during(identity.as_ref(), || make(snapshot, &dynamic, None, false));
    made.map_err(|why| {
        let dynamic = String::from_utf8_lossy(&dynamic);
        fail(format!("can't create dynamic directory \"{dynamic}\": {why}"))
    })
}

/// One directory. The default one may need its parent, too.
fn make(
    snapshot: &Snapshot,
    name: &[u8],
    identity: Option<&Identity>,
    with_parents: bool,
) -> Result<(), String> {
    let core = &snapshot.process.core;
    if let Ok(meta) = Disk.stat(name) {
        if meta.kind != directives::bundle::Kind::Directory {
            return Err("isn't a directory!".to_owned());
        }
        let (uid, gid) = (core.uid(), core.gid());
        return match refusal(&meta, uid, gid, Access::ALL, &Disk) {
            Some(why) => {
                Err(format!("access for server (uid {uid}, gid {gid}) failed: {why}"))
            }
            None => Ok(()),
        };
    }
    if with_parents {
        // Whether it worked shows in the next step.
        let _ = path(name).parent().map(std::fs::create_dir_all);
    }
    let made = std::fs::DirBuilder::new().mode(0o700).create(path(name));
    if let Err(error) = made {
        let text = os_error(&error).text;
        return Err(format!("doesn't exist and can't be created: {text}"));
    }
    if let Some(identity) = identity {
        let (uid, gid) = (identity.uid().as_raw(), identity.gid().as_raw());
        if let Err(error) = std::os::unix::fs::chown(path(name), Some(uid), Some(gid)) {
            let text = os_error(&error).text;
            return Err(format!(
                "can't chown() to the server (uid {uid}, gid {gid}): {text}"
            ));
        }
    }
    Ok(())
}

/// The open logs of a configuration.
#[derive(Debug)]
pub struct Logs {
    /// Their descriptors, in the order of [`logs::names`].
    pub fds: Vec<Arc<OwnedFd>>,
    /// The programs behind some of them.
    pub programs: Vec<Program>,
}

impl Logs {
    /// The main error log.
    pub fn main(&self) -> &Arc<OwnedFd> {
        &self.fds[0]
    }
}

/// Opens the logs, and starts their programs.
pub fn open_logs(snapshot: &Snapshot) -> Result<Logs> {
    let names = logs::names(snapshot);
    let mut logs = Logs { fds: Vec::new(), programs: Vec::new() };
    for name in &names {
        let what = logs::open(snapshot, name);
        let fd = open_log(&what, &mut logs).with_context(|| match (&what, name) {
            (Open::File(file), Name::Access(_)) => {
                format!(
                    "AH00649: could not open transfer log file {}.",
                    String::from_utf8_lossy(file)
                )
            }
            (Open::File(file), _) => format!(
                "AH00091: fcgi-httpd: could not open error log file {}.",
                String::from_utf8_lossy(file)
            ),
            (Open::Pipe { command, .. }, _) => {
                format!(
                    "AH00104: unable to start piped log program '{}'",
                    String::from_utf8_lossy(command)
                )
            }
            (Open::Syslog(text), _) => format!("could not open {text}"),
        })?;
        logs.fds.push(fd);
    }
    Ok(logs)
}

fn open_log(what: &Open, logs: &mut Logs) -> Result<Arc<OwnedFd>> {
    match what {
        Open::File(file) => {
            let opened = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o644)
                .open(path(file))?;
            Ok(Arc::new(opened.into()))
        }
        Open::Pipe { command, shell } => {
            let main = logs.fds.first().cloned();
            let program = Program::start(command.clone(), *shell, main)?;
            let fd = program.writing().clone();
            logs.programs.push(program);
            Ok(fd)
        }
        Open::Syslog(_) => {
            // The socket of the system logger takes the lines as they are.
            let socket = std::os::unix::net::UnixDatagram::unbound()?;
            socket.connect("/dev/log")?;
            Ok(Arc::new(socket.into()))
        }
    }
}

/// A bound listener, and the directive that asked for it.
pub type Bound = (directives::modules::core::Listen, Arc<OwnedFd>);

/// Binds what the configuration wants; what is bound already is kept.
pub fn bind(snapshot: &Snapshot, bound: &[Bound]) -> Result<Vec<Bound>> {
    let mut all = Vec::new();
    for listen in listeners::wanted(snapshot) {
        let old =
            bound.iter().find(|(old, _)| old.ip == listen.ip && old.port == listen.port);
        let fd = match old {
            Some((_, fd)) => fd.clone(),
            None => {
                let backlog = snapshot.process.core.backlog;
                let fd = super::sockets::listener(&listen, backlog).map_err(|error| {
                    let error = os_error(&error);
                    let address = match listen.ip {
                        Some(_) => listen.shown(),
                        None => format!("[::]:{}", listen.port),
                    };
                    anyhow::anyhow!(
                        "({}){}: AH00072: make_sock: could not bind to address {address}",
                        error.code,
                        error.text
                    )
                })?;
                Arc::new(fd)
            }
        };
        all.push((listen, fd));
    }
    anyhow::ensure!(!all.is_empty(), "no listening sockets available, shutting down");
    Ok(all)
}

/// The process that a PID file names.
pub fn read_pid(file: &[u8]) -> Option<Pid> {
    let text = std::fs::read_to_string(path(file)).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// Writes the PID file.
pub fn write_pid(file: &[u8]) -> Result<()> {
    let shown = String::from_utf8_lossy(file).into_owned();
    let text = format!("{}\n", std::process::id());
    std::fs::write(path(file), text).map_err(|error| {
        let error = os_error(&error);
        anyhow::anyhow!(
            "({}){}: AH00097: could not create {shown}",
            error.code,
            error.text
        )
    })
}
