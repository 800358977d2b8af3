//! What a client is told who is refused.

use anyhow::{Result, ensure};
use compat_tests::http::Client;
use compat_tests::site::basic;

use crate::phase::PHASES;

/// The most of a body that `-pass-response` passes, bytes.
const MOST: usize = 1 << 20;

const LOGIN: &str = "header=Location:+https://login.example.org/?back%3d%252Fapp\
    &header=Set-Cookie:+a%3d1&header=Set-Cookie:+b%3d2&header=Cache-Control:+no-store\
    &header=Content-Type:+text/html&text=<a+href%3dx>log+in</a>";

/// Without `-pass-response`: the server's own page with the phase's status, and the
/// fields of the refusal (8.4).
#[test]
fn the_page_of_a_refusal_is_the_servers() -> Result<()> {
    for phase in &PHASES {
        let guarded = phase.guard(&format!("status=302+Found&{LOGIN}"), "", "")?;
        for target in ["/app?env", "/a.txt", "/missing.txt"] {
            let answer = guarded.site.ask(
                &format!("GET {target}"),
                &[&basic("ann", "secret")],
                b"",
            )?;
            ensure!(answer.status == phase.denied, "{}: {answer}", phase.directive);
            ensure!(answer.header("Set-Cookie") == Some("a=1"), "{answer}");
            ensure!(answer.header("Cache-Control") == Some("no-store"), "{answer}");
            ensure!(!answer.text().contains("log in"), "{answer}");
            ensure!(!answer.text().contains("a file"), "{answer}");
            let realm = answer.header("WWW-Authenticate");
            let asked = (phase.denied == 401).then_some("Basic realm=\"Realm\"");
            ensure!(realm == asked, "{}: {answer}", phase.directive);
        }
        guarded.site.logged(&format!("{}/a.txt", phase.line))?;
    }
    Ok(())
}

/// With it: a login page of another server, in one word or in two (RFC 3875 6.2.3).
#[test]
fn a_redirect_to_a_login_page_is_passed() -> Result<()> {
    for phase in &PHASES {
        for status in ["status=302+Please+Wait&", ""] {
            let guarded =
                phase.guard(&format!("{status}{LOGIN}"), "-pass-response", "")?;
            let me = basic("ann", "secret");
            let answer = guarded.site.ask("POST /app?env", &[&me], b"12345")?;
            let name = format!("{} {status}", phase.directive);
            ensure!(answer.status == 302, "{name}: {answer}");
            let location = "https://login.example.org/?back=%2Fapp";
            ensure!(answer.header("Location") == Some(location), "{name}: {answer}");
            let cookies: Vec<&str> = answer
                .headers
                .iter()
                .filter(|(name, _)| name == "Set-Cookie")
                .map(|(_, value)| value.as_str())
                .collect();
            ensure!(cookies == ["a=1", "b=2"], "{name}: {answer}");
            ensure!(
                answer.header("Content-Type") == Some("text/html"),
                "{name}: {answer}"
            );
            ensure!(answer.text() == "<a href=x>log in</a>", "{name}: {answer}");
            ensure!(answer.header("WWW-Authenticate").is_none(), "{name}: {answer}");
            guarded.site.logged(phase.line)?;
        }
    }
    Ok(())
}

/// Its own words, in every phase; HEAD gets none of them.
#[test]
fn the_page_of_a_refusal_is_the_applications() -> Result<()> {
    for phase in &PHASES {
        for (said, status, reason) in [
            ("401+Who+Are+You", 401, "Who Are You"),
            ("403+No", 403, "No"),
            ("429", 429, "Too Many Requests"),
        ] {
            let name = format!("{} {status}", phase.directive);
            let gate = format!("status={said}&header=X-Why:+because&text=words");
            let guarded =
                phase.guard(&gate, "-pass-response", "ErrorDocument 403 /a.txt")?;
            let me = basic("ann", "secret");
            let answer = guarded.site.ask("GET /app?env", &[&me], b"")?;
            ensure!(
                (answer.status, &*answer.reason) == (status, reason),
                "{name}: {answer}"
            );
            ensure!(answer.text() == "words", "{name}: {answer}");
            ensure!(answer.header("X-Why") == Some("because"), "{name}: {answer}");
            // A browser needs to be asked, or its user never is.
            let asked = status == 401 && phase.denied == 401;
            let realm = answer.header("WWW-Authenticate");
            ensure!(
                realm == asked.then_some("Basic realm=\"Realm\""),
                "{name}: {answer}"
            );
            let head = guarded.site.ask("HEAD /app?env", &[&me], b"")?;
            ensure!(head.status == status && head.body.is_empty(), "{name}: {head}");
        }
    }
    Ok(())
}

/// Its own challenge stays.
#[test]
fn an_applications_challenge_is_passed() -> Result<()> {
    let gate = "status=401&header=WWW-Authenticate:+Bearer&text=words";
    let guarded = PHASES[2].guard(gate, "-pass-response", "")?;
    let answer = guarded.site.ask("GET /app", &[&basic("ann", "secret")], b"")?;
    let asked: Vec<_> =
        answer.headers.iter().filter(|(name, _)| name == "WWW-Authenticate").collect();
    ensure!(asked.len() == 1 && asked[0].1 == "Bearer", "{answer}");
    Ok(())
}

/// A refusal goes on so far and no further; what was cut does not look complete.
#[test]
fn a_long_refusal_is_cut() -> Result<()> {
    for (size, length) in [(MOST, MOST), (MOST + 1, MOST), (2_000_000, MOST)] {
        let gate = format!("status=403+No&size={size}");
        let guarded = PHASES[0].guard(&gate, "-pass-response", "")?;
        let mut client = Client::connect(guarded.site.root.port)?;
        client.send(b"GET /app HTTP/1.0\r\n\r\n")?;
        let came = client.everything()?;
        let head = came.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(came.len());
        ensure!(came.len() - head - 4 == length, "{size}: {}", came.len() - head - 4);
        let complete = guarded.site.get("/app");
        ensure!(complete.is_ok() == (size == length), "{size}: {complete:?}");
        if size > length {
            guarded.site.logged("it says more to a refusal than is passed on")?;
        }
    }
    Ok(())
}

/// What is said to a consent, however long, and to a refusal without `-pass-response`, is
/// nobody's.
#[test]
fn other_words_of_a_gate_are_left() -> Result<()> {
    for (status, expected) in [(200, 200), (403, 403)] {
        for size in [9_000, 2_000_000] {
            let guarded =
                PHASES[0].guard(&format!("status={status}&size={size}"), "", "")?;
            for _ in 0..2 {
                let answer = guarded.site.get("/a.txt")?;
                ensure!(answer.status == expected, "{status}: {answer}");
                ensure!(answer.body.len() < 1000, "{status}: {}", answer.body.len());
                ensure!(!answer.text().contains("abcdefgh"), "{status}: {answer}");
            }
        }
    }
    Ok(())
}
