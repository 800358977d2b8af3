//! Connections that begin with HTTP/1.1 and change to HTTP/2 without TLS: `Upgrade: h2c`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::application::Application;
use compat_tests::server::{Kind, Server};
use compat_tests::site::bytes;
use nix::sys::signal::Signal;

use crate::site::{Site, configured};

const ASKS: &str = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n";
/// At most 100 streams, a window of 65535 bytes.
const SETTINGS: &str = "HTTP2-Settings: AAMAAABkAAQAAP__\r\n";
/// Preface and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const HOSTS: &str = "\
    LogFormat \"%H %>s %m %U %k\" t\nCustomLog logs/access_log t\nProtocols h2c http/1.1\n\
    <Location /off>\nH2Upgrade off\n</Location>\n\
    <Location /secret>\nRequire all denied\n</Location>\n\
    <VirtualHost *:{port}>\nServerName www.example.org\n</VirtualHost>\n\
    <VirtualHost *:{port}>\nServerName last.test\nProtocols http/1.1 h2c\n</VirtualHost>\n\
    <VirtualHost *:{port}>\nServerName off.test\nH2Upgrade off\n</VirtualHost>\n\
    <VirtualHost *:{port}>\nServerName indirect.test\nH2Direct off\n</VirtualHost>\n\
    <VirtualHost *:{port}>\nServerName none.test\nProtocols http/1.1\n</VirtualHost>\n";

fn start(kind: Kind) -> Result<Site> {
    let root = configured(kind, HOSTS)?;
    root.write("htdocs/off", b"off\n")?;
    Ok(Site { server: Server::start(kind, &root)?, root })
}

/// With an application.
fn ours() -> Result<(Site, Application)> {
    let conf =
        "FastCgiExternalServer {root}/htdocs/app -socket {root}/run/app\n".to_owned();
    let root = configured(Kind::Ours, &(conf + HOSTS))?;
    root.write("htdocs/big.bin", &bytes(3_000_000))?;
    let app = Application::probe(&root, "app", &[])?;
    Ok((Site { server: Server::start(Kind::Ours, &root)?, root }, app))
}

/// What curl gets that asks for HTTP/2: its body, and statuses and version.
fn curl(site: &Site, host: &str, path: &str, args: &[&str]) -> Result<(Vec<u8>, String)> {
    let head = site.root.join("tmp/head");
    let output = Command::new("/usr/bin/curl")
        .args(["--silent", "--http2", "--max-time", "20"])
        .args(["--write-out", "%{stderr}%{http_version}", "--dump-header"])
        .arg(&head)
        .args(["-H", &format!("Host: {host}")])
        .args(args)
        .arg(format!("http://127.0.0.1:{}{path}", site.root.port))
        .stdin(Stdio::null())
        .output()
        .context("running curl")?;
    let head = std::fs::read_to_string(head)?;
    let statuses: Vec<&str> = head
        .lines()
        .filter(|line| line.starts_with("HTTP/"))
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    let version = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.stdout, format!("{} HTTP/{version}", statuses.join(" "))))
}

/// A request with these fields, and what comes until nothing comes for a while.
fn speak(site: &Site, words: &[&[u8]]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", site.root.port))?;
    stream.set_read_timeout(Some(Duration::from_millis(700)))?;
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    for word in words {
        if stream.write_all(word).is_err() {
            break;
        }
        while let Ok(n) = stream.read(&mut buffer) {
            if n == 0 {
                return Ok(said);
            }
            said.extend_from_slice(&buffer[..n]);
        }
    }
    Ok(said)
}

fn ask(line: &str, fields: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: www.example.org\r\n{fields}\r\n").into_bytes()
}

/// How the frames behind an answer of 101 are called, and their streams.
fn frames(said: &[u8]) -> Result<Vec<(u8, u8, u32)>> {
    let at = said.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no head")?;
    let mut rest = &said[at + 4..];
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, e, f, g, h, behind @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        frames.push((*kind, *flags, u32::from_be_bytes([*e, *f, *g, *h])));
        rest = behind.get(length..).context("a frame that is cut")?;
    }
    ensure!(rest.is_empty(), "{rest:?} is no frame");
    Ok(frames)
}

