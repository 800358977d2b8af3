//! Programs that take the lines of logs.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};

use crate::site::{PATIENCE, Site};
use compat_tests::family::{Process, until};

/// Writes its input to a file, and when it has read the end says so.
const LOGGER: &str = "#!/bin/sh\n\
    while read -r line; do echo \"$line\" >> {root}/logs/$1; done\n\
    echo the end >> {root}/logs/$1\n";

const CONF: &str = "CustomLog \"|{root}/logger access\" %U%q\n\
    CustomLog \"||{root}/logger bars\" %U%q\n\
    CustomLog \"|$exec {root}/logger shell\" %U%q\n\
    ErrorLog \"|{root}/logger errors\"\n";

fn lines(site: &Site, log: &str) -> Vec<String> {
    site.root.log(log).lines().map(str::to_owned).collect()
}

#[test]
fn a_log_program_that_dies_is_started_again_and_no_line_is_lost() -> Result<()> {
    let mut site = Site::alone()?;
    site.program("logger", LOGGER)?;
    site.serve(CONF)?;
    let mut expected = Vec::new();
    for time in 1..=3 {
        let old = site.processes_are("logger", 4)?;
        // At rest it has no line in its hands.
        std::thread::sleep(Duration::from_millis(200));
        for process in &old {
            kill(process.pid, Signal::SIGKILL)?;
        }
        // What is being killed may still read.
        until("they are gone", PATIENCE, || !old.iter().any(Process::lives))?;
        for i in 0..20 {
            let target = format!("/page?{time}.{i}");
            ensure!(site.get(&target)?.status == 200);
            expected.push(target);
        }
        until("new programs", PATIENCE, || {
            let now = site.processes("logger").unwrap_or_default();
            now.len() == 4 && now.iter().all(|process| !old.contains(process))
        })?;
    }
    site.server()?.signal(Signal::SIGTERM)?;
    site.server()?.wait()?;
    expected.push("the end".to_owned());
    expected.sort();
    for log in ["access", "bars", "shell"] {
        let mut found = lines(&site, log);
        ensure!(found.last().is_some_and(|line| line == "the end"), "{log}: {found:?}");
        // Two serving threads may change the order.
        found.sort();
        ensure!(found == expected, "{log}: {found:#?}");
    }
    let errors = site.root.log("errors");
    let died = "AH00106: piped log program";
    // Four programs three times; what one could not take itself its successor does.
    ensure!(errors.matches(died).count() == 12, "{errors}");
    ensure!(errors.ends_with("the end\n"), "{errors}");
    Ok(())
}

#[test]
fn a_reload_starts_new_ones_and_the_old_ones_finish() -> Result<()> {
    let mut site = Site::alone()?;
    site.program("logger", LOGGER)?;
    site.probe("htdocs/app")?;
    let conf = format!("FastCgiServer {{root}}/htdocs/app\n{CONF}");
    site.serve(&conf)?;
    let old = site.processes_are("logger", 4)?;
    let mut client = compat_tests::http::Client::connect(site.root.port)?;
    client.send(b"GET /app?sleep=1500&text=finished HTTP/1.0\r\n\r\n")?;
    std::thread::sleep(Duration::from_millis(300));
    site.server()?.signal(Signal::SIGUSR1)?;
    site.processes_are("logger", 8)?;
    ensure!(site.get("/page?new")?.status == 200);
    until("the new program has written", PATIENCE, || lines(&site, "access").len() == 1)?;
    // The request began with the old configuration, and its line goes to the old program.
    ensure!(client.response("GET")?.text() == "finished");
    let new = site.processes_are("logger", 4)?;
    ensure!(new.iter().all(|process| !old.contains(process)));
    let found = lines(&site, "access");
    ensure!(
        found == ["/page?new", "/app?sleep=1500&text=finished", "the end"],
        "{found:?}"
    );
    Ok(())
}

/// A program that reads nothing and does not end is no reason to stay.
#[test]
fn a_deaf_program_is_ended() -> Result<()> {
    let mut site = Site::alone()?;
    site.program("deaf", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")?;
    site.serve("CustomLog \"|{root}/deaf\" %U\n")?;
    let old = site.processes_are("deaf", 1)?.remove(0);
    site.server()?.signal(Signal::SIGHUP)?;
    until("the old one is ended", PATIENCE, || !old.lives())?;
    let new = site.processes_are("deaf", 1)?.remove(0);
    site.server()?.signal(Signal::SIGTERM)?;
    site.server()?.wait()?;
    ensure!(!new.lives());
    Ok(())
}
