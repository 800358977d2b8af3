//! Requests: bodies, methods, what a path means.

use anyhow::{Result, ensure};
use compat_tests::application::Application;
use compat_tests::http::{Client, Response};
use compat_tests::site::{Site, variable};

fn probed(conf: &str) -> Result<(Site, Application)> {
    let mut site = Site::new()?;
    let probe = Application::probe(&site.root, "probe", &[])?;
    let address = probe.address.option();
    site.serve(&format!("FastCgiExternalServer {{root}}/htdocs/app {address}\n{conf}"))?;
    Ok((site, probe))
}

fn chunked(site: &Site, target: &str, chunks: &[&str]) -> Result<Response> {
    let mut client = Client::connect(site.root.port)?;
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: www.example.org\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    client.send(head.as_bytes())?;
    for chunk in chunks {
        client.send(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes())?;
    }
    client.send(b"0\r\n\r\n")?;
    client.response("POST")
}

/// The original answered 411.
#[test]
fn a_chunked_body_arrives_with_its_length() -> Result<()> {
    let (site, _probe) = probed("LimitRequestBody 20\n")?;
    let chunks = ["hello", " world"];
    let answer = chunked(&site, "/app?echo", &chunks)?;
    ensure!(answer.status == 200 && answer.body == b"hello world", "{answer}");
    let text = chunked(&site, "/app?env", &chunks)?.text();
    ensure!(variable(&text, "CONTENT_LENGTH") == Some("11"), "{text}");
    ensure!(variable(&text, "HTTP_TRANSFER_ENCODING") == Some("chunked"), "{text}");

    let answer = chunked(&site, "/app?note={}", &[&"x".repeat(15), &"x".repeat(6)])?;
    ensure!(answer.status == 413, "{answer}");
    Ok(())
}

/// The original's host sent it in chunks.
#[test]
fn a_trace_has_a_length() -> Result<()> {
    let (site, _probe) = probed("")?;
    let answer = site.ask("TRACE /app", &["X-A: b"], b"")?;
    ensure!(answer.status == 200 && answer.framing == "length", "{answer}");
    ensure!(answer.header("Content-Type") == Some("message/http"), "{answer}");
    let text = answer.text();
    ensure!(
        text.starts_with("TRACE /app HTTP/1.1\r\n") && text.contains("X-A: b\r\n"),
        "{answer}"
    );
    Ok(())
}

/// The original let mod_rewrite at PATH_INFO, and told the application how that went.
#[test]
fn a_rewritten_path_is_translated_plainly() -> Result<()> {
    let rules = "
<Directory {root}/htdocs>
    RewriteEngine On
    RewriteBase /
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteCond %{REQUEST_URI} !^/app
    RewriteRule ^(.*)$ app/$1 [QSA,L]
</Directory>
";
    let (site, _probe) = probed(rules)?;
    let htdocs = site.root.join("htdocs");
    for (target, info) in
        [("/some/page?env", "/some/page"), ("/app/direct?env", "/direct")]
    {
        let text = site.get(target)?.text();
        let translated = format!("{}{info}", htdocs.display());
        ensure!(variable(&text, "PATH_INFO") == Some(info), "{text}");
        ensure!(variable(&text, "PATH_TRANSLATED") == Some(&translated), "{text}");
    }
    Ok(())
}
