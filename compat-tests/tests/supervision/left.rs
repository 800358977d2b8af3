//! What an application's process leaves behind when it ends: what still listens for the
//! application is ended, what does not is nobody's business.

use anyhow::{Context, Result, ensure};
use compat_tests::family::{Process, ZombieWatch, until};
use nix::sys::signal::{Signal, kill};

use crate::site::{PATIENCE, Site};

/// A process that has two more: the first has the listening socket, and does not mind TERM;
/// the second has not.
const APP: &str = "#!/bin/sh\n\
    exec 3<&0\n\
    (trap '' TERM; exec sleep 1001) <&3 3<&- &\n\
    sleep 1002 < /dev/null 3<&- &\n\
    exec sleep 1003 3<&-\n";

fn one(site: &Site, seconds: &str) -> Result<Process> {
    let mut found = None;
    until("it runs", PATIENCE, || {
        let family = site.family().unwrap_or_default();
        found = family.into_iter().find(|p| p.command == format!("sleep {seconds}"));
        found.is_some()
    })?;
    found.context("not there")
}

fn site() -> Result<Site> {
    let mut site = Site::alone()?;
    site.program("htdocs/app", APP)?;
    site.serve(
        "FastCgiServer {root}/htdocs/app -init-start-delay 0 -restart-delay 0 \
         -min-server-life 0\n",
    )?;
    Ok(site)
}

#[test]
fn what_still_listens_is_ended() -> Result<()> {
    let site = site()?;
    let zombies = ZombieWatch::new(site.parent()?);
    let (listens, other, first) =
        (one(&site, "1001")?, one(&site, "1002")?, one(&site, "1003")?);
    kill(first.pid, Signal::SIGKILL)?;
    until("it is ended", PATIENCE, || !listens.lives())?;
    let lives = other.lives();
    kill(other.pid, Signal::SIGKILL)?;
    ensure!(lives, "what does not listen was ended");
    let (by, whom) = (first.pid, listens.pid);
    site.logged(&format!("(pid {whom}) was left behind by pid {by}"))?;
    ensure!(one(&site, "1003")? != first, "it was not started again");
    ensure!(one(&site, "1001")? != listens);
    kill(one(&site, "1002")?.pid, Signal::SIGKILL)?;
    let zombies = zombies.end();
    ensure!(zombies.is_empty(), "{zombies:?}");
    Ok(())
}

#[test]
fn nothing_listens_when_the_server_has_ended() -> Result<()> {
    let mut site = site()?;
    let (listens, other, first) =
        (one(&site, "1001")?, one(&site, "1002")?, one(&site, "1003")?);
    site.server()?.signal(Signal::SIGTERM)?;
    let status = site.server()?.wait();
    kill(other.pid, Signal::SIGKILL)?;
    ensure!(status?.success());
    ensure!(!first.lives() && !listens.lives());
    Ok(())
}

/// The guardian is told of them.
#[test]
fn nor_when_the_parent_was_killed() -> Result<()> {
    let mut site = site()?;
    let first = one(&site, "1003")?;
    let family = site.family()?;
    let listens = one(&site, "1001")?;
    kill(first.pid, Signal::SIGKILL)?;
    site.logged("was left behind")?;
    kill(site.parent()?, Signal::SIGKILL)?;
    site.server()?.wait()?;
    let gone = until("it is gone", PATIENCE, || !listens.lives());
    for process in family.into_iter().filter(Process::lives) {
        kill(process.pid, Signal::SIGKILL)?;
    }
    gone
}
