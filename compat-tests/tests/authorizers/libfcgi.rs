//! A C program on libfcgi in all three phases: external, static, dynamic.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use compat_tests::application::{Application, program, run};
use compat_tests::guarded::Guarded;
use compat_tests::site::{basic, variable};

/// What it says depends on the phase.
const PROGRAM: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcgi_stdio.h>

static const char *var(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

int main(void) {
    int served = 0;
    while (FCGI_Accept() >= 0) {
        served++;
        if (strcmp(var("FCGI_ROLE"), "AUTHORIZER") != 0) {
            printf("Status: 500 Wrong Role\r\n\r\n");
        } else if (strcmp(var("FCGI_APACHE_ROLE"), "AUTHENTICATOR") == 0) {
            size_t n = strlen(var("REMOTE_USER"));
            if (n > 0 && strncmp(var("REMOTE_PASSWD"), var("REMOTE_USER"), n) == 0)
                printf("Status: 200 OK\r\nVariable-Served: %d\r\n\r\n", served);
            else
                printf("Status: 401 No\r\nWWW-Authenticate: Basic realm=\"C\"\r\n\r\nno\n");
        } else if (strcmp(var("FCGI_APACHE_ROLE"), "AUTHORIZER") == 0) {
            if (strcmp(var("REMOTE_USER"), "joe") == 0)
                printf("Status: 403 No\r\nContent-Type: text/plain\r\n\r\nnot joe\n");
            else
                printf("Variable-Authorized-By: C\r\n\r\n");
        } else {
            printf("Status: %s\r\n\r\n", *var("HTTP_X_STOP") ? "403 No" : "200 OK");
        }
    }
    return 0;
}
"#;

fn compile(guarded: &Guarded) -> Result<PathBuf> {
    program("/usr/include/fcgiapp.h", "libfcgi-dev")?;
    let source = guarded.site.root.write("apps/gate.c", PROGRAM.as_bytes())?;
    let target = guarded.site.root.join("apps/gate");
    let cc = program("/usr/bin/cc", "gcc")?;
    run(Command::new(cc).arg("-o").arg(&target).arg(source).arg("-lfcgi"))?;
    Ok(target)
}

const SECTION: &str = "
<Location /app>
    AuthType Basic
    AuthName Realm
    Require valid-user
    FastCgiAccessChecker {root}/apps/gate -compat
    FastCgiAuthenticator {root}/apps/gate -compat
    FastCgiAuthorizer {root}/apps/gate -compat
</Location>
";

fn check(guarded: &Guarded) -> Result<()> {
    let site = &guarded.site;
    for (fields, status) in [
        (&[&*basic("ann", "ann")][..], 200),
        (&[&*basic("ann", "bob")], 401),
        (&[&*basic("joe", "joe")], 401),
        (&[&*basic("ann", "ann"), "X-Stop: yes"], 403),
        (&[], 401),
        (&[&*basic("bob", "bob")], 200),
    ] {
        let answer = site.ask("POST /app/x?env", fields, b"12345")?;
        ensure!(answer.status == status, "{fields:?}: {answer}");
        let text = answer.text();
        ensure!(!text.contains("REMOTE_PASSWD="), "{text}");
        if status == 200 {
            ensure!(variable(&text, "Authorized_By") == Some("C"), "{text}");
            ensure!(variable(&text, "Served").is_some(), "{text}");
            ensure!(variable(&text, "CONTENT_LENGTH") == Some("5"), "{text}");
        }
    }
    site.logged("FastCGI: authorization failed for user \"joe\": /app/x")?;
    site.logged("FastCGI: authentication failed for user \"ann\": /app/x")?;
    site.logged("FastCGI: access denied: /app/x")
}

#[test]
fn started_by_spawn_fcgi() -> Result<()> {
    let mut guarded = Guarded::new()?;
    let gate = compile(&guarded)?;
    let address = guarded.site.unix("gate.sock");
    let gate = Application::spawn_fcgi(&guarded.site.root, address, &[Path::new(&gate)])?;
    guarded.program("apps/gate", gate, "");
    guarded.serve(SECTION)?;
    check(&guarded)
}

#[test]
fn a_static_application() -> Result<()> {
    let mut guarded = Guarded::new()?;
    compile(&guarded)?;
    let server = "FastCgiServer {root}/apps/gate -processes 2 -init-start-delay 0\n";
    guarded.serve(&format!("{server}{SECTION}"))?;
    check(&guarded)
}

/// Nothing defines it: it is started when it is asked (C-38, C-40).
#[test]
fn a_dynamic_application() -> Result<()> {
    let mut guarded = Guarded::new()?;
    compile(&guarded)?;
    guarded.serve(SECTION)?;
    check(&guarded)
}
