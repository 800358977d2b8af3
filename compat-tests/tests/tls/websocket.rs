//! A change of protocols over TLS: from the client, to the upstream, and not over HTTP/2.

use anyhow::{Result, ensure};
use compat_tests::http::Client;
use compat_tests::server::{Kind, Server};
use compat_tests::upstream::Upstream;

use crate::site::{PROXY, Site, configured};

/// The host behind TLS passes `/ws/` on to the upstream; the one before it asks that host,
/// over TLS.
const CONF: &str = "Protocols h2 http/1.1\nProxyTimeout 5\n\
    <VirtualHost *:{port2}>\nServerName one.test\nSSLEngine on\n\
    SSLCertificateFile {ca}/one.pem\nSSLCertificateKeyFile {ca}/one.key\n\
    ProxyPass /ws/ ws://127.0.0.1:{up}/\n\
    ProxyPass /http/ http://127.0.0.1:{up}/http/ upgrade=websocket\n</VirtualHost>\n\
    <VirtualHost *:{port}>\nServerName front.test\nProxyPreserveHost on\n\
    SSLProxyEngine on\nSSLProxyVerify require\nSSLProxyCACertificateFile {ca}/ca.pem\n\
    ProxyPass /wss/ wss://127.0.0.1:{port2}/ws/\n\
    ProxyPass /https/ https://127.0.0.1:{port2}/http/ upgrade=websocket\n</VirtualHost>\n";

fn site(kind: Kind) -> Result<(Site, Upstream)> {
    let root = configured(kind, "")?;
    let port = root.port_named("up")?;
    let upstream = Upstream::start("up", port)?;
    crate::site::write(&root, kind, &[PROXY, CONF].concat())?;
    Ok((Site { server: Server::start(kind, &root)?, root }, upstream))
}

fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: one.test\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[test]
fn a_client_behind_tls_is_connected() -> Result<()> {
    for kind in [Kind::Apache, Kind::Ours] {
        let (site, _upstream) = site(kind)?;
        for path in ["/ws/x?upgrade=websocket", "/http/x?upgrade=websocket"] {
            let mut client = site.s_client_open("one.test")?;
            client.say(handshake(path).as_bytes())?;
            client.until("\r\n\r\n")?;
            client.say(b"hello")?;
            client.until("hello")?;
            // More than any buffer holds, there and back.
            let long = format!("{}the end", "0123456789\n".repeat(20_000));
            client.say(long.as_bytes())?;
            client.until("the end")?;
        }
        site.server.stop()?;
    }
    Ok(())
}

#[test]
fn an_upstream_behind_tls_is_connected() -> Result<()> {
    for kind in [Kind::Apache, Kind::Ours] {
        let (site, _upstream) = site(kind)?;
        for path in ["/wss/x?upgrade=websocket", "/https/x?upgrade=websocket"] {
            let mut client = Client::connect(site.root.port)?;
            client.send(handshake(path).as_bytes())?;
            let head = client.any_response("GET")?;
            ensure!(head.status == 101, "{kind:?} {path}: {head}");
            for piece in [b"hello".to_vec(), vec![7; 200_000], b"\0\r\n\0".to_vec()] {
                client.send(&piece)?;
                let back = client.exactly(piece.len())?;
                ensure!(back == piece, "{kind:?} {path}: other bytes came back");
            }
            client.finish()?;
            ensure!(
                client.is_at_end()?,
                "{kind:?} {path}: something came behind the end"
            );
        }
        site.server.stop()?;
    }
    Ok(())
}

/// HTTP/2 has no `Upgrade`: such a request is answered as any other, or refused, and the
/// upstream changes nothing.
#[test]
fn http2_changes_no_protocol() -> Result<()> {
    let (site, upstream) = site(Kind::Ours)?;
    let fields = ["-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Key: x"];
    let args = [&["--http2"], &fields[..]].concat();
    for path in ["/ws/x", "/http/x"] {
        let said = site.curl("one.test", path, &args)?;
        ensure!(said.version == "2" || said.status == 0, "{said:?}");
        ensure!(said.status != 101 && !said.text.contains("\nupgrade:"), "{said:?}");
    }
    // The connection's other requests are none the worse for it.
    let said = site.curl("one.test", "/http/x?text=fine", &["--http2"])?;
    ensure!(said.status == 200 && said.text.ends_with("fine"), "{said:?}");
    ensure!(upstream.requests() >= 1);
    site.server.stop()
}
