//! Programs of RewriteMaps (`prg:`): started with their configuration, started again when
//! they die or are not listened to any more, ended with it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use directives::Snapshot;
use directives::log::Level;
use directives::modules::rewrite::{Program, programs};
use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2};

use super::identity::Identity;
use super::programs::Retired;
use super::spawn;
use super::start::Parent;
use crate::server::maps::Ends;

/// A program that ends sooner than this is not started again at once.
const MIN_LIFE: Duration = Duration::from_secs(1);

/// The programs of a configuration, in the order of [`programs`].
#[derive(Debug, Default)]
pub struct Maps(Vec<Map>);

/// A program and its process. The parent keeps no end of its pipes once the server half has
/// them: each of the two reads the end when the other goes.
#[derive(Debug)]
struct Map {
    program: Arc<Program>,
    /// Its standard error: the main error log.
    errors: Arc<OwnedFd>,
    pid: Option<Pid>,
    started: Instant,
    due: Option<Instant>,
    /// For the server half.
    ends: Option<Ends>,
    /// How many processes' pipes it was given for this configuration.
    given: u64,
}

impl Maps {
    /// Starts the programs of a configuration.
    pub fn start(snapshot: &Snapshot, errors: &Arc<OwnedFd>) -> Result<Maps> {
        let mut maps = Maps::default();
        for program in programs(snapshot) {
            let mut map = Map {
                program,
                errors: errors.clone(),
                pid: None,
                started: Instant::now(),
                due: None,
                ends: None,
                given: 0,
            };
            // Those that were started already read the end.
            map.start()?;
            maps.0.push(map);
        }
        Ok(maps)
    }

    /// The pipes of all of them, for a server half that has none yet. Processes that talked
    /// to another one may be in the middle of a word: they are started anew.
    pub fn ends(&mut self, retired: &mut Retired) -> Result<Vec<Ends>> {
        let ends = self.0.iter_mut().map(|map| {
            if map.ends.is_none() {
                map.pid.take().map(|pid| retired.end_now(pid));
                map.start()?;
            }
            map.given = 1;
            map.ends.take().context("no pipes")
        });
        ends.collect()
    }

    /// Their processes.
    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.0.iter().filter_map(|map| map.pid)
    }

    /// When one is to be started again.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|map| map.due).min()
    }
}

impl Map {
    fn start(&mut self) -> Result<()> {
        self.started = Instant::now();
        self.due = None;
        let name = self.name();
        let (reading, keys) = pipe2(OFlag::O_CLOEXEC)?;
        let (values, writing) = pipe2(OFlag::O_CLOEXEC)?;
        let fds = [reading.as_fd(), writing.as_fd(), self.errors.as_fd()];
        let account = self.program.account.as_ref();
        let identity = account.and_then(|to| Identity::named(&to.user, to.uid, to.gid));
        let argv = &self.program.argv;
        let pid =
            spawn::map_program(argv, fds, identity.as_ref()).with_context(|| {
                format!("AH00654: mod_rewrite: could not start RewriteMap program {name}")
            })?;
        self.pid = Some(pid);
        self.ends = Some(Ends { keys, values });
        Ok(())
    }

    fn name(&self) -> String {
        let name = self.program.argv.first().cloned().unwrap_or_default();
        String::from_utf8_lossy(&name).into_owned()
    }

    /// It is to be started again, as soon as it may.
    fn again(&mut self) {
        self.due = Some((self.started + MIN_LIFE).max(Instant::now()));
    }
}

impl Parent {
    /// Starts programs again.
    pub(super) fn map_programs(&mut self) {
        let now = Instant::now();
        for (index, map) in self.maps.0.iter_mut().enumerate() {
            if map.due.is_none_or(|due| due > now) {
                continue;
            }
            if let Err(error) = map.start() {
                map.again();
                self.main_log.line(Level::Error, "rewrite", 0, format!("{error:#}"));
                continue;
            }
            // A server half that is not there yet gets all of them with its configuration.
            if let (Some(link), Some(ends)) = (self.server.link(), &map.ends)
                && link.map(self.number, index as u64, ends).is_ok()
            {
                map.ends = None;
                map.given += 1;
            }
        }
    }

    /// The server half does not listen to a program any more.
    pub(super) fn end_map(&mut self, number: u64, index: u64, process: u64) {
        let map = usize::try_from(index).ok().and_then(|i| self.maps.0.get_mut(i));
        // Those of earlier configurations end with these, and one that has ended meanwhile
        // may have a successor.
        let map = map.filter(|map| number == self.number && process == map.given);
        let Some(map) = map else { return };
        if let Some(pid) = map.pid.take() {
            self.retired.end_now(pid);
            map.again();
        }
    }

    /// A child has ended. Says whether it was one of these.
    pub(super) fn map_program_ended(&mut self, pid: Pid) -> bool {
        let map = self.maps.0.iter_mut().find(|map| map.pid == Some(pid));
        let Some(map) = map else { return false };
        (map.pid, map.ends) = (None, None);
        map.again();
        let text = format!("RewriteMap program {} has ended", map.name());
        self.main_log.line(Level::Error, "rewrite", 0, text);
        true
    }
}
