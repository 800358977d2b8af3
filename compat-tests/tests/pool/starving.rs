//! Who could be starved by a connection that is kept: another front end, clients beyond the
//! number of workers, requests of an application that has more threads than is known, and
//! requests to a process that has gone.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::application::Application;

use crate::traffic::{Site, external, traffic, workers};

/// How long clients are at work.
const TIME: Duration = Duration::from_millis(1500);
/// What no request may take whose application needs a millisecond. One that is starved takes
/// as long as the other side likes: until its connection's end, or `-idle-timeout`.
const LONGEST: Duration = Duration::from_secs(2);

/// nginx with `fastcgi_keep_conn` hangs here.
#[test]
fn two_front_ends_on_one_socket() -> Result<()> {
    let mut one = Site::alone()?;
    let mut two = Site::new()?;
    let application = workers(&one.root, "app.sock", 4)?;
    one.serve(&external(&application, ""))?;
    two.serve(&external(&application, ""))?;
    let (port, other) = (one.root.port, two.root.port);
    let beside =
        std::thread::spawn(move || traffic(other, "/app?text=2", 16, 2 * TIME / 3));
    let first = traffic(port, "/app?text=1", 16, TIME)?;
    let second = beside.join().expect("a thread of clients")?;
    first.all_answered("two front ends, the first")?;
    second.all_answered("two front ends, the second")?;
    ensure!(first.longest() < LONGEST, "{:?}", first.longest());
    ensure!(second.longest() < LONGEST, "{:?}", second.longest());
    // Neither lives on what the other leaves.
    let (fewer, more) = (second.samples.len(), first.samples.len());
    ensure!(fewer * 8 > more, "{more} beside {fewer}");
    Ok(())
}

/// One front end has every worker's connection, and falls silent.
#[test]
fn a_front_end_that_has_nothing_to_do() -> Result<()> {
    let mut one = Site::alone()?;
    let mut two = Site::new()?;
    let application = workers(&one.root, "app.sock", 2)?;
    one.serve(&external(&application, ""))?;
    two.serve(&external(&application, ""))?;
    for _ in 0..10 {
        traffic(one.root.port, "/app?text=1", 4, Duration::from_millis(50))?
            .all_answered("one front end")?;
        let begun = Instant::now();
        ensure!(two.get("/app?text=2")?.text() == "2");
        let took = begun.elapsed();
        ensure!(took < Duration::from_secs(1), "{took:?} behind a silent front end");
    }
    Ok(())
}

/// nginx with `fastcgi_keep_conn` and mod_fcgid let some of these wait a second.
#[test]
fn more_clients_than_workers() -> Result<()> {
    let mut site = Site::alone()?;
    let application = workers(&site.root, "app.sock", 4)?;
    site.serve(&external(&application, ""))?;
    let seen = traffic(site.root.port, "/app?text=1", 64, TIME)?;
    seen.all_answered("64 clients of 4 workers")?;
    ensure!(seen.longest() < LONGEST, "{:?}", seen.longest());
    let fair = seen.samples.len() / 64;
    ensure!(seen.fewest() * 4 > fair, "{} and not {fair}", seen.fewest());
    Ok(())
}

/// That it has threads is learnt: by its one process it would serve twenty a second.
#[test]
fn a_threaded_application_behind_one_process() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.serve("FastCgiServer {root}/htdocs/app\n")?;
    ensure!(site.get("/app?text=1")?.text() == "1");
    let seen = traffic(site.root.port, "/app?sleep=50&text=1", 16, 2 * TIME)?;
    seen.all_answered("16 clients of a process with threads, 50 ms each")?;
    let serial = (2 * TIME).as_millis() as usize / 50;
    ensure!(seen.samples.len() > 5 * serial, "{} of {serial}", seen.samples.len());
    ensure!(seen.longest() < LONGEST, "{:?}", seen.longest());
    Ok(())
}

/// Its end is normal life: nobody sees anything of it.
#[test]
fn an_application_that_leaves_after_some_requests() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/app")?;
    site.serve(
        "FastCgiServer {root}/htdocs/app -processes 3 -restart-delay 0 -init-start-delay 0 \
         -min-server-life 0 -initial-env PROBE_WORKERS=1 -initial-env PROBE_LEAVE=25\n",
    )?;
    let seen = traffic(site.root.port, "/app?text=1", 8, TIME)?;
    seen.all_answered("8 clients of 3 processes that end after 25 requests")?;
    ensure!(seen.samples.len() > 200, "only {} requests", seen.samples.len());
    ensure!(seen.longest() < LONGEST, "{:?}", seen.longest());
    Ok(())
}

/// A worker that is busy for long does not take those along who could be served by others.
#[test]
fn one_slow_request_beside_fast_ones() -> Result<()> {
    let mut site = Site::alone()?;
    let application: Application = workers(&site.root, "app.sock", 2)?;
    site.serve(&external(&application, ""))?;
    let port = site.root.port;
    let slow = std::thread::spawn(move || {
        traffic(port, "/app?sleep=1500&text=1", 1, Duration::from_millis(10))
    });
    std::thread::sleep(Duration::from_millis(50));
    let seen = traffic(port, "/app?text=1", 8, Duration::from_secs(1))?;
    seen.all_answered("8 clients beside a request of 1.5 s")?;
    slow.join().expect("a thread of clients")?.all_answered("the slow one")?;
    ensure!(seen.quantile(950) < Duration::from_millis(500), "{:?}", seen.quantile(950));
    Ok(())
}
