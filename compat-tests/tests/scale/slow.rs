//! A thousand clients that send, or read, a byte a second: an application's two workers are
//! there for the others.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::application::Application;
use compat_tests::figures::say;
use compat_tests::site::Site;

/// Of each kind.
const SLOW: usize = 500;
/// How long the others are watched.
const TIME: Duration = Duration::from_secs(3);
/// What one of the others may wait at most.
const LONGEST: Duration = Duration::from_secs(2);
/// Half of them within this.
const MEDIAN: Duration = Duration::from_millis(250);

/// Those who send: bodies of a hundred bytes.
fn senders(port: u16) -> Result<Vec<TcpStream>> {
    slow(port, "POST /app?echo HTTP/1.1\r\nContent-Length: 100\r\n")
}

/// Those who read: an answer that fits into what the server keeps for them.
fn readers(port: u16) -> Result<Vec<TcpStream>> {
    slow(port, "GET /app?size=30000 HTTP/1.1\r\n")
}

fn slow(port: u16, head: &str) -> Result<Vec<TcpStream>> {
    let connect = |i: usize| {
        let mut stream =
            TcpStream::connect(("127.0.0.1", port)).with_context(|| i.to_string())?;
        stream.write_all(format!("{head}Host: www.example.org\r\n\r\n").as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    (0..SLOW).map(connect).collect()
}

#[test]
fn a_thousand_slow_clients() -> Result<()> {
    let mut site = Site::alone()?;
    let (address, two) = (site.unix("app.sock"), [("PROBE_WORKERS", "2")]);
    let _application = Application::probe_at(&site.root, address, &[], &two)?;
    site.serve(
        "Timeout 60\nRequestReadTimeout header=0 body=0\n\
         FastCgiExternalServer {root}/virtual/app -socket {root}/run/app.sock\n\
         Alias /app {root}/virtual/app\n\
         <Directory {root}/virtual>\nRequire all granted\n</Directory>\n",
    )?;
    let port = site.root.port;
    let (mut senders, mut readers) = (senders(port)?, readers(port)?);
    let over = AtomicBool::new(false);
    let (times, sent) = std::thread::scope(|scope| {
        // A byte a second each.
        let slow = scope.spawn(|| {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                for stream in &mut senders {
                    stream.write_all(b"x")?;
                    sent += 1;
                }
                for stream in &mut readers {
                    match stream.read(&mut [0]) {
                        Ok(0) => anyhow::bail!("a slow reader is turned away"),
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                std::thread::sleep(Duration::from_secs(1));
            }
            Ok(sent)
        });
        let until = Instant::now() + TIME;
        let mut times = Vec::new();
        let mut others = || {
            while Instant::now() < until {
                let begun = Instant::now();
                let answer = site.get("/app?text=1")?;
                ensure!(answer.text() == "1", "{answer}");
                times.push(begun.elapsed());
            }
            Ok(())
        };
        let seen = others();
        over.store(true, Ordering::Relaxed);
        let sent = slow.join().ok().context("the slow ones ended badly")??;
        seen?;
        times.sort_unstable();
        anyhow::Ok((times, sent))
    })?;
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    say(&format!(
        "beside {} slow clients ({sent} bytes sent): {} requests, median {median:.1?}, longest \
         {longest:.1?}",
        2 * SLOW,
        times.len()
    ))?;
    ensure!(sent >= 2 * SLOW, "they did not send: {sent}");
    ensure!(median < MEDIAN, "{median:?}");
    ensure!(longest < LONGEST, "{longest:?}");
    Ok(())
}
