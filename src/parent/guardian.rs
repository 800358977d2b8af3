//! What becomes of the applications if the parent is killed: a process of its own is told
//! of every one, and when it hears no more it ends them and removes their sockets. It has
//! the parent's rights, since applications under a wrapper are out of anybody else's reach.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::apps::busy;
use super::apps::socket::Place;
use super::spawn;
use crate::disk::path;

/// How long applications have between TERM and KILL.
const PATIENCE: Duration = Duration::from_secs(2);

/// The parent's end. What is said is lost if the guardian is gone; it is told again when
/// it has been replaced.
#[derive(Debug)]
pub struct Guardian {
    pid: Pid,
    orders: std::fs::File,
}

impl Guardian {
    /// Starts it.
    pub fn start() -> Result<Guardian> {
        let (theirs, ours) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        Ok(Guardian { pid: spawn::guardian(theirs)?, orders: ours.into() })
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// An application runs.
    pub fn started(&mut self, pid: Pid) {
        if let Some(since) = started_at(pid) {
            self.say(format!("+ {pid} {since}\n").as_bytes());
        }
    }

    /// It runs no more.
    pub fn ended(&mut self, pid: Pid) {
        self.say(format!("- {pid}\n").as_bytes());
    }

    /// A socket was made.
    pub fn socket(&mut self, place: &Place) {
        if let Place::Unix { path, id: (device, inode), .. } = place
            && !path.contains(&b'\n')
        {
            let mut line = format!("s {device} {inode} ").into_bytes();
            line.extend_from_slice(path);
            line.push(b'\n');
            self.say(&line);
        }
    }

    fn say(&mut self, line: &[u8]) {
        // A guardian that is gone is noticed when it is reaped.
        let _ = self.orders.write_all(line);
    }

    /// Ends it, when there is nothing left to guard.
    pub fn dismiss(mut self) {
        self.say(b"!\n");
        drop(self.orders);
        let _ = waitpid(self.pid, None);
    }
}

/// The guardian itself: listens to the parent until it falls silent.
pub fn main(orders: OwnedFd) -> Result<ExitCode> {
    nix::sys::prctl::set_name(c"fcgi-guardian")?;
    let mut blocked = SigSet::empty();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ] {
        blocked.add(signal);
    }
    // It ends when the parent does, not with it.
    blocked.thread_block()?;
    let mut processes: HashMap<i32, u64> = HashMap::new();
    let mut sockets: Vec<((u64, u64), Vec<u8>)> = Vec::new();
    for line in BufReader::new(std::fs::File::from(orders)).split(b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let mut words = text.split(' ');
        let verb = words.next();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        match verb {
            Some("!") => return Ok(ExitCode::SUCCESS),
            Some("+") => {
                if let (Some(pid), Some(since)) = (number(), number()) {
                    processes.insert(pid as i32, since);
                }
            }
            Some("-") => {
                if let Some(pid) = number() {
                    processes.remove(&(pid as i32));
                }
            }
            Some("s") => {
                if let (Some(device), Some(inode)) = (number(), number()) {
                    let name = line.splitn(4, |&b| b == b' ').nth(3).unwrap_or_default();
                    sockets.retain(|(_, old)| old != name);
                    sockets.push(((device, inode), name.to_vec()));
                }
            }
            _ => {}
        }
    }
    end_all(&processes);
    for (id, name) in sockets {
        let found = std::fs::symlink_metadata(path(&name));
        if found.is_ok_and(|meta| (meta.dev(), meta.ino()) == id) {
            let _ = std::fs::remove_file(path(&name));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn end_all(processes: &HashMap<i32, u64>) {
    // A number that was given to another process since then is not ours.
    let is_ours = |(pid, since): &(Pid, u64)| started_at(*pid) == Some(*since);
    let told: Vec<_> =
        processes.iter().map(|(pid, since)| (Pid::from_raw(*pid), *since)).collect();
    let family = || {
        let members = told.iter().filter(|one| is_ours(one));
        let members = members.flat_map(|(pid, _)| busy::family(*pid));
        members.filter_map(|pid| Some((pid, started_at(pid)?))).collect::<Vec<_>>()
    };
    // Who stands alone when its parent has ended cannot be found any more.
    let before = family();
    for (pid, _) in told.iter().filter(|one| is_ours(one)) {
        let _ = kill(*pid, Signal::SIGTERM);
    }
    let end = std::time::Instant::now() + PATIENCE;
    while before.iter().any(is_ours) && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    for (pid, _) in before.into_iter().chain(family()).filter(is_ours) {
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// When a process was started, in clock ticks since boot: with its number it names a
/// process. `None` if there is none, or only its remains.
fn started_at(pid: Pid) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything; state is the first field behind
    // it, the start the twentieth.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
