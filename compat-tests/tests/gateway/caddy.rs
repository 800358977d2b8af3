//! Real Caddy with `forward_auth` before us.

use anyhow::{Result, ensure};
use compat_tests::front::Front;
use compat_tests::site::variable;

use crate::judge::{Judge, SESSION};

const SITE: &str = "
    route {
        forward_auth 127.0.0.1:{port2} {
            uri /
            copy_headers Remote-User Variable-Groups>X-Groups
        }
        rewrite * /app?env
        reverse_proxy 127.0.0.1:{port}
    }
";

#[test]
fn who_is_let_in_and_who_is_not() -> Result<()> {
    let judge = Judge::new("forward", SESSION, "")?;
    let site = &judge.guarded.site;
    let caddy = Front::caddy(&site.root, SITE)?;
    let spoofed = ["Cookie: s=good", "Remote-User: forged", "X-Groups: forged"];
    let answer = caddy.ask("PUT /members/a?b=c", &spoofed)?;
    let text = answer.text();
    ensure!(answer.status == 200, "{answer}\n{}", site.root.log("error_log"));
    ensure!(variable(&text, "HTTP_REMOTE_USER") == Some("jane"), "{text}");
    ensure!(variable(&text, "HTTP_X_GROUPS") == Some("staff"), "{text}");
    let call = &judge.guarded.calls("auth")[0];
    for (name, value) in [
        ("REQUEST_METHOD", "PUT"),
        ("REQUEST_URI", "/members/a?b=c"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REQUEST_SCHEME", "http"),
        ("SERVER_NAME", "www.example.org"),
    ] {
        ensure!(call.variable(name) == Some(value), "{name}: {call:?}");
    }
    let answer = caddy.ask("GET /members/a", &["Cookie: s=bad"])?;
    ensure!(answer.status == 401 && !answer.text().contains("HTTP_"), "{answer}");
    Ok(())
}

/// Caddy hands on what is said to a refusal: status, fields, body.
#[test]
fn a_refusal_in_the_applications_own_words() -> Result<()> {
    let gate = "status=302&header=Location: /login&header=Set-Cookie: relay%3D1\
                &text=log in first";
    let judge = Judge::new("forward", gate, "")?;
    let caddy = Front::caddy(&judge.guarded.site.root, SITE)?;
    let answer = caddy.ask("GET /members/a", &["Host: app.example.org"])?;
    ensure!(answer.status == 302, "{answer}");
    ensure!(
        answer.header("Location") == Some("http://app.example.org/login"),
        "{answer}"
    );
    ensure!(answer.header("Set-Cookie") == Some("relay=1"), "{answer}");
    ensure!(answer.body == b"log in first", "{answer}");
    Ok(())
}

#[test]
fn errors_let_nobody_in() -> Result<()> {
    for (gate, status) in [("exit=1", 500), ("sleep=4000", 500), ("status=204", 403)] {
        let judge = Judge::new("forward", gate, "")?;
        let caddy = Front::caddy(&judge.guarded.site.root, SITE)?;
        let answer = caddy.ask("GET /members/a", &["Cookie: s=good"])?;
        ensure!(answer.status == status, "{gate}: {answer}");
        ensure!(!answer.text().contains("HTTP_COOKIE"), "{gate}: {answer}");
    }
    // A client of Caddy cannot say who it is: Caddy says that itself.
    let lines = "<Location /local>\nRequire ip 203.0.113.7\n</Location>";
    let judge = Judge::new("forward", SESSION, lines)?;
    let caddy = Front::caddy(&judge.guarded.site.root, SITE)?;
    let forged = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Uri: /open"];
    ensure!(caddy.ask("GET /local", &forged)?.status == 403);
    ensure!(judge.ask("GET /local", &[])?.status == 200);
    Ok(())
}
