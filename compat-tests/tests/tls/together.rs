//! Modules with each other: over TLS and HTTP/2, in front of upstreams and applications.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::application::Application;
use compat_tests::family::until;
use compat_tests::server::{Kind, Server};
use compat_tests::upstream::Upstream;

use crate::site::{PROXY, Site, configured, hosts, write};

/// A site with an upstream at `/up/`, a FastCGI upstream at `/fcgi/` and the probe at
/// `/app`.
struct All {
    site: Site,
    _upstream: Upstream,
    _app: Application,
}

fn all(lines: &str) -> Result<All> {
    let root = configured(Kind::Ours, "")?;
    let port = root.port_named("up")?;
    let upstream = Upstream::start("up", port)?;
    let app = Application::probe(&root, "app", &[])?;
    root.write("htdocs/page.shtml", b"<!--#include virtual=\"/up/x?text=one\" -->,\
        <!--#include virtual=\"/fcgi/x?text=two\" -->,<!--#include virtual=\"/app?text=three\" -->\n")?;
    root.write("htdocs/big.txt", &b"0123456789abcde\n".repeat(8192))?;
    let conf = [
        "Protocols h2 http/1.1\n",
        PROXY,
        "FastCgiExternalServer {root}/htdocs/app -socket {root}/run/app\n\
         ProxyPass /up/ http://127.0.0.1:{up}/\n\
         ProxyPass /fcgi/ unix:{root}/run/app|fcgi://localhost/\n",
        lines,
        &hosts(""),
    ]
    .concat();
    write(&root, Kind::Ours, &conf)?;
    let site = Site { server: Server::start(Kind::Ours, &root)?, root };
    Ok(All { site, _upstream: upstream, _app: app })
}

const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];
const FILTERS: &str = "AddOutputFilterByType SUBSTITUTE;DEFLATE text/plain text/html\n\
    Substitute s/stone/bread/\n";

/// What comes is changed and packed, whoever made it, and whatever carries it.
#[test]
fn filters_work_on_what_comes_from_upstreams() -> Result<()> {
    let all = all(FILTERS)?;
    for version in VERSIONS {
        for path in [
            "/up/x?header=Content-Type:%20text/plain&text=a%20stone",
            "/up/x?header=Content-Type:%20text/plain&text=a%20stone&chunked",
            "/fcgi/x?header=Content-Type:+text/plain&text=a%20stone",
            "/app?header=Content-Type:+text/plain&text=a%20stone",
        ] {
            let said = all.site.curl("one.test", path, &[version, "--compressed"])?;
            ensure!(said.status == 200 && said.code == 0, "{version} {path}: {said:?}");
            ensure!(said.text.ends_with("a bread"), "{version} {path}: {said:?}");
            ensure!(said.field("content-encoding") == Some("gzip"), "{path}: {said:?}");
            ensure!(said.field("vary") == Some("Accept-Encoding"), "{path}: {said:?}");
            // A part of what was packed would be a part of nothing.
            let args = [version, "--compressed", "-r", "0-1"];
            let said = all.site.curl("one.test", path, &args)?;
            ensure!(said.status == 200 || said.text.ends_with("a "), "{path}: {said:?}");
        }
    }
    all.site.server.stop()
}

#[test]
fn pages_include_upstreams() -> Result<()> {
    let all = all("Options +Includes\n<Directory {root}/htdocs>\nOptions +Includes\n\
                   </Directory>\nAddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n")?;
    for version in VERSIONS {
        let said = all.site.curl("one.test", "/page.shtml", &[version])?;
        ensure!(said.text.ends_with("one,two,three\n"), "{version}: {said:?}");
    }
    all.site.server.stop()
}

#[test]
fn a_rate_holds_over_http2() -> Result<()> {
    let all =
        all("<Location /big.txt>\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 64\n\
                   </Location>\n")?;
    for version in VERSIONS {
        let begun = Instant::now();
        let said = all.site.curl("one.test", "/big.txt", &[version])?;
        ensure!(said.status == 200 && said.text.len() > 131_072, "{version}: short");
        // 128 kB at 64 kB/s.
        let took = begun.elapsed();
        ensure!(took > Duration::from_millis(1200), "{version}: {took:?}");
        ensure!(took < Duration::from_secs(6), "{version}: {took:?}");
    }
    all.site.server.stop()
}

