//! The messages between the halves, and their framing: one packet each on a pair of
//! sockets, descriptors beside them. One of two files with `unsafe`.

use std::collections::{HashMap, VecDeque};
use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use anyhow::{Context, Result, bail};
use directives::Snapshot;
use directives::bundle::Bundle;
use directives::modules::rewrite::programs;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    recvmsg, sendmsg, socketpair,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::log::Sink;
use crate::logs;
use crate::message::status::{self, Version};
use crate::message::{AppKey, AppState, ToParent, decode_app, encode_app};
use crate::server::live::Generation;
use crate::server::maps::{Ends, Maps};
use crate::tls::{self, Hosts};

/// The longest packet, bytes: a path and its user fit in.
const MAX_PACKET: usize = 16 * 1024;
/// How long the parent waits for the server to take a packet, milliseconds.
const ROOM_PATIENCE: u16 = 10_000;

/// What the parent says.
pub enum FromParent {
    /// Serve with this.
    Configure(Box<Generation>),
    /// The state of an application.
    App(AppKey, AppState),
    /// The state of all processes, as [`ToParent::Status`] asked for.
    Status(Vec<Version>),
    /// There is a new process for a RewriteMap's program.
    Map {
        /// The configuration.
        number: u64,
        /// Which of its programs.
        index: u64,
        /// The process's pipes.
        ends: Ends,
    },
    /// Do all threads answer? Then say [`ToParent::Alive`].
    Ask,
    /// Go on, but keep nobody: the end comes soon.
    Leave,
    /// Finish what is under way, then end.
    Drain,
    /// End.
    Stop,
}

/// Kinds of the parent's packets; the server's are all messages.
mod kind {
    pub const LISTENER: u8 = b'L';
    pub const LOG: u8 = b'O';
    /// Of a program of the configuration that follows.
    pub const MAP: u8 = b'm';
    /// Of one of a configuration that is there.
    pub const MAP_AGAIN: u8 = b'G';
    pub const CONFIGURE: u8 = b'C';
    pub const APP: u8 = b'A';
    pub const STATUS: u8 = b'Q';
    pub const ASK: u8 = b'P';
    pub const LEAVE: u8 = b'W';
    pub const DRAIN: u8 = b'D';
    pub const STOP: u8 = b'S';
    pub const MESSAGE: u8 = b'M';
    /// A message that is too long for a packet: in the first descriptor.
    pub const LONG_MESSAGE: u8 = b'N';
}

/// The most descriptors that come with a packet.
const MAX_FDS: usize = 4;

struct Packet {
    kind: u8,
    payload: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Packet {
    /// The next descriptor.
    fn fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop_front()
    }

    fn number(&self) -> u64 {
        self.payload.as_slice().try_into().map_or(0, u64::from_le_bytes)
    }

    /// A program's pipes.
    fn ends(&mut self) -> Result<Ends> {
        let keys = self.fd().context("no pipe came")?;
        Ok(Ends { keys, values: self.fd().context("one pipe came")? })
    }
}

/// Both ends.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

fn send(fd: RawFd, kind: u8, payload: &[u8], fds: &[RawFd]) -> nix::Result<()> {
    let rights = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let slices = [IoSlice::new(std::slice::from_ref(&kind)), IoSlice::new(payload)];
    sendmsg::<()>(fd, &slices, control, flags, None)?;
    Ok(())
}

/// One packet, if one is there. `None` at the end.
fn receive(fd: RawFd) -> nix::Result<Option<Packet>> {
    let mut packet = vec![0; MAX_PACKET];
    let mut space = nix::cmsg_space!([RawFd; MAX_FDS]);
    let mut iov = [IoSliceMut::new(&mut packet)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(fd, &mut iov, Some(&mut space), flags)?;
    let mut passed = VecDeque::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            passed.extend(fds.into_iter().map(own));
        }
    }
    let length = message.bytes;
    if length == 0 {
        return Ok(None);
    }
    packet.truncate(length);
    let kind = packet.remove(0);
    Ok(Some(Packet { kind, payload: packet, fds: passed }))
}

