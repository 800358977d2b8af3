//! CGI scripts: what becomes of them when they are done, silent, or not waited for any
//! more.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::family::{ZombieWatch, until};
use compat_tests::http::Client;
use nix::sys::signal::{Signal, kill};

use crate::site::{PATIENCE, Site};

/// Says where its process is, and then what its descriptors lead to.
const SEEN: &str = "#!/bin/sh\n\
    printf 'Content-Type: text/plain\\n\\n'\n\
    for fd in /proc/$$/fd/*; do readlink $fd; done\n";

/// Sends a line, and goes on for longer than anybody waits.
const LONG: &str = "#!/bin/sh\n\
    printf 'Content-Type: text/plain\\n\\nbegun\\n'\n\
    exec sleep 1001\n";

/// As [`LONG`], and does not mind TERM.
const DEAF: &str = "#!/bin/sh\n\
    trap '' TERM\n\
    printf 'Content-Type: text/plain\\n\\nbegun\\n'\n\
    while :; do sleep 0.2; done\n";

/// Answers, closes what it answered over, and has more to do.
const BUSY: &str = "#!/bin/sh\n\
    printf 'Content-Type: text/plain\\n\\ndone\\n'\n\
    exec >&-\n\
    sleep 1\n\
    echo finished >&2\n";

fn site(lines: &str) -> Result<Site> {
    let mut site = Site::alone()?;
    for (name, text) in [("seen", SEEN), ("long", LONG), ("deaf", DEAF), ("busy", BUSY)] {
        site.program(&format!("cgi-bin/{name}"), text)?;
    }
    let text = format!(
        "ScriptAlias /cgi-bin/ {{root}}/cgi-bin/\n\
         <Directory {{root}}/cgi-bin>\nRequire all granted\n</Directory>\n{lines}"
    );
    site.serve(&text)?;
    Ok(site)
}

/// Asks for a script that begins to answer, and waits until it has.
fn begin(site: &Site, name: &str) -> Result<Client> {
    let mut client = Client::connect(site.root.port)?;
    let request =
        format!("GET /cgi-bin/{name} HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
    client.send(request.as_bytes())?;
    client.until(b"begun\n")?;
    ensure!(site.started()?.len() == 1, "{:?}", site.started()?);
    Ok(client)
}

fn nobody_is_left(site: &Site) -> Result<()> {
    until("scripts end", PATIENCE, || site.started().is_ok_and(|found| found.is_empty()))
}

fn open_files(pid: nix::unistd::Pid) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

#[test]
fn many_leave_neither_processes_nor_descriptors() -> Result<()> {
    let site = site("")?;
    let (parent, half) = (site.parent()?, site.half()?.pid);
    let zombies = ZombieWatch::new(parent);
    for _ in 0..5 {
        site.get("/cgi-bin/seen")?;
    }
    nobody_is_left(&site)?;
    let before = (open_files(parent), open_files(half));
    for _ in 0..60 {
        let answer = site.get("/cgi-bin/seen")?;
        // Standard input, output and error, and the script's own file as the shell reads it.
        let text = answer.text();
        ensure!(text.lines().count() == 4, "{text}");
        ensure!(!text.contains("socket:"), "{text}");
        ensure!(
            text.lines().filter(|line| line.starts_with("pipe:")).count() == 2,
            "{text}"
        );
    }
    nobody_is_left(&site)?;
    until("descriptors are closed", PATIENCE, || {
        open_files(parent) <= before.0 && open_files(half) <= before.1
    })?;
    let zombies = zombies.end();
    ensure!(zombies.is_empty(), "{zombies:?}");
    Ok(())
}

#[test]
fn one_that_nobody_waits_for_is_ended() -> Result<()> {
    let site = site("")?;
    let client = begin(&site, "long")?;
    drop(client);
    nobody_is_left(&site)
}

#[test]
fn one_that_does_not_want_to_end_is_killed() -> Result<()> {
    let site = site("")?;
    let client = begin(&site, "deaf")?;
    drop(client);
    std::thread::sleep(Duration::from_secs(1));
    ensure!(!site.started()?.is_empty(), "it was not given time");
    nobody_is_left(&site)
}

#[test]
fn one_that_is_silent_is_ended_and_the_connection_cut() -> Result<()> {
    let site = site("CGIScriptTimeout 1\n")?;
    let mut client = begin(&site, "long")?;
    let rest = client.everything()?;
    ensure!(!rest.ends_with(b"0\r\n\r\n"), "the end of the answer was made up: {rest:?}");
    site.logged("AH01220: Timeout waiting for output from CGI script")?;
    nobody_is_left(&site)
}

#[test]
fn one_that_has_answered_may_go_on() -> Result<()> {
    let site = site("")?;
    let answer = site.get("/cgi-bin/busy")?;
    ensure!(answer.text() == "done\n", "{answer:?}");
    ensure!(!site.started()?.is_empty(), "its end was waited for");
    site.logged("cgi-bin/busy: finished")?;
    nobody_is_left(&site)
}

#[test]
fn they_end_with_the_server_half_and_with_the_parent() -> Result<()> {
    let site = site("")?;
    let mut client = begin(&site, "long")?;
    let script = site.started()?.remove(0);
    kill(site.half()?.pid, Signal::SIGKILL)?;
    until("it ends with the server half", PATIENCE, || !script.lives())?;
    let _ = client.everything();
    until("it is started again", PATIENCE, || site.half().is_ok())?;
    let _client = begin(&site, "long")?;
    let script = site.started()?.remove(0);
    kill(site.parent()?, Signal::SIGKILL)?;
    until("it ends with the parent", PATIENCE, || !script.lives())
}
