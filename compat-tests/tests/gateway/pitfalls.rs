//! What went wrong with gateways like this one before: each test is named after it.

use anyhow::{Result, ensure};
use compat_tests::http::Client;
use compat_tests::site::{basic, variable};

use crate::judge::{Judge, SESSION};

const GOOD: &str = "Cookie: s=good";

/// GHSA-7r4p-vjf4-gxv4: what the application does not say, the client must not say instead.
#[test]
fn a_client_header_survives_when_the_application_is_silent() -> Result<()> {
    let lines = "GatewayHeader X-Groups groups";
    let judge = Judge::new("forward", "", lines)?;
    let answer =
        judge.ask("GET /members/a", &["X-Groups: admin", "Remote-User: root"])?;
    ensure!(answer.status == 200, "{answer}");
    ensure!(answer.header("X-Groups").is_none(), "{answer}");
    ensure!(answer.header("Remote-User").is_none(), "{answer}");
    let calls = judge.guarded.calls("auth");
    ensure!(calls[0].variable("HTTP_X_GROUPS").is_none(), "{calls:?}");
    Ok(())
}

/// GHSA-f59h-q822-g45g, CVE-2025-64484, CVE-2026-39858.
#[test]
fn other_spellings_become_the_same_variable() -> Result<()> {
    let lines = "GatewayHeader X-Groups groups";
    let judge = Judge::new("forward", "", lines)?;
    let spellings =
        ["X_Groups: a", "X.Groups: a", "x-groups: a", "X!Groups: a", "X~Groups: a"];
    judge.ask("GET /members/a", &spellings)?;
    // These could pass for the facts themselves.
    let aliases = ["X_Forwarded_Uri: /open", "X.Forwarded.Uri: /open", GOOD];
    judge.ask("GET /members/b", &aliases)?;
    let calls = judge.guarded.calls("auth");
    ensure!(calls[0].variable("HTTP_X_GROUPS").is_none(), "{calls:?}");
    ensure!(calls[1].variable("HTTP_X_FORWARDED_URI").is_none(), "{calls:?}");
    ensure!(calls[1].variable("REQUEST_URI") == Some("/members/b"), "{calls:?}");
    Ok(())
}

#[test]
fn variables_of_a_phase_override_facts() -> Result<()> {
    let gate = "header=Variable-SCRIPT_FILENAME:+/etc/passwd&header=Variable-REMOTE_ADDR:+::1\
                &header=Variable-HTTPS:+off&header=Variable-DOCUMENT-ROOT:+/etc\
                &header=Variable-HTTP_PROXY:+http://evil/&header=Variable-level:+7";
    let mut judge = Judge::new("forward", gate, "")?;
    let answer = judge.ask("GET /members/a", &[])?;
    let told: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    let variables = told.iter().filter(|name| name.starts_with("Variable-"));
    ensure!(variables.eq(&["Variable-level"]), "{answer}");
    judge.guarded.site.logged_times("which the server says itself", 5)?;

    // The same before an application of ours.
    let site = &mut judge.guarded.site;
    let conf = std::fs::read_to_string(site.root.join("conf/httpd.conf"))?;
    let conf = conf
        + &site.root.fill(
            "<Location /app>\nFastCgiAuthorizer {root}/virtual/auth\n</Location>\n",
        );
    site.root.write("conf/httpd.conf", conf.as_bytes())?;
    site.signal(nix::sys::signal::Signal::SIGHUP)?;
    site.logged("resuming normal operations")?;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let text = loop {
        let text = site.get("/app?env")?.text();
        if variable(&text, "level") == Some("7") {
            break text;
        }
        ensure!(std::time::Instant::now() < deadline, "{text}");
    };
    for wrong in
        ["/etc/passwd", "DOCUMENT_ROOT=/etc", "HTTPS", "HTTP_PROXY", "REMOTE_ADDR=::1"]
    {
        ensure!(!text.contains(wrong), "{wrong}: {text}");
    }
    Ok(())
}

