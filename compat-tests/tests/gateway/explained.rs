//! `ExplainTrustedClient`: the way of one real request, told to who may ask.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::front::ask;
use compat_tests::guarded::Guarded;
use compat_tests::http::Client;
use compat_tests::root::free_port;
use compat_tests::site::basic;

const ASKS: &str = "X-FCGI-Explain: text";

/// A site with `/app` behind an authorizer; this machine's clients may ask.
fn site(trusted: &str, gate: &str, lines: &str) -> Result<Guarded> {
    let mut guarded = Guarded::new()?;
    guarded.gate("auth", gate, "")?;
    guarded.serve(&format!(
        "{trusted}
        CustomLog logs/access \"%s %U\"
        <Location /app/members>
            FastCgiAuthorizer {{root}}/virtual/auth -compat
            {lines}
        </Location>\n"
    ))?;
    Ok(guarded)
}

const TRUSTED: &str = "ExplainTrustedClient 192.0.2.1 127.0.0.0/8";

#[test]
fn the_way_of_a_request() -> Result<()> {
    let gate = "sleep=30&header=Variable-REMOTE_USER: jane&header=Variable-TIER: gold";
    let lines = "RewriteEngine On
        RewriteRule ^ - [E=WAY:rewritten]";
    let guarded = site(TRUSTED, gate, lines)?;
    let site = &guarded.site;
    let note = site.root.join("logs/app");
    let target = format!("GET /app/members?note={}&size=100000", note.display());
    let answer = site.ask(&target, &[ASKS], b"")?;
    ensure!(answer.status == 200, "{answer}");
    ensure!(answer.header("Content-Type") == Some("text/plain; charset=utf-8"));
    ensure!(answer.header("Cache-Control") == Some("no-store"), "{answer}");
    let text = answer.text();
    let conf = site.root.join("conf/httpd.conf").display().to_string();
    let line = |wanted: &str| -> Result<usize> {
        let conf = std::fs::read_to_string(site.root.join("conf/httpd.conf"))?;
        let found = conf.lines().position(|line| line.trim().starts_with(wanted));
        Ok(found.map_or(0, |index| index + 1))
    };
    for wanted in [
        "GET http://www.example.org/app/members?note=".to_owned(),
        "from 127.0.0.1\n".to_owned(),
        "no virtual host is for this address: the main server answers".to_owned(),
        format!("<Location /app/members>  {conf}:{}\n", line("<Location")?),
        format!(":{}\n", line("FastCgiAuthorizer")?),
        "mod_rewrite.c: ".to_owned(),
        "Asked as authorizer: ".to_owned(),
        "Asked as responder: ".to_owned(),
        "    TIER=gold\n".to_owned(),
        "    REMOTE_USER=jane\n".to_owned(),
        "    WAY=rewritten\n".to_owned(),
        "  handler: fastcgi-script\n".to_owned(),
        "  body: what the application sends, 100000 bytes\n".to_owned(),
    ] {
        ensure!(text.contains(&wanted), "no {wanted:?} in\n{text}");
    }
    ensure!(!text.contains("Assumed") && !text.contains("taken to answer"), "{text}");
    ensure!(!text.to_ascii_lowercase().contains("fcgi_explain"), "{text}");
    // The authorizer waits for 30 ms, and all of the request is longer than that.
    let times: Vec<f64> = text
        .match_indices("after ")
        .filter_map(|(at, mark)| {
            text[at + mark.len()..].split_once(" ms")?.0.parse().ok()
        })
        .collect();
    ensure!(times.iter().filter(|time| **time >= 30.0).count() >= 3, "{times:?}\n{text}");
    // It was a real one.
    ensure!(guarded.calls("auth").len() == 1);
    ensure!(site.root.log("app").lines().count() == 1);
    ensure!(!site.root.log("app").contains("EXPLAIN"), "{}", site.root.log("app"));
    logged(&guarded, "200 /app/members")?;
    // What an explanation wants to know is nothing for the error log.
    ensure!(!site.root.log("error_log").contains("rewrite:trace"));
    Ok(())
}

