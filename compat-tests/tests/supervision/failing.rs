//! Applications that fail in their ways while clients ask: how many requests that costs,
//! and that it costs nobody else any.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::application::program;
use compat_tests::load::{Count, Load};

use crate::site::Site;
use compat_tests::figures::say;

/// How long clients are at work.
const LOAD: Duration = Duration::from_secs(5);
/// The requests that fail have an answer that begins so.
const FAILURE: &str = ": 500 Internal Server Error";
/// What stands beside them: it never fails.
const SOUND: &str =
    "FastCgiServer {root}/htdocs/sound -processes 2 -init-start-delay 0\n";
const SOUND_TARGETS: [(&str, &str); 2] =
    [("/sound?text=here", "here"), ("/page", "a page\n")];

/// Clients of a failing application beside clients of a sound one, whose requests are all
/// answered.
fn beside_a_sound_one(
    site: &mut Site,
    conf: &str,
    targets: &[(&'static str, &'static str)],
) -> Result<Count> {
    site.probe("htdocs/sound")?;
    site.serve(&format!("{SOUND}{conf}"))?;
    site.processes_are("htdocs/sound", 2)?;
    let sound = Load::new(site.root.port, &SOUND_TARGETS);
    let failing = Load::new(site.root.port, targets);
    std::thread::sleep(LOAD);
    let (failing, sound) = (failing.end(), sound.end());
    say(&format!(
        "{}: {} answered, {} failed; beside it {} answered, {} failed",
        targets[0].0,
        failing.answered,
        failing.failed.len(),
        sound.answered,
        sound.failed.len()
    ))?;
    ensure!(sound.failed.is_empty(), "{:#?}", sound.failed);
    ensure!(sound.answered > 200, "only {} requests", sound.answered);
    Ok(failing)
}

fn all_are_500(count: &Count) -> Result<()> {
    let other = count.failed.iter().find(|failure| !failure.contains(FAILURE));
    ensure!(other.is_none(), "{other:?}");
    Ok(())
}

/// It takes one connection and no further one: those that wait are its successors'. What
/// accepts while it answers, as a program with threads does, takes some of them with it.
const ONCE: &str = "#!/usr/bin/perl\nuse strict; use FCGI;\n\
    my $request = FCGI::Request();\n\
    if ($request->Accept() >= 0) {\n\
    print \"Content-Type: text/plain\\r\\n\\r\\nonce\"; $request->Finish();\n}\n";

/// It answers and goes, with success: there is always another process soon.
#[test]
fn one_request_for_each_process() -> Result<()> {
    let mut site = Site::alone()?;
    program("/usr/share/perl5/CGI/Fast.pm", "libcgi-fast-perl")?;
    site.program("htdocs/once", ONCE)?;
    let conf = "FastCgiServer {root}/htdocs/once -processes 3 -restart-delay 0 \
        -init-start-delay 0\n";
    let count = beside_a_sound_one(&mut site, conf, &[("/once", "once"); 2])?;
    let log = site.root.log("error_log");
    ensure!(count.failed.is_empty(), "{:#?}\n{log}", count.failed);
    let left = log.matches("terminated by calling exit with status '0'").count();
    ensure!(count.answered >= 5, "only {} requests", count.answered);
    // One may have answered last and not have gone yet.
    ensure!(left + 3 >= count.answered, "{left} left, {} answered", count.answered);
    ensure!(!log.contains("backed off"), "{log}");
    Ok(())
}

/// Its requests fail when their time is over, and not sooner or later.
#[test]
fn one_that_never_answers() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/silent")?;
    let conf = "FastCgiServer {root}/htdocs/silent -idle-timeout 1\n";
    let targets = [("/silent?sleep=60000", ""); 2];
    let begun = Instant::now();
    let count = beside_a_sound_one(&mut site, conf, &targets)?;
    all_are_500(&count)?;
    ensure!(count.answered == 0, "{} were answered", count.answered);
    // Two clients, a second for each request, and the last ones end behind the others.
    let seconds = begun.elapsed().as_secs() as usize;
    let most = targets.len() * (seconds + 1);
    let failed = count.failed.len();
    ensure!((8..=most).contains(&failed), "{failed} requests in {seconds} s");
    site.logged_times("idle timeout (1 sec)", failed)?;
    ensure!(site.root.log("error_log").matches("idle timeout (1 sec)").count() == failed);
    Ok(())
}

/// Not a program that can be run, and one that ends at once: their requests fail, each
/// after no longer than the first attempts take.
#[test]
fn those_that_cannot_start() -> Result<()> {
    let mut site = Site::alone()?;
    site.program("htdocs/none", "#!/nonexistent/interpreter\n")?;
    site.program("htdocs/ends", "#!/bin/sh\nexit 3\n")?;
    let conf = "FastCgiServer {root}/htdocs/none -restart-delay 0 -init-start-delay 0\n\
        FastCgiServer {root}/htdocs/ends -restart-delay 0 -init-start-delay 0\n";
    let count = beside_a_sound_one(&mut site, conf, &[("/none", ""), ("/ends", "")])?;
    all_are_500(&count)?;
    ensure!(count.answered == 0, "{} were answered", count.answered);
    for target in ["/none", "/ends"] {
        let failed = count.failed.iter().filter(|f| f.starts_with(target)).count();
        ensure!(failed >= 5, "only {failed} of {target}");
    }
    let log = site.root.log("error_log");
    ensure!(log.matches("backed off").count() == 2);
    // The first start and three more (P-14).
    for words in ["execle() failed", "terminated by calling exit with status '3'"] {
        let found = log.matches(words).count();
        ensure!(found == 4, "{words}: {found} times");
    }
    Ok(())
}
