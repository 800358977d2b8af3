//! Processes as `/proc` shows them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::unistd::Pid;

/// A process. Its number and its start together name it.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Who started it, or took it over.
    pub parent: Pid,
    state: char,
    started: u64,
    /// Its short name, as `ps` shows it.
    pub name: String,
    /// Its arguments, with blanks between them.
    pub command: String,
}

impl PartialEq for Process {
    fn eq(&self, other: &Process) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }
}

impl Process {
    fn read(pid: i32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Some(Process {
            pid: Pid::from_raw(pid),
            parent: Pid::from_raw(fields.get(1)?.parse().ok()?),
            state: fields.first()?.chars().next()?,
            started: fields.get(19)?.parse().ok()?,
            name: head.split_once('(')?.1.to_owned(),
            command: String::from_utf8_lossy(&command).replace('\0', " ").trim().into(),
        })
    }

    /// Is it still there, and more than remains?
    pub fn lives(&self) -> bool {
        let now = Process::read(self.pid.as_raw());
        now.is_some_and(|now| now.started == self.started && now.state != 'Z')
    }

    /// A file of it below `/proc`.
    pub fn file(&self, name: &str) -> String {
        let bytes = std::fs::read(format!("/proc/{}/{name}", self.pid));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }

    /// A field of its status.
    pub fn status(&self, name: &str) -> String {
        let status = self.file("status");
        let found = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_default().trim().to_owned()
    }

    /// What its descriptors are, by number.
    pub fn descriptors(&self) -> Vec<(u32, String)> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.pid));
        let mut found: Vec<(u32, String)> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let number = entry.file_name().to_str()?.parse().ok()?;
                let link = std::fs::read_link(entry.path()).ok()?;
                Some((number, link.display().to_string()))
            })
            .collect();
        found.sort();
        found
    }
}

/// All processes.
fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| Process::read(e.file_name().to_str()?.parse().ok()?)).collect()
}

/// A process's descendants.
pub fn below(pid: Pid) -> Vec<Process> {
    let all = all();
    let mut known = BTreeSet::from([pid]);
    let mut found = Vec::new();
    loop {
        let next = all.iter().filter(|p| known.contains(&p.parent));
        let next: Vec<_> = next.filter(|p| !known.contains(&p.pid)).cloned().collect();
        if next.is_empty() {
            return found;
        }
        known.extend(next.iter().map(|p| p.pid));
        found.extend(next);
    }
}

/// Waits until something is so.
pub fn until(what: &str, patience: Duration, mut so: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !so() {
        if Instant::now() > deadline {
            bail!("not within {patience:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Looks for zombies below a process as long as it is kept.
pub struct ZombieWatch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Process>>,
}

/// A child that has ended and was not collected for so long is a zombie.
const REAPED_WITHIN: Duration = Duration::from_millis(500);

impl ZombieWatch {
    /// Begins.
    pub fn new(pid: Pid) -> ZombieWatch {
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let thread = std::thread::spawn(move || {
            let mut seen: Vec<(Instant, Process)> = Vec::new();
            let mut zombies = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let now: Vec<_> =
                    below(pid).into_iter().filter(|p| p.state == 'Z').collect();
                seen.retain(|(_, old)| now.iter().any(|p| p.pid == old.pid));
                for process in now {
                    match seen.iter().find(|(_, old)| old.pid == process.pid) {
                        Some((since, _)) if since.elapsed() > REAPED_WITHIN => {
                            if !zombies.contains(&process) {
                                zombies.push(process);
                            }
                        }
                        Some(_) => {}
                        None => seen.push((Instant::now(), process)),
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            zombies
        });
        ZombieWatch { over, thread }
    }

    /// Those that were seen.
    pub fn end(self) -> Vec<Process> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// A process by its number.
pub fn process(pid: Pid) -> Option<Process> {
    Process::read(pid.as_raw())
}
