//! Processes that an application left behind: whoever started them has ended, and they
//! still take requests from its socket. They come to the parent, which is their subreaper
//! (prctl(2)), and are told to end when they have nothing to answer any more.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use directives::log::Level;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::Apps;
use super::busy;
use super::socket::Place;
use crate::parent::policy::{Slot, Step};

/// How long one has between the signal and KILL.
const GRACE: Duration = Duration::from_secs(3);

/// A process that was left behind.
#[derive(Debug)]
pub struct Left {
    pid: Pid,
    /// The socket that it listens on.
    socket: Shared,
    /// When it is no longer waited for: until it is told, its requests; then, its end.
    limit: Instant,
    told: bool,
}

/// A listening socket that the processes of an application share.
#[derive(Clone, Debug)]
struct Shared {
    inode: u64,
    place: Place,
    /// What its processes are told to end with.
    signal: Signal,
    /// For messages: ` (dynamic) server "path"`.
    name: String,
}

impl Apps {
    /// A process has ended: adopts what it left behind.
    pub(super) fn adopt(&mut self, ended: Pid, slot: Option<Slot>) {
        let own = slot.and_then(|slot| self.shared(slot));
        let own = own.or_else(|| {
            let left = self.left.iter().find(|left| left.pid == ended)?;
            Some(left.socket.clone())
        });
        self.left.retain(|left| left.pid != ended);
        let Some(own) = own else { return };
        let limit = Instant::now() + self.patience();
        let server = program(Pid::this());
        for pid in busy::children(Pid::this()) {
            // The serving half has a descriptor for each client: it is not looked through
            // whenever an application's process ends.
            let known = self.pids.contains_key(&pid)
                || self.left.iter().any(|left| left.pid == pid)
                || server.is_some() && program(pid) == server;
            if known || !busy::sockets(pid).any(|inode| inode == own.inode) {
                continue;
            }
            let text = format!(
                "FastCGI:{} (pid {pid}) was left behind by pid {ended}, \
                 it is told to end when it is idle",
                own.name
            );
            self.log.line(Level::Warn, "", 0, text);
            if let Some(guardian) = &mut self.guardian {
                guardian.started(pid);
            }
            self.left.push(Left { pid, socket: own.clone(), limit, told: false });
        }
        self.look_at_left();
    }

    fn shared(&self, slot: Slot) -> Option<Shared> {
        let class = self.classes.get(&slot.class)?;
        let name = format!("{} server \"{}\"", class.kind(), class.name());
        let signal = class.signal(Step::Ask);
        if let Some(Some(member)) = class.members.get(slot.index as usize) {
            let (inode, place) = (member.inode, member.place.clone());
            return Some(Shared { inode, place, signal, name });
        }
        let socket = class.socket.as_ref()?;
        Some(Shared {
            inode: inode(&socket.fd)?,
            place: socket.place.clone(),
            signal,
            name,
        })
    }

    /// Tells those that are idle, or were waited for long enough, to end; and ends those
    /// that were told in vain.
    pub(super) fn look_at_left(&mut self) {
        let now = Instant::now();
        for left in &mut self.left {
            let late = now >= left.limit || self.ending;
            if left.told && now >= left.limit {
                for member in busy::family(left.pid) {
                    // It may have ended by itself.
                    let _ = kill(member, Signal::SIGKILL);
                }
            } else if !left.told {
                left.told = if late {
                    let _ = kill(left.pid, left.socket.signal);
                    true
                } else {
                    busy::retire(left.pid, &left.socket.place, left.socket.signal)
                };
                if left.told {
                    left.limit = now + GRACE;
                }
            }
        }
    }

    /// Ends those that have not gone.
    pub(super) fn kill_left(&self) {
        for left in &self.left {
            for member in busy::family(left.pid) {
                let _ = kill(member, Signal::SIGKILL);
            }
        }
    }

    /// Their numbers.
    pub(super) fn left_pids(&self) -> impl Iterator<Item = Pid> {
        self.left.iter().map(|left| left.pid)
    }
}

/// What a process executes, if it may be known.
fn program(pid: Pid) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The number under which `/proc/PID/fd` shows a socket.
fn inode(fd: &OwnedFd) -> Option<u64> {
    fstat(fd).ok().map(|found| found.st_ino)
}
