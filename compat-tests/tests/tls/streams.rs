//! HTTP/2: many requests on a connection, uploads, and clients that break its rules.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::application::Application;
use compat_tests::server::{Kind, Server};
use compat_tests::site::bytes;
use nix::sys::signal::Signal;

use crate::site::{Site, configured, hosts};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// HPACK: GET, http, `/a.txt` and `x` for an authority, literally.
const HEADERS: &[u8] = b"\x82\x86\x04\x06/a.txt\x01\x01x";

fn site(more: &str) -> Result<(Site, Application)> {
    let conf = "Protocols h2 h2c http/1.1\nLogFormat \"%H %s %B %O %m %U\" t\n\
                CustomLog logs/access_log t\n\
                FastCgiExternalServer {root}/htdocs/app -socket {root}/run/app\n"
        .to_owned()
        + more
        + &hosts("");
    let root = configured(Kind::Ours, &conf)?;
    root.write("htdocs/big.bin", &bytes(3_000_000))?;
    let app = Application::probe(&root, "app", &[])?;
    Ok((Site { server: Server::start(Kind::Ours, &root)?, root }, app))
}

/// What h2load says of so many requests, so many at a time on each of four connections.
fn h2load(url: &str, requests: u32, streams: u32, more: &[&str]) -> Result<String> {
    let output = Command::new("/usr/bin/h2load")
        .args(["-n", &requests.to_string(), "-c", "4", "-m", &streams.to_string()])
        .args(more)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .context("running h2load")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_hundred_streams_at_a_time() -> Result<()> {
    let (site, _app) = site("")?;
    let tls = format!("https://127.0.0.1:{}", site.root.other_port);
    let plain = format!("http://127.0.0.1:{}", site.root.port);
    let body = site.root.write("tmp/body", &bytes(100_000))?;
    let body = body.to_str().unwrap_or_default();
    for (url, requests, more) in [
        (format!("{tls}/a.txt"), 4000, &[][..]),
        (format!("{plain}/a.txt"), 4000, &[]),
        (format!("{tls}/app?size=5000"), 1000, &[]),
        (format!("{plain}/app?sleep=200&text=x"), 400, &[]),
        (format!("{tls}/app?echo"), 200, &["-d", body]),
        (format!("{tls}/big.bin"), 100, &[]),
    ] {
        let said = h2load(&url, requests, 100, more)?;
        let all = format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout");
        ensure!(said.contains(&all), "{url}: {said}");
        ensure!(said.contains(&format!("status codes: {requests} 2xx")), "{url}: {said}");
    }
    // Waiting costs nothing: 400 answers that take 200 ms each were under way together.
    let begun = Instant::now();
    h2load(&format!("{plain}/app?sleep=200&text=x"), 400, 100, &[])?;
    ensure!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    Ok(())
}

#[test]
fn uploads_arrive_whole() -> Result<()> {
    let (site, _app) = site("<Location /app>\nLimitRequestBody 2000000\n</Location>\n")?;
    let body = bytes(1_500_000);
    let file = site.root.write("tmp/upload", &body)?;
    let out = site.root.join("tmp/back");
    let data = format!("@{}", file.display());
    let out_name = out.display().to_string();
    for more in [&[][..], &["-H", "Content-Length:"], &["--http1.1"]] {
        let port = site.root.other_port;
        let status = Command::new("/usr/bin/curl")
            .args([
                "-s",
                "-k",
                "--max-time",
                "30",
                "-o",
                &out_name,
                "--data-binary",
                &data,
            ])
            .args(more)
            .arg(format!("https://127.0.0.1:{port}/app?echo"))
            .status()?;
        ensure!(status.success(), "{more:?}: {status}");
        ensure!(std::fs::read(&out)? == body, "{more:?}: another body came back");
    }
    // Too long, with and without a length.
    site.root.write("tmp/upload", &bytes(2_500_000))?;
    for more in [&[][..], &["-H", "Content-Length:"]] {
        let args = [&["--data-binary", &data][..], more].concat();
        let said = site.curl("one.test", "/app?size=5", &args)?;
        ensure!(said.status == 413, "{more:?}: {said:?}");
    }
    // Who does not read the body does not keep the others waiting.
    let said = site.curl("one.test", "/a.txt", &["--data-binary", &data])?;
    ensure!(said.status == 200, "{said:?}");
    Ok(())
}

#[test]
fn requests_and_answers_are_the_same_as_before() -> Result<()> {
    let (site, _app) = site("<Location /secret>\nRequire all denied\n</Location>\n")?;
    for (path, status) in [("/a.txt", 200), ("/none", 404), ("/secret", 403)] {
        let new = site.curl("one.test", path, &["--http2"])?;
        let old = site.curl("one.test", path, &["--http1.1"])?;
        ensure!((new.status, old.status) == (status, status), "{new:?} {old:?}");
        let body = |said: &crate::site::Said| {
            said.text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
        };
        ensure!(body(&new) == body(&old), "{new:?} {old:?}");
        for field in ["content-type", "content-length", "etag", "last-modified", "server"]
        {
            ensure!(new.field(field) == old.field(field), "{field}: {new:?} {old:?}");
        }
        for field in ["connection", "keep-alive", "transfer-encoding"] {
            ensure!(new.field(field).is_none(), "{new:?}");
        }
    }
    let said = site.curl("one.test", "/a.txt", &["--head"])?;
    ensure!(said.field("content-length") == Some("6"), "{said:?}");
    let said = site.curl("one.test", "/big.bin", &["-r", "10-19"])?;
    ensure!(said.status == 206 && said.field("content-length") == Some("10"), "{said:?}");
    let said =
        site.curl("one.test", "/app?status=201&header=X-A:%20b&text=hello", &[])?;
    ensure!((said.status, said.field("x-a")) == (201, Some("b")), "{said:?}");
    drop(site.server);
    let log = site.root.log("access_log");
    ensure!(log.contains("HTTP/2.0 200 6 ") && log.contains("HTTP/2.0 404 "), "{log}");
    Ok(())
}

/// A client of HTTP/2 without TLS that says what it is told.
fn speak(site: &Site, words: &[&[u8]]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", site.root.port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    for bytes in words {
        // A server that has had enough does not listen to the rest.
        if stream.write_all(bytes).is_err() {
            break;
        }
    }
    Ok(stream)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut out = length[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

#[test]
fn nonsense_ends_its_own_connection_only() -> Result<()> {
    let (site, _app) = site("")?;
    let huge = frame(0, 0, 1, &vec![0; 20_000]);
    let data = frame(0, 1, 1, b"x");
    let bad_window = frame(8, 0, 0, &[0, 0, 0, 0]);
    let even = frame(1, 5, 2, HEADERS);
    let bad_hpack = frame(1, 5, 1, &[0xff; 20]);
    let continuation = frame(9, 4, 1, HEADERS);
    let settings = frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]);
    let no_path = frame(1, 5, 1, &[0x82, 0x86]);
    let upper = frame(1, 5, 1, b"\x82\x86\x04\x02/a\x00\x01A\x01b");
    let mut bomb = frame(1, 1, 1, HEADERS);
    for _ in 0..2000 {
        bomb.extend(frame(9, 0, 1, &b"\x00\x01a\x01b".repeat(2000)));
    }
    let cases: [(&str, &[u8]); 10] = [
        ("a frame that is too long", &huge),
        ("data without a request", &data),
        ("a window of nothing", &bad_window),
        ("an even stream", &even),
        ("no HPACK", &bad_hpack),
        ("a continuation of nothing", &continuation),
        ("a window beyond all", &settings),
        ("a request for nothing", &no_path),
        ("a field in capitals", &upper),
        ("fields without end", &bomb),
    ];
    for (what, bytes) in cases {
        let mut stream = speak(&site, &[PREFACE, SETTINGS, bytes])?;
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        // An end, or a reset: no answer, in any case.
        let _ = stream.read_to_end(&mut said);
        ensure!(!said.windows(5).any(|part| part == b"hello"), "{what} was answered");
        let others = site.curl("one.test", "/a.txt", &[])?;
        ensure!(others.status == 200, "after {what}: {others:?}");
    }
    for bytes in
        [&b"PRI * HTTP/2.0\r\n\r\nXX"[..], b"PRI", b"P", b"PRIMITIVE / HTTP/1.1\r\n\r\n"]
    {
        let mut stream = speak(&site, &[bytes])?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let _ = stream.read_to_end(&mut Vec::new());
    }
    ensure!(site.curl("one.test", "/a.txt", &[])?.status == 200);
    ensure!(!site.root.log("error_log").contains("panicked"));
    Ok(())
}

