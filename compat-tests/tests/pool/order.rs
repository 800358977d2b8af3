//! In which order those get their turn who wait.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::figures::say;

use crate::traffic::{Sample, Site, external, traffic, workers};

const CLIENTS: usize = 24;
const WORKERS: usize = 2;
/// By how many requests one may be overtaken that began after it. In order it would be as
/// many as are under way in the application and on their way to it and back; a thread that
/// has a connection may prefer its own requests for two milliseconds, and what lies in the
/// application's own queue meanwhile is passed by others.
const MOST: usize = 3 * CLIENTS;
/// By how many it is for nearly all.
const USUAL: usize = CLIENTS;

/// How many began after a request, and had their answer before it.
fn overtaken(all: &[Sample]) -> Vec<usize> {
    let by = |one: &Sample| {
        let others = all.iter();
        others.filter(|o| o.begun > one.begun && o.ended < one.ended).count()
    };
    let mut counts: Vec<_> = all.iter().map(by).collect();
    counts.sort_unstable();
    counts
}

#[test]
fn who_waits_is_not_forgotten() -> Result<()> {
    let mut site = Site::alone()?;
    let application = workers(&site.root, "app.sock", WORKERS)?;
    site.serve(&external(&application, ""))?;
    let target = "/app?sleep=5&text=1";
    let seen = traffic(site.root.port, target, CLIENTS, Duration::from_secs(2))?;
    seen.all_answered("24 clients of 2 workers, 5 ms each")?;
    // One worker would answer every five milliseconds.
    let one = 2000 / 5;
    ensure!(seen.samples.len() * 5 > one * 6, "{}: one worker?", seen.samples.len());
    let counts = overtaken(&seen.samples);
    let usual = counts[counts.len() * 95 / 100];
    let most = counts.last().copied().unwrap_or(0);
    say(&format!("overtaken: 95 of 100 by at most {usual}, the worst by {most}"))?;
    ensure!(usual <= USUAL, "every twentieth is overtaken by {usual}");
    ensure!(most <= MOST, "one is overtaken by {most}");
    Ok(())
}
