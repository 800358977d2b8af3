//! Requests lost under constant load, event by event: reloads, applications that are
//! killed, serving halves that are killed.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::family::ZombieWatch;
use compat_tests::load::{Count, Load};
use nix::sys::signal::{Signal, kill};

use crate::site::Site;
use compat_tests::figures::say;

const RELOADS: usize = 20;
const APPLICATIONS_KILLED: usize = 20;
const HALVES_KILLED: usize = 5;
/// The time between two events.
const PAUSE: Duration = Duration::from_millis(250);
/// A serving half that has lived for a second is started again at once.
const LIFE: Duration = Duration::from_millis(1200);

// With the usual minimum life they would be given up after three deaths (P-14).
const CONF: &str = "FastCgiConfig -restart-delay 0 -init-start-delay 0 -min-server-life 0\n\
    FastCgiServer {root}/htdocs/one -processes 3 -init-start-delay 0 -restart-delay 0 \
    -min-server-life 0\n\
    <Files *.fcgi>\nSetHandler fastcgi-script\nOptions ExecCGI\n</Files>\n";
const TARGETS: [(&str, &str); 5] = [
    ("/page", "a page\n"),
    ("/one?text=1", "1"),
    ("/one?text=1", "1"),
    ("/dynamic.fcgi?text=2", "2"),
    ("/dynamic.fcgi?text=2", "2"),
];

/// Clients at work while something happens `times` times.
fn during(
    site: &mut Site,
    what: &str,
    times: usize,
    pause: Duration,
    mut event: impl FnMut(&mut Site, usize) -> Result<()>,
) -> Result<Count> {
    let load = Load::new(site.root.port, &TARGETS);
    for i in 0..times {
        std::thread::sleep(pause);
        event(site, i)?;
    }
    std::thread::sleep(PAUSE);
    let count = load.end();
    let (answered, lost) = (count.answered, count.failed.len());
    say(&format!("{times} {what}: {answered} requests answered, {lost} lost"))?;
    ensure!(answered > 10 * times, "only {answered} requests");
    Ok(count)
}

#[test]
fn requests_lost_under_load() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/one")?;
    site.probe("htdocs/dynamic.fcgi")?;
    site.serve(CONF)?;
    site.processes_are("htdocs/one", 3)?;
    ensure!(site.get("/dynamic.fcgi?text=here")?.text() == "here");
    let zombies = ZombieWatch::new(site.parent()?);

    let count = during(&mut site, "graceful reloads", RELOADS, PAUSE, |site, _| {
        site.server()?.signal(Signal::SIGUSR1)
    })?;
    ensure!(count.failed.is_empty(), "{:#?}", count.failed);

    // Chosen by a fixed sequence, so that a failure can be had again.
    let mut seed = 0x2545_f491_u32;
    let mut draw = move |among: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as usize % among
    };
    let mut killed = 0;
    let what = "applications killed";
    let count = during(&mut site, what, APPLICATIONS_KILLED, PAUSE, |site, _| {
        let mut processes = site.processes("htdocs/one")?;
        processes.extend(site.processes("htdocs/dynamic.fcgi")?);
        ensure!(!processes.is_empty(), "nobody is left");
        kill(processes[draw(processes.len())].pid, Signal::SIGKILL)?;
        killed += 1;
        Ok(())
    })?;
    ensure!(killed == APPLICATIONS_KILLED);
    // A request is lost only if the client had a piece of the answer already: these
    // are all `GET`, and what was not answered at all is asked again.
    let begun = [": 200 OK", ": the connection ended after"];
    let other =
        count.failed.iter().find(|f| !begun.iter().any(|begun| f.contains(begun)));
    ensure!(other.is_none(), "{other:?}\n{}", site.root.log("error_log"));
    ensure!(count.failed.len() <= killed, "{:#?}", count.failed);

    let what = "serving halves killed";
    let count = during(&mut site, what, HALVES_KILLED, LIFE, |site, i| {
        kill(site.half()?.pid, Signal::SIGKILL)?;
        site.logged_times("is started again", i + 1)
    })?;
    // Who had a connection loses it, with one request at most.
    let most = HALVES_KILLED * TARGETS.len();
    ensure!(count.failed.len() <= most, "{:#?}", count.failed);

    let zombies = zombies.end();
    ensure!(zombies.is_empty(), "{zombies:?}");
    Ok(())
}

/// What changes something is not asked twice: the process may have done it.
#[test]
fn a_post_is_not_repeated() -> Result<()> {
    let mut site = Site::alone()?;
    site.probe("htdocs/one")?;
    site.serve("FastCgiServer {root}/htdocs/one -init-start-delay 0 -restart-delay 0\n")?;
    let notes = site.root.join("notes");
    let target = format!("/one?note={}&exit=0", notes.display());
    for (method, body, times) in [("GET", "", 2), ("POST", "x", 1)] {
        std::fs::write(&notes, "")?;
        // The application runs as another user.
        std::fs::set_permissions(&notes, PermissionsExt::from_mode(0o666))?;
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        let mut client = compat_tests::http::Client::connect(site.root.port)?;
        client.send(head.as_bytes())?;
        let answer = client.response(method)?;
        ensure!(answer.status == 500, "{answer}");
        let noted = std::fs::read_to_string(&notes)?.lines().count();
        ensure!(noted == times, "{method}: {noted} times");
    }
    site.logged_times("the request is sent once more", 1)
}
