//! A change of protocols through both servers.

use anyhow::{Result, ensure};
use compat_tests::server::Kind;

use crate::site::{Site, site, until};

const CONF: &str = "ProxyTimeout 3\n\
    ProxyPass /ws/ ws://127.0.0.1:{up}/\n\
    ProxyPass /any/ http://127.0.0.1:{up}/any/ upgrade=any\n\
    ProxyPass /one/ http://127.0.0.1:{up}/one/ upgrade=websocket\n\
    ProxyPass /plain/ http://127.0.0.1:{up}/plain/\n";

fn handshake(path: &str, protocol: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: {protocol}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// Bytes in both directions, more than any buffer holds, and the end from the client.
fn echoes(site: &Site, path: &str, protocol: &str) -> Result<()> {
    let mut client = site.client()?;
    client.send(&handshake(path, protocol))?;
    let head = client.any_response("GET")?;
    ensure!(head.status == 101, "{path}: {head}");
    let named = head.header("upgrade").unwrap_or_default().to_ascii_lowercase();
    ensure!(named == protocol.to_ascii_lowercase(), "{head}");
    for piece in [b"\x81\x05hello".to_vec(), vec![7; 100_000], b"\0\r\n\r\n\0".to_vec()] {
        client.send(&piece)?;
        let back = client.exactly(piece.len())?;
        ensure!(back == piece, "{path}: other bytes came back");
    }
    client.finish()?;
    ensure!(client.is_at_end()?, "{path}: something came behind the end");
    Ok(())
}

fn both(check: impl Fn(&Site) -> Result<()>) -> Result<()> {
    for kind in [Kind::Apache, Kind::Ours] {
        let site = site(kind, CONF)?;
        check(&site).map_err(|error| error.context(format!("{kind:?}")))?;
        site.server.stop()?;
    }
    Ok(())
}

#[test]
fn websockets_pass_in_both_directions() -> Result<()> {
    both(|site| {
        echoes(site, "/ws/x?upgrade=websocket", "websocket")?;
        echoes(site, "/one/x?upgrade=websocket", "websocket")?;
        echoes(site, "/any/x?upgrade=other", "other")
    })
}

#[test]
fn who_is_not_allowed_to_change_does_not() -> Result<()> {
    both(|site| {
        for (path, protocol) in
            [("/one/x", "other"), ("/plain/x", "websocket"), ("/ws/x", "other")]
        {
            let mut client = site.client()?;
            client.send(&handshake(path, protocol))?;
            let answer = client.response("GET")?;
            let said = answer.text();
            ensure!(
                answer.status != 101 && !said.contains("upgrade:"),
                "{path}: {answer}"
            );
        }
        Ok(())
    })
}

#[test]
fn an_upstream_that_refuses_answers_as_usual_and_the_connection_goes_on() -> Result<()> {
    both(|site| {
        let mut client = site.client()?;
        for _ in 0..2 {
            client.send(&handshake("/one/x?status=403%20No&text=no", "websocket"))?;
            let answer = client.response("GET")?;
            ensure!(answer.status == 403 && answer.text() == "no", "{answer}");
        }
        Ok(())
    })
}

#[test]
fn nothing_is_left_when_the_client_goes() -> Result<()> {
    let site = site(Kind::Ours, CONF)?;
    let mut client = site.client()?;
    client.send(&handshake("/ws/x?upgrade=websocket", "websocket"))?;
    ensure!(client.any_response("GET")?.status == 101);
    let open = || site.upstream().counts.open.load(std::sync::atomic::Ordering::SeqCst);
    ensure!(open() == 1);
    drop(client);
    until("the end of the upstream's connection", || open() == 0)?;
    site.server.stop()
}
