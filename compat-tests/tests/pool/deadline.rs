//! `-queue-timeout` and `-queue-length`: who cannot be served in time is told so.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::http::{Client, Response};

use crate::traffic::{Site, external, workers};

/// What the application does with a request, and then it answers `1`.
const WORK: Duration = Duration::from_millis(2500);

/// Sends so many requests, one after the other, to one worker; how each was answered, and
/// after what time.
fn crowd(site: &Site, count: usize) -> Result<Vec<(Response, Duration)>> {
    let port = site.root.port;
    let mut clients: Vec<JoinHandle<Result<_>>> = Vec::new();
    for _ in 0..count {
        clients.push(std::thread::spawn(move || {
            let begun = Instant::now();
            let mut client = Client::connect(port)?;
            let target = format!("/app?sleep={}&text=1", WORK.as_millis());
            let head = "Host: www.example.org\r\nConnection: close";
            client.send(format!("GET {target} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes())?;
            Ok((client.response("GET")?, begun.elapsed()))
        }));
        // In this order.
        std::thread::sleep(Duration::from_millis(60));
    }
    clients
        .into_iter()
        .map(|client| client.join().ok().context("a client's thread ended badly")?)
        .collect()
}

/// The first is served and the second is sent, to see whether there is another worker; the
/// others wait in vain.
fn refused_in_time(options: &str, least: Duration, line: &str) -> Result<()> {
    let mut site = Site::new()?;
    let application = workers(&site.root, "app.sock", 1)?;
    let conf = external(&application, options)
        + "Alias /busy.html {root}/htdocs/busy.html\nErrorDocument 503 /busy.html\n";
    site.root.write("htdocs/busy.html", b"come back later\n")?;
    site.serve(&conf)?;
    // A worker is told by the answers to its first requests.
    ensure!(site.get("/app?text=1")?.text() == "1");
    let answers = crowd(&site, 4)?;
    for (answer, _) in &answers[..2] {
        ensure!(answer.status == 200 && answer.text() == "1", "{options}: {answer}");
    }
    for (answer, took) in &answers[2..] {
        ensure!(answer.status == 503, "{options}: {answer}");
        ensure!(answer.header("Retry-After") == Some("1"), "{options}: {answer}");
        ensure!(answer.text() == "come back later\n", "{options}: {answer}");
        ensure!(*took >= least && *took < WORK, "{options}: after {took:?}");
    }
    site.logged_times(line, 2)?;
    ensure!(!site.root.log("error_log").contains("incomplete headers"), "two lines");
    // Afterwards there is room again.
    ensure!(site.get("/app?text=2")?.text() == "2");
    Ok(())
}

#[test]
fn a_time_to_wait() -> Result<()> {
    let least = Duration::from_secs(1);
    let line = "the request waited for its turn in vain (queue-timeout=1sec)";
    refused_in_time("-queue-timeout 1", least, line)
}

/// The second must wait for a moment, until it is sent: there is a place for one.
#[test]
fn a_number_that_may_wait() -> Result<()> {
    let mut site = Site::new()?;
    let application = workers(&site.root, "app.sock", 1)?;
    site.serve(&external(&application, "-queue-length 1"))?;
    ensure!(site.get("/app?text=1")?.text() == "1");
    let answers = crowd(&site, 5)?;
    // One works, one lies with the application, and one has the place.
    for (answer, _) in &answers[..3] {
        ensure!(answer.status == 200, "{answer}");
    }
    for (answer, took) in &answers[3..] {
        ensure!(answer.status == 503, "{answer}");
        ensure!(answer.header("Retry-After") == Some("1"), "{answer}");
        ensure!(*took < Duration::from_secs(1), "not at once: {took:?}");
    }
    site.logged_times("as many requests as may wait do so already (queue-length=1)", 2)
}

/// By default everybody waits, as with mod_fastcgi.
#[test]
fn without_a_word_everybody_waits() -> Result<()> {
    let mut site = Site::new()?;
    let application = workers(&site.root, "app.sock", 1)?;
    site.serve(&external(&application, ""))?;
    for (answer, _) in crowd(&site, 4)? {
        ensure!(answer.status == 200, "{answer}");
    }
    Ok(())
}