#[test]
fn requests_that_are_taken_back_have_a_limit() -> Result<()> {
    let (site, _app) = site("H2MaxStreamErrors 50\n")?;
    let slow = b"\x82\x86\x04\x0f/app?sleep=3000\x01\x01x";
    let mut stream = speak(&site, &[PREFACE, SETTINGS])?;
    let mut sent = 0;
    for i in 0..2000_u32 {
        let id = i * 2 + 1;
        let both =
            [frame(1, 5, id, slow), frame(3, 0, id, &8_u32.to_be_bytes())].concat();
        if stream.write_all(&both).is_err() {
            break;
        }
        sent += 1;
        std::thread::sleep(Duration::from_micros(300));
    }
    let mut said = Vec::new();
    let ended = stream.read_to_end(&mut said);
    ensure!(
        sent < 2000 || ended.is_ok() || !said.is_empty(),
        "{sent} requests were taken back without an end"
    );
    let mut probe = [0; 1];
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    ensure!(!matches!(stream.read(&mut probe), Ok(1)), "the connection goes on");
    ensure!(site.curl("one.test", "/a.txt", &[])?.status == 200);
    Ok(())
}

#[test]
fn an_idle_connection_is_told_to_leave() -> Result<()> {
    let (site, _app) = site("KeepAliveTimeout 1\nTimeout 3\n")?;
    let request = frame(1, 5, 1, HEADERS);
    let mut stream = speak(&site, &[PREFACE, SETTINGS, &request])?;
    let begun = Instant::now();
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    ensure!(said.windows(6).any(|part| part == b"hello\n"), "{said:?}");
    // GOAWAY: a frame of kind 7 on stream 0.
    ensure!(said.windows(6).any(|part| part == [7, 0, 0, 0, 0, 0]), "{said:?}");
    ensure!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    Ok(())
}

