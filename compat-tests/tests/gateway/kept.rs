//! Answers of authorizers that are kept.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::front::ask;
use compat_tests::site::basic;
use nix::sys::signal::Signal;

use crate::judge::Judge;

fn lines(key: &str, ttl: &str) -> String {
    format!(
        "<Location /members>\nGatewayCacheKey {key}\nGatewayCacheTTL {ttl}\n</Location>"
    )
}

/// How often the application is asked for two requests after each other.
fn asked(judge: &Judge, first: &[&str], second: &[&str]) -> Result<usize> {
    let before = judge.calls();
    judge.ask("GET /members/a", first)?;
    judge.ask("GET /members/b", second)?;
    Ok(judge.calls() - before)
}

#[test]
fn one_question_for_one_key() -> Result<()> {
    let gate = "header=Variable-REMOTE_USER: jane";
    let judge = Judge::new("forward", gate, &lines("cookie:s", "60"))?;
    let answer = judge.ask("GET /members/a", &["Cookie: s=1"])?;
    ensure!(answer.header("Remote-User") == Some("jane"), "{answer}");
    let again = judge.ask("GET /members/b?c", &["Cookie: other=2; s=1"])?;
    ensure!(
        again.status == 200 && again.header("Remote-User") == Some("jane"),
        "{again}"
    );
    ensure!(judge.calls() == 1, "{} calls", judge.calls());
    Ok(())
}

/// Whatever tells users apart tells their answers apart, and where that is missing nothing
/// is kept.
#[test]
fn nothing_is_shared_between_users() -> Result<()> {
    let judge = Judge::new("forward", "", &lines("cookie:s", "60"))?;
    for (i, (first, second)) in [
        (vec!["Cookie: s=1"], vec!["Cookie: s=2"]),
        (vec![], vec![]),
        (vec!["Cookie: t=1"], vec!["Cookie: t=1"]),
        (vec!["Cookie: s=3; s=4"], vec!["Cookie: s=3; s=4"]),
        (vec!["Cookie: s=5", "Authorization: Bearer a"], vec!["Cookie: s=5"]),
        (vec!["Cookie: s=6", "Cookie: s=7"], vec!["Cookie: s=6", "Cookie: s=7"]),
    ]
    .into_iter()
    .enumerate()
    {
        ensure!(asked(&judge, &first, &second)? == 2, "{i}");
    }
    // Another method, and another host, are other questions.
    let before = judge.calls();
    judge.ask("GET /members/a", &["Cookie: s=8"])?;
    judge.ask("POST /members/a", &["Cookie: s=8"])?;
    ensure!(judge.calls() == before + 2);

    let key = "cookie:s header:X-Tenant address path";
    let judge = Judge::new("forward", "", &lines(key, "60"))?;
    let tenant = ["Cookie: s=1", "X-Tenant: a"];
    ensure!(asked(&judge, &tenant, &tenant)? == 2, "the path is part of the key");
    ensure!(asked(&judge, &tenant, &tenant)? == 0, "both are kept");
    ensure!(asked(&judge, &tenant[..1], &tenant[..1])? == 2, "a field is missing");
    Ok(())
}

/// Users behind a password have answers of their own without being declared.
#[test]
fn passwords_are_part_of_the_key() -> Result<()> {
    let lines = "<Location /basic>
        AuthType Basic
        AuthName Realm
        FastCgiAuthenticator {root}/virtual/auth
        GatewayCacheKey address
        GatewayCacheTTL 60
    </Location>";
    let judge = Judge::new("forward", "unless=REMOTE_PASSWD right&status=401", lines)?;
    let ask =
        |user: &str, password: &str| judge.ask("GET /basic", &[&basic(user, password)]);
    ensure!(ask("ann", "right")?.header("Remote-User") == Some("ann"));
    ensure!(ask("ann", "wrong")?.status == 401);
    ensure!(ask("joe", "right")?.header("Remote-User") == Some("joe"));
    ensure!(ask("ann", "right")?.header("Remote-User") == Some("ann"));
    ensure!(judge.calls() == 3, "{} calls", judge.calls());
    Ok(())
}

/// Rules of the section hold for what is kept as for everything.
#[test]
fn conditions_are_weighed_every_time() -> Result<()> {
    let lines = "<Location /members>
        GatewayCacheKey cookie:s
        GatewayCacheTTL 60
        Order deny,allow
        Deny from env=blocked
        SetEnvIf X-Blocked yes blocked
    </Location>";
    let judge = Judge::new("forward", "", lines)?;
    ensure!(judge.ask("GET /members/a", &["Cookie: s=1"])?.status == 200);
    let answer = judge.ask("GET /members/a", &["Cookie: s=1", "X-Blocked: yes"])?;
    ensure!(answer.status == 403, "{answer}");
    ensure!(judge.ask("GET /members/a", &["Cookie: s=1"])?.status == 200);
    ensure!(judge.calls() == 1, "{} calls", judge.calls());
    Ok(())
}

