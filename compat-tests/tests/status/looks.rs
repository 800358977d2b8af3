//! Who may look, and what nobody sees.

use anyhow::{Result, ensure};
use compat_tests::http::Client;

use crate::traffic::probed;

#[test]
fn access_is_by_require() -> Result<()> {
    let probed = probed("")?;
    ensure!(probed.site.get("/closed?json")?.status == 403);
    let answer = probed.site.get("/fastcgi-status")?;
    let kind = answer.header("Content-Type");
    ensure!(answer.status == 200 && kind == Some("text/html; charset=utf-8"), "{answer}");
    let answer = probed.site.ask("POST /server-status", &[], b"x")?;
    ensure!(answer.status == 404, "{answer}");
    let answer = probed.site.ask("HEAD /fastcgi-status", &[], b"")?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{answer}");
    Ok(())
}

#[test]
fn the_form_is_negotiated() -> Result<()> {
    let probed = probed("")?;
    let kinds = [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("text/plain; version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ];
    for (accept, kind) in kinds {
        let field = format!("Accept: {accept}");
        let answer = probed.site.ask("GET /fastcgi-status", &[&field], b"")?;
        ensure!(answer.header("Content-Type") == Some(kind), "{accept}: {answer}");
        ensure!(answer.header("Vary") == Some("Accept"), "{accept}: {answer}");
    }
    Ok(())
}

/// Neither variables of applications nor what clients asked them.
#[test]
fn secrets_are_not_shown() -> Result<()> {
    let probed = probed("ExtendedStatus Off\n")?;
    let site = &probed.site;
    let mut client = Client::connect(site.root.port)?;
    for path in ["/static", "/cgi/dynamic", "/external"] {
        let request = format!("GET {path}?text=hidden HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(request.as_bytes())?;
        ensure!(client.response("GET")?.body == b"hidden");
    }
    let targets = [
        "/server-status",
        "/server-status?auto",
        "/fastcgi-status",
        "/fastcgi-status?json",
        "/fastcgi-status?metrics",
    ];
    for target in targets {
        let text = site.get(target)?.text();
        ensure!(!text.contains("hush") && !text.contains("hidden"), "{target}:\n{text}");
    }
    Ok(())
}

/// Both ends of a long request line, as `SeeRequestTail` wants it.
#[test]
fn extended_status_shows_requests() -> Result<()> {
    let long = format!("/a.txt?{}end", "x".repeat(80));
    let line = format!("GET {long} HTTP/1.1");
    for (tail, shown) in [("Off", &line[..63]), ("On", &line[line.len() - 63..])] {
        let probed = probed(&format!("SeeRequestTail {tail}\n"))?;
        let mut client = Client::connect(probed.site.root.port)?;
        let request = format!("{line}\r\nHost: www.example.org\r\n\r\n");
        client.send(request.as_bytes())?;
        ensure!(client.response("GET")?.status == 200);
        let page = probed.site.get("/server-status")?.text();
        let port = probed.site.root.port;
        let cells = format!("<td>www.example.org:{port}</td><td>{shown}</td></tr>");
        ensure!(page.contains(&cells), "{cells}\n{page}");
    }
    Ok(())
}