#[test]
fn who_asks_is_answered_as_by_apache2() -> Result<()> {
    let all = [SETTINGS, ASKS].concat();
    let heard = |kind| -> Result<Vec<String>> {
        let site = start(kind)?;
        let mut heard = Vec::new();
        for (host, path) in [
            ("www.example.org", "/a.txt"),
            ("www.example.org", "/none"),
            ("www.example.org", "/off"),
            ("www.example.org", "/secret"),
            ("last.test", "/a.txt"),
            ("off.test", "/a.txt"),
            ("indirect.test", "/a.txt"),
            ("none.test", "/a.txt"),
        ] {
            for args in [&[][..], &["--head"], &["-d", "x"], &["-d", ""]] {
                let (body, said) = curl(&site, host, path, args)?;
                // curl shows heads in the place of a body.
                let is_head = args.first() == Some(&"--head");
                let body = if is_head { Vec::new() } else { body };
                let body = String::from_utf8_lossy(&body).into_owned();
                heard.push(format!("{host}{path} {args:?}: {said} {body}"));
            }
        }
        for fields in [
            &all,
            ASKS,
            &all.replace("Upgrade, HTTP2-Settings", "Upgrade"),
            &all.replace("Upgrade, HTTP2-Settings", "HTTP2-Settings"),
            &all.replace("h2c", "h2"),
            &all.replace("h2c", "H2C"),
            &all.replace("h2c", "h2c/2"),
            &all.replace("h2c", "other, h2c"),
            &(all.clone() + "Content-Length: 0\r\n"),
        ] {
            let head = ask("GET /a.txt", fields);
            let said = speak(&site, &[&head])?;
            let said = String::from_utf8_lossy(&said).into_owned();
            let line = said.lines().next().unwrap_or_default().to_owned();
            heard.push(format!("{fields:?}: {line}"));
        }
        Ok(heard)
    };
    let (theirs, ours) = (heard(Kind::Apache)?, heard(Kind::Ours)?);
    ensure!(ours.iter().any(|line| line.contains("101 200 HTTP/2 hello")), "{ours:#?}");
    for (theirs, ours) in theirs.iter().zip(&ours) {
        ensure!(theirs == ours, "apache2 {theirs}\nours    {ours}");
    }
    Ok(())
}

#[test]
fn large_answers_and_applications() -> Result<()> {
    let (mut site, _app) = ours()?;
    let host = "www.example.org";
    let (body, said) = curl(&site, host, "/big.bin", &[])?;
    ensure!(said == "101 200 HTTP/2" && body == bytes(3_000_000), "{said}");
    let (body, said) = curl(&site, host, "/app?size=500000", &[])?;
    ensure!(said == "101 200 HTTP/2" && body.len() == 500_000, "{said} {}", body.len());
    let long = format!("X-Long: {}", "x".repeat(8000));
    let more = ["-H", &long, "-H", "X-A: b", "-b", "c=d", "-A", "agent"];
    let (body, said) = curl(&site, host, "/app/in%20fo?env&x=y", &more)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    ensure!(said == "101 200 HTTP/2", "{said}");
    for line in [
        "SERVER_PROTOCOL=HTTP/2.0",
        "REQUEST_METHOD=GET",
        "HTTP_HOST=www.example.org",
        "HTTP_X_A=b",
        "HTTP_COOKIE=c=d",
        "HTTP_USER_AGENT=agent",
        "PATH_INFO=/in fo",
        "QUERY_STRING=env&x=y",
        &long.replace("X-Long: ", "HTTP_X_LONG="),
    ] {
        ensure!(body.lines().any(|own| own == line), "no {line} in {body}");
    }
    for name in ["HTTP_UPGRADE", "HTTP_CONNECTION", "HTTP_HTTP2_SETTINGS"] {
        ensure!(!body.contains(name), "{body}");
    }
    let output = Command::new("/usr/bin/nghttp")
        .args(["--upgrade", "--no-dep", "-s"])
        .args(
            ["/a.txt", "/app?text=x", "/none"]
                .map(|path| format!("http://127.0.0.1:{}{path}", site.root.port)),
        )
        .output()
        .context("running nghttp")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.contains(" 200 ") && said.contains(" 404 "), "{said}");
    site.server.signal(Signal::SIGTERM)?;
    ensure!(site.server.wait()?.success(), "it did not end well");
    let log = site.root.log("access_log");
    let pair = "HTTP/1.1 101 GET /big.bin 0\nHTTP/2.0 200 GET /big.bin 1\n";
    ensure!(log.starts_with(pair), "{log}");
    Ok(())
}