/// Waits for a line of the access log.
fn logged(guarded: &Guarded, line: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !guarded.site.root.log("access").lines().any(|found| found == line) {
        ensure!(Instant::now() < deadline, "{}", guarded.site.root.log("access"));
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[test]
fn for_programs() -> Result<()> {
    let guarded = site(TRUSTED, "status=403", "")?;
    let fields = ["X-FCGI-Explain: JSON", "Transfer-Encoding: chunked"];
    let mut client = Client::connect(guarded.site.root.port)?;
    let head = |line: &str| {
        format!("{line} HTTP/1.1\r\nHost: www.example.org\r\n{}\r\n", fields.join("\r\n"))
    };
    client.send((head("POST /app/members") + "\r\n0\r\n\r\n").as_bytes())?;
    let answer = client.response("POST")?;
    ensure!(answer.status == 200, "{answer}");
    ensure!(answer.header("Content-Type") == Some("application/json"), "{answer}");
    let value: serde_json::Value = serde_json::from_str(&answer.text())?;
    ensure!(value["answer"]["status"] == "401 Unauthorized", "{value:#}");
    ensure!(value["calls"][0]["role"] == "authorizer", "{value:#}");
    ensure!(value["calls"].as_array().map(Vec::len) == Some(1), "{value:#}");
    ensure!(value["calls"][0]["milliseconds"].as_f64().is_some_and(|ms| ms > 0.0));
    logged(&guarded, "401 /app/members")?;
    // The connection goes on, and a body whose length had to be counted is shown with it.
    client.send((head("POST /app?echo") + "\r\n5\r\nhello\r\n0\r\n\r\n").as_bytes())?;
    let value: serde_json::Value =
        serde_json::from_slice(&client.response("POST")?.body)?;
    let sent = value["calls"][0]["parameters"].to_string();
    ensure!(sent.contains("[\"CONTENT_LENGTH\",\"5\"]"), "{value:#}");
    ensure!(
        value["answer"]["body"] == "what the application sends, 5 bytes",
        "{value:#}"
    );
    Ok(())
}

/// From others the field is taken out, however it is spelled, and means nothing.
#[test]
fn who_may_not_ask() -> Result<()> {
    let all = [ASKS, "X_FCGI_Explain: json", "X.FCGI.Explain: json"];
    let guarded = site("ExplainTrustedClient 192.0.2.1", "", "")?;
    let text = guarded.site.ask("GET /app/members?env", &all, b"")?.text();
    ensure!(text.contains("QUERY_STRING=env\n") && !text.contains("EXPLAIN"), "{text}");
    guarded.site.logged("127.0.0.1 is not named by ExplainTrustedClient")?;

    let guarded = site(TRUSTED, "", "")?;
    for field in [
        "X-Forwarded-For: 192.0.2.1",
        "Via: 1.1 proxy",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 192.0.2.1",
    ] {
        let text = guarded.site.ask("GET /app/members?env", &[ASKS, field], b"")?.text();
        ensure!(
            text.contains("QUERY_STRING=env\n") && !text.contains("EXPLAIN"),
            "{text}"
        );
    }
    guarded.site.logged_times("it comes from a proxy: it has the field", 4)?;
    // The configuration knows the field of its own proxy.
    let named = format!("{TRUSTED}\nRemoteIPHeader X-Of-The-Balancer");
    let behind = site(&named, "", "")?;
    for field in ["X-Of-The-Balancer: 192.0.2.1", "Some-Client-IP: 192.0.2.1"] {
        let text = behind.site.ask("GET /app/members?env", &[ASKS, field], b"")?.text();
        ensure!(text.contains("QUERY_STRING=env\n"), "{text}");
    }
    behind.site.logged_times("it comes from a proxy: it has the field", 2)?;
    // Nor what does not say how, or has no room for it.
    for field in ["X-FCGI-Explain: html", "X_FCGI_Explain: text"] {
        let text = guarded.site.ask("GET /app/members?env", &[field], b"")?.text();
        ensure!(text.contains("QUERY_STRING=env\n"), "{text}");
    }
    let twice = [ASKS, ASKS];
    let text = guarded.site.ask("GET /app/members?env", &twice, b"")?.text();
    ensure!(text.contains("QUERY_STRING=env\n"), "{text}");
    let answer = guarded.site.ask("HEAD /app/members?size=7", &[ASKS], b"")?;
    ensure!(answer.header("X-Content-Type-Options").is_none(), "{answer}");

    // Without the directive the field is one like any other.
    let guarded = site("", "", "")?;
    let text = guarded.site.ask("GET /app/members?env", &[ASKS], b"")?.text();
    ensure!(text.contains("HTTP_X_FCGI_EXPLAIN=text\n"), "{text}");
    Ok(())
}

/// A client that a PROXY header reports is not the one that connects.
#[test]
fn not_behind_a_proxy_header() -> Result<()> {
    let mut guarded = Guarded::new()?;
    guarded.serve(&format!("{TRUSTED}\nRemoteIPProxyProtocol On\n"))?;
    let mut client = Client::connect(guarded.site.root.port)?;
    let request = format!("GET /app?env HTTP/1.1\r\nHost: a\r\n{ASKS}\r\n\r\n");
    client.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 80\r\n")?;
    client.send(request.as_bytes())?;
    let text = client.response("GET")?.text();
    ensure!(text.contains("QUERY_STRING=env\n"), "{text}");
    guarded.site.logged("a proxy that reports another client")?;
    Ok(())
}

/// A caller takes 200 for consent: it gets its answer and nothing else.
#[test]
fn callers_get_decisions() -> Result<()> {
    let judge = crate::judge::Judge::with("nginx", crate::judge::SESSION, "", TRUSTED)?;
    let answer = judge.ask("GET /members/a", &[ASKS])?;
    ensure!(answer.status == 401 && answer.body.is_empty(), "{answer}");
    // Nor does a call that is none get more than its refusal.
    let answer = judge.call("GET /", &[ASKS])?;
    ensure!(answer.status == 403 && answer.body.is_empty(), "{answer}");
    Ok(())
}

#[test]
fn secrets_are_not_told() -> Result<()> {
    let lines = "SetEnv DB_PASSWORD hunter22
        RequestHeader set X-Api-Key 0123abcd
        AuthType Basic
        AuthName Realm
        AuthUserFile conf/users
        Require valid-user
        RewriteEngine On
        <If \"%{HTTP:X-Token} == 'guess-77'\">
            SetEnv GUESSED yes
        </If>
        RewriteCond %{HTTP_COOKIE} session=(.*)
        RewriteRule ^ - [E=SEEN:%1]";
    let gate = "header=Variable-REMOTE_USER: ann&header=Variable-TOKEN: tok-5150\
                &header=Variable-PIN_TOKEN: 7q!";
    let guarded = site(TRUSTED, gate, lines)?;
    let fields = [ASKS, &basic("ann", "secret"), "Cookie: session=deadbeef; b=c"];
    let target = "GET /app/members?header=Set-Cookie:+renewed%3Dfeedface&text=x";
    for ask in ["X-FCGI-Explain: text", "X-FCGI-Explain: json"] {
        let fields = [ask, fields[1], fields[2], "X-Token: guess-77"];
        let text = guarded.site.ask(target, &fields, b"")?.text();
        // What the client itself wrote into the URL is shown.
        let text = text.replace("renewed%3Dfeedface", "");
        let encoded = fields[1].rsplit(' ').next().unwrap_or_default();
        for secret in [
            "hunter22", "0123abcd", "deadbeef", "feedface", "tok-5150", "7q!",
            "guess-77", "{SHA}", encoded,
        ] {
            ensure!(!text.contains(secret), "{secret} in\n{text}");
        }
        for shown in ["DB_PASSWORD", "BLANKED", "HTTP_COOKIE", "valid-user", "GUESSED"] {
            ensure!(text.contains(shown), "no {shown} in\n{text}");
        }
    }
    // Applications got what they are to get.
    let text = guarded.site.ask("GET /app/members?env", &fields[1..], b"")?.text();
    ensure!(text.contains("DB_PASSWORD=hunter22\n"), "{text}");
    ensure!(text.contains("SEEN=deadbeef; b=c\n"), "{text}");
    Ok(())
}

/// Files, redirects, errors before the phases, filters, and the gateway's own listener.
#[test]
fn every_kind_of_answer() -> Result<()> {
    let admin = free_port()?;
    let mut guarded = Guarded::new()?;
    guarded.site.root.write("htdocs/page.html", "words ".repeat(1000).as_bytes())?;
    guarded.serve(&format!(
        "{TRUSTED}
        GatewayAdmin 127.0.0.1:{admin}
        SetOutputFilter DEFLATE
        Redirect /old /new
        ErrorDocument 404 /app?text=lost\n"
    ))?;
    for (line, fields, wanted) in [
        (
            "GET /page.html",
            &[ASKS][..],
            &["200 OK", "body: the file ", ", 6000 bytes"][..],
        ),
        ("GET /page.html", &[ASKS, "Accept-Encoding: gzip"], &["Content-Encoding: gzip"]),
        ("GET /old", &[ASKS], &["302 Found", "Location: http://www.example.org"]),
        ("GET /none", &[ASKS], &["404 Not Found", "/app?text=lost", "the application"]),
        ("GET /%zz", &[ASKS], &["400 Bad Request"]),
        ("BREW /page.html", &[ASKS], &["501 Not Implemented"]),
        ("GET /page.html", &[ASKS, "Range: bytes=0-9"], &["206 Partial Content"]),
    ] {
        let answer = guarded.site.ask(line, fields, b"")?;
        let text = answer.text();
        ensure!(answer.status == 200, "{line}: {answer}");
        for wanted in wanted {
            ensure!(text.contains(wanted), "{line}: no {wanted} in\n{text}");
        }
    }
    ensure!(ask(admin, "GET /health", &[ASKS])?.text().contains("200 OK"));
    Ok(())
}
