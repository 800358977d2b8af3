//! What goes on with a request that is let in.

use anyhow::{Result, ensure};
use compat_tests::guarded::Guarded;
use compat_tests::site::{basic, variable};

use crate::phase::PHASES;

/// In every phase, with and without `-compat`: the body is the responder's, the fields
/// become variables, and what was only for the gate stays there.
#[test]
fn who_is_let_in_is_told_on() -> Result<()> {
    let gate =
        "status=200&header=Variable-GREETING:+hello&header=X-Other:+x&text=ignored";
    let me = basic("ann", "secret");
    for phase in &PHASES {
        for options in ["", "-compat"] {
            let name = format!("{} {options}", phase.directive);
            let guarded = phase.guard(gate, options, "")?;
            let site = &guarded.site;
            let answer =
                site.ask("POST /app/x?env", &[&me, "Greeting: spoofed"], b"12345")?;
            let text = answer.text();
            ensure!(answer.status == 200, "{name}: {answer}");
            ensure!(variable(&text, "GREETING") == Some("hello"), "{name}: {text}");
            ensure!(variable(&text, "HTTP_GREETING").is_none(), "{name}: {text}");
            ensure!(variable(&text, "CONTENT_LENGTH") == Some("5"), "{name}: {text}");
            let other = if options.is_empty() { Some("x") } else { None };
            ensure!(variable(&text, "X_Other") == other, "{name}: {text}");
            ensure!(answer.header("X-Other").is_none(), "{name}: {answer}");
            for secret in ["REMOTE_PASSWD", "FCGI_APACHE_ROLE", "secret", "ignored"] {
                ensure!(!text.contains(secret), "{name}: {secret} in {text}");
            }
            let answer = site.ask("POST /app?echo", &[&me], b"12345")?;
            ensure!(answer.body == b"12345", "{name}: {answer}");
            let answer = site.ask("GET /a.txt", &[&me], b"")?;
            ensure!(answer.body == b"a file\n", "{name}: {answer}");

            let calls = guarded.calls("gate");
            ensure!(calls.len() == 3, "{name}: {} calls", calls.len());
            let call = &calls[0];
            ensure!(call.variable("role") == Some("2"), "{name}: {call:?}");
            ensure!(
                call.variable("FCGI_APACHE_ROLE") == Some(phase.role),
                "{name}: {call:?}"
            );
            let password = (phase.role == "AUTHENTICATOR").then_some("secret");
            ensure!(call.variable("REMOTE_PASSWD") == password, "{name}: {call:?}");
            let path = options.is_empty().then_some("/x");
            ensure!(call.variable("PATH_INFO") == path, "{name}: {call:?}");
        }
    }
    Ok(())
}

/// As shibauthorizer says it: case is kept, what cannot stand in a name becomes `_`, and
/// nobody else can say it, however it is written.
#[test]
fn variables_are_named_as_the_application_spells_them() -> Result<()> {
    let gate = "header=Variable-Shib-Session-ID:+s1&header=variable-eppn:+jane@example.org\
                &header=Variable-HTTP_X_GROUPS:+staff&header=Variable-REMOTE_USER:+jane";
    let guarded = PHASES[0].guard(gate, "-compat", "")?;
    let spoofed = [
        "Shib-Session-ID: forged",
        "shib_session_id: forged",
        "Shib.Session.ID: forged",
        "Eppn: forged",
        "X-Groups: forged",
        "X_Groups: forged",
        "Remote-User: forged",
    ];
    let answer = guarded.site.ask("GET /app?env", &spoofed, b"")?;
    let text = answer.text();
    for (name, value) in [
        ("Shib_Session_ID", "s1"),
        ("eppn", "jane@example.org"),
        ("HTTP_X_GROUPS", "staff"),
        ("REMOTE_USER", "jane"),
    ] {
        ensure!(variable(&text, name) == Some(value), "{name}: {text}");
    }
    ensure!(!text.contains("forged"), "{text}");
    Ok(())
}

/// To the gate as to the application.
#[test]
fn fields_become_variables_under_httpds_rule() -> Result<()> {
    let guarded = PHASES[0].guard("", "", "")?;
    let fields = [
        "X-One: 1",
        "X-Two_Three: a",
        "X.Four: b",
        "X!Five: c",
        "X-One: 2",
        "Proxy: http://evil.example.org/",
        "X-One: 3",
    ];
    let text = guarded.site.ask("GET /app?env", &fields, b"")?.text();
    let calls = guarded.calls("gate");
    ensure!(calls.len() == 1, "{} calls", calls.len());
    ensure!(variable(&text, "HTTP_X_ONE") == Some("1, 2, 3"), "{text}");
    ensure!(calls[0].variable("HTTP_X_ONE") == Some("1, 2, 3"), "{calls:?}");
    for name in ["HTTP_X_TWO_THREE", "HTTP_X_FOUR", "HTTP_X_FIVE", "HTTP_PROXY"] {
        ensure!(variable(&text, name).is_none(), "{name}: {text}");
        ensure!(calls[0].variable(name).is_none(), "{name}: {calls:?}");
    }
    Ok(())
}

/// All three phases on one request, each knowing what the ones before it said.
#[test]
fn phases_know_what_the_ones_before_said() -> Result<()> {
    let mut guarded = Guarded::new()?;
    for (name, says) in [("check", "A: 1"), ("authn", "B: 2"), ("authz", "C: 3")] {
        guarded.gate(name, &format!("header=Variable-{}", says.replace(' ', "+")), "")?;
    }
    guarded.serve(
        "<Location /app>\nAuthType Basic\nAuthName Realm\nRequire user nobody\n\
         FastCgiAccessChecker {root}/virtual/check\n\
         FastCgiAuthenticator {root}/virtual/authn\n\
         FastCgiAuthorizer {root}/virtual/authz\n</Location>\n",
    )?;
    let answer = guarded.site.ask("GET /app?env", &[&basic("joe", "x")], b"")?;
    // The authorizer's consent is final.
    ensure!(answer.status == 200, "{answer}");
    let text = answer.text();
    for (name, value) in [("A", "1"), ("B", "2"), ("C", "3"), ("REMOTE_USER", "joe")] {
        ensure!(variable(&text, name) == Some(value), "{name}: {text}");
    }
    let seen = |gate: &str, name: &str| {
        let calls = guarded.calls(gate);
        calls.iter().map(|call| call.variable(name).is_some()).collect::<Vec<_>>()
    };
    ensure!(seen("check", "REMOTE_USER") == [false], "check");
    ensure!(
        (seen("authn", "A"), seen("authn", "C")) == (vec![true], vec![false]),
        "authn"
    );
    ensure!(
        (seen("authz", "A"), seen("authz", "B")) == (vec![true], vec![true]),
        "authz"
    );
    ensure!(seen("authz", "REMOTE_PASSWD") == [false], "authz");
    Ok(())
}
