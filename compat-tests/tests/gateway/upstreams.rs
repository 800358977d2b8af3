//! As the front door of other servers: who makes a request is told to upstreams of HTTP and
//! of FastCGI, also when a protocol changes, and clients cannot say it.

use std::sync::atomic::Ordering;

use anyhow::{Result, ensure};
use compat_tests::guarded::Guarded;
use compat_tests::http::{Client, Response};
use compat_tests::site::variable;
use compat_tests::upstream::Upstream;

const FORGED: &str = "X-Remote-User: forged\r\nX_Remote_User: forged\r\n\
    x.remote.user: forged\r\nX-Groups: forged\r\nX_GROUPS: forged\r\n\
    X-Level: forged\r\nx-level: forged again\r\n";
const UPGRADE: &str = "Connection: Upgrade, X-Groups, x-remote-user\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Upstreams below `/app`, behind an authorizer that always says the same.
fn door(gate: &str) -> Result<(Guarded, Upstream)> {
    let mut guarded = Guarded::new()?;
    let port = guarded.site.root.port_named("up")?;
    let upstream = Upstream::start("up", port)?;
    guarded.gate("auth", gate, "")?;
    guarded.serve(
        "ProxyPass /app/http/ http://127.0.0.1:{up}/ upgrade=websocket
        ProxyPass /app/ws/ ws://127.0.0.1:{up}/
        ProxyPass /app/fcgi/ unix:{root}/run/app|fcgi://localhost/
        ProxyPass /free/ http://127.0.0.1:{up}/
        <Location /app>
            FastCgiAuthorizer {root}/virtual/auth -compat
            GatewayHeader X-Remote-User REMOTE_USER
            GatewayHeader X-Groups groups
            GatewayHeader X-Level level
        </Location>\n",
    )?;
    Ok((guarded, upstream))
}

fn ask(guarded: &Guarded, path: &str, fields: &str) -> Result<(Client, Response)> {
    let mut client = Client::connect(guarded.site.root.port)?;
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: www.example.org\r\n{FORGED}{fields}\r\n");
    client.send(head.as_bytes())?;
    let answer = client.any_response("GET")?;
    Ok((client, answer))
}

#[test]
fn upstreams_are_told_and_clients_cannot_say_it() -> Result<()> {
    let gate = "header=Variable-REMOTE_USER: jane&header=Variable-groups: a, b";
    let (guarded, _upstream) = door(gate)?;
    // The upstream answers a change of protocols that it does not make with the request.
    for (path, fields) in [
        ("/app/http/x", ""),
        ("/app/http/x", "Connection: X-Groups, x_remote_user\r\n"),
        ("/app/http/x", UPGRADE),
        ("/app/ws/x", UPGRADE),
    ] {
        let (_, answer) = ask(&guarded, path, fields)?;
        let text = answer.text();
        ensure!(answer.status == 200, "{path} {fields}: {answer}");
        ensure!(text.contains("x-remote-user: jane\n"), "{path} {fields}: {text}");
        ensure!(text.contains("x-groups: a, b\n"), "{path} {fields}: {text}");
        ensure!(!text.contains("forged") && !text.contains("x-level"), "{path}: {text}");
        ensure!(text.contains("upgrade:") == fields.contains("Upgrade:"), "{text}");
    }
    let (_, answer) = ask(&guarded, "/app/fcgi/x?env", "")?;
    let text = answer.text();
    ensure!(variable(&text, "HTTP_X_REMOTE_USER") == Some("jane"), "{text}");
    ensure!(variable(&text, "HTTP_X_GROUPS") == Some("a, b"), "{text}");
    ensure!(variable(&text, "HTTP_X_LEVEL").is_none(), "{text}");
    ensure!(!text.contains("forged"), "{text}");
    // Where nobody asked who it is, nobody is told so.
    let (_, answer) = ask(&guarded, "/free/x", "")?;
    let text = answer.text();
    ensure!(answer.status == 200 && !text.contains("forged"), "{text}");
    ensure!(!text.contains("x-remote") && !text.contains("x-groups"), "{text}");
    Ok(())
}

#[test]
fn a_change_of_protocols_needs_the_authorizers_consent() -> Result<()> {
    let path = "/app/ws/x?upgrade=websocket";
    let (guarded, upstream) = door("")?;
    let (mut client, answer) = ask(&guarded, path, UPGRADE)?;
    ensure!(answer.status == 101, "{answer}");
    client.send(b"hello")?;
    ensure!(client.exactly(5)? == b"hello");
    ensure!(guarded.calls("auth").len() == 1, "{:?}", guarded.calls("auth"));
    drop((client, guarded, upstream));
    for gate in ["status=403 No", "status=401 No", "raw=nonsense", "exit"] {
        let (guarded, upstream) = door(gate)?;
        for path in [path, "/app/http/x?upgrade=websocket"] {
            let (_, answer) = ask(&guarded, path, UPGRADE)?;
            ensure!(answer.status >= 400, "{gate}: {answer}");
        }
        let asked = upstream.counts.connections.load(Ordering::SeqCst);
        ensure!(asked == 0, "{gate}: the upstream was connected to {asked} times");
    }
    Ok(())
}