/// Redirects, errors, what sets a cookie or says that it may not: never; refusals with a
/// time of their own.
#[test]
fn what_is_not_kept() -> Result<()> {
    let cookie = ["Cookie: s=1"];
    for (gate, options, ttl, count) in [
        ("status=302&header=Location: /login", "-compat -pass-response", "60 60", 2),
        ("status=403&text=own words", "-compat -pass-response", "60 60", 2),
        ("status=500", "-compat", "60 60", 2),
        ("status=404", "-compat", "60 60", 2),
        ("status=abc", "-compat", "60 60", 2),
        ("close", "-compat", "60 60", 2),
        ("status=403", "-compat", "60", 2),
        ("status=403", "-compat", "60 60", 1),
        ("status=401", "-compat", "60 60", 1),
        ("header=Set-Cookie: a%3Db", "-compat", "60", 2),
        ("header=Cache-Control: no-store", "-compat", "60", 2),
        ("header=Cache-Control: private, max-age%3D60", "-compat", "60", 2),
        ("header=Cache-Control: max-age%3D0", "-compat", "60", 2),
        ("header=Cache-Control: s-maxage%3D0, max-age%3D60", "-compat", "60", 2),
        ("header=Cache-Control: max-age%3Dx", "-compat", "60", 2),
        ("header=Vary: X-Role", "-compat", "60", 2),
        ("header=Vary: *", "-compat", "60", 2),
        ("header=Vary: Cookie", "-compat", "60", 1),
        ("header=Cache-Control: max-age%3D60", "-compat", "60", 1),
    ] {
        let lines = format!(
            "<Location /members>\nFastCgiAuthorizer {{root}}/virtual/auth {options}\n\
             GatewayCacheKey cookie:s\nGatewayCacheTTL {ttl}\n</Location>"
        );
        let judge = Judge::new("forward", gate, &lines)?;
        let asked = asked(&judge, &cookie, &cookie)?;
        ensure!(asked == count, "{gate} {options} {ttl}: asked {asked} times");
    }
    Ok(())
}

#[test]
fn its_time_has_an_end() -> Result<()> {
    let cookie = ["Cookie: s=1"];
    let judge = Judge::new("forward", "", &lines("cookie:s", "700ms"))?;
    ensure!(asked(&judge, &cookie, &cookie)? == 1);
    std::thread::sleep(Duration::from_millis(900));
    ensure!(asked(&judge, &cookie, &cookie)? == 1);
    // The application may want a shorter one.
    let gate = "header=Cache-Control: max-age%3D1";
    let judge = Judge::new("forward", gate, &lines("cookie:s", "60"))?;
    ensure!(asked(&judge, &cookie, &cookie)? == 1);
    std::thread::sleep(Duration::from_millis(1200));
    ensure!(asked(&judge, &cookie, &cookie)? == 1);
    Ok(())
}

/// A reload and a word on the admin listener; the counts say so.
#[test]
fn everything_is_forgotten() -> Result<()> {
    let admin = compat_tests::root::free_port()?;
    let before = format!("GatewayAdmin 127.0.0.1:{admin}\nGatewayCacheSize 2");
    let judge = Judge::with("forward", "", &lines("cookie:s", "60"), &before)?;
    let cookie = ["Cookie: s=1"];
    ensure!(asked(&judge, &cookie, &cookie)? == 1);
    let sample = |name: &str| -> Result<String> {
        let text = ask(admin, "GET /metrics", &[])?.text();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        Ok(line.unwrap_or_default().to_owned())
    };
    ensure!(sample("gateway_cache_hits_total")? == "1");
    ensure!(sample("gateway_cache_misses_total")? == "1");
    ensure!(sample("gateway_cache_entries")? == "1");
    let answer = ask(admin, "POST /purge", &["Content-Length: 0"])?;
    ensure!(answer.status == 200 && answer.body == b"1\n", "{answer}");
    ensure!(asked(&judge, &cookie, &cookie)? == 1);

    judge.guarded.site.signal(Signal::SIGHUP)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while sample("gateway_cache_entries")? != "0" {
        ensure!(
            Instant::now() < deadline,
            "{}",
            judge.guarded.site.root.log("error_log")
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(asked(&judge, &cookie, &cookie)? == 1);
    // No more than two are kept.
    for i in 0..5 {
        judge.ask("GET /members/a", &[&format!("Cookie: s=n{i}")])?;
    }
    ensure!(sample("gateway_cache_entries")? == "2");
    Ok(())
}