/// Takes ownership of a descriptor that came as a number: by a packet, or from a service
/// manager.
#[allow(unsafe_code)]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: a packet's descriptor was made for us by the kernel while receiving it, and a
    // service manager's has been there since before this program began, under a number
    // that `LISTEN_FDS` sets aside. Nothing else in the process knows the number, so nothing
    // else can own or close it; `inherited` hands each out once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The descriptors that a service manager passed to this process, the first time; then
/// none.
pub fn inherited() -> Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    // This fails where one of them is not open.
    let numbers = sd_notify::listen_fds().context("taking the sockets of LISTEN_FDS")?;
    Ok(numbers.map(own).collect())
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

    /// Sends, and waits for room within reason: a server that takes nothing for so long
    /// serves nobody.
    fn send(&self, kind: u8, payload: &[u8], passed: &[RawFd]) -> Result<()> {
        let fd = self.0.as_raw_fd();
        loop {
            match send(fd, kind, payload, passed) {
                Err(nix::Error::EAGAIN) => {
                    let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
                    let ready = poll(&mut fds, ROOM_PATIENCE)?;
                    anyhow::ensure!(ready > 0, "the server process does not react");
                }
                Err(nix::Error::EINTR) => {}
                sent => return Ok(sent?),
            }
        }
    }

    /// Sends a configuration: the recorded files, and descriptors in the order of
    /// [`listeners::wanted`](crate::listeners::wanted), [`logs::names`] and
    /// [`programs`].
    pub fn configure(
        &self,
        number: u64,
        bundle: &Bundle,
        listeners: &[RawFd],
        logs: &[RawFd],
        maps: &[Ends],
    ) -> Result<()> {
        let index = |i: usize| (i as u64).to_le_bytes();
        for (i, listener) in listeners.iter().enumerate() {
            self.send(kind::LISTENER, &index(i), &[*listener])?;
        }
        for (i, log) in logs.iter().enumerate() {
            self.send(kind::LOG, &index(i), &[*log])?;
        }
        for (i, ends) in maps.iter().enumerate() {
            self.send(kind::MAP, &index(i), &raw(ends))?;
        }
        let memory = in_memory(&bundle.encode())?;
        self.send(kind::CONFIGURE, &number.to_le_bytes(), &[memory.as_raw_fd()])
    }

    /// Passes the pipes of a new process of a RewriteMap's program on.
    pub fn map(&self, number: u64, index: u64, ends: &Ends) -> Result<()> {
        let payload = [number.to_le_bytes(), index.to_le_bytes()].concat();
        self.send(kind::MAP_AGAIN, &payload, &raw(ends))
    }

    /// Tells the state of an application.
    pub fn app(&self, key: &AppKey, state: &AppState) -> Result<()> {
        self.send(kind::APP, &encode_app(key, state), &[])
    }

    /// Answers [`ToParent::Status`].
    pub fn status(&self, versions: &[Version]) -> Result<()> {
        let memory = in_memory(&status::encode(versions))?;
        self.send(kind::STATUS, &[], &[memory.as_raw_fd()])
    }

    /// Asks whether it answers.
    pub fn ask(&self) -> Result<()> {
        self.send(kind::ASK, &[], &[])
    }

    /// Tells the server to finish.
    pub fn drain(&self) -> Result<()> {
        self.send(kind::DRAIN, &[], &[])
    }

    /// Tells the server that it is to finish soon.
    pub fn leave(&self) -> Result<()> {
        self.send(kind::LEAVE, &[], &[])
    }

    /// Tells the server to end.
    pub fn stop(&self) -> Result<()> {
        self.send(kind::STOP, &[], &[])
    }

    /// The next message that is there; an end if the server is gone.
    pub fn next(&self) -> Result<Received> {
        match receive(self.0.as_raw_fd()) {
            Ok(Some(mut packet))
                if [kind::MESSAGE, kind::LONG_MESSAGE].contains(&packet.kind) =>
            {
                if packet.kind == kind::LONG_MESSAGE {
                    packet.payload = read_all(packet.fd())?;
                }
                let message = ToParent::decode(&packet.payload);
                let message = message.context("the server sent no message of ours")?;
                Ok(Received::Message(message, packet.fds.into()))
            }
            Ok(Some(packet)) => bail!("the server sent a packet of kind {}", packet.kind),
            Ok(None) | Err(nix::Error::ECONNRESET) => Ok(Received::End),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(Received::Nothing),
            Err(error) => Err(error.into()),
        }
    }
}

