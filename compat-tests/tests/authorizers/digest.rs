//! Applications beside Digest authentication: they are told who it is, and are not in its way;
//! and the secret of its nonces is one for all threads, and outlives reloads.

use anyhow::{Result, ensure};
use compat_tests::digest::Digests;
use compat_tests::guarded::Guarded;
use compat_tests::http::Response;
use compat_tests::site::variable;
use nix::sys::signal::Signal;

/// Ann's password is "secret", in the realm "Members only".
const USERS: &str = "ann:Members only:888d504e3c5b287dd18a36577279ce3a\n";

const DIGEST: &str =
    "AuthType Digest\nAuthName \"Members only\"\nAuthUserFile conf/digests\n";

/// A client with its memory.
struct Client<'a> {
    guarded: &'a Guarded,
    digests: Digests,
}

impl Client<'_> {
    fn new(guarded: &Guarded) -> Client<'_> {
        Client { guarded, digests: Digests::default() }
    }

    fn ask(
        &mut self,
        method: &str,
        target: &str,
        from: Option<&str>,
    ) -> Result<Response> {
        let field = match from {
            Some(from) => Some(self.digests.field(method, target, from)?.0),
            None => None,
        };
        let fields: Vec<&str> = field.iter().map(String::as_str).collect();
        let answer =
            self.guarded.site.ask(&format!("{method} {target}"), &fields, b"")?;
        self.digests.hear(&answer);
        Ok(answer)
    }

    /// Is asked first, and says then who it is.
    fn log_in(&mut self, target: &str, from: &str) -> Result<Response> {
        let asked = self.ask("GET", target, None)?;
        ensure!(asked.status == 401, "{asked}");
        self.ask("GET", target, Some(from))
    }
}

/// `/app` and files behind Digest, and a gate that is not asked yet.
fn guarded(answer: &str, lines: &str) -> Result<Guarded> {
    let mut guarded = Guarded::new()?;
    guarded.site.root.write("conf/digests", USERS.as_bytes())?;
    guarded.site.root.write("htdocs/a.txt", b"a file\n")?;
    guarded.site.root.write("htdocs/d/index.html", b"an index\n")?;
    guarded.gate("gate", answer, "-idle-timeout 1")?;
    guarded.serve(&format!(
        "<Directory {{root}}/htdocs>\n{DIGEST}{lines}\n</Directory>\n"
    ))?;
    Ok(guarded)
}

#[test]
fn applications_are_told_who_it_is() -> Result<()> {
    let guarded = guarded("", "Require valid-user")?;
    let mut client = Client::new(&guarded);
    let answer = client.log_in("/app?env", "ann:secret")?;
    let text = answer.text();
    ensure!(variable(&text, "REMOTE_USER") == Some("ann"), "{answer}");
    ensure!(variable(&text, "AUTH_TYPE") == Some("Digest"), "{answer}");
    ensure!(variable(&text, "HTTP_AUTHORIZATION").is_none(), "{answer}");
    ensure!(answer.header("Authentication-Info").is_some(), "{answer}");
    let answer = client.ask("GET", "/app?env", Some("ann:wrong"))?;
    ensure!(answer.status == 401 && !answer.text().contains("REMOTE_USER"), "{answer}");
    Ok(())
}

#[test]
fn an_authorizer_comes_behind() -> Result<()> {
    let lines = "FastCgiAuthorizer {root}/virtual/gate\nRequire valid-user";
    let guarded = guarded("header=Variable-GREETING:+hello", lines)?;
    let mut client = Client::new(&guarded);
    let answer = client.log_in("/app?env", "ann:secret")?;
    ensure!(variable(&answer.text(), "GREETING") == Some("hello"), "{answer}");
    for from in ["ann:wrong", "bob:secret", "ann:secret uri=/other"] {
        let answer = client.ask("GET", "/app?env", Some(from))?;
        ensure!(answer.status >= 400, "{from}: {answer}");
    }
    let calls = guarded.calls("gate");
    ensure!(calls.len() == 1, "{} calls", calls.len());
    ensure!(calls[0].variable("REMOTE_USER") == Some("ann"), "{:?}", calls[0]);
    ensure!(calls[0].variable("AUTH_TYPE") == Some("Digest"), "{:?}", calls[0]);
    ensure!(calls[0].variable("REMOTE_PASSWD").is_none(), "{:?}", calls[0]);
    Ok(())
}

/// Its no is asked for credentials again, with a nonce that holds; what fails is no consent.
#[test]
fn an_authorizer_that_denies_asks_again() -> Result<()> {
    for (gate, lines, status) in [
        ("status=401", "", 401),
        ("status=403", "", 401),
        ("close=1&status=200", "", 500),
        ("status=401", "FastCgiAuthorizerAuthoritative Off", 200),
    ] {
        let lines = format!(
            "FastCgiAuthorizer {{root}}/virtual/gate\nRequire valid-user\n{lines}"
        );
        let mut guarded = guarded(gate, &lines)?;
        if gate.starts_with("close") {
            guarded.stop_all();
        }
        let mut client = Client::new(&guarded);
        let answer = client.log_in("/a.txt", "ann:secret")?;
        ensure!(answer.status == status, "{gate} {lines}: {answer}");
        let challenge = answer.header("WWW-Authenticate").is_some_and(|value| {
            value.starts_with("Digest realm=\"Members only\", nonce=\"")
        });
        // As with Basic, also where the gate fails.
        ensure!(challenge == (status != 200), "{gate} {lines}: {answer}");
    }
    Ok(())
}

