//! Binding listeners for clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use directives::modules::core::Listen;
use socket2::{Domain, Protocol, Socket, Type};

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

/// Binds a TCP socket; `dual` takes IPv4 clients on an IPv6 address, too.
pub fn tcp(address: SocketAddr, backlog: u32, dual: bool) -> std::io::Result<Socket> {
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