/// Of the client's field and the application's variable of that name there is one: the
/// application's.
#[test]
fn two_values_of_one_name() -> Result<()> {
    let lines = "<Location /members>
        FastCgiAccessChecker {root}/virtual/first -compat
    </Location>";
    let before = "";
    let mut guarded = compat_tests::guarded::Guarded::new()?;
    guarded.gate("first", "header=Variable-HTTP_X_LEVEL:+7", "")?;
    guarded.gate("auth", "", "")?;
    guarded.serve(&format!(
        "{before}<Location /app>\nFastCgiAuthorizer {{root}}/virtual/auth\n</Location>\n{}",
        lines.replace("/members", "/app")
    ))?;
    let fields = ["X-Level: 9", "X_Level: 9", "X.Level: 9"];
    let text = guarded.site.ask("GET /app?env", &fields, b"")?.text();
    ensure!(text.matches("X_LEVEL=").count() == 1, "{text}");
    ensure!(variable(&text, "HTTP_X_LEVEL") == Some("7"), "{text}");
    let calls = guarded.calls("auth");
    ensure!(calls[0].variable("HTTP_X_LEVEL") == Some("7"), "{calls:?}");
    Ok(())
}

/// shibauthorizer lets everybody in that it is not told the URI of: it is not asked then.
#[test]
fn a_missing_uri_lets_everybody_in() -> Result<()> {
    let judge = Judge::new("forward", "", "")?;
    let complete = [
        "X-Forwarded-Method: GET",
        "X-Forwarded-Uri: /members/a",
        "X-Forwarded-Host: app.example.org",
        "X-Forwarded-Proto: https",
        "X-Forwarded-For: 203.0.113.7",
    ];
    ensure!(judge.call("GET /", &complete)?.status == 200);
    for missing in complete {
        let (name, _) = missing.split_once(':').unwrap_or_default();
        let some: Vec<&str> =
            complete.iter().filter(|field| **field != missing).copied().collect();
        let answer = judge.call("GET /", &some)?;
        ensure!(answer.status == 400, "{name}: {answer}");
        judge.guarded.site.logged(&format!("{name} is missing"))?;
        let empty = format!("{name}:");
        let answer = judge.call("GET /", &[&some[..], &[&empty]].concat())?;
        ensure!(answer.status == 400, "{name}: {answer}");
    }
    ensure!(judge.calls() == 1, "{} calls", judge.calls());
    Ok(())
}

/// shibauthorizer ends without SERVER_NAME and its like; and if one ends, nobody is let in.
#[test]
fn an_application_that_crashes() -> Result<()> {
    let judge = Judge::new("forward", "", "")?;
    judge.ask("GET /members/a", &[])?;
    let calls = judge.guarded.calls("auth");
    for (name, value) in [
        ("SERVER_NAME", "app.example.org"),
        ("SERVER_PORT", "443"),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/members/a"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
    ] {
        ensure!(calls[0].variable(name) == Some(value), "{name}: {calls:?}");
    }
    let judge = Judge::new("forward", "exit=1", "")?;
    for _ in 0..2 {
        let answer = judge.ask("GET /members/a", &[])?;
        ensure!(answer.status == 500, "{answer}");
    }
    // Half of an answer is no consent.
    for gate in ["stdout=Status: 200", "text=x&raw=ffffffffffffffff", "close"] {
        let judge = Judge::new("forward", gate, "")?;
        let answer = judge.ask("GET /members/a", &[])?;
        ensure!(answer.status == 500, "{gate}: {answer}");
    }
    Ok(())
}

/// CVE-2019-9901, CVE-2021-29492, GHSA-pxq7-h93f-9jrg.
#[test]
fn paths_that_others_read_differently() -> Result<()> {
    let lines = "<Location /public>\nRequire all granted\n</Location>";
    let judge = Judge::new("forward", "status=403", lines)?;
    ensure!(judge.ask("GET /public/a", &[])?.status == 200);
    for path in [
        "/members/a",
        "//members/a",
        "/members//a",
        "/public/../members/a",
        "/public/%2e%2e/members/a",
        "/public/%2E./members/a",
        "/public/./../members/a",
        "/%6dembers/a",
        "/public/..%2fmembers/a",
        "/public%2f..%2fmembers/a",
        "/public/%00/../../members/a",
        "/public#/../members/a",
        "/public/../../members/a",
        "/public/%zz",
        "members/a",
        "http://app.example.org/members/a",
        "*",
    ] {
        let answer = judge.ask(&format!("GET {path}"), &[])?;
        ensure!((400..500).contains(&answer.status), "{path}: {answer}");
    }
    Ok(())
}

