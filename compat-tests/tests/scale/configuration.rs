//! 10,000 virtual hosts and 10,000 `<Location>` sections against one of each.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::family::until;
use compat_tests::figures::{memory, say};
use compat_tests::site::Site;
use nix::sys::signal::Signal;

use crate::cost;

const MANY: usize = 10_000;
/// How many requests are weighed: processor time is counted in hundredths of a second.
const REQUESTS: u32 = 2_000;
/// What starting and reloading may take. Twice as many sections that take four times as
/// long would be far beyond.
const START: Duration = Duration::from_secs(15);
/// Memory for a host and its section, bytes, in all processes together.
const MEMORY: u64 = 40 << 10;

/// What a configuration costs.
#[derive(Debug)]
struct Costs {
    start: Duration,
    reload: Duration,
    memory: u64,
    request: Duration,
}

/// So many hosts, each with a section.
fn hosts(count: usize) -> String {
    let mut conf = "KeepAlive On\nMaxKeepAliveRequests 0\n".to_owned();
    for i in 0..count {
        let _ = write!(
            conf,
            "<VirtualHost 127.0.0.1:{{port}}>\nServerName h{i}.example.org\n\
             DocumentRoot {{root}}/htdocs\n\
             <Location /here{i}>\nAddDefaultCharset utf-8\n</Location>\n</VirtualHost>\n"
        );
    }
    conf
}

/// One host, with so many sections.
fn sections(count: usize) -> String {
    let mut conf = "KeepAlive On\nMaxKeepAliveRequests 0\n".to_owned();
    for i in 0..count {
        let _ =
            write!(conf, "<Location /here{i}>\nAddDefaultCharset utf-8\n</Location>\n");
    }
    conf
}

fn measure(conf: &str, last: usize) -> Result<Costs> {
    let mut site = Site::alone()?;
    for i in [0, last] {
        site.root.write(&format!("htdocs/here{i}/page"), b"a page\n")?;
    }
    let generation = |number| {
        let page = "{root}/htdocs/page";
        format!("Alias /generation{number} {page}\n{conf}")
    };
    let begun = Instant::now();
    site.serve(&generation(1))?;
    let start = begun.elapsed();
    let (host, target) = (format!("h{last}.example.org"), format!("/here{last}/page"));
    let request = cost(&site, &host, &target, REQUESTS)?;
    let before_reload = memory(&site.own_processes()?)?;
    site.configure(&generation(2))?;
    let begun = Instant::now();
    site.signal(Signal::SIGUSR1)?;
    until("the new configuration", 2 * START, || {
        site.get("/generation2").is_ok_and(|answer| answer.status == 200)
    })?;
    let reload = begun.elapsed();
    Ok(Costs { start, reload, memory: before_reload, request })
}

fn compare(what: &str, conf: fn(usize) -> String) -> Result<()> {
    let one = measure(&conf(1), 0)?;
    let many = measure(&conf(MANY), MANY - 1)?;
    for (count, costs) in [(1, &one), (MANY, &many)] {
        say(&format!(
            "{count} {what}: start {:.0?}, reload {:.0?}, {} KiB, {:?} of processor for a \
             request",
            costs.start,
            costs.reload,
            costs.memory / 1024,
            costs.request,
        ))?;
    }
    let ratio = many.request.as_secs_f64() / one.request.as_secs_f64().max(1e-6);
    say(&format!("{what}: a request costs {ratio:.2} times as much"))?;
    ensure!(many.start < START, "start {:?}", many.start);
    ensure!(many.reload < START, "reload {:?}", many.reload);
    let each = many.memory.saturating_sub(one.memory) / MANY as u64;
    ensure!(each < MEMORY, "{each} bytes for each");
    ensure!(ratio < 1.6, "a request costs {ratio:.2} times as much");
    Ok(())
}

#[test]
fn ten_thousand_hosts_with_a_section_each() -> Result<()> {
    compare("hosts with a section each", hosts)
}

#[test]
fn ten_thousand_sections() -> Result<()> {
    compare("sections of one host", sections)
}

/// Sections of the main server belong to every host: each has a list of them, as with httpd,
/// in parent and server half, but no copies, and no index of its own.
#[test]
fn sections_that_many_hosts_share() -> Result<()> {
    const HOSTS: usize = 1_000;
    const EACH: u64 = 100 << 10;
    let shared = sections(2_000) + &hosts(HOSTS);
    let alone = measure(&sections(2_000), 1_999)?;
    let costs = measure(&shared, HOSTS - 1)?;
    say(&format!(
        "2000 sections that {HOSTS} hosts share: start {:.0?}, reload {:.0?}, {} KiB",
        costs.start,
        costs.reload,
        costs.memory / 1024
    ))?;
    ensure!(costs.start < START, "start {:?}", costs.start);
    let each = costs.memory.saturating_sub(alone.memory) / HOSTS as u64;
    ensure!(each < EACH, "{each} bytes for each host");
    Ok(())
}
