//! `ErrorDocument` for what a gate says, served by an application.

use anyhow::{Result, ensure};
use compat_tests::application::Application;
use compat_tests::guarded::Guarded;
use compat_tests::site::{basic, variable};

use crate::phase::{PHASES, Phase};

/// A site whose errors an application answers, below a URL of its own.
fn site(phase: &Phase, gate: &str, document: &str) -> Result<Guarded> {
    let mut guarded = Guarded::new()?;
    guarded.gate("gate", gate, "")?;
    let errors = Application::probe(&guarded.site.root, "errors", &[])?;
    guarded.program("virtual/errors", errors, "");
    let own = phase.lines("");
    guarded.serve(&format!(
        "<Directory {{root}}/virtual>\nRequire all granted\n</Directory>\n\
         Alias /errors {{root}}/virtual/errors\n\
         <Location /app>\n{own}</Location>\n\
         ErrorDocument 401 {document}\nErrorDocument 403 {document}\nErrorDocument 500 {document}\n"
    ))?;
    Ok(guarded)
}

#[test]
fn an_application_answers_for_every_phase() -> Result<()> {
    for phase in &PHASES {
        for (gate, status) in
            [("status=403+No&header=X-Why:+because", phase.denied), ("close", 500)]
        {
            let name = format!("{} {gate}", phase.directive);
            let guarded = site(phase, gate, "/errors/page?env")?;
            let me = basic("ann", "secret");
            let answer = guarded.site.ask("POST /app/x?y", &[&me], b"12345")?;
            ensure!(answer.status == status, "{name}: {answer}");
            let text = answer.text();
            for (name, value) in [
                ("SCRIPT_NAME", "/errors"),
                ("PATH_INFO", "/page"),
                ("REQUEST_METHOD", "GET"),
                ("REDIRECT_REQUEST_METHOD", "POST"),
                ("REDIRECT_STATUS", &*status.to_string()),
                ("REDIRECT_URL", "/app/x"),
                ("REDIRECT_QUERY_STRING", "y"),
                ("REQUEST_URI", "/app/x?y"),
            ] {
                ensure!(variable(&text, name) == Some(value), "{name}: {text}");
            }
            ensure!(!text.contains("REMOTE_PASSWD"), "{name}: {text}");
            ensure!(!text.contains("FCGI_APACHE_ROLE"), "{name}: {text}");
            let why = (gate != "close").then_some("because");
            ensure!(answer.header("X-Why") == why, "{name}: {answer}");
            let realm = answer.header("WWW-Authenticate").is_some();
            ensure!(realm == (phase.denied == 401), "{name}: {answer}");
        }
    }
    Ok(())
}

/// Within the protected place: the configuration is the same, and the gate is not asked
/// about its own error page.
#[test]
fn the_protected_application_answers_itself() -> Result<()> {
    for phase in &PHASES {
        let guarded = site(phase, "status=403+No", "/app/error?env")?;
        let answer = guarded.site.ask("GET /app/x", &[&basic("ann", "secret")], b"")?;
        ensure!(answer.status == phase.denied, "{}: {answer}", phase.directive);
        let text = answer.text();
        ensure!(variable(&text, "PATH_INFO") == Some("/error"), "{text}");
        ensure!(variable(&text, "REDIRECT_URL") == Some("/app/x"), "{text}");
        ensure!(guarded.calls("gate").len() == 1, "{}", phase.directive);
    }
    Ok(())
}

/// An error page that is refused, too: the first error counts.
#[test]
fn an_error_page_that_is_refused() -> Result<()> {
    for phase in &PHASES {
        let mut guarded = Guarded::new()?;
        guarded.gate("gate", "status=403+No", "")?;
        guarded.site.root.write("htdocs/error.html", b"the page\n")?;
        let own = phase.lines("");
        let document = format!("ErrorDocument {} /error.html", phase.denied);
        guarded.serve(&format!(
            "<Directory {{root}}/htdocs>\n{own}{document}\n</Directory>\n\
             <Files error.html>\nSetEnv OTHER yes\n</Files>\n"
        ))?;
        let answer = guarded.site.ask("GET /app", &[&basic("ann", "secret")], b"")?;
        ensure!(answer.status == phase.denied, "{}: {answer}", phase.directive);
        ensure!(!answer.text().contains("the page"), "{answer}");
        ensure!(guarded.calls("gate").len() == 2, "{}", phase.directive);
    }
    Ok(())
}
