//! An internal redirect asks again only where another configuration applies: `a` and `b`
//! below are the same site, but for a section of its own for the second request.

use anyhow::{Result, ensure};
use compat_tests::guarded::Guarded;
use compat_tests::http::Response;
use compat_tests::site::{basic, variable};

use crate::phase::{PHASES, Phase};

/// Everything of the site behind the gate, with and without a further section.
fn calls(
    phase: &Phase,
    request: &str,
    conf: &str,
    section: &str,
) -> Result<Vec<Response>> {
    let mut answers = Vec::new();
    for (further, expected) in [("", 1), (section, 2)] {
        let mut guarded = Guarded::new()?;
        guarded.gate("gate", "header=Variable-GATE:+open", "")?;
        for name in ["members/index.html", "missing.html", "a.txt", "b.app"] {
            let content = format!("this is {name}\n");
            guarded.site.root.write(&format!("htdocs/{name}"), content.as_bytes())?;
        }
        let own = phase.lines("");
        guarded.serve(&format!(
            "<Directory {{root}}/htdocs>\n{own}</Directory>\n{conf}\n{further}\n"
        ))?;
        let answer = guarded.site.ask(request, &[&basic("ann", "secret")], b"")?;
        let count = guarded.calls("gate").len();
        ensure!(
            count == expected,
            "{}: {request}: {count} calls, not {expected}: {answer}",
            phase.directive
        );
        answers.push(answer);
    }
    Ok(answers)
}

/// A section whose only point is that it makes the configuration another one.
fn section(kind: &str, name: &str) -> String {
    format!("<{kind} {name}>\nSetEnv OTHER yes\n</{kind}>\n")
}

#[test]
fn for_the_index_of_a_directory() -> Result<()> {
    for phase in &PHASES {
        let names = "DirectoryIndex nothing.html none.html index.html\n";
        let other = section("Files", "index.html");
        for answer in calls(phase, "GET /members/", names, &other)? {
            ensure!(answer.text() == "this is members/index.html\n", "{answer}");
        }
    }
    Ok(())
}

#[test]
fn for_an_action() -> Result<()> {
    for phase in &PHASES {
        let action = "AddHandler site-app .app\nAction site-app /app\n";
        let answers =
            calls(phase, "GET /b.app?env", action, &section("Location", "/app"))?;
        let texts: Vec<String> = answers.iter().map(Response::text).collect();
        for text in &texts {
            ensure!(variable(text, "PATH_INFO") == Some("/b.app"), "{text}");
            ensure!(variable(text, "REDIRECT_GATE") == Some("open"), "{text}");
            let user = (phase.denied == 401).then_some("ann");
            ensure!(variable(text, "REMOTE_USER") == user, "{text}");
        }
        ensure!(variable(&texts[0], "GATE").is_none(), "{}", texts[0]);
        ensure!(variable(&texts[1], "GATE") == Some("open"), "{}", texts[1]);
    }
    Ok(())
}

#[test]
fn for_an_error_document() -> Result<()> {
    for phase in &PHASES {
        let document = "ErrorDocument 404 /missing.html\n";
        let other = section("Files", "missing.html");
        for answer in calls(phase, "GET /nothing", document, &other)? {
            ensure!(answer.status == 404, "{answer}");
            ensure!(answer.text() == "this is missing.html\n", "{answer}");
        }
    }
    Ok(())
}

#[test]
fn for_a_location_of_an_application() -> Result<()> {
    for phase in &PHASES {
        let request = "POST /app?header=Location:+/a.txt";
        for answer in calls(phase, request, "", &section("Location", "/a.txt"))? {
            ensure!(answer.text() == "this is a.txt\n", "{answer}");
        }
    }
    Ok(())
}

/// The second answer counts: what lies behind another gate stays there.
#[test]
fn the_gate_before_the_target_is_the_one_that_counts() -> Result<()> {
    for (request, conf) in [
        ("GET /members/", "<Files index.html>"),
        (
            "GET /b.app?env",
            "AddHandler site-app .app\nAction site-app /app\n<Location /app>",
        ),
        ("GET /app?header=Location:+/a.txt", "<Files a.txt>"),
    ] {
        let mut guarded = Guarded::new()?;
        guarded.gate("outer", "", "")?;
        guarded.gate("inner", "status=403+No", "")?;
        for name in ["members/index.html", "a.txt", "b.app"] {
            guarded.site.root.write(&format!("htdocs/{name}"), b"a file\n")?;
        }
        let end =
            conf.rsplit('<').next().and_then(|tag| tag.split(' ').next()).unwrap_or("");
        guarded.serve(&format!(
            "<Directory {{root}}/htdocs>\nFastCgiAccessChecker {{root}}/virtual/outer\n\
             </Directory>\n{conf}\nFastCgiAccessChecker {{root}}/virtual/inner\n</{end}>\n"
        ))?;
        let answer = guarded.site.get(request.trim_start_matches("GET "))?;
        ensure!(answer.status == 403, "{request}: {answer}");
        ensure!(!answer.text().contains("a file"), "{request}: {answer}");
        ensure!(guarded.calls("inner").len() == 1, "{request}");
    }
    Ok(())
}
