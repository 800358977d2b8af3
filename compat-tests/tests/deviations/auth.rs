//! The phases in which an application decides.

use anyhow::{Result, ensure};
use compat_tests::application::Application;
use compat_tests::site::{Site, basic, variable};

/// `/app` behind authorizers `/virtual/NAME`, each with its answer.
fn guarded(
    authorizers: &[(&str, &str)],
    lines: &str,
) -> Result<(Site, Vec<Application>)> {
    let mut site = Site::new()?;
    let mut probes = vec![Application::probe(&site.root, "app", &[])?];
    let mut conf = format!(
        "FastCgiExternalServer {{root}}/htdocs/app {}\n",
        probes[0].address.option()
    );
    for (name, answer) in authorizers {
        let calls = site.root.join("logs").join(name);
        let answer = format!("note={}&{answer}", calls.display());
        let probe = Application::probe(&site.root, name, &[&answer])?;
        conf += &format!(
            "FastCgiExternalServer {{root}}/virtual/{name} {}\n",
            probe.address.option()
        );
        probes.push(probe);
    }
    // A password file's "secret" (SHA-1).
    site.root.write("conf/users", b"ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")?;
    site.serve(&(conf + lines))?;
    Ok((site, probes))
}

/// How often an authorizer was asked.
fn calls(site: &Site, name: &str) -> usize {
    site.root.log(name).lines().count()
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
    let (site, _probes) = guarded(&[("check", NO)], lines)?;
    for (target, status) in [("/app?env", 200), ("/app/denied", 403)] {
        let answer = site.get(target)?;
        ensure!(answer.status == status, "{answer}");
        ensure!(answer.header("X-Denied").is_none(), "{answer}");
        ensure!(answer.header("Variable-BY").is_none(), "{answer}");
        ensure!(variable(&answer.text(), "BY").is_none(), "{answer}");
    }
    ensure!(calls(&site, "check") == 2, "{}", calls(&site, "check"));
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
    let (site, _probes) = guarded(&[("anybody", ""), ("authz", &authz)], lines)?;
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
    let (site, _probes) = guarded(&[("auth", &auth)], lines)?;
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
    let (site, _probes) = guarded(&[("auth", auth)], lines)?;
    let answer = site.get("/app?env")?;
    ensure!(answer.status == 401, "{answer}");
    ensure!(
        answer.header("WWW-Authenticate") == Some("Basic realm=\"Realm\""),
        "{answer}"
    );
    ensure!(
        calls(&site, "auth") == 0,
        "without credentials there is nothing to ask about"
    );
    let answer = site.ask("GET /app?env", &[&basic("joe", "any")], b"")?;
    ensure!(answer.status == 401, "{answer}");
    let answer = site.ask("GET /app?env", &[&basic("ann", "any")], b"")?;
    ensure!(answer.status == 200, "{answer}");
    ensure!(calls(&site, "auth") == 3, "{}", calls(&site, "auth"));
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
    let (site, _probes) = guarded(&[("check", NO)], lines)?;
    let text = site.get("/app/private/x?env")?.text();
    let translated = site.root.join("htdocs/private/x").display().to_string();
    ensure!(variable(&text, "PATH_TRANSLATED") == Some(&translated), "{text}");
    ensure!(calls(&site, "check") == 0, "it was asked");
    ensure!(!site.root.log("error_log").contains("access denied"), "it was logged");
    // Somebody is there to be asked.
    ensure!(site.get("/private/x")?.status == 403);
    ensure!(calls(&site, "check") == 1, "it was not asked");
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
    let (site, _probes) = guarded(&[("outer", outer), ("inner", "")], lines)?;
    let credentials = basic("joe", "any");
    for target in ["/app/flag", "/app/other"] {
        let answer = site.ask(&format!("GET {target}"), &[&credentials], b"")?;
        ensure!(answer.status == 403, "{target}: {answer}");
        let answer =
            site.ask(&format!("GET {target}"), &[&credentials, "Knock: once"], b"")?;
        ensure!(answer.status == 200, "{target}: {answer}");
    }
    ensure!((calls(&site, "outer"), calls(&site, "inner")) == (4, 1), "calls");
    // Whoever knows the original is told.
    site.logged(
        "FastCgiAccessChecker is inherited by /app/flag; mod_fastcgi dropped it there",
    )
}