/// traefik#7559: what a client says about rewriting is nothing.
#[test]
fn rewrites_after_the_decision() -> Result<()> {
    let lines = "<Location /public>\nRequire all granted\n</Location>";
    let judge = Judge::new("forward", "status=403", lines)?;
    let forged = [
        "X-Forwarded-Prefix: /public",
        "X-Replaced-Path: /public",
        "X-Original-Url: /public",
        "X-Original-Uri: /public",
        "X-Rewrite-Url: /public",
    ];
    let answer = judge.ask("GET /members/a", &forged)?;
    ensure!(answer.status == 403, "{answer}");
    let calls = judge.guarded.calls("auth");
    for name in ["HTTP_X_FORWARDED_PREFIX", "HTTP_X_REPLACED_PATH", "HTTP_X_ORIGINAL_URL"]
    {
        ensure!(calls[0].variable(name).is_none(), "{name}: {calls:?}");
    }
    // Behind our own rewriting the phases are those of where it leads.
    let lines = "RewriteEngine On\nRewriteRule ^/short /members/a [PT]";
    let judge = Judge::new("forward", "status=403", lines)?;
    let answer = judge.ask("GET /short", &[])?;
    ensure!(answer.status == 403 && judge.calls() == 1, "{answer}");
    Ok(())
}

/// GHSA-7x63-xv5r-3p2x, traefik#4036, CVE-2023-27487.
#[test]
fn forwarded_fields_of_clients_are_believed() -> Result<()> {
    let lines = "<Location /public>\nRequire all granted\n</Location>
        <Location /local>\nRequire ip 127.0.0.1\n</Location>";
    let judge = Judge::new("nginx", "status=403", lines)?;
    // Those of another dialect, which this caller does not set.
    let forged = [
        "X-Forwarded-Uri: /public",
        "X-Forwarded-Method: OPTIONS",
        "X-Forwarded-For: 127.0.0.1",
        "X-Envoy-Original-Path: /public",
        "Forwarded: for=127.0.0.1;host=x",
    ];
    ensure!(judge.ask("GET /members/a", &forged)?.status == 403);
    ensure!(judge.ask("GET /local", &forged)?.status == 403);
    ensure!(judge.ask("GET /public", &forged)?.status == 204);
    // Twice is not once.
    for twice in ["X-Original-URI: /public", "X-Real-IP: 127.0.0.1"] {
        let answer = judge.ask("GET /members/a", &[twice])?;
        ensure!(answer.status == 403, "{twice}: {answer}");
        judge.guarded.site.logged("comes more than once")?;
    }
    ensure!(judge.calls() == 1, "{} calls", judge.calls());
    // On the port of clients they mean nothing at all.
    judge.guarded.site.root.write("htdocs/private/a", b"a file\n")?;
    let answer = judge.guarded.site.ask("GET /private/a", &forged, b"")?;
    ensure!(answer.body == b"a file\n", "{answer}");
    Ok(())
}

/// GHSA-5hvv-m4w4-gf6v.
#[test]
fn a_health_check_by_its_user_agent() -> Result<()> {
    let judge = Judge::new("forward", "status=403", "")?;
    for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"] {
        let agent = format!("User-Agent: {agent}");
        ensure!(judge.ask("GET /members/a", &[&agent])?.status == 403);
        for path in ["/health", "/ready", "/ping", "/metrics", "/purge"] {
            let answer = judge.call(&format!("GET {path}"), &[&agent])?;
            ensure!(answer.status == 400, "{path}: {answer}");
        }
    }
    Ok(())
}