#[test]
fn who_takes_nothing_does_not_stay_for_ever() -> Result<()> {
    let (site, _app) = site("Timeout 2\nKeepAliveTimeout 2\n")?;
    // No room for an answer from the beginning.
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let big = b"\x82\x86\x04\x08/big.bin\x01\x01x";
    let mut stream = speak(&site, &[PREFACE, &settings, &frame(1, 5, 1, big)])?;
    let begun = Instant::now();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    ensure!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    ensure!(said.len() < 10_000, "{} bytes came all the same", said.len());
    Ok(())
}

#[test]
fn the_end_waits_for_requests_that_are_under_way() -> Result<()> {
    let (mut site, _app) = site("")?;
    let port = site.root.other_port;
    let mut client = Command::new("/usr/bin/curl")
        .args(["-s", "-k", "--http2", "--max-time", "20"])
        .arg(format!("https://127.0.0.1:{port}/app?sleep=2000&text=late"))
        .stdout(Stdio::piped())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(700));
    site.server.signal(Signal::SIGTERM)?;
    let mut text = String::new();
    client.stdout.take().context("no pipe")?.read_to_string(&mut text)?;
    ensure!(client.wait()?.success() && text == "late", "{text:?}");
    ensure!(site.server.wait()?.success(), "it did not end well");
    Ok(())
}
