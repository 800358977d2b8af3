//! The listening sockets of applications that the server starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering};

use directives::modules::fastcgi::{Address, App};
use nix::sys::stat::{Mode, umask};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::disk::path;
use crate::parent::identity::Identity;
use crate::parent::sockets::tcp;

/// A listening socket, open in the parent as long as its application is defined: what
/// connects while no process is there waits instead of being refused (P-7).
#[derive(Debug)]
pub struct AppSocket {
    /// Descriptor 0 of its processes.
    pub fd: OwnedFd,
    /// Where it is.
    pub place: Place,
}

/// Where a socket is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the file system.
    Unix {
        /// Where clients look for it.
        path: Vec<u8>,
        /// The name it was bound to, which the kernel remembers: each version of an
        /// application has its own.
        bound: Vec<u8>,
        /// Device and inode: is the file there still this socket?
        id: (u64, u64),
    },
    /// On a port.
    Tcp {
        /// The port.
        port: u16,
    },
}

/// What went wrong, in the original's words (P-8).
#[derive(Debug)]
pub struct Failed {
    /// `bind() failed [/path]` and the like.
    pub what: String,
    /// The system's error.
    pub error: std::io::Error,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl AppSocket {
    /// Makes the socket. On a port that `old` listens on it is the same socket.
    pub fn new(
        app: &App,
        identity: Option<&Identity>,
        old: Option<&AppSocket>,
    ) -> Result<AppSocket, Failed> {
        let backlog = app.settings.listen_queue_depth;
        match &app.address {
            Address::Unix(name) => unix(name, backlog, identity),
            Address::Tcp(addresses) => {
                let port = app.settings.port.unwrap_or(0);
                if let Some(AppSocket { fd, place: Place::Tcp { port: old } }) = old
                    && *old == port
                    && let Ok(fd) = fd.try_clone()
                {
                    return Ok(AppSocket { fd, place: Place::Tcp { port } });
                }
                let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let address = if app.settings.listen_all {
                    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
                } else {
                    addresses.first().copied().unwrap_or(loopback)
                };
                let what = format!("bind() failed [port={port}]");
                let socket = tcp(address, backlog, false)
                    .map_err(|error| Failed { what, error })?;
                Ok(AppSocket { fd: socket.into(), place: Place::Tcp { port } })
            }
        }
    }

    /// Clients still find it.
    pub fn is_there(&self) -> bool {
        match &self.place {
            Place::Unix { path: name, id, .. } => {
                let found = std::fs::symlink_metadata(path(name));
                found.is_ok_and(|meta| (meta.dev(), meta.ino()) == *id)
            }
            Place::Tcp { .. } => true,
        }
    }

    /// Removes the file, if it is still this socket.
    pub fn remove(&self, identity: Option<&Identity>) -> std::io::Result<()> {
        match &self.place {
            Place::Unix { path: name, .. } if self.is_there() => {
                Identity::during(identity, || std::fs::remove_file(path(name)))
            }
            _ => Ok(()),
        }
    }
}

/// A socket for the serving user only (K-4). It is made under another name and takes its
/// place when it is ready: nobody finds it with the wrong mode, or before it listens, and
/// an older one that is still in use goes on under its own name.
///
/// All of it is done as the serving user, who may write in that directory: with root's
/// rights a link put there at the right moment would lead them astray.
fn unix(
    name: &[u8],
    backlog: u32,
    identity: Option<&Identity>,
) -> Result<AppSocket, Failed> {
    let fail = |what: &str| {
        let what = what.to_owned();
        move |error| Failed { what, error }
    };
    let file = path(name);
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = directives::path::dir_name(name);
    let mut bound = directory.to_vec();
    bound.extend_from_slice(format!(".{}.{number}", std::process::id()).as_bytes());
    let moved = bound.len() <= MAX_UNIX_PATH;
    if !moved {
        bound = name.to_vec();
    }
    let socket =
        Socket::new(Domain::UNIX, Type::STREAM, None).map_err(fail("socket() failed"))?;
    let what = format!("bind() failed [{}]", file.display());
    let address =
        SockAddr::unix(std::ffi::OsStr::from_bytes(&bound)).map_err(fail(&what))?;
    let id = Identity::during(identity, || {
        if !moved {
            // What is not there need not go.
            let _ = std::fs::remove_file(file);
        }
        let before = umask(Mode::from_bits_truncate(0o177));
        let result = socket.bind(&address);
        umask(before);
        result.map_err(fail(&what))?;
        socket.listen(backlog).map_err(fail("listen() failed"))?;
        if moved {
            std::fs::rename(path(&bound), file).map_err(|error| {
                let _ = std::fs::remove_file(path(&bound));
                Failed { what: what.clone(), error }
            })?;
        }
        let meta = std::fs::symlink_metadata(file).map_err(fail(&what))?;
        Ok((meta.dev(), meta.ino()))
    })?;
    let place = Place::Unix { path: name.to_vec(), bound, id };
    Ok(AppSocket { fd: socket.into(), place })
}

/// The longest name that a Unix socket can be bound to, bytes.
const MAX_UNIX_PATH: usize = 107;

/// Removes the sockets in the directory of dynamic applications that nobody listens on: a
/// predecessor left them.
pub fn clear_stale(directory: &[u8], identity: Option<&Identity>) {
    use std::os::unix::fs::FileTypeExt;
    let Ok(entries) = std::fs::read_dir(path(directory)) else { return };
    for entry in entries.flatten() {
        let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        let file = entry.path();
        let dead = || {
            let connected = std::os::unix::net::UnixStream::connect(&file);
            connected
                .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
        };
        if is_socket && dead() {
            // Who cannot remove it meets it again when the name is wanted.
            let _ = Identity::during(identity, || std::fs::remove_file(&file));
        }
    }
}
