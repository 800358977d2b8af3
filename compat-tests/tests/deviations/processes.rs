//! Applications that the server starts, and what they say.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::http::Client;
use compat_tests::server::built;
use compat_tests::site::Site;
use nix::sys::signal::Signal;

/// A static application: a script that does something, then becomes the probe.
fn serve(site: &mut Site, script: &str, conf: &str) -> Result<()> {
    let probe = built("probe");
    std::fs::copy(&probe, site.root.join("htdocs/probe"))?;
    let script = format!(
        "#!/bin/sh\n{script}\nexec {}\n",
        site.root.join("htdocs/probe").display()
    );
    site.program("htdocs/app", &script)?;
    site.serve(conf)
}

/// The number behind `(pid ` of the application's first start.
fn started(site: &Site) -> Result<String> {
    site.logged("/htdocs/app\" ")?;
    let log = site.root.log("error_log");
    let line = log.lines().find(|line| line.contains(" started (pid "));
    let (_, rest) = line
        .and_then(|line| line.split_once(" started (pid "))
        .with_context(|| log.clone())?;
    Ok(rest.trim_end_matches(')').to_owned())
}

/// Waits for a line that names an application and its process.
fn said(site: &Site, pid: &str, words: &str) -> Result<()> {
    let app = site.root.join("htdocs/app");
    let line = format!("server \"{}\" (pid {pid}): {words}\n", app.display());
    site.logged(&line)?;
    let log = site.root.log("error_log");
    let found = log.lines().find(|found| found.ends_with(line.trim_end()));
    ensure!(found.is_some_and(|found| found.contains("[:error] ")), "{found:?}");
    Ok(())
}

/// The original gave its log to the application as a descriptor.
#[test]
fn lines_of_an_application_say_whose_they_are() -> Result<()> {
    let mut site = Site::new()?;
    let script = "echo to the error >&2\necho to the output";
    serve(&mut site, script, "FastCgiServer {root}/htdocs/app -processes 1\n")?;
    let pid = started(&site)?;
    said(&site, &pid, "to the error")?;
    said(&site, &pid, "to the output")
}

/// The same with a wrapper, which the application's process was at first.
#[test]
fn lines_of_a_wrapper_say_whose_they_are() -> Result<()> {
    let mut site = Site::new()?;
    site.program(
        "bin/wrapper",
        "#!/bin/sh\necho \"arguments: $*\" >&2\necho \"directory: $(pwd)\"\n\
         echo \"variable: $A\"\nexec ./$3\n",
    )?;
    serve(
        &mut site,
        "",
        "FastCgiWrapper bin/wrapper\nFastCgiServer {root}/htdocs/app -initial-env A=1\n",
    )?;
    let pid = started(&site)?;
    said(&site, &pid, "arguments: www-data www-data app")?;
    said(&site, &pid, &format!("directory: {}", site.root.join("htdocs").display()))?;
    said(&site, &pid, "variable: 1")?;
    let answer = site.get("/app?text=words")?;
    ensure!(answer.body == b"words", "{answer}");
    Ok(())
}

/// The original started it beside the wrapper.
#[test]
fn a_dynamic_application_gets_the_wrapper_as_the_main_user() -> Result<()> {
    let mut site = Site::new()?;
    site.program("bin/wrapper", "#!/bin/sh\necho \"called: $*\"\nexec ./$3\n")?;
    serve(
        &mut site,
        "",
        "FastCgiWrapper bin/wrapper\n<Directory {root}/htdocs>\nOptions +ExecCGI\n\
         SetHandler fastcgi-script\n</Directory>\n",
    )?;
    let answer = site.get("/app?text=words")?;
    ensure!(answer.body == b"words", "{answer}");
    let group = nix::unistd::Group::from_name("www-data")?.context("no www-data")?;
    // The user by name, the group by number (W-4).
    site.logged(&format!(": called: www-data {} app\n", group.gid))
}

/// The original replaced all applications at once, with requests on them or not.
#[test]
fn applications_stay_over_a_graceful_restart() -> Result<()> {
    let mut site = Site::new()?;
    serve(&mut site, "", "FastCgiServer {root}/htdocs/app -processes 1\n")?;
    started(&site)?;
    let mut client = Client::connect(site.root.port)?;
    client.send(
        b"GET /app?text=begun&sleep=1500&text=-and-done HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
    )?;
    client.until(b"begun")?;
    site.signal(Signal::SIGUSR1)?;
    site.logged_times("resuming normal operations", 2)?;
    let answer = site.get("/app?text=meanwhile")?;
    ensure!(answer.body == b"meanwhile", "{answer}");
    let rest = String::from_utf8_lossy(&client.until(b"\r\n0\r\n\r\n")?).into_owned();
    ensure!(rest.ends_with("-and-done"), "{rest}");
    // Nothing is started, or ended, a while later either.
    std::thread::sleep(Duration::from_millis(1500));
    let log = site.root.log("error_log");
    ensure!(log.matches("started (pid ").count() == 1, "{log}");
    ensure!(!log.contains("terminated"), "{log}");
    Ok(())
}
