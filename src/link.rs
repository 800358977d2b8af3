//! The messages between the halves, and their framing: one packet each on a pair of
//! sockets, descriptors beside them. One of two files with `unsafe`.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use directives::Snapshot;
use directives::bundle::Bundle;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    recvmsg, sendmsg, socketpair,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::log::Sink;
use crate::server::live::Generation;
use crate::{listeners, logs};

/// The longest packet, bytes.
const MAX_PACKET: usize = 4096;

/// What the parent says.
pub enum FromParent {
    /// Serve with this.
    Configure(Box<Generation>),
    /// Finish what is under way, then end.
    Drain,
    /// End.
    Stop,
}

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToParent {
    /// The configuration of this number is served.
    Serving(u64),
}

/// Kinds of packets.
mod kind {
    pub const LISTENER: u8 = b'L';
    pub const LOG: u8 = b'O';
    pub const CONFIGURE: u8 = b'C';
    pub const DRAIN: u8 = b'D';
    pub const STOP: u8 = b'S';
    pub const SERVING: u8 = b'R';
}

/// Both ends.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

fn send(fd: RawFd, kind: u8, number: u64, passed: Option<RawFd>) -> nix::Result<()> {
    let mut packet = vec![kind];
    packet.extend_from_slice(&number.to_le_bytes());
    let fds: Vec<RawFd> = passed.into_iter().collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(fd, &[IoSlice::new(&packet)], control, flags, None)?;
    Ok(())
}

/// One packet: kind, number, descriptor. `None` at the end.
fn receive(
    fd: RawFd,
    flags: MsgFlags,
) -> nix::Result<Option<(u8, u64, Option<OwnedFd>)>> {
    let mut packet = [0; MAX_PACKET];
    let mut space = nix::cmsg_space!(RawFd);
    let mut iov = [IoSliceMut::new(&mut packet)];
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(fd, &mut iov, Some(&mut space), flags)?;
    let mut passed = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            passed = fds.into_iter().map(own).next_back();
        }
    }
    let length = message.bytes;
    if length == 0 {
        return Ok(None);
    }
    let number =
        packet.get(1..9).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; 8]);
    Ok(Some((packet[0], u64::from_le_bytes(number), passed)))
}

/// Takes ownership of a descriptor that a packet brought.
#[allow(unsafe_code)]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for us while receiving the packet; nothing
    // else in the process knows its number yet, so nothing else can own or close it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The parent's end.
#[derive(Debug)]
pub struct ParentLink(OwnedFd);

impl ParentLink {
    /// Over one end of a pair.
    pub fn new(fd: OwnedFd) -> ParentLink {
        ParentLink(fd)
    }

    /// The descriptor, to be waited for.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Sends a configuration: the recorded files, and descriptors in the order of
    /// [`listeners::wanted`] and [`logs::names`].
    pub fn configure(
        &self,
        number: u64,
        bundle: &Bundle,
        listeners: &[RawFd],
        logs: &[RawFd],
    ) -> Result<()> {
        let fd = self.0.as_raw_fd();
        for (i, listener) in listeners.iter().enumerate() {
            send(fd, kind::LISTENER, i as u64, Some(*listener))?;
        }
        for (i, log) in logs.iter().enumerate() {
            send(fd, kind::LOG, i as u64, Some(*log))?;
        }
        let mut memory = std::fs::File::from(memfd_create(
            c"fcgi-httpd-bundle",
            MFdFlags::MFD_CLOEXEC,
        )?);
        memory.write_all(&bundle.encode())?;
        memory.rewind()?;
        send(fd, kind::CONFIGURE, number, Some(memory.as_raw_fd()))?;
        Ok(())
    }

    /// Tells the server to finish.
    pub fn drain(&self) -> Result<()> {
        Ok(send(self.0.as_raw_fd(), kind::DRAIN, 0, None)?)
    }

