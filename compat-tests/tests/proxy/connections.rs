//! Connections to upstreams: used again, limited, lost and found.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::server::Kind;
use compat_tests::upstream::Upstream;

use crate::site::{Site, site, until};

fn connections(site: &Site) -> u32 {
    site.upstream().counts.connections.load(Ordering::SeqCst)
}

#[test]
fn connections_are_used_again() -> Result<()> {
    let site = site(
        Kind::Ours,
        "ProxyPass /once/ http://127.0.0.1:{up}/once/ disablereuse=on\n\
         ProxyPass / http://127.0.0.1:{up}/\n",
    )?;
    let mut client = site.client()?;
    let ask = |client: &mut compat_tests::http::Client, target: &str, method: &str| {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
        client.send(head.as_bytes())?;
        client.response(method)
    };
    for (method, target) in [
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/?chunked&size=100"),
        ("GET", "/?status=204%20No"),
    ] {
        ask(&mut client, target, method)?;
        ensure!(connections(&site) == 1, "{target}: {} connections", connections(&site));
    }
    for _ in 0..3 {
        ask(&mut client, "/once/", "GET")?;
    }
    ensure!(connections(&site) == 4, "{} connections", connections(&site));
    // One that was closed meanwhile is not used, whatever is asked.
    ask(&mut client, "/?eof", "GET")?;
    let answer = ask(&mut client, "/", "POST")?;
    ensure!(answer.status == 200, "{answer}");
    site.server.stop()
}

#[test]
fn no_more_connections_than_allowed() -> Result<()> {
    let conf = "ProxyPass / http://127.0.0.1:{up}/ max=1 acquire=300\n";
    let site = site(Kind::Ours, conf)?;
    let mut first = site.client()?;
    first.send(b"GET /?sleep=900 HTTP/1.1\r\nHost: www.example.org\r\n\r\n")?;
    until("the first request", || site.upstream().requests() == 1)?;
    let second = site.get("/")?;
    ensure!(second.status == 503, "{second}");
    ensure!(first.response("GET")?.status == 200);
    ensure!(site.get("/")?.status == 200, "the first one's right was not given back");
    site.server.stop()
}

#[test]
fn an_upstream_that_dies_is_found_again() -> Result<()> {
    let mut site = site(Kind::Ours, "ProxyPass / http://127.0.0.1:{up}/\n")?;
    ensure!(site.get("/")?.status == 200);
    site.upstream = None;
    ensure!(site.get("/")?.status == 503);
    site.upstream = Some(Upstream::start("up", site.port)?);
    ensure!(site.get("/")?.status == 200);
    site.server.stop()
}

#[test]
fn a_member_that_failed_comes_back_after_its_retry() -> Result<()> {
    for kind in [Kind::Apache, Kind::Ours] {
        let mut site = site(
            kind,
            "<Proxy balancer://b>\nBalancerMember http://127.0.0.1:{up} retry=1\n\
             ProxySet forcerecovery=Off\n</Proxy>\nProxyPass / balancer://b/\n",
        )?;
        ensure!(site.get("/")?.status == 200);
        site.upstream = None;
        ensure!(site.get("/")?.status == 503);
        site.upstream = Some(Upstream::start("up", site.port)?);
        ensure!(site.get("/")?.status == 503, "{kind:?}: it is not left alone");
        std::thread::sleep(Duration::from_millis(1200));
        ensure!(site.get("/")?.status == 200, "{kind:?}: it is left alone for ever");
        site.server.stop()?;
    }
    Ok(())
}

#[test]
fn a_member_is_waited_for() -> Result<()> {
    let mut site = site(
        Kind::Ours,
        "<Proxy balancer://b>\nBalancerMember http://127.0.0.1:{up} retry=1\n\
         ProxySet forcerecovery=Off timeout=3\n</Proxy>\nProxyPass / balancer://b/\n",
    )?;
    site.upstream = None;
    ensure!(site.get("/")?.status == 503);
    site.upstream = Some(Upstream::start("up", site.port)?);
    let began = Instant::now();
    ensure!(site.get("/")?.status == 200);
    ensure!(began.elapsed() > Duration::from_millis(300), "it did not wait");
    site.server.stop()
}
