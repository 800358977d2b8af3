//! Programs of RewriteMaps: asked by many at a time, started again, ended with their
//! configuration.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compat_tests::family::{Process, until};
use nix::sys::signal::{Signal, kill};

use crate::site::{PATIENCE, Site};

/// Answers a key with its name and itself; some keys are orders.
const MAP: &str = "#!/bin/sh\n\
    while IFS= read -r key; do\n\
    case \"$key\" in\n\
    hang) sleep 60 ;;\n\
    slow) sleep 0.3; echo late ;;\n\
    flood) yes | tr -d '\\n' | head -c 70000 ;;\n\
    *) echo \"$1-$key\" ;;\n\
    esac\n\
    done\n\
    echo \"$1 has read the end\" >> {root}/logs/ends\n";

const CONF: &str = "Timeout 2\n\
    RewriteEngine On\n\
    RewriteMap m \"prg:{root}/map one\"\n\
    RewriteRule ^/(.*)$ http://x.example/${m:$1|default} [R,NE]\n";

fn site() -> Result<Site> {
    let mut site = Site::alone()?;
    site.program("map", MAP)?;
    site.serve(CONF)?;
    Ok(site)
}

/// The value for a key.
fn value(site: &Site, key: &str) -> Result<String> {
    let response = site.get(&format!("/{key}"))?;
    ensure!(response.status == 302, "{key}: {}", response.status);
    let to = response.header("location").unwrap_or_default();
    Ok(to.trim_start_matches("http://x.example/").to_owned())
}

#[test]
fn keys_and_values_belong_together_however_many_ask() -> Result<()> {
    let site = site()?;
    let failed = std::thread::scope(|scope| {
        let ask = |client: usize| {
            let site = &site;
            move || -> Result<()> {
                for i in 0..50 {
                    let key = format!("{client}.{i}");
                    let said = value(site, &key)?;
                    ensure!(said == format!("one-{key}"), "{key}: {said}");
                }
                Ok(())
            }
        };
        let clients: Vec<_> = (0..8).map(|client| scope.spawn(ask(client))).collect();
        let mut ended =
            clients.into_iter().map(|client| client.join().expect("no panic"));
        ended.find_map(Result::err)
    });
    failed.map_or(Ok(()), Err)
}

#[test]
fn one_that_dies_is_started_again() -> Result<()> {
    let site = site()?;
    for _ in 0..2 {
        let old = site.processes_are("map", 1)?.remove(0);
        ensure!(value(&site, "a")? == "one-a");
        kill(old.pid, Signal::SIGKILL)?;
        until("it is gone", PATIENCE, || !old.lives())?;
        until("another answers", PATIENCE, || {
            value(&site, "b").is_ok_and(|value| value == "one-b")
        })?;
    }
    let log = site.root.log("error_log");
    ensure!(log.matches("map has ended").count() == 2, "{log}");
    Ok(())
}

/// What is said too late would be taken for the next key's value.
#[test]
fn one_that_says_nothing_is_ended_and_started_again() -> Result<()> {
    let site = site()?;
    let old = site.processes_are("map", 1)?.remove(0);
    let begun = Instant::now();
    ensure!(value(&site, "hang")? == "default");
    let took = begun.elapsed();
    ensure!(
        took > Duration::from_millis(1900) && took < Duration::from_secs(5),
        "{took:?}"
    );
    until("the old one is ended", PATIENCE, || !old.lives())?;
    until("another answers", PATIENCE, || {
        value(&site, "b").is_ok_and(|value| value == "one-b")
    })?;
    let log = site.root.log("error_log");
    ensure!(log.contains("map said nothing within 2 s: no value"), "{log}");
    ensure!(value(&site, "flood")? == "default");
    let log = site.root.log("error_log");
    ensure!(log.contains("map failed (its line is too long): no value"), "{log}");
    until("another answers", PATIENCE, || {
        value(&site, "c").is_ok_and(|value| value == "one-c")
    })
}

/// A client that goes while a program thinks leaves no value behind for another key.
#[test]
fn clients_that_go_away_do_no_harm() -> Result<()> {
    let site = site()?;
    for _ in 0..3 {
        let mut client = compat_tests::http::Client::connect(site.root.port)?;
        client.send(b"GET /slow HTTP/1.0\r\n\r\n")?;
        std::thread::sleep(Duration::from_millis(50));
    }
    ensure!(value(&site, "a")? == "one-a");
    site.processes_are("map", 1)?;
    Ok(())
}

#[test]
fn a_reload_starts_new_ones_and_the_old_ones_read_the_end() -> Result<()> {
    let site = site()?;
    let old = site.processes_are("map", 1)?.remove(0);
    site.configure(&CONF.replace("map one", "map two"))?;
    site.signal(Signal::SIGUSR1)?;
    until("the new one answers", PATIENCE, || {
        value(&site, "a").is_ok_and(|value| value == "two-a")
    })?;
    until("the old one has ended", PATIENCE, || !old.lives())?;
    ensure!(site.root.log("ends") == "one has read the end\n");
    // What cannot be started leaves everything as it was.
    site.root.write("text", b"no program")?;
    site.configure(&CONF.replace("map one", "text"))?;
    site.signal(Signal::SIGUSR1)?;
    until("it is refused", PATIENCE, || {
        site.root.log("error_log").contains("could not start RewriteMap program")
    })?;
    ensure!(value(&site, "a")? == "two-a");
    Ok(())
}

#[test]
fn a_new_serving_process_gets_new_ones_and_the_end_ends_them() -> Result<()> {
    let mut site = site()?;
    let old = site.processes_are("map", 1)?.remove(0);
    kill(site.half()?.pid, Signal::SIGKILL)?;
    until("the old one has ended", PATIENCE, || !old.lives())?;
    until("the new one answers", PATIENCE, || {
        value(&site, "a").is_ok_and(|value| value == "one-a")
    })?;
    let new: Vec<Process> = site.processes_are("map", 1)?;
    site.server()?.signal(Signal::SIGTERM)?;
    site.server()?.wait()?;
    ensure!(!new[0].lives());
    Ok(())
}
