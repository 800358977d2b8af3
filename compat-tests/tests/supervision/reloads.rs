//! Reloads: nobody notices, except those whom they concern.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::application::run;
use compat_tests::http::Client;
use compat_tests::server::Kind;
use nix::sys::signal::Signal;

use crate::site::{PATIENCE, Site};
use compat_tests::family::{ZombieWatch, process, until};
use compat_tests::load::Load;

const APPS: &str = "FastCgiServer {root}/htdocs/one -processes 2 -init-start-delay 0\n\
    FastCgiServer {root}/htdocs/two\n";

/// How long clients are at work.
const LOAD: Duration = Duration::from_secs(5);
/// The time between two reloads.
const PAUSE: Duration = Duration::from_millis(300);

fn site(conf: &str) -> Result<Site> {
    let mut site = Site::alone()?;
    site.probe("htdocs/one")?;
    site.probe("htdocs/two")?;
    site.serve(conf)?;
    site.processes_are("htdocs/one", 2)?;
    site.processes_are("htdocs/two", 1)?;
    Ok(site)
}

fn under_load(mut reload: impl FnMut(&mut Site, usize) -> Result<()>) -> Result<()> {
    let mut site = site(APPS)?;
    let (one, two) = (site.processes("htdocs/one")?, site.processes("htdocs/two")?);
    let zombies = ZombieWatch::new(site.parent()?);
    let half = site.half()?;
    let parent = process(site.parent()?).context("no parent")?;
    let open = || (parent.descriptors().len(), half.descriptors().len());
    let before = open();
    let page = ("/page", "a page\n");
    let targets = [page, page, ("/one?text=1", "1"), ("/two?text=2", "2")];
    let load = Load::new(site.root.port, &targets);
    let end = Instant::now() + LOAD;
    let mut reloads = 0;
    while Instant::now() < end {
        std::thread::sleep(PAUSE);
        reload(&mut site, reloads)?;
        reloads += 1;
    }
    let count = load.end();
    ensure!(
        count.failed.is_empty(),
        "{} of them: {:#?}",
        count.failed.len(),
        count.failed
    );
    ensure!(count.answered > 200, "only {} requests", count.answered);
    ensure!(reloads > 8, "only {reloads} reloads");
    site.logged_times("resuming normal operations", 5)?;
    ensure!(site.half()? == half, "the serving half was started again");
    ensure!(site.processes("htdocs/one")? == one && site.processes("htdocs/two")? == two);
    until("as few descriptors as before", PATIENCE, || open() == before)?;
    let zombies = zombies.end();
    ensure!(zombies.is_empty(), "{zombies:?}");
    Ok(())
}

#[test]
fn signals_under_load() -> Result<()> {
    under_load(|site, i| site.server()?.signal([Signal::SIGHUP, Signal::SIGUSR1][i % 2]))
}

#[test]
fn orders_under_load() -> Result<()> {
    under_load(|site, i| {
        let mut command = Command::new(Kind::Ours.program());
        command.arg("-d").arg(site.root.path());
        command.arg("-f").arg(site.root.join("conf/httpd.conf"));
        run(command.arg("-k").arg(["restart", "graceful"][i % 2]))
    })
}

#[test]
fn a_broken_configuration_is_refused() -> Result<()> {
    let mut site = site(APPS)?;
    let family = site.family()?;
    for (times, broken) in
        ["Nonsense On\n", "FastCgiServer {root}/htdocs/none\n"].into_iter().enumerate()
    {
        site.configure(broken)?;
        site.server()?.signal(Signal::SIGHUP)?;
        site.logged_times("the old one goes on", times + 1)?;
        ensure!(site.get("/one?text=1")?.text() == "1");
        ensure!(site.get("/page")?.text() == "a page\n");
    }
    for words in ["Invalid command 'Nonsense'", "htdocs/none"] {
        site.logged(words)?;
    }
    // A log's program is not there.
    site.configure(&format!("{APPS}CustomLog \"|{{root}}/none\" common\n"))?;
    site.server()?.signal(Signal::SIGHUP)?;
    site.logged("AH00104: unable to start piped log program")?;
    site.logged("the old configuration goes on")?;
    // Sockets could not be made there.
    let ipc = site.root.join("run/fcgi");
    std::fs::set_permissions(&ipc, PermissionsExt::from_mode(0o500))?;
    site.configure(APPS)?;
    site.server()?.signal(Signal::SIGHUP)?;
    site.logged("access for server (uid 33, gid 33) failed: write not allowed by owner")?;
    site.logged_times("the old one goes on", 3)?;
    std::fs::set_permissions(&ipc, PermissionsExt::from_mode(0o700))?;
    ensure!(site.family()? == family, "somebody was started or ended");
    // A port that somebody else has is no reason to end, either.
    let taken = std::net::TcpListener::bind(("127.0.0.1", site.root.other_port))?;
    site.configure(&format!("{APPS}Listen 127.0.0.1:{{port2}}\n"))?;
    site.server()?.signal(Signal::SIGHUP)?;
    site.logged_times("the old configuration goes on", 2)?;
    site.logged("AH00072")?;
    drop(taken);
    ensure!(site.get("/one?text=1")?.text() == "1");
    site.server()?.signal(Signal::SIGHUP)?;
    until("it listens on the second port", PATIENCE, || {
        crate::site::get(site.root.other_port, "/page").is_ok_and(|a| a.status == 200)
    })
}

#[test]
fn what_changed_is_replaced_when_it_has_finished() -> Result<()> {
    let mut site = site(APPS)?;
    let (one, two) = (site.processes("htdocs/one")?, site.processes("htdocs/two")?);
    let mut client = Client::connect(site.root.port)?;
    client.send(b"GET /one?sleep=1500&text=finished HTTP/1.0\r\n\r\n")?;
    std::thread::sleep(Duration::from_millis(300));
    site.configure(&APPS.replace("-processes 2", "-processes 2 -initial-env NEW=1"))?;
    site.server()?.signal(Signal::SIGUSR1)?;
    until("new processes", PATIENCE, || {
        let now = site.processes("htdocs/one").unwrap_or_default();
        now.iter().filter(|process| !one.contains(process)).count() == 2
    })?;
    // While the old ones still answer, the new ones do already.
    ensure!(site.get("/one?text=1")?.text() == "1");
    ensure!(
        one.iter().all(compat_tests::family::Process::lives),
        "they were ended too soon"
    );
    let answer = client.response("GET")?;
    ensure!(answer.status == 200 && answer.text() == "finished", "{answer}");
    let new = site.processes_are("htdocs/one", 2)?;
    ensure!(new.iter().all(|process| process.file("environ").contains("NEW=1")));
    ensure!(one.iter().all(|process| !process.lives()));
    ensure!(site.processes("htdocs/two")? == two, "two did not change");
    // What is not there any more ends, too.
    site.configure("FastCgiServer {root}/htdocs/two\n")?;
    site.server()?.signal(Signal::SIGUSR1)?;
    site.processes_are("htdocs/one", 0)?;
    ensure!(site.processes("htdocs/two")? == two);
    Ok(())
}
