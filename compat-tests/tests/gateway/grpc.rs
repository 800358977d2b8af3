//! Envoy's `grpc_service`, called by Debian's gRPC for Python.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use compat_tests::front::ask;
use serde_json::{Value, json};

use crate::judge::{Judge, SESSION};

const CLIENT: &str = include_str!("grpc_client.py");
const H2: &str = "Protocols h2c http/1.1";

/// Makes calls of a port one after the other, on one connection.
fn call_port(port: u16, calls: &[Value]) -> Result<Vec<Value>> {
    let mut client = Command::new("/usr/bin/python3")
        .args(["-c", CLIENT, &format!("127.0.0.1:{port}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = client.stdin.take().context("no standard input")?;
    for call in calls {
        writeln!(input, "{call}")?;
    }
    drop(input);
    let output = client.wait_with_output()?;
    ensure!(output.status.success(), "the client failed (package python3-grpcio)");
    let text = String::from_utf8(output.stdout)?;
    let answers: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(answers.len() == calls.len(), "{text}");
    Ok(answers)
}

fn call(judge: &Judge, calls: &[Value]) -> Result<Vec<Value>> {
    call_port(judge.guarded.site.root.other_port, calls)
}

fn service(gate: &str, lines: &str) -> Result<Judge> {
    Judge::with("grpc", gate, lines, H2)
}

/// What Envoy says about a request of 203.0.113.7, with these fields and others over them.
fn said(headers: Value, other: &[(&str, Value)]) -> Value {
    let mut call = json!({
        "method": "POST", "path": "/members/a?b=c", "host": "app.example.org",
        "scheme": "https", "client": "203.0.113.7", "headers": headers,
    });
    for (name, value) in other {
        call[*name] = value.clone();
    }
    call
}

#[test]
fn consent() -> Result<()> {
    let lines = "GatewayHeader X-Level level\nGatewayHeader X-Groups groups
        GatewayPassHeader Set-Cookie
        Header always set X-Ours yes";
    let gate = format!("header=Set-Cookie: a%3Db&header=Set-Cookie: c%3Dd&{SESSION}");
    let judge = service(&gate, lines)?;
    let headers = json!({
        ":method": "POST", ":path": "/members/a?b=c", "cookie": "s=good",
        "x-forwarded-for": "198.51.100.9", "x-forwarded-proto": "http",
        "x-envoy-internal": "true", "x-original-uri": "/", "transfer-encoding": "chunked",
        "x-level": "forged", "x_groups": "forged",
    });
    let raw = json!({"cookie": "s=good"});
    let calls =
        [said(headers, &[("body", json!("secret=1"))]), said(json!({}), &[("raw", raw)])];
    for answer in call(&judge, &calls)? {
        ensure!(answer["code"] == 0 && answer.get("denied").is_none(), "{answer:#}");
        let mut headers: Vec<String> = answer["ok"]["headers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        headers.sort();
        // In the place of what clients sent under these names.
        let expected =
            [r#"["remote-user","jane",false]"#, r#"["x-groups","staff",false]"#];
        ensure!(headers == expected, "{answer:#}");
        ensure!(answer["ok"]["remove"] == json!(["x-level"]), "{answer:#}");
        let cookies = json!([["set-cookie", "a=b", true], ["set-cookie", "c=d", true]]);
        ensure!(answer["ok"]["response"] == cookies, "{answer:#}");
    }
    let calls = judge.guarded.calls("auth");
    ensure!(calls.len() == 2, "{} calls", calls.len());
    for (name, value) in [
        ("REQUEST_METHOD", Some("POST")),
        ("REQUEST_URI", Some("/members/a?b=c")),
        ("QUERY_STRING", Some("b=c")),
        ("SERVER_NAME", Some("app.example.org")),
        ("SERVER_PORT", Some("443")),
        ("HTTPS", Some("on")),
        ("REMOTE_ADDR", Some("203.0.113.7")),
        ("HTTP_HOST", Some("app.example.org")),
        ("HTTP_COOKIE", Some("s=good")),
        ("HTTP_X_FORWARDED_FOR", None),
        ("HTTP_X_ORIGINAL_URI", None),
        ("HTTP_X_ENVOY_INTERNAL", None),
        ("HTTP_X_LEVEL", None),
        ("HTTP_X_GROUPS", None),
        ("HTTP_TE", None),
        ("CONTENT_TYPE", None),
    ] {
        ensure!(calls[0].variable(name) == value, "{name}: {:?}", calls[0]);
    }
    Ok(())
}

/// What a message has no words for is not put into others, and nobody's to say: two users
/// would become one, or a client would name itself.
#[test]
fn names_that_cannot_be_told() -> Result<()> {
    let gate = "header=Variable-REMOTE_USER: j%f6rg&header=Variable-groups: staff";
    let judge = service(gate, "GatewayHeader X-Groups groups")?;
    let headers = json!({"remote-user": "admin"});
    let answer = call(&judge, &[said(headers, &[])])?.remove(0);
    ensure!(answer["code"] == 0, "{answer:#}");
    let told = json!([["x-groups", "staff", false]]);
    ensure!(answer["ok"]["headers"] == told, "{answer:#}");
    ensure!(answer["ok"]["remove"] == json!(["remote-user"]), "{answer:#}");
    judge.guarded.site.logged("\"Remote-User\" cannot be sent as a header")?;
    Ok(())
}

/// Status, fields and body of a refusal, redirects and long pages among them.
#[test]
fn refusals() -> Result<()> {
    for (gate, code, status, wanted) in [
        (
            "status=401&header=WWW-Authenticate: Basic realm%3D\"a\"&text=who?",
            16,
            401,
            json!(["www-authenticate", "Basic realm=\"a\"", false]),
        ),
        (
            "status=403&header=Content-Type: text/x&text=no",
            7,
            403,
            json!(["content-type", "text/x", false]),
        ),
        (
            "status=302&header=Location: /login%3Fback&text=to",
            7,
            302,
            json!(["location", "https://app.example.org/login?back", false]),
        ),
        (
            "status=429&header=Set-Cookie: a%3Db&header=Set-Cookie: c%3Dd&text=later",
            7,
            429,
            json!(["set-cookie", "c=d", true]),
        ),
    ] {
        let judge = service(gate, "")?;
        let answer = call(&judge, &[said(json!({}), &[])])?.remove(0);
        ensure!(
            answer["code"] == code && answer.get("ok").is_none(),
            "{gate}: {answer:#}"
        );
        let denied = &answer["denied"];
        ensure!(denied["status"] == status, "{gate}: {answer:#}");
        let headers = denied["headers"].as_array().context("no headers")?;
        ensure!(headers.contains(&wanted), "{gate}: {answer:#}");
        let names = ["date", "server", "content-length", "connection"];
        let own = |header: &&Value| names.iter().any(|name| header[0] == *name);
        ensure!(!headers.iter().any(|header| own(&header)), "{gate}: {answer:#}");
        let text = gate.rsplit("text=").next().unwrap_or_default();
        ensure!(denied["body"] == text, "{gate}: {answer:#}");
    }
    let judge = service("status=403&size=300000", "")?;
    for answer in call(&judge, &vec![said(json!({}), &[]); 3])? {
        let body = answer["denied"]["body"].as_str().unwrap_or_default();
        ensure!(body.len() == 300_000, "{}", body.len());
    }
    Ok(())
}

/// Our own rules, for the client that the message names, and an error document.
#[test]
fn refusals_of_our_own() -> Result<()> {
    let lines = "ErrorDocument 403 \"closed today\"
        <Location /closed>
            Require all denied
        </Location>
        <Location /network>
            Require ip 203.0.113.0/24
        </Location>";
    let judge = service(SESSION, lines)?;
    let at = |path: &str| said(json!({}), &[("path", json!(path))]);
    let calls = [at("/closed"), at("/network"), at("/network/%2e%2e/closed")];
    let answers = call(&judge, &calls)?;
    for answer in [&answers[0], &answers[2]] {
        ensure!(answer["denied"]["status"] == 403, "{answer:#}");
        ensure!(answer["denied"]["body"] == "closed today", "{answer:#}");
    }
    ensure!(answers[1]["code"] == 0, "{:#}", answers[1]);
    Ok(())
}

/// Without a decision there is no message: gRPC says that the service is not to be had.
#[test]
fn errors_are_no_decisions() -> Result<()> {
    for gate in ["close", "status=500", "status=abc", "sleep=5000"] {
        let judge = service(gate, "")?;
        let answer = call(&judge, &[said(json!({}), &[])])?.remove(0);
        ensure!(answer["error"] == "UNAVAILABLE", "{gate}: {answer:#}");
    }
    Ok(())
}

/// More fields than any request has.
fn crowd() -> Value {
    (0..40_000)
        .map(|i| (format!("x-{i}"), json!("")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn calls_that_say_too_little() -> Result<()> {
    let judge = service("", "")?;
    let empty = |name| said(json!({}), &[(name, json!(""))]);
    let calls = [
        empty("method"),
        empty("path"),
        empty("host"),
        empty("scheme"),
        empty("client"),
        said(json!({}), &[("path", json!("/members/a#b"))]),
        said(json!({}), &[("path", json!("members"))]),
        said(json!({}), &[("scheme", json!("ftp"))]),
        said(json!({}), &[("client", json!("/run/pipe"))]),
        said(json!({"a b": "c"}), &[]),
        said(json!({"a": "b\nc: d"}), &[]),
        json!({"hex": ""}),
        json!({"hex": "0a"}),
        json!({"hex": "ffffff"}),
        said(crowd(), &[]),
    ];
    for (call, answer) in calls.iter().zip(call(&judge, &calls)?) {
        // 400 in the words of gRPC.
        ensure!(answer["error"] == "INTERNAL", "{call}: {answer}");
    }
    let unknown =
        json!({"call": "/envoy.service.auth.v3.Authorization/Other", "hex": ""});
    let large = said(json!({}), &[("body", json!("x".repeat(5 << 20)))]);
    let answers = call(&judge, &[unknown, large])?;
    ensure!(answers[0]["error"] == "UNIMPLEMENTED", "{}", answers[0]);
    ensure!(answers[1].get("error").is_some(), "{}", answers[1]);
    ensure!(judge.calls() == 0, "{} calls", judge.calls());
    Ok(())
}

/// Callers that nobody named, and callers of another dialect: a status says no to each.
#[test]
fn nobody_else_is_answered() -> Result<()> {
    let lines = "GatewayTrust 192.0.2.1";
    let judge = service("", &format!("<Location /x>\n{lines}\n</Location>"))?;
    let other = judge.guarded.site.root.other_port;
    for fields in [
        &["X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.7"][..],
        &["Content-Type: application/grpc", "TE: trailers"],
    ] {
        for line in ["GET /members/a", "POST /envoy.service.auth.v3.Authorization/Check"]
        {
            let answer = ask(other, line, fields)?;
            ensure!(answer.status == 415, "{line}: {answer}");
        }
    }
    ensure!(judge.calls() == 0, "{} calls", judge.calls());

    let mut guarded = compat_tests::guarded::Guarded::new()?;
    guarded.gate("auth", "", "")?;
    guarded.serve(&format!(
        "{H2}\nListen 127.0.0.1:{{port2}}
        <VirtualHost 127.0.0.1:{{port2}}>
            GatewayService grpc
            GatewayTrust 192.0.2.1
            <Location /members>
                FastCgiAuthorizer {{root}}/virtual/auth -compat
            </Location>
        </VirtualHost>\n"
    ))?;
    let health = json!({"call": "/grpc.health.v1.Health/Check"});
    let answers =
        call_port(guarded.site.root.other_port, &[said(json!({}), &[]), health])?;
    for answer in answers {
        ensure!(answer["error"] == "PERMISSION_DENIED", "{answer}");
    }
    ensure!(guarded.calls("auth").is_empty());
    Ok(())
}

#[test]
fn health() -> Result<()> {
    let judge = service("", "")?;
    let of = |service: &str| json!({"call": "/grpc.health.v1.Health/Check", "service": service});
    let calls =
        [of(""), of("envoy.service.auth.v3.Authorization"), of("some.other.Service")];
    let answers = call(&judge, &calls)?;
    ensure!(answers[0]["serving"] == 1 && answers[1]["serving"] == 1, "{answers:?}");
    ensure!(answers[2].get("error").is_some(), "{answers:?}");
    ensure!(judge.calls() == 0);
    Ok(())
}

/// Kept answers, the audit log, and the counts know the dialect.
#[test]
fn kept_logged_and_counted() -> Result<()> {
    let admin = compat_tests::root::free_port()?;
    let lines = "GatewayLog logs/decisions \"%d %g %c %a %C\"
        <Location /members>
            GatewayCacheKey cookie:s
            GatewayCacheTTL 60
        </Location>";
    let before = format!("{H2}\nGatewayAdmin 127.0.0.1:{admin}");
    let judge = Judge::with("grpc", SESSION, lines, &before)?;
    let good = said(json!({"cookie": "s=good"}), &[]);
    let answers = call(&judge, &[good.clone(), good, said(json!({}), &[])])?;
    ensure!(answers[0] == answers[1], "{answers:?}");
    ensure!(judge.calls() == 2, "{} calls", judge.calls());
    let expected = "allow grpc 127.0.0.1 203.0.113.7 miss\n\
                    allow grpc 127.0.0.1 203.0.113.7 hit\n\
                    deny grpc 127.0.0.1 203.0.113.7 ";
    let log = judge.guarded.site.root.log("decisions");
    ensure!(log.starts_with(expected), "{log}");
    let text = ask(admin, "GET /metrics", &[])?.text();
    let sample = "gateway_decisions_total{dialect=\"grpc\",decision=\"allow\"} 2";
    ensure!(text.lines().any(|line| line == sample), "{text}");
    Ok(())
}
