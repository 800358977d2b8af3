//! What every program goes through.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::family::{Process, below, until};
use compat_tests::load::Load;
use compat_tests::site::Site;
use nix::sys::signal::{Signal, kill};

/// How long processes may take to come or to go.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two reloads.
const PAUSE: Duration = Duration::from_millis(400);
/// How many clients are at work during reloads.
const CLIENTS: usize = 2;

/// The options of `FastCgiServer` that these tests want, besides the program's own.
pub const OPTIONS: &str = "-restart-delay 1 -init-start-delay 0";

/// A program under our server.
pub struct Program {
    /// The configuration; `{options}` stands where options of `FastCgiServer` go.
    pub conf: &'static str,
    /// What is asked for.
    pub target: &'static str,
    /// What the answer holds.
    pub words: &'static str,
    /// How many processes the server starts; what these start is their own affair.
    pub processes: usize,
}

impl Program {
    /// Starts the server, and sees the program through everything.
    pub fn lives(&self, site: &mut Site) -> Result<()> {
        site.serve(&self.conf.replace("{options}", OPTIONS))?;
        self.answers(site)?;
        let first = self.are_started(site, &[])?;

        self.under_load(site, |site| {
            for _ in 0..3 {
                site.signal(Signal::SIGHUP)?;
                std::thread::sleep(PAUSE);
            }
            Ok(())
        })?;
        ensure!(site.started()? == first, "a reload without a change replaced them");

        // Another environment is another program.
        let changed = format!("{OPTIONS} -initial-env CHANGED=1");
        site.configure(&self.conf.replace("{options}", &changed))?;
        let old = with_descendants(&first);
        self.under_load(site, |site| {
            site.signal(Signal::SIGHUP)?;
            self.are_started(site, &first)?;
            std::thread::sleep(PAUSE);
            Ok(())
        })?;
        gone(&old)?;

        let second = site.started()?;
        let old = with_descendants(&second);
        for process in &second {
            kill(process.pid, Signal::SIGKILL)?;
        }
        // What they leave behind is seen to, and meanwhile answers or not.
        self.answers(site)?;
        gone(&old)?;
        self.answers(site)?;
        self.are_started(site, &second)?;
        self.answers(site)?;

        let family = site.family()?;
        site.server.take().context("no server")?.stop()?;
        gone(&family)
    }

    /// One request.
    pub fn answers(&self, site: &Site) -> Result<()> {
        let answer = site.get(self.target)?;
        let fits = answer.status == 200 && answer.text().contains(self.words);
        ensure!(fits, "{answer}\n{}", site.root.log("error_log"));
        Ok(())
    }

    /// Waits until as many run as should, none of them one of the old.
    fn are_started(&self, site: &Site, old: &[Process]) -> Result<Vec<Process>> {
        let mut found = Vec::new();
        let started = until("its processes", PATIENCE, || {
            found = site.started().unwrap_or_default();
            found.len() == self.processes && !found.iter().any(|p| old.contains(p))
        });
        started.with_context(|| format!("{found:#?}\n{}", site.root.log("error_log")))?;
        Ok(found)
    }

    /// Does something while clients ask; every one of them is to be answered.
    fn under_load(
        &self,
        site: &Site,
        action: impl FnOnce(&Site) -> Result<()>,
    ) -> Result<()> {
        let load = Load::holding(site.root.port, &[(self.target, self.words); CLIENTS]);
        let done = action(site);
        let count = load.end();
        done?;
        let log = site.root.log("error_log");
        ensure!(count.failed.is_empty(), "{:#?}\n{log}", count.failed);
        ensure!(count.answered > CLIENTS, "only {} requests\n{log}", count.answered);
        Ok(())
    }
}

fn with_descendants(processes: &[Process]) -> Vec<Process> {
    let further = processes.iter().flat_map(|process| below(process.pid));
    processes.iter().cloned().chain(further).collect()
}

fn gone(processes: &[Process]) -> Result<()> {
    let left = || processes.iter().filter(|process| process.lives());
    let gone = until("they are gone", PATIENCE, || left().count() == 0);
    gone.with_context(|| format!("{:#?}", left().collect::<Vec<_>>()))
}
