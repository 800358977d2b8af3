//! Listeners that a service manager has opened already (socket activation): one whose
//! address is that of a `Listen` line is taken instead of binding.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use directives::Snapshot;
use directives::modules::core::Listen;
use socket2::{Socket, Type};

use super::open::Bound;
use crate::listeners;

/// What became of the descriptors that were passed.
#[derive(Debug, Default)]
pub struct Passed {
    /// Those that `Listen` lines ask for.
    pub taken: Vec<Bound>,
    /// Why the others were closed.
    pub closed: Vec<String>,
}

impl Passed {
    /// Gives each descriptor to the first `Listen` line that it fits.
    pub fn new(snapshot: &Snapshot, fds: Vec<OwnedFd>) -> Passed {
        let mut wanted = listeners::wanted(snapshot);
        let mut passed = Passed::default();
        for (number, fd) in (FIRST..).zip(fds) {
            let socket = Socket::from(fd);
            match fitting(&socket, &wanted) {
                Ok(i) => passed.taken.push((wanted.remove(i), Arc::new(socket.into()))),
                Err(why) => passed
                    .closed
                    .push(format!("descriptor {number} was passed and is closed: {why}")),
            }
        }
        passed
    }
}

/// The number of the first descriptor.
const FIRST: usize = 3;

/// Which `Listen` line a socket is for, or why for none.
fn fitting(socket: &Socket, wanted: &[Listen]) -> Result<usize, String> {
    let listens = socket.r#type().is_ok_and(|kind| kind == Type::STREAM)
        && socket.is_listener().unwrap_or(false);
    if !listens {
        return Err("it is no listening stream socket".to_owned());
    }
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    let Some(address) = address else {
        return Err("it is no TCP socket".to_owned());
    };
    let found = wanted.iter().position(|listen| is_for(address, listen));
    let found = found.ok_or_else(|| format!("no Listen names {address}"))?;
    socket.set_nonblocking(true).map_err(|error| error.to_string())?;
    Ok(found)
}

fn is_for(address: SocketAddr, listen: &Listen) -> bool {
    let same = match listen.ip {
        // Without an address it is IPv6's any-address, or IPv4's where there is no other.
        None => address.ip().is_unspecified(),
        Some(IpAddr::V6(ip)) => address.ip() == ip,
        Some(IpAddr::V4(ip)) => address.ip() == ip,
    };
    same && address.port() == listen.port
}
