//! Binding: listeners for clients, and the sockets of applications.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use directives::modules::core::Listen;
use directives::modules::fastcgi::{Address, App};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::spawn::Identity;
use crate::disk::path;

/// Binds a listener for clients. Without an address it is IPv6's any-address, which takes
/// IPv4 clients too, where the machine has IPv6.
pub fn listener(listen: &Listen, backlog: u32) -> std::io::Result<OwnedFd> {
    let addresses = match listen.ip {
        Some(ip) => vec![ip],
        None => {
            vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)]
        }
    };
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for ip in addresses {
        match tcp(SocketAddr::new(ip, listen.port), backlog, listen.ip.is_none()) {
            Ok(socket) => {
                socket.set_nonblocking(true)?;
                return Ok(socket.into());
            }
            Err(error) => last = error,
        }
        // Only a machine without IPv6 goes on to IPv4.
        if last.raw_os_error() != Some(nix::libc::EAFNOSUPPORT) {
            break;
        }
    }
    Err(last)
}

fn tcp(address: SocketAddr, backlog: u32, dual: bool) -> std::io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// What went wrong with an application's socket, in the original's words (P-8).
#[derive(Debug)]
pub struct Failed {
    /// `bind() failed [/path]` and the like.
    pub what: String,
    /// The system's error.
    pub error: std::io::Error,
}

/// Makes the listening socket of an application that the server starts: an old file is
/// removed, the new one is for the serving user only (K-4).
pub fn application(app: &App, identity: Option<&Identity>) -> Result<OwnedFd, Failed> {
    let fail = |what: &str| {
        let what = what.to_owned();
        move |error| Failed { what, error }
    };
    let backlog = i32::try_from(app.settings.listen_queue_depth).unwrap_or(i32::MAX);
    match &app.address {
        Address::Unix(name) => {
            let file = path(name);
            // What is not there need not go.
            let _ = std::fs::remove_file(file);
            let shown = file.display();
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)
                .map_err(fail("socket() failed"))?;
            let address = SockAddr::unix(std::ffi::OsStr::from_bytes(name))
                .map_err(fail("socket() failed"))?;
            let bound = format!("bind() failed [{shown}]");
            socket.bind(&address).map_err(fail(&bound))?;
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
                .map_err(fail("chmod() of socket failed"))?;
            if let Some(identity) = identity {
                std::os::unix::fs::chown(
                    file,
                    Some(identity.uid().as_raw()),
                    Some(identity.gid().as_raw()),
                )
                .map_err(fail("chmod() of socket failed"))?;
            }
            socket.listen(backlog).map_err(fail("listen() failed"))?;
            Ok(socket.into())
        }
        Address::Tcp(addresses) => {
            let port = app.settings.port.unwrap_or(0);
            let loopback = addresses.first().copied();
            let address = if app.settings.listen_all {
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
            } else {
                loopback.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            };
            let what = format!("bind() failed [port={port}]");
            let backlog = app.settings.listen_queue_depth;
            tcp(address, backlog, false).map(OwnedFd::from).map_err(fail(&what))
        }
    }
}