/// What [`ParentLink::next`] finds.
#[derive(Debug)]
pub enum Received {
    /// A message, with the descriptors that came with it.
    Message(ToParent, Vec<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// The server is gone.
    End,
}

fn raw(ends: &Ends) -> [RawFd; 2] {
    [ends.keys.as_raw_fd(), ends.values.as_raw_fd()]
}

/// Bytes as a file that only has a descriptor.
fn in_memory(bytes: &[u8]) -> std::io::Result<std::fs::File> {
    let fd = memfd_create(c"fcgi-httpd", MFdFlags::MFD_CLOEXEC)?;
    let mut memory = std::fs::File::from(fd);
    memory.write_all(bytes)?;
    memory.rewind()?;
    Ok(memory)
}

fn read_all(fd: Option<OwnedFd>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let fd = fd.context("a packet came without its descriptor")?;
    std::fs::File::from(fd).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The server's end, to speak: for all threads, as long as there is a [`Link`].
#[derive(Clone, Debug)]
pub struct Mouth(Weak<OwnedFd>);

impl Mouth {
    /// Says something to the parent, with descriptors, if there is room for it now.
    pub fn say(&self, message: &ToParent, fds: &[OwnedFd]) -> std::io::Result<()> {
        let mut bytes = message.encode();
        let mut passed: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let (mut kind, mut memory) = (kind::MESSAGE, None);
        if bytes.len() >= MAX_PACKET {
            kind = kind::LONG_MESSAGE;
            passed.insert(0, memory.insert(in_memory(&bytes)?).as_raw_fd());
            bytes.clear();
        }
        Ok(send(self.fd()?.as_raw_fd(), kind, &bytes, &passed)?)
    }

    fn fd(&self) -> std::io::Result<Arc<OwnedFd>> {
        self.0.upgrade().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    /// Waits until there is room. Who always asked for it would be woken by each packet that
    /// the parent takes.
    async fn room(&self) -> std::io::Result<()> {
        let another = Arc::new(self.fd()?.try_clone()?);
        let another = registered(another, Interest::WRITABLE)?;
        another.writable().await?.retain_ready();
        Ok(())
    }
}

/// Who holds one open descriptor, and the same one for life.
pub trait Holder: AsRawFd {}

impl Holder for OwnedFd {}
impl Holder for Arc<OwnedFd> {}

/// A descriptor that the runtime looks after: only what is asked for wakes anybody.
#[allow(unsafe_code)]
pub fn registered<T: Holder>(fd: T, interest: Interest) -> std::io::Result<AsyncFd<T>> {
    // SAFETY: an `OwnedFd` is open, and is the same descriptor, for as long as there is one;
    // the result holds it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// The server's end.
pub struct Link {
    mouth: Mouth,
    ear: AsyncFd<Arc<OwnedFd>>,
    listeners: HashMap<u64, OwnedFd>,
    logs: HashMap<u64, OwnedFd>,
    maps: HashMap<u64, Ends>,
}

impl Link {
    /// Over the inherited descriptor. Needs a runtime.
    pub fn new(fd: OwnedFd) -> Result<Link> {
        let fd = Arc::new(fd);
        let mouth = Mouth(Arc::downgrade(&fd));
        let ear = registered(fd, Interest::READABLE)?;
        let (listeners, logs, maps) = Default::default();
        Ok(Link { mouth, ear, listeners, logs, maps })
    }

    /// What other threads speak with.
    pub fn mouth(&self) -> Mouth {
        self.mouth.clone()
    }

    /// Says something to the parent.
    pub async fn send(&self, message: &ToParent) -> Result<()> {
        self.send_with(message, &[]).await
    }

    /// Says something to the parent, with descriptors.
    pub async fn send_with(&self, message: &ToParent, fds: &[OwnedFd]) -> Result<()> {
        loop {
            match self.mouth.say(message, fds) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.mouth.room().await?;
                }
                said => return Ok(said?),
            }
        }
    }

    /// The first configuration.
    pub async fn configuration(&mut self) -> Result<Generation> {
        loop {
            match self.next().await? {
                FromParent::Configure(generation) => return Ok(*generation),
                FromParent::App(..)
                | FromParent::Status(_)
                | FromParent::Map { .. }
                | FromParent::Ask => {}
                FromParent::Leave | FromParent::Drain | FromParent::Stop => {
                    bail!("told to end before there was a configuration")
                }
            }
        }
    }

    /// The next order. Descriptors that come before a configuration are kept for it.
    pub async fn next(&mut self) -> Result<FromParent> {
        loop {
            let packet = self.ear.async_io(Interest::READABLE, |fd| {
                receive(fd.as_raw_fd()).map_err(std::io::Error::from)
            });
            let mut packet = packet.await?.context("the parent has closed the link")?;
            let number = packet.number();
            match packet.kind {
                kind::LISTENER => {
                    let fd = packet.fd().context("no listener came")?;
                    self.listeners.insert(number, fd);
                }
                kind::LOG => {
                    self.logs.insert(number, packet.fd().context("no log came")?);
                }
                kind::MAP => {
                    self.maps.insert(number, packet.ends()?);
                }
                kind::MAP_AGAIN => {
                    let words = packet.payload.as_chunks::<8>().0;
                    let [number, index] = words else { bail!("no number of a map came") };
                    let (number, index) =
                        (u64::from_le_bytes(*number), u64::from_le_bytes(*index));
                    return Ok(FromParent::Map { number, index, ends: packet.ends()? });
                }
                kind::CONFIGURE => {
                    let generation = self.generation(number, &read_all(packet.fd())?)?;
                    return Ok(FromParent::Configure(Box::new(generation)));
                }
                kind::APP => {
                    let app = decode_app(&packet.payload);
                    let (key, state) = app.context("the parent sent no application")?;
                    return Ok(FromParent::App(key, state));
                }
                kind::STATUS => {
                    let versions = status::decode(&read_all(packet.fd())?);
                    let versions = versions.context("the parent sent no status")?;
                    return Ok(FromParent::Status(versions));
                }
                kind::ASK => return Ok(FromParent::Ask),
                kind::LEAVE => return Ok(FromParent::Leave),
                kind::DRAIN => return Ok(FromParent::Drain),
                kind::STOP => return Ok(FromParent::Stop),
                kind => bail!("the parent sent a packet of kind {kind}"),
            }
        }
    }

    fn generation(&mut self, number: u64, bytes: &[u8]) -> Result<Generation> {
        let bundle =
            Bundle::decode(bytes).context("the configuration is of another version")?;
        let compiled = directives::compile(&bundle.entry, &bundle);
        let snapshot: Arc<Snapshot> =
            compiled.snapshot.context("the recorded configuration does not compile")?;
        let listeners = std::mem::take(&mut self.listeners).into_values().collect();
        let mut fds = std::mem::take(&mut self.logs);
        let mut logs = HashMap::new();
        for (i, name) in logs::names(&snapshot).into_iter().enumerate() {
            let fd = fds.remove(&(i as u64)).context("a log was not passed on")?;
            let gathers = logs::gathers(&snapshot, &name);
            let sink = if gathers { Sink::gathering(fd) } else { Sink::new(fd) };
            logs.insert(name, Arc::new(sink));
        }
        let mut ends = std::mem::take(&mut self.maps);
        let programs = programs(&snapshot).into_iter().enumerate();
        let programs =
            programs.map(|(i, program)| Some((program, ends.remove(&(i as u64))?)));
        let programs: Option<Vec<_>> = programs.collect();
        let maps = Maps::new(programs.context("a map's pipes were not passed on")?);
        let tls = match Hosts::new(&snapshot) {
            Ok(hosts) => hosts,
            Err(problem) => bail!("{}", problem.diagnostic().message),
        };
        if !tls.is_empty() {
            tls::hide_memory();
        }
        Ok(Generation { number, snapshot, tls, listeners, logs, maps, released: None })
    }
}
