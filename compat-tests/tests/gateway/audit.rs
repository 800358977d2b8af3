//! A line for each decision.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use compat_tests::root::Root;
use compat_tests::site::basic;

use crate::judge::{Judge, SESSION};

/// The lines of a log, sorted, once there are so many.
fn lines(root: &Root, count: usize) -> Result<Vec<String>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut lines: Vec<String> =
            root.log("decisions").lines().map(str::to_owned).collect();
        // Those of several connections come in any order.
        lines.sort();
        if lines.len() >= count {
            ensure!(lines.len() == count, "{lines:#?}");
            return Ok(lines);
        }
        ensure!(Instant::now() < deadline, "{lines:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn who_what_and_why() -> Result<()> {
    let format =
        "GatewayLog logs/decisions \"%d %s %a %c %g %u %m %v%U %p %A %C %{X-Id}i\"";
    let more = "
        ServerName app.example.org
        <Location /kept>
            FastCgiAuthorizer {root}/virtual/auth -compat
            GatewayCacheKey cookie:s
            GatewayCacheTTL 60
        </Location>
        <Location /basic>
            AuthType Basic
            AuthName Realm
            AuthUserFile conf/users
            Require valid-user
        </Location>
        <Location /closed>
            Require all denied
        </Location>
        <Location /preflight>
            Require all denied
            GatewayPreflight On
        </Location>";
    let judge = Judge::new("nginx", SESSION, &format!("{format}{more}"))?;
    let good = "Cookie: s=good";
    judge.ask("GET /members/a?b=c", &[good, "X-Id: 1"])?;
    judge.ask("GET /members/a", &[])?;
    judge.ask("GET /kept", &[good])?;
    judge.ask("GET /kept", &[good])?;
    judge.ask("GET /basic", &[&basic("ann", "secret")])?;
    judge.ask("GET /basic", &[&basic("ann", "wrong")])?;
    judge.ask("GET /closed", &[])?;
    let preflight = ["Origin: a", "Access-Control-Request-Method: PUT"];
    judge.ask("OPTIONS /preflight", &preflight)?;
    judge.ask("GET /members%2fa", &[])?;
    judge.call("GET /", &[])?;
    let root = &judge.guarded.site.root;
    let gate = format!("{}/virtual/auth", root.path().display());
    let them = "203.0.113.7 127.0.0.1 nginx";
    let mut expected = [
        format!(
            "allow 200 {them} jane GET app.example.org/members/a?b=… authorization {gate} - 1"
        ),
        format!(
            "deny 401 {them} - GET app.example.org/members/a authorization {gate} - -"
        ),
        format!(
            "allow 200 {them} jane GET app.example.org/kept authorization {gate} miss -"
        ),
        format!(
            "allow 200 {them} jane GET app.example.org/kept authorization {gate} hit -"
        ),
        format!("allow 200 {them} ann GET app.example.org/basic authorization - - -"),
        format!("deny 401 {them} ann GET app.example.org/basic authentication - - -"),
        format!("deny 403 {them} - GET app.example.org/closed access - - -"),
        format!("allow 200 {them} - OPTIONS app.example.org/preflight preflight - - -"),
        format!("deny 404 {them} - GET app.example.org/members%2fa request - - -"),
        "deny 400 127.0.0.1 127.0.0.1 nginx - GET app.example.org/ request - - -"
            .to_owned(),
    ];
    expected.sort();
    let lines = lines(root, expected.len())?;
    ensure!(lines == expected, "{lines:#?}\n{expected:#?}");
    Ok(())
}

/// Decisions of our own: of sections with rules, whoever the client is.
#[test]
fn decisions_about_clients() -> Result<()> {
    let before = "GatewayLog logs/decisions
        ErrorDocument 404 /app/not-found
        <Location /app>
            FastCgiAuthorizer {root}/virtual/auth -compat
        </Location>";
    let judge = Judge::with("nginx", SESSION, "", before)?;
    let site = &judge.guarded.site;
    ensure!(site.ask("GET /app?env", &["Cookie: s=good"], b"")?.status == 200);
    ensure!(site.get("/app?env=secret")?.status == 401);
    // What was asked for was let in; its error document, which is not, is another matter.
    ensure!(site.get("/nothing")?.status == 404);
    let lines = lines(&site.root, 3)?;
    let gate = format!("{}/virtual/auth", site.root.path().display());
    let ends = [
        format!("\"jane\" \"GET www.example.org/app?…\" authorization \"{gate}\" - "),
        format!("\"-\" \"GET www.example.org/app?env=…\" authorization \"{gate}\" - "),
    ];
    let nothing =
        "Z allow 200 127.0.0.1 \"-\" \"GET www.example.org/nothing\" access \"-\" - ";
    ensure!(lines.iter().any(|line| line.contains(nothing)), "{lines:#?}");
    for (outcome, end) in ["allow 200", "deny 401"].iter().zip(&ends) {
        let middle = format!("Z {outcome} 127.0.0.1 {end}");
        let line = lines.iter().find(|line| line.contains(&middle));
        let Some(line) = line else { bail!("no {middle} in {lines:#?}") };
        let time = line.rsplit(' ').next().unwrap_or_default();
        ensure!(time.parse::<f64>().is_ok_and(|time| time < 10_000.0), "{line}");
    }
    Ok(())
}