/// CVE-2021-32777: of repeated fields all count.
#[test]
fn repeated_fields() -> Result<()> {
    let judge = Judge::new("forward", "", "")?;
    let fields = ["X-Role: guest", "X-Role: admin", "Cookie: a=1", "Cookie: b=2"];
    judge.ask("GET /members/a", &fields)?;
    let calls = judge.guarded.calls("auth");
    ensure!(calls[0].variable("HTTP_X_ROLE") == Some("guest, admin"), "{calls:?}");
    let cookies = calls[0].variable("HTTP_COOKIE").unwrap_or_default();
    ensure!(cookies.contains("a=1") && cookies.contains("b=2"), "{calls:?}");
    Ok(())
}

/// Traefik's hop-by-hop fields: no client says which of ours go.
#[test]
fn connection_names_a_field() -> Result<()> {
    let lines = "<Location /local>\nRequire ip 127.0.0.1\n</Location>";
    let judge = Judge::new("forward", SESSION, lines)?;
    let named = "Connection: X-Forwarded-For, X-Forwarded-Uri, Cookie, Upgrade";
    let upgrade = "Upgrade: websocket";
    let answer = judge.ask("GET /members/a", &[GOOD, named, upgrade])?;
    ensure!(answer.status == 200, "{answer}");
    ensure!(judge.ask("GET /local", &[named])?.status == 403);
    let calls = judge.guarded.calls("auth");
    ensure!(calls[0].variable("REMOTE_ADDR") == Some("203.0.113.7"), "{calls:?}");
    ensure!(calls[0].variable("HTTP_UPGRADE").is_none(), "{calls:?}");
    Ok(())
}

/// httpoxy.
#[test]
fn proxy_becomes_http_proxy() -> Result<()> {
    let judge = Judge::new("forward", "", "")?;
    judge.ask("GET /members/a", &["Proxy: http://evil.example/"])?;
    let calls = judge.guarded.calls("auth");
    ensure!(calls[0].variable("HTTP_PROXY").is_none(), "{calls:?}");
    Ok(())
}

/// Neither what a caller sends nor what an application says is read without end.
#[test]
fn bodies_without_end() -> Result<()> {
    let judge = Judge::new("forward", SESSION, "")?;
    let mut client = Client::connect(judge.guarded.site.root.other_port)?;
    client.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\
          X-Forwarded-Method: POST\r\nX-Forwarded-Uri: /members/a\r\n\
          X-Forwarded-Host: app.example.org\r\nX-Forwarded-Proto: https\r\n\
          X-Forwarded-For: 203.0.113.7\r\nCookie: s=good\r\n\r\n",
    )?;
    // The answer comes long before the end of that, and the end of the connection with it.
    client.send(&vec![b'x'; 1 << 20])?;
    let answer = client.response("POST")?;
    ensure!(answer.status == 200, "{answer}");
    ensure!(answer.header("Connection") == Some("close"), "{answer}");
    let calls = judge.guarded.calls("auth");
    ensure!(calls[0].variable("CONTENT_LENGTH").is_none(), "{calls:?}");

    let judge = Judge::new("forward", "status=200&size=3000000", "")?;
    let answer = judge.ask("GET /members/a", &[])?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{}", answer.status);
    let judge = Judge::new("forward", "headers=20000 X-Long: 1234567890", "")?;
    let answer = judge.ask("GET /members/a", &[])?;
    ensure!(answer.status == 500, "{answer}");
    Ok(())
}

/// apisix#10805: only where the configuration says so.
#[test]
fn options_of_a_preflight() -> Result<()> {
    let preflight = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"];
    let judge = Judge::new("forward", "status=403", "")?;
    ensure!(judge.ask("OPTIONS /members/a", &preflight)?.status == 403);
    let lines = "<Location /members>\nGatewayPreflight On\n</Location>";
    let judge = Judge::new("forward", "status=403", lines)?;
    let answer = judge.ask("OPTIONS /members/a", &preflight)?;
    ensure!(answer.status == 200 && judge.calls() == 0, "{answer}");
    ensure!(judge.ask("OPTIONS /members/a", &preflight[..1])?.status == 403);
    ensure!(judge.ask("PUT /members/a", &preflight)?.status == 403);
    Ok(())
}

