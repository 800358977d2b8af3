//! What clients and proxies say before and beside their requests: the PROXY protocol in
//! its binary form, requests that do not come in time, names of requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::http::Client;
use compat_tests::site::Site;

const PAGE: &str =
    "<Directory \"{root}/htdocs\">\n    Require all granted\n</Directory>\n";

/// A site with one page.
fn site(conf: &str) -> Result<Site> {
    let mut site = Site::new()?;
    site.root.write("htdocs/page", b"a page\n")?;
    site.serve(&format!("{PAGE}{conf}"))?;
    Ok(site)
}

/// Sends bytes and reads to the end of the connection.
fn exchange(site: &Site, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", site.root.port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(bytes)?;
    let mut said = Vec::new();
    // A connection that is reset has ended, too.
    let _ = stream.read_to_end(&mut said);
    Ok(String::from_utf8_lossy(&said).into_owned())
}

const REQUEST: &[u8] =
    b"GET /page HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";

/// The second version of the header.
fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    [&signature[..], &[command, family], &length, body].concat()
}

#[test]
fn proxies_speak_first() -> Result<()> {
    let site = site(
        "RemoteIPProxyProtocol On\n\
         Header always set X-Addr \"expr=%{REMOTE_ADDR}\"\n\
         LogFormat \"%a %{c}a\" both\nCustomLog logs/access_log both\n",
    )?;
    let four = [192, 0, 2, 7, 127, 0, 0, 1, 0xdc, 4, 0, 80];
    let mut six = [0; 36];
    six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    six[15] = 9;
    // Behind the addresses there may be more, which is nobody's business.
    let extended = [&four[..], &[4, 0, 3, 1, 2, 3]].concat();
    let cases: [(Vec<u8>, &str); 6] = [
        (second(0x21, 0x11, &four), "192.0.2.7"),
        (second(0x21, 0x11, &extended), "192.0.2.7"),
        (second(0x21, 0x21, &six), "2001:db8::9"),
        (second(0x20, 0x00, &[]), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (b"PROXY TCP4 192.0.2.8 127.0.0.1 1 2\r\n".to_vec(), "192.0.2.8"),
    ];
    for (head, address) in &cases {
        let said = exchange(&site, &[&head[..], REQUEST].concat())?;
        ensure!(said.starts_with("HTTP/1.1 200 "), "{address}: {said}");
        ensure!(said.contains(&format!("X-Addr: {address}\r\n")), "{address}: {said}");
    }
    // In pieces it is the same header.
    let mut stream = TcpStream::connect(("127.0.0.1", site.root.port))?;
    for piece in second(0x21, 0x11, &four).chunks(5) {
        stream.write_all(piece)?;
        std::thread::sleep(Duration::from_millis(20));
    }
    stream.write_all(REQUEST)?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    ensure!(said.contains("X-Addr: 192.0.2.7\r\n"), "{said}");
    let log = site.root.log("access_log");
    ensure!(log.contains("192.0.2.7 127.0.0.1"), "{log}");
    Ok(())
}

#[test]
fn who_lacks_the_header_is_not_served() -> Result<()> {
    let site = site("RemoteIPProxyProtocol On\n")?;
    let wrong: [&[u8]; 5] = [
        b"",
        b"PROXY TCP4 1.2.3.4\r\n",
        b"PROXY TCP4 a b c d\r\n",
        b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c",
        b"PROXY PROXY PROXY PROXY PROXY PROXY PROXY PROXY PROXY PROXY PROXY PROXY PROXY PROXY \
          PROXY PROXY PROXY PROXY PROXY PROXY\r\n",
    ];
    for head in wrong {
        let said = exchange(&site, &[head, REQUEST].concat())?;
        ensure!(said.is_empty(), "{:?}: {said}", String::from_utf8_lossy(head));
    }
    site.logged_times("RemoteIPProxyProtocol: no PROXY header from 127.0.0.1:", 5)
}

#[test]
fn a_head_has_its_time() -> Result<()> {
    let site = site("LogLevel info\nRequestReadTimeout header=1-3,MinRate=10\n")?;
    // Nothing, or no whole line: no answer.
    for start in [&b""[..], b"GET /pa"] {
        let begun = Instant::now();
        let said = exchange(&site, start)?;
        ensure!(said.is_empty(), "{said}");
        let took = begun.elapsed();
        ensure!(
            took > Duration::from_millis(900) && took < Duration::from_secs(3),
            "{took:?}"
        );
    }
    let said = exchange(&site, b"GET /page HTTP/1.1\r\nHost: x\r\n")?;
    ensure!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
    // A byte now and then is worth a little time, but never more than three seconds.
    let mut stream = TcpStream::connect(("127.0.0.1", site.root.port))?;
    let begun = Instant::now();
    stream.write_all(b"GET /page HTTP/1.1\r\nX: ")?;
    while begun.elapsed() < Duration::from_secs(8) && stream.write_all(b"aaaaa").is_ok() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = begun.elapsed();
    ensure!(took > Duration::from_secs(2) && took < Duration::from_secs(7), "{took:?}");
    ensure!(exchange(&site, REQUEST)?.starts_with("HTTP/1.1 200 "));
    site.logged_times("AH01382: Request header read timeout", 4)
}

#[test]
fn a_body_has_its_time() -> Result<()> {
    let mut site = Site::new()?;
    let application = site.probe("htdocs/app.fcgi")?;
    let conf = format!(
        "{PAGE}FastCgiServer {} -processes 1\n<Location /app.fcgi>\n    SetHandler \
         fastcgi-script\n    Options +ExecCGI\n</Location>\nRequestReadTimeout \
         body=1,MinRate=1000\n",
        application.display()
    );
    site.serve(&conf)?;
    let head = b"POST /app.fcgi HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\n";
    let begun = Instant::now();
    let said = exchange(&site, &[&head[..], b"abc"].concat())?;
    let took = begun.elapsed();
    ensure!(
        took > Duration::from_millis(900) && took < Duration::from_secs(5),
        "{took:?}"
    );
    ensure!(said.starts_with("HTTP/1.1 408 "), "{said}");
    let said = exchange(&site, &[&head[..], b"abcdefghi"].concat())?;
    ensure!(said.starts_with("HTTP/1.1 200 "), "{said}");
    Ok(())
}

#[test]
fn requests_have_names() -> Result<()> {
    let conf = "Header always set X-Id \"expr=%{reqenv:UNIQUE_ID}\"\n";
    let load = "LoadModule unique_id_module modules/mod_unique_id.so\n";
    let loaded = site(&format!("{load}{conf}ErrorDocument 404 /page\n"))?;
    let mut seen = std::collections::BTreeSet::new();
    for target in ["/page", "/page", "/none"] {
        let answer = loaded.get(target)?;
        let id = answer.header("x-id").unwrap_or_default().to_owned();
        ensure!(id.len() == 27, "{id:?}");
        let letters = |c: char| c.is_ascii_alphanumeric() || "@-".contains(c);
        ensure!(id.chars().all(letters), "{id:?}");
        ensure!(seen.insert(id), "a name twice: {seen:?}");
    }
    let other = "LoadModule env_module modules/mod_env.so\n";
    let answer = site(&format!("{other}{conf}"))?.get("/page")?;
    ensure!(
        answer.header("x-id").unwrap_or_default().is_empty(),
        "not loaded, and named"
    );
    Ok(())
}

/// A client that has no further request may say so, and end its side: httpd answers it.
#[test]
fn who_has_sent_all_is_answered() -> Result<()> {
    let mut site = Site::new()?;
    let application = site.probe("htdocs/app.fcgi")?;
    site.program("cgi-bin/a", "#!/bin/sh\nsleep 0.2; echo; echo script\n")?;
    site.root.write("htdocs/page", b"a page\n")?;
    let conf = format!(
        "{PAGE}FastCgiServer {} -processes 1\n<Location /app.fcgi>\n    SetHandler \
         fastcgi-script\n    Options +ExecCGI\n</Location>\nScriptAlias /cgi-bin/ \
         {{root}}/cgi-bin/\n<Directory {{root}}/cgi-bin>\n    Require all granted\n</Directory>\n",
        application.display()
    );
    site.serve(&conf)?;
    let slow = "/app.fcgi?sleep=300&text=done";
    let ask = |request: &str, pause: u64| -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", site.root.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(request.as_bytes())?;
        std::thread::sleep(Duration::from_millis(pause));
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        Ok(said)
    };
    for target in ["/page", slow, "/cgi-bin/a"] {
        for pause in [0, 100] {
            let old = ask(&format!("GET {target} HTTP/1.0\r\n\r\n"), pause)?;
            ensure!(old.starts_with("HTTP/1.1 200 "), "{target} after {pause}: {old}");
            let new =
                format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let new = ask(&new, pause)?;
            ensure!(new.starts_with("HTTP/1.1 200 "), "{target} after {pause}: {new}");
        }
    }
    let post = format!("POST {slow} HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");
    for pause in [0, 100] {
        let said = ask(&post, pause)?;
        ensure!(said.starts_with("HTTP/1.1 200 "), "after {pause}: {said}");
    }
    // A body that breaks off is none.
    let said = ask("POST /app.fcgi HTTP/1.0\r\nContent-Length: 9\r\n\r\nabc", 0)?;
    ensure!(!said.contains(" 200 "), "{said}");
    // Without a word about it the end of a connection is its end, and the application is told.
    let said = ask(&format!("GET {slow} HTTP/1.1\r\nHost: a\r\n\r\n"), 100)?;
    ensure!(said.is_empty(), "{said}");
    Ok(())
}