/// Parts and conditions, over both versions: of a file, and of what an upstream sends.
#[test]
fn parts_and_conditions() -> Result<()> {
    let all = all("")?;
    for version in VERSIONS {
        let part = all.site.curl("one.test", "/big.txt", &[version, "-r", "16-19"])?;
        ensure!(part.status == 206 && part.text.ends_with("0123"), "{version}: {part:?}");
        let tag = part.field("etag").unwrap_or_default().to_owned();
        let same = format!("If-None-Match: {tag}");
        let said = all.site.curl("one.test", "/big.txt", &[version, "-H", &same])?;
        ensure!(said.status == 304, "{version}: {said:?}");
        let other = ["-H", "If-Match: \"other\""];
        let said =
            all.site.curl("one.test", "/big.txt", &[&[version], &other[..]].concat())?;
        ensure!(said.status == 412, "{version}: {said:?}");
        // What an upstream says to a condition is its own business.
        let path = "/up/x?header=ETag:%20%22t%22&status=304%20Not%20Modified";
        let said =
            all.site.curl("one.test", path, &[version, "-H", "If-None-Match: \"t\""])?;
        ensure!(said.status == 304 && said.code == 0, "{version}: {said:?}");
        let shown = all.site.curl("one.test", "/up/x", &[version, "-r", "0-3"])?;
        ensure!(shown.text.contains("range: bytes=0-3"), "{version}: {shown:?}");
    }
    all.site.server.stop()
}

/// Who says nothing, or not enough, is let go within the time for the handshake.
#[test]
fn a_handshake_has_its_own_time() -> Result<()> {
    let lines = "LogLevel info\nRequestReadTimeout handshake=1 header=2\nTimeout 30\n";
    let all = all(lines)?;
    let address = ("127.0.0.1", all.site.root.other_port);
    for first in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let begun = Instant::now();
        let mut client = TcpStream::connect(address)?;
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        client.write_all(first)?;
        let mut said = Vec::new();
        // It may be reset.
        let _ = client.read_to_end(&mut said);
        let took = begun.elapsed();
        ensure!(took > Duration::from_millis(800), "{first:?}: {took:?}");
        ensure!(took < Duration::from_secs(5), "{first:?}: {took:?}");
    }
    let log = all.site.root.log("error_log");
    let times = log.matches("AH01382: Request handshake read timeout").count();
    ensure!(times == 2, "{times}: {log}");
    // Behind the handshake the head has its own time.
    let begun = Instant::now();
    let mut open = all.site.s_client_open("one.test")?;
    open.say(b"GET /a.txt HTTP/1.1\r\nHost: one.test\r\n")?;
    open.until("408")?;
    let took = begun.elapsed();
    ensure!(
        took > Duration::from_millis(1500) && took < Duration::from_secs(6),
        "{took:?}"
    );
    all.site.server.stop()
}

/// The client that a PROXY header names stands before TLS.
#[test]
fn a_proxy_header_comes_before_the_handshake() -> Result<()> {
    let all = all(
        "RemoteIPProxyProtocol on\nLogFormat \"%a %U\" t\nCustomLog logs/access_log t\n",
    )?;
    for version in VERSIONS {
        let args = [version, "--haproxy-protocol"];
        let said = all.site.curl("one.test", "/up/x?text=fine", &args)?;
        ensure!(said.status == 200 && said.text.ends_with("fine"), "{version}: {said:?}");
    }
    let said = all.site.curl("one.test", "/a.txt", &[])?;
    ensure!(said.status == 0, "without a header: {said:?}");
    all.site.server.stop()
}

/// An application is told when its client goes away, also behind TLS; but a next request is
/// no farewell.
#[test]
fn who_goes_away_is_not_worked_for() -> Result<()> {
    let root = configured(Kind::Ours, "")?;
    let socket = root.join("run/app");
    let application = UnixListener::bind(&socket)?;
    std::fs::set_permissions(&socket, Permissions::from_mode(0o777))?;
    application.set_nonblocking(true)?;
    let conf = "FastCgiExternalServer {root}/htdocs/app -socket {root}/run/app\n";
    write(&root, Kind::Ours, &[conf, &hosts("")].concat())?;
    let site = Site { server: Server::start(Kind::Ours, &root)?, root };
    let request = "GET /app HTTP/1.1\r\nHost: one.test\r\n\r\n";
    for (requests, is_told) in [(1, true), (2, false)] {
        let mut client = site.s_client_open("one.test")?;
        client.say(request.as_bytes())?;
        let mut worker = None;
        until("the application is asked", Duration::from_secs(10), || {
            worker = application.accept().ok();
            worker.is_some()
        })?;
        let (mut worker, _) = worker.context("nobody")?;
        worker.set_nonblocking(false)?;
        worker.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut heard = [0; 4096];
        ensure!(worker.read(&mut heard)? > 0);
        if requests == 2 {
            client.say(request.as_bytes())?;
            std::thread::sleep(Duration::from_millis(200));
        }
        drop(client);
        worker.set_read_timeout(Some(Duration::from_secs(if is_told {
            10
        } else {
            1
        })))?;
        while matches!(worker.read(&mut heard), Ok(n) if n > 0) {}
        let ended = worker.read(&mut heard);
        ensure!(ended.is_ok() == is_told, "{requests}: {ended:?}");
    }
    Ok(())
}