#[test]
fn a_cookie_is_lost_with_consent() -> Result<()> {
    let gate = "header=Set-Cookie: a%3D1&header=Set-Cookie: b%3D2&header=X-Other: x";
    let judge = Judge::new("forward", gate, "")?;
    let answer = judge.ask("GET /members/a", &[])?;
    ensure!(answer.header("Set-Cookie").is_none(), "{answer}");
    let judge = Judge::new("forward", gate, "GatewayPassHeader Set-Cookie")?;
    let answer = judge.ask("GET /members/a", &[])?;
    let cookies = answer.headers.iter().filter(|(name, _)| name == "Set-Cookie");
    ensure!(cookies.map(|(_, value)| value).eq(["a=1", "b=2"]), "{answer}");
    ensure!(answer.header("X-Other").is_none(), "{answer}");
    Ok(())
}

/// An error document is no second opinion, and no way around the first one.
#[test]
fn error_documents_let_somebody_in() -> Result<()> {
    let lines = "ErrorDocument 403 /app?status=200
        ErrorDocument 401 /app?status=204
        ErrorDocument 404 /members/secret.txt
        <Location /app>
            Require all granted
        </Location>";
    let root_lines = format!("DocumentRoot {{root}}/htdocs\n{lines}");
    for (gate, status) in [("status=403", 403), ("status=401", 401), ("status=500", 500)]
    {
        for dialect in ["nginx", "forward", "envoy"] {
            let judge = Judge::new(dialect, gate, &root_lines)?;
            let site = &judge.guarded.site;
            ensure!(
                judge.ask("GET /members/a", &[])?.status == status,
                "{dialect} {gate}: {}",
                site.root.log("error_log")
            );
        }
    }
    // The same for a gate that speaks in the server's words.
    let lines = root_lines
        + "
        <Location /plain>
            FastCgiAuthorizer {root}/virtual/auth
        </Location>
        <Location /closed>
            Require all denied
        </Location>";
    for dialect in ["nginx", "forward", "envoy"] {
        let judge = Judge::new(dialect, "status=403", &lines)?;
        let me = basic("ann", "x");
        for path in ["/plain", "/closed"] {
            let answer = judge.ask(&format!("GET {path}"), &[&me])?;
            ensure!((400..404).contains(&answer.status), "{dialect} {path}: {answer}");
        }
    }
    // On the port of clients: a page for errors is behind its own section's authorizer.
    let judge = Judge::with(
        "forward",
        "status=403",
        "",
        "ErrorDocument 404 /members/secret.txt
         <Location /members>\nFastCgiAuthorizer {root}/virtual/auth -compat\n</Location>",
    )?;
    judge.guarded.site.root.write("htdocs/members/secret.txt", b"secret\n")?;
    let answer = judge.guarded.site.get("/nothing")?;
    ensure!(!answer.text().contains("secret\n"), "{answer}");
    Ok(())
}

/// At no level, in no log.
#[test]
fn secrets_in_logs() -> Result<()> {
    let lines = "LogLevel trace8
        GatewayLog logs/decisions
        GatewayLog logs/more \"%{Cookie}i %{Authorization}i %{X-Api-Token}i %U %{Referer}i\"
        <Location /basic>
            AuthType Basic
            AuthName Realm
            FastCgiAuthenticator {root}/virtual/auth
        </Location>";
    let judge = Judge::new("forward", "status=403&stderr=words", lines)?;
    let me = basic("ann", "hunter2");
    let fields = [
        &*me,
        "Cookie: session=hunter2",
        "X-Api-Token: hunter2",
        "Referer: https://a.example/?token=elsewhere",
    ];
    judge.ask("GET /basic/a?password=hunter2&hunter2", &fields)?;
    judge.ask("GET /members/a?password=hunter2", &fields)?;
    let root = &judge.guarded.site.root;
    let token = me.rsplit(' ').next().unwrap_or_default();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while root.log("more").lines().count() < 2 {
        ensure!(std::time::Instant::now() < deadline, "{}", root.log("more"));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    for log in ["error_log", "decisions", "more"] {
        let text = root.log(log);
        ensure!(!text.is_empty(), "{log}");
        ensure!(!text.contains("hunter2") && !text.contains(token), "{log}: {text}");
    }
    ensure!(
        root.log("more")
            .contains("… … … /basic/a?password=…&… https://a.example/?token=…"),
        "{}",
        root.log("more")
    );
    Ok(())
}
