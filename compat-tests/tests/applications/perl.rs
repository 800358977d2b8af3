//! A Perl program with CGI::Fast: external, static and dynamic.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use compat_tests::application::{Application, program};

use crate::site::{Site, variable};

/// Shows variables, what a form holds, and how often this process has answered.
const PROGRAM: &str = r#"#!/usr/bin/perl
use strict; use warnings;
use CGI::Fast;
my ($count, $colour) = (0, $ENV{COLOUR} // '');
while (my $q = CGI::Fast->new) {
    $count++;
    print STDERR "request $count\n" if $q->param('warn');
    print $q->header(-type => 'text/plain', -cookie => $q->cookie(-name => 'n', -value => 7));
    print "name=", scalar($q->param('name')) // '', "\n";
    print "count=$count\npid=$$\ncolour=$colour\n";
    print "$_=$ENV{$_}\n" for grep { defined $ENV{$_} } sort keys %ENV;
}
"#;

fn write(site: &Site, name: &str) -> Result<PathBuf> {
    program("/usr/share/perl5/CGI/Fast.pm", "libcgi-fast-perl")?;
    site.program(name, PROGRAM)
}

/// Two requests, one with a form: the program's view of both.
fn check(site: &Site, path: &str) -> Result<()> {
    let answer = site.get(&format!("{path}/info?name=J%C3%BCrgen"))?;
    let text = answer.text();
    ensure!(answer.status == 200, "{answer}\n{}", site.root.log("error_log"));
    ensure!(
        answer.header("Set-Cookie").is_some_and(|c| c.starts_with("n=7;")),
        "{answer}"
    );
    ensure!(variable(&text, "name") == Some("Jürgen"), "{text}");
    ensure!(variable(&text, "PATH_INFO") == Some("/info"), "{text}");
    ensure!(variable(&text, "SCRIPT_NAME") == Some(path), "{text}");

    let kind = ["Content-Type: application/x-www-form-urlencoded"];
    let answer = site.ask(&format!("POST {path}"), &kind, b"name=a+b&warn=1")?;
    let text = answer.text();
    ensure!(variable(&text, "name") == Some("a b"), "{text}");
    ensure!(variable(&text, "REQUEST_METHOD") == Some("POST"), "{text}");
    ensure!(variable(&text, "CONTENT_LENGTH") == Some("15"), "{text}");
    site.logged("stderr: request ")
}

/// Different answers to the same process: it stays between requests.
fn stays(site: &Site, path: &str) -> Result<()> {
    let mut pids = Vec::new();
    for _ in 0..3 {
        let text = site.get(path)?.text();
        pids.push(variable(&text, "pid").unwrap_or_default().to_owned());
    }
    ensure!(!pids[0].is_empty() && pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    Ok(())
}

#[test]
fn started_by_spawn_fcgi() -> Result<()> {
    let mut site = Site::new()?;
    let script = write(&site, "apps/fast.pl")?;
    let socket = site.unix("perl.sock");
    let perl = Application::spawn_fcgi(&site.root, socket, &[Path::new(&script)])?;
    site.serve(&format!(
        "FastCgiExternalServer {{root}}/virtual/fast {}\nAlias /fast {{root}}/virtual/fast\n\
         <Directory {{root}}/virtual>\nRequire all granted\n</Directory>\n",
        perl.address.option()
    ))?;
    check(&site, "/fast")?;
    stays(&site, "/fast")
}

#[test]
fn a_static_application() -> Result<()> {
    let mut site = Site::new()?;
    write(&site, "apps/fast.pl")?;
    site.serve(
        "FastCgiServer {root}/apps/fast.pl -processes 1 -initial-env COLOUR=blue\n\
         ScriptAlias /fast {root}/apps/fast.pl\n\
         <Directory {root}/apps>\nRequire all granted\n</Directory>\n",
    )?;
    check(&site, "/fast")?;
    stays(&site, "/fast")?;
    ensure!(variable(&site.get("/fast")?.text(), "colour") == Some("blue"));
    Ok(())
}

#[test]
fn a_dynamic_application() -> Result<()> {
    let mut site = Site::new()?;
    write(&site, "htdocs/fast.fcgi")?;
    let plain = site.root.write("htdocs/plain.fcgi", PROGRAM.as_bytes())?;
    write(&site, "htdocs/closed/fast.fcgi")?;
    site.serve(
        "AddHandler fastcgi-script .fcgi\n\
         FastCgiConfig -initial-env COLOUR=blue -init-start-delay 1\n\
         <Directory {root}/htdocs>\nOptions +ExecCGI\n</Directory>\n\
         <Directory {root}/htdocs/closed>\nOptions -ExecCGI\n</Directory>\n",
    )?;
    check(&site, "/fast.fcgi")?;
    stays(&site, "/fast.fcgi")?;
    ensure!(variable(&site.get("/fast.fcgi")?.text(), "colour") == Some("blue"));
    ensure!(site.get("/missing.fcgi")?.status == 404);
    // A file that may not be run is not shown either.
    ensure!(site.get("/plain.fcgi")?.status == 403, "{}", plain.display());
    site.logged("invalid (dynamic) server")?;
    ensure!(site.get("/closed/fast.fcgi")?.status == 403);
    site.logged("\"ExecCGI Option\" is off in this directory: /closed/fast.fcgi")
}
