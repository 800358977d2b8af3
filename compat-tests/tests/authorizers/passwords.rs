//! Checks of passwords are work for a whole core: others must not wait for them, and how
//! long they take must not tell who is known.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::application::program;
use compat_tests::site::{Site, basic};

fn site() -> Result<Site> {
    let mut site = Site::new()?;
    let htpasswd = program("/usr/bin/htpasswd", "apache2-utils")?;
    let users = site.root.join("conf/users");
    std::fs::write(&users, "")?;
    for (user, cost) in [("ann", "12"), ("old", "5")] {
        let mut command = std::process::Command::new(&htpasswd);
        command.args(["-bBC", cost]).arg(&users).args([user, "secret"]);
        compat_tests::application::run(&mut command)?;
    }
    site.root.write("htdocs/private/a.txt", b"private\n")?;
    site.root.write("htdocs/a.txt", b"public\n")?;
    site.serve(
        "<Directory {root}/htdocs/private>\nAuthType Basic\nAuthName Realm\n\
         AuthUserFile conf/users\nRequire valid-user\n</Directory>\n",
    )?;
    Ok(site)
}

/// One at a time: they are about what else the machine does.
static ALONE: Mutex<()> = Mutex::new(());

/// How long a request takes.
fn time(site: &Site, target: &str, fields: &[&str], status: u16) -> Result<Duration> {
    let begin = Instant::now();
    let answer = site.ask(&format!("GET {target}"), fields, b"")?;
    ensure!(answer.status == status, "{fields:?}: {answer}");
    Ok(begin.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn others_do_not_wait_for_checks() -> Result<()> {
    let _alone = ALONE.lock();
    let site = site()?;
    let (me, done) = (basic("ann", "secret"), AtomicBool::new(false));
    let (checks, times) = std::thread::scope(|scope| {
        let checks: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| time(&site, "/private/a.txt", &[&me], 200)))
            .collect();
        let others = scope.spawn(|| {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                times.push(time(&site, "/a.txt", &[], 200)?);
            }
            anyhow::Ok(times)
        });
        let checks: Result<Vec<_>> =
            checks.into_iter().map(|check| check.join().expect("no panic")).collect();
        done.store(true, Ordering::Relaxed);
        (checks, others.join().expect("no panic"))
    });
    let longest = checks?.into_iter().max().context("no check")?;
    let times = times?;
    // They were under way all the time.
    ensure!(longest > Duration::from_millis(200) && times.len() > 20, "{longest:?}");
    let median = median(times);
    ensure!(median < Duration::from_millis(100), "{median:?} while {longest:?}");
    Ok(())
}

#[test]
fn unknown_users_take_as_long() -> Result<()> {
    let _alone = ALONE.lock();
    let site = site()?;
    // A known one, one whose hash is a cheap one, and nobody.
    let users = ["ann", "old", "nobody"].map(|user| basic(user, "wrong"));
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..5 {
        for (user, times) in users.iter().zip(&mut times) {
            times.push(time(&site, "/private/a.txt", &[user], 401)?);
        }
    }
    let [known, cheap, unknown] = times.map(|times| median(times).as_secs_f64());
    for other in [cheap, unknown] {
        let factor = other / known;
        ensure!((1.0 / 1.5..1.5).contains(&factor), "{known} {cheap} {unknown}");
    }
    ensure!(known > 0.02, "{known} s: nothing was computed");
    Ok(())
}