#[test]
fn frames_are_those_that_the_client_expects() -> Result<()> {
    let (site, _app) = ours()?;
    let all = [SETTINGS, ASKS].concat();
    let second = b"\0\0\x0d\x01\x05\0\0\0\x03\x82\x86\x04\x06/a.txt\x01\x01x";
    let first = [b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n", &ask("GET /a.txt", &all)[..]]
        .concat();
    let before = speak(&site, &[&ask("GET /a.txt", &all)])?;
    ensure!(before.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"), "{before:?}");
    // The stream waits for the client's preface.
    ensure!(frames(&before)?.iter().all(|(kind, _, stream)| *kind != 1 && *stream == 0));
    for words in [
        [&ask("GET /a.txt", &all)[..], PREFACE, second],
        [&ask("GET http://www.example.org/a.txt", &all), PREFACE, second],
        [&ask("GET /a.txt", &all), &PREFACE[..10], &[&PREFACE[10..], second].concat()],
        [&[&ask("GET /a.txt", &all), &PREFACE[..30]].concat(), &PREFACE[30..], second],
        [&[&ask("GET /a.txt", &all), &PREFACE[..7]].concat(), &PREFACE[7..], second],
    ] {
        let frames = frames(&speak(&site, &words)?)?;
        let of = |kind, flags| {
            frames.iter().filter(move |frame| (frame.0, frame.1) == (kind, flags))
        };
        ensure!(frames.first() == Some(&(4, 0, 0)), "{frames:?}");
        // One confirmation, for the settings that came with HTTP/2.
        ensure!(of(4, 1).count() == 1, "{frames:?}");
        let heads: Vec<u32> = of(1, 4).map(|frame| frame.2).collect();
        let ends: Vec<u32> = of(0, 1).map(|frame| frame.2).collect();
        ensure!(heads == [1, 3] && ends == [1, 3], "{frames:?}");
    }
    // Behind another request, which is answered with HTTP/1.1.
    let said = speak(&site, &[&first, PREFACE, second])?;
    let text = String::from_utf8_lossy(&said);
    ensure!(
        text.starts_with("HTTP/1.1 200 ") && text.matches("hello\n").count() == 3,
        "{text}"
    );
    Ok(())
}

#[test]
fn what_is_not_by_the_rules_is_answered_with_http_1() -> Result<()> {
    let (site, _app) = ours()?;
    let more = |fields: &str| [SETTINGS, ASKS, fields].concat();
    let with = |settings: &str| format!("{ASKS}HTTP2-Settings: {settings}\r\n");
    for (line, fields) in [
        ("GET /a.txt", with("*!*")),
        ("GET /a.txt", with("AAM")),
        ("GET /a.txt", with("AAMAAABkAAQAAP//")),
        // No push or not, a window and frames that are too large or too small.
        ("GET /a.txt", with("AAIAAAAC")),
        ("GET /a.txt", with("AASAAAAA")),
        ("GET /a.txt", with("AAUAAAAA")),
        ("GET /a.txt", more(SETTINGS)),
        ("GET /a.txt?<x>", more("")),
        ("GET /a.txt", more(&format!("X: {}\r\n", "y".repeat(8000)).repeat(40))),
    ] {
        let said = speak(&site, &[&ask(line, &fields), &ask("GET /a.txt", "")])?;
        let text = String::from_utf8_lossy(&said);
        ensure!(
            !text.contains(" 101 ") && text.starts_with("HTTP/1.1 "),
            "{line}: {text}"
        );
        ensure!(text.matches("HTTP/1.1 200 ").count() == 2, "{line}: {text}");
    }
    // No settings at all are settings.
    let said = speak(&site, &[&ask("GET /a.txt", &with("")), PREFACE])?;
    ensure!(said.starts_with(b"HTTP/1.1 101 ") && said.ends_with(b"hello\n"), "{said:?}");
    // What follows is not HTTP/2.
    for rest in
        [&b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX"]
    {
        let said = speak(&site, &[&ask("GET /a.txt", &more("")), rest])?;
        ensure!(!said.windows(5).any(|part| part == b"hello"), "{said:?}");
        let said = speak(&site, &[&[&ask("GET /a.txt", &more("")), rest].concat()])?;
        ensure!(!said.windows(5).any(|part| part == b"hello"), "{said:?}");
    }
    ensure!(!site.root.log("error_log").contains("panicked"));
    Ok(())
}
