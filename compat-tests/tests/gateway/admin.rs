//! Health, readiness and metrics on a listener of its own.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::front::ask;
use compat_tests::http::Client;
use compat_tests::root::free_port;
use nix::sys::signal::Signal;

use crate::judge::{Judge, SESSION};

#[test]
fn what_there_is_and_what_there_is_not() -> Result<()> {
    let admin = free_port()?;
    let before = format!("GatewayAdmin 127.0.0.1:{admin}");
    let judge = Judge::with("nginx", SESSION, "", &before)?;
    for (line, fields, status) in [
        ("GET /health", &[][..], 200),
        ("HEAD /health", &[], 200),
        ("GET /ready", &[], 200),
        ("GET /metrics", &[], 200),
        ("POST /health", &[], 405),
        ("GET /purge", &[], 405),
        ("POST /purge", &["Origin: https://evil.example"], 405),
        ("GET /", &[], 404),
        ("GET /app", &[], 404),
        ("GET /members/a", &["Cookie: s=good"], 404),
    ] {
        let answer = ask(admin, line, fields)?;
        ensure!(answer.status == status, "{line}: {answer}");
    }
    // Not on the other listeners.
    let site = &judge.guarded.site;
    ensure!(site.get("/health")?.status == 404);
    ensure!(site.get("/metrics")?.status == 404);

    ensure!(judge.ask("GET /members/a", &["Cookie: s=good"])?.status == 204);
    ensure!(judge.ask("GET /members/a", &[])?.status == 401);
    ensure!(judge.call("GET /", &[])?.status == 403);
    let text = ask(admin, "GET /metrics", &[])?.text();
    for sample in [
        "gateway_decisions_total{dialect=\"nginx\",decision=\"allow\"} 1",
        "gateway_decisions_total{dialect=\"nginx\",decision=\"deny\"} 2",
        "gateway_decisions_total{dialect=\"envoy\",decision=\"allow\"} 0",
    ] {
        ensure!(text.lines().any(|line| line == sample), "{sample}:\n{text}");
    }
    ensure!(text.contains("fastcgi_requests_total{"), "{text}");
    Ok(())
}

/// New requests are not wanted while the last ones are finished.
#[test]
fn readiness_while_it_ends() -> Result<()> {
    let admin = free_port()?;
    let before = format!("GatewayAdmin 127.0.0.1:{admin}");
    let judge = Judge::with("nginx", "", "", &before)?;
    let site = &judge.guarded.site;
    let mut slow = Client::connect(site.root.port)?;
    slow.send(
        b"GET /app?sleep=3000&text=done HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
    )?;
    std::thread::sleep(Duration::from_millis(300));
    site.signal(Signal::SIGWINCH)?;
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let answer = ask(admin, "GET /ready", &[])?;
        if answer.status == 503 {
            break;
        }
        ensure!(answer.status == 200 && Instant::now() < deadline, "{answer}");
        std::thread::sleep(Duration::from_millis(10));
    }
    ensure!(ask(admin, "GET /health", &[])?.status == 200);
    while Client::connect(site.root.port).is_ok() {
        ensure!(Instant::now() < deadline, "clients are still taken");
        std::thread::sleep(Duration::from_millis(10));
    }
    ensure!(ask(admin, "GET /ready", &[])?.status == 503);
    ensure!(slow.response("GET")?.body == b"done");
    Ok(())
}
