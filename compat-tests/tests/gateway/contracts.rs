//! What Envoy and Traefik send, as their sources and documentation have it, byte for byte
//! but for addresses; and what they make of our answers.

use anyhow::{Result, ensure};
use compat_tests::http::{Client, Response};

use crate::judge::{Judge, SESSION};

/// Envoy's `ext_authz` with `http_service`: method and path of the original request behind
/// `path_prefix`, Host, Content-Length 0, Authorization, and `allowed_headers`; its own address
/// behind the client's in X-Forwarded-For.
const ENVOY: &str = "POST /check/members/a?b=c HTTP/1.1\r\n\
    host: app.example.org\r\n\
    content-length: 0\r\n\
    cookie: s=good\r\n\
    x-forwarded-proto: https\r\n\
    x-request-id: 4c1b8f0e-61a8-4ca1-b1a0-8fb4c5e39f5a\r\n\
    x-envoy-internal: true\r\n\
    x-envoy-expected-rq-timeout-ms: 200\r\n\
    x-forwarded-for: 203.0.113.7,127.0.0.1\r\n\r\n";

/// Traefik's ForwardAuth: GET, the client's fields without hop-by-hop ones, and X-Forwarded-*.
const TRAEFIK: &str = "GET / HTTP/1.1\r\n\
    Host: auth.internal:9001\r\n\
    User-Agent: Mozilla/5.0\r\n\
    Accept: text/html\r\n\
    Accept-Encoding: gzip\r\n\
    Cookie: s=good\r\n\
    X-Forwarded-For: 203.0.113.7\r\n\
    X-Forwarded-Host: app.example.org\r\n\
    X-Forwarded-Method: POST\r\n\
    X-Forwarded-Port: 443\r\n\
    X-Forwarded-Proto: https\r\n\
    X-Forwarded-Server: 3f1c0b6f2a7e\r\n\
    X-Forwarded-Uri: /members/a?b=c\r\n\
    X-Real-Ip: 203.0.113.7\r\n\r\n";

fn send(judge: &Judge, call: &str) -> Result<Response> {
    let mut client = Client::connect(judge.guarded.site.root.other_port)?;
    client.send(call.as_bytes())?;
    client.response(call.split(' ').next().unwrap_or_default())
}

/// What the authorizer has to see, whoever asked.
fn is_original(judge: &Judge) -> Result<()> {
    let calls = judge.guarded.calls("auth");
    ensure!(calls.len() == 1, "{} calls", calls.len());
    for (name, value) in [
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/members/a?b=c"),
        ("QUERY_STRING", "b=c"),
        ("SERVER_NAME", "app.example.org"),
        ("SERVER_PORT", "443"),
        ("REQUEST_SCHEME", "https"),
        ("HTTPS", "on"),
        ("REMOTE_ADDR", "203.0.113.7"),
        ("HTTP_HOST", "app.example.org"),
        ("HTTP_COOKIE", "s=good"),
    ] {
        ensure!(calls[0].variable(name) == Some(value), "{name}: {:?}", calls[0]);
    }
    let callers = ["HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_X_ENVOY_INTERNAL"];
    for name in callers {
        ensure!(calls[0].variable(name).is_none(), "{name}: {:?}", calls[0]);
    }
    Ok(())
}

/// Envoy takes 200 alone for consent, and removes what is listed from the request.
#[test]
fn envoy() -> Result<()> {
    let lines = "GatewayHeader X-Level level\nGatewayHeader X-Groups groups";
    let judge = Judge::new("envoy /check", SESSION, lines)?;
    let answer = send(&judge, ENVOY)?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{answer}");
    is_original(&judge)?;
    for (name, value) in [
        ("Remote-User", Some("jane")),
        ("X-Groups", Some("staff")),
        ("Variable-groups", Some("staff")),
        ("X-Level", None),
        ("x-envoy-auth-headers-to-remove", Some("x-level")),
    ] {
        ensure!(answer.header(name) == value, "{name}: {answer}");
    }
    let answer = send(&judge, &ENVOY.replace("s=good", "s=bad"))?;
    ensure!(answer.status == 401, "{answer}");
    // Without `allowed_headers` for it Envoy's own address is the only one: nobody's.
    let answer = send(&judge, &ENVOY.replace("203.0.113.7,", ""))?;
    ensure!(answer.status == 400, "{answer}");
    judge.guarded.site.logged("X-Forwarded-For names no client")?;
    let answer = send(&judge, &ENVOY.replace("/check/", "/checks/"))?;
    ensure!(answer.status == 400, "{answer}");
    // A name that cannot be a header's is nobody's: nor is the client's own word for it.
    let judge = Judge::new("envoy /check", "header=Variable-REMOTE_USER: j%01", lines)?;
    let answer = send(&judge, ENVOY)?;
    ensure!(answer.status == 200 && answer.header("Remote-User").is_none(), "{answer}");
    let removed = answer.header("x-envoy-auth-headers-to-remove");
    ensure!(removed == Some("x-level,x-groups,remote-user"), "{answer}");
    Ok(())
}

/// Traefik takes any 2xx, and sends everything else to the client as it is.
#[test]
fn traefik() -> Result<()> {
    let judge = Judge::new("forward", SESSION, "")?;
    let answer = send(&judge, TRAEFIK)?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{answer}");
    ensure!(answer.header("Remote-User") == Some("jane"), "{answer}");
    is_original(&judge)?;
    let answer = send(&judge, &TRAEFIK.replace("s=good", "s=bad"))?;
    ensure!(answer.status == 401, "{answer}");
    // A WebSocket's scheme is the one below it.
    let answer = send(&judge, &TRAEFIK.replace("Proto: https", "Proto: wss"))?;
    ensure!(answer.status == 200, "{answer}");
    Ok(())
}

/// Bodies of refusals come whole, and a connection carries several calls.
#[test]
fn refusals_with_bodies_on_one_connection() -> Result<()> {
    let judge = Judge::new("forward", "status=403&size=300000", "")?;
    let mut client = Client::connect(judge.guarded.site.root.other_port)?;
    for _ in 0..3 {
        client.send(TRAEFIK.as_bytes())?;
        let answer = client.response("GET")?;
        ensure!(
            answer.status == 403 && answer.body.len() == 300_000,
            "{}",
            answer.status
        );
    }
    Ok(())
}