/// An authenticator needs a password, which Digest does not send.
#[test]
fn an_authenticator_is_not_asked() -> Result<()> {
    let lines = "FastCgiAuthenticator {root}/virtual/gate\nRequire valid-user";
    let guarded = guarded("", lines)?;
    let mut client = Client::new(&guarded);
    ensure!(client.log_in("/a.txt", "ann:secret")?.status == 200);
    for from in ["ann:wrong", "bob:secret"] {
        let answer = client.ask("GET", "/a.txt", Some(from))?;
        ensure!(answer.status == 401, "{from}: {answer}");
    }
    ensure!(guarded.calls("gate").is_empty());
    Ok(())
}

#[test]
fn an_access_checker_comes_before() -> Result<()> {
    let lines = "FastCgiAccessChecker {root}/virtual/gate\nRequire valid-user";
    for (gate, status) in [("", 200), ("status=403", 403)] {
        let guarded = guarded(gate, lines)?;
        let mut client = Client::new(&guarded);
        let asked = client.ask("GET", "/a.txt", None)?;
        ensure!(asked.status == if status == 200 { 401 } else { status }, "{asked}");
        let answer = client.ask("GET", "/a.txt", Some("ann:secret"))?;
        // Who was not asked has no nonce.
        ensure!(answer.status == status, "{answer}");
        let answer = client.ask("GET", "/a.txt", Some("ann:wrong"))?;
        ensure!(answer.status == if status == 200 { 401 } else { status }, "{answer}");
    }
    Ok(())
}

/// Every connection may be another thread's; none of them knows another secret or another
/// count. A reload changes nothing of it.
#[test]
fn all_threads_know_a_client_also_after_a_reload() -> Result<()> {
    let guarded = guarded("", "AuthDigestNcCheck On\nRequire valid-user")?;
    let mut client = Client::new(&guarded);
    ensure!(client.log_in("/a.txt", "ann:secret")?.status == 200);
    let mut count = 1;
    for signal in [None, Some(Signal::SIGUSR1), Some(Signal::SIGHUP)] {
        if let Some(signal) = signal {
            let line = "resuming normal operations";
            let before = guarded.site.root.log("error_log").matches(line).count();
            guarded.site.signal(signal)?;
            guarded.site.logged_times(line, before + 1)?;
        }
        for _ in 0..24 {
            count += 1;
            let from = format!("ann:secret challenge=1 nc={count:08x}");
            let answer = client.ask("GET", "/a.txt", Some(&from))?;
            ensure!(answer.status == 200, "{signal:?} {count}: {answer}");
            let answer = client.ask("GET", "/a.txt", Some(&from))?;
            ensure!(answer.status == 401, "{signal:?} {count} again: {answer}");
        }
    }
    Ok(())
}

/// A new server has a new secret: nobody goes on with what he overheard before.
#[test]
fn a_new_server_knows_nobody() -> Result<()> {
    let first = guarded("", "Require valid-user")?;
    let other = guarded("", "Require valid-user")?;
    let mut client = Client::new(&first);
    ensure!(client.log_in("/a.txt", "ann:secret")?.status == 200);
    client.guarded = &other;
    let answer = client.ask("GET", "/a.txt", Some("ann:secret"))?;
    let stale =
        answer.header("WWW-Authenticate").is_some_and(|v| v.contains("stale=true"));
    ensure!(answer.status == 401 && stale, "{answer}");
    ensure!(client.ask("GET", "/a.txt", Some("ann:secret"))?.status == 200);
    Ok(())
}

/// What a request leads to inside the server has counted already, whatever section it is in.
#[test]
fn a_request_counts_once() -> Result<()> {
    let mut guarded = Guarded::new()?;
    guarded.site.root.write("conf/digests", USERS.as_bytes())?;
    guarded.site.root.write("htdocs/d/index.html", b"an index\n")?;
    guarded.site.root.write("htdocs/missing.html", b"nothing\n")?;
    guarded.serve(&format!(
        "<Directory {{root}}/htdocs>\n{DIGEST}AuthDigestNcCheck On\nRequire valid-user\n\
         DirectoryIndex no.html index.html\nErrorDocument 404 /missing.html\n</Directory>\n\
         <Files *.html>\nSetEnv OTHER yes\n</Files>\n"
    ))?;
    let mut client = Client::new(&guarded);
    let answer = client.log_in("/d/", "ann:secret")?;
    ensure!(answer.text() == "an index\n", "{answer}");
    let answer = client.ask("GET", "/none", Some("ann:secret nc=00000002"))?;
    ensure!(answer.status == 404 && answer.text() == "nothing\n", "{answer}");
    let answer = client.ask("GET", "/d/", Some("ann:secret nc=00000002"))?;
    ensure!(answer.status == 401, "{answer}");
    Ok(())
}

/// What cannot be read lets nobody in.
#[test]
fn a_file_that_cannot_be_read_lets_nobody_in() -> Result<()> {
    let guarded = guarded("", "Require valid-user")?;
    let mut client = Client::new(&guarded);
    ensure!(client.log_in("/a.txt", "ann:secret")?.status == 200);
    let path = guarded.site.root.join("conf/digests");
    for content in ["", "ann:Members only\n", "ann:Members only:\n", "ann\n", "\0\0\n"] {
        std::fs::write(&path, content)?;
        for from in ["ann:secret", "ann:", ":"] {
            let answer = client.ask("GET", "/a.txt", Some(from))?;
            ensure!(answer.status == 401, "{content:?} {from}: {answer}");
        }
    }
    std::fs::remove_file(&path)?;
    let answer = client.ask("GET", "/a.txt", Some("ann:secret"))?;
    ensure!(answer.status == 500, "{answer}");
    std::fs::create_dir(&path)?;
    let answer = client.ask("GET", "/a.txt", Some("ann:secret"))?;
    ensure!(answer.status == 500, "{answer}");
    Ok(())
}