/// Requests that are there before the answer to the last one has gone: every answer begins
/// where the last one ends, and has its own head.
#[test]
fn many_requests_at_once() -> Result<()> {
    let site = site("")?;
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    site.root.write("htdocs/big", &big)?;
    site.root.write("htdocs/middle", &big[..200_000])?;
    let pages = [("GET", "big"), ("GET", "page"), ("HEAD", "big"), ("GET", "middle")];
    let pages = pages.iter().chain([("GET", "none"), ("GET", "page")].iter());
    let round: Vec<_> = pages.copied().collect();
    let mut client = Client::connect(site.root.port)?;
    for _ in 0..3 {
        for (i, (method, page)) in round.iter().enumerate() {
            let keep = if i == 1 { "1.0\r\nConnection: keep-alive" } else { "1.1" };
            let expects = if i == 3 { "Expect: 100-continue\r\n" } else { "" };
            let head =
                format!("{method} /{page} HTTP/{keep}\r\nHost: a\r\n{expects}\r\n");
            client.send(head.as_bytes())?;
        }
    }
    // Long enough for the first to be stuck.
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..3 {
        for (i, (method, page)) in round.iter().enumerate() {
            let answer = client.response(method)?;
            let expected = match *page {
                "big" => &big[..],
                "middle" => &big[..200_000],
                _ => b"a page\n",
            };
            let status = if *page == "none" { 404 } else { 200 };
            ensure!(answer.status == status, "{i}: {answer}");
            if status == 404 {
                continue;
            }
            let names: Vec<&str> =
                answer.headers.iter().map(|(name, _)| name.as_str()).collect();
            let once = |name| names.iter().filter(|n| **n == name).count() == 1;
            ensure!(
                once("ETag") && once("Content-Length") && once("Date"),
                "{i}: {answer}"
            );
            let length = answer.header("Content-Length");
            ensure!(length == Some(&*expected.len().to_string()), "{i}: {answer}");
            let body: &[u8] = if *method == "HEAD" { b"" } else { expected };
            ensure!(answer.body == body, "{i}: {}", answer.body.len());
        }
    }
    Ok(())
}

