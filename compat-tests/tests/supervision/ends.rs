//! Ends: of the serving half, of the parent, of all.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::http::Client;
use nix::sys::signal::{Signal, kill};

use crate::site::{PATIENCE, Site};
use compat_tests::family::{Process, ZombieWatch, below, until};

const APP: &str = "FastCgiServer {root}/htdocs/app -processes 2 -init-start-delay 0\n";

/// A request that takes its time, sent.
fn slow(site: &Site, target: &str) -> Result<Client> {
    let mut client = Client::connect(site.root.port)?;
    client.send(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes())?;
    // It is with the application by now, or else soon enough.
    std::thread::sleep(Duration::from_millis(300));
    Ok(client)
}

#[test]
fn the_serving_half_is_killed() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.serve(APP)?;
    ensure!(site.get("/app?text=here")?.text() == "here");
    let apps = site.processes_are("htdocs/app", 2)?;
    let zombies = ZombieWatch::new(site.parent()?);
    for time in 1..=2 {
        // What has lived for a second is started again at once.
        std::thread::sleep(Duration::from_millis(1100));
        let half = site.half()?;
        kill(half.pid, Signal::SIGKILL)?;
        let killed = Instant::now();
        until("answers again", PATIENCE, || {
            site.get("/app?text=here").is_ok_and(|answer| answer.text() == "here")
        })?;
        let took = killed.elapsed();
        ensure!(took < Duration::from_secs(1), "answers again only after {took:?}");
        ensure!(!half.lives() && site.half()?.pid != half.pid);
        site.logged_times("is started again", time)?;
    }
    ensure!(site.processes("htdocs/app")? == apps, "applications did not stay");
    let zombies = zombies.end();
    ensure!(zombies.is_empty(), "{zombies:?}");
    Ok(())
}

#[test]
fn the_guardian_is_killed() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.serve(APP)?;
    let apps = site.processes_are("htdocs/app", 2)?;
    let guardian = |site: &Site| -> Result<_> {
        let mut family = site.family()?.into_iter();
        family.find(|process| process.name == "fcgi-guardian").context("no guardian")
    };
    let old = guardian(&site)?;
    kill(old.pid, Signal::SIGKILL)?;
    until("another one", PATIENCE, || guardian(&site).is_ok_and(|new| new != old))?;
    ensure!(site.processes("htdocs/app")? == apps);
    // The new one knows of them.
    kill(site.parent()?, Signal::SIGKILL)?;
    site.server()?.wait()?;
    until("they are gone", Duration::from_secs(3), || !apps.iter().any(Process::lives))
}

/// All that belongs to the server ends with the parent, even what does not want to.
#[test]
fn the_parent_is_killed() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.probe("htdocs/dynamic.fcgi")?;
    site.program("htdocs/stubborn", "#!/bin/sh\ntrap '' TERM\nsleep 1000\nsleep 1000\n")?;
    site.program("htdocs/family", "#!/bin/sh\nsleep 1000\n")?;
    site.program("deaf", "#!/bin/sh\nexec sleep 1000\n")?;
    site.serve(&format!(
        "{APP}FastCgiServer {{root}}/htdocs/stubborn\nFastCgiServer {{root}}/htdocs/family\n\
         CustomLog \"|{{root}}/deaf\" common\n\
         <Files *.fcgi>\nSetHandler fastcgi-script\nOptions ExecCGI\n</Files>\n"
    ))?;
    ensure!(site.get("/app?text=here")?.text() == "here");
    ensure!(site.get("/dynamic.fcgi?text=here")?.text() == "here");
    site.processes_are("htdocs/app", 2)?;
    until("all processes", PATIENCE, || {
        let sleeping = |p: &Process| p.name == "sleep";
        site.family().is_ok_and(|f| f.iter().filter(|p| sleeping(p)).count() == 3)
    })?;
    let family = site.family()?;
    // Serving half, guardian, two of app, one dynamic, two shells with one each, the log.
    ensure!(family.len() == 10, "{family:#?}");
    let half = site.half()?;
    kill(site.parent()?, Signal::SIGKILL)?;
    site.server()?.wait()?;
    let gone = until("they are gone", Duration::from_secs(3), || {
        family.iter().all(|process| !process.lives())
    });
    let left: Vec<_> = family.into_iter().filter(Process::lives).collect();
    for process in &left {
        kill(process.pid, Signal::SIGKILL)?;
    }
    ensure!(gone.is_ok(), "left: {left:#?}");
    ensure!(!half.lives());
    let sockets: Vec<_> = std::fs::read_dir(site.root.join("run/fcgi"))?
        .flatten()
        .filter(|entry| entry.file_name() != "dynamic")
        .collect();
    ensure!(sockets.is_empty(), "{sockets:?}");
    Ok(())
}

#[test]
fn term_waits_for_requests() -> Result<()> {
    ends_in_order(Signal::SIGTERM)
}

