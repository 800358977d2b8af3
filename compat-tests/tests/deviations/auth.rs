//! The phases in which an application decides.

use anyhow::{Result, ensure};
use compat_tests::guarded::Guarded;
use compat_tests::site::{basic, variable};

/// `/app` behind gates, each with its answer.
fn guarded(gates: &[(&str, &str)], lines: &str) -> Result<Guarded> {
    let mut guarded = Guarded::new()?;
    for (name, answer) in gates {
        guarded.gate(name, answer, "")?;
    }
    guarded.serve(lines)?;
    Ok(guarded)
}

const NO: &str = "status=403+No&header=X-Denied:+yes&header=Variable-BY:+nobody";

/// The original left a denial's fields at the response.
#[test]
fn an_access_checker_that_does_not_decide_leaves_nothing() -> Result<()> {
    let lines = "
<Location /app>
    FastCgiAccessChecker {root}/virtual/check
    FastCgiAccessCheckerAuthoritative Off
</Location>
<Location /app/denied>
    Require all denied
</Location>
";
    let guarded = guarded(&[("check", NO)], lines)?;
    let site = &guarded.site;
    for (target, status) in [("/app?env", 200), ("/app/denied", 403)] {
        let answer = site.get(target)?;
        ensure!(answer.status == status, "{answer}");
        ensure!(answer.header("X-Denied").is_none(), "{answer}");
        ensure!(answer.header("Variable-BY").is_none(), "{answer}");
        ensure!(variable(&answer.text(), "BY").is_none(), "{answer}");
    }
    ensure!(guarded.calls("check").len() == 2, "{}", guarded.calls("check").len());
    site.logged(
        "FastCgiAccessChecker did not agree, and is not authoritative: /app/denied",
    )
}

#[test]
fn an_authorizer_that_does_not_decide_leaves_nothing() -> Result<()> {
    let lines = "
<Location /app>
    AuthType Basic
    AuthName Realm
    FastCgiAuthenticator {root}/virtual/anybody
    FastCgiAuthorizer {root}/virtual/authz
    FastCgiAuthorizerAuthoritative Off
    Require user ann
</Location>
";
    let authz = format!("unless=REMOTE_USER joe&{NO}");
    let guarded = guarded(&[("anybody", ""), ("authz", &authz)], lines)?;
    let site = &guarded.site;
    // The application's consent is final, and `Require` decides about others.
    for (user, status) in [("joe", 200), ("ann", 200), ("bob", 401)] {
        let answer = site.ask("GET /app?env", &[&basic(user, "any")], b"")?;
        ensure!(answer.status == status, "{user}: {answer}");
        ensure!(answer.header("X-Denied").is_none(), "{user}: {answer}");
        ensure!(variable(&answer.text(), "BY").is_none(), "{user}: {answer}");
    }
    site.logged("FastCgiAuthorizer did not agree, and is not authoritative: /app")
}

#[test]
fn an_authenticator_that_does_not_decide_leaves_nothing() -> Result<()> {
    let lines = "
<Location /app>
    AuthType Basic
    AuthName Realm
    AuthUserFile conf/users
    FastCgiAuthenticator {root}/virtual/auth
    FastCgiAuthenticatorAuthoritative Off
    Require valid-user
</Location>
";
    let auth = format!("unless=REMOTE_PASSWD good&{NO}");
    let guarded = guarded(&[("auth", &auth)], lines)?;
    let site = &guarded.site;
    let cases = [
        ("joe", "good", 200),
        ("ann", "secret", 200),
        ("ann", "bad", 401),
        ("joe", "bad", 401),
    ];
    for (user, password, status) in cases {
        let answer = site.ask("GET /app?env", &[&basic(user, password)], b"")?;
        ensure!(answer.status == status, "{user}:{password}: {answer}");
        ensure!(answer.header("X-Denied").is_none(), "{user}:{password}: {answer}");
    }
    site.logged_times("FastCgiAuthenticator did not agree, and is not authoritative", 3)
}

/// The original asked nobody, and the URL was open.
#[test]
fn an_authenticator_without_require_is_asked() -> Result<()> {
    let lines = "
<Location /app>
    AuthType Basic
    AuthName Realm
    FastCgiAuthenticator {root}/virtual/auth
    FastCgiAuthorizer {root}/virtual/auth
</Location>
";
    let auth = "unless=REMOTE_USER ann&status=401+No";
    let guarded = guarded(&[("auth", auth)], lines)?;
    let site = &guarded.site;
    let answer = site.get("/app?env")?;
    ensure!(answer.status == 401, "{answer}");
    ensure!(
        answer.header("WWW-Authenticate") == Some("Basic realm=\"Realm\""),
        "{answer}"
    );
    ensure!(
        guarded.calls("auth").is_empty(),
        "without credentials there is nothing to ask about"
    );
    let answer = site.ask("GET /app?env", &[&basic("joe", "any")], b"")?;
    ensure!(answer.status == 401, "{answer}");
    let answer = site.ask("GET /app?env", &[&basic("ann", "any")], b"")?;
    ensure!(answer.status == 200, "{answer}");
    ensure!(guarded.calls("auth").len() == 3, "{}", guarded.calls("auth").len());
    Ok(())
}

/// The original ran all phases of PATH_INFO's own location.
#[test]
fn nobody_is_asked_about_path_info() -> Result<()> {
    let lines = "
<Location /private>
    FastCgiAccessChecker {root}/virtual/check
</Location>
";
    let guarded = guarded(&[("check", NO)], lines)?;
    let site = &guarded.site;
    let text = site.get("/app/private/x?env")?.text();
    let translated = site.root.join("htdocs/private/x").display().to_string();
    ensure!(variable(&text, "PATH_TRANSLATED") == Some(&translated), "{text}");
    ensure!(guarded.calls("check").is_empty(), "it was asked");
    ensure!(!site.root.log("error_log").contains("access denied"), "it was logged");
    // Somebody is there to be asked.
    ensure!(site.get("/private/x")?.status == 403);
    ensure!(guarded.calls("check").len() == 1, "it was not asked");
    Ok(())
}

/// The original dropped the outer section's as soon as an inner one had any.
#[test]
fn an_inner_section_keeps_the_outer_ones_authorizers() -> Result<()> {
    let lines = "
<Location /app>
    FastCgiAccessChecker {root}/virtual/outer
</Location>
<Location /app/flag>
    FastCgiAuthorizerAuthoritative Off
</Location>
<Location /app/other>
    AuthType Basic
    AuthName Realm
    FastCgiAuthenticator {root}/virtual/inner
    Require valid-user
</Location>
";
    let outer = "unless=HTTP_KNOCK once&status=403+No";
    let guarded = guarded(&[("outer", outer), ("inner", "")], lines)?;
    let site = &guarded.site;
    let credentials = basic("joe", "any");
    for target in ["/app/flag", "/app/other"] {
        let answer = site.ask(&format!("GET {target}"), &[&credentials], b"")?;
        ensure!(answer.status == 403, "{target}: {answer}");
        let answer =
            site.ask(&format!("GET {target}"), &[&credentials, "Knock: once"], b"")?;
        ensure!(answer.status == 200, "{target}: {answer}");
    }
    ensure!(
        (guarded.calls("outer").len(), guarded.calls("inner").len()) == (4, 1),
        "calls"
    );
    // Whoever knows the original is told.
    site.logged(
        "FastCgiAccessChecker is inherited by /app/flag; mod_fastcgi dropped it there",
    )
}
