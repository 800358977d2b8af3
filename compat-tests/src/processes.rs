//! The processes of a site's server, by what they are.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use crate::family::{Process, below, until};
use crate::site::Site;

/// How long a process may take to come or to go.
const PATIENCE: Duration = Duration::from_secs(10);

impl Site {
    /// The parent, fcgi-pm.
    pub fn parent(&self) -> Result<Pid> {
        Ok(self.server.as_ref().context("it does not run")?.pid())
    }

    /// All its descendants.
    pub fn family(&self) -> Result<Vec<Process>> {
        Ok(below(self.parent()?))
    }

    /// The serving half. The sockets are there before it is.
    pub fn half(&self) -> Result<Process> {
        let mut half = None;
        until("a server half", PATIENCE, || {
            let mut family = self.family().into_iter().flatten();
            half = family.find(|p| p.command.ends_with("--server-half"));
            half.is_some()
        })?;
        half.context("no server half")
    }

    /// What the parent has started besides the server's own processes, the oldest first;
    /// whatever those have become or have started in turn is not told apart.
    pub fn started(&self) -> Result<Vec<Process>> {
        let parent = self.parent()?;
        let mut found = self.family()?;
        found.retain(|p| {
            let own = p.command.ends_with("--server-half") || p.name == "fcgi-guardian";
            p.parent == parent && !own && p.lives()
        });
        found.sort_by_key(|p| p.pid);
        Ok(found)
    }

    /// Processes of an application or a log program, the oldest first.
    pub fn processes(&self, name: &str) -> Result<Vec<Process>> {
        let path = self.root.join(name).display().to_string();
        let family = self.family()?.into_iter();
        let mut found: Vec<_> = family
            .filter(|p| p.command.split(' ').any(|word| word == path) && p.lives())
            .collect();
        found.sort_by_key(|p| p.pid);
        Ok(found)
    }

    /// Waits until an application has so many processes.
    pub fn processes_are(&self, name: &str, count: usize) -> Result<Vec<Process>> {
        let mut found = Vec::new();
        until(&format!("{count} processes of {name}"), PATIENCE, || {
            found = self.processes(name).unwrap_or_default();
            found.len() == count
        })?;
        Ok(found)
    }
}
