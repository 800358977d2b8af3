//! The probe as an authorizer, before another probe that shows what it was told.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Result, ensure};
use compat_tests::application::{Address, Application};

use compat_tests::site::{Site, variable};

/// `/app` behind an access checker that always answers the same; further lines stand in
/// the section.
fn guarded(answer: &str, lines: &str) -> Result<(Site, [Application; 2])> {
    let mut site = Site::new()?;
    let gate = probe(&site, "gate", &[answer])?;
    let app = probe(&site, "app", &[])?;
    site.root.write("htdocs/a.txt", b"a file\n")?;
    site.serve(&format!(
        "FastCgiExternalServer {{root}}/virtual/gate {}\n\
         FastCgiExternalServer {{root}}/htdocs/app {}\n\
         <Directory {{root}}/htdocs>\n{lines}\n</Directory>\n",
        gate.address.option(),
        app.address.option()
    ))?;
    Ok((site, [gate, app]))
}

fn probe(site: &Site, name: &str, directives: &[&str]) -> Result<Application> {
    let socket = site.root.join("run").join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_probe"));
    command.arg(format!("unix:{}", socket.display())).args(directives);
    let probe =
        Application::start(&site.root, Address::Unix(socket.clone()), &mut command)?;
    std::fs::set_permissions(socket, PermissionsExt::from_mode(0o666))?;
    Ok(probe)
}

const CHECKER: &str = "FastCgiAccessChecker {root}/virtual/gate -compat";

#[test]
fn who_is_let_in_is_told_on() -> Result<()> {
    let gate = "status=200&header=Variable-GREETING:+hello&header=Other:+x&text=ignored";
    let (site, _probes) = guarded(gate, CHECKER)?;
    let fields = ["Greeting: spoofed"];
    let answer = site.ask("POST /app/x?env", &fields, b"12345")?;
    let text = answer.text();
    ensure!(answer.status == 200, "{answer}");
    ensure!(variable(&text, "GREETING") == Some("hello"), "{text}");
    ensure!(variable(&text, "CONTENT_LENGTH") == Some("5"), "{text}");
    ensure!(!text.contains("Other") && answer.header("Other").is_none(), "{answer}");
    ensure!(site.get("/a.txt")?.body == b"a file\n");
    // The body is the responder's.
    ensure!(site.ask("POST /app?echo", &[], b"12345")?.body == b"12345");
    Ok(())
}

#[test]
fn who_is_refused_gets_the_status() -> Result<()> {
    let (site, _probes) = guarded("status=403+No&text=words", CHECKER)?;
    for target in ["/app?env", "/a.txt"] {
        let answer = site.get(target)?;
        ensure!(answer.status == 403, "{answer}");
        ensure!(!answer.text().contains("SCRIPT_NAME="), "{answer}");
    }
    Ok(())
}

/// Nothing that goes wrong with it lets anybody in.
#[test]
fn a_gate_that_fails_is_closed() -> Result<()> {
    for answer in ["close", "stdout=nonsense", "raw=0206000100000000", "exit=1"] {
        let (site, _probes) = guarded(answer, CHECKER)?;
        for target in ["/a.txt", "/app?env"] {
            let got = site.get(target)?;
            ensure!(matches!(got.status, 403 | 500), "{answer}: {got}");
        }
    }
    Ok(())
}