    /// Tells the server to end.
    pub fn stop(&self) -> Result<()> {
        Ok(send(self.0.as_raw_fd(), kind::STOP, 0, None)?)
    }

    /// The next message; `None` if the server is gone.
    pub fn next(&self) -> Result<Option<ToParent>> {
        match receive(self.0.as_raw_fd(), MsgFlags::empty()) {
            Ok(Some((kind::SERVING, number, _))) => Ok(Some(ToParent::Serving(number))),
            Ok(Some((other, ..))) => bail!("the server sent a packet of kind {other}"),
            Ok(None) | Err(nix::Error::ECONNRESET) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The server's end.
pub struct Link {
    socket: UnixStream,
    listeners: HashMap<u64, Arc<OwnedFd>>,
    logs: HashMap<u64, OwnedFd>,
}

impl Link {
    /// Over the inherited descriptor. Needs a runtime.
    pub fn new(fd: OwnedFd) -> Result<Link> {
        let socket = std::os::unix::net::UnixStream::from(fd);
        socket.set_nonblocking(true)?;
        let socket = UnixStream::from_std(socket)?;
        Ok(Link { socket, listeners: HashMap::new(), logs: HashMap::new() })
    }

    /// Says something to the parent.
    pub fn send(&self, message: &ToParent) -> Result<()> {
        let ToParent::Serving(number) = message;
        Ok(send(self.socket.as_raw_fd(), kind::SERVING, *number, None)?)
    }

    /// The first configuration.
    pub async fn configuration(&mut self) -> Result<Generation> {
        match self.next().await? {
            FromParent::Configure(generation) => Ok(*generation),
            _ => bail!("told to end before there was a configuration"),
        }
    }

    /// The next order. Descriptors that come before a configuration are kept for it.
    pub async fn next(&mut self) -> Result<FromParent> {
        loop {
            let fd = self.socket.as_raw_fd();
            let packet = self.socket.async_io(Interest::READABLE, || {
                receive(fd, MsgFlags::MSG_DONTWAIT).map_err(std::io::Error::from)
            });
            match packet.await?.context("the parent has closed the link")? {
                (kind::LISTENER, index, Some(fd)) => {
                    self.listeners.insert(index, Arc::new(fd));
                }
                (kind::LOG, index, Some(fd)) => {
                    self.logs.insert(index, fd);
                }
                (kind::CONFIGURE, number, Some(memory)) => {
                    let generation = self.generation(number, memory)?;
                    return Ok(FromParent::Configure(Box::new(generation)));
                }
                (kind::DRAIN, ..) => return Ok(FromParent::Drain),
                (kind::STOP, ..) => return Ok(FromParent::Stop),
                (kind, ..) => bail!("the parent sent a packet of kind {kind}"),
            }
        }
    }

    fn generation(&mut self, number: u64, memory: OwnedFd) -> Result<Generation> {
        let mut bytes = Vec::new();
        std::fs::File::from(memory).read_to_end(&mut bytes)?;
        let bundle =
            Bundle::decode(&bytes).context("the configuration is of another version")?;
        let compiled = directives::compile(&bundle.entry, &bundle);
        let snapshot: Arc<Snapshot> =
            compiled.snapshot.context("the recorded configuration does not compile")?;
        let wanted = listeners::wanted(&snapshot);
        let listeners = std::mem::take(&mut self.listeners);
        let opened = wanted
            .into_iter()
            .enumerate()
            .filter_map(|(i, listen)| Some((listen, listeners.get(&(i as u64))?.clone())))
            .collect();
        let mut fds = std::mem::take(&mut self.logs);
        let mut logs = HashMap::new();
        for (i, name) in logs::names(&snapshot).into_iter().enumerate() {
            let fd = fds.remove(&(i as u64)).context("a log was not passed on")?;
            logs.insert(name, Arc::new(Sink::new(fd)));
        }
        Ok(Generation { number, snapshot, listeners: opened, logs })
    }
}
