//! Nothing that goes wrong with a gate lets anybody in, or tells anything.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::guarded::Guarded;
use compat_tests::http::Response;
use compat_tests::site::{basic, variable};

use crate::phase::{PHASES, Phase};

/// What may go wrong: what the gate does, and what the log says of it.
const TROUBLES: [(&str, &str); 9] = [
    ("close", "incomplete headers (0 bytes) received from server"),
    ("exit=1", "incomplete headers (0 bytes) received from server"),
    ("sleep=4000&status=200", "aborted: idle timeout (1 sec)"),
    ("stdout=nonsense%0a%0a", "error parsing headers: malformed header 'nonsense'"),
    ("stdout=X-Leak:+1%0aVariable-LEAK:+1%0a", "incomplete headers (27 bytes)"),
    ("status=yes&header=X-Leak:+1&header=Variable-LEAK:+1", "invalid Status 'yes'"),
    ("status=200&header=X-Leak:+1&text=words&raw=0206000100000000", "invalid version: 2"),
    (
        "status=200&header=X-Leak:+1&text=words&sleep=4000",
        "aborted: idle timeout (1 sec)",
    ),
    ("status=404&header=X+Leak:+1", "malformed header"),
];

fn ask(guarded: &Guarded, target: &str) -> Result<Response> {
    guarded.site.ask(&format!("GET {target}"), &[&basic("ann", "secret")], b"")
}

/// Nothing of what the gate said, or was told, comes to the client.
fn is_clean(answer: &Response, name: &str) -> Result<()> {
    let text = answer.text();
    for word in
        ["a file", "LEAK", "words", "nonsense", "REMOTE_PASSWD", "FCGI_APACHE_ROLE"]
    {
        ensure!(!text.contains(word), "{name}: {word} in {answer}");
    }
    ensure!(answer.header("X-Leak").is_none(), "{name}: {answer}");
    ensure!(answer.header("Variable-LEAK").is_none(), "{name}: {answer}");
    Ok(())
}

fn each(check: fn(&Phase, &str, &str) -> Result<()>) -> Result<()> {
    // Most of the time is waiting for silence to be noticed.
    std::thread::scope(|scope| {
        let running: Vec<_> = PHASES
            .iter()
            .map(|phase| {
                scope.spawn(move || {
                    TROUBLES
                        .iter()
                        .try_for_each(|(trouble, line)| check(phase, trouble, line))
                })
            })
            .collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })
}

#[test]
fn a_gate_that_fails_is_closed() -> Result<()> {
    each(|phase, trouble, line| {
        let name = format!("{}: {trouble}", phase.directive);
        let guarded = phase.guard(trouble, "", "")?;
        let begin = Instant::now();
        let answer = ask(&guarded, "/app?env")?;
        ensure!(answer.status == 500, "{name}: {answer}");
        is_clean(&answer, &name)?;
        ensure!(
            begin.elapsed() < Duration::from_secs(3),
            "{name}: {:?}",
            begin.elapsed()
        );
        guarded.site.logged(line)?;
        guarded.site.logged(&format!("{}/app", phase.line))?;
        let answer = ask(&guarded, "/a.txt")?;
        ensure!(answer.status == 500, "{name}: {answer}");
        is_clean(&answer, &name)
    })
}

/// The same with `-pass-response`: there is no response to pass.
#[test]
fn a_gate_that_fails_has_no_response() -> Result<()> {
    each(|phase, trouble, _| {
        let name = format!("{}: {trouble}", phase.directive);
        let guarded = phase.guard(trouble, "-pass-response", "")?;
        let answer = ask(&guarded, "/app?env")?;
        ensure!(answer.status == 500, "{name}: {answer}");
        is_clean(&answer, &name)
    })
}

/// With `...Authoritative Off` others decide, and the log says that nobody was asked.
#[test]
fn a_gate_that_fails_and_is_not_authoritative_is_passed_by() -> Result<()> {
    each(|phase, trouble, line| {
        let name = format!("{}: {trouble}", phase.directive);
        let lines = format!("{}Authoritative Off", phase.directive);
        let guarded = phase.guard(trouble, "", &lines)?;
        let answer = ask(&guarded, "/app?env")?;
        ensure!(answer.status == 200, "{name}: {answer}");
        ensure!(
            variable(&answer.text(), "REQUEST_METHOD") == Some("GET"),
            "{name}: {answer}"
        );
        is_clean(&answer, &name)?;
        guarded.site.logged(line)?;
        let passed =
            format!("{} did not agree, and is not authoritative: /app", phase.directive);
        guarded.site.logged(&passed)
    })
}

/// Nobody listens: in every phase closed, and passed by only where that is said.
#[test]
fn a_gate_that_is_not_there() -> Result<()> {
    for phase in &PHASES {
        for (switch, status) in [("On", 500), ("Off", 200)] {
            let name = format!("{} {switch}", phase.directive);
            let lines = format!("{}Authoritative {switch}", phase.directive);
            // It answers once with its end.
            let guarded = phase.guard("exit=0", "", &lines)?;
            ask(&guarded, "/app?env")?;
            let calls = guarded.calls("gate").len();
            let answer = ask(&guarded, "/app?env")?;
            ensure!(answer.status == status, "{name}: {answer}");
            ensure!(guarded.calls("gate").len() == calls, "{name}: it was there");
            guarded.site.logged("connect() failed")?;
            is_clean(&answer, &name)?;
        }
    }
    // Where nobody but the gate would decide, that is no consent.
    let lines = "FastCgiAuthenticatorAuthoritative Off";
    let guarded = PHASES[1].guard("exit=0", "", lines)?;
    let answer = guarded.site.ask("GET /app", &[&basic("ann", "wrong")], b"")?;
    ensure!(answer.status == 401, "{answer}");
    Ok(())
}

/// An application that is not there takes nothing from the request: where others decide,
/// the body is the responder's.
#[test]
fn a_gate_that_is_not_there_leaves_the_body() -> Result<()> {
    let mut guarded = Guarded::new()?;
    guarded.serve(
        "FastCgiExternalServer {root}/virtual/gone -socket {root}/run/gone\n\
         <Location /app>\nFastCgiAccessChecker {root}/virtual/gone\n\
         FastCgiAccessCheckerAuthoritative Off\nRequire all granted\n</Location>\n",
    )?;
    let answer = guarded.site.ask("POST /app?echo", &[], b"a body")?;
    ensure!(answer.status == 200 && answer.body == b"a body", "{answer}");
    Ok(())
}