#[test]
fn requests_behind_others_wait_for_their_turn() -> Result<()> {
    let site = site("")?;
    let get = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = b"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na\nb\nc";
    // A body where there is usually none, too.
    let put = b"GET /page HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na\nb\nc";
    let round = [&get[..], post, put, get].concat();
    let all = [&round.repeat(24)[..], REQUEST].concat();
    let said = exchange(&site, &all)?;
    ensure!(said.matches("HTTP/1.1 200 ").count() == 97, "{}", said.len());
    ensure!(said.matches("a page\n").count() == 97, "{}", said.len());
    // In pieces of any length it is the same.
    for length in [1, 7, 100, 1000] {
        let folded =
            b"GET /page HTTP/1.1\r\nHost: a\r\nX: b\r\n\t c\r\nConnection: close\r\n\r\n";
        // Not behind a body.
        let all = [&get[..], get, folded].concat();
        let mut stream = TcpStream::connect(("127.0.0.1", site.root.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        for piece in all.chunks(length) {
            stream.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        ensure!(said.matches("HTTP/1.1 200 ").count() == 3, "{length}: {said}");
    }
    // One that is wrong ends it, whenever it comes.
    for pause in [0, 50] {
        let mut stream = TcpStream::connect(("127.0.0.1", site.root.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(get)?;
        std::thread::sleep(Duration::from_millis(pause));
        stream.write_all(b"GET /page HTTP/1.1\r\nHost: a\n\r\n")?;
        stream.write_all(get)?;
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        ensure!(said.matches("HTTP/1.1 200 ").count() == 1, "{said}");
        ensure!(said.contains("HTTP/1.1 400 "), "{said}");
    }
    Ok(())
}

/// Small files are kept in memory: what is written over one, of the same size and within the
/// tick of a clock, is what the next request sees.
#[test]
fn what_is_written_over_a_file_is_seen_at_once() -> Result<()> {
    let mut site = Site::new()?;
    let page = site.root.write("htdocs/page", b"0000")?;
    site.serve("MaxKeepAliveRequests 0\n")?;
    let mut client = Client::connect(site.root.port)?;
    let mut see = |number: usize| {
        // In its place: the same inode.
        std::fs::write(&page, format!("{number:04}"))?;
        client.send(b"GET /page HTTP/1.1\r\nHost: www.example.org\r\n\r\n")?;
        let answer = client.response("GET")?;
        ensure!(answer.text() == format!("{number:04}"), "{number}: {answer}");
        anyhow::Ok(())
    };
    for number in 0..300 {
        see(number)?;
        // Now and then it has been kept when it changes.
        if number % 20 == 0 {
            std::thread::sleep(Duration::from_millis(80));
            see(number)?;
            std::thread::sleep(Duration::from_millis(80));
        }
    }
    Ok(())
}
