//! Large bodies, slow ones, and ones that break off.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::server::Kind;
use compat_tests::upstream::pattern;

use crate::site::{site, until};

const LARGE: usize = 20_000_000;

#[test]
fn large_answers_arrive_whole() -> Result<()> {
    let site = site(Kind::Ours, "ProxyPass / http://127.0.0.1:{up}/\n")?;
    for how in ["", "&chunked", "&eof"] {
        let answer = site.get(&format!("/?size={LARGE}{how}"))?;
        ensure!(answer.body == pattern(LARGE), "{how}: {} bytes", answer.body.len());
    }
    site.server.stop()
}

#[test]
fn large_requests_are_passed_on_while_they_come() -> Result<()> {
    let site = site(Kind::Ours, "ProxyPass / http://127.0.0.1:{up}/\n")?;
    let body = pattern(LARGE);
    let mut client = site.client()?;
    let head = "POST / HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: ";
    client.send(format!("{head}{LARGE}\r\n\r\n").as_bytes())?;
    client.send(&body[..LARGE / 2])?;
    // The upstream is asked before the client has sent everything.
    until("the upstream's request", || site.upstream().requests() == 1)?;
    client.send(&body[LARGE / 2..])?;
    let answer = client.response("POST")?;
    ensure!(answer.text().contains(&format!("{LARGE} bytes: abcdefg")), "{answer}");
    // The connection goes on.
    client.send(b"GET /again HTTP/1.1\r\nHost: www.example.org\r\n\r\n")?;
    ensure!(client.response("GET")?.text().starts_with("GET /again"));
    site.server.stop()
}

#[test]
fn a_slow_answer_is_not_held_back() -> Result<()> {
    let site = site(Kind::Ours, "ProxyPass / http://127.0.0.1:{up}/\n")?;
    let mut client = site.client()?;
    client.send(
        b"GET /?text=onetwo&drip=400&chunked HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
    )?;
    let began = Instant::now();
    client.until(b"one")?;
    let first = began.elapsed();
    client.until(b"two")?;
    ensure!(first < Duration::from_millis(700), "the first half came after {first:?}");
    ensure!(
        began.elapsed() > Duration::from_millis(700),
        "the second half was too early"
    );
    site.server.stop()
}

#[test]
fn an_answer_that_breaks_off_is_cut_for_the_client_too() -> Result<()> {
    for kind in [Kind::Apache, Kind::Ours] {
        let site = site(kind, "ProxyPass / http://127.0.0.1:{up}/\n")?;
        ensure!(site.get("/?size=1000&length=2000").is_err(), "{kind:?}: it looks whole");
        let raw =
            "HTTP/1.1%20200%20OK%0d%0aTransfer-Encoding:%20chunked%0d%0a%0d%0a5%0d%0aab";
        ensure!(site.get(&format!("/?raw={raw}")).is_err(), "{kind:?}: it looks whole");
        until("the line in the log", || site.root.log("error_log").contains("AH01110"))?;
        site.server.stop()?;
    }
    Ok(())
}

#[test]
fn a_body_waits_for_the_upstreams_word() -> Result<()> {
    for kind in [Kind::Apache, Kind::Ours] {
        let site = site(kind, "ProxyPass / http://127.0.0.1:{up}/\n")?;
        let head = "HTTP/1.1\r\nHost: www.example.org\r\nExpect: 100-continue\r\n\
                    Content-Length: 4\r\n\r\n";
        let mut client = site.client()?;
        client.send(format!("POST /?continue {head}").as_bytes())?;
        ensure!(client.any_response("POST")?.status == 100, "{kind:?}: it is not told");
        client.send(b"body")?;
        let answer = client.response("POST")?;
        ensure!(answer.text().contains("4 bytes: body"), "{kind:?}: {answer}");
        if kind == Kind::Apache {
            // It makes a 500 of what follows.
            site.server.stop()?;
            continue;
        }
        // One that does not want it says so at once.
        let mut client = site.client()?;
        client.send(format!("POST /?early&status=417%20No&text=no {head}").as_bytes())?;
        let answer = client.any_response("POST")?;
        ensure!(answer.status == 417, "{kind:?}: {answer}");
        site.server.stop()?;
    }
    Ok(())
}

#[test]
fn a_client_that_goes_away_leaves_nothing_behind() -> Result<()> {
    let site = site(Kind::Ours, "ProxyPass / http://127.0.0.1:{up}/\n")?;
    let open = || site.upstream().counts.open.load(Ordering::SeqCst);
    // While the answer is waited for, while it comes, and while the body goes.
    for request in [
        "GET /?sleep=700 HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
        "GET /?size=50000000 HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: 50000\r\n\r\nabc",
    ] {
        let before = site.upstream().requests();
        let mut client = site.client()?;
        client.send(request.as_bytes())?;
        if !request.starts_with("POST") {
            until("the request", || site.upstream().requests() > before)?;
        }
        drop(client);
        until("the end of the upstream's connection", || open() == 0)?;
    }
    site.server.stop()
}