#[test]
fn winch_waits_for_requests() -> Result<()> {
    ends_in_order(Signal::SIGWINCH)
}

fn ends_in_order(signal: Signal) -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.serve(APP)?;
    site.processes_are("htdocs/app", 2)?;
    let mut client = slow(&site, "/app?sleep=1500&text=finished")?;
    let mut idle = Client::connect(site.root.port)?;
    idle.send(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n")?;
    ensure!(idle.response("GET")?.status == 200);
    let family = site.family()?;
    site.server()?.signal(signal)?;
    // Nobody new is let in, and who has nothing to do is sent away.
    until("it does not listen", Duration::from_secs(1), || {
        Client::connect(site.root.port).is_err()
    })?;
    ensure!(idle.is_at_end()?, "something came over the idle connection");
    let answer = client.response("GET")?;
    ensure!(answer.status == 200 && answer.text() == "finished", "{answer}");
    let status = site.server()?.wait()?;
    ensure!(status.success(), "it ended with {status}");
    ensure!(family.iter().all(|process| !process.lives()), "somebody is left");
    ensure!(!site.root.join("run/httpd.pid").exists());
    let sockets = std::fs::read_dir(site.root.join("run/fcgi"))?.flatten();
    ensure!(sockets.filter(|entry| entry.file_name() != "dynamic").count() == 0);
    Ok(())
}

/// `GracefulShutdownDelay`: clients still come, and none stays.
#[test]
fn term_gives_time_to_notice() -> Result<()> {
    let mut site = Site::alone()?;
    site.serve("GracefulShutdownDelay 2\n")?;
    let mut client = Client::connect(site.root.port)?;
    let request = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(request)?;
    ensure!(client.response("GET")?.header("connection").is_none());
    let told = Instant::now();
    site.server()?.signal(Signal::SIGTERM)?;
    std::thread::sleep(Duration::from_millis(500));
    for mut client in [client, Client::connect(site.root.port)?] {
        client.send(request)?;
        let answer = client.response("GET")?;
        ensure!(answer.status == 200, "{answer}");
        ensure!(answer.header("connection") == Some("close"), "{answer}");
    }
    ensure!(site.server()?.wait()?.success());
    let took = told.elapsed();
    ensure!((2.0..4.0).contains(&took.as_secs_f64()), "it took {took:?}");

    site.serve("GracefulShutdownDelay 60\n")?;
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(100));
        site.server()?.signal(Signal::SIGTERM)?;
    }
    let told = Instant::now();
    site.server()?.wait()?;
    ensure!(told.elapsed() < Duration::from_secs(1), "a second TERM did not end it");
    Ok(())
}

#[test]
fn a_second_term_ends_at_once() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.program("htdocs/stubborn", "#!/bin/sh\ntrap '' TERM\nsleep 1000\nsleep 1000\n")?;
    site.serve(&format!("{APP}FastCgiServer {{root}}/htdocs/stubborn\n"))?;
    site.processes_are("htdocs/app", 2)?;
    let mut client = slow(&site, "/app?sleep=15000&text=finished")?;
    let family = site.family()?;
    site.server()?.signal(Signal::SIGTERM)?;
    std::thread::sleep(Duration::from_millis(300));
    ensure!(below(site.parent()?).len() > 2, "the first one did not wait");
    let second = Instant::now();
    site.server()?.signal(Signal::SIGTERM)?;
    site.server()?.wait()?;
    let took = second.elapsed();
    ensure!(took < Duration::from_secs(1), "it took {took:?}");
    ensure!(client.response("GET").is_err());
    let left: Vec<_> = family.iter().filter(|process| process.lives()).collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Whoever gets a connection gets an answer; but between the last look at who waits and
/// the end of the listener the kernel may still let one in.
#[test]
fn term_under_load() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.serve(APP)?;
    site.processes_are("htdocs/app", 2)?;
    let port = site.root.port;
    let clients = ["/page", "/page", "/app?text=x", "/app?text=x"].map(|target| {
        std::thread::spawn(move || {
            let (mut answered, mut cut) = (0, 0);
            loop {
                let Ok(mut client) = Client::connect(port) else {
                    return (answered, cut);
                };
                let head = format!("GET {target} HTTP/1.0\r\n\r\n");
                let sent = client.send(head.as_bytes());
                match sent.and_then(|()| client.response("GET")) {
                    Ok(answer) if answer.status == 200 => answered += 1,
                    _ => cut += 1,
                }
            }
        })
    });
    std::thread::sleep(Duration::from_secs(1));
    site.server()?.signal(Signal::SIGTERM)?;
    let counts = clients.map(|client| client.join().unwrap_or((0, 1)));
    let (answered, cut) =
        counts.iter().fold((0, 0), |(a, b), (answered, cut)| (a + answered, b + cut));
    ensure!(site.server()?.wait()?.success());
    ensure!(answered > 100, "only {answered} requests");
    ensure!(cut <= 1, "{cut} connections were cut");
    Ok(())
}
